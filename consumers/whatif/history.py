"""The recorded log once more, up to an instant, as it was or with another pack from an instant on.

Enters: the records of a database. Leaves: lines as `gridpatrol log export` writes them, without their proof, for
`engine.replay.replay_log`. Refused and parked records and recorded ticks are among them, and no others.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import log_file
from engine.runtime import Engine
from engine.store import inbox_table
from engine.store.database import Connection
from engine.store.rows import InboxRow, PackRow


class Instead(Struct, frozen=True):
    """The pack that stands in for every one that was activated from an instant on (ms since 1970)."""

    pack: PackRow
    since: int


class Places(Struct):
    """Where the records of one partition stand once others are left out and one is put in between."""

    left_out: list[int] = []
    put_in: int | None = None  # the recorded position before which the activation stands

    def of(self, position: int) -> int | None:
        """The new position of a record; None where it is left out."""
        gone = bisect_left(self.left_out, position)
        if gone < len(self.left_out) and self.left_out[gone] == position:
            return None
        return position - gone + (self.put_in is not None and position >= self.put_in)


def recorded(engine: Engine, connection: Connection, ends: Mapping[int, int], until: int) -> Iterator[InboxRow]:
    """The records of each partition before its end, of those that had arrived by an instant (ms since 1970)."""
    for partition, end in ends.items():
        for row in engine.inbox.read_all(connection, partition):
            if row.position >= end or row.stamp > until:
                break
            yield row


def beginnings(
    engine: Engine, connection: Connection, ends: Mapping[int, int], until: int, since: int
) -> dict[int, int]:
    """The position in each partition of the first record that was stamped from an instant on (ms since 1970): before it
    both sides are the same. Its end where there is none."""
    found = dict(ends)
    for row in recorded(engine, connection, ends, until):
        if row.stamp >= since and row.position < found[row.partition]:
            found[row.partition] = row.position
    return found


def places(
    engine: Engine, connection: Connection, ends: Mapping[int, int], until: int, instead: Instead
) -> dict[int, Places]:
    """What changes in each partition: activations from then on are left out, and one stands before the first record
    from then on, unless its pack is the active one by then."""
    found = {partition: Places([]) for partition in ends}
    active, last = dict[int, str](), dict[int, InboxRow]()
    for row in recorded(engine, connection, ends, until):
        here = found[row.partition]
        if row.stamp >= instead.since:
            if here.put_in is None and active.get(row.partition) != instead.pack.hash:
                here.put_in = row.position
            if row.kind == "pack":
                here.left_out.append(row.position)
        elif row.kind == "pack":
            active[row.partition] = row.body
        last[row.partition] = row
    for partition, here in found.items():
        if here.put_in is None and active.get(partition) != instead.pack.hash:
            here.put_in = last[partition].position + 1 if partition in last else 0
    return found


def lines(
    engine: Engine,
    connection: Connection,
    ends: Mapping[int, int],
    until: int,
    instead: Instead | None = None,
) -> Iterator[bytes]:
    """Header, packs, settlements and records of what arrived by an instant, and before the end of its partition."""
    encode = msgspec.json.encode
    moved = places(engine, connection, ends, until, instead) if instead is not None else {}
    yield encode(log_file.Header(log_file.FORMAT, engine.count))
    packs = {row.hash: row for row in inbox_table.read_packs(connection)}
    if instead is not None:
        packs.setdefault(instead.pack.hash, instead.pack)
    for pack in packs.values():
        yield encode({"pack": pack})
    for settlement in inbox_table.read_settlements(connection):
        there = moved[settlement.partition].of(settlement.position) if moved else settlement.position
        if there is not None:
            yield encode({"settlement": replace(settlement, position=there)})
    waiting = {partition: here.put_in for partition, here in moved.items() if here.put_in is not None}
    for row in recorded(engine, connection, ends, until):
        if instead is not None and waiting.get(row.partition) == row.position:
            yield encode({"record": activation(row.partition, waiting.pop(row.partition), moved, instead)})
        at = moved[row.partition].of(row.position) if moved else row.position
        if at is not None:
            yield encode({"record": replace(row, position=at)})
    for partition, position in waiting.items():  # nothing came there from then on
        assert instead is not None
        yield encode({"record": activation(partition, position, moved, instead)})


def activation(partition: int, position: int, moved: Mapping[int, Places], instead: Instead) -> InboxRow:
    """The record by which the other pack becomes active in a partition, before the one of a recorded position."""
    here = moved[partition]
    place = position - bisect_left(here.left_out, position)
    return InboxRow(partition, place, instead.since, "pack", "operator", instead.pack.hash)
