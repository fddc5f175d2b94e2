"""A grid ends, and another one goes on with its open cases: in every state, whatever the slices and the partitions.

Enters: the sample pack with last days and successors, events at chosen instants. Leaves: facts, rows, figures, alerts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from consumers.verify import verify
from engine import admission, failpoints
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.packs import folder_of
from engine.replay import export_log, replay_events, replay_log
from engine.runtime import Engine
from engine.views.past import cases_at
from lab import runs
from lab.runs import engine_on, install
from schemas import facts
from schemas.derived_ids import part_subject
from schemas.kinds.duty import DutyOwed
from schemas.refusals import Refusal
from tests.integration.test_isolation import refuse, relent
from tests.integration.test_standing import broken, check_as_clean, restarted
from tests.simulation.line import Line, check_export, line_on
from tests.support.builders import HOUR, at, event, instant, shipped, subject, weiyang
from tests.support.recorded import gridpatrol
from workflows import succession
from workflows.case import Case, decode
from workflows.definitions import DEFINITIONS
from workflows.policy.model import Department, Pack, Post

LAST_DAY = 20260302
END = at("03-03 00:00") - 1
MORNING = at("03-03 08:00")
EVENING = at("03-02 16:30")
MEMBER, STREET, HOTLINE = "WY01-01-MEMBER", "WY01-CHIEF", "WY-12345"
Said = tuple[str, str, dict[str, Any]]


def ending(days: int = LAST_DAY, pack: Pack | None = None, /, **successors: str) -> Pack:
    """A pack (the sample) in which grids end on a day: successor by code, with `_` for the hyphen."""
    pack, named = pack or weiyang().pack, {code.replace("_", "-"): grid for code, grid in successors.items()}
    grids = (
        msgspec.structs.replace(grid, valid_to=days, successor=named[grid.code]) if grid.code in named else grid
        for grid in pack.grids
    )
    return msgspec.structs.replace(pack, grids=tuple(grids))


def found(**data: Any) -> Said:
    return "report.submitted", MEMBER, {"category": "D3-01", "source": "patrol", "grid": "WY01-01"} | data


def told(category: str = "D3-04", **data: Any) -> Said:
    return "report.submitted", HOTLINE, {"category": category, "source": "hotline", "grid": "WY01-01"} | data


def said(kind: str, by: str, **data: Any) -> Said:
    return kind, by, data


class Way(NamedTuple):
    """How an incident comes into a state, who holds it after the night, and what that one says next."""

    way: Sequence[Said]
    holder: str = ""
    department: str = ""
    then: Said | None = None


ACCEPTED = said("incident.accepted", STREET)
HANDLED = said("handling.completed", STREET)
SOLVED = said("verification.recorded", MEMBER, outcome="solved")
PART = part_subject("WY01", subject("WY01", 6), "WY01-01", 0)
INEFFECTIVE = said("dissuasion.recorded", MEMBER, outcome="ineffective")
WAYS = {
    "discovered": Way([found()], "WY02-01", "", said("dissuasion.recorded", "WY02-01-MEMBER", outcome="effective")),
    "dissuading": Way([found(), INEFFECTIVE], "WY02-01", "", said("incident.reported_up", "WY02-01-MEMBER")),
    "reported": Way([told()], "WY02", "", said("incident.accepted", "WY02-CHIEF")),
    "accepted": Way([told(), ACCEPTED], "WY02", "", said("handling.completed", "WY02-CHIEF")),
    "handling": Way(
        [told(), ACCEPTED, said("incident.dispatched", STREET, lead="WY-BUILD")],
        "WY02",
        "WY-BUILD",
        said("handling.completed", "WY-BUILD-H"),
    ),
    "awaiting_parts": Way(
        [told(), ACCEPTED, said("parts.ordered", "WY-CHIEF", owners=["WY01-01"]), HANDLED],
        "WY02-01",
        "",
        said("parts.released", "WY02-CHIEF", part=PART, reason="other"),
    ),
    "feedback": Way(
        [told("D2-02"), said("incident.accepted", "WY-CHIEF"), said("handling.completed", "WY-CHIEF")],
        "WY02",
        "",
        said("verification.recorded", "WY02-CHIEF", outcome="solved"),
    ),
    "verifying": Way(
        [told(), ACCEPTED, HANDLED], "WY02-01", "", said("verification.recorded", "WY02-01-MEMBER", outcome="solved")
    ),
    "verified": Way([told(), ACCEPTED, HANDLED, SOLVED], "WY02-01", "", said("incident.closed", "WY02-01-CHIEF")),
    "returned": Way(
        [told(), said("incident.returned", STREET, reason="not_our_duty")],
        "WY02-01",
        "",
        said("incident.reported_up", "WY02-01-MEMBER"),
    ),
    "suspended": Way(
        [told(), said("incident.suspended", STREET, reason="season")],
        "WY02",
        "",
        said("incident.resumed", "WY02-CHIEF"),
    ),
    "awaited": Way([ACCEPTED]),
    "closed": Way([told(), ACCEPTED, HANDLED, SOLVED, said("incident.closed", "WY01-01-CHIEF")]),
    "merged": Way([told(), said("incident.merged", "WY-DISPATCH", into=subject("WY01", 3))]),
    "rejected": Way([told(), said("incident.rejected", "WY-DISPATCH", reason="not_found")]),
    "withdrawn": Way([told(), said("incident.withdrawn", HOTLINE)]),
    "force_closed": Way([told(), said("incident.force_closed", "WY-CHIEF", reason="policy")]),
}
"""Every state of the incident. The grid WY01-01 ends, and WY02-01 goes on for it: another street takes the place."""


def asked(category: str = "D3-04") -> Said:
    kind, by, data = told(category)
    return kind, by, data | {"definition": "service_request"}


REQUESTS = {
    "reported": Way([asked()], "WY02", "", said("incident.accepted", "WY02-CHIEF")),
    "handling": Way([asked(), ACCEPTED], "WY02", "", said("handling.completed", "WY02-CHIEF")),
    "handled": Way([asked(), ACCEPTED, HANDLED], "WY02", "", said("incident.closed", "WY02-01-CHIEF")),
    "returned": Way(
        [asked(), said("incident.returned", STREET, reason="not_our_duty")],
        "WY02-01",
        "",
        said("incident.dispatched", "WY-DISPATCH", lead="WY-BUILD"),
    ),
    "suspended": Way(
        [asked(), said("incident.suspended", STREET, reason="season")],
        "WY02",
        "",
        said("incident.resumed", "WY02-CHIEF"),
    ),
    "awaited": Way([ACCEPTED]),
    "closed": Way([asked(), said("incident.closed", "WY01-01-CHIEF")]),
    "merged": Way([asked(), said("incident.merged", "WY-DISPATCH", into=subject("WY01", 1))]),
    "rejected": Way([asked(), said("incident.rejected", "WY-DISPATCH", reason="not_found")]),
    "withdrawn": Way([asked(), said("incident.withdrawn", HOTLINE)]),
    "force_closed": Way([asked(), said("incident.force_closed", "WY-CHIEF", reason="policy")]),
}
"""Every state of the service request, likewise."""


@pytest.mark.mechanism("M3")
@pytest.mark.parametrize("kind", ["incident", "service_request"])
def test_a_district_is_cut_anew_and_no_case_is_stranded_in_any_state(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    ways = WAYS if kind == "incident" else REQUESTS
    assert ways.keys() == DEFINITIONS[kind].states.keys()
    with engine_on(database_url, 1, consumers=runs.consumers()) as engine:
        install(engine, ending(WY01_01="WY02-01"))
        line = Line(engine)
        for number, way in enumerate(ways.values(), 1):
            for minute, (kind, by, data) in enumerate(way.way):
                line.say(kind, by, EVENING + minute * 60_000, case=subject("WY01", number), **data)
        engine.drain()
        before = cases(engine)
        states = {name: before[number].state for number, name in enumerate(ways, 1)}
        assert states == {name: name for name in ways}
        tick(engine, MORNING)
        for number, (state, way) in enumerate(ways.items(), 1):
            case, regridded = cases(engine)[number], line.of(facts.Regridded, number)
            assert case.state == state
            if not way.holder:
                assert not regridded, state  # over, or not begun: there is nothing to go on with
                continue
            assert case.path == ("XA", "WY", "WY02", "WY02-01"), state
            assert len(regridded) == 1 and ("WY01-01", "WY02-01") in regridded[0].grids, state
            unit = case.holdings[-1].unit
            assert (unit.grid, unit.department) == (way.holder, way.department), state
            assert case.holdings[-1].since == END, state
            assert "WY01" not in {case.owner.grid, *(owner.grid for owner in case.trail)}, state
            assert way.then is not None
            kind, by, data = way.then
            line.say(kind, by, MORNING + number, case=subject("WY01", number), **data)
        engine.drain()
        for number, (state, way) in enumerate(ways.items(), 1):
            if way.then is not None:
                assert line.steps(number)[-1].cause.count(way.then[1]), f"{state}: {line.letters()}"
        engine.feed()
        assert verify(engine.database) == []
        check_export(line, tmp_path)


def cases(engine: Engine) -> dict[int, Case]:
    """All cases as they stand, by their numbers."""
    with engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT id, body FROM cases WHERE definition <> 'home'")
        return {int(row[0][-12:], 16): decode(row[1]) for row in rows}


def tick(engine: Engine, instant: int) -> None:
    """A record that only moves time, in every partition."""
    engine.append([Submission(partition, "tick", "owner", "") for partition in engine.rows], instant)
    engine.drain()


def test_a_duty_of_a_grid_that_ended_is_void_once_and_its_successor_owes_its_own(
    sqlite_url: str, tmp_path: Path
) -> None:
    pack = ending(20260304, shipped().pack, WY01_01="WY01-02")
    here = ("XA", "WY", "WY01", "WY01-01", "WY01-02")
    pack = msgspec.structs.replace(pack, posts=tuple(post for post in pack.posts if post.grid in here))
    with engine_on(sqlite_url, 1, consumers=runs.consumers()) as engine:
        engine.install(pack, at("03-01 12:00"))
        line = Line(engine)
        reported(line, 1, at("03-04 09:00"))
        tick(engine, at("03-08 12:00"))  # what may still be told of the days before has ended as well
        steps = runs.steps(engine)
        owed = {row.case_id: row.path for row in steps if "duty.owed" in row.body}
        ended = [row.case_id for row in steps if '"how":"void"' in row.body]
        assert owed and len(ended) == len(set(ended)) > 0
        assert {owed[id_] for id_ in ended} == {"/XA/WY/WY01/WY01-01/"}
        moved = [row.case_id for row in steps if "case.regridded" in row.body]
        assert moved == [subject("WY01", 1)]  # the incident, and no duty
        known = ((row.path, fact) for row in steps for fact in facts.decode_facts(row.body))
        born = [(path, fact) for path, fact in known if isinstance(fact, DutyOwed)]
        late = [path for path, fact in born if fact.first > 20260304]
        assert late and "/XA/WY/WY01/WY01-01/" not in late
        with engine.database.read() as connection:
            sql = "SELECT count(*) FROM cases WHERE open AND definition = 'duty' AND path = '/XA/WY/WY01/WY01-01/'"
            assert connection.exec_driver_sql(sql).scalar_one() == 0
        engine.feed()
        assert verify(engine.database) == []
        check_export(line, tmp_path)


@pytest.mark.mechanism("M3")
def test_a_street_that_is_dissolved_goes_on_in_another_with_all_that_lies_in_it(line: Line, tmp_path: Path) -> None:
    """WY01 ends with its leaves. One of them names nobody: what lies there stays, and who had to act on it does not."""
    leaves = {grid.code.replace("-", "_"): "WY02-01" for grid in weiyang().pack.grids if grid.parent == "WY01"}
    pack = ending(**{**leaves, "WY01_02": "WY02-03", "WY01_03": "", "WY01": "WY02"})
    install(line.engine, pack)
    for number, grid in enumerate(("WY01-01", "WY01-02", "WY01-03", "WY01"), 1):
        reported(line, number, grid=grid)
    reported(line, 5)
    line.say("incident.reassigned", "WY-DISPATCH", EVENING + 1, case=subject("WY01", 5), to_grid="WY01-03")
    tick(line.engine, MORNING)
    found_ = {number: (case.path[-1], case.owner.grid) for number, case in cases(line.engine).items()}
    assert found_ == {
        1: ("WY02-01", "WY02"),
        2: ("WY02-03", "WY02"),
        3: ("WY01-03", "WY02"),
        4: ("WY02", "WY02"),
        5: ("WY02-01", "WY01-03"),
    }
    line.say("report.submitted", HOTLINE, MORNING + 1, case=subject("WY01", 6), category="D3-04", source="hotline")
    line.engine.drain()
    assert outcome(line, 6) == ("misrouted",)
    whole(line, tmp_path)


# ---- whose the work is, and who is told ---------------------------------------------------------------------


@pytest.fixture
def line(sqlite_url: str) -> Iterator[Line]:
    with engine_on(sqlite_url, 1, consumers=runs.consumers()) as engine:
        yield Line(engine)


def reported(line: Line, number: int = 1, time: int = EVENING, **data: Any) -> None:
    """An incident of WY01-01, told by the hotline: the street has to accept it within a working hour."""
    kind, by, rest = told(**data)
    line.say(kind, by, time, case=subject("WY01", number), **rest)


def whole(line: Line, tmp_path: Path) -> None:
    """What was made of the facts agrees with them, and the log gives them again."""
    line.engine.feed()
    assert verify(line.engine.database) == []
    check_export(line, tmp_path)


def test_who_held_a_clock_until_then_is_charged_with_its_time_and_the_successor_with_the_rest(
    line: Line, tmp_path: Path
) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line, 1, at("03-02 17:20"))  # the street consumes forty minutes of the hour in which it accepts
    reported(line, 2, at("03-02 17:50"))  # and ten
    reported(line, 3, at("03-02 17:50"))
    line.say("incident.accepted", "WY02-CHIEF", at("03-03 08:10"), case=subject("WY01", 3))
    tick(line.engine, at("03-03 12:00"))
    started = [fact for fact in line.of(facts.ClockStarted, 1) if fact.clock == "accept"]
    assert [fact.due for fact in started] == [at("03-03 08:20")]  # one clock, and no new budget
    missed = {number: [rung for rung in line.of(facts.ClockRung, number) if rung.breach] for number in (1, 2)}
    assert [rung.charged.grid for rung in missed[1] if rung.clock == "accept"] == ["WY01"]
    assert [rung.charged.grid for rung in missed[2] if rung.clock == "accept"] == ["WY02"]
    done = [(fact.result, fact.charged.grid) for fact in line.of(facts.ClockStopped, 3) if fact.clock == "accept"]
    assert done == [("on_time", "WY02")]
    whole(line, tmp_path)


def test_who_takes_over_is_told_that_work_has_arrived(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line)
    tick(line.engine, MORNING)
    [step] = [step for step in line.steps() if "case.regridded" in step.body]
    notices = [fact for fact in facts.decode_facts(step.body) if isinstance(fact, facts.NoticeGiven)]
    assert [fact.on for fact in notices if "WY02-CHIEF" in fact.to] == ["assigned"]
    assert not any("WY01-CHIEF" in fact.to for fact in notices)


def test_an_alert_goes_to_the_new_holder_and_not_again_to_who_has_seen_it(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line, 1, at("03-02 09:00"))
    line.say("incident.acknowledged", "WY-SUPERVISOR", at("03-02 18:00"), case=subject("WY01", 1))
    tick(line.engine, MORNING)
    [step] = [step for step in line.steps() if "case.regridded" in step.body]
    known = facts.decode_facts(step.body)
    assert [(fact.clock, fact.how) for fact in known if isinstance(fact, facts.AlertEnded)] == [("accept", "withdrawn")]
    [raised] = [fact for fact in known if isinstance(fact, facts.AlertRaised)]
    assert "WY02-CHIEF" in raised.to and "WY01-CHIEF" not in raised.to
    whole(line, tmp_path)
    with line.engine.database.read() as connection:
        sql = "SELECT path, recipients FROM alerts WHERE status = 'firing' AND clock = 'accept'"
        rows = [tuple(row) for row in connection.exec_driver_sql(sql)]
    assert rows and all(path == "/XA/WY/WY02/WY02-01/" and "WY01-CHIEF" not in to for path, to in rows)


def test_a_request_that_was_over_when_its_grid_ended_is_taken_over_when_it_is_open_again(
    line: Line, tmp_path: Path
) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    line.report(1, at("03-02 09:00"), at("03-12 09:00"))
    line.close(1, EVENING)
    again = at("03-05 10:00")
    line.say("case.reopened", HOTLINE, again, case=subject("WY01", 1), reason="dissatisfied")
    tick(line.engine, again + HOUR)
    case, [moved] = cases(line.engine)[1], line.of(facts.Regridded)
    assert moved.path[-1] == case.path[-1] == "WY02-01" and case.state == "reported"
    assert [held.since for held in line.of(facts.Held)][1:] == [again, again], "and not before it was open again"
    assert [step.day for step in line.steps() if "case.regridded" in step.body] == [20260305]
    whole(line, tmp_path)


def test_what_was_missed_in_the_last_millisecond_was_missed_by_who_held_it(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    line.report(due=END)
    tick(line.engine, MORNING)
    [missed], [moved] = line.breaches(), line.of(facts.Regridded)
    assert line.facts().index(missed) < line.facts().index(moved)
    assert missed.charged is not None and missed.charged.path == "/XA/WY/WY01/"


def test_a_leaf_that_moves_within_its_street_changes_no_hands_of_the_street(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    reported(line)
    tick(line.engine, MORNING)
    case = cases(line.engine)[1]
    assert (case.path[-1], case.owner.grid, len(case.holdings)) == ("WY01-02", "WY01", 1)
    [step] = [step for step in line.steps() if "case.regridded" in step.body]
    assert [type(fact) for fact in facts.decode_facts(step.body)] == [facts.Regridded]  # nobody is told of anything
    whole(line, tmp_path)


def test_a_department_goes_on_with_what_it_has(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line, 1, department="WY-BUILD")
    tick(line.engine, MORNING)
    assert cases(line.engine)[1].owner.department == "WY-BUILD"


# ---- what is read of it -------------------------------------------------------------------------------------


def test_what_happened_counts_where_the_problem_lay_then(line: Line, tmp_path: Path) -> None:
    """Reported in the old grid, missed there, closed in the new one; and a reading of the past finds it there."""
    install(line.engine, ending(WY01_01="WY02-01"))
    line.report(1, EVENING, due=at("03-02 18:00"))
    tick(line.engine, MORNING)
    line.say("incident.closed", "WY02-01-CHIEF", MORNING + HOUR, case=subject("WY01", 1))
    line.engine.drain()
    whole(line, tmp_path)
    old, new = "/XA/WY/WY01/WY01-01/", "/XA/WY/WY02/WY02-01/"
    with line.engine.database.read() as connection:
        sql = "SELECT measure, path FROM figures WHERE value <> 0"
        counted = dict(tuple(row) for row in connection.exec_driver_sql(sql))
        then = [case.path[-1] for time in (END, MORNING) for case in cases_at(connection, [subject("WY01", 1)], time)]
    wanted = {"reported:hotline": old, "overdue": old, "overdue_closed": old, "closed_late": new}
    assert wanted.items() <= counted.items()
    assert then == ["WY01-01", "WY02-01"]


def test_people_read_which_grid_went_on_in_chinese_and_english(line: Line, sqlite_url: str) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line)
    tick(line.engine, MORNING)
    shown = gridpatrol("incident", "show", subject("WY01", 1), "--database", sqlite_url)
    names = weiyang().grids
    [told_] = [row for row in shown.splitlines() if "网格调整" in row]
    assert f"{names['WY01-01'].name} → {names['WY02-01'].name} goes on" in told_
    assert f"经手 in the hands of {names['WY02'].name}" in told_ and "告知 notice 交办 assigned" in told_


def test_a_department_of_a_street_that_ended_serves_the_one_that_goes_on(line: Line, tmp_path: Path) -> None:
    pack = ending(WY01="WY02", **{f"WY01_0{leaf}": "WY02-01" for leaf in range(1, 10)})
    lane, handler = Department("WY01-LANE", "Lane", "WY01"), Post("WY01-LANE-H", "经办", "handler", "WY01", "WY01-LANE")
    pack = msgspec.structs.replace(pack, departments=(*pack.departments, lane), posts=(*pack.posts, handler))
    install(line.engine, pack)
    reported(line, 1, department="WY01-LANE")
    reported(line, 2)
    tick(line.engine, MORNING)
    assert (cases(line.engine)[1].owner.grid, cases(line.engine)[1].owner.department) == ("WY02", "WY01-LANE")
    line.say("incident.accepted", "WY01-LANE-H", MORNING + 1, case=subject("WY01", 1))
    line.say("incident.dispatched", "WY02-CHIEF", MORNING + 2, case=subject("WY01", 2), lead="WY01-LANE")
    line.engine.drain()
    assert [cases(line.engine)[number].state for number in (1, 2)] == ["accepted", "handling"], line.letters()
    whole(line, tmp_path)


# ---- when -----------------------------------------------------------------------------------------------------


def test_a_pack_that_becomes_active_after_the_end_moves_what_is_open_then(line: Line, tmp_path: Path) -> None:
    install(line.engine, weiyang().pack)
    reported(line)
    line.engine.drain()
    line.engine.install(ending(WY01_01="WY02-01"), at("03-05 10:00"))
    tick(line.engine, at("03-05 10:00") + 1)
    assert [unit.since for unit in line.of(facts.Held)][-1] == at("03-05 10:00")
    assert len(line.of(facts.Regridded)) == 1
    whole(line, tmp_path)


def test_a_pack_that_takes_the_end_back_leaves_everything_where_it_is(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line)
    line.report(2, due=None)
    line.engine.drain()
    line.engine.install(weiyang().pack, END - HOUR)
    tick(line.engine, MORNING)
    assert not line.of(facts.Regridded) and not line.of(facts.Regridded, 2)
    with line.engine.database.read() as connection:
        later = connection.exec_driver_sql("SELECT count(*) FROM cases WHERE next_at < ?", (MORNING,)).scalar_one()
    assert later == 0
    whole(line, tmp_path)


def test_many_cases_come_up_in_vain_where_an_end_was_taken_back_and_nothing_waits_for_them(
    sqlite_url: str, tmp_path: Path
) -> None:
    with engine_on(sqlite_url, 1, 500, 20) as engine:
        install(engine, ending(WY01_01="WY01-02"))
        line = Line(engine)
        for number in range(1, 101):
            line.report(number, due=None)
        engine.drain()
        engine.install(weiyang().pack, END - HOUR)
        before = len(runs.steps(engine))
        line.say("comment.added", "WY01-01-MEMBER", MORNING, case=subject("WY01", 100))
        engine.drain()
        assert not any("case.regridded" in row.body for row in runs.steps(engine)) and len(runs.steps(engine)) > before
        assert engine.partitions.next_due[0] is None or engine.partitions.next_due[0] > MORNING
        check_export(line, tmp_path)


def test_an_end_that_is_put_off_is_kept_at_its_new_day(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line)
    line.engine.drain()
    line.engine.install(ending(20260310, WY01_01="WY01-03"), END - HOUR)
    tick(line.engine, MORNING)
    assert not line.of(facts.Regridded)
    tick(line.engine, at("03-11 09:00"))
    assert cases(line.engine)[1].path[-1] == "WY01-03"
    whole(line, tmp_path)


def test_a_chain_of_ended_grids_leads_to_the_one_that_stands(line: Line, tmp_path: Path) -> None:
    chain = ending(20260310, ending(WY01_01="WY01-02"), WY01_02="WY02-01")
    install(line.engine, weiyang().pack)
    reported(line, 1)
    line.engine.drain()
    line.engine.install(chain, at("03-02 18:00"))  # in time: it goes from one to the next
    tick(line.engine, at("03-11 09:00"))
    assert [fact.path[-1] for fact in line.of(facts.Regridded)] == ["WY01-02", "WY02-01"]
    line.engine.install(weiyang().pack, at("03-12 09:00"))
    reported(line, 2, at("03-12 10:00"))
    line.engine.drain()
    line.engine.install(chain, at("03-12 11:00"))  # both are over: at once to the one that stands
    tick(line.engine, at("03-12 12:00"))
    assert [fact.path[-1] for fact in line.of(facts.Regridded, 2)] == ["WY02-01"]
    whole(line, tmp_path)


@pytest.mark.parametrize("steps", [1000, 20])
def test_a_burst_of_cases_moves_one_by_one_and_before_what_arrives_later(
    sqlite_url: str, tmp_path: Path, steps: int
) -> None:
    with engine_on(sqlite_url, 1, 500, steps) as engine:
        install(engine, ending(WY01_01="WY01-02"))
        line = Line(engine)
        for number in range(1, 101):
            line.report(number, due=None)
        engine.drain()
        line.say("comment.added", "WY01-02-MEMBER", MORNING, case=subject("WY01", 100))
        largest = 0
        while (result := engine.work(None)) is not None:
            largest = max(largest, len(result.steps))
        assert largest <= steps
        moved = [row for row in runs.steps(engine) if "case.regridded" in row.body]
        assert [row.case_id for row in moved] == [subject("WY01", number) for number in range(1, 101)]
        assert not line.letters()  # the member of the successor may speak of it
        check_export(line, tmp_path)


# ---- cases that stand still ---------------------------------------------------------------------------------


def urged(line: Line, number: int, time: int) -> None:
    line.say("case.urged", "WY-SUPERVISOR", time, case=subject("WY01", number))


@pytest.mark.parametrize("late", [False, True])
def test_a_case_that_stood_over_the_end_of_its_grid_has_the_facts_of_one_that_did_not(
    sqlite_url: str, tmp_path: Path, late: bool
) -> None:
    with line_on(sqlite_url, pack=weiyang().pack if late else ending(WY01_01="WY02-01")) as line:
        reported(line)
        reported(line, 2)
        with broken("case.urged", chosen=lambda id_: id_ == subject("WY01", 1)):
            urged(line, 1, EVENING + 1)
            line.engine.drain()
            if late:
                line.engine.install(ending(WY01_01="WY02-01"), MORNING - HOUR)
            tick(line.engine, MORNING)
            line.say("incident.accepted", "WY02-CHIEF", MORNING + 1, case=subject("WY01", 1))
            line.engine.drain()
            assert cases(line.engine)[1].path[-1] == "WY01-01" and cases(line.engine)[2].path[-1] == "WY02-01"
        line = restarted(line)
        line.engine.drain()
        assert cases(line.engine)[1].state == "accepted" and cases(line.engine)[1].path[-1] == "WY02-01"
        check_as_clean(line, tmp_path)


def test_a_rule_that_fails_on_the_change_lets_its_case_alone_stand(sqlite_url: str, tmp_path: Path) -> None:
    with line_on(sqlite_url, pack=ending(WY01_01="WY02-01")) as line:
        reported(line)
        reported(line, 2)
        line.engine.drain()
        with pytest.MonkeyPatch.context() as patch:
            rule = succession.take_over
            patch.setattr(succession, "take_over", lambda d: rule(d) if d.case.id[-1] == "2" else {}[d.case.id])
            tick(line.engine, MORNING)
            assert cases(line.engine)[1].path[-1] == "WY01-01" and cases(line.engine)[2].path[-1] == "WY02-01"
        line = restarted(line)
        line.engine.drain()
        assert cases(line.engine)[1].path[-1] == "WY02-01"
        check_as_clean(line, tmp_path)


def test_a_case_in_quarantine_goes_on_in_the_successor_once_it_is_released(database_url: str, tmp_path: Path) -> None:
    with line_on(database_url, pack=ending(WY01_01="WY02-01")) as line:
        reported(line)
        reported(line, 2)
        line.engine.drain()
        refuse(
            line.engine.database, "facts", f"NEW.case_id = '{subject('WY01', 1)}' AND NEW.body LIKE '%case.regridded%'"
        )
        tick(line.engine, MORNING)
        assert cases(line.engine)[1].quarantined and cases(line.engine)[2].path[-1] == "WY02-01"
        relent(line.engine.database, "facts")
        line.operate("release", subject("WY01", 1), MORNING + HOUR)
        tick(line.engine, MORNING + 2 * HOUR)
        assert cases(line.engine)[1].path[-1] == "WY02-01"
        assert len(line.of(facts.Regridded)) == 1
        assert verify(line.engine.database, live=True) == []
        check_export(line, tmp_path)


def test_a_check_of_the_pack_says_how_many_open_cases_will_go_on_where(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(folder_of("weiyang"), folder)
    head, *rows = (folder / "grids.csv").read_text(encoding="utf-8").splitlines()
    cut = [f"{row}2026-03-02,WY02-01" if row.startswith("WY01-01,") else f"{row}," for row in rows]
    (folder / "grids.csv").write_text("\n".join([f"{head},successor", *cut, ""]), encoding="utf-8")
    (folder / "grids.geojson").unlink()  # the new borders are drawn another day
    toml = (folder / "pack.toml").read_text(encoding="utf-8")
    (folder / "pack.toml").write_text(toml.replace('polygons = "full"', 'polygons = "none"'), encoding="utf-8")
    with engine_on(sqlite_url, 1) as engine:
        install(engine, weiyang().pack)
        line = Line(engine)
        for number in (1, 2, 3):
            reported(line, number)
        reported(line, 4, grid="WY01-02")
        line.say("incident.withdrawn", HOTLINE, EVENING, case=subject("WY01", 3))
        engine.drain()
    told_ = gridpatrol("pack", "check", folder, "--database", sqlite_url)
    assert "网格调整 cut anew: WY01-01 → WY02-01 after 20260302: 2 open cases go on there" in told_
    known = json.loads(gridpatrol("pack", "check", folder, "--database", sqlite_url, "--json"))["successions"]
    assert known == [{"grid": "WY01-01", "successor": "WY02-01", "last_day": 20260302, "cases": 2}]
    assert "cut anew" not in gridpatrol("pack", "check", folder, "--database", f"sqlite:///{tmp_path / 'none.db'}")


# ---- what arrives later -----------------------------------------------------------------------------------------


def outcome(line: Line, number: int) -> tuple[str, ...]:
    """What became of the first event of a case: nothing refused, or why."""
    return next((letter[:1] for letter in line.letters() if letter[1].endswith(f"{number:012x}")), ())


def place(line: Line, number: int) -> tuple[str, str]:
    """The grid in which a report lies at first, and how it came to it."""
    [fact] = line.of(facts.Reported, number)
    return fact.path[-1], fact.how


def test_a_phone_that_was_away_reports_where_the_problem_lay_and_it_goes_on(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    kind, by, data = found()
    late = line.submission(kind, by, END - HOUR, case=subject("WY01", 1), **data)
    line.engine.append([late], END + HOUR)
    tick(line.engine, MORNING)
    assert place(line, 1) == ("WY01-01", "sent")
    assert cases(line.engine)[1].path[-1] == "WY01-02" and line.of(facts.Held)[-1].since == END
    whole(line, tmp_path)


def test_a_report_that_names_a_grid_that_ended_lies_in_the_successor(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    reported(line, 1, MORNING)
    line.say("report.submitted", MEMBER, MORNING, case=subject("WY01", 2), category="D3-01", source="patrol")
    line.engine.drain()
    assert place(line, 1) == ("WY01-02", "successor")
    assert place(line, 2) == ("WY01-02", "own")
    assert not line.of(facts.Regridded, 1)


def test_a_report_that_names_a_grid_that_ended_lies_where_its_position_is(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    (west, south), (east, north) = box(weiyang().grids["WY01-03"].polygon)
    position = {"lon": (west + east) / 2, "lat": (south + north) / 2, "crs": "WGS84"}
    reported(line, 1, MORNING, position=position)
    line.engine.drain()
    assert place(line, 1) == ("WY01-03", "located")


def box(polygon: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    points = [point for area in polygon for ring in area for point in ring]
    return tuple(map(min, zip(*points, strict=True))), tuple(map(max, zip(*points, strict=True)))


def test_a_report_of_a_place_that_went_to_another_home_is_told_the_right_one(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY02-01"))
    reported(line, 1, MORNING)
    line.engine.drain()
    assert outcome(line, 1) == ("misrouted",)
    with line.engine.database.read() as connection:
        [detail] = connection.exec_driver_sql("SELECT detail FROM dead_letters").scalars()
    assert "WY01-01 has ended" in detail and "mint WY02.<UUIDv7>" in detail


def test_an_order_to_a_grid_that_ended_means_its_successor(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    reported(line)
    order = {"case": subject("WY01", 1), "to_grid": "WY01-01"}
    line.say("incident.reassigned", "WY-DISPATCH", MORNING, **order)
    line.engine.drain()
    assert cases(line.engine)[1].owner.grid == "WY01-02"
    assert not line.letters()


def test_a_post_that_outlives_its_grid_speaks_for_the_successor(line: Line) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    line.say(*found()[:2], EVENING, case=subject("WY01", 1), **found()[2])
    late = line.submission("dissuasion.recorded", MEMBER, END - HOUR, case=subject("WY01", 1), outcome="ineffective")
    line.engine.append([late], MORNING)
    line.engine.drain()
    assert cases(line.engine)[1].state == "dissuading" and not line.letters()


def test_what_waited_for_its_report_is_released_in_the_successor(line: Line, tmp_path: Path) -> None:
    install(line.engine, ending(WY01_01="WY01-02"))
    line.say("incident.accepted", STREET, EVENING, case=subject("WY01", 1))
    reported(line, 1, MORNING)
    line.engine.drain()
    case = cases(line.engine)[1]
    assert (case.state, case.path[-1], case.parked) == ("accepted", "WY01-02", ())
    whole(line, tmp_path)


# ---- the same facts ---------------------------------------------------------------------------------------------

KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("dissuasion.recorded", {"outcome": "ineffective"}),
    ("incident.reported_up", {}),
    ("incident.accepted", {}),
    ("incident.dispatched", {"lead": "WY-BUILD"}),
    ("incident.returned", {"reason": "not_our_duty"}),
    ("incident.escalated", {"reason": "coordination"}),
    ("incident.suspended", {"reason": "season"}),
    ("incident.resumed", {}),
    ("incident.urged", {}),
    ("incident.acknowledged", {}),
    ("handling.completed", {}),
    ("verification.recorded", {"outcome": "solved"}),
    ("verification.recorded", {"outcome": "unsolved"}),
    ("incident.closed", {}),
    ("incident.reassigned", {"to_grid": "WY01-01"}),
    ("incident.merged", {"into": subject("WY01", 3)}),
)
SPEAKERS = (
    *(f"WY0{street}-0{leaf}-{role}" for street in (1, 2) for leaf in (1, 2) for role in ("MEMBER", "CHIEF")),
    *("WY01-CHIEF", "WY02-CHIEF", "WY-CHIEF", "WY-DISPATCH", "WY-BUILD-H", "WY-SUPERVISOR", "XA-CHIEF"),
)
CUT = ending(20260304, ending(WY01_01="WY01-02", WY02_01="WY03-01"), WY01_02="WY02-02")
UNCUT = ending(WY01_01="WY01-02")
DISSOLVED = ending(20260304, CUT, **{f"WY02_0{leaf}": "WY03-01" for leaf in range(2, 10)}, WY02="WY03")


def said_at_random(seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some days in two streets that are cut anew: (arrival, event), some of them late."""
    rng, now = Random(seed), at("03-01 08:00")
    for number in range(250):
        now += rng.choice((60_000, 5 * 60_000, HOUR))
        home = rng.choice(("WY01", "WY02"))
        case, occurred = subject(home, rng.randrange(1, 25)), now - rng.choice((0, 0, 0, 3 * HOUR))
        kind, data = rng.choice(KINDS)
        by = rng.choice(SPEAKERS)
        if rng.random() < 0.25:
            leaf = f"{home}-0{rng.choice((1, 1, 2))}"
            kind, by, data = "report.submitted", f"{leaf}-MEMBER", found(grid=leaf)[2]
            if rng.random() < 0.5:
                by, data = HOTLINE, told(grid=leaf)[2]
        yield now, event(kind, by, occurred, case=case, id=f"e{number}", **data)


def told_to(engine: Engine, seed: int) -> None:
    """Tell it, with packs that become active in time, late, and take an end back."""
    install(engine, weiyang().pack)
    packs = [
        (at("03-02 12:00"), CUT),
        (at("03-03 12:00"), UNCUT),
        (at("03-04 00:00"), CUT),
        (at("03-04 12:00"), DISSOLVED),
    ]
    for arrival, said_ in said_at_random(seed):
        while packs and packs[0][0] <= arrival:
            engine.install(packs[0][1], packs[0][0])
            del packs[0]
        received = admission.receive(json.dumps(said_).encode(), "door", engine.count)
        assert not isinstance(received, Refusal)
        others = {*engine.rows} - {received[0].partition}  # time passes in all partitions alike
        engine.append([received[0], *(Submission(each, "tick", "owner", "") for each in others)], arrival)
    assert not packs
    engine.append([Submission(partition, "tick", "owner", "") for partition in engine.rows], at("03-20 09:00"))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_facts_are_the_same_on_any_number_of_partitions_in_any_slices_and_in_a_replay(
    tmp_path: Path, seed: int
) -> None:
    known: Mapping[str, list[bytes]] = {}
    for partitions, records, steps in ((1, 500, 1000), (5, 500, 1000), (1, 1, 1)):
        with engine_on(f"sqlite:///{tmp_path / f'{partitions}.{records}.db'}", partitions, records, steps) as engine:
            told_to(engine, seed)
            if partitions == 1 and records == 500:
                engine.drain()
                log = list(export_log(engine))
                moved = [row for row in runs.steps(engine) if "case.regridded" in row.body]
                assert len(moved) > 8 and len({row.path for row in moved}) > 1
            engine.drain()
            known = known or runs.facts(engine)
            assert runs.facts(engine) == known
            runs.check_whole(engine)
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 1, 3, 7, consumers=runs.consumers()) as again:
        replay_log(again, log)
        assert runs.facts(again) == known
        again.feed()
        assert verify(again.database) == []


def test_a_file_of_events_gives_the_same_facts_on_any_number_of_partitions(tmp_path: Path) -> None:
    """A replay of events ticks by itself: also for what comes up in vain, and up to its declared end."""
    lines = [json.dumps(said_ | {"time": instant(arrival)}).encode() for arrival, said_ in said_at_random(3)]
    known: Mapping[str, list[bytes]] = {}
    for partitions, records, steps in ((1, 500, 1000), (32, 500, 1000), (2, 1, 1)):
        with engine_on(f"sqlite:///{tmp_path / f'{partitions}.db'}", partitions, records, steps) as engine:
            install(engine, CUT)
            replay_events(engine, lines, "cut", at("03-06 09:00"))
            known = known or runs.facts(engine)
            assert runs.facts(engine) == known and sum("case.regridded" in str(told_) for told_ in known.values()) > 5
            runs.check_whole(engine)


def test_a_process_that_is_killed_anywhere_moves_each_case_once(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 1, 500, 7) as engine:
        install(engine, ending(WY01_01="WY01-02"))
        line = Line(engine)
        for number in range(1, 31):
            line.report(number, due=None)
        engine.drain()
        engine.append([Submission(0, "tick", "owner", "")], MORNING)
        turn = 0
        for turn in range(60):
            point = ("slice.after_read", "slice.before_write", "slice.before_commit", "slice.after_commit")[turn % 4]
            failpoints.arm(f"{point}:raise" if turn % 2 else "")
            try:
                if engine.work(None) is None:
                    break
            except Interrupted:
                engine = Engine(engine.database, engine.settings)
            finally:
                failpoints.arm("")
        moved = [row.case_id for row in runs.steps(engine) if "case.regridded" in row.body]
        assert len(moved) == len(set(moved)) == 30 and turn > 5
        runs.check_whole(engine)
