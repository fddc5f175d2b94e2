"""Sheets of assessments are stored by their hashes. Revision 0038, after 0037."""

import sqlalchemy as sa
from alembic import op

revision = '0038'
down_revision = '0037'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    op.create_table('sheets',
    sa.Column('hash', bytes_, autoincrement=False, nullable=False),
    word('card'),
    word('period'),
    sa.Column('as_of', sa.BigInteger(), server_default='0', nullable=False),
    word('body'),
    sa.PrimaryKeyConstraint('hash')
    )


def downgrade() -> None:
    op.drop_table('sheets')
