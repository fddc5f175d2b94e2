"""What may hold people's words is its owner's alone: the database, what lies beside it, its copies, exports."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.errors import DatabaseUnusable
from engine.settings import Settings
from engine.store.database import open_database
from gridpatrol.cli import main
from gridpatrol.run.wiring import reading, writing
from lab.runs import engine_on, replayed, storm


@pytest.fixture(autouse=True)
def open_to_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account that closes nothing by itself, nobody's settings, and the logs left as they were."""
    for name in Settings.__struct_fields__:
        monkeypatch.delenv(f"GRIDPATROL_{name.upper()}", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = os.umask(0)
    yield
    os.umask(before)
    root.handlers[:] = handlers
    root.setLevel(level)


def modes(folder: Path) -> dict[str, str]:
    """The files of a folder, with what is allowed to whom."""
    return {path.name: oct(path.stat().st_mode & 0o777) for path in sorted(folder.iterdir())}


def run(*words: str, status: int = 0) -> str:
    """A command that ends with this status; what it printed."""
    result = CliRunner().invoke(main, list(words), prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result.stdout + result.stderr


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_nobody_else_may_open_a_new_database_or_what_lies_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "var"
    with writing(Settings(database=f"sqlite:///{folder / 'a.db'}")):
        names = ("a.db", "a.db-shm", "a.db-wal", "a.db.lease")
        assert modes(folder) == dict.fromkeys(names, "0o600")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert warnings(caplog) == []


def test_a_database_that_others_could_open_is_closed_to_them_by_who_writes_and_by_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.db"
    settings = Settings(database=f"sqlite:///{file}")
    with writing(settings):
        file.chmod(0o644)
        (tmp_path / "a.db-wal").chmod(0o664)
        with reading(settings):
            pass
        assert modes(tmp_path)["a.db"] == "0o644"
    assert warnings(caplog) == []
    with reading(settings) as other, other.read(), writing(settings):  # who reads keeps the -wal there
        assert set(modes(tmp_path).values()) == {"0o600"}
    assert any("others could open" in text and "a.db," in text for text in warnings(caplog))


def test_who_may_write_a_database_of_another_account_is_warned_and_not_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    file = tmp_path / "a.db"
    with writing(Settings(database=f"sqlite:///{file}")):
        pass
    file.chmod(0o664)
    monkeypatch.setattr(Path, "chmod", refuse)
    with writing(Settings(database=f"sqlite:///{file}")) as engine:
        assert not engine.backlog()
    assert len(warnings(caplog)) == 1
    assert "chmod 600" in warnings(caplog)[0]


@pytest.mark.parametrize(
    ("mode", "what"), [(0o755, "list"), (0o777, "write in"), (0o770, "write in"), (0o750, ""), (0o700, "")]
)
def test_a_folder_that_is_open_to_others_is_named_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, what: str
) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    folder.chmod(mode)
    with writing(Settings(database=f"sqlite:///{folder / 'a.db'}")):
        pass
    found = warnings(caplog)
    assert len(found) == bool(what)
    assert all(f"others may {what} the folder of the database, {folder}." in text for text in found)
    assert all("chmod 700" in text for text in found)


def test_a_copy_is_its_owner_s_alone(tmp_path: Path, sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        replayed(engine, storm(5, 3))
    copy = tmp_path / "backup" / "copy.db"
    run("db", "copy", "--from", sqlite_url, "--database", f"sqlite:///{copy}")
    assert set(modes(copy.parent).values()) == {"0o600"}


@pytest.mark.parametrize("what", ["log", "facts"])
def test_an_export_is_its_owner_s_alone_whatever_lay_there(tmp_path: Path, sqlite_url: str, what: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        replayed(engine, storm(5, 3))
    export = tmp_path / "export" / "it.jsonl"
    export.parent.mkdir()
    for name in ("it.jsonl", "it.jsonl.part"):
        (export.parent / name).write_text("old")
    run(what, "export", "-o", str(export), "--database", sqlite_url)
    assert modes(export.parent) == {"it.jsonl": "0o600"}


def test_where_nothing_can_be_made_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder")
    with pytest.raises(DatabaseUnusable, match=r"cannot make .*var.* Let the account"):
        open_database(f"sqlite:///{tmp_path / 'var' / 'a.db'}")
    with pytest.raises(DatabaseUnusable, match="in memory keeps nothing"):
        open_database("sqlite:///:memory:")
