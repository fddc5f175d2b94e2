"""Texts may be deflated on SQLite. Revision 0024, after 0023.

Rows of before are texts and stay as they are. An older release could not read the new ones: going back inflates them.
"""

from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    if op.get_bind().dialect.name == 'sqlite':
        for table in ('facts', 'deliveries'):
            op.execute(f"UPDATE {table} SET body = inflated(body) WHERE typeof(body) = 'blob'")
