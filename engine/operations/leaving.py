"""An operator archives what had ended before an instant: a record in every partition, and what it will take along."""

from collections.abc import Iterator

from msgspec import Struct

from engine.operations.activation import read_clocks
from engine.principals import Operator
from engine.runtime import Engine
from engine.slice import archiving
from engine.store import archives, audit, slices
from engine.store.archives import Counted, EndedCase
from engine.store.audit import Act
from engine.store.database import Connection
from engine.wall_clock import DAY_MS, NEAR_MS
from schemas.envelope import to_ms
from schemas.facts import decode_cause
from schemas.instants import EARLIEST, SPAN, written
from workflows import case as cases

PAGE = 200
"""Cases that are looked at together, and that leave in one transaction."""


class ArchiveWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """What had ended before this instant (ms since 1970) is to be archived."""

    before: int


class Survey(Struct):
    """What would leave: cases that had ended before an instant, their steps, dead letters, and bytes. `kept`: cases of
    which something is still to come, or which somebody has still to read; they leave later."""

    before: int
    leaving: Counted
    kept: int = 0


def order(engine: Engine, wanted: ArchiveWanted, operator: Operator) -> int:
    """Append the record to every partition's log; how many partitions. ValueError where the instant is not past by as
    much as resends may be late, or where somebody has still to read what would leave.

    In a history that was replayed it is said at its end: by the wall all that is open there would fall due before.
    """
    wall, latest, replayed = read_clocks(engine)
    history = replayed and latest > DAY_MS and wall - latest > NEAR_MS
    now = latest if history else engine.stamp(engine.rows)
    active = engine.active()
    if active is None:
        raise ValueError("no policy pack is active, so there is nothing to archive")
    if wanted.before < to_ms(EARLIEST):
        raise ValueError(f"before has to be an instant {SPAN}")
    latest = now - active.options.duplicate_window_ms
    if wanted.before > latest:
        days = active.options.duplicate_window_ms // 86_400_000
        raise ValueError(f"before has to lie {days} days back, for as long as an event that comes again is recognised")
    with engine.database.read() as connection:
        for partition, row in engine.rows.items():
            floor = archives.read_floor(connection, partition)
            if floor < row.n and archives.read_last(connection, partition, wanted.before) > floor:
                raise ValueError(
                    f"figures, alerts or the publisher have not read all of partition {partition} that would leave: "
                    "see gridpatrol_consumer_lag_steps, and ask again once they have"
                )
    with engine.database.begin() as connection:
        audit.write(connection, operator, Act.ARCHIVE_ORDERED, written(wanted.before))
    engine.archive(wanted.before, now)
    return len(engine.rows)


def survey(connection: Connection, before: int) -> Survey:
    """What would leave if all that had ended before an instant (ms) were archived. Nothing is changed."""
    found = Survey(before, Counted())
    for row in slices.read_partitions(connection):
        for page, kept in pages(connection, row.partition, before):
            more = archives.count(connection, [candidate.id for candidate in page])
            for name in Counted.__struct_fields__:
                setattr(found.leaving, name, getattr(found.leaving, name) + getattr(more, name))
            found.kept += kept
    return found


def pages(connection: Connection, partition: int, before: int) -> Iterator[tuple[list[EndedCase], int]]:
    """The cases of a partition that may leave, page by page; and how many of each page stay for now."""
    held, letters = archives.read_held(connection), archives.read_open_letters(connection)
    floor, after = archives.read_floor(connection, partition), ""

    def find(id_: str) -> cases.Case | None:
        body = archives.read_bodies(connection, [id_]).get(id_)
        return None if body is None else cases.decode(body)

    while found := archives.candidates(connection, partition, before, after, PAGE):
        after = found[-1].id
        about = archives.read_causes(connection, [candidate.id for candidate in found]) if letters else {}
        page, over = list[EndedCase](), 0
        for candidate in found:
            if not archiving.is_over(cases.decode(candidate.body), before, candidate.last, find):
                continue
            over += 1
            causes = map(decode_cause, about.get(candidate.id, ()))
            asked = any((cause.source, cause.id) in letters for cause in causes)
            if candidate.id not in held and candidate.n <= floor and not asked:
                page.append(candidate)
        yield page, over - len(page)
