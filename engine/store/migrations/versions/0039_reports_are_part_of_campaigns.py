"""Reports may be part of a campaign of the pack. Revision 0039, after 0038. No case of before is part of one."""

import sqlalchemy as sa
from alembic import op

revision = '0039'
down_revision = '0038'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.add_column('cases', sa.Column('campaign', bytes_, server_default='', nullable=False))
    named = sa.text("campaign <> ''")
    op.create_index(
        'cases_campaign',
        'cases',
        ['campaign', 'definition', 'id'],
        unique=False,
        sqlite_where=named,
        postgresql_where=named,
    )


def downgrade() -> None:
    op.drop_index('cases_campaign', 'cases')
    op.drop_column('cases', 'campaign')
