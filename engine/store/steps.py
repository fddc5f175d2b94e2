"""Steps as consumers read them: by their own position per partition, in order, never over a gap."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from engine.errors import GridpatrolError
from engine.store import writes
from engine.store.positions import PositionRow, read_positions
from engine.store.rows import StepRow
from engine.store.sql import among_few, execute, fetch, is_sqlite, rows_as, text_of
from engine.store.tables import positions
from schemas import facts


class FactsGap(GridpatrolError):
    """Steps of a partition are missing. Figures and alerts wait for them instead of going on without."""

    remedy = "Run `gridpatrol verify` to see what is missing, and restore the store from a backup."


class ConsumerAhead(GridpatrolError):
    """A consumer has taken in steps that the store does not have: they are of different backups. It would pass over the
    next steps in silence, so it takes in none."""

    remedy = (
        "Restore the whole database from one backup. Figures alone: `gridpatrol performance rebuild` folds them anew."
    )


SILENT_MS = 20_000
"""How long a transaction on PostgreSQL may hold a consumer's positions without a statement."""


class StepRange(NamedTuple):
    """Steps of a partition: after `after`, up to and including `upto`."""

    partition: int
    after: int
    upto: int


class Positions(NamedTuple):
    """By partition: the last number that a consumer has taken in, and the last one that there is."""

    last: dict[int, int]
    ends: dict[int, int]


def read_new(
    connection: Connection,
    consumer: str,
    limit: int,
    partitions: Collection[int] | None = None,
    at_hand: Sequence[StepRow] = (),
) -> list[StepRow]:
    """The next rows for a consumer, by partition and n, about `limit` at most; FactsGap where one is missing.

    Where there are more, each partition gets its share. Locks the consumer's positions, so that a second process with
    the same name waits instead of counting twice. With `partitions` only these are read. `at_hand` as for
    `read_shared`.
    """
    if at_hand and _are_next(connection, [consumer], at_hand):
        return list(at_hand)
    return read_next(connection, consumer, hold(connection, consumer, partitions), limit)


def read_shared(
    connection: Connection, consumers: Sequence[str], limit: int, at_hand: Sequence[StepRow] = ()
) -> list[StepRow] | None:
    """The same for consumers that read together; None where they do not stand at the same steps.

    Rows `at_hand` are steps that were committed, of each partition some in a row. If they are the next ones for all of
    these consumers they are taken, and nothing is read but positions.
    """
    if at_hand and _are_next(connection, consumers, at_hand):
        return list(at_hand)
    stands = hold_each(connection, consumers)
    if any(each != stands[0] for each in stands):
        return None
    return read_next(connection, consumers[0], stands[0], limit)


def read_next(connection: Connection, reader: str, held: Positions, limit: int) -> list[StepRow]:
    """The same from positions that are held already."""
    behind = [(p, last, held.ends[p]) for p, last in held.last.items() if held.ends[p] > last]
    fits = sum(upto - after for _, after, upto in behind) <= limit
    share = limit if fits else max(1, limit // len(behind))
    wanted = [StepRange(p, after, min(upto, after + share)) for p, after, upto in behind]
    return read_ranges(connection, reader, wanted)


def read_ranges(connection: Connection, reader: str, wanted: list[StepRange]) -> list[StepRow]:
    """All rows of these ranges, which come by partition and n; FactsGap where one is missing."""
    if not wanted:
        return []
    names = ", ".join(f"s.{name}" for name in StepRow.__struct_fields__[:-1])
    asked, values = rows_as(connection, "w", {"partition": "int", "after": "bigint", "upto": "bigint"}, wanted)
    sql = f"""
        SELECT {names}, {text_of(connection, "s.body")} FROM {asked} CROSS JOIN facts s
        WHERE s.partition = w.partition AND s.n > w.after AND s.n <= w.upto ORDER BY s.partition, s.n"""
    rows = [StepRow(*row) for row in fetch(connection, sql, *values)]
    k = 0
    for partition, after, upto in wanted:
        for n in range(after + 1, upto + 1):
            if k == len(rows) or (rows[k].partition, rows[k].n) != (partition, n):
                raise FactsGap(f"step {n} of partition {partition} is missing for {reader}")
            k += 1
    return rows


def hold(
    connection: Connection, consumer: str, partitions: Collection[int] | None = None, *, ahead: bool = False
) -> Positions:
    """Where a consumer stands, held against others of its name until the transaction ends.

    Of these partitions, or of all; those without steps are left out. ConsumerAhead where it stands after the last step,
    unless it may be `ahead`.
    """
    return hold_each(connection, [consumer], partitions, ahead=ahead)[0]


def hold_each(
    connection: Connection, consumers: Sequence[str], partitions: Collection[int] | None = None, *, ahead: bool = False
) -> list[Positions]:
    """The same of several consumers, in their order."""
    last, ends = lock_positions(connection, consumers, partitions), _ends_of(connection, partitions)
    new = [PositionRow(name, p, 0) for name in consumers for p in ends if p not in last[name]]
    if new:  # what does not exist cannot be locked
        writes.insert_missing(connection, positions, new)
        last, ends = lock_positions(connection, consumers, partitions), _ends_of(connection, partitions)
    for name in consumers:
        for partition, n in last[name].items():
            if n > (end := ends.get(partition, 0)) and not ahead:
                raise ConsumerAhead(f"{name} has taken in steps up to {n} of partition {partition}, which has {end}")
    known = [{p: stands[p] for p in ends if p in stands} for stands in map(last.__getitem__, consumers)]
    return [Positions(stands, {p: ends[p] for p in stands}) for stands in known]


def read_ends(connection: Connection) -> dict[int, int]:
    """The last number of each partition that has steps, in the order of partitions."""
    sql = "SELECT partition, n FROM partitions WHERE n > 0 ORDER BY partition"
    return {partition: n for partition, n in fetch(connection, sql)}


def lock_positions(
    connection: Connection, consumers: Sequence[str], partitions: Collection[int] | None = None
) -> dict[str, dict[int, int]]:
    """Where consumers stand, by name and partition, held until the transaction ends.

    Rows are locked in the order of their keys, so that two who want several of them never wait in a circle.
    """
    timeout = lock = ""
    if not is_sqlite(connection):
        # The server ends a transaction that holds them and falls silent: its machine may be gone.
        timeout = f", set_config('idle_in_transaction_session_timeout', '{SILENT_MS}', true)"
        lock = " FOR UPDATE"
    these, values = among_few(connection, "consumer", sorted(consumers))
    if partitions is not None:
        among_these, wanted = among_few(connection, "partition", sorted(partitions))
        these, values = f"{these} AND {among_these}", [*values, *wanted]
    sql = f"SELECT consumer, partition, n{timeout} FROM positions WHERE {these} ORDER BY consumer, partition{lock}"
    last: dict[str, dict[int, int]] = {name: {} for name in consumers}
    for row in fetch(connection, sql, *values):
        last[row[0]][row[1]] = row[2]
    return last


def _ends_of(connection: Connection, partitions: Collection[int] | None) -> dict[int, int]:
    """The last numbers. They are read under the lock, by a statement of their own: whoever had it before may have taken
    in steps that came meanwhile."""
    return {p: n for p, n in read_ends(connection).items() if partitions is None or p in partitions}


def _are_next(connection: Connection, consumers: Sequence[str], rows: Sequence[StepRow]) -> bool:
    """Whether these rows are the next ones for each of the consumers, whose positions are locked."""
    first, last = dict[int, int](), dict[int, int]()
    for row in rows:
        n = first.setdefault(row.partition, row.n)
        if row.n != last.get(row.partition, n - 1) + 1:
            return False
        last[row.partition] = row.n
    before = {partition: n - 1 for partition, n in first.items()}
    stands = lock_positions(connection, consumers, first)
    return all(stands[name] == before for name in consumers)


def step_of(row: StepRow) -> facts.Step:
    """The step that a row holds."""
    return facts.Step(
        partition=row.partition,
        n=row.n,
        case=row.case_id,
        seq=row.seq,
        at=row.at,
        day=row.day,
        policy=row.policy,
        definition=row.definition,
        path=row.path,
        category=row.category,
        group=row.grp,
        department=row.department,
        post=row.post,
        cause=facts.decode_cause(row.cause),
        facts=facts.decode_facts(row.body),
    )


def move_on(connection: Connection, consumers: Sequence[str], taken: Sequence[StepRow | facts.Step]) -> None:
    """Keep that these consumers have taken in these steps; of each partition they come in order."""
    ends = sorted({step.partition: step.n for step in taken}.items())
    moved = [PositionRow(name, p, n) for name in sorted(consumers) for p, n in ends]
    writes.upsert(connection, positions, moved)


def forget(connection: Connection, consumer: str) -> None:
    """Let a consumer begin again. A process that reads for it at this moment is waited for."""
    hold(connection, consumer, ahead=True)
    execute(connection, "UPDATE positions SET n = 0 WHERE consumer = ?", consumer)


def read_behind(connection: Connection, consumer: str) -> dict[int, int]:
    """Where a consumer stands, of the partitions that have more; or fewer, and then it is not to go on."""
    last = read_positions(connection, consumer)
    return {p: last.get(p, 0) for p, n in read_ends(connection).items() if last.get(p, 0) != n}


def count_told(connection: Connection) -> int:
    """How many steps all partitions have told so far."""
    return int(execute(connection, "SELECT coalesce(sum(n), 0) FROM partitions").scalar_one())
