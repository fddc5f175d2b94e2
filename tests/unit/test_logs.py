"""Lines of the log: one for each event, whatever is quoted in it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest

from engine import logs
from engine.logs import Tally, escaped

FORGED = "2026-11-28T07:00:00.000000Z [info     ] operator.asked"
log = logging.getLogger("engine.http.app")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The root logger is one for all tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_feed_in_a_path_forges_no_line(capsys: pytest.CaptureFixture[str], end: str) -> None:
    logs.configure("text", "INFO")
    log.error("GET /v1/incidents/x%s failed", f"{end}{FORGED}")
    log.info("operator.asked", extra={"path": f"/v1/x{end}{FORGED}", "principal": f"a{end}b"})
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 2, said
    assert f"\n{FORGED}" not in said


def test_a_path_neither_moves_the_cursor_nor_turns_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "INFO")
    for one in "\0\b\t\x1b\x7f\x9b\u200b\u202e\u2066\ud800":
        log.info("a%sb", one, extra={"path": f"/v1/{one}"})
        said = capsys.readouterr().err
        assert one not in said and f"a{escaped(one)}b" in said, said


def test_words_of_every_script_stand_in_the_log_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "INFO")
    log.info("停机 %s", "占道经营　𠮷 'é' \\ \"", extra={"grid": "未央区"})
    said = capsys.readouterr().err
    assert "停机 占道经营　𠮷 'é' \\ \"" in said and "grid=未央区" in said


def test_the_message_of_an_error_forges_no_line_after_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "INFO")
    try:
        raise ValueError(f"no such thing\n{FORGED}\x1b[2J")
    except ValueError:
        log.exception("failed")
    first, *others = capsys.readouterr().err.splitlines()
    assert "failed" in first and "Traceback (most recent call last):" in others[0]
    assert all(line.startswith("  ") for line in others) and "\x1b" not in "".join(others)


def test_a_line_for_machines_has_the_text_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "INFO")
    log.info("operator.asked", extra={"path": f"/v1/x\n{FORGED}"})
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and json.loads(said)["path"] == f"/v1/x\n{FORGED}"


def test_what_a_sender_can_cause_as_often_as_it_likes_is_told_once_in_a_while_with_its_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    tally = Tally(log)
    for second in range(25):
        now[0] = 50.0 + second
        tally.tell("door.denied", reason="no_token")
        tally.tell("door.denied", 3, reason="no_right")
    lines = [(vars(record)["reason"], vars(record)["times"]) for record in caplog.records]
    assert lines == [
        ("no_token", 1),
        ("no_right", 3),
        ("no_token", 10),
        ("no_right", 30),
        ("no_token", 10),
        ("no_right", 30),
    ]
