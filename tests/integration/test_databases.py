"""The databases that all other integration tests stand on are real, fresh and apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from engine.store.database import FAILURES, JOURNAL_PAGES, open_database
from lab.parts import postgres


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_gets_an_empty_database_of_its_own(empty_database_url, attempt):
    db = create_engine(empty_database_url)
    try:
        assert inspect(db).get_table_names() == []
        with db.begin() as connection:
            connection.execute(text("CREATE TABLE left_behind (n INTEGER)"))
            assert connection.execute(text("SELECT count(*) FROM left_behind")).scalar_one() == 0
    finally:
        db.dispose()


def test_postgresql_is_the_real_server_with_text_in_utf8(postgres_url):
    db = create_engine(postgres_url)
    try:
        with db.connect() as connection:
            assert connection.execute(text("SHOW server_version_num")).scalar_one() >= "140000"
            assert connection.execute(text("SELECT length('四级网格')")).scalar_one() == 4
    finally:
        db.dispose()


def test_a_server_that_does_not_answer_is_named_with_its_reason(monkeypatch):
    monkeypatch.setenv("GRIDPATROL_TEST_POSTGRES", "postgresql://nobody:secret@127.0.0.1:1/none")
    wanted = pytest.raises(postgres.PostgresUnavailable, match="GRIDPATROL_TEST_POSTGRES")
    with wanted as failure, postgres.running_server():
        pass
    assert "secret" not in str(failure.value)


def test_the_error_of_a_statement_does_not_tell_what_was_to_be_written(empty_database_url):
    database = open_database(empty_database_url)
    statement = f"INSERT INTO nowhere VALUES ({'?' if database.dialect == 'sqlite' else '%s'})"
    try:
        for rows in (("13800138000",), [("13800138000",), ("13900139000",)]):
            with pytest.raises(FAILURES, match="nowhere") as failure, database.begin() as connection:
                connection.exec_driver_sql(statement, rows)
            assert "13800138000" not in str(failure.value)
    finally:
        database.close()


WAITS = {"sqlite": ("PRAGMA wal_autocheckpoint", JOURNAL_PAGES), "postgresql": ("SHOW synchronous_commit", "off")}
"""How it is seen that commits do not wait for the disk, and the answer. On SQLite none does in any test (conftest)."""


def test_no_commit_of_the_block_waits_for_the_disk_and_every_other_one_does(empty_database_url):
    database = open_database(empty_database_url)
    asked, does_not = WAITS[database.dialect]

    def answer():
        with database.begin() as connection:
            return connection.exec_driver_sql(asked).scalar_one()

    try:
        database.create_fresh()
        usual = answer()
        assert usual != does_not
        with pytest.raises(RuntimeError, match="by the way"), database.flushed_at_end():
            assert answer() == does_not
            with database.begin() as connection:
                connection.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('a', 'b')")
            raise RuntimeError("by the way")
        assert answer() == usual
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT value FROM meta").scalar_one() == "b"
        if database.dialect == "sqlite":  # the journal has been written into the file, and that to the disk
            assert Path(f"{database.url.database}-wal").stat().st_size == 0
    finally:
        database.close()
