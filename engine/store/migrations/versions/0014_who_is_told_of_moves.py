"""Notices: who is told of which move of a case. Revision 0014, after 0013."""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def text(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    op.create_table(
        'notices',
        sa.Column('id', bytes_, primary_key=True),
        sa.Column('partition', sa.Integer(), nullable=False),
        *map(text, ('case_id', 'move', 'definition', 'path', 'category', 'recipients')),
        sa.Column('raised_at', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('not_before', sa.BigInteger()),
        sa.Column('daily', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('number', sa.BigInteger(), server_default='0', nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index('notices_raised', 'notices', ['raised_at', 'id'])
    untold = sa.text('number = 0')
    op.create_index(
        'notices_untold', 'notices', ['not_before', 'id'], sqlite_where=untold, postgresql_where=untold
    )


def downgrade() -> None:
    op.drop_table('notices')
