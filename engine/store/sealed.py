"""Erasing what is sealed: of a case, of some letters.

Each sealed row names its case, so nothing has to be searched, whether the log is a table or a topic. An erased row
stays, with an empty body, so that the same event, sent again, brings nothing back.
"""

from collections.abc import Collection
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from engine.clock import now_ms
from engine.store import tables
from engine.store.sql import among, execute
from schemas.envelope import decode_record
from schemas.facts import decode_cause

TABLE = tables.sealed.name
LETTER = "letter:"
"""How the token of a dead letter's bytes begins. The token of an event never begins so."""
GONE = "gone"
"""How a letter ends (`replayed`) whose bytes went while it was open: nobody can replay it any more."""


def knows(connection: Connection, case: str) -> bool:
    """Whether there is a case of this name, or anything was ever sealed of one."""
    sql = """SELECT EXISTS (SELECT 1 FROM sealed WHERE subject = ?) OR EXISTS (SELECT 1 FROM cases WHERE id = ?)
             OR EXISTS (SELECT 1 FROM archived_cases WHERE id = ?)"""
    return bool(execute(connection, sql, case, case, case).scalar_one())


def blank_case(connection: Connection, case: str) -> tuple[int, int]:
    """Erase what is sealed of a case; of how many events and dead letters that was.

    Letters of a case are those that name it, and those that name none and have source and id of one of its events: the
    sender put the subject right and sent it again.
    """
    sql = "SELECT token FROM sealed WHERE subject = ? AND body <> ''"
    tokens: list[str] = list(execute(connection, sql, case).scalars())
    letters = {token for token in tokens if token.startswith(LETTER)}
    causes = map(decode_cause, execute(connection, "SELECT cause FROM facts WHERE case_id = ?", case).scalars())
    sent = {(cause.source, cause.id) for cause in causes if cause.actor}
    sent |= set(map(tuple, execute(connection, "SELECT source, event_id FROM dead_letters WHERE case_id = ?", case)))
    condition, ids = among(connection, "event_id", sorted({id_ for _, id_ in sent if id_}))
    sql = f"SELECT source, event_id, token FROM dead_letters WHERE case_id = '' AND {condition}"
    letters |= {token for source, id_, token in execute(connection, sql, ids) if (source, id_) in sent and token}
    return blank(connection, set(tokens) - letters), blank(connection, letters)


def untaken(connection: Connection, letters: Collection[str]) -> set[str]:
    """Tokens of what was sealed of the events in these letters (by id), where no step of their cases has taken it."""
    condition, ids = among(connection, "d.id", sorted(letters))
    sql = f"""
        SELECT d.case_id, s.body FROM dead_letters d JOIN sealed s ON s.token = d.token
        WHERE d.partition IS NOT NULL AND s.body <> '' AND {condition}"""
    tokens, cases = set[str](), set[str]()
    for case, body in execute(connection, sql, ids):
        with suppress(msgspec.DecodeError):  # a record that never was an event: nothing else was sealed of it
            tokens.add(decode_record(body).token)
            cases.add(case)
    condition, known = among(connection, "case_id", sorted(cases))
    causes = execute(connection, f"SELECT cause FROM facts WHERE {condition}", known).scalars()
    return tokens - {decode_cause(cause).token for cause in causes} - {""}


def blank(connection: Connection, tokens: Collection[str]) -> int:
    """Erase what is sealed under these tokens, of events or of letters; how many had something left. Letters that are
    open end as GONE."""
    condition, wanted = among(connection, "token", sorted(tokens))
    sql = f"UPDATE sealed SET body = '', salt = '', erased_at = ? WHERE body <> '' AND {condition}"
    count = execute(connection, sql, now_ms(), wanted).rowcount
    letters = sorted(token.removeprefix(LETTER) for token in tokens if token.startswith(LETTER))
    condition, wanted = among(connection, "id", letters)
    execute(connection, f"UPDATE dead_letters SET replayed = ? WHERE replayed = '' AND {condition}", GONE, wanted)
    execute(connection, f"UPDATE dead_letters SET size = 0 WHERE size > 0 AND {condition}", wanted)
    return count
