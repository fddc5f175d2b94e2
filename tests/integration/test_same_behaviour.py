"""What release f28de43 wrote is read and answered the same way, to the byte; its log is decided by the present rules.

In: a log, a database and answers of that release (`tests/fixtures/f28de43/`), and a month of demo traffic. Out: of the
database the same facts, figures, alerts, dead letters and texts; of the log the facts and answers that were recorded
when the rules changed last. The real city is compared in `tests/city/test_flags.py`, where it is replayed anyhow.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from rich.cells import cell_len

from engine.packs import folder_of
from engine.store.database import open_database
from engine.views.names import Names
from engine.views.performance import figure_rows, select
from gridpatrol.demo.month import write_month
from schemas import facts
from tests.support import recorded
from tests.support.builders import weiyang
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
from workflows.definitions.incident import INCIDENT

END = "2026-10-16T10:00:00+08:00"
"""When the demo's month ends; its seed is that of `gridpatrol demo run`."""
SEED = 311
FROM_FACTS = ("incident list", "performance", "alert")
"""Commands whose answers follow from the log alone: no sealed text, nothing that never entered it."""

ALERTS = "alert list --limit 10000 --json"
SAID_SINCE = ("department", "acknowledged_by", "sentence")
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
    said = said | {FIRING: listed}
    return with_alerts(without_added(said), lambda a: {name: a[name] for name in a if name not in SAID_SINCE})


def without_added(said: dict[str, str]) -> dict[str, str]:
    """Answers without the unit that is charged, what clocks consumed, who must act, and rates of a kind."""
    charged = re.compile(r',\s*"charged": \[[^\]]*\],\s*"clock": ""|\s*"consumed_(median|p90)_ms": null,')
    holder = re.compile(r'^( +)"holder": (null|\{$.*?^\1\}),\n', re.DOTALL | re.MULTILINE)
    held = re.compile(r',\s*"held": \[(?:\]|.*?\n  \])', re.DOTALL)
    rates = re.compile(r'^ +"rates": \{\},\n', re.MULTILINE)
    plain = {command: rates.sub("", held.sub("", text)) for command, text in said.items()}
    found = {command: holder.sub("", charged.sub("", text)) for command, text in plain.items()}
    if LATE in found:
        found[LATE] = without_column(found[LATE], "holder", "reported")
    changed = {command for command, text in said.items() if found[command] != text}
    assert changed == {c for c in said if c in (LATE, LISTED) or (c.startswith("performance") and "--json" in c)}
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
    now = answers_of(url, list(answers()))
    check_same_answers(without_late(as_answered_then(now)), without_late(firing_still(unquoted(answers()))))
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
    check_same_answers(without_late(without_added(answers_of(url, list(wanted)))), without_late(wanted))


def test_what_is_damaged_is_found(tmp_path: Path) -> None:
    """Or `verify` above would say nothing."""
    path = laid("run.db", tmp_path)
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE figures SET value = value + 1 WHERE measure = 'on_time'")
        connection.commit()
    gridpatrol("db", "upgrade", "--database", f"sqlite:///{path}")
    gridpatrol("verify", "--database", f"sqlite:///{path}", status=1)


@pytest.fixture(scope="module")
def month_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the demo's month."""
    folder = tmp_path_factory.mktemp("month")
    file, url = folder / "month.jsonl", f"sqlite:///{folder / 'month.db'}"
    write_month(file, folder_of("weiyang"), datetime.fromisoformat(END), SEED)
    assert recorded.digest(file.read_bytes()) == sums()["month.jsonl"], "the month itself is another"
    gridpatrol("replay", file, "--until", END, "--database", url, status=1)  # twelve of them are refused on purpose
    return url


def test_the_month_of_the_demo_has_the_recorded_facts_and_answers(month_url: str, tmp_path: Path) -> None:
    assert recorded.digest(facts_of(month_url, tmp_path)) == sums()["month.facts.jsonl"]
    alerts = gridpatrol("alert", "list", "--limit", "10000", "--json", "--database", month_url)
    assert recorded.digest(alerts.encode()) == sums()["month.alerts.json"]
    gridpatrol("verify", "--database", month_url)


def test_every_alert_of_a_check_or_a_closing_reaches_a_post_of_the_level_that_must_act(
    month_url: str, tmp_path: Path
) -> None:
    policy, told = weiyang(), Counter[str]()
    for step in map(facts.decode_step, facts_of(month_url, tmp_path).splitlines()):
        for fact in step.facts:
            if isinstance(fact, facts.AlertRaised) and fact.clock in ("verify", "close"):
                grid = step.path.split("/")[fact.level]
                assert grid in {policy.posts[post].grid for post in fact.to}, (step.case, fact)
                told[fact.clock] += 1
    assert told["verify"] > 100 and told["close"] > 0, told


def test_what_is_charged_to_a_grid_is_its_own_and_that_of_the_grids_below_it(month_url: str) -> None:
    """For every grid of the month and every measure of clocks: the rows of its children and its own add up to it."""
    policy, compared = weiyang(), Counter[str]()
    with closing(open_database(month_url)) as database, database.read() as connection:
        names = Names(policy)
        clocks = ["", "total", *INCIDENT.clocks]
        for grid, clock in ((code, clock) for code in policy.grids for clock in clocks):
            asked = select(policy, definition="incident", grid=grid, clock=clock)
            (whole,) = figure_rows(connection, names, asked)
            rows = figure_rows(connection, names, structs.replace(asked, by="grid"))
            below = {code for code, known in policy.grids.items() if known.parent == grid}
            assert {row.key for row in rows} <= {grid, *below}
            total = Counter[str]()
            for row in rows:
                total.update(row.counts)
            assert total == whole.counts, (grid, clock)
            own = Counter[str]()
            for row in (row for row in rows if row.key == grid):
                own.update(m.partition(":")[0] for m in row.counts if ":" in m)
            compared.update(own if below else {})
    assert set(compared) >= {"breach", "passed_on", "void", "on_time", "overdue"}, compared


def test_no_unit_is_charged_with_a_clock_that_it_did_not_hold(month_url: str, tmp_path: Path) -> None:
    """Told a second time from the facts alone: who held a case when, who ordered, and which clocks ran meanwhile."""
    held: dict[str, list[tuple[int, facts.Unit]]] = {}
    runs: dict[tuple[str, str, int], list[list[Any]]] = {}
    ordered: dict[tuple[str, str, int], facts.Unit] = {}
    charged = Counter[str]()
    steps = map(facts.decode_step, facts_of(month_url, tmp_path).splitlines())
    for step in sorted(steps, key=lambda step: (step.case, step.seq)):
        for fact in step.facts:
            if isinstance(fact, facts.Held):
                held.setdefault(step.case, []).append((fact.since, fact.unit))
            if not isinstance(fact, facts.ClockFact):
                continue
            clock = step.case, fact.clock, fact.level
            match fact:
                case facts.ClockStarted():
                    runs[clock] = [[*run] for run in fact.runs] + [[fact.judged, None]]
                    if fact.holder is not None:
                        ordered[clock] = fact.holder
                case facts.ClockPaused() if runs[clock][-1][1] is None:
                    runs[clock][-1][1] = fact.judged
                case facts.ClockResumed():
                    runs[clock].append([fact.judged, None])
            unit = getattr(fact, "charged", None)
            if unit is None:
                assert not isinstance(fact, facts.ClockStopped) and not getattr(fact, "breach", False), fact
                continue
            charged[fact.clock] += 1
            if clock in ordered:
                assert unit == ordered[clock]
                continue
            spans = zip(held[step.case], [*held[step.case][1:], (None, unit)], strict=True)
            its = [(since, until) for (since, who), (until, _) in spans if who == unit]
            assert any(
                (end is None or since <= end) and (until is None or begin is None or begin <= until)
                for since, until in its
                for begin, end in runs[clock]
            ), (step.case, step.seq, fact)
            assert fact.level in (0, unit.level), fact
    assert set(charged) >= {"accept", "handle", "rectify", "verify", "close", "total"}, charged
