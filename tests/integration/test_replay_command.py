"""`gridpatrol replay`, `log export` and `verify --replay` as people give them: what is refused, with which status."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from engine import rehearsals
from engine.log_file import RECORD, with_proof
from engine.replay import export_log
from gridpatrol.cli import main
from gridpatrol.run.wiring import install_if_empty
from lab.runs import consumers, engine_on, install, pack_of
from tests.simulation.line import DUE, NOW, Line
from tests.support.builders import HOUR, event
from tests.support.recorded import laid


def run(*words: object, status: int, stdin: bytes | None = None, **settings: str) -> Result:
    """A command that must end with this status, without a traceback."""
    nobody: dict[str, str | None] = {name: None for name in os.environ if name.startswith("GRIDPATROL_")}
    told: dict[str, str | None] = {f"GRIDPATROL_{name.upper()}": value for name, value in settings.items()}
    result = CliRunner().invoke(main, [str(word) for word in words], input=stdin, env=nobody | told)
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.output
    return result


class Run(NamedTuple):
    """A database, its exported log, and the digest that the export printed."""

    url: str
    log: Path
    digest: str


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("lived")
    url, log = f"sqlite:///{folder / 'run.db'}", folder / "log.jsonl"
    with engine_on(url, 2, consumers=consumers()) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(1, 120):
            line.report(number, NOW + number)
        line.close(1, NOW + 200)
        line.close(1, NOW + 201)  # impossible: a dead letter of the run, and no fault of its replay
        line.operate("tick", "", DUE + HOUR)
        engine.drain()
    said = run("log", "export", "-o", log, "--database", url, status=0).stdout
    return Run(url, log, said.split("Digest: ")[1].strip())


def refused_log(content: bytes, folder: Path, *more: str) -> str:
    """What is said of a log that is refused; no database may be made for it."""
    (folder / "log.jsonl").write_bytes(content)
    url = f"sqlite:///{folder / 'again.db'}"
    said = run("replay", folder / "log.jsonl", *more, "--database", url, status=1, partitions="2").stderr
    assert not (folder / "again.db").exists(), "something was decided"
    return said


def test_a_log_is_replayed_with_the_digest_that_its_export_printed(lived: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'again.db'}"
    run("replay", lived.log, "--expect", lived.digest, "--database", url, status=0, partitions="2")
    again = run("log", "export", "--database", url, status=0)
    assert again.stdout_bytes == lived.log.read_bytes()
    assert lived.digest in again.stderr  # to stdout goes the log alone


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "its footer is missing"),
        (lambda lines: lines[:60], "breaks off after line 60"),
        (lambda lines: [*lines[:60], lines[60].replace(b'"stamp":1', b'"stamp":2'), *lines[61:]], "lines 2 to 101"),
        (lambda lines: [*lines[:60], lines[60][:40], *lines[61:]], "line 61 of the log cannot be read"),
        (lambda lines: [*lines[:60], b"\xff\x00garbage", *lines[61:]], "line 61 of the log cannot be read"),
        (lambda lines: [lines[0], *lines[2:]], "one of lines"),
        (lambda lines: [lines[0].replace(b"gridpatrol/2", b"gridpatrol/1"), *lines[1:]], "older release"),
        (lambda lines: [lines[0][:9]], "no header"),
        (lambda lines: [lines[0][1:], *lines[1:]], "is an event"),
        (lambda lines: [], "the file is empty"),
        (lambda lines: [bytes(range(1, 10)), bytes(range(11, 256))], "is an event"),
        (lambda lines: [b"case_enquiry_id,open_dt", b"101,2015-05-01"], "is an event"),
    ],
)
def test_a_file_that_is_damaged_or_no_log_is_refused_before_anything_is_decided(
    lived: Run, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    lines = change(lived.log.read_bytes().splitlines())
    assert said in refused_log(b"".join(line + b"\n" for line in lines), tmp_path)


def test_a_forged_log_is_refused_by_the_digest_that_was_kept(lived: Run, tmp_path: Path) -> None:
    with engine_on(lived.url, 2) as engine:
        items = [line for line in export_log(engine) if not line.startswith((b'{"checkpoint":', b'{"footer":'))]
    edited = (line.replace(b"hotline", b"public") if line.startswith(RECORD) else line for line in items)
    forged = b"\n".join(with_proof(edited)) + b"\n"
    assert "not the one that is expected" in refused_log(forged, tmp_path, "--expect", lived.digest)
    (tmp_path / "forged.jsonl").write_bytes(forged)
    found = run("verify", "--replay", "--log", tmp_path / "forged.jsonl", "--database", lived.url, status=1).stdout
    assert "inbox" in found


def test_what_comes_over_stdin_is_read_to_its_end_first(lived: Run, tmp_path: Path) -> None:
    content, url = lived.log.read_bytes(), f"sqlite:///{tmp_path / 'again.db'}"
    run("replay", "-", "--database", url, status=1, stdin=content[:-300], partitions="2")
    assert not (tmp_path / "again.db").exists()
    said = run("replay", "-", "--database", url, "--json", status=0, stdin=content, partitions="2").stdout
    assert json.loads(said)["digest"] == lived.digest


def test_what_is_left_of_a_log_is_taken_unchecked_with_a_warning(lived: Run, tmp_path: Path) -> None:
    left, url = tmp_path / "left.jsonl", f"sqlite:///{tmp_path / 'again.db'}"
    left.write_bytes(b"".join(lived.log.read_bytes().splitlines(keepends=True)[:60]))
    said = run("replay", left, "--unchecked", "--database", url, status=0, partitions="2")
    assert "Warning: the log breaks off after line 60" in said.stderr
    assert "58 records" in said.stdout


def test_a_log_of_an_older_release_is_taken_unchecked_with_a_warning(tmp_path: Path) -> None:
    log, url = laid("log.jsonl", tmp_path), f"sqlite:///{tmp_path / 'again.db'}"
    assert "--unchecked" in run("replay", log, "--database", url, status=1, partitions="8").stderr
    assert not (tmp_path / "again.db").exists()
    assert (
        "Warning: the log is of an older release"
        in run("replay", log, "--unchecked", "--database", url, status=0, partitions="8").stderr
    )


def test_events_that_were_refused_end_a_replay_with_status_1_and_their_number(tmp_path: Path) -> None:
    good = event("comment.added", "WY01-01-MEMBER", NOW, id="a")
    bad = event("comment.added", "NOBODY", NOW + 1, id="b")
    file, url = tmp_path / "events.jsonl", f"sqlite:///{tmp_path / 'events.db'}"
    file.write_text("\n".join([json.dumps(good), json.dumps(bad), "no json"]), encoding="utf-8")
    for _ in range(2):  # the second time nothing is decided, and the letters are still there
        said = run("replay", file, "--database", url, status=1).stdout
        assert "2 were refused and kept as dead letters: 1 undecodable, 1 unknown_code" in said
    file.write_text(json.dumps(good), encoding="utf-8")
    run("replay", file, "--database", f"sqlite:///{tmp_path / 'good.db'}", status=0)


@pytest.mark.parametrize("option", ["--unchecked", "--expect=0", "--until=2026-03-02T00:00Z"])
def test_an_option_of_the_other_kind_of_file_is_a_mistake_of_the_command_line(
    lived: Run, tmp_path: Path, option: str
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(event("comment.added", "WY01-01-MEMBER", NOW, id="a")), encoding="utf-8")
    file = lived.log if option.startswith("--until") else events
    run("replay", file, option, "--database", f"sqlite:///{tmp_path / 'again.db'}", status=2)
    assert not (tmp_path / "again.db").exists()


def test_verify_replays_the_log_beside_and_leaves_nothing(lived: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(lived.url.removeprefix("sqlite:///"), copy)
    url = f"sqlite:///{copy}"
    said = run("verify", "--replay", "--database", url, status=0)
    assert "and these from the log" in said.stdout and "MiB are needed" in said.stderr
    with engine_on(url, 2) as engine, engine.database.begin() as connection:
        connection.exec_driver_sql("UPDATE dead_letters SET principal = 'another'")
    run("verify", "--database", url, status=0)
    said = run("verify", "--replay", "--database", url, status=1)
    assert "1 mismatches (1 letter)" in said.stdout
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"copy"}


def test_a_disk_without_room_is_said_first(lived: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridpatrol.commands.verify.PER_RECORD", 0)
    monkeypatch.setattr("engine.store.database.Database.size", lambda self: 1 << 60)
    assert "MiB free, about" in run("verify", "--replay", "--database", lived.url, status=1).stderr


def test_a_file_of_facts_has_the_digest_that_was_printed(lived: Run, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    said = run("facts", "export", "-o", file, "--database", lived.url, status=0).stdout
    content = file.read_bytes()
    assert said.split() == [str(content.count(b"\n")), "steps.", "SHA-256:", sha256(content).hexdigest()]


def test_under_a_pack_whose_rules_fail_nothing_is_touched(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(rehearsals, "tried", set())
    monkeypatch.setattr("workflows.rehearsal.rehearse", broken)
    with engine_on(sqlite_url) as engine:
        with pytest.raises(rehearsals.Defective, match="a rule fails under pack"):
            install_if_empty(engine)
        assert engine.active() is None and not any(engine.heads.values())
