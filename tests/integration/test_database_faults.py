"""A database that is damaged, full, locked, read-only or newer is told in one sentence, by commands and by a server
before its door opens."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event, exc

from engine.errors import DatabaseUnusable, SchemaMismatch
from engine.failures import away, is_permanent
from engine.settings import Settings
from engine.store import database as databases
from engine.store.database import Database, open_database, unusable
from gridpatrol.cli import main
from gridpatrol.run.serve import serve
from lab.runs import consumers, engine_on, open_at_this_release, replayed, storm

CHANGE = "INSERT INTO meta (name, value) VALUES ('a test', 'a value')"
PAGE = 4096


pytestmark = pytest.mark.usefixtures("as_it_was")


def sentence(*words: str, status: int = 1) -> str:
    """What a command says that ends with this status: one line, and nothing on stdout."""
    result = CliRunner().invoke(main, list(words), prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    last = [line for line in result.stderr.splitlines() if line.startswith("gridpatrol: ")]
    assert len(last) == 1
    assert "Traceback" not in result.stderr
    return last[0]


def failing(database: Database, prepare: str) -> exc.DBAPIError:
    """The error of a change on connections that were prepared by a statement."""
    event.listen(database.db, "connect", lambda raw, _: raw.execute(prepare) and raw.commit())
    database.db.dispose()
    with pytest.raises(exc.DBAPIError) as failure, database.begin() as connection:
        connection.exec_driver_sql(CHANGE)
    return failure.value


@pytest.fixture
def opened(database_url: str) -> Iterator[Database]:
    """A database of each kind with the tables of this release."""
    with closing(open_at_this_release(database_url)) as database:
        yield database


@pytest.fixture
def damaged_url(sqlite_url: str) -> str:
    """A SQLite file with incidents, a page of which was overwritten."""
    with engine_on(sqlite_url, 2, consumers=consumers()) as engine:
        replayed(engine, storm(5, 20))
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'facts'").fetchone()
    with file.open("r+b") as out:
        out.seek((page - 1) * PAGE)
        out.write(b"\xff" * PAGE)
    return sqlite_url


def test_a_damaged_page_is_told_in_a_sentence_by_commands(damaged_url: str, tmp_path: Path) -> None:
    wanted = "gridpatrol: the database is damaged: "
    for words in (["verify"], ["facts", "export", "-o", str(tmp_path / "facts.jsonl")]):
        text = sentence(*words, "--database", damaged_url)
        assert text.startswith(wanted)
        assert text.endswith("restore a backup: see docs/operations.md, Backup and restore.")


def test_a_server_opens_no_door_on_a_damaged_page(damaged_url: str) -> None:
    settings = Settings(database=damaged_url, listen="127.0.0.1:0", partitions=2)
    doors: list[str] = []
    with pytest.raises(DatabaseUnusable, match="damaged"):
        serve(settings, opened=lambda url, _: doors.append(url), seconds=5)
    assert doors == []


def test_a_sound_file_passes_and_a_large_one_is_not_read(opened: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    opened.check_pages()
    assert not caplog.records
    opened.check_pages(0)
    assert len(caplog.records) == (opened.dialect == "sqlite")


def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    file.write_bytes(b"no database at all" * PAGE)
    text = sentence("incident", "list", "--database", f"sqlite:///{file}")
    assert "is not a database. Check GRIDPATROL_DATABASE." in text


def test_a_database_that_cannot_be_written_is_told_in_a_sentence(opened: Database) -> None:
    sqlite = opened.dialect == "sqlite"
    error = failing(opened, "PRAGMA query_only=ON" if sqlite else "SET default_transaction_read_only = on")
    assert "the database cannot be written: " in str(unusable(error))
    assert "Let the account of this process write" in str(unusable(error))
    assert not is_permanent(error)


def test_a_lock_that_another_program_keeps_is_told_in_a_sentence(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = opened.dialect == "sqlite"
    with closing(open_database(opened.url.render_as_string(hide_password=False))) as other, other.begin() as holder:
        if not sqlite:
            holder.exec_driver_sql("LOCK TABLE meta")
        error = failing(opened, "PRAGMA busy_timeout=50" if sqlite else "SET lock_timeout = 50")
    assert str(unusable(error)).startswith("another program holds a lock on the database: ")
    assert not is_permanent(error)


def test_a_command_says_who_keeps_it_waiting_when_the_time_is_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at_this_release(sqlite_url).close()
    monkeypatch.setattr(databases, "LOCK_S", 0.1)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        text = sentence("verify", "--database", sqlite_url, status=75)
    assert "another program holds a lock on the database: database is locked. End that program" in text


def test_a_full_disk_is_told_in_a_sentence_and_waited_for(sqlite_url: str) -> None:
    with closing(open_at_this_release(sqlite_url)) as database:
        with database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

        def limit(raw: Any, _record: object) -> None:
            raw.execute(f"PRAGMA max_page_count={pages}")

        event.listen(database.db, "connect", limit)
        database.db.dispose()
        wanted = pytest.raises(DatabaseUnusable, match="the disk of the database is full")
        with wanted as failure, away(), database.begin() as connection:
            connection.exec_driver_sql(CHANGE.replace("'a value'", "hex(zeroblob(100000))"))
    assert "Make room" in str(failure.value)


@pytest.mark.parametrize(
    ("state", "wanted"),
    [("53100", "the disk of the database is full"), ("58030", "the disk of the database fails"), ("XX001", "damaged")],
)
def test_what_a_server_says_of_its_disk_is_told_in_a_sentence_and_empties_no_log(
    postgres_url: str, state: str, wanted: str
) -> None:
    fails = f"DO $$ BEGIN RAISE EXCEPTION 'it fails' USING ERRCODE = '{state}'; END $$"
    with (
        closing(open_database(postgres_url)) as database,
        pytest.raises(exc.DBAPIError) as failure,
        database.begin() as connection,
    ):
        connection.exec_driver_sql(fails)
    assert wanted in str(unusable(failure.value))
    assert not is_permanent(failure.value)


def test_a_wrong_statement_stays_a_defect(opened: Database) -> None:
    for statement in ("SELEC 1", "SELECT * FROM nowhere"):
        with pytest.raises(exc.DBAPIError) as failure, opened.read() as connection:
            connection.exec_driver_sql(statement)
        assert unusable(failure.value) is None
    assert unusable(ValueError("is full")) is None


@pytest.mark.parametrize("words", [["db", "upgrade"], ["incident", "list"], ["verify"]], ids=" ".join)
def test_tables_of_a_newer_release_are_told_in_a_sentence_that_offers_no_upgrade(
    opened: Database, words: list[str]
) -> None:
    with opened.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    url = opened.url.render_as_string(hide_password=False)
    text = sentence(*words, "--database", url)
    assert "stands at revision 9999, which this release does not know" in text
    assert "db upgrade" not in text
    doors: list[str] = []
    with pytest.raises(SchemaMismatch, match="9999"):
        serve(Settings(database=url, listen="127.0.0.1:0"), opened=lambda door, _: doors.append(door), seconds=5)
    assert doors == []
