"""The recorded log once more, up to an instant, as it was or with another pack from an instant on.

Enters: the records of a database. Leaves: lines as `gridpatrol log export` writes them, without their proof, for
`engine.replay.replay_log`. Refused and parked records and recorded ticks are among them, and no others.
"""

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import log_file
from engine.runtime import Engine
from engine.slice.types import LATER_MS
from engine.store import inbox_table, sends
from engine.store.database import Connection
from engine.store.rows import InboxRow, PackRow
from schemas.partition import home_of, partition_of

ALL = 2**31 - 1


class Instead(Struct, frozen=True):
    """The pack that stands in for every one that was activated from an instant on (ms since 1970), and what becomes of
    what cases say to other homes: `fallen` are recorded sends that nobody says under it, by partition and position, and
    `said` what is said anew, with the instants at which it arrives."""

    pack: PackRow
    since: int
    fallen: frozenset[tuple[int, int]] = frozenset()
    said: tuple[InboxRow, ...] = ()


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


def instead_of(
    engine: Engine, connection: Connection, ends: Mapping[int, int], until: int, instead: Instead
) -> Iterator[tuple[int | None, InboxRow]]:
    """The records under the other pack at their places, each with its recorded position, None of one that is put in.

    Activations from the instant on are left out, and one stands before the first record from then on, unless its pack
    is the active one by then. Recorded sends that nobody says fall away; what is said anew comes after packs and before
    events of the instant at which it arrives.
    """
    for partition in ends:
        said = deque(row for row in instead.said if row.partition == partition)
        position, active, stands_in = 0, "", False
        activation = InboxRow(partition, 0, instead.since, "pack", "operator", instead.pack.hash)

        def placed(row: InboxRow, old: int | None = None) -> tuple[int | None, InboxRow]:
            nonlocal position
            position += 1
            return old, replace(row, partition=partition, position=position - 1)  # noqa: B023

        for row in recorded(engine, connection, {partition: ends[partition]}, until):
            if row.stamp >= instead.since and not stands_in:
                stands_in = True
                if active != instead.pack.hash:
                    yield placed(activation)
            elif row.kind == "pack":
                active = row.body
            while said and (said[0].stamp, row.kind == "pack") < (row.stamp, True):
                yield placed(said.popleft())
            left_out = row.kind == "pack" and row.stamp >= instead.since
            if not left_out and (partition, row.position) not in instead.fallen:
                yield placed(row, row.position)
        if not stands_in and active != instead.pack.hash:  # nothing came there from then on
            yield placed(activation)
        for row in said:
            yield placed(row)


def lines(
    engine: Engine,
    connection: Connection,
    ends: Mapping[int, int],
    until: int,
    instead: Instead | None = None,
) -> Iterator[bytes]:
    """Header, packs, settlements and records of what arrived by an instant, and before the end of its partition."""
    encode = msgspec.json.encode
    yield encode(log_file.Header(log_file.FORMAT, engine.count))
    packs = {row.hash: row for row in inbox_table.read_packs(connection)}
    if instead is not None:
        packs.setdefault(instead.pack.hash, instead.pack)
    for pack in packs.values():
        yield encode({"pack": pack})
    settled = inbox_table.read_settlements(connection)
    if instead is None:
        yield from (encode({"settlement": settlement}) for settlement in settled)
        yield from (encode({"record": row}) for row in recorded(engine, connection, ends, until))
        return
    if settled:
        moved = {
            (row.partition, old): row.position
            for old, row in instead_of(engine, connection, ends, until, instead)
            if old is not None
        }
        for settlement in settled:
            if (there := moved.get((settlement.partition, settlement.position))) is not None:
                yield encode({"settlement": replace(settlement, position=there)})
    for _, row in instead_of(engine, connection, ends, until, instead):
        yield encode({"record": row})


def sends_under(
    engine: Engine, connection: Connection, until: int, instead: Instead, was: Connection, would_be: Connection
) -> Instead:
    """The other pack with the sends that are said under it. A recorded one that was said stands where the very same is
    said; what is said for the first time arrives a second after its cause, if that is not after the end."""
    here, there = (
        {row.body: row for rows in sends.read_outgoing(side, range(engine.count), ALL).values() for row in rows}
        for side in (was, would_be)
    )
    fallen, recorded_too = set[tuple[int, int]](), set[str]()
    for partition in range(engine.count) if here.keys() != there.keys() else ():
        for record in engine.inbox.read_all(connection, partition):
            if record.kind == "sent":
                recorded_too.add(record.body)
                if record.stamp >= instead.since and record.body in here and record.body not in there:
                    fallen.add((partition, record.position))
    anew = [row for body, row in there.items() if body not in here and body not in recorded_too]
    anew.sort(key=lambda row: (row.arrival, row.case_id, row.seq, row.k))
    said = (
        InboxRow(partition_of(home_of(row.target), engine.count), 0, row.arrival + LATER_MS, "sent", "owner", row.body)
        for row in anew
        if row.arrival + LATER_MS <= until
    )
    return replace(instead, fallen=frozenset(fallen), said=tuple(said))
