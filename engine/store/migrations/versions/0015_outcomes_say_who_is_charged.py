"""Outcomes say which unit is charged, what was consumed, and which rest on the sender's word. Revision 0015, after 0014.

It stands in the facts: they are read in pages. What charged nobody counts where the step does.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

PAGE = 5000
NAMES = ('clock', 'level', 'cycle', 'target')


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    for name in ('charged_path', 'charged_department', 'charged_post'):
        op.add_column('outcomes', sa.Column(name, bytes_, server_default='', nullable=False))
    op.add_column('outcomes', sa.Column('consumed', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('outcomes', sa.Column('claimed', sa.Boolean(), server_default=sa.false(), nullable=False))
    connection = op.get_bind()
    connection.exec_driver_sql(
        'UPDATE outcomes SET charged_path = path, charged_department = department, charged_post = post'
    )
    page = sa.text(
        'SELECT partition, n, case_id, body FROM facts WHERE body LIKE \'%"clock.stopped"%\' '
        f'AND (partition > :partition OR (partition = :partition AND n > :n)) ORDER BY partition, n LIMIT {PAGE}'
    )
    key = ' AND '.join(f'{name} = :{name}' for name in ('case_id', *NAMES))
    found = sa.text(f'UPDATE outcomes SET consumed = :consumed, claimed = :claimed WHERE {key}')
    unit = sa.text(
        'UPDATE outcomes SET charged_path = :path, charged_department = :department, charged_post = :post '
        f'WHERE {key}'
    )
    after = {'partition': -1, 'n': 0}
    while rows := connection.execute(page, after).all():
        stopped = [
            {'case_id': case, **fact}
            for _, _, case, body in rows
            for fact in json.loads(body)
            if fact['fact'] == 'clock.stopped'
        ]
        connection.execute(found, [outcome(fact) for fact in stopped])
        charged = [charged_with(fact) for fact in stopped if fact.get('charged')]
        if charged:
            connection.execute(unit, charged)
        after = {'partition': rows[-1][0], 'n': rows[-1][1]}


def downgrade() -> None:
    for name in ('claimed', 'consumed', 'charged_post', 'charged_department', 'charged_path'):
        op.drop_column('outcomes', name)


def outcome(fact: dict[str, object]) -> dict[str, object]:
    """What a clock had consumed at its end, under the key of its outcome."""
    said = {'consumed': fact.get('consumed', 0), 'claimed': fact.get('claimed', False)}
    return {name: fact[name] for name in ('case_id', *NAMES)} | said


def charged_with(fact: dict[str, object]) -> dict[str, object]:
    """The unit that is charged, under the same key."""
    unit = dict(fact['charged'])  # type: ignore[call-overload]
    members = {name: unit.get(name, '') for name in ('path', 'department', 'post')}
    return {name: fact[name] for name in ('case_id', *NAMES)} | members
