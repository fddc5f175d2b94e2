"""Steps as consumers read them: by their own position per partition, in order, never over a gap.

In: the open transaction and a consumer's name. Out: rows of the table `facts` that are new to it, and its
positions.
"""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection as Connection  # for consumers, which hand it on

from engine.errors import GridpatrolError
from engine.store import writes
from engine.store.positions import PositionRow
from engine.store.rows import StepRow
from engine.store.tables import positions
from schemas import facts as f


class FactsGap(GridpatrolError):
    """Steps of a partition are missing: figures and alerts wait for them instead of going on without."""

    remedy = "Run `gridpatrol verify` to see what is missing, and restore the store from a backup."


class Stretch(NamedTuple):
    """Steps of a partition: after `after`, up to and including `upto`."""

    partition: int
    after: int
    upto: int


def read_new(connection: Connection, consumer: str, limit: int) -> list[StepRow]:
    """The next rows for a consumer, by partition and n, about `limit` at most; FactsGap where one is missing.

    Locks its positions, so that a second process with the same name waits instead of counting twice.
    """
    wanted = _stretches(connection, consumer, limit)
    if not wanted:
        return []
    return read_stretches(connection, consumer, wanted)


def read_stretches(connection: Connection, reader: str, wanted: list[Stretch]) -> list[StepRow]:
    """All rows of these stretches, by partition and n; FactsGap where one is missing."""
    rows = _read(connection, wanted)
    k = 0
    for partition, after, upto in wanted:
        for n in range(after + 1, upto + 1):
            if k == len(rows) or (rows[k].partition, rows[k].n) != (partition, n):
                raise FactsGap(f"step {n} of partition {partition} is missing for {reader}")
            k += 1
    return rows


def _stretches(connection: Connection, consumer: str, limit: int) -> list[Stretch]:
    """What to read of each partition that has something new: each gets its share of the limit."""
    stands = _lock(connection, consumer)
    sql = "SELECT partition, n FROM partitions WHERE n > 0 ORDER BY partition"
    ends = [(partition, n) for partition, n in connection.exec_driver_sql(sql)]
    new = [PositionRow(consumer, partition, 0) for partition, _ in ends if partition not in stands]
    if new:  # what does not exist cannot be locked
        writes.ignore(connection, positions, new)
        stands = _lock(connection, consumer)
    behind = [Stretch(p, stands[p], n) for p, n in ends if n > stands[p]]
    share = max(1, limit // max(1, len(behind)))
    return [Stretch(p, after, min(upto, after + share)) for p, after, upto in behind]


def _lock(connection: Connection, consumer: str) -> dict[int, int]:
    """Where a consumer stands, held against others of its name until the transaction ends."""
    lock, mark = (" FOR UPDATE", "%s") if connection.dialect.name == "postgresql" else ("", "?")
    sql = f"SELECT partition, n FROM positions WHERE consumer = {mark} ORDER BY partition{lock}"
    return {partition: n for partition, n in connection.exec_driver_sql(sql, (consumer,))}


def _read(connection: Connection, wanted: list[Stretch]) -> list[StepRow]:
    """The rows of these stretches, as far as they exist."""
    names = ", ".join(f"s.{name}" for name in StepRow.__struct_fields__)
    match = "s.partition = w.partition AND s.n > w.after AND s.n <= w.upto ORDER BY s.partition, s.n"
    if connection.dialect.name == "sqlite":
        rows = (
            "(SELECT json_extract(value, '$[0]') AS partition, json_extract(value, '$[1]') AS after, "
            "json_extract(value, '$[2]') AS upto FROM json_each(?)) w"
        )
        sql = f"SELECT {names} FROM {rows} CROSS JOIN facts s ON {match}"
        found = connection.exec_driver_sql(sql, (msgspec.json.encode(wanted).decode(),))
    else:
        columns = tuple(list(column) for column in zip(*wanted, strict=True))
        rows = "unnest(%s::int[], %s::bigint[], %s::bigint[]) AS w(partition, after, upto)"
        found = connection.exec_driver_sql(f"SELECT {names} FROM {rows} JOIN facts s ON {match}", columns)
    return [StepRow(*row) for row in found]


def step_of(row: StepRow) -> f.Step:
    """A row as the step that it is."""
    return f.Step(
        partition=row.partition, n=row.n, case=row.case_id, seq=row.seq, at=row.at, day=row.day,
        policy=row.policy, path=row.path, category=row.category, group=row.grp, department=row.department,
        post=row.post, cause=f.decode_cause(row.cause), facts=f.decode_facts(row.body),
    )  # fmt: skip


def move_on(connection: Connection, consumer: str, rows: list[StepRow]) -> None:
    """Keep that these rows have been read."""
    ends = {row.partition: row.n for row in rows}
    moved = [PositionRow(consumer, p, n) for p, n in sorted(ends.items())]
    writes.upsert(connection, positions, moved)
