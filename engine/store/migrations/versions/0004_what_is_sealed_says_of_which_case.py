"""What is sealed says which case it is about, so that erasing searches nothing.

Revision 0004, after 0003. What is there already learns it from the log and from the dead letters, a page at a time.
"""

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

PAGE = 5000


class Event(msgspec.Struct):
    subject: str = ""


class Record(msgspec.Struct):
    """As much of a record as is needed here, whatever later releases make of it."""

    event: Event = msgspec.field(default_factory=Event)
    token: str = ""


def upgrade() -> None:
    op.add_column('sealed', sa.Column('subject', sa.Text().with_variant(sa.Text(collation='C'), 'postgresql'), server_default='', nullable=False))
    connection = op.get_bind()
    for told in pages(connection):
        name(connection, told)
    # What was sent as the subject of a letter may be longer than the index takes.
    connection.exec_driver_sql("UPDATE dead_letters SET case_id = substr(case_id, 1, 120) WHERE length(case_id) > 120")
    connection.exec_driver_sql(
        "UPDATE sealed SET subject = coalesce((SELECT d.case_id FROM dead_letters d "
        "WHERE d.id = substr(sealed.token, 8)), '') WHERE token >= 'letter:' AND token < 'letter;'"
    )
    op.create_index('sealed_subject', 'sealed', ['subject'], unique=False)


def pages(connection: sa.Connection) -> Iterator[list[tuple[str, str]]]:
    """Subject and token of the records whose events had something to seal."""
    mark = '?' if connection.dialect.name == 'sqlite' else '%s'
    sql = (
        f"SELECT partition, position, kind, body FROM inbox WHERE (partition, position) > ({mark}, {mark}) "
        f"ORDER BY partition, position LIMIT {PAGE}"
    )
    decode = msgspec.json.Decoder(Record).decode
    place = (-1, -1)
    while rows := connection.exec_driver_sql(sql, place).all():
        place = (rows[-1][0], rows[-1][1])
        told = []
        for row in rows:
            try:
                record = decode(row.body) if row.kind == 'event' else None
            except msgspec.DecodeError:
                continue  # a log from elsewhere may hold what is no event: nothing was sealed of it
            if record is not None and record.token:
                told.append((record.event.subject[:120], record.token))
        if told:
            yield told


def name(connection: sa.Connection, told: list[tuple[str, str]]) -> None:
    """Write down what a page told."""
    if connection.dialect.name == 'sqlite':
        connection.exec_driver_sql("UPDATE sealed SET subject = ? WHERE token = ?", told)
    else:
        connection.exec_driver_sql(
            "UPDATE sealed SET subject = r.subject FROM unnest(%s::text[], %s::text[]) AS r(subject, token) "
            "WHERE sealed.token = r.token COLLATE \"C\"",
            tuple(map(list, zip(*told, strict=True))),
        )


def downgrade() -> None:
    op.drop_index('sealed_subject', 'sealed')
    op.drop_column('sealed', 'subject')
