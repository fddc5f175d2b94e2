"""Outcomes name the responsible unit that an order named, and say whether the deadline was missed. Revision 0021, after
0020.

What was missed stands in what the fold keeps of each case. The unit stands in the facts: the cases that were ordered anything are looked for in pages, and followed as far as the fold has
read. What the fold keeps of clocks that run is completed, so that it goes on as if it had always known.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None

PAGE = 500
NAMES = ('clock', 'level', 'cycle', 'target')
CLOCK = 'rectify'
ORDER = 'incident.rectification_ordered'


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('outcomes', sa.Column('unit', bytes_, server_default='', nullable=False))
    op.add_column('outcomes', sa.Column('lapsed', sa.Boolean(), server_default=sa.false(), nullable=False))
    connection = op.get_bind()
    key = 'case_id = :case_id AND clock = :clock AND level = :level AND cycle = :cycle AND target = :target'
    missed = sa.text(f'UPDATE outcomes SET lapsed = :yes WHERE {key}')
    kept = sa.text(f'SELECT case_id, body FROM contributions WHERE case_id > :after ORDER BY case_id LIMIT {PAGE}')
    last = ''
    while held := connection.execute(kept, {'after': last}).all():
        lapses = [
            {'case_id': case, **dict(zip(NAMES, lapse[:4], strict=True)), 'yes': True} for case, body in held for lapse in json.loads(body)[0]
        ]
        if lapses:
            connection.execute(missed, lapses)
        last = held[-1][0]
    page = sa.text(
        f'SELECT partition, n, case_id FROM facts WHERE body LIKE \'%"{ORDER}"%\' AND body LIKE \'%"unit"%\' '
        f'AND (partition > :partition OR (partition = :partition AND n > :n)) ORDER BY partition, n LIMIT {PAGE}'
    )
    steps = sa.text(
        'SELECT f.case_id, f.partition, f.body FROM facts f JOIN positions p '
        "ON p.consumer = 'performance' AND p.partition = f.partition AND f.n <= p.n "
        'WHERE f.case_id IN :cases ORDER BY f.case_id, f.seq'
    ).bindparams(sa.bindparam('cases', expanding=True))
    change = sa.text(f'UPDATE outcomes SET unit = :unit WHERE {key}')
    after = {'partition': -1, 'n': 0}
    while rows := connection.execute(page, after).all():
        lives: dict[tuple[str, int], list[dict[str, object]]] = {}
        for case, partition, body in connection.execute(steps, {'cases': sorted({row[2] for row in rows})}):
            lives.setdefault((case, partition), []).extend(followed(json.loads(body)))
        ended = [{'case_id': case, **end} for (case, _), life in lives.items() for end in ends(life)]
        if ended:
            connection.execute(change, ended)
        for (case, partition), life in lives.items():
            if running := runs(life):
                keep(connection, case, partition, running)
        after = {'partition': rows[-1][0], 'n': rows[-1][1]}


def downgrade() -> None:
    op.drop_column('outcomes', 'lapsed')
    op.drop_column('outcomes', 'unit')  # an older release passes over what the fold keeps besides


def followed(facts: list[dict[str, object]]) -> list[dict[str, object]]:
    """Starts and ends of the clock in a step; a start knows the unit that an order of its level names in the step."""
    units = {fact['stage']: fact.get('unit', '') for fact in facts if fact['fact'] == ORDER}
    return [
        {**fact, 'unit': units.get(fact.get('level', 0), '')}
        for fact in facts
        if fact['fact'] in ('clock.started', 'clock.stopped') and fact['clock'] == CLOCK
    ]


def ends(life: list[dict[str, object]]) -> list[dict[str, object]]:
    """The keys of outcomes of a case whose clock had a unit, with the unit."""
    found, units = [], dict[object, object]()
    for fact in life:
        level = fact.get('level', 0)
        if fact['fact'] == 'clock.started':
            units[level] = fact['unit']
        elif unit := units.pop(level, ''):
            names = {'clock': CLOCK, 'level': level, 'cycle': fact.get('cycle', 0), 'target': fact['target']}
            found.append({**names, 'unit': unit})
    return found


def runs(life: list[dict[str, object]]) -> list[list[object]]:
    """What the fold keeps of clocks of a case that run and have a unit, in the order in which they started."""
    units = dict[object, object]()
    for fact in life:
        units.pop(fact.get('level', 0), '')
        if fact['fact'] == 'clock.started' and fact['unit']:
            units[fact.get('level', 0)] = fact['unit']
    return [[CLOCK, level, unit] for level, unit in units.items()]


def keep(connection: sa.Connection, case: str, partition: int, running: list[list[object]]) -> None:
    """Complete what the fold keeps of a case."""
    found = connection.execute(sa.text('SELECT body FROM contributions WHERE case_id = :case'), {'case': case}).scalar()
    body = json.dumps([json.loads(found)[0] if found else [], running], ensure_ascii=False, separators=(',', ':'))
    if found:
        sql = 'UPDATE contributions SET body = :body WHERE case_id = :case AND partition = :partition'
    else:
        sql = 'INSERT INTO contributions (case_id, partition, body) VALUES (:case, :partition, :body)'
    connection.execute(sa.text(sql), {'case': case, 'partition': partition, 'body': body})
