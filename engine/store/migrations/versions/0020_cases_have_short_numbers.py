"""Cases are found by short number and by their sender's reference. Revision 0020, after 0019.

Both are read off the rows, in pages: the number follows from the id, the reference stands in the body.
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None

PAGE = 5000
CHECK = (
    '0317598642', '7092154863', '4206871359', '1750983426', '6123045978',
    '3674209581', '5869720134', '8945362017', '9438617205', '2581436790',
)  # fmt: skip


def upgrade() -> None:
    bytes_ = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    for name in ('short_number', 'reference'):
        op.add_column('cases', sa.Column(name, bytes_, server_default='', nullable=False))
    connection = op.get_bind()
    page = sa.text(f'SELECT id, body FROM cases WHERE id > :after ORDER BY id LIMIT {PAGE}')
    change = sa.text('UPDATE cases SET short_number = :number, reference = :reference WHERE id = :id')
    after = ''
    while rows := connection.execute(page, {'after': after}).all():
        connection.execute(
            change,
            [{'id': id_, 'number': number(id_), 'reference': json.loads(body).get('reference', '')} for id_, body in rows],
        )
        after = rows[-1][0]
    op.create_index('cases_short_number', 'cases', ['short_number', 'id'], unique=False)
    named = sa.text("reference <> ''")
    op.create_index(
        'cases_reference', 'cases', ['reference', 'id'], unique=False, sqlite_where=named, postgresql_where=named
    )


def downgrade() -> None:
    op.drop_index('cases_reference', 'cases')
    op.drop_index('cases_short_number', 'cases')
    for name in ('reference', 'short_number'):
        op.drop_column('cases', name)


def number(case: str) -> str:
    """The number of a case, with its check digit."""
    digest = hashlib.sha256(f'gridpatrol.number.1|{case}'.encode()).digest()
    digits, state = f'{int.from_bytes(digest[:8]) % 10**8:08d}', '0'
    for digit in digits:
        state = CHECK[int(state)][int(digit)]
    return digits + state
