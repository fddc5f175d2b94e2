"""When a wall clock is believed: a pure machine, fed with readings of the wall and of the clock since the boot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import Reading, read_clocks
from engine.store.clocks import ClockWord
from engine.wall_clock import (
    AHEAD,
    BEHIND,
    DAY_MS,
    EVEN_MS,
    EVEN_WITHIN_MS,
    IDLE_MS,
    JUMP_MS,
    JUMPED,
    Belief,
    Evidence,
    evidence_of,
    spell_instant,
    spell_length,
)

T0 = 1_795_824_000_000  # 2026-11-28T00:00:00Z
UP = 86_400_000
SECOND = 1000
HOUR = 3_600_000


class Machine:
    """A machine whose clocks run: `go` lets time pass, `step` sets the wall."""

    def __init__(self, latest: int = T0, replayed: bool = False, wall: int = T0) -> None:
        self.wall, self.boot = wall, UP
        self.evidence = Evidence(latest, replayed)
        self.belief = Belief()
        self.look()
        self.belief.ask(self.evidence)

    def look(self) -> str:
        self.belief.see(Reading(self.wall, self.boot))
        self.belief.weigh(self.evidence)
        return self.belief.doubt

    def go(self, ms: int, every: int = SECOND, slewed_ppm: int = 0) -> str:
        """Let time pass with a look every so often."""
        until, slewed = self.boot + ms, 0
        while self.boot < until:
            passed = min(every, until - self.boot)
            self.boot += passed
            slewed += passed * slewed_ppm
            self.wall += passed + slewed // 1_000_000
            slewed %= 1_000_000
            self.look()
        return self.belief.doubt

    def step(self, ms: int) -> str:
        self.wall += ms
        return self.look()


def at_work() -> Machine:
    """A machine that has run for a minute and is believed."""
    machine = Machine()
    assert machine.go(EVEN_MS) == ""
    return machine


# ---- jumps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [400 * DAY_MS, 2 * HOUR, JUMP_MS + 1, -(JUMP_MS + 1), -2 * HOUR, -400 * DAY_MS])
def test_a_step_of_more_than_thirty_seconds_is_doubted_at_once(ahead: int) -> None:
    assert at_work().step(ahead) == JUMPED


@pytest.mark.parametrize("ahead", [JUMP_MS, 5 * SECOND, -5 * SECOND, -JUMP_MS])
def test_a_step_of_up_to_thirty_seconds_is_believed(ahead: int) -> None:
    machine = at_work()
    assert machine.step(ahead) == ""
    assert machine.belief.now() == machine.wall


def test_a_jump_within_the_first_second_is_seen() -> None:
    machine = Machine()
    machine.go(20, every=20)
    assert machine.step(HOUR) == JUMPED


def test_four_hundred_days_ahead_for_three_seconds_costs_a_minute_and_no_operator() -> None:
    machine = at_work()
    machine.step(400 * DAY_MS)
    assert machine.go(3 * SECOND) == JUMPED
    assert machine.step(-400 * DAY_MS) == JUMPED
    assert machine.go(EVEN_MS - 1) == JUMPED
    assert machine.go(SECOND) == ""


def test_a_clock_that_was_set_right_by_an_hour_is_believed_after_an_even_minute() -> None:
    for step in (HOUR, -HOUR):
        machine = at_work()
        machine.step(step)
        assert machine.go(EVEN_MS - 1) == JUMPED
        assert machine.go(1) == "" and machine.belief.now() == machine.wall


def test_a_clock_that_jumped_a_day_or_more_waits_for_an_operator_for_ever() -> None:
    for step in (DAY_MS + SECOND, -2 * DAY_MS):
        machine = at_work()
        machine.step(step)
        assert machine.go(3 * HOUR, every=10 * SECOND) == JUMPED
        machine.belief.settle()
        assert machine.look() == "" and machine.belief.now() == machine.wall


def test_meanwhile_time_goes_on_from_before_the_jump() -> None:
    machine = at_work()
    before = machine.wall
    machine.step(400 * DAY_MS)
    machine.go(10 * SECOND)
    assert machine.belief.now() == before + 10 * SECOND
    assert machine.belief.is_known()


def test_a_clock_that_goes_to_and_fro_is_never_believed_while_it_does() -> None:
    machine = at_work()
    for step in (HOUR, -HOUR) * 10:
        machine.step(step)
        assert machine.go(50 * SECOND) == JUMPED
    assert machine.go(10 * SECOND) == ""


def test_many_small_steps_are_a_jump() -> None:
    """Nine seconds every ten minutes: no step is large, and the wall would gain a day in four months."""
    machine, steps = at_work(), 0
    while machine.step(9 * SECOND) == "":
        machine.go(600 * SECOND, every=60 * SECOND)
        steps += 1
        assert steps < 10
    assert machine.belief.doubt == JUMPED


def test_a_weekend_of_silence_does_not_call_for_an_operator_after_a_small_jump() -> None:
    machine = at_work()
    machine.go(3 * DAY_MS, every=60 * SECOND)  # nothing is decided: the partitions' clocks stand at the start
    assert machine.step(40 * SECOND) == JUMPED
    assert machine.go(EVEN_MS) == ""


# ---- what is no jump ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [500, -500])
def test_what_a_time_service_slews_is_believed_for_as_long_as_it_takes(ppm: int) -> None:
    machine = at_work()
    assert machine.go(4 * DAY_MS, every=10 * SECOND, slewed_ppm=ppm) == ""
    assert abs(machine.wall - machine.boot - (T0 - UP)) > 2 * 60 * SECOND


def test_slewing_is_followed_however_often_the_clocks_are_read() -> None:
    """Every 20 ms the wall gains ten microseconds: less than the milliseconds that are read."""
    machine = at_work()
    assert machine.go(120 * SECOND, every=20, slewed_ppm=500) == ""
    wanted = (machine.wall - machine.boot) * 1000
    assert machine.belief._reference_us is not None and abs(machine.belief._reference_us - wanted) <= 1000


@given(st.lists(st.integers(1, 12 * HOUR), max_size=20))
def test_a_machine_that_sleeps_or_a_process_that_is_stopped_sees_no_jump(pauses: list[int]) -> None:
    machine = at_work()
    for pause in pauses:
        assert machine.go(pause, every=pause) == ""


COURSE = st.lists(
    st.tuples(
        st.integers(1, 10 * 60 * SECOND),
        st.just(0) | st.integers(-2 * JUMP_MS, 2 * JUMP_MS) | st.integers(-2 * DAY_MS, 2 * DAY_MS),
    ),
    min_size=1,
    max_size=30,
)
"""Any course of pauses and steps of the wall."""


@given(COURSE)
def test_time_goes_on_by_the_clock_since_the_boot_whatever_the_wall_does(course: list[tuple[int, int]]) -> None:
    """Between two looks time moves by what has passed since the boot, and a minute's worth of steps at most; else the
    wall was believed anew, after an even minute, less than a day from that time or from what is known."""
    machine = at_work()
    steps = [step for pause, step in course for step in (step, *[0] * (pause // (10 * SECOND) + 1))]
    even_since = machine.boot
    for step in steps:
        before, doubted = machine.belief.now(), machine.belief.doubt
        machine.boot += 10 * SECOND
        machine.wall += 10 * SECOND + step
        even_since = machine.boot if abs(step) > 2 * EVEN_WITHIN_MS else even_since
        doubt, carried = machine.look(), before + 10 * SECOND
        if doubted and doubt:
            assert machine.belief.now() == carried
        elif doubted:
            assert machine.belief.now() == machine.wall and machine.boot - even_since >= EVEN_MS
            assert min(abs(machine.wall - carried), abs(machine.wall - machine.evidence.latest)) < DAY_MS
        elif doubt:
            assert step and abs(machine.belief.now() - carried) <= JUMP_MS
        else:
            assert machine.belief.now() == machine.wall and abs(machine.wall - carried) <= 2 * JUMP_MS


# ---- a start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "doubt"),
    [
        (0, ""),
        (IDLE_MS, ""),
        (IDLE_MS + 1, AHEAD),
        (400 * DAY_MS, AHEAD),
        (-HOUR, ""),
        (-2 * DAY_MS, BEHIND),
        (-50 * 365 * DAY_MS, BEHIND),
    ],
)
def test_at_a_start_the_wall_may_be_a_week_ahead_of_what_is_known_or_a_day_behind(ahead: int, doubt: str) -> None:
    machine = Machine(latest=T0, wall=T0 + ahead)
    assert machine.belief.doubt == doubt
    assert machine.belief.is_known() == (not doubt)
    assert machine.go(10 * EVEN_MS) == doubt


def test_an_empty_database_and_one_of_replayed_files_are_not_asked() -> None:
    assert Machine(latest=0).belief.doubt == ""
    assert Machine(latest=T0, replayed=True, wall=T0 + 4000 * DAY_MS).belief.doubt == ""


def test_without_a_clock_of_its_own_a_machine_wakes_up_in_1970_and_is_set_right_later() -> None:
    machine = Machine(latest=T0, wall=0)
    assert machine.belief.doubt == BEHIND
    machine.step(T0 + HOUR)
    assert machine.go(EVEN_MS - 1) == BEHIND
    assert machine.go(1) == "" and machine.belief.now() == machine.wall


def test_a_clock_that_is_doubted_at_a_start_is_believed_when_the_log_gets_there() -> None:
    machine = Machine(latest=T0, wall=T0 + 8 * DAY_MS)
    assert machine.go(2 * EVEN_MS) == AHEAD
    machine.evidence = Evidence(T0 + 8 * DAY_MS - HOUR)  # a backlog was decided, with the broker's stamps
    assert machine.go(SECOND) == ""


def test_partitions_that_are_taken_over_are_asked_again() -> None:
    machine = at_work()
    machine.go(8 * DAY_MS, every=60 * SECOND)
    machine.belief.ask(machine.evidence)
    assert machine.belief.doubt == AHEAD


# ---- what is known --------------------------------------------------------------------------------------------


def test_the_latest_clock_of_all_partitions_is_what_is_known() -> None:
    assert evidence_of({0: 0, 1: T0, 2: T0 - 300 * DAY_MS}, [], False) == Evidence(T0)
    assert evidence_of({0: 0}, [], False) == evidence_of({0: 1}, [], False) == Evidence(0)
    assert evidence_of({0: T0}, [], True) == Evidence(T0, True)


def test_an_operators_word_counts_and_what_he_knew_to_be_ahead_does_not_until_it_moves() -> None:
    word = ClockWord(T0, ahead={1: T0 + 400 * DAY_MS})
    assert evidence_of({0: T0 - HOUR, 1: T0 + 400 * DAY_MS}, [word], False).latest == T0
    assert evidence_of({0: T0 + HOUR, 1: T0 + 400 * DAY_MS}, [word], False).latest == T0 + HOUR
    assert evidence_of({1: T0 + 400 * DAY_MS + 1}, [word], False).latest == T0 + 400 * DAY_MS + 1
    assert evidence_of({}, [ClockWord(T0 + DAY_MS), ClockWord(T0)], False).latest == T0  # the last one counts


# ---- reading, and words ---------------------------------------------------------------------------------------


def test_a_process_that_is_stopped_between_two_readings_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped for ten minutes between the wall and the boot-time clock, it would see a jump of ten minutes."""
    boots = iter([1_000, 601_000, 601_000, 601_001])
    monkeypatch.setattr("engine.clock.boot_ms", lambda: next(boots))
    monkeypatch.setattr("engine.clock.now_ms", lambda: T0)
    assert read_clocks() == Reading(T0, 601_001)


def test_instants_and_lengths_are_told_as_people_say_them() -> None:
    assert spell_instant(T0) == "2026-11-28 00:00:00 UTC"
    assert spell_instant(10**17) == f"{10**17} ms"
    assert spell_length(8 * DAY_MS + 2 * HOUR + 5) == "8 d 2 h"
    assert spell_length(8 * DAY_MS + 6 * SECOND) == "8 d"
    assert spell_length(35_400) == "35 s" and spell_length(0) == "0 s" and spell_length(HOUR) == "1 h"
