"""Dead letters: what was refused, with its reason and its bytes, until an operator has dealt with it.

The bytes lie sealed. Beside them stand only names that the contract knows (of the event's type, its case and its place
in its sender's books) and a refusal that quotes nothing, so that a letter may be listed, logged and published. A letter
whose bytes are gone, erased or past their time, keeps its row: its sealed body is empty, and `replayed` says so.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import asdict, replace
from sqlalchemy import Connection

from engine.clock import now_ms
from engine.store import tables, writes
from engine.store.meta import read_meta, write_meta
from engine.store.rows import LETTER_TEXTS, LetterRow, SealedRow, StoredLetterRow
from engine.store.sealed import LETTER
from engine.store.sql import among, execute
from schemas.envelope import is_known_type, is_subject
from schemas.refusals import Reason, Refusal

REFUSED_AT_INTAKE = "intake_refused"
"""Name in `meta` of the number of the last letter of an intake."""


class DeadLetter(NamedTuple):
    """A dead letter as it is kept. `sealed` holds its bytes; a firing that failed has none. `decided`: the number of a
    conflict among the outcomes of its partition; other outcomes have theirs in `seen`. `at_intake`: it was refused
    before it came to the log, where nobody waits for an answer, and gets a number when it is kept."""

    row: LetterRow
    sealed: SealedRow | None
    decided: int = 0
    at_intake: bool = False


class Letter(LetterRow):
    """A dead letter as operators read it. `replayed`: how its replay ended; empty: it was never replayed; GONE: it can
    no longer be, since its bytes are gone."""

    replayed: str


_COLUMNS = ", ".join(Letter.__struct_fields__)


# ---- keeping ------------------------------------------------------------------------------------------------


def dead_letter(
    id_: str,
    at: int,
    why: Refusal,
    principal: str,
    body: str | None,
    *,
    partition: int | None = None,
    position: int | None = None,
    source: str = "",
    event_id: str = "",
    type_: str = "",
    case_id: str = "",
) -> DeadLetter:
    """What was refused at an instant (ms UTC), and why. `body` None: there are no bytes to keep.

    With bytes the names are a sender's, and one that breaks the contract stays sealed with the rest.
    """
    token = "" if body is None else f"{LETTER}{id_}"
    if body is not None:
        source, event_id = (name if len(name) <= LETTER_TEXTS["source"] else "" for name in (source, event_id))
        type_, case_id = type_ if is_known_type(type_) else "", case_id if is_subject(case_id) else ""
    reason = (why.reason, why.field, why.detail)
    row = LetterRow(id_, at, partition, position, *reason, source, event_id, type_, case_id, principal, token)
    return DeadLetter(row, None if body is None else SealedRow(token, body, case_id))


def write(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep letters. An id stands for the same bytes ever after: what was erased stays erased."""
    rows, numbers = [], _number(connection, [letter.row.id for letter in letters if letter.at_intake])
    for row, body, decided, _ in letters:
        decided = numbers.get(row.id, decided)
        texts = {name: getattr(row, name)[:most] for name, most in LETTER_TEXTS.items()}
        size = len(body.body.encode()) if body else 0
        rows.append(StoredLetterRow(**asdict(row) | texts, size=size, kept_at=now_ms(), decided=decided))
    bodies = [replace(body, subject=body.subject[: LETTER_TEXTS["case_id"]]) for _, body, *_ in letters if body]
    writes.upsert(connection, tables.dead_letters, rows, but="size")
    writes.insert_missing(connection, tables.sealed, bodies)


def _number(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The numbers of letters of intakes: those that they have, or the next ones. Who gives one out keeps the others
    waiting until it commits, so whoever reads up to the last one passes none over."""
    if not ids:
        return {}
    write_meta(connection, REFUSED_AT_INTAKE, "0", keep=True)
    last = int(read_meta(connection, REFUSED_AT_INTAKE, lock=True) or 0)
    condition, wanted = among(connection, "id", ids)
    sql = f"SELECT id, decided FROM dead_letters WHERE {condition}"
    known = {id_: number for id_, number in execute(connection, sql, wanted)}
    fresh = [id_ for id_ in ids if id_ not in known]
    write_meta(connection, REFUSED_AT_INTAKE, str(last + len(fresh)))
    return known | {id_: last + k for k, id_ in enumerate(fresh, 1)}


def write_replayed(connection: Connection, id_: str, how: str) -> None:
    """Keep how the replay of a letter ended."""
    execute(connection, "UPDATE dead_letters SET replayed = ? WHERE id = ?", how, id_)


# ---- reading ------------------------------------------------------------------------------------------------


def listed(
    connection: Connection,
    *,
    reason: str = "",
    open_only: bool = False,
    before: tuple[int, str] | None = None,
    limit: int = 100,
) -> list[Letter]:
    """Letters, the latest first; `before` is the (at, id) where the last page ended."""
    terms, values = ["1 = 1"], list[object]()
    if reason:
        terms.append("reason = ?")
        values.append(reason)
    if open_only:
        terms.append("replayed = ''")
    if before is not None:
        terms.append("(at, id) < (?, ?)")
        values += before
    sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE {' AND '.join(terms)} ORDER BY at DESC, id DESC LIMIT ?"
    return [Letter(*row) for row in execute(connection, sql, *values, limit)]


def read(connection: Connection, id_: str) -> Letter | None:
    """One letter."""
    row = execute(connection, f"SELECT {_COLUMNS} FROM dead_letters WHERE id = ?", id_).first()
    return Letter(*row) if row else None


def read_sealed(connection: Connection, token: str) -> str | None:
    """What was sealed under a token; None once that is gone."""
    body: str | None = execute(connection, "SELECT body FROM sealed WHERE token = ?", token).scalar_one_or_none()
    return body or None  # an empty body in its place


def count_cases(connection: Connection, type_: str) -> int:
    """How many cases have letters of firings of a type that were never replayed."""
    sql = "SELECT count(DISTINCT case_id) FROM dead_letters WHERE reason = ? AND type = ? AND replayed = ''"
    return int(execute(connection, sql, str(Reason.FAILED), type_).scalar_one())


def counts(connection: Connection) -> list[tuple[str, int, int]]:
    """By reason: how many there are, and how many were never replayed."""
    sql = """
        SELECT reason, count(*), sum(CASE WHEN replayed = '' THEN 1 ELSE 0 END) FROM dead_letters
        GROUP BY reason ORDER BY reason"""
    return [(reason, int(total), int(open_)) for reason, total, open_ in execute(connection, sql)]
