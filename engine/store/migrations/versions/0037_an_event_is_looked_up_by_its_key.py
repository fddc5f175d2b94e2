"""An event is looked up by its key. Revision 0037, after 0033.

PostgreSQL, while it knew nothing of the table, looked for an event by the index of sources, which is smaller than the
key, and read every event of the source. A condition that only those say who ask for a source keeps it from that.
"""

import sqlalchemy as sa
from alembic import op

revision = '0037'
down_revision = '0033'
branch_labels = None
depends_on = None

COLUMNS = ['source', 'partition', 'decided']


def upgrade() -> None:
    numbered = sa.text('decided <> 0')
    op.drop_index('seen_source', 'seen')
    op.create_index('seen_source', 'seen', COLUMNS, sqlite_where=numbered, postgresql_where=numbered)


def downgrade() -> None:
    op.drop_index('seen_source', 'seen')
    op.create_index('seen_source', 'seen', COLUMNS)
