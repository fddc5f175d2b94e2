"""The command line as people use it, in this process: what it prints, stores, and says when something is wrong.

Enters: a month of the sample city, replayed once per test run. Leaves: answers on stdout, sentences on stderr.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from engine.lease import Lease
from engine.packs import folder_of
from engine.store.database import open_database
from gridpatrol.cli import main
from gridpatrol.demo.month import write_month

END = datetime(2026, 3, 31, 2, 0, tzinfo=UTC)  # a Tuesday, 10:00 on the spot
EARLY = "2026-03-09T00:00+08:00"
"""The end of its first days."""
CELL = "definition, measure, day, path, department, category, grp, post"
"""What names a figure."""
SUBJECT = "WY01.019ca8f8-5a00-7000-8000-{:012x}"


@pytest.fixture(autouse=True)
def folder_of_its_own(as_it_was: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder to work in, and no server: one that runs on this machine by default would be published to."""
    monkeypatch.setenv("GRIDPATROL_LISTEN", "127.0.0.1:9")
    monkeypatch.chdir(tmp_path)


def run(*words: Any, stdin: str | None = None, status: int = 0) -> Result:
    """Run a command that must end with this status, and never with a traceback."""
    result = CliRunner().invoke(main, [str(word) for word in words], input=stdin, prog_name="gridpatrol")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stdout + result.stderr
    return result


def answer(*words: Any, status: int = 0) -> Any:
    """The JSON that a reading command prints."""
    return json.loads(run(*words, "--json", status=status).stdout)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of events: a short month of the sample city."""
    file = tmp_path_factory.mktemp("month") / "month.jsonl"
    write_month(file, folder_of("weiyang"), END, seed=5, incidents=90)
    return file


@pytest.fixture(scope="module")
def city(month: Path) -> str:
    """A database that holds the month. Tests that change something take a copy."""
    url = f"sqlite:///{month.parent / 'city.db'}"
    handlers = logging.getLogger().handlers[:]
    run("replay", month, "--until", END.isoformat(), "--database", url, status=1)  # some are refused on purpose
    logging.getLogger().handlers[:] = handlers
    return url


@pytest.fixture(scope="module")
def begun(month: Path) -> str:
    """A database that holds the month's first days. Tests compare another run of them with it."""
    url = f"sqlite:///{month.parent / 'begun.db'}"
    handlers = logging.getLogger().handlers[:]
    run("replay", month, "--until", EARLY, "--database", url, status=1)
    logging.getLogger().handlers[:] = handlers
    return url


@pytest.fixture
def copy(city: str, tmp_path: Path) -> str:
    """A copy of the month's database."""
    return copied(city, tmp_path)


def copied(url: str, folder: Path) -> str:
    """A copy of a database, which a test may change."""
    for end in ("", "-wal", "-shm"):
        source = Path(url.partition(":///")[2] + end)
        if source.exists():
            shutil.copy(source, folder / f"copy.db{end}")
    return f"sqlite:///{folder / 'copy.db'}"


def facts(url: str, *more: str) -> bytes:
    return run("facts", "export", "--database", url, *more).stdout_bytes


# ---- help teaches --------------------------------------------------------------------------------------------


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


ALL = dict(commands(main))
READING = {
    "incident list",
    "incident show",
    "deadline explain",
    "alert list",
    "alert follow",
    "notice list",
    "performance show",
    "deadletter list",
    "deadletter show",
    "pack check",
    "pack list",
    "schema",
    "verify",
}


@pytest.mark.parametrize("name", ALL)
def test_every_help_shows_an_example_that_begins_as_one_types_it(name: str) -> None:
    output = run(*name.split(), "--help").stdout
    assert "Example" in output
    assert f"gridpatrol {name}" in output


LISTINGS = {
    "incident list --all",
    "case list",
    "alert list",
    "notice list",
    "duty show WY01-01-MEMBER --day 2026-03-20",
    "deadletter list",
    "audit list",
    "performance show --period all",
    "log standing",
    "pack list",
}


def rows_of(text: str) -> list[dict[str, str]]:
    """CSV as a spreadsheet opens it."""
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


@pytest.mark.parametrize("words", sorted(LISTINGS))
def test_every_listing_is_a_spreadsheet_to_its_end(city: str, words: str) -> None:
    rows = rows_of(run(*words.split(), "--csv", "--database", city).stdout)
    assert rows or words == "log standing"
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "+", "@"))]


def test_a_listing_goes_on_beyond_its_first_pages(city: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridpatrol.pages.PAGE", 7)
    every = answer("incident", "list", "--all", "--limit", "all", "--database", city)
    rows = rows_of(run("incident", "list", "--all", "--csv", "--database", city).stdout)
    assert [row["id"] for row in rows] == [line["id"] for line in every["incidents"]] and len(rows) > 50
    assert every["next"] is None
    some = answer("incident", "list", "--all", "--limit", 20, "--database", city)
    ids = [line["id"] for line in every["incidents"]]
    assert [line["id"] for line in some["incidents"]] == ids[:20] and some["next"]
    rest = answer("incident", "list", "--all", "--limit", "all", "--cursor", some["next"], "--database", city)
    assert [line["id"] for line in rest["incidents"]] == ids[20:]
    found = answer("incident", "list", "--search", rows[3]["short_number"], "--database", city)["incidents"]
    assert rows[3]["id"] in [line["id"] for line in found]


def test_figures_of_a_history_are_those_of_its_last_month_and_that_is_said(city: str) -> None:
    told = run("performance", "show", "--json", "--database", city)
    page = json.loads(told.stdout)
    assert (page["since"], page["until"]) == ("2026-03-01", "2026-03-31")
    assert page["log_at"].startswith("2026-03-31T") and page["rows"]
    assert told.stderr == f"The log ends at {page['log_at']}: these are the figures of then. --day asks for others.\n"
    for more in (("--period", "all"), ("--day", "2026-02-01"), ("--from", "2026-03-01")):
        assert run("performance", "show", *more, "--database", city).stderr == ""


def test_every_command_that_reads_can_print_json() -> None:
    assert set(ALL) >= READING
    with_json = {name for name, command in ALL.items() if any("--json" in option.opts for option in command.params)}
    assert with_json >= READING


def test_a_misspelled_option_ends_with_status_2_and_points_at_the_help() -> None:
    output = run("incident", "list", "--overdu", status=2).stderr
    assert "--overdue" in output and "gridpatrol incident list -h" in output


# ---- deadlines -----------------------------------------------------------------------------------------------


def test_a_deadline_is_explained_span_by_span_without_any_database(tmp_path: Path) -> None:
    document = answer("deadline", "explain", "--limit", "4工作时", "--from", "2026-02-14T17:00+08:00")
    assert document["due_at"] == "2026-02-24T11:00:00+08:00"
    assert sum(span["counted"] for span in document["spans"]) == 4 * 3_600_000
    assert [span["counted"] // 3_600_000 for span in document["spans"]] == [1, 0, 3]
    assert list(tmp_path.iterdir()) == []


def test_the_explanation_speaks_chinese_and_english() -> None:
    words = ("deadline", "explain", "--limit", "4工作时", "--from", "2026-02-14T17:00+08:00")
    assert "春节调休上班" in run(*words).stdout and "到期" in run(*words).stdout
    assert "working window" in run(*words, "--lang", "en").stdout


def test_an_instant_without_zone_is_the_packs_and_that_is_said() -> None:
    result = run("deadline", "explain", "--limit", "1自然日", "--from", "2026-05-01T09:00")
    assert "Asia/Shanghai is assumed" in result.stderr
    assert "2026-05-02" in result.stdout


def test_a_limit_that_leaves_the_clock_open_is_refused_with_the_forms_that_work() -> None:
    output = run("deadline", "explain", "--limit", "4小时", "--from", "2026-05-01T09:00+08:00", status=2).stderr
    assert "--limit: " in output and "does not say which clock runs" in output and "工作时" in output


def test_a_stored_clock_is_explained_up_to_the_deadline_that_counts(city: str) -> None:
    lines = answer("incident", "list", "--database", city, "--limit", 500)["incidents"]
    checked = 0
    for line in lines:
        for clock in line["clocks"]:
            if clock["due_at"] and not clock["paused"]:
                document = answer(
                    "deadline",
                    "explain",
                    line["id"],
                    "--clock",
                    clock["name"],
                    "--level",
                    clock["level"],
                    "--database",
                    city,
                )
                assert document["due_at"] == clock["due_at"]
                checked += 1
        if checked > 12:
            return
    assert checked > 5


def test_without_a_clock_the_running_one_that_is_due_first_is_explained(city: str) -> None:
    lines = answer("incident", "list", "--database", city, "--limit", 500)["incidents"]
    explained: set[str] = set()
    for line in lines:
        dues = {(c["due_at"], c["name"]) for c in line["clocks"] if c["due_at"] and not c["paused"]}
        if len(dues) < 2 or len(explained) > 2:
            continue
        document = answer("deadline", "explain", line["id"], "--database", city)
        assert document["due_at"] == min(dues)[0] == line["due_at"]
        assert (document["due_at"], document["clock"]) in dues
        explained.add(document["clock"])
    assert explained - {"total"}


def test_without_a_clock_that_runs_the_total_one_is_explained(city: str) -> None:
    [line] = answer("incident", "list", "--state", "closed", "--limit", 1, "--database", city)["incidents"]
    document = answer("deadline", "explain", line["id"], "--database", city)
    assert (document["clock"], document["result"] != "") == ("total", True)
    wrong = run("deadline", "explain", line["id"], "--level", 9, "--database", city, status=2).stderr
    assert "No clock 'total' at level 9 has run in this incident, only: " in wrong


# ---- looking -------------------------------------------------------------------------------------------------


def test_the_desk_lists_what_is_late_the_longest_delay_first(city: str) -> None:
    asked = ("incident", "list", "--overdue", "--at", END.isoformat(), "--database", city)
    page = answer(*asked)
    assert page["incidents"]
    late = [line["overdue_ms"] for line in page["incidents"]]
    assert late == sorted(late, reverse=True) and min(late) > 0
    assert f"{len(late)} incidents" in run(*asked).stdout


def test_a_story_has_one_line_per_step_from_the_first_report_on(city: str) -> None:
    line = answer("incident", "list", "--state", "verified", "--database", city)["incidents"][0]
    shown = answer("incident", "show", line["id"], "--database", city)
    head, _, story = run("incident", "show", line["id"], "--database", city).stdout.partition("\n\n")
    assert line["id"] in head and "核查通过 verified" in head
    lines = story.strip().splitlines()
    assert len(lines) == len(shown["history"])
    assert "网格" in lines[0] or "reported" in lines[0]
    assert any("全程 total" in line for line in lines) and any("until" in line for line in lines)


def test_cases_are_listed_and_shown_whatever_their_kind(city: str) -> None:
    both = ("case", "list", "--all", "--limit", 500, "--at", END.isoformat(), "--database", city)
    of_kind = "--definition"
    listed = answer(*both)["incidents"]
    assert listed == answer("incident", *both[1:])["incidents"]
    kinds = {kind: answer(*both, of_kind, kind)["incidents"] for kind in ("incident", "service_request")}
    assert {kind: {line["definition"] for line in lines} for kind, lines in kinds.items() if lines} == {
        kind: {kind} for kind in {line["definition"] for line in listed}
    }
    assert sum(map(len, kinds.values())) == len(listed) > 50
    assert " cases as of " in run(*both, of_kind, "duty").stdout
    id_ = listed[0]["id"]
    shown = [answer(group, "show", id_, "--database", city)["history"] for group in ("case", "incident")]
    assert shown[0] == shown[1] and len(shown[0]) > 1
    refused = run("case", "list", of_kind, "duties", "--database", city, status=2).stderr
    assert "no such kind of case" in refused and "incident, service_request" in refused


def test_an_incident_that_is_not_there_is_said_in_one_sentence(city: str) -> None:
    output = run("incident", "show", SUBJECT.format(1), "--database", city, status=1).stderr
    assert len(output.strip().splitlines()) == 1 and "no case of this id" in output


def test_figures_of_the_children_add_up_to_those_of_the_parent(city: str) -> None:
    asked = ("performance", "show", "--period", "all", "--database", city)
    children = answer(*asked, "--grid", "WY", "--by", "grid")["rows"]
    parts = answer(*asked, "--grid", "WY", "--by", "category")["rows"]
    assert len(children) > 5
    for measure in ("reported", "closed", "on_time"):
        sums = [sum(row["counts"].get(measure, 0) for row in rows) for rows in (children, parts)]
        assert sums[0] == sums[1] > 0
    assert "按期结案率" in run(*asked, "--grid", "WY").stdout


def test_a_level_that_the_pack_does_not_have_is_refused_in_one_sentence(city: str) -> None:
    for level in ("0", "5", "99", "9" * 30):
        output = run("performance", "show", "--level", level, "--database", city, status=2).stderr
        assert "level: " in output
    assert "only levels 1 to 4" in run("performance", "show", "--level", 99, "--database", city, status=2).stderr


def test_alerts_are_listed_by_status(city: str) -> None:
    firing = answer("alert", "list", "--status", "firing", "--limit", 1000, "--database", city)
    assert firing and {alert["status"] for alert in firing} == {"firing"}
    for alert in firing:
        names = alert["names"]
        assert set(alert["recipients"]) == set(names["recipients"])
        assert names["path"][-1] in alert["sentence"]["zh"] and len(names["path"]) == alert["path"].count("/") - 1
        assert bool(names["department"]) == bool(alert["department"])
        assert bool(names["category"]) == bool(alert["category"])
    assert "告警中 firing" in run("alert", "list", "--status", "firing", "--database", city).stdout


def test_the_deadlines_that_a_leaf_has_missed_are_listed_case_by_case(city: str) -> None:
    """From a figure to its cases."""
    page = answer("performance", "show", "--period", "all", "--by", "grid", "--level", 4, "--database", city)
    found = 0
    for clock in ("verify", "close", "report", "dissuade"):
        missed = {row["key"]: n for row in page["rows"] if (n := row["counts"].get(f"breach:{clock}"))}
        missed = {key: n for key, n in missed.items() if "-" in key}  # else a street's own
        asked = ("alert", "list", "--clock", clock, "--rung", "due", "--limit", 10_000, "--database", city)
        told = [alert for alert in answer(*asked) if alert["level"] == 4 and alert["status"] != "withdrawn"]
        assert {alert["kind"] for alert in told} <= {"due"}
        assert Counter(alert["path"].split("/")[4] for alert in told) == missed
        found += len(told)
    assert found > 10


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    output = run("incident", "list", "--database", f"sqlite:///{tmp_path}/none.db", status=1).stderr
    assert "there is no database" in output and "--database" in output
    assert list(tmp_path.iterdir()) == []


# ---- replay, export ------------------------------------------------------------------------------------------


def test_a_replay_that_stopped_in_between_and_went_on_tells_the_same_facts(month: Path, begun: str) -> None:
    database = "sqlite:///halves.db"
    run("replay", month, "--until", "2026-03-05T00:00+08:00", "--database", database, status=1)
    some = facts(database)
    run("replay", month, "--until", EARLY, "--database", database, status=1)
    assert 0 < len(some) < len(facts(database)) and facts(database, "--without-n") == facts(begun, "--without-n")


def test_the_same_replay_again_decides_nothing(month: Path, copy: str) -> None:
    done = answer("replay", month, "--until", END.isoformat(), "--database", copy, status=1)
    assert done["outcomes"] == {} and done["skipped"] > 100


def test_another_file_is_not_replayed_into_a_database_that_holds_events(month: Path, copy: str, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(month.read_bytes() + b"\n")
    output = run("replay", other, "--database", copy, status=1).stderr
    assert "holds other events already" in output and "publish" in output


def test_an_exported_log_replayed_elsewhere_gives_the_same_bytes(begun: str) -> None:
    run("log", "export", "-o", "log.jsonl", "--database", begun)
    run("replay", "log.jsonl", "--database", "sqlite:///again.db")
    assert facts("sqlite:///again.db") == facts(begun) != b""


def test_with_one_partition_each_incident_has_the_same_facts(
    month: Path, begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDPATROL_PARTITIONS", "1")
    run("replay", month, "--until", EARLY, "--database", "sqlite:///one.db", status=1)
    assert facts("sqlite:///one.db", "--without-n") == facts(begun, "--without-n")
    assert facts("sqlite:///one.db") != facts(begun)


def test_whoever_holds_the_database_is_named_to_a_second_writer(month: Path, copy: str) -> None:
    database = open_database(copy)
    lease = Lease(database)
    try:
        output = run("replay", month, "--database", copy, status=75).stderr
    finally:
        lease.close()
        database.close()
    assert "process" in output and "Stop it" in output


# ---- publish, dead letters, packs ----------------------------------------------------------------------------


def report(number: int, actor: str = "WY01-01-MEMBER", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"cli-{number}",
        "source": "/tests",
        "type": "gridpatrol.report.submitted.v1",
        "subject": SUBJECT.format(number),
        "time": "2026-03-02T09:00:00+08:00",
        "actor": actor,
        "data": {"category": "D3-01", "source": "patrol", "grid": "WY01-01"},
    } | changes


def jsonl(*events: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events)


def test_published_twice_it_counts_once() -> None:
    events = jsonl(report(1), report(2))
    assert run("publish", "-", stdin=events).stdout.strip() == "2 done"
    assert run("publish", "-", stdin=events).stdout.strip() == "2 duplicate"
    assert run("publish", "-", stdin=json.dumps([report(1)])).stdout.strip() == "1 duplicate"
    encoded = {name: value for name, value in report(1).items() if name != "data"}
    encoded["data_base64"] = base64.b64encode(json.dumps(report(1)["data"]).encode()).decode()
    assert run("publish", "-", stdin=jsonl(encoded)).stdout.strip() == "1 duplicate"
    assert len(answer("incident", "list")["incidents"]) == 2


def test_what_comes_early_is_told_what_it_waits_for_and_what_comes_with_its_report_what_became_of_it() -> None:
    comment = {"type": "gridpatrol.comment.added.v1", "data": {}}
    early = [report(number) | comment | {"id": f"early-{number}"} for number in (1, 2)]
    output = run("publish", "-", stdin=jsonl(*early, report(1))).stdout
    assert "early-2: came early; parked until 20" in output and "early-1" not in output
    assert "waits for gridpatrol.report.submitted.v1\n" in output
    assert output.endswith("2 done, 1 parked\n")
    item = json.loads(run("publish", "-", "--json", stdin=jsonl(early[1])).stdout)["results"][0]
    assert (item["outcome"], item["first"]) == ("duplicate", "parked")
    assert item["waits_for"] == ["gridpatrol.report.submitted.v1"] and item["until"].endswith("Z")


def test_what_came_early_in_a_long_file_is_told_as_it_stands_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDPATROL_APPEND_BATCH", "1")
    comment = {"type": "gridpatrol.comment.added.v1", "data": {}}
    early = [report(number) | comment | {"id": f"early-{number}"} for number in (1, 2)]
    closed = {"type": "gridpatrol.incident.closed.v1", "data": {}, "id": "closed"}
    output = run("publish", "-", "--json", stdin=jsonl(*early, early[0], report(1) | closed, report(1))).stdout
    results = [(item["outcome"], item["first"], "until" in item) for item in json.loads(output)["results"]]
    parked, released, again = ("parked", "", True), ("done", "", False), ("duplicate", "done", False)
    assert results == [released, parked, again, parked, released]


def test_a_member_of_misspelt_name_is_taken_and_named() -> None:
    said = report(1)
    said["data"]["photo"] = "x"
    output = run("publish", "-", stdin=jsonl(said, report(2))).stdout
    assert "cli-1: not in the contract" in output and '["data.photo"]' in output and "cli-2" not in output
    assert output.endswith("2 done\n")
    results = json.loads(run("publish", "-", "--json", stdin=jsonl(said, report(2))).stdout)["results"]
    assert [item.get("unknown") for item in results] == [["data.photo"], None]


def test_a_byte_order_mark_costs_no_event_and_a_bad_item_is_named_by_its_number() -> None:
    Path("events.jsonl").write_text(jsonl(report(1), report(2)), encoding="utf-8-sig")
    assert run("publish", "events.jsonl").stdout.strip() == "2 done"
    Path("array.json").write_text(json.dumps([report(1), {"specversion": "1.0"}], indent=2), encoding="utf-8-sig")
    output = run("publish", "array.json", status=1).stdout
    assert "item 2: invalid" in output and output.endswith("1 duplicate, 1 rejected\n")
    Path("spreadsheet.jsonl").write_text(jsonl(report(3)), encoding="utf-16")
    assert "UTF-16. Save it as UTF-8." in run("publish", "spreadsheet.jsonl", status=1).stderr
    assert "begins like a JSON array but is none" in run("publish", "-", stdin="[1,\n2", status=1).stderr


def test_what_is_not_taken_is_told_with_its_reason_and_kept_with_its_bytes() -> None:
    wrong = report(3, data={"category": "no-such", "source": "patrol", "grid": "WY01-01"})
    output = run("publish", "-", stdin=jsonl(wrong) + '\n{"specversion": "1.0", "note": "a name"\n', status=1).stdout
    assert "line 1 /tests cli-3: unknown_code data.category" in output and "line 3: undecodable" in output
    letters = answer("deadletter", "list")
    assert {letter["reason"] for letter in letters} == {"unknown_code", "undecodable"}
    kept = next(letter["id"] for letter in letters if letter["reason"] == "undecodable")
    assert "a name" not in run("deadletter", "show", kept).stdout
    assert "a name" in run("deadletter", "show", kept, "--bytes").stdout


def test_a_dead_letter_is_replayed_once_its_reason_is_gone(tmp_path: Path) -> None:
    """The pack did not know the post; the office adds it, activates, and replays."""
    folder = tmp_path / "pack"
    shutil.copytree(folder_of("weiyang"), folder)
    run("publish", "-", stdin=jsonl(report(4, actor="WY01-01-NEW")), status=1)
    [letter] = answer("deadletter", "list", "--reason", "unknown_code")
    assert answer("deadletter", "replay", letter["id"], status=1)[0]["outcome"] == "refused"
    posts = folder / "posts.csv"
    posts.write_text(posts.read_text(encoding="utf-8") + "WY01-01-NEW,新网格员,member,WY01-01,,,,\n", encoding="utf-8")
    run("pack", "activate", folder)
    [replayed] = answer("deadletter", "replay", letter["id"])
    assert {name: value for name, value in replayed.items() if value} == {"letter": letter["id"], "outcome": "done"}
    assert answer("incident", "list")["incidents"][0]["id"] == SUBJECT.format(4)
    assert next(item for item in answer("deadletter", "list") if item["id"] == letter["id"])["replayed"] == "done"
    assert [pack["active"] for pack in answer("pack", "list")].count(True) == 1
    assert run("verify").stdout.startswith("Everything")


def test_of_several_letters_those_that_can_be_are_replayed_and_the_others_named() -> None:
    run("publish", "-", stdin=jsonl(report(7), report(7, time="2026-03-02T09:00:00Z"), report(8, actor="NO")), status=1)
    letters = {letter["reason"]: letter["id"] for letter in answer("deadletter", "list")}
    output = run("deadletter", "replay", letters["conflict"], letters["unknown_code"], status=1).stdout
    first, second = output.splitlines()
    assert first.startswith(f"{letters['conflict']}: not replayable: ") and "send it with a new id" in first
    assert second.startswith(f"{letters['unknown_code']}: refused (unknown_code actor")


def test_a_letter_that_is_not_there_is_said() -> None:
    run("publish", "-", stdin=jsonl(report(5)))
    assert "there is no dead letter" in run("deadletter", "replay", "99.99", status=1).stderr


def test_a_pack_with_an_error_is_told_with_file_row_and_remedy_and_cannot_be_activated(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(folder_of("weiyang"), folder)
    posts = folder / "posts.csv"
    posts.write_text(posts.read_text(encoding="utf-8") + "X,某岗,member,NOWHERE,,,,\n", encoding="utf-8")
    row = len(posts.read_text(encoding="utf-8").splitlines())
    assert f"posts.csv:{row}" in run("pack", "check", folder, status=1).stdout
    problems = answer("pack", "check", folder, status=1)["problems"]
    assert any(p["file"] == "posts.csv" and p["row"] == row and p["remedy"] for p in problems)
    assert f"posts.csv:{row}" in run("pack", "activate", folder, status=1).stderr


def test_both_shipped_packs_can_be_activated() -> None:
    for name in ("weiyang", "boston311"):
        told = run("pack", "check", name).stdout
        assert "It can be activated" in told
        fixings = [line[:3] for line in told.splitlines() if line.startswith("定")]
        assert fixings == ["定区域", "定人员", "定职责", "定标准", "定流程", "定考核"]


# ---- verify, settle, schema ----------------------------------------------------------------------------------


def test_verify_shouts_when_one_figure_is_off_by_one(begun: str, tmp_path: Path) -> None:
    copy = copied(begun, tmp_path)
    assert run("verify", "--database", copy).stdout.startswith("Everything")
    database = open_database(copy)
    with database.begin() as connection:
        changed = connection.exec_driver_sql(
            f"UPDATE figures SET value = value + 1 WHERE ({CELL}) = (SELECT {CELL} FROM figures ORDER BY day LIMIT 1)"
        ).rowcount
    assert changed == 1
    database.close()
    document = answer("verify", "--database", copy, status=1)
    assert document["count"] > 0 and all(mismatch["what"] == "figure" for mismatch in document["mismatches"])


def test_a_restored_database_gets_a_feed_of_a_new_epoch_under_the_lease(copy: str, tmp_path: Path) -> None:
    before = meta(copy, "feed_epoch")
    output = run("db", "restart-feed", "--database", copy).stdout
    fresh = meta(copy, "feed_epoch")
    assert fresh != before and f"epoch {fresh}" in output
    run("db", "restart-feed", "--database", copy)
    assert int(meta(copy, "feed_epoch"), 16) > int(fresh, 16)
    database = open_database(copy)
    lease = Lease(database)
    try:
        assert f"process {os.getpid()}" in run("db", "restart-feed", "--database", copy, status=75).stderr
    finally:
        lease.close()
        database.close()
    away = f"sqlite:///{tmp_path}/no.db"
    assert "there is no database" in run("db", "restart-feed", "--database", away, status=1).stderr
    assert not (tmp_path / "no.db").exists()


def meta(url: str, name: str) -> str:
    """A value of the installation; empty where there is none."""
    database = open_database(url)
    with database.read() as connection:
        value = connection.exec_driver_sql("SELECT value FROM meta WHERE name = ?", (name,)).scalar_one_or_none()
    database.close()
    return value or ""


def test_a_settlement_of_a_record_that_was_decided_is_refused(copy: str) -> None:
    output = run("log", "settle", 0, 0, "--skip", "--database", copy, status=2).stderr
    assert "decided already" in output
    assert "either" in run("log", "settle", 0, 0, "--database", copy, status=2).stderr


def test_the_schema_of_a_type_names_what_is_required() -> None:
    assert "gridpatrol.report.submitted.v1" in run("schema").stdout
    document = json.loads(run("schema", "report.submitted.v1").stdout)
    assert "subject" in document["required"]
    assert "There is no type" in run("schema", "gridpatrol.nothing.v1", status=2).stderr
    assert json.loads(run("schema", "--asyncapi").stdout)["asyncapi"] == "3.0.0"


def test_the_import_of_a_real_city_says_what_it_could_not_take_whole() -> None:
    result = run("import", "boston311", "-o", "city.jsonl", "--show", 2)
    assert result.stderr.strip().splitlines()[-1] == ("31327 events; 0 lines not imported, 28 imported with a remark.")
    with Path("city.jsonl").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 31_327


CITY_HEADER = (
    "case_enquiry_id,open_dt,sla_target_dt,closed_dt,on_time,case_status,type,queue,department,city_council_district,"
    "ward,precinct,latitude,longitude,source"
)
CITY_ROWS = (
    "1,2026-03-02 08:00:00,,,,Open,Graffiti Removal,PROP_GRAF,PROP,3,,,,,Constituent Call",
    "2,2026-03-02 08:01:00,,,,Open,Graffiti Removal,PROP_GRAF,PROP,3,,,,,Twitter",
    "3,2026-03-02 08:02:00,,,,Open,Space Junk,PROP_GRAF,PROP,3,,,,,Constituent Call",
    "4,2026-03-02 08:03:00,,,,Open,Graffiti Removal,No Q,No Q,3,,,,,Constituent Call",
)


def test_lines_that_are_not_imported_are_counted_by_reason_and_come_back_mapped_from_the_file_of_rejects() -> None:
    Path("now.csv").write_text("\n".join((CITY_HEADER, *CITY_ROWS, "")), encoding="utf-8")
    told = run("import", "boston311", "now.csv", "--rejects", "rejects.csv", "-o", "first.jsonl", status=1).stderr
    for line in (
        "1  NOT imported  type: no category of the pack",
        "1  NOT imported  source: how it came in is not known here",
        "1  NOT imported  department: no department of the pack",
        "1                department: No Q",
        "1 events; 3 lines not imported, 0 imported with a remark.",
    ):
        assert line in told
    rejects = Path("rejects.csv").read_text(encoding="utf-8").splitlines()
    assert rejects[0] == f"{CITY_HEADER},reject_line,reject_field,reject_reason"
    assert rejects[1] == f"{CITY_ROWS[1]},3,source,how it came in is not known here: Twitter"
    Path("meanings.csv").write_text(
        "column,value,code\nsource,Twitter,public\ntype,Space Junk,graffiti-removal\ndepartment,No Q,\n",
        encoding="utf-8-sig",
    )
    run("import", "boston311", "rejects.csv", "--map", "meanings.csv", "-o", "second.jsonl")
    second = [json.loads(line) for line in Path("second.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["data"]["reference"] for event in second] == ["2", "3", "4"]
    assert "department" not in second[2]["data"] and second[0]["data"]["source"] == "public"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("source,Twitter,bird", "meanings.csv:2 code: 'bird' is no source of ours"),
        ("source,Twitter,", "meanings.csv:2 code: '' is no source of ours"),
        ("type,Space Junk,space-junk", "'space-junk' is no type of ours"),
        ("colour,red,public", "meanings.csv:2 column: 'colour' is not mapped"),
        ("source,Twitter,public\nsource,Twitter,hotline", "meanings.csv:3 value: 'Twitter' stands twice"),
    ],
)
def test_a_mapping_to_what_there_is_not_is_refused_before_a_line_is_read(rows: str, said: str) -> None:
    Path("now.csv").write_text("\n".join((CITY_HEADER, *CITY_ROWS, "")), encoding="utf-8")
    Path("meanings.csv").write_text(f"column,value,code\n{rows}\n", encoding="utf-8")
    assert said in run("import", "boston311", "now.csv", "--map", "meanings.csv", "-o", "x.jsonl", status=1).stderr
    assert not Path("x.jsonl").exists()
