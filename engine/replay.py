"""Replay: a file of events with event time as the clock, or an exported log with its own stamps.

Both give the same records, decisions and facts as if the records had arrived live. A file of events is written through:
each record enters the log in the slice that decides it, and silent gaps get the ticks that an attentive owner would
have appended. Packs of a plan become active between the records before and after their instants. An exported log is
laid into the table as it is; nothing ticks. An interrupted replay goes on where its last slice committed.
"""

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import admission, failpoints, log_file
from engine.clock import now_ms
from engine.errors import LogMismatch
from engine.event_rounds import PACKS, Line, Rounds
from engine.inbox import Submission
from engine.pack_plan import PlannedPack
from engine.runtime import Engine
from engine.slice import isolation
from engine.slice.types import SKIP, STAMP, Batch
from engine.store import clocks, dead_letters, inbox_table, sends, sheets
from engine.store.database import Connection
from engine.store.positions import PositionRow, raise_positions, read_positions
from engine.store.rows import InboxRow, SettlementRow
from schemas.envelope import to_ms
from schemas.instants import written
from schemas.refusals import Refusal
from workflows.homes import SILENCE_MS

Progress = Callable[[int], None]
"""Called with the number of lines done."""


class Replayed(Struct):
    """What a replay did."""

    lines: int = 0
    skipped: int = 0  # done by an earlier, interrupted run
    rejected: int = 0  # by shape: kept as dead letters
    beyond: int = 0  # after `until`
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    standing: int = 0  # cases on which a rule has failed
    packs: int = 0  # rows of the plan that this run has followed
    end: int = 0  # the instant up to which clocks have run (ms)


def replay_events(
    engine: Engine,
    lines: Iterable[bytes],
    name: str,
    until: int | None = None,
    progress: Progress = lambda done: None,
    plan: Sequence[PlannedPack] = (),
) -> Replayed:
    """Replay JSON lines of CloudEvents, in arrival order (`recordedtime` if an event has one, else `time`).

    `name` identifies the file for resuming. Clocks run to `until` (ms), or to the last arrival. The packs of the `plan`
    are stored already (`check_plan`); each becomes active before the first line that arrives at its instant or later.
    """
    with unhurried(engine):
        engine.drain()  # records that stand in the log already come first
        engine.partitions.check_running()
        reader, result = f"replay:{name}", Replayed()
        with engine.database.begin() as connection:
            clocks.note_replayed(connection, name)
            done, planned = read_positions(connection, reader), read_positions(connection, f"{reader}{PACKS}")
            if plan:
                raise_positions(connection, [PositionRow(f"{reader}{PACKS}", p, 0) for p in engine.rows])
        rounds, held, begun = Rounds(engine, reader, result.outcomes), list[Line](), False
        for line in with_packs(_read(engine, lines, reader, done, until, result), engine.rows, plan, planned):
            if not begun and line.row.kind == "event":
                begun = True
                _begin(engine, line.row.stamp, {p for p, rows in planned.items() if rows})
                rounds.load()
            held.append(line)
            if len(held) >= engine.partitions.limits.records:
                _decide(rounds, held)
                progress(result.lines)
                held = []
        _decide(rounds, held)
        result.packs = sum(any(planned.get(p, 0) < number for p in engine.rows) for number in range(1, len(plan) + 1))
        result.end = max([result.end, until or 0, *(each.at for each in plan)])
        rounds.reach(result.end)
        partitions = engine.partitions
        while late := [
            p
            for p, due in partitions.next_due.items()
            if (due is not None and due < result.end)
            or engine.next_news(p, partitions.rows[p].clock, result.end) is not None
        ]:
            batches = [
                Batch(partitions.rows[p], [], partitions.next_due[p], ticking=True, until=result.end) for p in late
            ]
            isolation.decide(partitions, batches, None)
            partitions.check_running()
        result.standing = sum(row.standing for row in engine.rows.values())
        engine.feed()
        progress(result.lines)
        return result


def _decide(rounds: Rounds, lines: Sequence[Line]) -> None:
    """Decide all that comes up to the last of these lines, and let the consumers follow."""
    if lines:
        rounds.add(lines)
        rounds.reach(max(line.row.stamp for line in lines))
        rounds.engine.feed()


@contextmanager
def unhurried(engine: Engine) -> Iterator[None]:
    """Until the block ends slices are larger, since nobody waits for the next one, and none waits for the disk, since
    a replay goes on after the last one that is on it. At the end all of them are."""
    with engine.partitions.wide(), engine.database.flushed_at_end():
        yield


def with_packs(
    lines: Iterable[Line], partitions: Iterable[int], plan: Sequence[PlannedPack], done: Mapping[int, int]
) -> Iterator[Line]:
    """The lines, and between them the rows of a plan, in every partition in which they are not done."""
    left = deque(enumerate(plan, 1))
    for line in itertools.chain(lines, [None]):
        while left and (line is None or left[0][1].at <= line.row.stamp):
            number, planned = left.popleft()
            for p in partitions:
                if number > done.get(p, 0):
                    yield Line(InboxRow(p, number, planned.at, "pack", "operator", planned.hash))
        if line is not None:
            yield line


def check_plan(engine: Engine, name: str, plan: Sequence[PlannedPack]) -> None:
    """LogMismatch where a replay of the file of this name cannot go on with this plan: it was begun with another one,
    or the time of a partition has passed one of its instants."""
    with engine.database.read() as connection:
        done = read_positions(connection, f"replay:{name}{PACKS}")
    if done and not plan:
        raise LogMismatch("this replay was begun with a plan of packs", remedy="give the same plan again, with --packs")
    for partition, row in engine.rows.items():
        known, count = engine.activations(partition), done.get(partition, 0)
        if any((each.hash, each.at) not in known for each in plan[:count]) or count > len(plan):
            raise LogMismatch(
                f"this replay has activated other packs than the first {count} of the plan",
                remedy="give the plan with which it was begun, or replay into an empty database",
            )
        passed = next((each for each in plan[count:] if each.at < row.clock), None)
        if passed is not None:
            raise LogMismatch(
                f"row {passed.row} of the plan is of {written(passed.at)}, and this database stands at "
                f"{written(row.clock)} already",
                remedy="replay into an empty database",
            )


def activate(engine: Engine, planned: PlannedPack) -> None:
    """Activate a pack at its instant in every partition in which it has not been, as a replay with a plan does."""
    engine.keep_pack(planned.pack)
    rows = (InboxRow(p, 1, planned.at, "pack", "operator", planned.hash) for p in engine.rows)
    wanted = [Line(row) for row in rows if (planned.hash, planned.at) not in engine.activations(row.partition)]
    _decide(Rounds(engine, "", {}), wanted)


def _begin(engine: Engine, first: int, begun: Collection[int]) -> None:
    """Let the time of the file begin with its first line, in every partition in which time bears something: a pack that
    was active before it is no reason to look at the years before. In those that are `begun` a plan says when."""
    partitions, active = engine.partitions, engine.active()
    news = active is not None and active.news != ()  # more days will be known, in every partition alike
    idle = [
        Submission(p, "tick", "owner", "")
        for p, due in partitions.next_due.items()
        if (due is not None or news)
        and first - partitions.rows[p].clock > SILENCE_MS
        and partitions.rows[p].position == len(engine.activations(p))
        and p not in begun
    ]
    if idle:
        engine.append(idle, first)
        engine.drain()


def _read(
    engine: Engine, lines: Iterable[bytes], reader: str, done: dict[int, int], until: int | None, result: Replayed
) -> Iterator[Line]:
    """Lines as records, counted in `result`; those of bad shape become dead letters."""
    latest = 0
    for number, line in enumerate(lines, 1):
        result.lines = number
        if not line.strip():
            continue
        received = admission.receive(line.strip(), "replay", engine.count)
        if isinstance(received, Refusal):
            result.rejected += 1
            letter = admission.letter(line, received, "replay", instant_of(line, latest), f"{reader}.{number}")
            with engine.database.begin() as connection:
                dead_letters.write(connection, [letter])
            continue
        submission, event = received
        latest = max(latest, to_ms(event.recordedtime or event.time))
        if until is not None and latest > until:
            result.beyond += 1
            continue
        result.end = latest
        if number <= done.get(submission.partition, 0):
            result.skipped += 1
            continue
        row = InboxRow(submission.partition, number, latest, "event", "replay", submission.body)
        yield Line(row, submission.sealed)


class _Times(Struct):
    """The instants of an event that breaks the contract."""

    time: datetime | None = None
    recordedtime: datetime | None = None


def instant_of(line: bytes, latest: int) -> int:
    """When a line that is refused came in its file (ms): with the latest event before it, or, as the first of all, when
    it says itself. Now, where it does not."""
    if latest:
        return latest
    try:
        times = msgspec.json.decode(line, type=_Times)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return now_ms()
    said = times.recordedtime or times.time
    return to_ms(said) if said is not None and said.tzinfo is not None else now_ms()


# ---- exported logs ------------------------------------------------------------------------------------------


def export_log(engine: Engine, settle_after: int | None = None) -> Iterator[bytes]:
    """A run's log, line by line and with its proof. What is sealed stays sealed.

    With `settle_after` (ms since 1970) records that are stamped later are settled as come with the one before them.
    """
    ends = engine.inbox.ends()  # read first: the snapshot then holds the packs and settlements of all these records
    with engine.database.read() as connection:
        yield from log_file.with_proof(log_lines(engine, connection, ends, settle_after))


def log_lines(
    engine: Engine, connection: Connection, ends: Sequence[int], settle_after: int | None = None
) -> Iterator[bytes]:
    """Header, packs, sheets, settlements, and the records of each partition before these positions. The same log gives
    the same lines, wherever it is stored."""
    yield msgspec.json.encode(log_file.Header(log_file.FORMAT, engine.count))
    for pack in inbox_table.read_packs(connection):
        yield msgspec.json.encode({"pack": pack})
    for sheet in sheets.read_sheets(connection):
        yield msgspec.json.encode({"sheet": sheet})
    settled = {(row.partition, row.position): row for row in inbox_table.read_settlements(connection)}
    for ahead in later_than(engine, connection, ends, settle_after) if settle_after is not None else ():
        known = settled.get((ahead.partition, ahead.position))
        words = known.verdict.split() if known else []
        if not any(word == SKIP or word.startswith(STAMP) for word in words):  # what an operator said stays
            settled[ahead.partition, ahead.position] = replace(ahead, verdict=" ".join([*words, ahead.verdict]))
    for _, settlement in sorted(settled.items()):
        yield msgspec.json.encode({"settlement": settlement})
    for partition, end in enumerate(ends):
        for row in engine.inbox.read_all(connection, partition):
            if row.position >= end:
                break
            yield msgspec.json.encode({"record": row})


def later_than(engine: Engine, connection: Connection, ends: Sequence[int], instant: int) -> Iterator[SettlementRow]:
    """Verdicts on records that are stamped later than an instant (ms since 1970): they came with the one before."""
    for partition, end in enumerate(ends):
        came = instant
        for row in engine.inbox.read_all(connection, partition):
            if row.position >= end:
                break
            if row.stamp > instant:
                yield SettlementRow(partition, row.position, f"{STAMP}{came}", "stamped ahead; settled for an export")
            else:
                came = row.stamp


def replay_log(
    engine: Engine,
    lines: Iterable[bytes],
    progress: Progress = lambda done: None,
    *,
    unchecked: bool = False,
    upto: Mapping[int, int] | None = None,
    keep_said: bool = False,
) -> int:
    """Lay an exported log into an empty database and decide it. The number of records.

    Packs and settlements come first, as exported; the records are decided as they come, each when the proof behind it
    agrees, or as they stand (`unchecked`). `log_file.examine` says beforehand whether all of it will. Records from the
    positions `upto` on are passed over. A second call with the same log goes on where the first was interrupted. What
    cases say to other homes leaves the table of what is on its way where the log has it, unless all is to be kept there
    (`keep_said`).
    """
    log = log_file.LogLines(lines, unchecked=unchecked)
    if engine.count != log.header.partitions:
        raise LogMismatch(
            f"the log has {log.header.partitions} partitions, this database {engine.count}: "
            f"start with an empty database and GRIDPATROL_PARTITIONS={log.header.partitions}"
        )
    with unhurried(engine):
        count = _replay_lines(engine, log, progress, upto)
    if engine.partitions.outgoing and not keep_said:
        with engine.database.begin() as connection:
            sends.forget_heard(connection)
        engine.reload()
    return count


def _replay_lines(engine: Engine, log: log_file.LogLines, progress: Progress, upto: Mapping[int, int] | None) -> int:
    count, chunk = 0, list[InboxRow]()
    for item in log:
        if item.record is not None:
            if upto is not None and item.record.position >= upto[item.record.partition]:
                continue
            chunk.append(item.record)
            count += 1
        elif item.pack is not None:
            with engine.database.begin() as connection:
                inbox_table.write_pack(connection, item.pack)
        elif item.sheet is not None:
            with engine.database.begin() as connection:
                sheets.write_sheet(connection, item.sheet)
        elif item.settlement is not None:
            engine.partitions.settle(item.settlement)
        if len(chunk) >= engine.partitions.limits.records:
            _lay(engine, chunk)
            progress(count)
            chunk = []
    _lay(engine, chunk)
    progress(count)
    return count


def _lay(engine: Engine, chunk: list[InboxRow]) -> None:
    """Append the records that an earlier, interrupted run has not appended, and decide them."""
    new = [row for row in chunk if row.position >= engine.heads[row.partition]]
    known = [row for row in chunk if row.position < engine.heads[row.partition]]
    with engine.database.read() as connection:
        for partition, same in groupby(known, key=lambda row: row.partition):
            rows = list(same)
            if inbox_table.read(connection, partition, rows[0].position, len(rows)) != rows:
                raise LogMismatch("this database holds another log already: replay into an empty one")
    with engine.database.begin() as connection:
        inbox_table.append(connection, new)
    failpoints.hit("append.after_commit")
    engine.inbox.noted(new)
    while engine.work(None) is not None:
        pass
    engine.partitions.check_running()
    engine.feed()
