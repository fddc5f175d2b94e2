"""A partition knows its silences: arrivals that lie far apart. Revision 0016, after 0015.

None of before matter: no database of before has homes.
"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('partitions', sa.Column('silences', bytes_, server_default='', nullable=False))


def downgrade() -> None:
    op.drop_column('partitions', 'silences')
