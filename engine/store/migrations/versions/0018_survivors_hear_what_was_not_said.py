"""A partition keeps what its survivors have not heard: which cases go on in them. Revision 0018, after 0017.

Earlier releases told a survivor nothing when a case was merged into it. Those that are open now hear it before anything
else becomes of them.
"""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None

MOST_LINKS = 8
PAGE = 5000


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('partitions', sa.Column('unheard', bytes_, server_default='', nullable=False))
    connection = op.get_bind()
    page = sa.text(f"SELECT id, body FROM cases WHERE state = 'merged' AND id > :after ORDER BY id LIMIT {PAGE}")
    survivors, after = defaultdict[int, dict[str, list[str]]](dict), ''
    while rows := connection.execute(page, {'after': after}).all():
        for id_, body in rows:
            found = survivor_of(connection, id_, json.loads(body).get('merged_into', ''))
            if found is not None:
                partition, survivor = found
                survivors[partition].setdefault(survivor, []).append(id_)
        after = rows[-1][0]
    write = sa.text('UPDATE partitions SET unheard = :unheard WHERE "partition" = :partition')
    for partition, unheard in survivors.items():
        connection.execute(write, {'partition': partition, 'unheard': json.dumps(unheard, separators=(',', ':'))})


def downgrade() -> None:
    op.drop_column('partitions', 'unheard')


def survivor_of(connection: sa.Connection, merged: str, into: str) -> tuple[int, str] | None:
    """The partition and the id of the open case of the same home at the end of the links; None where there is none, or
    it knows the merged one."""
    read = sa.text('SELECT "partition", open, body FROM cases WHERE id = :id')
    for _ in range(MOST_LINKS):
        row = connection.execute(read, {'id': into}).one_or_none()
        if row is None or into.partition('.')[0] != merged.partition('.')[0]:
            return None
        case = json.loads(row.body)
        if not case.get('merged_into'):
            return (row.partition, into) if row.open and merged not in case.get('absorbed', ()) else None
        into = case['merged_into']
    return None
