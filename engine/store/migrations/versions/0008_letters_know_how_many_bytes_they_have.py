"""Letters know how many bytes are kept of them, so that the oldest can go. Revision 0008, after 0007."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ('size', 'kept_at'):
        op.add_column('dead_letters', sa.Column(name, sa.BigInteger(), server_default='0', nullable=False))
    sqlite = op.get_bind().dialect.name == 'sqlite'
    size = 'length(CAST(s.body AS BLOB))' if sqlite else 'octet_length(s.body)'
    now = "CAST(strftime('%s', 'now') AS INTEGER)" if sqlite else 'CAST(extract(epoch FROM now()) AS bigint)'
    op.execute(
        f"UPDATE dead_letters SET kept_at = {now} * 1000, "
        f"size = coalesce((SELECT {size} FROM sealed s WHERE s.token = dead_letters.token AND s.token <> ''), 0)"
    )
    for index, columns in (
        ('dead_letters_kept', ['kept_at', 'id', 'size']),
        ('dead_letters_kept_of', ['principal', 'kept_at', 'id', 'size']),
    ):
        where = sa.text('size > 0')
        op.create_index(
            index, 'dead_letters', columns, unique=False, sqlite_where=where, postgresql_where=where
        )


def downgrade() -> None:
    op.drop_index('dead_letters_kept_of', 'dead_letters')
    op.drop_index('dead_letters_kept', 'dead_letters')
    op.drop_column('dead_letters', 'kept_at')
    op.drop_column('dead_letters', 'size')
