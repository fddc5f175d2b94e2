"""People have tokens of their own, and what is erased says when. Revision 0025, after 0024.

When something was erased earlier stands in the audit only.
"""

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    texts = [sa.Column(name, bytes_, server_default='', nullable=False) for name in ('name', 'post', 'reads')]
    numbers = [sa.Column(name, sa.BigInteger(), server_default='0', nullable=False) for name in ('issued_at', 'expires_at')]
    op.create_table(
        'people',
        sa.Column('digest', bytes_, autoincrement=False, nullable=False),
        *texts,
        *numbers,
        sa.Column('ended', bytes_, server_default='', nullable=False),
        sa.Column('change', sa.BigInteger(), server_default='0', nullable=False),
        sa.PrimaryKeyConstraint('digest', name=op.f('people_pkey')) if op.get_bind().dialect.name == 'postgresql'
        else sa.PrimaryKeyConstraint('digest'),
    )
    op.create_index('people_change', 'people', ['change'])
    op.create_index('people_post', 'people', ['post', 'issued_at'])
    op.add_column('sealed', sa.Column('erased_at', sa.BigInteger(), server_default='0', nullable=False))


def downgrade() -> None:
    op.drop_column('sealed', 'erased_at')
    op.drop_table('people')
