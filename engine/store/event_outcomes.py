"""What became of the events of a source, in the order in which it was decided. Reads only.

Outcomes of a partition are numbered as they are decided (`seen.decided`), a transaction's all above those of the one
before; the event that waited and is then decided gets another number. So whoever reads by number up to the last
transaction misses none. Conflicts have no row of their own in `seen`: their letters are numbered along.
What an intake refuses comes to no partition: its letters have numbers of their own (AT_INTAKE).
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from engine.store.dead_letters import REFUSED_AT_INTAKE
from engine.store.meta import read_meta
from engine.store.rows import OUTCOMES_A_VERSION, SeenRow
from engine.store.sql import fetch, is_sqlite, rows_as

AT_INTAKE = -1
"""Stands for the partition of what an intake has refused: it has none."""
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
_OF_REFUSED = _OF_LETTER | {"partition": str(AT_INTAKE), "position": "-1", "outcome": "'refused'"}
_REFUSED = ", ".join(_OF_REFUSED.get(name, name) for name in SeenRow.__struct_fields__)
_WHICH = "decided <> 0 AND source = ? AND partition = {p} AND decided > {a} AND decided <= {u} ORDER BY decided LIMIT ?"


def read_last(connection: Connection) -> dict[int, int]:
    """Up to which number the outcomes of each partition are all there: read it before them."""
    rows = fetch(connection, "SELECT partition, version FROM partitions ORDER BY partition")
    last = {partition: (version + 1) * OUTCOMES_A_VERSION - 1 for partition, version in rows}
    refused = read_meta(connection, REFUSED_AT_INTAKE)
    return last if refused is None else {AT_INTAKE: int(refused)} | last


def read_at_intake(connection: Connection, source: str, after: int, upto: int, limit: int) -> list[SeenRow]:
    """What intakes have refused of a source, from after a number up to one."""
    sql = f"""SELECT {_REFUSED} FROM dead_letters WHERE decided <> 0 AND source = ? AND partition IS NULL
              AND decided > ? AND decided <= ? ORDER BY partition, decided LIMIT ?"""
    return [SeenRow(*row) for row in fetch(connection, sql, source, after, upto, limit)]


def read(
    connection: Connection, source: str, after: Mapping[int, int], last: Mapping[int, int], limit: int
) -> dict[int, list[SeenRow]]:
    """Outcomes of a source by partition, from after a number up to one, so many of each partition at most."""
    wanted = [(partition, after.get(partition, BEGINNING), upto) for partition, upto in last.items()]
    wanted = [row for row in wanted if row[1] < row[2]]
    found: dict[int, list[SeenRow]] = {partition: [] for partition, _, _ in wanted}
    for place in [row for row in wanted if row[0] == AT_INTAKE]:
        found[AT_INTAKE] = read_at_intake(connection, source, place[1], place[2], limit)
        wanted.remove(place)
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
