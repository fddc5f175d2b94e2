"""Alerts that wait for the morning are found by the instant that they wait for. Revision 0019, after 0018."""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text('not_before IS NOT NULL')
    op.create_index('alerts_waiting', 'alerts', ['not_before', 'id'], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index('alerts_waiting', 'alerts')
