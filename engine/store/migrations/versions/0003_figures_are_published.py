"""Figures that changed are noted until a topic has them.

Revision 0003, after 0002. What was folded before is published by `gridpatrol performance rebuild`.
"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('untold',
    sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('n', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('cells', sa.Text().with_variant(sa.Text(collation='C'), 'postgresql'), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('partition', 'n')
    )


def downgrade() -> None:
    op.drop_table('untold')
