"""Channels tell alerts: what each has told to whom, in which message, and who has seen it. Revision 0026, after 0024."""

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def key(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, autoincrement=False, nullable=False)

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    def big(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)

    def count(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.Integer(), server_default='0', nullable=False)

    op.create_table('channel_lines',
    key('channel'),
    key('id'),
    big('number'),
    *(word(name) for name in ('alert', 'what', 'case_id', 'path', 'definition', 'post', 'recipient', 'route')),
    big('told_at'),
    big('due_at'),
    sa.Column('joins', sa.Boolean(), server_default=sa.false(), nullable=False),
    *(word(name) for name in ('status', 'message', 'why')),
    sa.PrimaryKeyConstraint('channel', 'id'),
    sqlite_with_rowid=False
    )
    waiting, sending = sa.text("status = 'waiting'"), sa.text("status = 'sending'")
    op.create_index('channel_lines_waiting', 'channel_lines', ['channel', 'recipient', 'due_at'], unique=False, sqlite_where=waiting, postgresql_where=waiting)
    op.create_index('channel_lines_alert', 'channel_lines', ['channel', 'alert'], unique=False)
    op.create_index('channel_lines_message', 'channel_lines', ['channel', 'message'], unique=False)
    op.create_index('channel_lines_post', 'channel_lines', ['post', 'told_at'], unique=False)
    op.create_table('channel_messages',
    key('channel'),
    key('id'),
    *(word(name) for name in ('recipient', 'route', 'subject', 'body')),
    count('lines'),
    big('due_at'),
    big('composed_at'),
    count('tries'),
    big('tried_at'),
    big('next_at'),
    *(word(name) for name in ('status', 'reply')),
    sa.PrimaryKeyConstraint('channel', 'id'),
    sqlite_with_rowid=False
    )
    op.create_index('channel_messages_open', 'channel_messages', ['channel', 'next_at'], unique=False, sqlite_where=sending, postgresql_where=sending)
    op.create_index('channel_messages_composed', 'channel_messages', ['composed_at', 'channel', 'id'], unique=False)
    op.create_table('alerts_seen',
    key('alert'),
    key('post'),
    big('seen_at'),
    word('principal'),
    sa.PrimaryKeyConstraint('alert', 'post'),
    sqlite_with_rowid=False
    )


def downgrade() -> None:
    op.drop_table('alerts_seen')
    op.drop_table('channel_messages')
    op.drop_table('channel_lines')
