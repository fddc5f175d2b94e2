"""What release f28de43 wrote is read and answered the same way, to the byte; its log is decided by the present rules.

In: a log, a database and answers of that release (`tests/fixtures/f28de43/`). Out: of the database the same facts,
figures, alerts, dead letters and texts; of the log the facts and answers that were recorded when rules last changed.
The real city is compared in `tests/city/test_flags.py`, where it is replayed anyhow, the demo's month in
`tests/drill/test_same_month.py`.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from tests.support.recorded import (
    answers_of,
    check_same_answers,
    check_same_lines,
    facts_of,
    gridpatrol,
    kept,
    laid,
)

FROM_FACTS = ("incident list", "performance", "alert")
"""Commands whose answers follow from the log alone: no sealed text, nothing that never entered it."""

ALERTS = "alert list --limit 10000 --json"
SAID_SINCE = ("department", "acknowledged_by", "path", "names", "sentence")
"""What an alert says since."""
FIRING = "alert list --status firing --clock handle"
LATE = "incident list --overdue --at 2026-03-31T15:00+08:00 --limit 500"
LISTED = "incident list --all --at 2026-03-31T15:00+08:00 --limit 500 --json"
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


def as_answered_then(said: dict[str, str]) -> dict[str, str]:
    """Answers without what they say since. A table of alerts says of which kind each case is, and calls it a case."""
    listed = without_column(said[FIRING], "kind", "case", summed=False).replace("  case    ", "  incident", 1)
    assert listed != said[FIRING]
    spoken = re.compile(r"^(\S+)  \d{3} \d{3} \d{3}  ")  # the short number of a case that is shown
    # An open case of a history says as of when; each case, how late its clocks were, and who held it.
    ended = re.compile(r"^  (as of the last record, |[^:\n]*: 超期.* late|经手 held by |  其间耗用).*\n", re.MULTILINE)
    said = {
        name: ended.sub("", spoken.sub(r"\1  ", text)) if name.startswith("incident show") else text
        for name, text in said.items()
    }
    said |= {FIRING: listed}
    return with_alerts(without_added(said), lambda a: {name: a[name] for name in a if name not in SAID_SINCE})


def without_added(said: dict[str, str]) -> dict[str, str]:
    """Answers without the unit that is charged, what clocks consumed, who must act, rates of a kind, the numbers by
    which a case is found, and how far the log has told."""
    charged = re.compile(r',\s*"charged": \[[^\]]*\],\s*"clock": ""|\s*"consumed_(median|p90)_ms": null,')
    holder = re.compile(r'^( +)"holder": (null|\{$.*?^\1\}),\n', re.DOTALL | re.MULTILINE)
    held = re.compile(r',\s*"held": \[(?:\]|.*?\n  \])', re.DOTALL)
    rates = re.compile(r'^ +"rates": \{\},\n', re.MULTILINE)
    numbers = re.compile(r'^ +"(short_number|reference|log_at)": "[^"]*",\n', re.MULTILINE)
    plain = {command: text if "--json" not in command else without_reading(text) for command, text in said.items()}
    plain = {command: numbers.sub("", rates.sub("", held.sub("", text))) for command, text in plain.items()}
    found = {command: holder.sub("", charged.sub("", text)) for command, text in plain.items()}
    if LATE in found:
        known = found[LATE].replace(", as known then.", ".")
        found[LATE] = without_column(without_column(known, "number", "state"), "holder", "reported")
    changed = {command for command, text in said.items() if found[command] != text}
    assert changed == {c for c in said if c in (LATE, LISTED) or (c.startswith("performance") and "--json" in c)}
    return found


def without_reading(text: str) -> str:
    """An answer without which reading it is, and without which of its rates are made of too few."""
    page = json.loads(text)
    if not isinstance(page, dict) or "reading" not in page:
        return text
    for name in ("reading", "remark", "standing_at", "standing_reading", "definitions"):
        page.pop(name, None)
    for row in page.get("rows", []):
        # Of nothing that is exempted the rate after exemption is the one before.
        assert row["rates"].pop("on_time_rate_after", row["on_time_rate"]) == row["on_time_rate"]
        for name in ("close_rate", "on_time_rate", "rework_rate"):
            del row[name]["thin"]
    return json.dumps(page, ensure_ascii=False, indent=2) + "\n"


def without_brackets(said: dict[str, str]) -> dict[str, str]:
    """Tables of figures without brackets, which told of all rates of a row that closable cases were too few, and
    without the lines that say what they mean and as of when cases stand open."""
    found = dict(said)
    for command, text in said.items():
        if command.startswith("performance") and "--json" not in command:
            rows = [row for row in text.splitlines() if not row.startswith(("(in brackets", "在办 open, 超期"))]
            found[command] = re.sub(r" +", " ", re.sub(r"\((\d+\.\d+%)\)", r"\1", "\n".join(rows)))
    return found


def with_alerts(said: dict[str, str], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, str]:
    """Answers with each alert changed."""
    alerts = [change(alert) for alert in json.loads(said[ALERTS])]
    return said | {ALERTS: json.dumps(alerts, ensure_ascii=False, indent=2) + "\n"}


def firing_still(said: dict[str, str]) -> dict[str, str]:
    """Answers in which alerts that somebody had acknowledged fire: that is no state of an alert any more."""
    ended = {"status": "firing", "ended_at": None, "ended_by": ""}
    found = with_alerts(said, lambda alert: alert | ended if alert["status"] == "acknowledged" else alert)
    assert found != said
    return found


def without_late(said: dict[str, str]) -> dict[str, str]:
    """Figures without how many open cases are late: told by the log, whose time ended, and not by the wall any more."""
    found = dict(said)
    for command, text in said.items():
        if command.startswith("performance") and "--json" in command:
            page = json.loads(text)
            for row in page["standing"]:
                del row["overdue"], row["not_due"]
            found[command] = json.dumps(page, ensure_ascii=False, indent=2)
        elif command.startswith("performance"):
            found[command] = re.sub(r"( +\d+| overdue|─*)$", "", text, flags=re.MULTILINE)
    return found


def without_column(text: str, name: str, following: str, *, summed: bool = True) -> str:
    """A table without one of its columns. Its header is ASCII; other rows have characters of two cells, and under a
    `summed` one stands a line that is no row."""
    *rows, last = text.splitlines() if summed else [*text.splitlines(), ""]
    begin, end = rows[0].index(name), rows[0].index(following)
    left: list[str] = []
    for row in rows:
        cells = [char for char in row for char in (char, *[""] * (cell_len(char) - 1))]
        left.append("".join(cells[:begin] + cells[end:]))
    return "\n".join([*left, last, ""] if summed else [*left, ""])


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
    check_same_answers(without_definitions(answers_of(database_url, list(wanted))), wanted)
    gridpatrol("verify", "--database", database_url)


def without_definitions(said: dict[str, str]) -> dict[str, str]:
    """Answers without what says since what each of their figures is, and without what exemptions have added."""
    defined = re.compile(r',\n  "definitions": \[.*?\n  \]', re.DOTALL)
    after = re.compile(r'"rates": \{\s*"on_time_rate_after": \{[^}]*\}\s*\}')
    found = {
        command: after.sub('"rates": {}', defined.sub("", text)).replace('    "exempted",\n', "")
        for command, text in said.items()
    }
    changed = {command for command, text in said.items() if found[command] != text}
    assert changed == {command for command in said if command.startswith("performance") and "--json" in command}
    return found


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
    now = answers_of(url, list(answers()))
    found, wanted = as_answered_then(now), firing_still(unquoted(answers()))
    check_same_answers(without_late(without_brackets(found)), without_late(without_brackets(wanted)))
    seen = {row["id"]: row["acknowledged_by"] for row in json.loads(now[ALERTS])}
    for row in json.loads(answers()[ALERTS]):
        if row["status"] == "acknowledged":
            assert seen[row["id"]] == [row["ended_by"]]
    log = tmp_path / "log.jsonl"
    gridpatrol("log", "export", "--database", url, "-o", log)
    check_same_lines(as_of_then(log), kept("log.jsonl"))


def test_figures_that_are_folded_anew_are_those_of_before(tmp_path: Path) -> None:
    url = f"sqlite:///{laid('run.db', tmp_path)}"
    gridpatrol("db", "upgrade", "--database", url)
    gridpatrol("performance", "rebuild", "--database", url)
    wanted = {command: text for command, text in answers().items() if command.startswith("performance")}
    found = without_late(without_brackets(without_added(answers_of(url, list(wanted)))))
    check_same_answers(found, without_late(without_brackets(wanted)))


def test_what_is_damaged_is_found(tmp_path: Path) -> None:
    """Or `verify` above would say nothing."""
    path = laid("run.db", tmp_path)
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE figures SET value = value + 1 WHERE measure = 'on_time'")
        connection.commit()
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    gridpatrol("verify", "--database", f"sqlite:///{path}", status=1)
