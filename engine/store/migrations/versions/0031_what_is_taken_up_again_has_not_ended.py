"""A case that is taken up again has not ended: its outcome says since when. Revision 0031, after 0030.

Service requests that are over keep the clock of the whole case as it stopped, so that it can go on.
"""

import json
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None

PAGE = 500
KEPT = ',"ended":'


def upgrade() -> None:
    op.add_column('outcomes', sa.Column('reopened_at', sa.BigInteger(), nullable=True))
    for bodies, steps in pages():
        write({id_: f'{body[:-1]}{KEPT}{ended(steps[id_])}}}' for id_, body in bodies.items()})


def downgrade() -> None:
    for bodies, _ in pages():
        write({id_: body[: body.index(KEPT)] + '}' for id_, body in bodies.items() if KEPT in body})
    op.drop_column('outcomes', 'reopened_at')


def pages() -> Any:
    """The bodies of service requests that are over, and of their steps, some at a time."""
    connection, after = op.get_bind(), ''
    text = 'inflated(body)' if connection.dialect.name == 'sqlite' else 'body'
    page = sa.text(
        "SELECT id, body FROM cases WHERE definition = 'service_request' AND closed_at IS NOT NULL AND id > :after "
        f'ORDER BY id LIMIT {PAGE}'
    )
    of_these = sa.text(f'SELECT case_id, {text} FROM facts WHERE case_id IN :ids ORDER BY case_id, seq')
    of_these = of_these.bindparams(sa.bindparam('ids', expanding=True))
    while rows := connection.execute(page, {'after': after}).all():
        bodies, steps = {id_: body for id_, body in rows}, defaultdict[str, list[str]](list)
        for id_, body in connection.execute(of_these, {'ids': list(bodies)}):
            steps[id_].append(body)
        yield bodies, steps
        after = rows[-1][0]


def write(bodies: dict[str, str]) -> None:
    """Put other bodies into cases."""
    if bodies:
        change = sa.text('UPDATE cases SET body = :body WHERE id = :id')
        op.get_bind().execute(change, [{'id': id_, 'body': body} for id_, body in bodies.items()])


def ended(steps: list[str]) -> str:
    """The clock of the whole case as it stopped: limit, deadline, whether that was missed, and its ledger."""
    limit, due, missed, runs, since = '', None, False, list[list[int]](), None
    for fact in (fact for body in steps for fact in json.loads(body) if fact.get('clock') == 'total'):
        match fact['fact']:
            case 'clock.started' | 'clock.resumed' | 'clock.retargeted' as kind:
                limit = limit if kind == 'clock.resumed' else fact.get('limit', '')
                runs = fact.get('runs', runs)
                since = since if kind == 'clock.retargeted' else fact['judged']
            case 'clock.paused' | 'clock.stopped' as kind:
                runs = runs if since is None else [*runs, [since, fact['judged']]]
                since = None
                if kind == 'clock.stopped':
                    due, missed = fact.get('due'), fact['result'] == 'overdue' or fact.get('lapsed', False)
    return json.dumps([limit, due, missed, runs], ensure_ascii=False, separators=(',', ':'))
