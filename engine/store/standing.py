"""Cases that stand, the records that wait for them, and the arrivals that went past meanwhile.

A case stands where a rule failed on it. What was due next of it is hidden: `cases.next_at` is empty, and the row here
keeps it.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from engine.store import tables, writes
from engine.store.meta import read_meta, write_meta
from engine.store.rows import ArrivalsRow, StandingRow, WaitingRow
from engine.store.sql import among, execute, execute_many, fetch, is_sqlite

_STANDING = ", ".join(StandingRow.__struct_fields__)
_WAITING = ", ".join(WaitingRow.__struct_fields__)


TRIED = "tried"
"""Name in `meta` where a case that stood has been decided on: its steps have later numbers than without the defect."""


def have_gone_on(connection: Connection) -> bool:
    """Whether a case that stood has ever been decided on, also if it stands again or still."""
    return read_meta(connection, TRIED) is not None


def note_late_steps(connection: Connection) -> None:
    """A try has decided something: that it came later than its arrival stays known."""
    write_meta(connection, TRIED, "1")


# ---- within a slice -----------------------------------------------------------------------------------------


def find(connection: Connection, ids: Collection[str]) -> set[str]:
    """Which of these cases stand."""
    condition, wanted = among(connection, "case_id", sorted(ids))
    return {id_ for (id_,) in fetch(connection, f"SELECT case_id FROM standing WHERE {condition}", wanted)}


def read_voices(connection: Connection, partition: int, place: str) -> set[str]:
    """Who has spoken where cases of a partition stand at a place in the code."""
    sql = "SELECT DISTINCT voice FROM standing WHERE partition = ? AND place = ?"
    return set(execute(connection, sql, partition, place).scalars())


def write(
    connection: Connection,
    standing: Sequence[StandingRow],
    waiting: Sequence[WaitingRow],
    arrivals: Sequence[ArrivalsRow],
) -> None:
    """Cases that stand, and what waits and has passed since. Write the cases before, since their next due is hidden
    here."""
    writes.upsert(connection, tables.standing, standing)
    writes.insert(connection, tables.waiting, waiting)
    writes.insert(connection, tables.arrivals, arrivals)
    for row in standing:
        set_next_at(connection, row.case_id, None)


def set_next_at(connection: Connection, case_id: str, next_at: int | None) -> None:
    """Hide what is due next of a case, or show it again."""
    execute(connection, "UPDATE cases SET next_at = ? WHERE id = ?", next_at, case_id)


# ---- another try --------------------------------------------------------------------------------------------


def read(connection: Connection, case_id: str) -> StandingRow | None:
    """How a case stands; None: it does not."""
    row = execute(connection, f"SELECT {_STANDING} FROM standing WHERE case_id = ?", case_id).one_or_none()
    return None if row is None else StandingRow(*row)


def read_ids(connection: Connection, partition: int, asked_only: bool = False) -> list[str]:
    """The cases of a partition that stand, the earliest first; or those that an operator wants to be tried again."""
    asked = "AND asked" if asked_only else ""
    sql = f"SELECT case_id FROM standing WHERE partition = ? {asked} ORDER BY position, case_id"
    return list(execute(connection, sql, partition).scalars())


def read_waiting(connection: Connection, row: StandingRow, limit: int) -> list[WaitingRow]:
    """What waits for a case from its position on, with the activations of packs, in order."""
    sql = f"""
        SELECT {_WAITING} FROM waiting WHERE case_id IN (?, '') AND partition = ? AND position >= ?
        ORDER BY position, turn LIMIT ?"""
    found = execute(connection, sql, row.case_id, row.partition, row.position, limit)
    return [WaitingRow(*each) for each in found]


def read_arrivals(connection: Connection, partition: int, position: int) -> list[ArrivalsRow]:
    """The arrivals from a position on, and perhaps some before it."""
    sql = """
        SELECT partition, position, body FROM arrivals WHERE partition = ? AND position >= coalesce(
            (SELECT max(position) FROM arrivals WHERE partition = ? AND position <= ?), 0) ORDER BY position"""
    return [ArrivalsRow(*row) for row in execute(connection, sql, partition, partition, position)]


def go_on(connection: Connection, row: StandingRow) -> None:
    """A case stands no more. What nobody needs any more goes with it."""
    execute(connection, "DELETE FROM standing WHERE case_id = ?", row.case_id)
    execute(connection, "DELETE FROM waiting WHERE case_id = ? AND partition = ?", row.case_id, row.partition)
    left = "(SELECT min(position) FROM standing WHERE partition = ?)"
    pack = f"DELETE FROM waiting WHERE partition = ? AND case_id = '' AND position < coalesce({left}, position + 1)"
    execute(connection, pack, row.partition, row.partition)
    # The slice in which the earliest one begins is still needed.
    slice_ = f"(SELECT max(a.position) FROM arrivals a WHERE a.partition = ? AND a.position <= {left})"
    passed = f"DELETE FROM arrivals WHERE partition = ? AND position < coalesce({slice_}, position + 1)"
    execute(connection, passed, row.partition, row.partition, row.partition)


def forget(connection: Connection, decided: Sequence[WaitingRow]) -> None:
    """What has been decided of a case waits no more."""
    if decided:
        sql = "DELETE FROM waiting WHERE partition = ? AND position = ? AND turn = ?"
        execute_many(connection, sql, [(row.partition, row.position, row.turn) for row in decided])


def read_crowd(connection: Connection, partition: int, most: int) -> tuple[str, str] | None:
    """The place and the kind of error at which cases of `most` voices or more stand in a partition; None: nowhere."""
    sql = """
        SELECT place, max(kind) FROM standing WHERE partition = ? GROUP BY place
        HAVING count(DISTINCT voice) >= ? ORDER BY place LIMIT 1"""
    found = execute(connection, sql, partition, most).one_or_none()
    return None if found is None else (found[0], found[1])


# ---- for people ---------------------------------------------------------------------------------------------


def listed(connection: Connection, limit: int) -> list[tuple[StandingRow, int]]:
    """Cases that stand, the earliest first, and how many records of each wait."""
    columns = ", ".join(f"s.{name}" for name in StandingRow.__struct_fields__)
    sql = f"""
        SELECT {columns}, (SELECT count(*) FROM waiting w WHERE w.case_id = s.case_id AND w.partition = s.partition)
        FROM standing s ORDER BY s.arrival, s.case_id LIMIT ?"""
    return [(StandingRow(*row[:-1]), row[-1]) for row in execute(connection, sql, limit)]


def lost(connection: Connection) -> list[tuple[int, str, str]]:
    """(partition, source, id) of events that are pending and wait for no case that stands."""
    sql = """
        SELECT e.partition, e.source, e.id FROM seen e LEFT JOIN waiting w
            ON w.partition = e.partition AND w.position = e.position AND w.case_id = e.case_id
        LEFT JOIN standing s ON s.case_id = w.case_id
        WHERE e.outcome = 'pending' AND s.case_id IS NULL ORDER BY 1, 2, 3"""
    return [(partition, source, id_) for partition, source, id_ in execute(connection, sql)]


def unlike_the_log(connection: Connection) -> list[tuple[int, int]]:
    """(partition, position) of records that wait for a case that stands, or for all that do, and are not as they are in
    the log. What a case has said is in no log, nor are records of a topic in this one."""
    sql = """
        SELECT w.partition, w.position FROM waiting w JOIN inbox i
            ON i.partition = w.partition AND i.position = w.position
        WHERE w.kind <> 'send' AND (w.kind <> i.kind OR w.body <> i.body
                                    OR (w.kind <> 'pack' AND w.principal <> i.principal)) ORDER BY 1, 2"""
    return [(partition, position) for partition, position in execute(connection, sql)]


def read_said(connection: Connection) -> list[str]:
    """What cases have said to cases that stand, and is not heard yet, as it is stored."""
    return list(execute(connection, "SELECT body FROM waiting WHERE kind = 'send'").scalars())


def counts(connection: Connection) -> list[tuple[int, int]]:
    """How many cases of each partition stand."""
    sql = "SELECT partition, standing FROM partitions ORDER BY partition"
    return [(partition, count) for partition, count in execute(connection, sql)]


def ask(connection: Connection, ids: Collection[str], halted: str) -> int:
    """Let the owners of partitions try these cases again, none named: all that stand. How many cases that are.

    A partition whose standstill begins with `halted` goes on. Its version moves on too, so that its owner reads memory
    again.
    """
    condition, values = ("case_id IS NOT NULL", []) if not ids else _among(connection, ids)
    stands = f"EXISTS (SELECT 1 FROM standing s WHERE s.partition = partitions.partition AND {condition})"
    if not ids:
        stands, values = f"({stands} OR substr(halted, 1, {len(halted)}) = ?)", [halted]
    lock = "" if is_sqlite(connection) else " FOR UPDATE"
    concerned = execute(
        connection, f"SELECT partition FROM partitions WHERE {stands} ORDER BY partition{lock}", *values
    )
    chosen, wanted = among(connection, "partition", list(concerned.scalars()))
    sql = f"""
        UPDATE partitions SET version = version + 1,
            halted = CASE WHEN substr(halted, 1, {len(halted)}) = ? THEN '' ELSE halted END WHERE {chosen}"""
    execute(connection, sql, halted, wanted)
    condition, values = ("case_id IS NOT NULL", []) if not ids else _among(connection, ids)
    return execute(connection, f"UPDATE standing SET asked = ? WHERE {condition}", True, *values).rowcount


def _among(connection: Connection, ids: Collection[str]) -> tuple[str, list[object]]:
    condition, wanted = among(connection, "case_id", sorted(ids))
    return condition, [wanted]
