"""Chains of hashes and their anchors, as they are stored, and what is still to be chained."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec import Struct

from engine.chain_form import ACTS, LETTERS, STEPS, Link
from engine.store import tables, writes
from engine.store.database import Connection
from engine.store.rows import AuditRow, LetterRow, StepRow
from engine.store.sql import among, execute, execute_many, fetch, is_sqlite, rows_as, text_of

LINK = ", ".join(Link.__struct_fields__)
STEP = StepRow.__struct_fields__
LETTER = ", ".join(LetterRow.__struct_fields__)
ACT = ", ".join(AuditRow.__struct_fields__)
PAGE = 2000
"""Rows that are read at once."""


class ChainRow(Struct):
    """A chain in an epoch: it begins after link `begun` with the hash of `note`, and ends with link `n`."""

    name: str
    epoch: int
    begun: int
    begun_at: int
    note: str
    n: int
    hash: str


class AnchorRow(Struct):
    """An anchor, its line, and where that was told."""

    number: int
    at: int
    body: str
    filed: bool = False
    published: bool = False


CHAIN = ", ".join(ChainRow.__struct_fields__)
ANCHOR = ", ".join(AnchorRow.__struct_fields__)


# ---- chains -------------------------------------------------------------------------------------------------


def read_epochs(connection: Connection) -> list[ChainRow]:
    """All epochs of all chains, in the order of names and epochs."""
    return [ChainRow(*row) for row in execute(connection, f"SELECT {CHAIN} FROM chains ORDER BY name, epoch")]


def read_chains(connection: Connection) -> dict[str, ChainRow]:
    """The chains as they go on, by name."""
    return {row.name: row for row in read_epochs(connection)}


def hold_chains(connection: Connection) -> dict[str, ChainRow]:
    """The same, held against others who would go on with them until the transaction ends."""
    if not is_sqlite(connection):
        execute(connection, "LOCK TABLE chains IN EXCLUSIVE MODE")
    return read_chains(connection)


def write_chains(connection: Connection, rows: Sequence[ChainRow]) -> None:
    """Keep chains, or where they end now."""
    writes.upsert(connection, tables.chains, rows)


def write_links(connection: Connection, links: Sequence[Link]) -> None:
    """Keep new links, which get the next numbers of the feed. The chains are held."""
    number = last_number(connection)
    for link in links:
        number = link.number = number + 1
    writes.insert(connection, tables.chain_links, links)


def last_number(connection: Connection) -> int:
    """The number of the last line of the feed; 0: there is none."""
    return int(fetch(connection, "SELECT coalesce(max(number), 0) FROM chain_links")[0][0])


def links_of(connection: Connection, name: str, after: int = 0) -> Iterator[Link]:
    """The links of a chain, in order, after one."""
    sql = f"SELECT {LINK} FROM chain_links WHERE name = ? AND n > ? ORDER BY n LIMIT ?"
    while page := [Link(*row) for row in execute(connection, sql, name, after, PAGE)]:
        yield from page
        after = page[-1].n


def hashes_at(connection: Connection, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, str]]:
    """(epoch, hash) of links by chain and number, of those that there are."""
    asked, values = rows_as(connection, "w", {"name": "text", "n": "bigint"}, sorted(places))
    sql = (
        f"SELECT l.name, l.n, l.epoch, l.hash FROM {asked} CROSS JOIN chain_links l WHERE l.name = w.name AND l.n = w.n"
    )
    return {(name, n): (epoch, hash_) for name, n, epoch, hash_ in fetch(connection, sql, *values)} if places else {}


def page_of_feed(connection: Connection, after: int, upto: int, marked: bool, limit: int) -> list[Link]:
    """Lines of the feed over all chains after a number, in order; `marked`: only those with a mark."""
    only = "mark <> '' AND " if marked else ""
    sql = f"SELECT {LINK} FROM chain_links WHERE {only}number > ? AND number <= ? ORDER BY number LIMIT ?"
    return [Link(*row) for row in execute(connection, sql, after, upto, limit)]


# ---- what is chained ----------------------------------------------------------------------------------------


def count_waiting(connection: Connection) -> int:
    """How many steps, letters and acts are not chained yet."""
    ends = {name: row.n for name, row in read_chains(connection).items()}
    rows = fetch(connection, "SELECT partition, n FROM partitions")
    waiting = sum(max(0, n - ends.get(f"{STEPS}{partition}", 0)) for partition, n in rows)
    for table in ("dead_letters", "audit"):
        waiting += fetch(connection, f"SELECT count(*) FROM {table} WHERE chain_due")[0][0]
    return int(waiting)


def steps_after(connection: Connection, partition: int, after: int, limit: int) -> list[StepRow]:
    """Steps of a partition after a number that are in the tables, in order."""
    names = [text_of(connection, name) if name == "body" else name for name in STEP]
    sql = f"SELECT {', '.join(names)} FROM facts WHERE partition = ? AND n > ? ORDER BY n LIMIT ?"
    return [StepRow(*row) for row in fetch(connection, sql, partition, after, limit)]


def partitions_of_steps(connection: Connection) -> dict[int, int]:
    """The number of the last step of each partition."""
    return {partition: n for partition, n in fetch(connection, "SELECT partition, n FROM partitions")}


def strange_steps(connection: Connection) -> list[tuple[int, int]]:
    """(partition, number) of steps beyond the ends of their partitions, or of none."""
    sql = """
        SELECT f.partition, f.n FROM facts f LEFT JOIN partitions p ON p.partition = f.partition
        WHERE p.partition IS NULL OR f.n > p.n ORDER BY f.partition, f.n"""
    return [(partition, n) for partition, n in execute(connection, sql)]


def letters_due(connection: Connection, limit: int) -> list[LetterRow]:
    """Letters that are to be chained, those first that were kept first."""
    sql = f"SELECT {LETTER} FROM dead_letters WHERE chain_due ORDER BY kept_at, id LIMIT ?"
    return [LetterRow(*row) for row in execute(connection, sql, limit)]


def acts_due(connection: Connection, limit: int) -> list[AuditRow]:
    """Acts that are to be chained, the earliest first."""
    sql = f"SELECT {ACT} FROM audit WHERE chain_due ORDER BY at, id LIMIT ?"
    return [AuditRow(*row) for row in execute(connection, sql, limit)]


def mark_chained(connection: Connection, name: str, ids: Collection[str]) -> None:
    """These letters, or acts, are chained."""
    table = {LETTERS: "dead_letters", ACTS: "audit"}[name]
    condition, wanted = among(connection, "id", sorted(ids))
    execute(connection, f"UPDATE {table} SET chain_due = false WHERE {condition}", wanted)


def salted(connection: Connection, salts: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """(salt, body) by token, of those of these (token, fresh salt) that are sealed and not erased. One that has a salt
    keeps it; whoever erases one meanwhile waits until the transaction ends."""
    asked, values = rows_as(connection, "w", {"token": "text", "salt": "text"}, sorted(salts))
    if not salts:
        return {}
    lock = "" if is_sqlite(connection) else " FOR UPDATE OF s"
    sql = f"""
        SELECT s.token, s.salt, s.body, w.salt FROM {asked} CROSS JOIN sealed s
        WHERE s.token = w.token AND s.body <> ''{lock}"""
    found = {token: (salt, body, fresh) for token, salt, body, fresh in fetch(connection, sql, *values)}
    new = [(fresh, token) for token, (salt, _, fresh) in sorted(found.items()) if not salt]
    if new:
        execute_many(connection, "UPDATE sealed SET salt = ? WHERE token = ?", new)
    return {token: (salt or fresh, body) for token, (salt, body, fresh) in found.items()}


def read_sealed(connection: Connection, tokens: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """(salt, body, case) of what is, or was, sealed under these tokens."""
    condition, wanted = among(connection, "token", sorted(tokens))
    sql = f"SELECT token, salt, body, subject FROM sealed WHERE {condition}"
    return {token: (salt, body, subject) for token, salt, body, subject in execute(connection, sql, wanted)}


def read_erasures(connection: Connection) -> set[str]:
    """Of which cases the audit says that their words were erased."""
    sql = "SELECT object FROM audit WHERE act = 'incident.erased'"
    return set(execute(connection, sql).scalars())


class KeptRow(Struct):
    """A letter or an act as it stands, whether it is to be chained, and when it was kept last (ms UTC)."""

    row: LetterRow | AuditRow
    due: bool
    kept_at: int


def kept_rows(connection: Connection, name: str) -> Iterator[KeptRow]:
    """All letters, or all acts, of the tables."""
    if name == LETTERS:
        sql = f"SELECT chain_due, kept_at, {LETTER} FROM dead_letters"
        for due, kept, *row in execute(connection, sql):
            yield KeptRow(LetterRow(*row), bool(due), kept)
    else:
        for due, kept, *row in execute(connection, f"SELECT chain_due, at, {ACT} FROM audit"):
            yield KeptRow(AuditRow(*row), bool(due), kept)


def steps_at(connection: Connection, places: Collection[tuple[int, int]]) -> list[StepRow]:
    """Steps by partition and number, of those that are in the tables."""
    if not places:
        return []
    names = [text_of(connection, "f.body") if name == "body" else f"f.{name}" for name in STEP]
    asked, values = rows_as(connection, "w", {"partition": "int", "n": "bigint"}, sorted(places))
    sql = f"""
        SELECT {", ".join(names)} FROM {asked} CROSS JOIN facts f
        WHERE f.partition = w.partition AND f.n = w.n"""
    return [StepRow(*row) for row in fetch(connection, sql, *values)]


def letters_at(connection: Connection, ids: Collection[str]) -> list[LetterRow]:
    """Letters by their ids, of those that are in the tables."""
    condition, wanted = among(connection, "id", sorted(ids))
    sql = f"SELECT {LETTER} FROM dead_letters WHERE {condition}"
    return [LetterRow(*row) for row in execute(connection, sql, wanted)]


def acts_at(connection: Connection, ids: Collection[str]) -> list[AuditRow]:
    """Acts by their ids."""
    condition, wanted = among(connection, "id", sorted(ids))
    return [AuditRow(*row) for row in execute(connection, f"SELECT {ACT} FROM audit WHERE {condition}", wanted)]


# ---- anchors ------------------------------------------------------------------------------------------------


def read_anchors(connection: Connection) -> list[AnchorRow]:
    """All anchors, the earliest first."""
    return [AnchorRow(*row) for row in execute(connection, f"SELECT {ANCHOR} FROM anchors ORDER BY number")]


def last_anchor(connection: Connection) -> AnchorRow | None:
    """The last anchor; None: there is none."""
    row = execute(connection, f"SELECT {ANCHOR} FROM anchors ORDER BY number DESC LIMIT 1").first()
    return AnchorRow(*row) if row else None


def anchors_untold(connection: Connection, where: str) -> list[AnchorRow]:
    """Anchors that are not `filed`, or not `published`."""
    sql = f"SELECT {ANCHOR} FROM anchors WHERE NOT {where} ORDER BY number"
    return [AnchorRow(*row) for row in execute(connection, sql)]


def write_anchor(connection: Connection, row: AnchorRow) -> None:
    """Keep an anchor."""
    writes.insert(connection, tables.anchors, [row])


def mark_told(connection: Connection, where: str, numbers: Collection[Any]) -> None:
    """These anchors are `filed`, or `published`."""
    condition, wanted = among(connection, "number", sorted(numbers))
    execute(connection, f"UPDATE anchors SET {where} = true WHERE {condition}", wanted)
