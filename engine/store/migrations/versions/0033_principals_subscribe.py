"""Principals subscribe to the alert feed. Revision 0033, after 0032."""

import sqlalchemy as sa
from alembic import op

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    def big(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)

    op.create_table('subscriptions',
    sa.Column('id', bytes_, autoincrement=False, nullable=False),
    *(word(name) for name in ('principal', 'name', 'kind', 'url', 'secret', 'old_secret')),
    big('old_until'),
    word('asks'),
    sa.Column('wait_s', sa.Integer(), server_default='0', nullable=False),
    big('made_at'),
    big('ended_at'),
    word('why'),
    big('change'),
    sa.PrimaryKeyConstraint('id'),
    sqlite_with_rowid=False
    )
    op.create_index('subscriptions_change', 'subscriptions', ['change'], unique=False)
    op.create_index('subscriptions_of', 'subscriptions', ['principal', 'name'], unique=False)


def downgrade() -> None:
    op.drop_table('subscriptions')
