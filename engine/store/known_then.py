"""What stood at an instant, as it was known then: cases by the steps that had arrived.

What had arrived by an instant T never changes, but for a case that stands and is decided on later. So the truth of T is
the sum of a case's steps with an arrival up to T (`read_steps`), and the rest of this file is only the way to them:

1. Who may have been open at T. Of the cases that are open now, those that had begun. Of those that are over, the ones
   whose clock of the whole case began before T and was known to have stopped after it. For these `outcomes` has an
   index by the class of their length (SPAN) and their beginning: those of a class that were open at T began at most its
   length before T. So what is read is in proportion to what was open then, not to the history before or after.
2. The steps that the fold has not taken in have no outcomes yet: their cases are asked for themselves. They are few,
   but for the time in which figures are folded anew.
3. A case that has not moved since T is as it is stored.
"""

from collections.abc import Collection, Iterator

from sqlalchemy import Connection

from engine.store.sql import among, execute, rows_as, text_of
from engine.store.tables import LENGTHS_MS, SPAN, WHOLE


def find_open(connection: Connection, at: int, definitions: Collection[str]) -> list[tuple[str, int]]:
    """(id, when it began by its own word) of cases that may have been open at an instant, by id. All that were are
    among them."""
    kinds, wanted = among(connection, "definition", sorted(definitions))
    # A class's intervals are shorter than its length; the last class has none, and goes back to the beginning.
    classes = [(k, max(-1, at - length)) for k, length in enumerate((*LENGTHS_MS, at + 1))]
    source, of_classes = rows_as(connection, "k", {"span": "bigint", "after": "bigint"}, classes)
    now_over, of_these = among(connection, "c.definition", sorted(definitions))
    # Open cases are in the index of deadlines, or in that of cases without one. Without the sum and the id SQLite would
    # walk all cases that had begun, or all without a deadline. CROSS JOIN keeps the order in which it reads.
    dated, undated = (
        f"SELECT id, opened_at FROM cases WHERE open AND {kinds} AND due_at IS {what} AND opened_at + 0 <= ?"
        for what in ("NOT NULL", "NULL AND id > ''")
    )
    sql = f"""
        {dated} UNION {undated}
        UNION
        SELECT case_id, started FROM {source} CROSS JOIN outcomes
        WHERE {WHOLE} AND {SPAN} = k.span AND started > k.after AND started <= ? AND arrival > ? AND {kinds}
        UNION
        SELECT c.id, c.opened_at FROM partitions p CROSS JOIN facts f CROSS JOIN cases c
        WHERE f.partition = p.partition AND c.id = f.case_id AND f.n > coalesce(
                (SELECT s.n FROM positions s WHERE s.consumer = 'performance' AND s.partition = p.partition), 0)
            AND NOT c.open AND c.opened_at <= ? AND {now_over} AND f.at > ?
        ORDER BY 1"""
    values = (wanted, at, wanted, at, *of_classes, at, at, wanted, at, of_these, at)
    found = dict[str, int]()
    for id_, began in execute(connection, sql, *values):
        found.setdefault(id_, began)
    return list(found.items())


def read_unmoved(connection: Connection, ids: Collection[str], at: int) -> dict[str, str]:
    """The bodies of those of these cases that have taken no step after an instant."""
    condition, wanted = among(connection, "c.id", sorted(ids))
    sql = f"""
        SELECT c.id, c.body FROM cases c JOIN facts f ON f.case_id = c.id AND f.seq = c.seq
        WHERE {condition} AND f.at <= ?"""
    return {id_: body for id_, body in execute(connection, sql, wanted, at)}


def read_steps(connection: Connection, ids: Collection[str], at: int) -> Iterator[tuple[str, int, str]]:
    """(case, seq, facts) of the steps of these cases that had arrived by an instant, in order within each."""
    condition, wanted = among(connection, "case_id", sorted(ids))
    body = text_of(connection, "body")
    sql = f"SELECT case_id, seq, {body} FROM facts WHERE {condition} AND at <= ? ORDER BY case_id, seq"
    for row in execute(connection, sql, wanted, at):
        yield (*row,)


def read_first(connection: Connection) -> int | None:
    """The arrival of the first step that is stored: one look per partition. None before it."""
    sql = """
        SELECT min(f.at) FROM partitions p JOIN facts f ON f.partition = p.partition
            AND f.n = (SELECT min(g.n) FROM facts g WHERE g.partition = p.partition)"""
    first: int | None = execute(connection, sql).scalar_one()
    return first
