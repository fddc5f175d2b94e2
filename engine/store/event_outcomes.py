"""What became of the events of a source, in the order in which it was decided. Reads only.

Outcomes of a partition are numbered as they are decided (`seen.decided`), a transaction's all above those of the one
before; the event that waited and is then decided gets another number. So whoever reads by number up to the last
transaction misses none. Conflicts have no row of their own in `seen`: their letters are numbered along.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from engine.store.rows import OUTCOMES_A_VERSION, SeenRow
from engine.store.sql import fetch, is_sqlite, rows_as

BEGINNING = -(10**16)
"""Below the number of any outcome."""

_SEEN = ", ".join(SeenRow.__struct_fields__)
_OF_LETTER = {
    "id": "event_id",
    "home": "''",
    "actor": "''",
    "digest": "''",
    "arrival": "at",
    "outcome": "'conflict'",
    "decided_at": "at",
}
_LETTER = ", ".join(_OF_LETTER.get(name, name) for name in SeenRow.__struct_fields__)
_WHICH = "decided <> 0 AND source = ? AND partition = {p} AND decided > {a} AND decided <= {u} ORDER BY decided LIMIT ?"


def read_last(connection: Connection) -> dict[int, int]:
    """Up to which number the outcomes of each partition are all there: read it before them."""
    rows = fetch(connection, "SELECT partition, version FROM partitions ORDER BY partition")
    return {partition: (version + 1) * OUTCOMES_A_VERSION - 1 for partition, version in rows}


def read(
    connection: Connection, source: str, after: Mapping[int, int], last: Mapping[int, int], limit: int
) -> dict[int, list[SeenRow]]:
    """Outcomes of a source by partition, from after a number up to one, so many of each partition at most."""
    wanted = [(partition, after.get(partition, BEGINNING), upto) for partition, upto in last.items()]
    wanted = [row for row in wanted if row[1] < row[2]]
    found: dict[int, list[SeenRow]] = {partition: [] for partition, _, _ in wanted}
    for table, names, which in (("seen", _SEEN, _WHICH), ("dead_letters", _LETTER, _WHICH)):
        sql = f"SELECT {names} FROM {table} WHERE {which}"
        if is_sqlite(connection):  # where a statement more costs no way to a server
            asked = sql.format(p="?", a="?", u="?")
            rows = [row for place in wanted for row in fetch(connection, asked, source, *place, limit)]
        elif wanted:
            kinds = {"p": "int", "a": "bigint", "u": "bigint"}
            places, values = rows_as(connection, "w", kinds, wanted)
            inner = sql.format(p="w.p", a="w.a", u="w.u")
            lateral = f"SELECT f.* FROM {places} CROSS JOIN LATERAL ({inner}) f"
            rows = fetch(connection, lateral, *values, source, limit)
        else:
            rows = []
        for row in rows:
            found[row[0]].append(SeenRow(*row))
    return {partition: sorted(rows, key=lambda row: row.decided)[:limit] for partition, rows in found.items()}
