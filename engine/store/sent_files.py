"""Files that are kept, as rows: who has sent which, which cases refer to them, and who may so be given them.

A row of `files` says that a principal has sent all of a file. Only then do its references count: facts show the SHA-256
of evidence to whoever reads the case, and who knows that has not seen the file. What the engine's own principals say
(`engine.principals.OURS`) counts for files of anybody. An erased reference stays, so that the same file, sent again for
the same case, brings nothing back.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import tables, writes
from engine.store.rows import FileRow, ReferenceRow
from engine.store.sql import among, execute, is_sqlite
from engine.store.writes import Target

COUNTS = "(r.principal = '' OR r.principal = f.principal)"
"""Of a reference and a row of a file: the one speaks of the other."""
_NAMES = ", ".join(f"f.{name}" for name in FileRow.__struct_fields__)


class Kept(Struct, frozen=True):
    """How many files there are, and how many bytes they have together."""

    files: int
    bytes: int


def write_references(target: Target, rows: Sequence[ReferenceRow]) -> None:
    """Keep references. One that is there stays as it is, also where it is erased."""
    writes.insert_missing(target, tables.file_references, rows)


def write(connection: Connection, row: FileRow) -> None:
    """Keep that a principal has sent a file, now."""
    writes.upsert(connection, tables.files, [row])


def remove(connection: Connection, sha256: str, principal: str) -> None:
    """Forget that a principal has sent a file."""
    execute(connection, "DELETE FROM files WHERE sha256 = ? AND principal = ?", sha256, principal)


def sent_by(connection: Connection, sha256: str, principal: str) -> FileRow | None:
    """A file as this principal has sent it; None: it has not."""
    sql = f"SELECT {_NAMES} FROM files f WHERE sha256 = ? AND principal = ?"
    row = execute(connection, sql, sha256, principal).one_or_none()
    return FileRow(*row) if row is not None else None


def referred_to(connection: Connection, sha256: str) -> FileRow | None:
    """A file to which a case refers whose words are not erased; None: there is none."""
    sql = f"""SELECT {_NAMES} FROM files f JOIN file_references r ON r.sha256 = f.sha256 AND {COUNTS}
              WHERE f.sha256 = ? AND NOT r.erased ORDER BY f.principal LIMIT 1"""
    row = execute(connection, sql, sha256).one_or_none()
    return FileRow(*row) if row is not None else None


def cases_with(connection: Connection, sha256: str) -> list[str]:
    """The cases whose words are not erased and that refer to a file, in the order of their ids."""
    sql = f"""SELECT DISTINCT r.case_id FROM files f JOIN file_references r ON r.sha256 = f.sha256 AND {COUNTS}
              WHERE f.sha256 = ? AND NOT r.erased ORDER BY r.case_id"""
    return list(execute(connection, sql, sha256).scalars())


def is_erased(connection: Connection, sha256: str, principal: str) -> bool:
    """Whether all that events of this principal, or of the engine's own, say of a file is erased; False: they say
    nothing of it."""
    sql = """SELECT count(*), coalesce(sum(CASE WHEN erased THEN 0 ELSE 1 END), 0) FROM file_references
             WHERE sha256 = ? AND principal IN ('', ?)"""
    known, living = execute(connection, sql, sha256, principal).one()
    return bool(known) and not living


def of_case(connection: Connection, case: str) -> dict[str, tuple[bool, int, str]]:
    """The files to which a case refers: whether the reference is erased; bytes and type, 0 and empty where the file has
    not come."""
    sql = f"""SELECT r.sha256, r.erased, f.size, f.media FROM file_references r
              LEFT JOIN files f ON r.sha256 = f.sha256 AND {COUNTS} WHERE r.case_id = ?"""
    found = dict[str, tuple[bool, int, str]]()
    for sha256, erased, size, media in execute(connection, sql, case):
        was = found.get(sha256, (True, 0, ""))
        found[sha256] = (was[0] and bool(erased), max(was[1], size or 0), was[2] or media or "")
    return found


def named_by(connection: Connection, cases: Collection[str]) -> dict[str, set[str]]:
    """The files to which these cases refer, erased references among them."""
    condition, wanted = among(connection, "case_id", sorted(cases))
    found = dict[str, set[str]]()
    rows = (
        execute(connection, f"SELECT case_id, sha256 FROM file_references WHERE {condition}", wanted) if cases else ()
    )
    for case, sha256 in rows:
        found.setdefault(case, set()).add(sha256)
    return found


# ---- what goes ----------------------------------------------------------------------------------------------


def erase_case(connection: Connection, case: str) -> list[str]:
    """Erase what a case says of files, and forget those to which no other case refers. Returns the files of which
    nobody is known any more to have sent them: their bytes are to go."""
    touched = list(
        execute(connection, "SELECT sha256 FROM file_references WHERE case_id = ? AND NOT erased", case).scalars()
    )
    execute(connection, "UPDATE file_references SET erased = ? WHERE case_id = ? AND NOT erased", True, case)
    condition, wanted = among(connection, "f.sha256", sorted(set(touched)))
    of_it = f"SELECT 1 FROM file_references r WHERE r.sha256 = f.sha256 AND {COUNTS}"
    sql = f"""SELECT f.sha256, f.principal FROM files f WHERE {condition}
              AND EXISTS ({of_it} AND r.case_id = ?) AND NOT EXISTS ({of_it} AND NOT r.erased)"""
    rows = [(*row,) for row in execute(connection, sql, wanted, case)]
    for sha256, principal in rows:
        remove(connection, sha256, principal)
    return without_sender(connection, {sha256 for sha256, _ in rows})


def unreferred(connection: Connection, before: int, most: int) -> list[FileRow]:
    """Files that were last sent before an instant (ms) and to which nobody refers, the oldest first. On PostgreSQL
    these rows stay locked until the transaction ends."""
    lock = "" if is_sqlite(connection) else " FOR UPDATE OF f SKIP LOCKED"
    sql = f"""SELECT {_NAMES} FROM files f WHERE f.sent_at < ?
              AND NOT EXISTS (SELECT 1 FROM file_references r WHERE r.sha256 = f.sha256 AND {COUNTS})
              ORDER BY f.sent_at, f.sha256 LIMIT ?{lock}"""
    return [FileRow(*row) for row in execute(connection, sql, before, most)]


def without_sender(connection: Connection, digests: Collection[str]) -> list[str]:
    """Those of these files that no row knows any more."""
    condition, wanted = among(connection, "sha256", sorted(digests))
    known = set(execute(connection, f"SELECT sha256 FROM files WHERE {condition}", wanted).scalars())
    return sorted(set(digests) - known)


# ---- all of them --------------------------------------------------------------------------------------------


def sizes(connection: Connection, prefix: str) -> dict[str, int]:
    """The bytes of every file whose SHA-256 begins so."""
    sql = "SELECT sha256, max(size) FROM files WHERE sha256 >= ? AND sha256 < ? GROUP BY sha256"
    return {sha256: size for sha256, size in execute(connection, sql, prefix, f"{prefix}g")}


def kept(connection: Connection) -> Kept:
    """What is kept in all. It reads every row."""
    each = "SELECT sha256, max(size) AS size FROM files GROUP BY sha256"
    sql = f"SELECT count(*), coalesce(sum(size), 0) FROM ({each}) AS f"
    files, size = execute(connection, sql).one()
    return Kept(int(files), int(size))
