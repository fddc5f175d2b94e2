"""What stood at an instant of the past is found by how long it stood and since when. Revision 0022, after 0021."""

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None

LENGTHS_MS = tuple(3_600_000 * 4**k for k in range(8))
SPAN = f"(CASE {' '.join(f'WHEN arrival - started < {ms} THEN {k}' for k, ms in enumerate(LENGTHS_MS))} ELSE 8 END)"


def upgrade() -> None:
    where = sa.text("clock = 'total'")
    op.create_index(
        'outcomes_stood', 'outcomes', [sa.text(SPAN), 'started'], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index('outcomes_stood', 'outcomes')
