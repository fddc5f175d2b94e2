"""Dead letters know whether their topic has them; those that are there already count as not published.

Revision 0002, after 0001. Both databases add the column without writing the rows anew.
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('dead_letters', sa.Column('published', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index('dead_letters_unpublished', 'dead_letters', ['at', 'id'], unique=False, sqlite_where=sa.text('NOT published'), postgresql_where=sa.text('NOT published'))


def downgrade() -> None:
    op.drop_index('dead_letters_unpublished', 'dead_letters')
    op.drop_column('dead_letters', 'published')
