"""Cases know the deadlines that they missed, and outcomes which of them are exempted. Revision 0032, after 0031.

What was missed stands in the facts: the cases are read in pages, and followed as deciding follows them. It is added at
the end of a case's text, where this release writes it; the rest of the text stays as it is, byte by byte.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None

PAGE = 500
MOST = 64
BEGINS = ',"lapses":'


def upgrade() -> None:
    op.add_column('outcomes', sa.Column('exempted', sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    body = 'inflated(body)' if connection.dialect.name == 'sqlite' else 'body'
    told = ' OR '.join(
        f"b LIKE '%{text}%'"
        for text in ('"breach"', '"overdue"', '"lapsed"', '"clock.recharged"', '"clock.contradicted"')
    )
    page = sa.text(
        "SELECT id, body FROM cases WHERE definition NOT IN ('duty', 'home') AND id > :after "
        f'ORDER BY id LIMIT {PAGE}'
    )
    steps = sa.text(
        f'SELECT case_id, b FROM (SELECT case_id, seq, {body} AS b FROM facts WHERE case_id IN :cases) AS s '
        f'WHERE {told} ORDER BY case_id, seq'
    ).bindparams(sa.bindparam('cases', expanding=True))
    change = sa.text('UPDATE cases SET body = :body WHERE id = :id')
    after = ''
    while rows := connection.execute(page, {'after': after}).all():
        lives: dict[str, list[dict[str, Any]]] = {}
        for case, facts in connection.execute(steps, {'cases': [row[0] for row in rows]}):
            lives.setdefault(case, []).extend(json.loads(facts))
        missed = {case: missed_in(life) for case, life in lives.items()}
        changed = [
            {'id': case, 'body': f'{text[:-1]}{BEGINS}{encoded(missed[case])}}}'}
            for case, text in rows
            if missed.get(case)
        ]
        if changed:
            connection.execute(change, changed)
        after = rows[-1][0]


def downgrade() -> None:
    op.drop_column('outcomes', 'exempted')
    connection = op.get_bind()
    rows = connection.execute(sa.text(f"SELECT id, body FROM cases WHERE body LIKE '%{BEGINS}%'")).all()
    change = sa.text('UPDATE cases SET body = :body WHERE id = :id')
    for id_, text in rows:
        connection.execute(change, {'id': id_, 'body': text[: text.rindex(BEGINS)] + '}'})


def missed_in(life: list[dict[str, Any]]) -> list[list[Any]]:
    """The deadlines that a case missed, as it keeps them: clock, level, cycle, target, deadline, who is charged, and no
    exemption. Those of releases that charged nobody are not kept."""
    missed: dict[tuple[Any, ...], list[Any]] = {}
    for fact in life:
        if not fact['fact'].startswith('clock.'):
            continue
        key = fact['clock'], fact['level'], fact['cycle'], fact['target']
        late = fact.get('result') == 'overdue' or fact.get('lapsed')
        if fact['fact'] == 'clock.contradicted':
            missed.pop(key, None)
        elif fact['fact'] == 'clock.recharged':
            if key in missed:
                missed[key][5] = fact['charged']
        elif (fact['fact'] == 'clock.rung' and fact.get('breach')) or (
            fact['fact'] == 'clock.stopped' and late and not fact.get('again')
        ):
            unit = fact.get('charged')
            if unit and not unit.get('post') and key not in missed:
                missed[key] = [*key, fact.get('due'), unit, None]
                while len(missed) > MOST:
                    missed.pop(next(iter(missed)))
    return list(missed.values())


def encoded(missed: list[list[Any]]) -> str:
    """As the engine writes it."""
    return json.dumps(missed, ensure_ascii=False, separators=(',', ':'))
