"""Operators are audited; and letters of earlier releases, which quoted what was sent, show as much as those of this one.

Revision 0007, after 0006. What was sent stays in the sealed bytes, and a replay says anew why it is refused.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

PAGE = 5000
SAID = 'refused by an earlier release, whose words are not kept: they may quote what was sent'
QUOTING = (
    """(reason = 'failed' AND detail NOT LIKE 'settled: %' AND detail NOT LIKE 'no policy pack %') """
    """OR detail LIKE '%''%' OR detail LIKE '%"%' OR detail LIKE 'principal % may not speak for %' """
    """OR detail LIKE '% is not taken: %' OR detail LIKE '% is no header of an event: %' OR detail LIKE 'the header %'"""
)
"""What quoted: Python's own quotes around a value, the text of an exception, an actor, a content type, a header."""
TYPE = re.compile(r'gridpatrol\.[a-z_.]+(\.v[0-9]{1,3})?')
SUBJECT = re.compile(r'[^\s|/]{1,64}\.[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}')


def upgrade() -> None:
    text = sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')
    op.create_table(
        'audit',
        sa.Column('id', text, autoincrement=False, nullable=False),
        sa.Column('at', sa.BigInteger(), server_default='0', nullable=False),
        *(sa.Column(name, text, server_default='', nullable=False) for name in ('who', 'act', 'object', 'via', 'outcome')),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('audit_at', 'audit', ['at', 'id'], unique=False)
    for table in ('dead_letters', 'seen'):
        op.execute(sa.text(f"UPDATE {table} SET detail = '{SAID}' WHERE {QUOTING}"))
    show_less(op.get_bind())


def show_less(connection: sa.Connection) -> None:
    """Take from letters the types and subjects that are none. Those of a firing have no bytes, and are the engine's."""
    last = ''
    page = sa.text(f"SELECT id, type, case_id FROM dead_letters WHERE id > :last AND token <> '' ORDER BY id LIMIT {PAGE}")
    no_type = sa.text("UPDATE dead_letters SET type = '' WHERE id = :id")
    no_case = sa.text("UPDATE dead_letters SET case_id = '' WHERE id = :id")
    no_subject = sa.text("UPDATE sealed SET subject = '' WHERE token = 'letter:' || :id")
    while rows := connection.execute(page, {'last': last}).all():
        last = rows[-1].id
        types = [{'id': row.id} for row in rows if row.type and not TYPE.fullmatch(row.type)]
        cases = [{'id': row.id} for row in rows if row.case_id and not SUBJECT.fullmatch(row.case_id)]
        for statement, ids in ((no_type, types), (no_case, cases), (no_subject, cases)):
            if ids:
                connection.execute(statement, ids)


def downgrade() -> None:
    op.drop_index('audit_at', 'audit')
    op.drop_table('audit')
