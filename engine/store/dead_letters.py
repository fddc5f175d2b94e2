"""Dead letters as operators read them. In: the open transaction. Out: letters, the latest first; their sealed bytes."""

from sqlalchemy import Connection

from engine.store import writes
from engine.store.rows import LetterRow


class Letter(LetterRow):
    """What was not taken, and why. `replayed` says how a replay ended; empty: nobody has replayed it."""

    replayed: str


_COLUMNS = ", ".join(Letter.__struct_fields__)


def listed(
    connection: Connection,
    *,
    reason: str = "",
    open_only: bool = False,
    before: tuple[int, str] | None = None,
    limit: int = 100,
) -> list[Letter]:
    """Letters, the latest first; `before` is the (at, id) where the last page ended."""
    mark = writes.mark(connection)
    parts, values = ["1 = 1"], list[object]()
    if reason:
        parts.append(f"reason = {mark}")
        values.append(reason)
    if open_only:
        parts.append("replayed = ''")
    if before is not None:
        parts.append(f"(at, id) < ({mark}, {mark})")
        values += before
    sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE {' AND '.join(parts)} ORDER BY at DESC, id DESC LIMIT {mark}"
    return [Letter(*row) for row in connection.exec_driver_sql(sql, (*values, limit))]


def read(connection: Connection, id_: str) -> Letter | None:
    """One letter."""
    sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE id = {writes.mark(connection)}"
    row = connection.exec_driver_sql(sql, (id_,)).first()
    return Letter(*row) if row else None


def read_sealed(connection: Connection, token: str) -> str | None:
    """What was sealed under a token; None once it has been erased."""
    sql = f"SELECT body FROM sealed WHERE token = {writes.mark(connection)}"
    body: str | None = connection.exec_driver_sql(sql, (token,)).scalar_one_or_none()
    return body or None  # erased: an empty body in its place


def write_replayed(connection: Connection, id_: str, how: str) -> None:
    """Keep how the replay of a letter ended."""
    mark = writes.mark(connection)
    connection.exec_driver_sql(f"UPDATE dead_letters SET replayed = {mark} WHERE id = {mark}", (how, id_))


def counts(connection: Connection) -> list[tuple[str, int, int]]:
    """By reason: how many there are, and how many nobody has replayed."""
    sql = (
        "SELECT reason, count(*), sum(CASE WHEN replayed = '' THEN 1 ELSE 0 END) FROM dead_letters "
        "GROUP BY reason ORDER BY reason"
    )
    return [(reason, int(total), int(open_)) for reason, total, open_ in connection.exec_driver_sql(sql)]
