"""What the adapter of signals keeps: states of devices that are not quiet, when each was heard, and what it is to say.

`change` is the fence: whoever has read the states of a change writes the next one, or nothing if another process was
faster.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import meta, writes
from engine.store.sql import execute, execute_many
from engine.store.watched_tables import devices_seen, watched, watched_sayings

CHANGE = "watched_change"
"""Name in `meta` of the number of the last change."""


class WatchedRow(Struct, frozen=True):
    """A device under a rule, as JSON."""

    device: str
    rule: str
    phase: str
    body: str


class DeviceSeenRow(Struct, frozen=True):
    """When a device was heard last (ms UTC)."""

    device: str
    seen: int


class SayingRow(Struct, frozen=True):
    """An event that is to be said."""

    n: int
    body: str


def read_change(connection: Connection, *, lock: bool = False) -> int:
    """The number of the last change; with `lock`, others wait for it until the transaction ends."""
    return int(meta.read_meta(connection, CHANGE, lock=lock) or 0)


def begin_changes(connection: Connection) -> None:
    """Let there be a number that can be locked."""
    meta.write_meta(connection, CHANGE, "0", keep=True)


def write_change(
    connection: Connection,
    change: int,
    rows: Sequence[WatchedRow],
    quiet: Collection[tuple[str, str]],
    sayings: Sequence[SayingRow],
) -> None:
    """A change, all of it: states as they are now, those that are quiet again, and what is to be said."""
    meta.write_meta(connection, CHANGE, str(change))
    writes.upsert(connection, watched, rows)
    if quiet:
        execute_many(connection, "DELETE FROM watched WHERE device = ? AND rule = ?", sorted(quiet))
    writes.insert(connection, watched_sayings, sayings)


def read_watched(connection: Connection) -> list[WatchedRow]:
    """All states that are not quiet."""
    return [WatchedRow(*row) for row in execute(connection, "SELECT device, rule, phase, body FROM watched")]


def read_sayings(connection: Connection, most: int) -> list[SayingRow]:
    """What is to be said next, in order."""
    rows = execute(connection, "SELECT n, body FROM watched_sayings ORDER BY n LIMIT ?", most)
    return [SayingRow(*row) for row in rows]


def remove_sayings(connection: Connection, upto: int) -> None:
    """What has been said up to a number."""
    execute(connection, "DELETE FROM watched_sayings WHERE n <= ?", upto)


def write_seen(connection: Connection, rows: Sequence[DeviceSeenRow]) -> None:
    """When devices were heard."""
    writes.upsert(connection, devices_seen, rows)


def read_seen(connection: Connection) -> dict[str, int]:
    """When each device was heard last, as far as that is stored."""
    return {device: seen for device, seen in execute(connection, "SELECT device, seen FROM devices_seen")}


def remove_seen(connection: Connection, devices: Collection[str]) -> None:
    """Devices that the pack has no more."""
    if devices:
        execute_many(connection, "DELETE FROM devices_seen WHERE device = ?", [(each,) for each in sorted(devices)])


def count_phases(connection: Connection) -> dict[str, int]:
    """How many states there are, by phase."""
    return {phase: count for phase, count in execute(connection, "SELECT phase, count(*) FROM watched GROUP BY phase")}
