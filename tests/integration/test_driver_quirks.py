"""Statements that go straight to the driver behave as SQLAlchemy's own: rows, errors, broken connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import event, exc

from engine.store import meta, recording
from engine.store.database import Database, unusable
from engine.store.sql import execute, execute_many, fetch
from lab.runs import open_at_this_release

INSERT = "INSERT INTO meta (name, value) VALUES (?, ?)"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_at_this_release(database_url)) as opened:
        yield opened


def test_rows_are_those_of_the_long_way(database: Database) -> None:
    with database.begin() as connection:
        execute_many(connection, INSERT, [("a", "1"), ("b", "100 %"), ("c", "三")])
        execute_many(connection, INSERT, [("d", "4")])
        sql = "SELECT name, value, length(value), value = '4', NULL FROM meta WHERE name < ? ORDER BY name"
        rows = fetch(connection, sql, "e")
        assert rows == [tuple(row) for row in execute(connection, sql, "e")] and len(rows) == 4
        assert {type(row) for row in rows} == {tuple}
        assert fetch(connection, "DELETE FROM meta WHERE name = ?", "a") == []
        assert fetch(connection, "SELECT count(*) FROM meta WHERE name IN ('a', 'b')") == [(1,)]


def test_a_row_that_is_refused_raises_what_sqlalchemy_raises_and_quotes_no_value(database: Database) -> None:
    with pytest.raises(exc.IntegrityError) as failure, database.begin() as connection:
        fetch(connection, INSERT, "secret", "1")
        fetch(connection, INSERT, "secret", "2")
    assert "secret" not in str(failure.value).replace(str(failure.value.orig), "")
    assert failure.value.orig is not None
    with pytest.raises(exc.IntegrityError), database.begin() as connection:
        execute_many(connection, INSERT, [("a", "1"), ("a", "2")])
    with database.read() as connection:
        assert meta.read_meta(connection, "secret") is meta.read_meta(connection, "a") is None, "all was rolled back"


def test_a_connection_that_breaks_is_given_up_and_the_next_one_works(postgres_url: str) -> None:
    with closing(open_at_this_release(postgres_url)) as database, closing(open_at_this_release(postgres_url)) as other:
        with pytest.raises(exc.OperationalError) as failure, database.begin() as connection:
            [(pid,)] = fetch(connection, "SELECT pg_backend_pid()")
            with other.read() as watching:
                assert fetch(watching, "SELECT pg_terminate_backend(?)", pid) == [(True,)]
            fetch(connection, INSERT, "a", "1")
        assert failure.value.connection_invalidated
        assert "the database is away" in str(unusable(failure.value))
        with database.begin() as connection:
            fetch(connection, INSERT, "a", "1")


def test_whoever_listens_to_statements_hears_all_of_them(database: Database) -> None:
    heard: list[str] = []
    with database.begin() as connection:
        event.listen(connection, "before_cursor_execute", lambda *said: heard.append(said[2]))
        fetch(connection, "SELECT 1")
        assert heard == ["SELECT 1"]
    recorder = recording.Recorder(database)
    with database.begin() as connection:
        fetch(connection, INSERT, "a", "1")
        execute_many(connection, INSERT, [("b", "2"), ("c", "3")])
    [[one, two]] = [transaction.statements for transaction in recorder.transactions]
    assert (one.many, two.many) == (False, True)
    assert (tuple(one.parameters), [tuple(row) for row in two.parameters]) == (("a", "1"), [("b", "2"), ("c", "3")])
