"""An event is known by its home and actor besides source and id; unborn cases that hold events can be counted.

Revision 0005, after 0004. What came before has no actor: its rows keep both columns empty, and answer for events of their
own case as before, until the duplicate window has passed. The table is written anew.
"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

UNBORN = "state = 'awaited' AND next_at IS NOT NULL"
REST = 'arrival, position, outcome, reason, field, detail, case_id'


def upgrade() -> None:
    rebuild(
        ['source', 'id', 'home', 'actor'],
        f"INSERT INTO seen_anew (partition, source, id, home, actor, digest, {REST}) "
        f"SELECT partition, source, id, '', '', digest, {REST} FROM seen",
    )
    op.create_index('cases_unborn', 'cases', ['id'], unique=False, sqlite_where=sa.text(UNBORN), postgresql_where=sa.text(UNBORN))


def downgrade() -> None:
    """The release before knows one event by source and id, the first one, and the first form of its digest."""
    op.drop_index('cases_unborn', 'cases')
    rebuild(
        ['source', 'id'],
        f"INSERT INTO seen_anew (partition, source, id, digest, {REST}) "
        f"SELECT partition, source, id, substr(digest, 1, 64), {REST} FROM seen s WHERE NOT EXISTS (SELECT 1 FROM seen o "
        "WHERE (o.partition, o.source, o.id) = (s.partition, s.source, s.id) "
        "AND (o.arrival, o.position) < (s.arrival, s.position))",
    )


def rebuild(keys: list[str], filled: str) -> None:
    """Make the table with these columns of its key after the partition, fill it, and put it in the old one's place."""
    kind = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    texts = ('outcome', 'reason', 'field', 'detail', 'case_id')
    op.create_table('seen_anew',
    sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
    *(sa.Column(name, kind, autoincrement=False, nullable=False) for name in keys),
    sa.Column('digest', kind, server_default='', nullable=False),
    sa.Column('arrival', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('position', sa.BigInteger(), server_default='0', nullable=False),
    *(sa.Column(name, kind, server_default='', nullable=False) for name in texts),
    sa.PrimaryKeyConstraint('partition', *keys),
    sqlite_with_rowid=False
    )
    connection = op.get_bind()
    connection.exec_driver_sql(filled)
    op.drop_table('seen')
    op.rename_table('seen_anew', 'seen')
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('ALTER INDEX seen_anew_pkey RENAME TO seen_pkey')
