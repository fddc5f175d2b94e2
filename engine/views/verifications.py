"""When what is stored was held against itself last, backed up and anchored, for who operates the server."""

from collections.abc import Callable

from msgspec import Struct

from engine.store import audit, chains, verifications
from engine.store.audit import Act
from engine.store.database import Connection
from engine.store.verifications import AUDIT, VERIFY, VerificationRow

RUNS = 20
"""Runs that are listed."""
Instant = Callable[[int], str]


class VerificationLine(Struct, frozen=True, kw_only=True):
    """A run of `gridpatrol verify` or `gridpatrol audit verify`: by whom, and what came of it: `clean`, `findings` (how
    many, and of what), or `failed`, where it ended in an error."""

    command: str
    began_at: str
    ended_at: str
    who: str
    outcome: str
    findings: int
    counts: dict[str, int]


class BackupLine(Struct, frozen=True):
    """The last backup that the audit knows of: when it was begun, by whom, into which file."""

    at: str
    who: str
    object: str


class AnchorLine(Struct, frozen=True):
    """The last anchor: its number, when it was made, and whether file and topic have it."""

    number: int
    at: str
    filed: bool
    published: bool


class ChainLine(Struct, frozen=True):
    """A chain as it stands: of the steps of a partition, of dead letters, or of acts."""

    name: str
    epoch: int
    links: int
    hash: str


class Verifications(Struct, frozen=True, kw_only=True):
    """The last run of each command, the latest runs of both, the last backup and the last anchor (null: none), the
    chains, and how many rows are not chained yet."""

    verify: VerificationLine | None
    audit: VerificationLine | None
    runs: list[VerificationLine]
    backup: BackupLine | None
    anchor: AnchorLine | None
    chains: list[ChainLine]
    waiting: int


def verifications_of(connection: Connection, instant: Instant) -> Verifications:
    """What is known. `instant`: how an instant (ms UTC) is written."""
    anchor, backups = chains.last_anchor(connection), audit.listed(connection, act=Act.BACKUP_MADE, limit=1)
    verify, audited = (verifications.last(connection, command) for command in (VERIFY, AUDIT))
    return Verifications(
        verify=line_of(verify, instant) if verify else None,
        audit=line_of(audited, instant) if audited else None,
        runs=[line_of(row, instant) for row in verifications.listed(connection, RUNS)],
        backup=BackupLine(instant(backups[0].at), backups[0].who, backups[0].object) if backups else None,
        anchor=AnchorLine(anchor.number, instant(anchor.at), bool(anchor.filed), bool(anchor.published))
        if anchor
        else None,
        chains=[ChainLine(row.name, row.epoch, row.n, row.hash) for row in chains_in_order(connection)],
        waiting=chains.count_waiting(connection),
    )


def chains_in_order(connection: Connection) -> list[chains.ChainRow]:
    """The chains, those of steps by partition."""
    rows = chains.read_chains(connection).values()
    return sorted(rows, key=lambda row: (not row.name[-1].isdigit(), len(row.name), row.name))


def line_of(row: VerificationRow, instant: Instant) -> VerificationLine:
    """A run."""
    return VerificationLine(
        command=row.command,
        began_at=instant(row.at),
        ended_at=instant(row.ended_at),
        who=row.who,
        outcome=row.outcome,
        findings=row.findings,
        counts=row.by_kind(),
    )
