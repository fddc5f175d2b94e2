"""Runs of the commands that hold what is stored against itself: when, by whom, and what came of it."""

import secrets

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import tables, writes
from engine.store.sql import execute

VERIFY, AUDIT = "gridpatrol verify", "gridpatrol audit verify"
"""The commands, as `VerificationRow.command` has them, with their options behind."""
CLEAN, FINDINGS, FAILED = "clean", "findings", "failed"
"""What comes of a run: nothing was found, something was, or it ended in an error."""


class VerificationRow(Struct):
    """A run. `at`, `ended_at`: ms UTC by the wall clock; `counts`: JSON, findings by what they are of."""

    id: str
    at: int
    ended_at: int
    command: str
    who: str
    outcome: str
    findings: int
    counts: str

    def by_kind(self) -> dict[str, int]:
        """Findings by what they are of."""
        return msgspec.json.decode(self.counts or "{}", type=dict[str, int])


COLUMNS = ", ".join(VerificationRow.__struct_fields__)


def write(
    connection: Connection, command: str, who: str, at: int, ended_at: int, counts: dict[str, int] | None
) -> VerificationRow:
    """Keep a run of a command by somebody. `counts` None: it failed."""
    outcome = FAILED if counts is None else FINDINGS if counts else CLEAN
    number, text = sum((counts or {}).values()), msgspec.json.encode(counts or {}).decode()
    row = VerificationRow(f"{at:013d}-{secrets.token_hex(4)}", at, ended_at, command, who[:200], outcome, number, text)
    writes.insert(connection, tables.verifications, [row])
    return row


def last(connection: Connection, command: str) -> VerificationRow | None:
    """The last run of a command, with whatever options; None: there was none."""
    sql = f"SELECT {COLUMNS} FROM verifications WHERE command = ? OR command LIKE ? ORDER BY id DESC LIMIT 1"
    row = execute(connection, sql, command, f"{command} %").first()
    return VerificationRow(*row) if row else None


def listed(connection: Connection, limit: int) -> list[VerificationRow]:
    """Runs, the latest first."""
    sql = f"SELECT {COLUMNS} FROM verifications ORDER BY id DESC LIMIT ?"
    return [VerificationRow(*row) for row in execute(connection, sql, limit)]
