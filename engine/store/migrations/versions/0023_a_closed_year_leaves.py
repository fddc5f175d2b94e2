"""What ended long ago leaves the tables, and a stub of each case says where it lies. Revision 0023, after 0022."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def text(name: str) -> sa.Column[str]:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    return sa.Column(name, bytes_, server_default='', nullable=False)


def key(name: str, kind: Any = None) -> sa.Column[Any]:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    return sa.Column(name, kind or bytes_, autoincrement=False, nullable=False)


def big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)


def upgrade() -> None:
    op.add_column('partitions', text('archives'))
    op.create_table(
        'archives',
        key('name'),
        sa.Column('partition', sa.Integer(), nullable=False),
        *map(big, ('before', 'cases', 'steps', 'letters', 'size')),
        text('digest'),
        big('written_at'),
        sa.PrimaryKeyConstraint('name'),
    )
    op.create_table(
        'archived_cases',
        key('id'),
        sa.Column('partition', sa.Integer(), nullable=False),
        *map(text, ('definition', 'short_number', 'reference', 'state', 'path')),
        big('ended_at'),
        text('archive'),
        sa.PrimaryKeyConstraint('id'),
        sqlite_with_rowid=False,
    )
    op.create_index('archived_cases_archive', 'archived_cases', ['archive', 'id'], unique=False)
    op.create_index('archived_cases_short_number', 'archived_cases', ['short_number', 'id'], unique=False)
    named = sa.text("reference <> ''")
    op.create_index(
        'archived_cases_reference',
        'archived_cases',
        ['reference', 'id'],
        unique=False,
        sqlite_where=named,
        postgresql_where=named,
    )
    op.create_table(
        'archived_figures',
        key('definition'),
        key('measure'),
        key('day', sa.Integer()),
        *map(key, ('path', 'department', 'category', 'grp', 'post')),
        key('at', sa.BigInteger()),
        big('value'),
        sa.PrimaryKeyConstraint('definition', 'measure', 'day', 'path', 'department', 'category', 'grp', 'post', 'at'),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for name in ('archived_figures', 'archived_cases', 'archives'):
        op.drop_table(name)
    op.drop_column('partitions', 'archives')
