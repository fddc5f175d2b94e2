"""What is sealed of a case, for erasing it. In: the open transaction. Out: tokens; how many bodies were blanked."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from engine.store import writes
from schemas.envelope import Record, decode_record


def tokens_of_events(connection: Connection, partition: int, case: str) -> set[str] | None:
    """Under which tokens something of a case's events is sealed; None where the log has no event of it."""
    mark = writes.mark(connection)
    place = "instr" if connection.dialect.name == "sqlite" else "strpos"
    sql = f"SELECT body FROM inbox WHERE partition = {mark} AND kind = 'event' AND {place}(body, {mark}) > 0"
    mentions = connection.exec_driver_sql(sql, (partition, msgspec.json.encode(case).decode()))
    records = [record for (body,) in mentions if (record := _record(body)) and record.event.subject == case]
    return {record.token for record in records if record.token} if records else None


def _record(body: str) -> Record | None:
    """What a log from elsewhere holds may be no event: nothing was sealed of it."""
    try:
        return decode_record(body)
    except msgspec.DecodeError:
        return None


def tokens_of_letters(connection: Connection, case: str) -> set[str]:
    """Under which tokens the bytes of a case's dead letters are sealed."""
    sql = f"SELECT token FROM dead_letters WHERE case_id = {writes.mark(connection)} AND token <> ''"
    return set(connection.exec_driver_sql(sql, (case,)).scalars())


def blank(connection: Connection, tokens: Iterable[str]) -> int:
    """Erase what is sealed under these tokens. The rows stay: a resend, which is the same, brings nothing back."""
    if connection.dialect.name == "sqlite":  # what is erased is overwritten in the file as well
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    sql = f"UPDATE sealed SET body = '' WHERE token = {writes.mark(connection)} AND body <> ''"
    return sum(connection.exec_driver_sql(sql, (token,)).rowcount for token in sorted(tokens))
