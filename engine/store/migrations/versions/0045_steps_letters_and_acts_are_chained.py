"""Steps, dead letters and acts of the audit are chained by hashes, and verifications are recorded. Revision 0045, after
0039.

What is there already is chained when a server runs. A sealed row gets its salt then.
"""

import sqlalchemy as sa
from alembic import op

revision = '0045'
down_revision = '0042'
branch_labels = None
depends_on = None

DUE = {'dead_letters': 'id', 'audit': 'id'}


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def key(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, autoincrement=False, nullable=False)

    def numbered(name: str, kind: type[sa.Integer]) -> sa.Column[int]:
        return sa.Column(name, kind(), autoincrement=False, nullable=False)

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    def number(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)

    def flag(name: str) -> sa.Column[bool]:
        return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)

    op.add_column('sealed', word('salt'))
    due = sa.text('chain_due')
    for table, id_ in DUE.items():
        op.add_column(table, flag('chain_due'))
        op.execute(f'UPDATE {table} SET chain_due = true')
        op.create_index(f'{table}_unchained', table, [id_], sqlite_where=due, postgresql_where=due)
    op.create_table('chains',
    key('name'),
    numbered('epoch', sa.Integer),
    number('begun'),
    number('begun_at'),
    word('note'),
    number('n'),
    word('hash'),
    sa.PrimaryKeyConstraint('name', 'epoch')
    )
    op.create_table('chain_links',
    key('name'),
    numbered('n', sa.BigInteger),
    sa.Column('epoch', sa.Integer(), server_default='0', nullable=False),
    sa.Column('form', sa.Integer(), server_default='0', nullable=False),
    word('key'),
    word('item'),
    word('sealed'),
    word('mark'),
    number('at'),
    word('hash'),
    number('number'),
    sa.PrimaryKeyConstraint('name', 'n'),
    sqlite_with_rowid=False
    )
    op.create_index('chain_links_number', 'chain_links', ['number'])
    marked = sa.text("mark <> ''")
    op.create_index('chain_links_marked', 'chain_links', ['number'], sqlite_where=marked, postgresql_where=marked)
    op.create_table('anchors',
    numbered('number', sa.BigInteger),
    number('at'),
    word('body'),
    flag('filed'),
    flag('published'),
    sa.PrimaryKeyConstraint('number')
    )
    op.create_table('verifications',
    key('id'),
    number('at'),
    number('ended_at'),
    word('command'),
    word('who'),
    word('outcome'),
    number('findings'),
    word('counts'),
    sa.PrimaryKeyConstraint('id')
    )


def downgrade() -> None:
    for table in ('verifications', 'anchors', 'chain_links', 'chains'):
        op.drop_table(table)
    for table in DUE:
        op.drop_index(f'{table}_unchained', table)
        op.drop_column(table, 'chain_due')
    op.drop_column('sealed', 'salt')
