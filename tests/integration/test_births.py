"""Time bears cases: first activation, another pack, upgrade, silence, quarantine, kills; on each database.

Enters: arrivals and activations of a partition, with a kind of case of the tests' own that time bears. Leaves: which
walks were born, when, and how they ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from consumers.alerts import fold
from consumers.verify import mismatches, verify
from engine import failpoints
from engine.errors import BrokerAway
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.metrics import gauges
from engine.policies import Policies
from engine.replay import export_log, replay_events, replay_log
from engine.runtime import Engine
from engine.slice.entering import activations_of
from engine.store import exports
from engine.views.names import active_names
from gridpatrol.render.story import story
from lab import runs
from lab.runs import engine_on
from schemas import facts
from schemas.derived_ids import derived_subject, home_subject
from schemas.facts import decode_facts
from schemas.kinds.home import Unobserved
from schemas.partition import home_of
from tests.integration.test_isolation import refuse, relent
from tests.simulation.line import Line, check_export
from tests.support.builders import DAY, HOUR, MEMBER, at, event, subject, weiyang
from tests.support.walks import street, walks
from workflows import homes, periods
from workflows.clocks.limits import parse_limit
from workflows.policy.model import Pack, RungRow

HOME = home_subject("WY01")
DAYS = weiyang().clock_of_days
FIRST, OTHER = "WY01-01", "WY01-02"
MINUTE = 60_000
NOON = at("03-03 12:00")  # a Tuesday


@pytest.fixture(autouse=True)
def with_walks() -> Iterator[None]:
    with walks():
        yield


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with engine_on(database_url, 1, consumers=runs.consumers()) as engine:
        fold.epoch(engine.database)
        yield Line(engine)


def activate(line: Line, pack: Pack, time: int) -> None:
    line.engine.install(pack, time)
    line.engine.drain()


def tick(line: Line, *times: int) -> None:
    for time in times:
        line.engine.append([Submission(p, "tick", "owner", "") for p in line.engine.rows], time)
        line.engine.drain()


def walk(row: str, leaf: str, day: int) -> str:
    """The id of a walk."""
    begins = DAYS.day_start(day)
    return derived_subject("WY01", "walk", row, f"{leaf}-MEMBER", day, begins)


def born(line: Line) -> dict[str, str]:
    """When each walk was born."""
    return {
        step.case_id: DAYS.local(fact.judged)[:16]
        for step in runs.steps(line.engine)
        for fact in decode_facts(step.body)
        if isinstance(fact, facts.Born) and fact.definition == "walk"
    }


def of(line: Line, kind: type[Any], case: str = HOME) -> list[Any]:
    return [
        fact
        for step in runs.steps(line.engine)
        if step.case_id == case
        for fact in decode_facts(step.body)
        if isinstance(fact, kind)
    ]


def ended(line: Line, case: str) -> list[tuple[str, str]]:
    """The result of a walk's clock, and when."""
    return [(fact.result, DAYS.local(fact.judged)[:19]) for fact in of(line, facts.ClockStopped, case)]


def sound(line: Line, tmp_path: Path) -> None:
    """All that is stored follows from the facts, and the log gives them again, in slices of one."""
    if line.engine.consumers:
        line.engine.drain()
        # The recount knows the endings of kinds that are there from the start.
        assert [m for m in verify(line.engine.database) if "definition walk, measure void" not in m.where] == []
    check_export(line, tmp_path)


def rows(line: Line) -> list[tuple[str, int | None, bool]]:
    with line.engine.database.read() as connection:
        sql = "SELECT id, next_at, open FROM cases ORDER BY id"
        return [(id_, next_at, bool(open_)) for id_, next_at, open_ in connection.exec_driver_sql(sql)]


# ---- when something is owed ---------------------------------------------------------------------------------


def test_the_first_activation_owes_nothing_of_what_has_begun_and_all_of_what_begins(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    assert [(row[0], row[1]) for row in rows(line)] == [(HOME, NOON - 1)]  # entered, and due before whatever comes next
    tick(line, NOON)
    assert born(line) == {}
    tick(line, at("03-03 23:59") + MINUTE)  # midnight itself is not past
    assert born(line) == {}
    tick(line, at("03-04 00:05"))
    assert born(line) == {
        walk("PATROL", FIRST, 20260304): "2026-03-04T00:00",
        walk("PATROL", OTHER, 20260304): "2026-03-04T00:00",
    }
    tick(line, at("03-09 00:05"))  # a Monday
    assert born(line)[walk("WEEK", FIRST, 20260309)] == "2026-03-09T00:00"
    assert len(born(line)) == 13
    steps = [step for step in runs.steps(line.engine) if step.case_id == walk("PATROL", FIRST, 20260304)]
    assert [step.day for step in steps[:2]] == [20260304, 20260304]  # its birth, and that it was missed
    [row] = [row for row in rows(line) if row[0] == HOME]
    assert not row[2]  # no list and no count of open cases knows it
    sound(line, tmp_path)


def test_a_pack_under_which_time_bears_nothing_costs_nothing(line: Line) -> None:
    activate(line, street(), NOON)
    tick(line, NOON + 3 * DAY)
    assert rows(line) == [] and runs.steps(line.engine) == []
    activate(line, street(FIRST), NOON + 3 * DAY)  # and later one that does
    tick(line, NOON + 4 * DAY)
    assert list(born(line)) == [walk("PATROL", FIRST, 20260307)]


def test_another_pack_ends_what_stands_no_more_and_leaves_the_rest(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, NOON + DAY)
    activate(line, street(FIRST, OTHER, vacant=OTHER), NOON + DAY + 5)
    tick(line, NOON + DAY + 6)
    gone = walk("PATROL", OTHER, 20260304)
    assert ended(line, gone) == [("void", "2026-03-04T12:00:00")]
    assert ended(line, walk("PATROL", FIRST, 20260304)) == []
    last = [step for step in runs.steps(line.engine) if step.case_id == gone][-1]
    assert json.loads(last.cause)["occurred"] == NOON + DAY + 4  # just before the activation
    # Occupied again within the day: owed from the next one on.
    activate(line, street(FIRST, OTHER), NOON + DAY + HOUR)
    tick(line, at("03-05 00:06"))
    assert len(ended(line, gone)) == 1 and walk("PATROL", OTHER, 20260305) in born(line)
    sound(line, tmp_path)


def test_a_grid_that_ended_at_noon_owes_no_more(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), at("03-02 09:00"))
    tick(line, at("03-16 00:06"))  # a Monday, and the second half of the month
    owed = [walk(row, FIRST, 20260316) for row in ("PATROL", "WEEK", "HALF_MONTH")]
    assert born(line).keys() >= set(owed)
    activate(line, street(FIRST, OTHER, ended=FIRST, last=20260315), at("03-16 12:00"))
    tick(line, at("03-17 00:06"))
    assert [ended(line, case) for case in owed] == [[("void", "2026-03-16T11:59:59")]] * 3
    assert walk("PATROL", FIRST, 20260317) not in born(line) and walk("PATROL", OTHER, 20260317) in born(line)
    sound(line, tmp_path)


def test_what_is_to_end_on_a_day_is_owed_until_the_last_millisecond_of_that_day(line: Line, tmp_path: Path) -> None:
    """Its week is void then, and nobody is told of it, though the pack said so after the week had begun."""
    activate(line, street(FIRST, OTHER), at("03-13 09:00"))
    tick(line, at("03-16 00:06"))  # a Monday, and the second half of the month
    day, week, half = (walk(row, FIRST, 20260316) for row in ("PATROL", "WEEK", "HALF_MONTH"))
    activate(line, street(FIRST, OTHER, ended=FIRST, last=20260318), at("03-17 12:00"))
    tick(line, at("03-18 23:59"), at("03-19 00:00"))
    end = "2026-03-18T23:59:59"
    assert [ended(line, case) for case in (week, half)] == [[("void", end)]] * 2
    for case in (week, half):
        [last] = [step for step in runs.steps(line.engine) if step.case_id == case][-1:]
        assert json.loads(last.cause)["occurred"] == at("03-19 00:00") - 1
    tick(line, at("04-03 00:06"))
    assert not [fact for case in (week, half) for fact in of(line, facts.AlertRaised, case)]
    assert of(line, facts.ClockRung, day) and of(line, facts.ClockRung, walk("PATROL", FIRST, 20260318))
    assert walk("PATROL", FIRST, 20260319) not in born(line) and walk("PATROL", OTHER, 20260319) in born(line)
    sound(line, tmp_path)


def test_what_was_to_end_and_is_prolonged_in_time_goes_on(line: Line) -> None:
    activate(line, street(FIRST, ended=FIRST, last=20260318), at("03-13 09:00"))
    tick(line, at("03-16 00:06"))
    week = walk("WEEK", FIRST, 20260316)
    activate(line, street(FIRST, ended=FIRST, last=20260320), at("03-18 12:00"))
    tick(line, at("03-20 23:59"))
    assert week in born(line) and ended(line, week) == []
    activate(line, street(FIRST), at("03-20 23:59") + MINUTE + 1)  # a millisecond too late
    tick(line, at("03-22 00:06"))
    assert ended(line, week) == [("void", "2026-03-20T23:59:59")]
    assert walk("PATROL", FIRST, 20260322) in born(line)


def test_what_ends_in_a_silence_ends_on_its_day_and_what_began_before_it_is_void(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, ended=FIRST, last=20260318), at("03-13 09:00"))
    tick(line, at("03-16 09:00"), at("03-30 09:00"))
    for row in ("WEEK", "HALF_MONTH"):
        assert ended(line, walk(row, FIRST, 20260316)) == [("void", "2026-03-18T23:59:59")]
    assert set(born(line)) >= {walk("PATROL", FIRST, 20260316)} and len(of(line, Unobserved)) == 1
    sound(line, tmp_path)


def test_a_pack_that_is_activated_at_midnight_leaves_the_day_alone_that_is_over(line: Line, tmp_path: Path) -> None:
    """Whoever walked on that day may tell it later, and whoever did not has missed it."""
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, at("03-04 12:00"))
    activate(line, street(OTHER), at("03-05 00:00"))
    tick(line, at("03-05 00:01"))
    case = walk("PATROL", FIRST, 20260304)
    assert [fact.due_at for fact in of(line, facts.ClockRung, case) if fact.breach] == []  # it comes up within a spread
    tick(line, at("03-05 00:06"))
    assert [fact.due_at for fact in of(line, facts.ClockRung, case) if fact.breach] == [at("03-05 00:00") - 1]
    assert ended(line, case) == [] and walk("PATROL", FIRST, 20260305) not in born(line)
    sound(line, tmp_path)


def test_what_was_kept_stays_kept_and_the_same_pack_again_ends_nothing(line: Line) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, NOON + DAY)
    kept = walk("PATROL", FIRST, 20260304)
    keep(line, kept, NOON + DAY + HOUR)
    for number in (1, 2):
        activate(line, street(FIRST, OTHER), NOON + DAY + HOUR + number)
    activate(line, street(OTHER), NOON + DAY + 2 * HOUR)
    tick(line, NOON + DAY + 3 * HOUR)
    assert ended(line, kept) == [("on_time", "2026-03-04T13:00:00")]
    assert ended(line, walk("PATROL", OTHER, 20260304)) == []
    assert of(line, facts.Unserved, kept) == []


def keep(line: Line, case: str, time: int, occurred: int | None = None, by: str = MEMBER) -> str:
    """A record of a walk; what becomes of it."""
    said = line.submission(
        "evidence.added",
        by,
        time if occurred is None else occurred,
        case=case,
        evidence=[{"url": "https://example.org/1", "sha256": "0" * 64, "kind": "near"}],
    )
    line.engine.append([said], time)
    found = []
    while (result := line.engine.work(None)) is not None:
        found += [answer.outcome for answer in result.answers] + [each.outcome for each in result.released]
    return " ".join(found)


def test_at_the_turn_of_the_year_the_year_begins_too(line: Line) -> None:
    activate(line, street(FIRST), at("12-30 12:00"))
    tick(line, at("12-31 00:06"), at("12-31 23:59"))
    before = set(born(line))
    line.engine.append([Submission(0, "tick", "owner", "")], at("12-31 23:59") + 10 * MINUTE)
    line.engine.drain()
    begun = {case: born(line)[case] for case in born(line).keys() - before}
    assert begun == {walk(row, FIRST, 20270101): "2027-01-01T00:00" for row in ("PATROL", "HALF_MONTH", "YEAR")}


# ---- who speaks to it -----------------------------------------------------------------------------------------


def test_a_record_that_comes_before_the_birth_waits_for_it(line: Line) -> None:
    activate(line, street(FIRST), NOON)
    tick(line, NOON + 1)
    tomorrow = walk("PATROL", FIRST, 20260304)
    assert keep(line, tomorrow, at("03-04 00:00") + 1) == "parked"  # its birth comes up some seconds later
    tick(line, at("03-04 00:06"))
    assert ended(line, tomorrow) == [("on_time", "2026-03-04T00:00:00")]
    [letter] = [*of(line, facts.Unparked, tomorrow)]
    assert letter.why == "released"


def test_nobody_speaks_to_a_home_and_no_report_takes_an_id_that_time_bears(line: Line) -> None:
    activate(line, street(FIRST), NOON)
    tick(line, NOON + 1)
    assert keep(line, HOME, NOON + 2) == "refused"
    for case in (walk("PATROL", FIRST, 20260305), HOME):
        data = {"category": "D3-04", "source": "hotline", "grid": FIRST}
        line.say("report.submitted", "WY-12345", NOON + 3, case=case, **data)
    line.engine.drain()
    assert [letter[0] for letter in line.letters()] == ["impossible"] * 3
    tick(line, at("03-05 00:06"))
    assert walk("PATROL", FIRST, 20260305) in born(line)


def test_what_was_due_of_a_walk_fires_before_a_record_of_it_although_it_comes_up_later(line: Line) -> None:
    activate(line, street(FIRST), NOON)
    tick(line, NOON + DAY)
    case = walk("PATROL", FIRST, 20260304)
    assert periods.spread_of(case) > 5
    assert keep(line, case, at("03-05 00:00") + 1) == "done"
    lapsed, stopped = of(line, facts.ClockRung, case)[-1], of(line, facts.ClockStopped, case)
    assert lapsed.breach and lapsed.due_at == at("03-05 00:00") - 1
    assert [fact.result for fact in stopped] == ["overdue"]


def test_walks_that_end_at_one_instant_come_up_one_by_one_dated_when_due(line: Line) -> None:
    leaves = [grid.code for grid in weiyang().pack.grids if grid.parent == "WY01"]
    activate(line, street(*leaves), NOON)
    tick(line, NOON + DAY)
    ends = at("03-05 00:00") - 1
    cases = {walk("PATROL", leaf, 20260304) for leaf in leaves}
    due = [(next_at or 0) - ends for id_, next_at, _ in rows(line) if id_ in cases]
    assert len(due) == len(leaves) == len(set(due)) and min(due) >= 0 and max(due) < periods.SPREAD_MS
    tick(line, ends + periods.SPREAD_MS + 1)
    for leaf in leaves:
        assert of(line, facts.ClockRung, walk("PATROL", leaf, 20260304))[-1].due_at == ends


def test_what_comes_up_after_another_pack_fires_under_the_pack_of_its_instant(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, at("03-04 23:00"))
    case = walk("PATROL", OTHER, 20260304)
    assert periods.spread_of(case) > 2
    activate(line, street(FIRST, OTHER, vacant=OTHER), at("03-05 00:00") + 1)  # due, and not come up yet
    tick(line, at("03-05 00:06"))
    [lapsed] = [fact for fact in of(line, facts.ClockRung, case) if fact.breach]
    told = [fact for fact in of(line, facts.AlertRaised, case) if fact.due_at == lapsed.due_at]
    assert f"{OTHER}-MEMBER" in told[-1].to  # the post that had it, vacant since
    assert ended(line, walk("PATROL", OTHER, 20260305)) == [("void", "2026-03-05T00:00:00")]
    sound(line, tmp_path)


def test_what_another_pack_ends_has_rung_before_under_the_pack_of_its_instant(line: Line, tmp_path: Path) -> None:
    """The home says that it ends before the rung has come up, and that brings the rung forward."""
    ladder = (RungRow("total", "warn", "before", parse_limit("2紧急工作时"), tell=("holder",)),)
    before, after = (replace(pack, rungs=ladder) for pack in (street(FIRST, OTHER), street(FIRST, OTHER, vacant=OTHER)))
    activate(line, before, NOON)
    tick(line, at("03-04 21:00"))
    case, warned = walk("PATROL", OTHER, 20260304), at("03-04 22:00") - 1
    assert periods.spread_of(case) > 3
    activate(line, after, warned + 3)
    tick(line, at("03-04 22:06"))
    [told] = of(line, facts.AlertRaised, case)
    assert (told.kind, told.due_at, told.to) == ("warn", warned, (f"{OTHER}-MEMBER", f"{OTHER}-CHIEF"))
    assert [result for result, _ in ended(line, case)] == ["void"]
    sound(line, tmp_path)


# ---- what a partition has not seen ----------------------------------------------------------------------------


def test_what_lies_wholly_in_a_silence_of_eight_days_is_owed_by_nobody(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST), NOON)
    tick(line, at("03-05 09:00"), at("03-13 09:00"))
    assert set(born(line)) == {walk("PATROL", FIRST, day) for day in (20260304, 20260305, 20260313)} | {
        walk("WEEK", FIRST, 20260309)
    }
    [silence] = of(line, Unobserved)
    assert (silence.begin, silence.end) == (at("03-05 09:00"), at("03-13 09:00"))
    tick(line, at("03-14 09:00"))
    assert len(of(line, Unobserved)) == 1 and walk("PATROL", FIRST, 20260314) in born(line)
    with line.engine.database.read() as connection:
        told = "\n".join(story(exports.steps_of(connection, HOME), active_names(connection, Policies())))
    assert "无人观察 nothing arrived between 2026-03-05 09:00 and 2026-03-13 09:00" in told
    sound(line, tmp_path)


def test_what_lies_in_six_days_without_arrivals_is_owed(line: Line) -> None:
    activate(line, street(FIRST), NOON)
    tick(line, at("03-05 09:00"), at("03-11 09:00"))
    assert walk("PATROL", FIRST, 20260307) in born(line) and of(line, Unobserved) == []


def test_the_length_of_a_slice_does_not_hide_a_silence(database_url: str) -> None:
    with engine_on(database_url, 1, 1, 1) as engine:
        line = Line(engine)
        activate(line, street(FIRST, OTHER), NOON)
        tick(line, at("03-05 09:00"), at("03-13 09:00"))
        assert len(of(line, Unobserved)) == 1 and walk("PATROL", FIRST, 20260309) not in born(line)


@pytest.mark.parametrize(("later", "silent"), [(3, False), (20, True)])
def test_a_restored_backup_goes_on_where_it_stood(tmp_path: Path, later: int, silent: bool) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with engine_on(url, 1) as engine:
        activate(Line(engine), street(FIRST), NOON)
        tick(Line(engine), NOON + DAY)
    (tmp_path / "b.db").write_bytes((tmp_path / "a.db").read_bytes())
    with engine_on(f"sqlite:///{tmp_path / 'b.db'}", 1) as engine:
        line = Line(engine)
        tick(line, NOON + DAY + later * DAY)
        day = DAYS.local_day(NOON + 2 * DAY)
        assert (walk("PATROL", FIRST, day) in born(line)) is not silent
        assert walk("PATROL", FIRST, DAYS.local_day(NOON + DAY + later * DAY)) in born(line)
        assert len(of(line, Unobserved)) == silent


def test_a_database_whose_pack_an_earlier_release_activated_gets_its_homes_once(line: Line) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "BEARING", ())
        activate(line, street(FIRST), NOON)
    homes.OWED.clear()
    assert rows(line) == []
    for number in range(3):  # each time a server starts
        engine = Engine(line.engine.database, line.engine.settings)
        engine.tick(NOON + HOUR + number)
        engine.drain()
        line.engine = engine
    assert [arrival for _, arrival in activations_of(line.engine.rows[0])] == [NOON, NOON + HOUR]
    tick(line, NOON + DAY)
    assert list(born(line)) == [walk("PATROL", FIRST, 20260304)]


def test_an_upgrade_whose_log_was_away_appends_its_activation_when_it_is_back(
    line: Line,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "BEARING", ())
        activate(line, street(FIRST), NOON)
    homes.OWED.clear()
    line.engine = Engine(line.engine.database, line.engine.settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line.engine.inbox, "append", away := Mock(side_effect=BrokerAway("away")))
        for number in range(2):
            with pytest.raises(BrokerAway):
                line.engine.tick(NOON + HOUR + number)
        assert away.call_count == 2 and rows(line) == []
    for number in range(3):
        line.engine.tick(NOON + 2 * HOUR + number)
        line.engine.drain()
    assert [arrival for _, arrival in activations_of(line.engine.rows[0])] == [NOON, NOON + 2 * HOUR]


def test_a_history_begins_with_its_first_line_also_where_nothing_is_said(database_url: str) -> None:
    pack = street(FIRST, "WY02-01")
    lines = [
        json.dumps(
            event("report.submitted", "WY-12345", time, case=subject("WY01", number), id=str(number), **data)
        ).encode()
        for number, time in enumerate((NOON, NOON + 3 * DAY), 1)
        for data in [{"category": "D3-04", "source": "hotline", "grid": FIRST}]
    ]
    with engine_on(database_url, 32) as engine:
        line = Line(engine)
        runs.install(engine, pack)
        replay_events(engine, lines, "a file", NOON + 4 * DAY)
        found = born(line)
        assert {DAYS.local_day(at(when[5:].replace("T", " "))) for when in found.values()} >= {20260101, 20260301}
        patrols = sorted(when for when in found.values())
        for home in ("WY01", "WY02"):
            days = [when for case, when in found.items() if home_of(case) == home]
            assert len(days) == 8, days  # the periods that hold the first line, and the days after it
            [silence] = of(line, Unobserved, home_subject(home))
            assert (silence.begin, silence.end) == (1, NOON)
        assert patrols


# ---- what is verified -----------------------------------------------------------------------------------------

CAME_UP, ENTERED = f"id = '{HOME}'", f"id = '{home_subject('WY02')}'"


@pytest.fixture
def followed(line: Line) -> Line:
    """A home that has followed a silence, and two that the last activation has entered and that have not come up."""
    activate(line, street(FIRST), NOON)
    tick(line, at("03-05 09:00"), at("03-13 09:00"), at("03-13 09:30"))
    line.engine.install(street(FIRST, "WY02-01", "WY03-01"), at("03-13 10:00"))
    line.engine.drain()
    return line


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE partitions SET silences = ''", "partition 0 silences"),
        ("UPDATE partitions SET silences = '[[1,2]]'", "partition 0 silences"),
        ("UPDATE partitions SET packs = replace(packs, ']]', '],[\"x\",1]]')", "partition 0 packs"),
        ("UPDATE cases SET next_at = next_at + 1 WHERE " + ENTERED, "next_at: expected one of"),
        ("UPDATE cases SET next_at = NULL WHERE " + ENTERED, "next_at: expected one of"),
        ("UPDATE cases SET state = 'entered' WHERE " + ENTERED, "state: expected 'awaited'"),
        ("UPDATE cases SET partition = 1 WHERE " + ENTERED, "partition: expected 0"),
        ("UPDATE cases SET body = replace(body, '{', '{ ') WHERE " + ENTERED, "body: expected"),
        ("UPDATE cases SET id = 'WY02.x' WHERE " + ENTERED, "case WY02.x: expected no case"),
        ("DELETE FROM cases WHERE " + ENTERED, "a row of a home"),
        ("DELETE FROM cases WHERE " + CAME_UP, "found none"),
        ("UPDATE cases SET next_at = next_at + 1 WHERE " + CAME_UP, "next_at: expected"),
        ("UPDATE cases SET body = replace(body, '\"packs\":1', '\"packs\":2') WHERE " + CAME_UP, "body: expected"),
    ],
)
def test_anything_of_a_home_that_moved_is_found(followed: Line, sql: str, found: str) -> None:
    database = followed.engine.database
    with database.read() as connection:
        assert list(mismatches(connection)) == []
    with suppress(Interrupted), database.begin() as connection:
        connection.exec_driver_sql(sql)
        told = [str(mismatch) for mismatch in mismatches(connection)]
        assert any(found in each for each in told), told
        raise Interrupted


def test_a_silence_that_a_home_has_told_is_missed_also_where_the_log_is_a_topic(followed: Line) -> None:
    """Its records are not at hand then."""
    with suppress(Interrupted), followed.engine.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM inbox")
        before = {m.where for m in mismatches(connection)}
        connection.exec_driver_sql("UPDATE partitions SET silences = ''")
        [found] = [m for m in mismatches(connection) if m.where not in before]
        assert found.where == "0 silences" and str(at("03-13 09:00")) in found.expected
        raise Interrupted


# ---- what goes wrong --------------------------------------------------------------------------------------------


def test_a_home_that_the_database_refuses_is_quarantined_and_catches_up(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, NOON + 1)
    refuse(line.engine.database, "facts", f"NEW.body LIKE '%\"upto\":{at('03-04 00:00')}%'")
    tick(line, at("03-04 00:06"))
    assert born(line) == {}
    [letter] = line.letters()
    assert letter[:2] == ("failed", HOME)
    relent(line.engine.database, "facts")
    assert [fact.on for fact in of(line, facts.Quarantined)] == [True]
    registry = CollectorRegistry()
    gauges.register(registry, line.engine.database)
    assert registry.get_sample_value("gridpatrol_homes_quarantined") == 1
    # Meanwhile the pack changes, and later there is a silence: both count when it goes on.
    activate(line, street(OTHER), at("03-05 12:00"))
    tick(line, at("03-06 12:00"), at("03-15 12:00"))
    line.operate("release", HOME, at("03-15 13:00"))
    line.engine.drain()
    tick(line, at("03-15 13:01"))
    assert born(line) == {
        walk("PATROL", FIRST, 20260304): "2026-03-04T00:00",
        walk("PATROL", OTHER, 20260304): "2026-03-04T00:00",
        walk("PATROL", FIRST, 20260305): "2026-03-05T00:00",
        walk("PATROL", OTHER, 20260305): "2026-03-05T00:00",
        walk("PATROL", OTHER, 20260306): "2026-03-06T00:00",
        walk("PATROL", OTHER, 20260315): "2026-03-15T00:00",
    }
    assert len(of(line, Unobserved)) == 1
    assert ended(line, walk("PATROL", FIRST, 20260305)) == [("void", "2026-03-05T11:59:59")]
    sound(line, tmp_path)


def test_a_walk_that_the_database_refuses_is_quarantined_alone(line: Line, tmp_path: Path) -> None:
    activate(line, street(FIRST, OTHER), NOON)
    tick(line, NOON + 1)
    refused, fine = walk("PATROL", FIRST, 20260304), walk("PATROL", OTHER, 20260304)
    refuse(line.engine.database, "facts", f"NEW.case_id = '{refused}' AND NEW.body LIKE '%case.born%'")
    tick(line, at("03-04 00:06"))
    assert list(born(line)) == [fine]
    assert [fact.on for fact in of(line, facts.Quarantined, refused)] == [True]
    assert of(line, facts.Quarantined) == [] and [letter[1] for letter in line.letters()] == [refused]
    relent(line.engine.database, "facts")
    tick(line, at("03-05 00:06"))
    assert walk("PATROL", FIRST, 20260305) in born(line)
    sound(line, tmp_path)


@pytest.mark.parametrize("rule", ["enter", "bear", "follow", "end", "turn", "call_off"])
def test_a_home_whose_rule_fails_halts_its_partition_and_nothing_is_lost(tmp_path: Path, rule: str) -> None:
    def fails(*_: Any) -> Any:
        raise NameError("secret")

    told = []
    for name in ("whole", "halted"):
        with (
            engine_on(f"sqlite:///{tmp_path / name}.db", 1, consumers=runs.consumers()) as engine,
            ExitStack() as stack,
        ):
            line = Line(engine)
            if name == "halted":
                patch = stack.enter_context(pytest.MonkeyPatch.context())
                patch.setattr(homes, rule, fails)
            line.engine.install(street(FIRST, OTHER), at("03-08 12:00"))
            ticks(line, at("03-09 00:06"))  # a Monday: a day and a week are borne
            line.engine.install(street(FIRST, ended=FIRST, last=20260310), at("03-09 12:00"))
            ticks(line, at("03-09 12:01"), at("03-11 00:06"))
            line.engine.drain()
            if name == "halted":
                row = line.engine.rows[0]
                assert row.halted.startswith("defect at ") and "secret" not in row.halted
                assert row.standing == 0 and line.engine.heads[0] > row.position
                patch.undo()
                line.engine = Engine(engine.database, engine.settings, runs.consumers())  # a release without it
                line.engine.drain()
                assert line.engine.rows[0].halted == ""
                sound(line, tmp_path)
            assert ended(line, walk("WEEK", FIRST, 20260309)) == [("void", "2026-03-10T23:59:59")]
            assert ended(line, walk("PATROL", OTHER, 20260309)) == [("void", "2026-03-09T11:59:59")]
            told.append(runs.steps(line.engine))
    assert told[0] == told[1]


def ticks(line: Line, *times: int) -> None:
    """They enter the log, and are not decided yet."""
    for time in times:
        line.engine.append([Submission(0, "tick", "owner", "")], time)


POINTS = [name for name in failpoints.NAMES if name.startswith(("append.", "slice.", "fold.", "alerts."))]
POINTS = [name for name in POINTS if not name.endswith("_publish")]


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_each_walk_is_born_once_and_ends_once(tmp_path: Path, point: str) -> None:
    leaves = [grid.code for grid in weiyang().pack.grids if grid.parent in ("WY01", "WY02")]
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", 1, 2, 7) as engine:
        fold.epoch(engine.database)
        line, kills = Line(engine), 0
        for pack, time in ((street(*leaves), NOON), (street(*leaves[3:]), NOON + DAY), (None, NOON + 2 * DAY)):
            head, killed, times = line.engine.heads[0], True, 0
            while killed:  # again and again, each time a bit further
                times += 1
                line.engine = Engine(engine.database, engine.settings, runs.consumers())
                failpoints.arm(f"{point}:raise@{times}")
                try:
                    if line.engine.heads[0] == head and pack is not None:
                        line.engine.install(pack, time)
                    elif line.engine.heads[0] == head:
                        line.engine.append([Submission(0, "tick", "owner", "")], time)
                    line.engine.drain()
                    killed = False
                except Interrupted:
                    kills += 1
                    failpoints.arm("")
                    line.engine = Engine(engine.database, engine.settings)
                    line.engine.work(None)  # or it would never get any further
                finally:
                    failpoints.arm("")
        line.engine = Engine(engine.database, engine.settings, runs.consumers())
        line.engine.drain()
        assert kills > 1
        cases = list(born(line))
        assert len(cases) == len(set(cases)) == 2 * len(leaves) - 3
        assert sum(ended(line, case) != [] for case in cases) >= 3
        sound(line, tmp_path)


def test_partitions_and_slices_leave_every_fact_as_it_is(tmp_path: Path) -> None:
    homes = ("WY01", "WY02", "WY05", "WY08")
    pack, told = street(*[grid.code for grid in weiyang().pack.grids if grid.parent in homes]), []
    data = {"category": "D3-04", "source": "hotline"}
    lines = [
        json.dumps(
            event(
                "report.submitted",
                "WY-12345",
                NOON + number * DAY,
                case=subject(home, number),
                id=f"{home}{number}",
                grid=f"{home}-01",
                **data,
            )
        ).encode()
        for number in (1, 2)
        for home in ("WY01", "WY05")
    ]
    for name, limits in (("a", (1, 500, 1000)), ("b", (32, 500, 1000)), ("c", (32, 1, 1))):
        with engine_on(f"sqlite:///{tmp_path / name}.db", *limits) as engine:
            runs.install(engine, pack)
            replay_events(engine, lines, "a file", NOON + 3 * DAY)
            told.append(runs.facts(engine))
            log = list(export_log(engine))
        with engine_on(f"sqlite:///{tmp_path / name}2.db", limits[0], 3, 9) as again:
            replay_log(again, log)
            assert runs.facts(again) == told[-1]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) > 60
