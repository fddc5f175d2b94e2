"""A store that is copied to the other kind of database is the same store, or the target stays empty.

Copied are runs with incidents, letters, alerts and figures, from either database to the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update
from sqlalchemy.engine import URL, make_url

from engine import files
from engine.lease import Lease
from engine.store import copying
from engine.store.copying import CopyFailed, TargetNotEmpty
from engine.store.database import Database, open_database
from engine.store.meta import write_meta
from engine.store.tables import dead_letters, meta, metadata, sealed
from gridpatrol.cli import main
from gridpatrol.run.wiring import DOOR
from lab import runs
from lab.parts.postgres import fresh_database
from lab.runs import engine_on, replayed, storm
from tests.support.builders import noise

HARD = "街道 café e\u0301 😀 \U0010ffff \ufeff\u2028\uffff \\N \\. \t\r\n\x7f\x01 'quoted' \"twice\" {}%s"
"""Text with everything that quoting, escaping or a codec could lose."""


pytestmark = pytest.mark.usefixtures("as_it_was")


TO = ["to postgresql", "to sqlite"]


@pytest.fixture(params=TO)
def urls(request: pytest.FixtureRequest, sqlite_url: str, empty_postgres_url: str) -> tuple[str, str]:
    """Source and target, both empty."""
    return (sqlite_url, empty_postgres_url) if request.param == TO[0] else (empty_postgres_url, sqlite_url)


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A SQLite file after such a run."""
    path = tmp_path_factory.mktemp("filled") / "gridpatrol.db"
    fill(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture(scope="module")
def filled_template(postgres_server: URL, postgres_template: str) -> Iterator[str]:
    """The name of a database on the server after such a run."""
    with fresh_database(postgres_server, postgres_template) as url:
        fill(url)
        yield str(make_url(url).database)


@pytest.fixture(params=TO)
def filled(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[tuple[str, str]]:
    """A source after such a run, and an empty target."""
    server = request.getfixturevalue("postgres_server")
    if request.param == TO[0]:
        path = Path(sqlite_url.removeprefix("sqlite:///"))
        files.make(path)
        path.write_bytes(request.getfixturevalue("filled_file"))
        with fresh_database(server) as target:
            yield sqlite_url, target
    else:
        with fresh_database(server, request.getfixturevalue("filled_template")) as source:
            yield source, sqlite_url


def fill(url: str, until: int | None = None) -> None:
    """A run with everything in it, and a server's address."""
    with engine_on(url, 8, consumers=runs.consumers()) as engine:
        replayed(engine, storm(5, 40), until=until)
        with engine.database.begin() as connection:
            write_meta(connection, DOOR, "http://127.0.0.1:8420")
            write_meta(connection, "a name of 街道", HARD)
            connection.execute(sealed.insert().values(token=f"letter:{HARD}", body=HARD))


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the server's address."""
    with closing(open_database(url)) as database, database.read() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        }
    found["meta"] = [row for row in found["meta"] if row[0] != DOOR]
    return found


def run(*words: str, status: int = 0) -> str:
    """A command that ends with this status; what it printed."""
    result = CliRunner().invoke(main, list(words), prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result.stdout + result.stderr


def copy(source: str, target: str, status: int = 0) -> str:
    return run("db", "copy", "--from", source, "--database", target, status=status)


def exported(url: str, folder: Path) -> bytes:
    run("log", "export", "--database", url, "-o", str(folder / "log.jsonl"))
    return (folder / "log.jsonl").read_bytes()


def is_empty(url: str) -> bool:
    return not any(rows(url).values())


def test_the_copy_has_every_row_the_same_log_and_nothing_to_complain_of(
    filled: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 7)
    source, target = filled
    before = rows(source)
    assert all(before[name] for name in ("cases", "dead_letters", "alerts", "deliveries", "figures", "sealed"))
    output = copy(source, target)
    after = rows(source)
    assert rows(target) == after == before | {"audit": after["audit"]} and len(after["audit"]) == 1
    before = after
    assert f"{sum(map(len, before.values()))} rows are in" in output
    for name, kept in before.items():
        assert [line.split()[1] for line in output.splitlines() if line.split()[0] == name] == [str(len(kept))]
    assert exported(target, tmp_path) == exported(source, tmp_path)
    assert "Everything that is stored follows from the facts" in run("verify", "--database", target)


def test_a_server_s_address_stays_where_the_server_was(filled: tuple[str, str]) -> None:
    source, target = filled
    copy(source, target)
    with closing(open_database(target)) as database, database.read() as connection:
        names = set(connection.execute(select(meta.c.name)).scalars())
    assert DOOR not in names
    assert {"partitions", "a name of 街道"} <= names


def test_a_run_goes_on_in_the_copy_as_it_would_have_gone_on_here(urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    undisturbed = f"sqlite:///{tmp_path / 'undisturbed.db'}"
    fill(undisturbed)
    with engine_on(source, 8, consumers=runs.consumers()) as engine:
        half = len(storm(5, 40)) // 2
        with pytest.raises(ConnectionError):
            replayed(engine, _cut(half))
    copy(source, target)
    fill(target)
    with engine_on(undisturbed) as one, engine_on(target) as other:
        runs.check_whole(other)
        assert runs.facts(other) == runs.facts(one)
        assert runs.answers(other) == runs.answers(one)
        assert runs.derived(other) == runs.derived(one)


def _cut(lines: int) -> Iterator[bytes]:
    """The first lines of the storm; then its source is gone."""
    yield from storm(5, 40)[:lines]
    raise ConnectionError("the file's disk is gone")


def test_a_copy_that_is_interrupted_in_mid_table_leaves_the_target_empty(
    filled: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 7)
    source, target = filled
    with closing(open_database(source)) as old, closing(open_database(target)) as new:
        new.upgrade()
        with pytest.raises(KeyboardInterrupt):
            copying.copy(old, new, _interrupt)
    assert is_empty(target)


def _interrupt(done: int, _total: int) -> None:
    if done > 100:
        raise KeyboardInterrupt


def test_a_target_that_holds_anything_is_refused_and_stays_as_it_was(filled: tuple[str, str]) -> None:
    source, target = filled
    with engine_on(target, 8):
        before = rows(target)
    output = copy(source, target, status=1)
    assert "has rows in meta, partitions" in output
    assert TargetNotEmpty.remedy in output
    assert rows(target) == before


def test_nobody_may_write_to_either_meanwhile(filled: tuple[str, str]) -> None:
    for url in filled:
        with closing(open_database(url)) as database, closing(Lease(database)):
            assert "Stop it" in copy(*filled, status=75)
    copy(*filled)


def test_a_source_of_an_older_release_is_refused_with_the_command_that_mends_it(filled: tuple[str, str]) -> None:
    source, target = filled
    with closing(open_database(source)) as database, database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert "gridpatrol db upgrade" in copy(source, target, status=1)


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path, sqlite_url: str) -> None:
    assert "there is no database" in copy(f"sqlite:///{tmp_path / 'nothing.db'}", sqlite_url, status=1)
    assert not (tmp_path / "nothing.db").exists()


TAMPER = {
    "sqlite": (
        """CREATE TRIGGER tamper AFTER INSERT ON sealed BEGIN
                  UPDATE sealed SET body = body || '.' WHERE token = NEW.token AND token LIKE '%街道%'; END""",
    ),
    "postgresql": (
        """CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                      IF NEW.token LIKE '%街道%' THEN NEW.body := NEW.body || '.'; END IF; RETURN NEW; END $$""",
        "CREATE TRIGGER tamper BEFORE INSERT ON sealed FOR EACH ROW EXECUTE FUNCTION tamper()",
    ),
}
"""A target that keeps one letter's text with a dot more than it was given."""


def tamper(database: Database) -> None:
    driver_sql = {"no_parameters": True}
    with database.begin() as connection:
        for statement in TAMPER[database.dialect]:
            connection.exec_driver_sql(statement, execution_options=driver_sql)


def test_a_single_character_that_differs_is_found_and_nothing_stays(filled: tuple[str, str]) -> None:
    source, target = filled
    with closing(open_database(target)) as new:
        new.upgrade()
        tamper(new)
    output = copy(source, target, status=1)
    assert "sealed: " in output
    assert "rows were sent with checksum" in output
    assert is_empty(target)


def test_what_postgresql_cannot_hold_is_named(sqlite_url: str, empty_postgres_url: str) -> None:
    fill(sqlite_url)
    with closing(open_database(sqlite_url)) as old, closing(open_database(empty_postgres_url)) as new:
        with old.begin() as connection:
            connection.execute(sealed.insert().values(token="here", body="a\x00b"))
        new.upgrade()
        with pytest.raises(CopyFailed, match="refuses a row of sealed"):
            copying.copy(old, new, lambda done, total: None)
    assert is_empty(empty_postgres_url)


def test_a_key_that_postgresql_cannot_index_is_named(sqlite_url: str, empty_postgres_url: str) -> None:
    with closing(open_database(sqlite_url)) as old, closing(open_database(empty_postgres_url)) as new:
        old.upgrade()
        new.upgrade()
        with old.begin() as connection:
            write_meta(connection, noise(10_000), "")
        with pytest.raises(CopyFailed, match="refuses a row of meta"):
            copying.copy(old, new, lambda done, total: None)
    assert is_empty(empty_postgres_url)


def test_letters_of_an_older_release_come_with_as_much_of_their_subject_as_is_kept_today(
    filled: tuple[str, str],
) -> None:
    source, target = filled
    long = noise(10_000) if source.startswith("sqlite") else noise(200)  # no index of PostgreSQL had the longer one
    with closing(open_database(source)) as database, database.begin() as connection:
        connection.execute(sealed.insert().values(token="letter:long", body="{}", subject=long))
        connection.execute(update(dead_letters).where(dead_letters.c.position.is_(None)).values(case_id=long))
    copy(source, target)
    with closing(open_database(target)) as database, database.read() as connection:
        assert connection.scalars(select(sealed.c.subject).where(sealed.c.token == "letter:long")).all() == [long[:120]]
        named = select(dead_letters.c.case_id).where(dead_letters.c.position.is_(None)).distinct()
        assert connection.scalars(named).all() == [long[:120]]


def test_what_is_told_of_the_progress_ends_at_the_whole(filled: tuple[str, str]) -> None:
    source, target = filled
    heard: list[tuple[int, int]] = []
    with closing(open_database(source)) as old, closing(open_database(target)) as new:
        new.upgrade()
        copied = copying.copy(old, new, lambda *words: heard.append(words))
    assert heard[-1][0] == heard[-1][1] == 2 * sum(table.rows for table in copied)
    assert {name for name, _, _ in copied} == set(metadata.tables)


def test_machines_read_rows_and_checksums_as_json(filled: tuple[str, str]) -> None:
    tables = json.loads(run("db", "copy", "--from", filled[0], "--database", filled[1], "--json"))
    found = rows(filled[1])
    assert {name: table["rows"] for name, table in tables.items()} == {name: len(kept) for name, kept in found.items()}
    assert all(len(table["checksum"]) == 64 for table in tables.values())
