"""The log, replayed beside, and everything that follows from it compared with what is stored
(`gridpatrol verify --replay`).

One snapshot says how far each partition is decided. The log up to there is decided again by this release, into a
database that is thrown away, and both are read table by table in the order of their keys. What was edited in one place
shows, unless the same edit stands in the log and in all that follows from it. That shows against a log that was
exported before, whose records are compared as well (`--log FILE`).

What follows from no log is not compared: sealed texts, letters about bytes that never entered the log, how the replay
of a letter ended, what was published and told. Figures, outcomes and alerts follow from the facts: `consumers.verify`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from consumers.verify import Mismatch
from consumers.verify.records import outcomes_kept_since
from engine import replay
from engine.errors import LogMismatch, PackUnusable
from engine.runtime import Engine
from engine.slice.types import Batch, settled_stamp
from engine.store import checks, compare, inbox_table, sends, slices, standing
from engine.store.database import Connection, Database, open_database
from engine.store.rows import PartitionRow
from workflows.turn import SENT, decode_sent

AROUND = 60
"""So many characters of a long value are shown on each side of its first difference."""

Progress = Callable[[int], None]
"""Called with the number of records decided again."""


class ComparedTable(NamedTuple):
    """A table that follows from the log, and how its rows are called in a mismatch."""

    table: str
    what: str
    but: tuple[str, ...] = ()  # columns that do not follow from the log, or are worded by the release that decides
    key: tuple[str, ...] = ()  # by which its rows are found; empty: its own


COMPARED = (
    ComparedTable("packs", "pack"),
    ComparedTable("sheets", "sheet"),
    ComparedTable("settlements", "settlement"),
    ComparedTable("facts", "step"),
    ComparedTable("cases", "case"),
    ComparedTable("parked", "parked"),
    ComparedTable("heard", "heard"),
    # The order of outcomes follows from the transactions; earlier releases kept neither that nor who sent an event.
    ComparedTable("seen", "seen", but=("detail", "decided", "decided_at", "principal")),
    ComparedTable("dead_letters", "letter", but=("detail", "replayed", "published", "size", "kept_at", "decided")),
    ComparedTable("partitions", "partition", but=("version", "halted", "standing")),
)
LATER = {
    "facts": ComparedTable("facts", "step", but=("n",), key=("case_id", "seq")),
    "partitions": ComparedTable("partitions", "partition", but=("version", "halted", "standing", "n")),
}
"""How they are compared where cases stand or have gone on: their steps have other numbers, or are missing yet."""
RECORDS = ComparedTable("inbox", "inbox")
"""The log itself, where it was read from a file."""


class Decided(NamedTuple):
    """How far both sides are decided: the partitions as they are stored, and as they stand after the replay."""

    stored: Mapping[int, PartitionRow]
    again: Mapping[int, PartitionRow]
    since: Mapping[int, int]  # outcomes of events that arrived before this instant (ms) may be gone, by partition
    aside: Set[str] = frozenset()  # cases that stand since a defect, have heard something late, or talk with such
    later: bool = False  # some stand or have stood

    def ends_early(self, partition: int) -> bool:
        """Whether the replayed log, of a file, ends before what is stored."""
        return self.again[partition].position < self.stored[partition].position


def replayed_beside(
    engine: Engine,
    folder: Path,
    log: Iterable[bytes] | None = None,
    progress: Progress = lambda done: None,
    snapshot: Callable[[Database], AbstractContextManager[Connection]] = Database.read,
) -> list[Mismatch]:
    """All differences between what is stored and what the log gives. `log`: lines of an exported one that was examined;
    None: that of the database itself, table or topic. `snapshot`: how to read it together with what has left it.
    Nothing is written but in the folder."""
    with snapshot(engine.database) as connection:
        try:
            with again(engine, connection, folder, log, progress) as (other, decided):
                found = list(mismatches(connection, other, decided, records=log is not None))
                return [*found, *lost_sends(engine, connection, other, decided)]
        except (LogMismatch, PackUnusable) as error:
            return [Mismatch("log", "replayed beside", "a log that can be decided", str(error))]


@contextmanager
def again(
    engine: Engine, connection: Connection, folder: Path, log: Iterable[bytes] | None, progress: Progress
) -> Iterator[tuple[Connection, Decided]]:
    """The log up to where the snapshot of a connection has decided it, decided once more. LogMismatch, PackUnusable."""
    stored = {row.partition: row for row in slices.read_partitions(connection)}
    upto = {partition: row.position for partition, row in stored.items()}
    lines = log if log is not None else replay.log_lines(engine, connection, list(upto.values()))
    url = f"sqlite:///{folder / 'again.db'}"
    with closing(open_database(url)) as database:
        database.upgrade()
        second = Engine(database, replace(engine.settings, database=url, partitions=engine.count, kafka="", role="all"))
        replay.replay_log(second, lines, progress, unchecked=log is None, upto=upto)
        settle_clocks(engine, connection, second, stored)
        with database.read() as other:
            stand = {case for p in stored for case in standing.read_ids(connection, p)}
            later = bool(stand) or standing.have_gone_on(connection)
            aside = set_aside(connection, other, stand) if later else stand
            yield other, Decided(stored, second.rows, outcomes_kept_since(connection), aside, later)


def mismatches(connection: Connection, other: Connection, decided: Decided, *, records: bool) -> Iterator[Mismatch]:
    """The differences between two stores. `records`: of their logs as well, where the first one's is a table."""
    if records and inbox_table.read_origin(connection) is None:
        yield from differences(RECORDS, connection, other, decided)
    for table in COMPARED:
        yield from differences(LATER.get(table.table, table) if decided.later else table, connection, other, decided)


def lost_sends(engine: Engine, connection: Connection, other: Connection, decided: Decided) -> Iterator[Mismatch]:
    """What the steps say to other homes, and what neither is on its way nor stands in the log."""
    missing = sends.keys_outgoing(other) - sends.keys_outgoing(connection)
    missing = {key for key in missing if key[0] not in decided.aside}
    for partition, row in decided.stored.items() if missing else ():
        for record in engine.inbox.read_all(connection, partition):
            if record.position >= row.position and record.kind == "sent":
                missing.discard(decode_sent(record.body).key)
    for case, seq, k in sorted(missing):
        yield Mismatch("outgoing", f"{case} {seq}.{k}", "on its way, or in the log", "neither")


def set_aside(connection: Connection, other: Connection, stand: Set[str]) -> set[str]:
    """Cases that stand, those that heard something late or on one side only since who says it stands or has stood, and
    all that these talk with: what they were told, and what they found, may differ."""
    stored, again = checks.heard(connection, SENT), checks.heard(other, SENT)
    one_sided = {row[:3] for row in stored} ^ {row[:3] for row in again}
    waiting = [decode_sent(body) for body in standing.read_said(connection)]
    pairs = [(source, by) for source, by, *_ in (*stored, *again)]
    pairs += [(sent.cause.source, sent.send.to) for sent in waiting]
    found = {*stand, *(case for source, by, _ in one_sided for case in (source, by))}
    found |= {by for _, by, _, late in stored if late} | {sent.send.to for sent in waiting}
    while more := {case for pair in pairs if not found.isdisjoint(pair) for case in pair} - found:
        found |= more
    return found


def settle_clocks(engine: Engine, connection: Connection, second: Engine, stored: Mapping[int, PartitionRow]) -> None:
    """Go on to where a slice ended in the middle of what falls due before a record: the clock of the partition stands
    at that record's arrival, and a part of the firings is done."""
    partitions = second.partitions
    for partition, wanted in stored.items():
        row = second.rows[partition]
        while row.position == wanted.position and row.n < wanted.n:
            batch = Batch(row, [], partitions.next_due[partition], until=wanted.clock)
            partitions.run([batch], None, None, replace(partitions.limits, steps=wanted.n - row.n))
            before, row = row, second.rows[partition]
            if row.n == before.n:
                break  # the log gives no more steps: the comparison says which are too many
        if (row.position, row.n) == (wanted.position, wanted.n) and row.clock < wanted.clock:
            records = engine.inbox.read_all(connection, partition)
            waits = next((record for record in records if record.position == wanted.position), None)
            verdict = partitions.settlements.get((partition, wanted.position), "").split()
            if waits is not None and settled_stamp(waits.stamp, verdict) == wanted.clock:
                with second.database.begin() as writer:
                    slices.write_partitions(writer, [replace(row, clock=wanted.clock)])


def differences(
    table: ComparedTable, connection: Connection, other: Connection, decided: Decided
) -> Iterator[Mismatch]:
    """What differs in one table, or stands on one side only."""
    columns = compare.columns_of(table.table, table.but, table.key)
    for key, stored, again in compare.paired(
        compare.rows(connection, table.table, columns), compare.rows(other, table.table, columns), columns.keys
    ):
        where = " ".join(str(part) for part in key)
        if stored is None:
            row = dict(zip(columns.names, again or (), strict=True))
            ended = table.table == "parked" and decided.ends_early(row["partition"])  # it may wait no longer
            if ended or is_later(table.table, row, decided):
                continue
            if table.table != "seen" or row["arrival"] >= decided.since.get(row["partition"], 0):
                yield Mismatch(table.what, where, "a row", "none")
            continue
        row = dict(zip(columns.names, stored, strict=True))
        if is_later(table.table, row, decided) or not follows(table.table, row, decided):
            continue
        if again is None:
            yield Mismatch(table.what, where, "no row that the log gives", "a row")
            continue
        waited = dict(zip(columns.names, again, strict=True)).get("outcome") == "parked"
        if waited and decided.ends_early(row["partition"]):
            continue  # it waited at the end of the log, which does not say what became of it since
        for name, right, wrong in zip(columns.names, again, stored, strict=True):
            if right != wrong:
                yield Mismatch(table.what, f"{where} {name}", *around(right, wrong))


def is_later(table: str, row: Mapping[str, Any], decided: Decided) -> bool:
    """Whether a row is of a case that stands, or is a letter that is named after the number of a step where cases stand
    or have gone on."""
    if table == "dead_letters" and decided.later and row["position"] is None:
        return True
    return row.get("case_id" if table != "cases" else "id") in decided.aside


def follows(table: str, row: Mapping[str, Any], decided: Decided) -> bool:
    """Whether a stored row follows from the part of the log that was replayed."""
    partition = row.get("partition")
    if partition is None:  # a pack or a sheet, perhaps of a part of the log that is not there; or a letter of the door
        return table in ("packs", "sheets") and not any(map(decided.ends_early, decided.stored))
    if not decided.ends_early(partition):
        return True
    end = decided.again[partition]
    if table in ("cases", "parked", "partitions"):
        return False  # they have moved on; the fold of their steps says whether they are right
    if table == "facts":
        return "n" in row and bool(row["n"] <= end.n)
    if row["position"] is None:  # the letter of a firing or of a parked event is named after its step: 17.n42
        return int(row["id"].rpartition("n")[2]) <= end.n
    return bool(row["position"] < end.position)


def around(right: object, wrong: object) -> tuple[str, str]:
    """Two values as a mismatch shows them: of long ones what stands around the first difference."""
    texts = repr(right), repr(wrong)
    if max(map(len, texts)) <= 2 * AROUND:
        return texts
    at = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    begin = max(0, at - AROUND)
    one, other = (f"…{text[begin : at + AROUND]}…" for text in texts)
    return one, other
