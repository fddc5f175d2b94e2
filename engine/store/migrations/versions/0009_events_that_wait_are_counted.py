"""Events that wait are counted by principal and home; of those that wait already the principal is not known. Revision
0009, after 0008."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.create_table(
        'parked',
        sa.Column('case_id', bytes_, autoincrement=False, nullable=False),
        sa.Column('principal', bytes_, autoincrement=False, nullable=False),
        sa.Column('home', bytes_, server_default='', nullable=False),
        sa.Column('partition', sa.Integer(), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('case_id', 'principal'),
        sqlite_with_rowid=False,
    )
    op.create_index('parked_of', 'parked', ['home', 'principal', 'number'], unique=False)


def downgrade() -> None:
    op.drop_index('parked_of', 'parked')
    op.drop_table('parked')
