"""Cases that wait for a deadline stand in fewer indexes. Revision 0030, after 0024.

On PostgreSQL a case whose deadline moves is written into every index in which it stands, and beside a million of others
each of these is a page that is not in memory. Open cases are found by their deadlines, or as those that have none; the
index by state is asked for those alone; a number needs no id beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = '0030'
down_revision = '0028'
branch_labels = None
depends_on = None


def upgrade() -> None:
    undated = sa.text('due_at IS NULL')
    op.drop_index('cases_open', 'cases')
    op.drop_index('cases_state', 'cases')
    op.create_index(
        'cases_state', 'cases', ['definition', 'state', 'id'], sqlite_where=undated, postgresql_where=undated
    )
    op.drop_index('cases_short_number', 'cases')
    op.create_index('cases_short_number', 'cases', ['short_number'])


def downgrade() -> None:
    op.drop_index('cases_short_number', 'cases')
    op.create_index('cases_short_number', 'cases', ['short_number', 'id'])
    op.drop_index('cases_state', 'cases')
    op.create_index('cases_state', 'cases', ['definition', 'state', 'id'])
    still_open = sa.text('open')
    op.create_index(
        'cases_open',
        'cases',
        ['definition', 'level', 'state', 'open'],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
