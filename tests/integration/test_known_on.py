"""A holiday that was decided late does not change what was said before: its day counts from when it was known.

Enters: a pack in which a day off is known a day before, reports on both sides. Leaves: deadlines, and the same facts in
a live run, in a replay of its events and in one of its log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from engine.replay import export_log, replay_log
from engine.runtime import Engine
from gridpatrol.run.event_file import replay_events
from lab import runs
from lab.runs import engine_on, install
from schemas import facts
from tests.integration.test_replay_command import run
from tests.integration.test_replay_plan import activate, arrivals, keep_up, live, plan_of
from tests.simulation.line import NOW, sample
from tests.support.builders import DAY, HOUR, at, event, shipped, subject
from workflows.clocks.calendar import Calendar, DayRule
from workflows.policy.model import Pack

OFF, KNOWN = 20260305, 20260304
KNOWN_AT = at("03-04 00:00")
END = at("03-09 00:00")


def pack(
    known_on: int = KNOWN,
    move: Literal["never", "provisional", "always"] = "never",
    off: bool = True,
    last_day: int = 0,
) -> Pack:
    """The sample in which a Thursday is off, as it is known from a day on; with another horizon."""
    plain = sample(deadlines_move=move, last_day=last_day)
    rule = DayRule(OFF, (), "a day of mourning", known_on)
    calendars = (msgspec.structs.replace(c, days=(*c.days, rule) if off else c.days) for c in plain.calendars)
    return msgspec.structs.replace(plain, calendars=tuple(calendars))


def report(number: int, when: int, **more: Any) -> bytes:
    data = {"category": "D3-01", "source": "hotline", "grid": "WY01-01"}
    said = event("report.submitted", "WY-12345", when, case=subject("WY01", number), id=f"r{number}", **data)
    return json.dumps(said | more).encode()


LINES = (
    report(1, NOW),
    report(2, NOW + DAY, recordedtime="2026-03-04T09:00:00+08:00"),  # it occurred before, and came after
    report(3, at("03-04 10:00")),
    report(4, END - HOUR),
)


def dues(engine: Engine) -> dict[int, str]:
    """When each case is due as a whole, by its number: as its clock stands, local."""
    found = dict[int, str]()
    local = Calendar(sample().calendars[0]).local
    for step in runs.steps(engine):
        for fact in facts.decode_facts(step.body):
            if isinstance(fact, facts.ClockStarted | facts.ClockRetargeted) and fact.clock == "total":
                assert fact.due is not None
                found[int(step.case_id[-12:], 16)] = local(fact.due)[5:16]
    return found


def told(engine: Engine, kind: type[facts.AnyFact]) -> int:
    return sum(isinstance(fact, kind) for step in runs.steps(engine) for fact in facts.decode_facts(step.body))


def lived(engine: Engine, one: Pack) -> None:
    """A machine that follows its clock, and looks whether more days are known when they are."""
    install(engine, one)
    before = [line for line, when in zip(LINES, arrivals(LINES), strict=True) if when < KNOWN_AT]
    live(engine, before, [], KNOWN_AT)
    engine.learn_days(KNOWN_AT)
    engine.drain()
    live(engine, LINES[len(before) :], [], END)


def replayed(engine: Engine, one: Pack, until: int = END) -> None:
    install(engine, one)
    replay_events(engine, LINES, "late", until, lambda done: None)


def test_what_was_said_before_a_holiday_was_known_stands_and_what_is_said_later_counts_it(database_url: str) -> None:
    with engine_on(database_url, 2) as engine:
        replayed(engine, pack())
        assert dues(engine) == {1: "03-05T09:00", 2: "03-09T09:00", 3: "03-10T10:00", 4: "03-12T08:00"}
        assert not told(engine, facts.ClockRecalculated)


def test_it_is_as_if_a_pack_with_the_day_had_been_activated_on_the_day_on_which_it_is_known(
    sqlite_url: str, tmp_path: Path
) -> None:
    with engine_on(sqlite_url, 2) as one, engine_on(f"sqlite:///{tmp_path / 'two.db'}", 2) as two:
        replayed(one, pack(move="always"))
        install(two, pack(move="always", off=False))
        plan = plan_of((KNOWN_AT, pack(0, move="always")))
        for planned in plan:
            two.keep_pack(planned.pack)
        replay_events(two, LINES, "late", END, lambda done: None, plan, NOW)
        assert dues(one) == dues(two)
        assert [step.at for step in runs.steps(one)] == [step.at for step in runs.steps(two)]


@pytest.mark.parametrize(
    ("move", "last_day", "moved"),
    [("never", 0, False), ("provisional", 0, False), ("provisional", 20260303, True), ("always", 0, True)],
)
def test_whether_an_open_deadline_moves_is_what_the_pack_says_live_and_in_replays(
    sqlite_url: str, tmp_path: Path, move: Literal["never", "provisional", "always"], last_day: int, moved: bool
) -> None:
    one = pack(move=move, last_day=last_day)
    with engine_on(f"sqlite:///{tmp_path / 'live.db'}", 2) as machine:
        lived(machine, one)
        whole, log = runs.facts(machine), [*export_log(machine)]
        assert dues(machine)[1] == ("03-06T09:00" if moved else "03-05T09:00")
        assert bool(told(machine, facts.ClockRecalculated)) == moved
    for partitions, records in ((1, 1), (32, 500)):
        with engine_on(f"sqlite:///{tmp_path / f'{partitions}.db'}", partitions, records) as engine:
            replayed(engine, one, KNOWN_AT + 1)
            replayed(engine, one)
            assert runs.facts(engine) == whole
            runs.check_whole(engine)
    with engine_on(sqlite_url, 2, 1) as again:
        replay_log(again, log)
        assert runs.facts(again) == whole


def test_in_each_number_of_partitions_a_home_follows_the_same_activations(sqlite_url: str, tmp_path: Path) -> None:
    """Also where nothing has arrived: what a home tells names the activations that it has followed."""
    owed = msgspec.structs.replace(next(row for row in shipped().pack.duties if row.period == "day"), levels=(2,))
    one = msgspec.structs.replace(pack(move="always"), duties=(msgspec.structs.replace(owed, role="chief"),))
    found = list[dict[str, list[bytes]]]()
    for url, partitions in ((sqlite_url, 1), (f"sqlite:///{tmp_path / 'b.db'}", 32)):
        with engine_on(url, partitions) as engine:
            replayed(engine, one)
            assert {len(engine.activations(p)) for p in engine.rows} == {2}
            found.append(runs.facts(engine))
    assert found[0] == found[1] and any(b'"definition":"duty"' in rows[0] for rows in found[0].values())


def test_an_owner_says_once_that_more_days_are_known(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        install(engine, pack(move="always"))
        assert engine.learn_days(KNOWN_AT + DAY) == 0  # nothing has come: nothing can move
        live(engine, LINES[:1], [], NOW + 1)
        assert engine.learn_days(KNOWN_AT - 1) == 0
        assert [engine.learn_days(KNOWN_AT + 5) for _ in range(2)] == [1, 0]
        engine.drain()
        assert engine.learn_days(KNOWN_AT + DAY) == 0
        keep_up(engine, KNOWN_AT + DAY, at_most=KNOWN_AT + DAY)
        assert dues(engine) == {1: "03-06T09:00"}
        activate(engine, plan_of((KNOWN_AT + DAY, pack(move="always")))[0])
        assert engine.learn_days(END) == 0


def test_a_calendar_knows_what_it_knows_on_a_day() -> None:
    calendar = Calendar(pack().calendars[0])
    before, after = calendar.known_at(KNOWN_AT - 1), calendar.known_at(KNOWN_AT)
    assert before is calendar and calendar.news == [KNOWN_AT]
    assert (before.is_working(at("03-05 10:00")), after.is_working(at("03-05 10:00"))) == (True, False)
    assert after is calendar.known_at(END) and after.news == []


def test_an_explained_deadline_counts_the_days_that_were_known_when_it_was_computed(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        replayed(engine, pack())
    for number, due in ((1, "2026-03-05T09:00"), (3, "2026-03-10T10:00")):
        words = ("deadline", "explain", subject("WY01", number), "--clock", "total", "--json", "--database", sqlite_url)
        explained = json.loads(run(*words, status=0).stdout)
        assert explained["due_at"].startswith(due) and ("mourning" in json.dumps(explained)) == (number == 3)
