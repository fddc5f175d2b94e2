"""Steps as consumers read them: by their own position per partition, in order, never over a gap."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from engine.errors import GridpatrolError
from engine.store import writes
from engine.store.positions import PositionRow, read_positions
from engine.store.rows import StepRow
from engine.store.sql import among, execute, is_sqlite, rows_as
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
    connection: Connection, consumer: str, limit: int, partitions: Collection[int] | None = None
) -> list[StepRow]:
    """The next rows for a consumer, by partition and n, about `limit` at most; FactsGap where one is missing.

    Each partition gets its share of the limit. Locks the consumer's positions, so that a second process with the same
    name waits instead of counting twice. With `partitions` only these are read.
    """
    held = hold(connection, consumer, partitions)
    behind = [(p, last, held.ends[p]) for p, last in held.last.items() if held.ends[p] > last]
    share = max(1, limit // max(1, len(behind)))
    wanted = [StepRange(p, after, min(upto, after + share)) for p, after, upto in behind]
    return read_ranges(connection, consumer, wanted)


def read_ranges(connection: Connection, reader: str, wanted: list[StepRange]) -> list[StepRow]:
    """All rows of these ranges, which come by partition and n; FactsGap where one is missing."""
    if not wanted:
        return []
    names = ", ".join(f"s.{name}" for name in StepRow.__struct_fields__)
    asked, values = rows_as(connection, "w", {"partition": "int", "after": "bigint", "upto": "bigint"}, wanted)
    sql = f"""
        SELECT {names} FROM {asked} CROSS JOIN facts s
        WHERE s.partition = w.partition AND s.n > w.after AND s.n <= w.upto ORDER BY s.partition, s.n"""
    rows = [StepRow(*row) for row in execute(connection, sql, *values)]
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
    stands = _lock(connection, consumer, partitions)
    new = [PositionRow(consumer, p, 0) for p in stands.ends if p not in stands.last]
    if new:  # what does not exist cannot be locked
        writes.insert_missing(connection, positions, new)
        stands = _lock(connection, consumer, partitions)
    for partition, n in stands.last.items():
        if n > (end := stands.ends.get(partition, 0)) and not ahead:
            raise ConsumerAhead(f"{consumer} has taken in steps up to {n} of partition {partition}, which has {end}")
    known = [p for p in stands.ends if p in stands.last]
    return Positions({p: stands.last[p] for p in known}, {p: stands.ends[p] for p in known})


def read_ends(connection: Connection) -> dict[int, int]:
    """The last number of each partition that has steps, in the order of partitions."""
    sql = "SELECT partition, n FROM partitions WHERE n > 0 ORDER BY partition"
    return {partition: n for partition, n in execute(connection, sql)}


def _lock(connection: Connection, consumer: str, partitions: Collection[int] | None) -> Positions:
    """Rows are locked in the order of partitions, so that two who want several of them never wait in a circle.

    The ends are read under the lock: whoever had it before may have taken in steps that came meanwhile.
    """
    lock = ""
    if not is_sqlite(connection):
        # The server ends a transaction that holds them and falls silent: its machine may be gone.
        execute(connection, f"SET LOCAL idle_in_transaction_session_timeout = {SILENT_MS}")
        lock = " FOR UPDATE"
    condition, values = "", list[object]()
    if partitions is not None:
        among_these, wanted = among(connection, "partition", sorted(partitions))
        condition, values = f" AND {among_these}", [wanted]
    sql = f"SELECT partition, n FROM positions WHERE consumer = ?{condition} ORDER BY partition{lock}"
    last = {partition: n for partition, n in execute(connection, sql, consumer, *values)}
    ends = {p: n for p, n in read_ends(connection).items() if partitions is None or p in partitions}
    return Positions(last, ends)


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


def move_on(connection: Connection, consumer: str, taken: Sequence[StepRow | facts.Step]) -> None:
    """Keep that these steps have been taken in; of each partition they come in order."""
    ends = {step.partition: step.n for step in taken}
    moved = [PositionRow(consumer, p, n) for p, n in sorted(ends.items())]
    writes.upsert(connection, positions, moved)


def forget(connection: Connection, consumer: str) -> None:
    """Let a consumer begin again. A process that reads for it at this moment is waited for."""
    hold(connection, consumer, ahead=True)
    execute(connection, "UPDATE positions SET n = 0 WHERE consumer = ?", consumer)


def read_behind(connection: Connection, consumer: str) -> dict[int, int]:
    """Where a consumer stands, of the partitions that have more; or fewer, and then it is not to go on."""
    last = read_positions(connection, consumer)
    return {p: last.get(p, 0) for p, n in read_ends(connection).items() if last.get(p, 0) != n}
