"""What other cases say to one that stands waits beside the records that do.

Revision 0013, after 0012. The table of what waits is written anew, with another key. The release before knows records
alone: on the way back what cases have said to cases that stand is lost.
"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

KEPT = 'partition, position, case_id, arrival, kind, principal, body, nearby'


def upgrade() -> None:
    rebuild(['turn'], f'INSERT INTO waiting_anew ({KEPT}, turn) SELECT {KEPT}, 0 FROM waiting')


def downgrade() -> None:
    rebuild([], f"INSERT INTO waiting_anew ({KEPT}) SELECT {KEPT} FROM waiting WHERE kind <> 'send'")


def rebuild(keys: list[str], filled: str) -> None:
    """Make the table with these columns at the end of its key, fill it, and put it in the old one's place."""
    kind = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.drop_index('waiting_case', 'waiting')
    op.create_table(
        'waiting_anew',
        sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False) for name in ('position', *keys)),
        sa.Column('case_id', kind, server_default='', nullable=False),
        sa.Column('arrival', sa.BigInteger(), server_default='0', nullable=False),
        *(sa.Column(name, kind, server_default='', nullable=False) for name in ('kind', 'principal', 'body', 'nearby')),
        sa.PrimaryKeyConstraint('partition', 'position', *keys),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    connection.exec_driver_sql(filled)
    op.drop_table('waiting')
    op.rename_table('waiting_anew', 'waiting')
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('ALTER INDEX waiting_anew_pkey RENAME TO waiting_pkey')
    op.create_index('waiting_case', 'waiting', ['case_id', 'partition', 'position'], unique=False)
