"""The audit: a row for each reading of what is sealed, each erasure and each act of an operator.

A row is written in the transaction of its act. Where an act is more than one transaction, the row is written before it
begins and gets its outcome at the end: one that stays BEGUN is of an act that was not heard of again. A copy or a
backup of the whole database is a reading: its row is written before it. Rows are never deleted. They go into backups
and copies of the database, and into no export.
"""

import secrets
from enum import StrEnum
from itertools import count

from msgspec.structs import asdict
from sqlalchemy import Connection

from engine.clock import now_ms
from engine.principals import Operator
from engine.store import tables, writes
from engine.store.rows import AuditRow, StoredAuditRow
from engine.store.sql import execute

BEGUN, DONE = "begun", "done"
"""Outcomes of an act that has not ended, and of one that has nothing more to say."""
LONGEST = 200
"""Characters of a text of a row."""
_numbers = count()
_COLUMNS = ", ".join(AuditRow.__struct_fields__)


class Act(StrEnum):
    """What was done. The values stand in rows for ever."""

    SEALED_READ = "sealed.read"
    INCIDENT_ERASED = "incident.erased"
    LETTER_ERASED = "letter.erased"
    LETTER_REPLAYED = "letter.replayed"
    RECORD_SETTLED = "record.settled"
    CLOCK_SETTLED = "clock.settled"
    CASES_TRIED = "cases.tried"
    PACK_ACTIVATED = "pack.activated"
    PRINCIPAL_ADDED = "principal.added"
    PRINCIPAL_CHANGED = "principal.changed"
    PRINCIPAL_REMOVED = "principal.removed"
    PRINCIPAL_ROTATED = "principal.rotated"
    PRINCIPAL_WITHDRAWN = "principal.withdrawn"
    WORDS_READ = "words.read"
    VIOLATIONS_READ = "violations.read"
    NEGATIVE_READ = "negative_list.read"
    ARCHIVE_ORDERED = "archive.ordered"
    ARCHIVE_WRITTEN = "archive.written"
    ARCHIVE_RETURNED = "archive.returned"
    FIGURES_REBUILT = "figures.rebuilt"
    FEED_RESTARTED = "feed.restarted"
    TOPICS_CREATED = "topics.created"
    BACKUP_MADE = "backup.made"
    BACKUP_RESTORED = "backup.restored"
    DATABASE_UPGRADED = "database.upgraded"
    DATABASE_COPIED = "database.copied"
    CHANNEL_RETRIED = "channel.retried"
    SUBSCRIPTION_MADE = "subscription.made"
    SUBSCRIPTION_ROTATED = "subscription.rotated"
    SUBSCRIPTION_ENDED = "subscription.ended"
    AUDIT_READ = "audit.read"
    ANCHOR_MADE = "anchor.made"


def write(connection: Connection, operator: Operator, act: Act, object_: str, outcome: str = DONE) -> str:
    """Write a row about an act on an object (a case, a letter, a record, a hash). Returns the id of the row."""
    at = now_ms()
    # In the order of time, within a millisecond of one process too; other processes write at once under other names.
    id_ = f"{at:013d}-{next(_numbers) % 1_000_000:06d}-{secrets.token_hex(4)}"
    texts = (text[:LONGEST] for text in (operator.who, act, object_, operator.via, outcome))
    writes.insert(connection, tables.audit, [StoredAuditRow(**asdict(AuditRow(id_, at, *texts)))])
    return id_


def end(connection: Connection, id_: str, outcome: str = DONE) -> None:
    """Write how an act has ended."""
    execute(connection, "UPDATE audit SET outcome = ?, chain_due = true WHERE id = ?", outcome[:LONGEST], id_)


def listed(
    connection: Connection,
    *,
    act: str = "",
    object_: str = "",
    since: int | None = None,
    until: int | None = None,
    limit: int = 50,
) -> list[AuditRow]:
    """Rows, the latest first: of an act, about an object, from an instant on and before another (ms UTC)."""
    terms, values = ["1 = 1"], list[object]()
    for condition, value in (("act = ?", act), ("object = ?", object_), ("at >= ?", since), ("at < ?", until)):
        if value not in ("", None):
            terms.append(condition)
            values.append(value)
    sql = f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(terms)} ORDER BY at DESC, id DESC LIMIT ?"
    return [AuditRow(*row) for row in execute(connection, sql, *values, limit)]
