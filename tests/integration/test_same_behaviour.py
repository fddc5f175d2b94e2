"""What release f28de43 wrote is read and answered the same way, to the byte; its log is decided by the present rules.

In: a log, a database and answers of that release (`tests/fixtures/f28de43/`), and a month of demo traffic. Out: of the
database the same facts, figures, alerts, dead letters and texts; of the log the facts and answers that were recorded
when the rules changed last. The real city is compared in `tests/city/test_flags.py`, where it is replayed anyhow.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from engine.packs import folder_of
from gridpatrol.demo.month import write_month
from tests.support import recorded
from tests.support.recorded import (
    answers_of,
    check_same_answers,
    check_same_lines,
    facts_of,
    gridpatrol,
    kept,
    laid,
    sums,
)

END = "2026-10-16T10:00:00+08:00"
"""When the demo's month ends; its seed is that of `gridpatrol demo run`."""
SEED = 311
FROM_FACTS = ("incident list", "performance", "alert")
"""Commands whose answers follow from the log alone: no sealed text, nothing that never entered it."""

LETTERS = "deadletter list --limit 10000 --json"


def answers() -> dict[str, str]:
    """What reading commands of that release printed of its database."""
    found: dict[str, str] = json.loads(kept("answers.json"))
    return found


def answers_again() -> dict[str, str]:
    """What they print of its log, decided by the present rules."""
    found: dict[str, str] = json.loads(kept("answers.again.json"))
    assert set(found) == {command for command in answers() if command.startswith(FROM_FACTS)}
    return found


def as_of_then(log: Path) -> bytes:
    """An exported log without its proof, and under the header that it had."""
    lines = log.read_bytes().splitlines(keepends=True)
    assert lines[0].startswith(b'{"log":"gridpatrol/2"') and lines[-1].startswith(b'{"footer":')
    plain = [line for line in lines if not line.startswith((b'{"checkpoint":', b'{"footer":'))]
    return b"".join(plain).replace(b"gridpatrol/2", b"gridpatrol/1", 1)


def unquoted(said: dict[str, str]) -> dict[str, str]:
    """Answers without the refusals that quoted what was sent: an upgrade takes them from the letters."""
    quoting = re.compile(r"""("detail": )"[^"\n]*'[^\n]*",""")
    since = r'\1"refused by an earlier release, whose words are not kept: they may quote what was sent",'
    found = {command: quoting.sub(since, text) for command, text in said.items()}
    assert [command for command, text in said.items() if found[command] != text] == [LETTERS]
    return found


def test_the_log_gives_the_recorded_facts_and_answers_on_both_databases(database_url: str, tmp_path: Path) -> None:
    log = laid("log.jsonl", tmp_path)
    gridpatrol("replay", log, "--unchecked", "--database", database_url, partitions="8")
    check_same_lines(facts_of(database_url, tmp_path), kept("facts.again.jsonl"))
    wanted = answers_again()
    assert len(wanted) >= 5
    check_same_answers(answers_of(database_url, list(wanted)), wanted)
    gridpatrol("verify", "--database", database_url)


def test_the_log_comes_out_again_as_it_went_in(sqlite_url: str, tmp_path: Path) -> None:
    log, again = laid("log.jsonl", tmp_path), tmp_path / "again.jsonl"
    command = ("replay", log, "--unchecked", "--database", sqlite_url)
    gridpatrol(*command, partitions="8", slice_records="60", slice_steps="25")
    check_same_lines(facts_of(sqlite_url, tmp_path), kept("facts.again.jsonl"))
    gridpatrol("verify", "--replay", "--database", sqlite_url)
    gridpatrol("log", "export", "--database", sqlite_url, "-o", again)
    check_same_lines(as_of_then(again), log.read_bytes())


def test_the_database_is_opened_verified_and_read_as_before(tmp_path: Path) -> None:
    url = f"sqlite:///{laid('run.db', tmp_path)}"
    gridpatrol("db", "upgrade", "--database", url)
    gridpatrol("verify", "--database", url)
    check_same_lines(facts_of(url, tmp_path), kept("facts.jsonl"))
    check_same_answers(answers_of(url, list(answers())), unquoted(answers()))
    log = tmp_path / "log.jsonl"
    gridpatrol("log", "export", "--database", url, "-o", log)
    check_same_lines(as_of_then(log), kept("log.jsonl"))


def test_figures_that_are_folded_anew_are_those_of_before(tmp_path: Path) -> None:
    url = f"sqlite:///{laid('run.db', tmp_path)}"
    gridpatrol("db", "upgrade", "--database", url)
    gridpatrol("performance", "rebuild", "--database", url)
    wanted = {command: text for command, text in answers().items() if command.startswith("performance")}
    check_same_answers(answers_of(url, list(wanted)), wanted)


def test_what_is_damaged_is_found(tmp_path: Path) -> None:
    """Or `verify` above would say nothing."""
    path = laid("run.db", tmp_path)
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE figures SET value = value + 1 WHERE measure = 'on_time'")
        connection.commit()
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    gridpatrol("verify", "--database", f"sqlite:///{path}", status=1)


def test_the_month_of_the_demo_has_the_same_events_facts_and_answers(tmp_path: Path) -> None:
    file, url = tmp_path / "month.jsonl", f"sqlite:///{tmp_path / 'month.db'}"
    write_month(file, folder_of("weiyang"), datetime.fromisoformat(END), SEED)
    assert recorded.digest(file.read_bytes()) == sums()["month.jsonl"], "the month itself is another"
    gridpatrol("replay", file, "--until", END, "--database", url, status=1)  # twelve of them are refused on purpose
    assert recorded.digest(facts_of(url, tmp_path)) == sums()["month.facts.jsonl"]
    alerts = gridpatrol("alert", "list", "--limit", "10000", "--json", "--database", url)
    assert recorded.digest(alerts.encode()) == sums()["month.alerts.json"]
    gridpatrol("verify", "--database", url)
