"""A backup is the database of one instant, whoever writes meanwhile; and what is restored is what was backed up.

Enters: runs with incidents, letters, alerts and figures on SQLite, and on PostgreSQL where its own tools have restored.
Leaves: a file that is there whole or not at all, a restored database whose feed begins anew, and one sentence for each
file that is something else.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from consumers.alerts import fold
from engine import files
from engine.errors import SchemaMismatch
from engine.lease import Lease
from engine.settings import Settings
from engine.store import backup_file
from engine.store import database as databases
from engine.store.backup_file import BackupFailed, PutByHand
from engine.store.database import open_database
from engine.store.meta import read_meta, write_meta
from gridpatrol.cli import main
from gridpatrol.run import backup
from gridpatrol.run.serve import serve
from gridpatrol.run.wiring import DOOR
from lab.runs import consumers, engine_on, install, pack_of, replayed, storm
from tests.integration.test_copy import rows
from tests.integration.test_migrations import to
from workflows.policy.model import Pack

OURS = {"backup", "installation", "feed_epoch"}
"""Names in `meta` that a backup or a restore writes."""


pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with everything in it, to be copied."""
    file = tmp_path_factory.mktemp("lived") / "gridpatrol.db"
    live(f"sqlite:///{file}")
    backup_file.close_whole(file)
    return file


def live(url: str, pack: Pack | None = None) -> None:
    """A run of some incidents, with letters, alerts, figures and a server's address."""
    with engine_on(url, 4, consumers=consumers()) as engine:
        if pack is not None:
            install(engine, pack)
        replayed(engine, storm(5, 8))
        fold.epoch(engine.database)
        with engine.database.begin() as connection:
            write_meta(connection, DOOR, "http://127.0.0.1:8420")


@pytest.fixture
def source(lived: Path, tmp_path: Path) -> str:
    """The URL of such a database."""
    (tmp_path / "var").mkdir()
    shutil.copyfile(lived, tmp_path / "var" / "gridpatrol.db")
    return f"sqlite:///{tmp_path / 'var' / 'gridpatrol.db'}"


@pytest.fixture
def kept(source: str, tmp_path: Path) -> Path:
    """A backup of it."""
    made(source, tmp_path / "kept" / "a.db")
    return tmp_path / "kept" / "a.db"


@pytest.fixture
def place(tmp_path: Path) -> str:
    """The URL of a place where nothing is yet."""
    return f"sqlite:///{tmp_path / 'elsewhere' / 'gridpatrol.db'}"


def ended(*words: str | Path, status: int = 0) -> Result:
    """A command that ends with this status."""
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result


def run(*words: str | Path, status: int = 0) -> str:
    """What it printed."""
    result = ended(*words, status=status)
    return result.stdout + result.stderr


def answer(*words: str | Path) -> Any:
    """What it printed as JSON."""
    return json.loads(ended(*words, "--json").stdout)


def made(url: str, file: Path, status: int = 0) -> str:
    return run("backup", file, "--database", url, status=status)


def restored(file: Path, url: str, *more: str, status: int = 0) -> str:
    return run("restore", file, "--database", url, *more, status=status)


def look_into(kept: Path) -> str:
    """The URL of a copy of a backup: what is opened as a database is changed by that."""
    copy = kept.with_name("looked-into.db")
    copy.unlink(missing_ok=True)
    shutil.copyfile(kept, copy)
    return f"sqlite:///{copy}"


def stored(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row but those of `meta` that a backup writes, and those of the audit that say so."""
    found = rows(url)
    found["meta"] = [row for row in found["meta"] if row[0] not in OURS]
    found["audit"] = [row for row in found["audit"] if not row[3].startswith("backup.")]
    return found


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def names(folder: Path) -> list[str]:
    """What lies in a folder; nothing if there is none."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# ---- backup -------------------------------------------------------------------------------------------------


def test_a_backup_that_is_restored_elsewhere_has_every_row_and_nothing_to_complain_of(source: str, place: str) -> None:
    kept = file_of(place).parent / "a.db"
    said = made(source, kept)
    assert stored(source) == stored(look_into(kept))
    assert "everything in it follows from the facts" in said
    restored(kept, place)
    assert stored(place) == stored(source)
    assert "Everything that is stored follows from the facts" in run("verify", "--database", place)


def test_what_is_written_while_a_backup_is_made_neither_gets_in_nor_begins_it_anew(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_file, "PAGES", 8)
    before, done = stored(source), []
    with closing(sqlite3.connect(file_of(source), isolation_level=None)) as writer:

        def show(copied: int, of: int, what: str) -> None:
            if what == "copying":
                done.append((copied, of))
                writer.execute("INSERT INTO meta VALUES (?, ?)", (f"meanwhile {copied}", "x" * 5000))

        backup.make(Settings(database=source), tmp_path / "a.db", show)
    assert len(done) > 10
    assert [copied for copied, _ in done] == [min(8 * k, of) for k, (_, of) in enumerate(done, 1)]
    assert stored(look_into(tmp_path / "a.db")) == before
    assert len(stored(source)["meta"]) == len(before["meta"]) + len(done)


def test_a_backup_is_made_beside_a_server_and_under_no_lease(source: str, tmp_path: Path) -> None:
    with closing(open_database(source)) as database, closing(Lease(database)):
        made(source, tmp_path / "a.db")


def test_a_backup_says_of_when_and_of_which_installation_it_is(source: str, tmp_path: Path) -> None:
    first, second = (answer("backup", tmp_path / name, "--database", source) for name in ("a.db", "b.db"))
    assert first["note"]["installation"] == second["note"]["installation"] != ""
    assert first["note"]["at"] <= second["note"]["at"]
    assert first["mismatches"] == 0
    assert first["bytes"] == (tmp_path / "a.db").stat().st_size
    with closing(open_database(source)) as database, database.read() as connection:
        sql = "SELECT partition, position, n, clock FROM partitions ORDER BY partition"
        stands = [dict(row._mapping) for row in connection.exec_driver_sql(sql)]
    assert first["note"]["partitions"] == stands
    with closing(open_database(look_into(tmp_path / "a.db"))) as database, database.read() as connection:
        note = backup_file.read_note(connection)
    assert note is not None
    assert (note.installation, note.at, note.restored_at) == (first["note"]["installation"], first["note"]["at"], None)


def test_a_database_that_cannot_be_written_is_backed_up_all_the_same(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored(source)
    monkeypatch.setattr(databases, "LOCK_S", 0.1)
    with closing(sqlite3.connect(file_of(source), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # from now on nobody else writes
        said = made(source, tmp_path / "a.db")
    assert "and of which installation, is not in it: another program holds a lock" in said
    assert stored(look_into(tmp_path / "a.db")) == before


def test_people_see_how_far_each_partition_was_and_what_the_file_must_be(source: str, tmp_path: Path) -> None:
    said = made(source, tmp_path / "a.db").splitlines()
    assert said[0].split() == ["partition", "next", "record", "last", "step", "clock"]
    digest = sha256((tmp_path / "a.db").read_bytes()).hexdigest()
    assert any(line.endswith(f"SHA-256 {digest}") for line in said)
    done = subprocess.run(["sha256sum", "--check", "a.db.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "a.db: OK\n"


def test_a_backup_is_one_file_that_is_its_owner_s_alone(source: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made(source, tmp_path / "kept" / "a.db")
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "kept").iterdir()}
    assert modes == {"a.db": "0o600", "a.db.sha256": "0o600"}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_no_file_is_overwritten(source: str, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("somebody's")
    assert f"{tmp_path / 'a.db'} is there already. Name another file" in made(source, tmp_path / "a.db", status=1)
    assert (tmp_path / "a.db").read_text() == "somebody's"
    assert "a.db.partial" not in names(tmp_path)


def test_two_backups_to_one_file_do_not_mix(source: str, tmp_path: Path) -> None:
    with files.whole(tmp_path / "a.db"):
        assert "another process is writing" in made(source, tmp_path / "a.db", status=1)
        assert "a.db.partial" in names(tmp_path)


def test_what_a_killed_backup_left_is_begun_anew(source: str, tmp_path: Path) -> None:
    for name in ("a.db.partial", "a.db.partial-wal", "a.db.partial-journal", "a.db.sha256"):
        (tmp_path / name).write_bytes(b"left of a killed process" * 999)
    made(source, tmp_path / "a.db")
    assert names(tmp_path) == ["a.db", "a.db.sha256", "var"]
    assert stored(look_into(tmp_path / "a.db")) == stored(source)


def test_a_backup_that_is_interrupted_leaves_nothing(source: str, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup.make(Settings(database=source), tmp_path / "kept" / "a.db", interrupt)
    assert names(tmp_path / "kept") == []


def test_a_name_with_odd_characters_is_a_name(source: str, tmp_path: Path) -> None:
    kept = tmp_path / "备份 50%41?#.db"
    made(source, kept)
    place = tmp_path / "new place" / "50% of it.db"
    restored(kept, f"sqlite:///{place}".replace("%", "%25"))
    assert place.exists()


def test_a_disk_without_room_is_told_before_anything_is_written(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    said = made(source, tmp_path / "kept" / "a.db", status=1)
    assert "needs" in said and "and its disk has 0.1 MB. Make room" in said
    assert names(tmp_path / "kept") == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(source: str, tmp_path: Path) -> None:
    made(source, tmp_path / "first.db")  # what it notes in the database is written
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_of(source).stat().st_size // 2, hard))
    try:
        with pytest.raises(BackupFailed, match=r"cannot be written.*Make room"):
            backup.make(Settings(database=source), tmp_path / "kept" / "a.db", lambda *_: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path / "kept") == []


def test_a_damaged_database_gets_no_backup(source: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file_of(source))) as raw:
        (page,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'facts'").fetchone()
    with file_of(source).open("r+b") as out:
        out.seek((page - 1) * 4096)
        out.write(b"\xff" * 4096)
    assert "the database is damaged" in made(source, tmp_path / "kept" / "a.db", status=1)
    assert names(tmp_path / "kept") == []


def test_a_database_that_is_wrong_is_backed_up_as_it_is_and_said_to_be(source: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file_of(source))) as raw:
        raw.execute("UPDATE figures SET value = value + 1")
        raw.commit()
    said = made(source, tmp_path / "a.db", status=1)
    assert "things in it do not follow from the facts: `gridpatrol verify` lists them" in said
    assert stored(look_into(tmp_path / "a.db")) == stored(source)


def test_where_nothing_is_stored_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    assert "there is no database" in made(f"sqlite:///{tmp_path / 'no.db'}", tmp_path / "a.db", status=1)
    assert names(tmp_path) == []


def test_of_postgresql_a_backup_is_made_by_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    said = made(postgres_url, tmp_path / "a.db", status=1)
    assert "is a server's database. Use those of PostgreSQL: see docs/operations.md" in said
    assert names(tmp_path) == []


def test_a_database_of_an_older_release_can_be_backed_up_and_its_backup_be_restored_by_this_one(
    tmp_path: Path, place: str
) -> None:
    source = f"sqlite:///{tmp_path / 'older.db'}"
    live(source, structs.replace(pack_of("weiyang"), notices=()))  # that release told none
    before = stored(source)
    with closing(open_database(source)) as database:
        to(database, "0003")
    assert "of an older release: its pages were checked, and nothing was verified" in made(source, tmp_path / "a.db")
    restored(tmp_path / "a.db", place)
    assert stored(place)["facts"] == before["facts"]
    assert "Everything that is stored follows from the facts" in run("verify", "--database", place)


# ---- restore ------------------------------------------------------------------------------------------------


def test_the_feed_begins_anew_and_the_address_of_the_server_of_before_is_forgotten(
    source: str, kept: Path, place: str
) -> None:
    said = restored(kept, place)
    with closing(open_database(source)) as old, closing(open_database(place)) as new:
        epoch = fold.epoch(new)
        assert int(epoch, 16) > int(fold.epoch(old), 16)
        with old.read() as before, new.read() as after:
            note, was = backup_file.read_note(after), read_meta(before, DOOR)
            assert was and read_meta(after, DOOR) is None
    assert f"as epoch {epoch}" in said
    assert note is not None and note.restored_at is not None and note.restored_at >= note.at
    assert f"{note.steps} steps" in said
    assert oct(file_of(place).stat().st_mode & 0o777) == "0o600"
    assert stored(source)["facts"] == stored(place)["facts"]


def test_a_backup_that_a_command_took_for_a_database_can_still_be_taken_by_verifying_it(kept: Path, place: str) -> None:
    run("verify", "--database", f"sqlite:///{kept}")
    assert "with --unchecked all of it is verified instead" in restored(kept, place, status=1)
    restored(kept, place, "--unchecked")


def test_a_backup_is_read_only_and_can_be_restored_again(kept: Path, place: str) -> None:
    before = kept.read_bytes()
    restored(kept, place)
    assert kept.read_bytes() == before
    assert names(kept.parent) == ["a.db", "a.db.sha256"]


def test_a_database_that_is_there_is_never_replaced(source: str, kept: Path) -> None:
    before = stored(source)
    assert "is there already" in restored(kept, source, status=1)
    assert stored(source) == before


@pytest.mark.parametrize("ending", files.BESIDE)
def test_what_is_left_of_another_database_is_not_taken_for_this_one_s(kept: Path, place: str, ending: str) -> None:
    beside = Path(f"{file_of(place)}{ending}")
    beside.parent.mkdir()
    beside.write_bytes(b"of another database")
    assert f"{beside} is left of another database" in restored(kept, place, status=1)
    assert not file_of(place).exists()


def test_a_server_that_still_runs_on_a_removed_file_is_told(source: str, kept: Path) -> None:
    with closing(open_database(source)) as database, closing(Lease(database)):
        database.close()
        file_of(source).unlink()
        assert f"process {os.getpid()} writes to" in restored(kept, source, status=75)
    assert not file_of(source).exists()


@pytest.mark.parametrize("harm", ["cut short", "a byte changed", "a byte more"])
def test_a_backup_that_was_cut_short_or_changed_is_refused(kept: Path, place: str, harm: str) -> None:
    raw = kept.read_bytes()
    middle = len(raw) // 2
    harmed = {
        "cut short": raw[:-4096],
        "a byte changed": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
        "a byte more": raw + b"0",
    }
    kept.write_bytes(harmed[harm])
    said = restored(kept, place, status=1)
    assert "was cut short or changed since it was made" in said and "Restore another backup." in said
    assert names(file_of(place).parent) in ([], ["gridpatrol.db.lease"])


def test_a_file_of_which_nobody_says_what_it_was_is_refused_unless_its_digest_is_given(kept: Path, place: str) -> None:
    digest = Path(f"{kept}.sha256").read_text().split()[0]
    Path(f"{kept}.sha256").unlink()
    assert "a.db.sha256 is not there. Give its SHA-256 with --sha256" in restored(kept, place, status=1)
    assert "was cut short or changed" in restored(kept, place, "--sha256", "0" * 64, status=1)
    restored(kept, place, "--sha256", digest)


def test_a_digest_that_is_none_is_told(kept: Path, place: str) -> None:
    Path(f"{kept}.sha256").write_text("a.db\n")
    assert "a.db.sha256 says no SHA-256" in restored(kept, place, status=1)
    assert "is no SHA-256" in restored(kept, place, "--sha256", "abc", status=2)


def test_unchecked_takes_a_copy_that_was_made_otherwise_and_verifies_it(
    source: str, tmp_path: Path, place: str
) -> None:
    copy = tmp_path / "copy.db"
    run("db", "copy", "--from", source, "--database", f"sqlite:///{copy}")
    assert "is restored." in restored(copy, place, "--unchecked")
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute("DELETE FROM facts WHERE n = 2")
        raw.commit()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert "do not follow from its facts, the first is a log" in restored(copy, other, "--unchecked", status=1)
    assert not file_of(other).exists()


def test_a_file_that_was_not_made_by_backup_is_no_backup_whatever_its_digest(
    source: str, tmp_path: Path, place: str
) -> None:
    digest = sha256(file_of(source).read_bytes()).hexdigest()
    said = restored(file_of(source), place, "--sha256", digest, status=1)
    assert "was not made by `gridpatrol backup`" in said


def test_a_database_in_use_is_no_backup(source: str, place: str) -> None:
    with closing(sqlite3.connect(file_of(source))) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("INSERT INTO meta VALUES ('a name', 'a value')")
        raw.commit()
        said = restored(file_of(source), place, "--unchecked", status=1)
    assert "is a database in use. Use `gridpatrol backup`." in said


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"no database" * 999, "is no SQLite database")], ids=["empty", "text"]
)
def test_what_is_no_database_is_no_backup(tmp_path: Path, place: str, content: bytes, why: str) -> None:
    (tmp_path / "a.db").write_bytes(content)
    assert f"a.db {why}" in restored(tmp_path / "a.db", place, "--unchecked", status=1)


def test_a_database_of_another_program_is_no_backup(tmp_path: Path, place: str) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as raw:
        raw.execute("CREATE TABLE something (a)")
    assert "has no tables of gridpatrol" in restored(tmp_path / "a.db", place, "--unchecked", status=1)


def test_a_damaged_page_is_found_where_no_digest_was_known(kept: Path, place: str) -> None:
    with closing(sqlite3.connect(kept)) as raw:
        (page,) = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'facts'").fetchone()
    with kept.open("r+b") as out:
        out.seek((page - 1) * 4096)
        out.write(b"\xff" * 4096)
    Path(f"{kept}.sha256").unlink()
    said = restored(kept, place, "--unchecked", status=1)
    assert "a.db cannot be used: the database is damaged" in said and "Restore another backup." in said
    assert not file_of(place).exists()


def test_a_backup_of_a_newer_release_is_left_to_that_release(kept: Path, place: str) -> None:
    with closing(sqlite3.connect(kept)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    digest = sha256(kept.read_bytes()).hexdigest()
    with pytest.raises(SchemaMismatch, match="9999, which this release does not know"):
        backup.restore(Settings(database=place), kept, digest, False, lambda *_: None)
    assert not file_of(place).exists()


def test_a_file_is_not_restored_into_a_server_s_database(kept: Path, postgres_url: str) -> None:
    assert "is a server's database" in restored(kept, postgres_url, status=1)


def test_what_goes_with_what_is_said(kept: Path, source: str) -> None:
    for words in ([], [str(kept), "--in-place"], ["--in-place", "--unchecked"]):
        assert "Say either FILE or --in-place" in run("restore", *words, "--database", source, status=2)


# ---- what other tools have restored --------------------------------------------------------------------------


def test_a_database_that_other_tools_restored_is_verified_and_begun_anew(database_url: str) -> None:
    live(database_url)
    with closing(open_database(database_url)) as database:
        before = fold.epoch(database)
    said = run("restore", "--in-place", "--database", database_url)
    with closing(open_database(database_url)) as database, database.read() as connection:
        epoch = fold.epoch(database)
        assert read_meta(connection, DOOR) is None
    assert int(epoch, 16) > int(before, 16)
    assert f"as epoch {epoch}" in said


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("DELETE FROM facts WHERE n = 2", "log"),
        ("UPDATE positions SET n = n + 1 WHERE consumer = 'performance' AND n > 0", "position"),
        ("INSERT INTO positions VALUES ('facts.topic', 0, 999)", "position"),
        ("INSERT INTO positions VALUES ('alerts.topic', 0, 9999)", "position"),
    ],
)
def test_one_that_is_of_several_backups_is_refused_and_left_as_it_is(database_url: str, harm: str, what: str) -> None:
    live(database_url)
    with closing(open_database(database_url)) as database:
        before = fold.epoch(database)
        with database.begin() as connection:
            connection.exec_driver_sql(harm)
    said = run("restore", "--in-place", "--database", database_url, status=1)
    assert (
        f"do not follow from its facts, the first is a {what}. Restore another backup. `gridpatrol verify` lists"
        in said
    )
    with closing(open_database(database_url)) as database:
        assert fold.epoch(database) == before


def test_a_backup_that_was_put_in_place_by_hand_is_not_served_before_it_is_begun_anew(
    kept: Path, database_url: str
) -> None:
    url = database_url if database_url.startswith("postgresql") else f"sqlite:///{kept}"
    if url == database_url:
        shutil.copyfile(kept, kept.with_name("copied.db"))
        run("db", "copy", "--from", f"sqlite:///{kept.with_name('copied.db')}", "--database", url)
    doors: list[str] = []
    settings = Settings(database=url, listen="127.0.0.1:0", partitions=4)
    with pytest.raises(PutByHand, match="is a backup that was put there by hand"):
        serve(settings, opened=lambda url, _: doors.append(url), seconds=5)
    run("restore", "--in-place", "--database", url)
    serve(settings, opened=lambda url, _: doors.append(url), seconds=0.1)
    assert len(doors) == 1


def test_one_whose_feed_was_restarted_counts_as_begun_anew(kept: Path) -> None:
    run("db", "restart-feed", "--database", f"sqlite:///{kept}")
    with closing(open_database(f"sqlite:///{kept}")) as database:
        backup_file.check_restored(database)


def test_a_served_database_is_not_begun_anew(source: str) -> None:
    with closing(open_database(source)) as database, closing(Lease(database)):
        assert f"process {os.getpid()} writes to" in run("restore", "--in-place", "--database", source, status=75)


def test_figures_and_alerts_that_were_behind_at_the_backup_follow_from_all_of_its_facts(
    tmp_path: Path, place: str
) -> None:
    url = f"sqlite:///{tmp_path / 'a' / 'gridpatrol.db'}"
    with engine_on(url, 4) as engine:
        replayed(engine, storm(5, 8))  # nobody listened
    made(url, tmp_path / "a.db")
    restored(tmp_path / "a.db", place)
    assert all(stored(place)[name] for name in ("figures", "alerts", "deliveries"))
    assert "Everything that is stored follows from the facts" in run("verify", "--database", place)


def test_daily_lines_that_waited_at_the_backup_are_told_once_each_in_the_new_feed(
    source: str, kept: Path, place: str
) -> None:
    """The installation of before has told them since: here they are told again, under the same ids, and none twice."""
    restored(kept, place)
    told, epochs = list[list[str]](), set[str]()
    for url in (source, place):
        with closing(open_database(url)) as database:
            with database.read() as connection:
                waiting = "SELECT count(*), max(not_before) FROM notices WHERE daily AND number = 0"
                count, hour = connection.exec_driver_sql(waiting).one()
            assert count > 5
            while fold.tell(database, hour):
                pass
            assert fold.tell(database, hour + 1) == 0
            with database.read() as connection:
                assert connection.exec_driver_sql(waiting).one()[0] == 0
                lines = "SELECT alert FROM deliveries WHERE alert LIKE '%|daily|%' ORDER BY number"
                told.append([alert for (alert,) in connection.exec_driver_sql(lines)])
            epochs.add(fold.epoch(database))
    assert told[0] == told[1] and len(set(told[1])) == len(told[1]) > 1 and len(epochs) == 2
    assert "Everything that is stored follows from the facts" in run("verify", "--database", place)


def test_a_consumer_ahead_of_its_facts_is_told_before_a_backup_is_put_in_place(
    source: str, tmp_path: Path, place: str
) -> None:
    with closing(sqlite3.connect(file_of(source))) as raw:
        raw.execute("UPDATE positions SET n = n + 5 WHERE consumer = 'alerts' AND partition = 0")
        raw.commit()
    made(source, tmp_path / "a.db", status=1)
    assert "alerts has taken in steps up to" in restored(tmp_path / "a.db", place, status=1)
    assert not file_of(place).exists()
