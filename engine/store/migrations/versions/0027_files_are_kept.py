"""Photos and other files are kept, and who refers to them is known. Revision 0027, after 0024."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def key(name: str) -> sa.Column[Any]:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    return sa.Column(name, bytes_, autoincrement=False, nullable=False)


def big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.create_table(
        'files',
        key('sha256'),
        key('principal'),
        big('size'),
        sa.Column('media', bytes_, server_default='', nullable=False),
        big('sent_at'),
        sa.PrimaryKeyConstraint('sha256', 'principal'),
        sqlite_with_rowid=False,
    )
    op.create_index('files_sent', 'files', ['sent_at', 'sha256'], unique=False)
    op.create_table(
        'file_references',
        key('sha256'),
        key('case_id'),
        key('principal'),
        big('at'),
        sa.Column('erased', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint('sha256', 'case_id', 'principal'),
        sqlite_with_rowid=False,
    )
    op.create_index('file_references_case', 'file_references', ['case_id', 'sha256'], unique=False)


def downgrade() -> None:
    op.drop_table('file_references')
    op.drop_table('files')
