"""Devices are watched: how far they have come, and what is to be said. Revision 0042, after 0040."""

import sqlalchemy as sa
from alembic import op

revision = '0042'
down_revision = '0040'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    op.create_table('watched',
    sa.Column('device', bytes_, autoincrement=False, nullable=False),
    sa.Column('rule', bytes_, autoincrement=False, nullable=False),
    word('phase'),
    word('body'),
    sa.PrimaryKeyConstraint('device', 'rule')
    )
    op.create_table('devices_seen',
    sa.Column('device', bytes_, autoincrement=False, nullable=False),
    sa.Column('seen', sa.BigInteger(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('device')
    )
    op.create_table('watched_sayings',
    sa.Column('n', sa.BigInteger(), autoincrement=False, nullable=False),
    word('body'),
    sa.PrimaryKeyConstraint('n')
    )


def downgrade() -> None:
    for name in ('watched_sayings', 'devices_seen', 'watched'):
        op.drop_table(name)
