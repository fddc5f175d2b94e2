"""Cases speak to cases of other homes: what is on its way into the log, and what was heard. Revision 0040, after 0039.

No case of before has said anything to another home.
"""

import sqlalchemy as sa
from alembic import op

revision = '0040'
down_revision = '0039'
branch_labels = None
depends_on = None


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')

    def word(name: str) -> sa.Column[str]:
        return sa.Column(name, bytes_, server_default='', nullable=False)

    def number(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.BigInteger(), server_default='0', nullable=False)

    op.create_table('outgoing',
    sa.Column('partition', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('n', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('k', sa.Integer(), autoincrement=False, nullable=False),
    word('case_id'),
    number('seq'),
    word('target'),
    number('arrival'),
    word('body'),
    sa.PrimaryKeyConstraint('partition', 'n', 'k'),
    sqlite_with_rowid=False
    )
    op.create_table('heard',
    sa.Column('case_id', bytes_, autoincrement=False, nullable=False),
    sa.Column('source', bytes_, autoincrement=False, nullable=False),
    sa.Column('id', bytes_, autoincrement=False, nullable=False),
    sa.Column('partition', sa.Integer(), nullable=False),
    number('position'),
    sa.PrimaryKeyConstraint('case_id', 'source', 'id'),
    sqlite_with_rowid=False
    )


def downgrade() -> None:
    op.drop_table('heard')
    op.drop_table('outgoing')
