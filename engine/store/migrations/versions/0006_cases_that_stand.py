"""A case on which a rule fails stands, and what follows for it waits beside the log.

Revision 0006, after 0005. Nothing stands in a database of before.
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def upgrade() -> None:
    op.add_column('partitions', sa.Column('standing', sa.BigInteger(), server_default='0', nullable=False))
    op.create_table(
        'standing',
        sa.Column('case_id', text(), autoincrement=False, nullable=False),
        sa.Column('partition', sa.Integer(), nullable=False),
        sa.Column('position', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('arrival', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('next_at', sa.BigInteger(), nullable=True),
        sa.Column('pack', text(), server_default='', nullable=False),
        sa.Column('place', text(), server_default='', nullable=False),
        sa.Column('kind', text(), server_default='', nullable=False),
        sa.Column('voice', text(), server_default='', nullable=False),
        sa.Column('tries', sa.Integer(), server_default='0', nullable=False),
        sa.Column('asked', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint('case_id'),
        sqlite_with_rowid=False,
    )
    op.create_index('standing_partition', 'standing', ['partition', 'position'], unique=False)
    op.create_table(
        'waiting',
        sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('position', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('case_id', text(), server_default='', nullable=False),
        sa.Column('arrival', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('kind', text(), server_default='', nullable=False),
        sa.Column('principal', text(), server_default='', nullable=False),
        sa.Column('body', text(), server_default='', nullable=False),
        sa.Column('nearby', text(), server_default='', nullable=False),
        sa.PrimaryKeyConstraint('partition', 'position'),
        sqlite_with_rowid=False,
    )
    op.create_index('waiting_case', 'waiting', ['case_id', 'partition', 'position'], unique=False)
    op.create_table(
        'arrivals',
        sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('position', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('body', text(), server_default='', nullable=False),
        sa.PrimaryKeyConstraint('partition', 'position'),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table('arrivals')
    op.drop_index('waiting_case', 'waiting')
    op.drop_table('waiting')
    op.drop_index('standing_partition', 'standing')
    op.drop_table('standing')
    op.drop_column('partitions', 'standing')
