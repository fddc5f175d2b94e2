"""Slices: bursts, deadlines met to the millisecond, packs that arrive, stamps from the future, answers to resends.

Events are appended to the log with chosen stamps and decided with chosen limits; the tests compare facts, in order.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from engine.errors import LogMismatch
from engine.inbox import Submission
from engine.operations.settlements import MOST, Settled, settle
from engine.runtime import IN_A_ROW, TOGETHER_MS, Engine
from engine.slice import isolation
from engine.slice.reads import SliceReads
from engine.slice.types import Batch
from engine.store import open_counts, recording
from engine.store.rows import SettlementRow
from lab import runs
from lab.runs import engine_on, install, pack_of
from schemas import facts
from tests.simulation.line import DUE, NOW, Line, check_export, line_on, sample
from tests.support.builders import DAY, HOUR, OPERATOR, instant, subject, weiyang

MINUTE = 60_000


@pytest.fixture
def line(sqlite_url: str) -> Iterator[Line]:
    with line_on(sqlite_url) as found:
        yield found


# ---- to the millisecond -------------------------------------------------------------------------------------


def test_what_arrives_at_the_deadline_is_on_time_and_decided_before_the_rung(line: Line) -> None:
    line.report()
    line.close(1, DUE)
    line.engine.append([Submission(0, "tick", "owner", "")], DUE + 1)
    line.engine.drain()
    assert [(s.result, s.judged) for s in line.of(facts.ClockStopped) if s.clock == "total"] == [("on_time", DUE)]
    assert not line.breaches()


def test_what_arrives_a_millisecond_later_comes_after_the_rung_and_is_overdue(line: Line) -> None:
    line.report()
    line.close(1, DUE + 1)
    line.engine.drain()
    assert [s.result for s in line.of(facts.ClockStopped) if s.clock == "total"] == ["overdue"]
    assert [(rung.due_at, rung.due) for rung in line.breaches()] == [(DUE, DUE)]
    assert line.facts().index(line.breaches()[0]) < line.facts().index(line.of(facts.ClockStopped)[-1])


def test_a_slice_leaves_nothing_to_the_garbage_collector(line: Line) -> None:
    """Its cases and records are gone when it is: nothing in its memory points back at that memory."""
    line.report()
    line.close(1, DUE)
    line.engine.append([Submission(0, "tick", "owner", "")], DUE + 1)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        line.engine.drain()
        gc.collect()
        left = sorted(type(item).__name__ for item in gc.garbage if isinstance(item, Struct | SliceReads))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert line.of(facts.ClockStopped)
    assert left == []


def test_a_stamp_that_goes_back_arrives_when_the_clock_of_its_partition_stands(line: Line) -> None:
    line.report(1, NOW)
    line.report(2, NOW - 5)
    line.engine.drain()
    assert line.steps(2)[0].at == NOW
    assert line.of(facts.Reported, 2)[0].judged == NOW - 5


def test_what_a_phone_tells_two_hours_later_is_no_late_firing(sqlite_url: str) -> None:
    """It fires as soon as it can be known, and holds nobody's alarm: the histogram counts from the arrival."""
    with line_on(sqlite_url, 500, 100) as line:
        case, away = subject("WY01", 1), 2 * 60 * MINUTE
        found = {"case": case, "category": "D3-01", "source": "patrol"}
        line.engine.append([line.submission("report.submitted", "WY01-01-MEMBER", NOW - away, **found)], NOW)
        done = {"case": case, "outcome": "ineffective"}
        spoken = line.submission("dissuasion.recorded", "WY01-01-MEMBER", NOW - away + 10 * MINUTE, **done)
        line.engine.append([spoken], NOW + 30)
        late: list[int] = []
        while (result := line.engine.work(None)) is not None:
            late += result.counts.lateness
        (rung,) = line.of(facts.ClockRung)
        assert rung.due_at < NOW - 60 * MINUTE
        assert late == [30]


# ---- bursts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticking", [False, True])
def test_more_cases_due_at_one_instant_than_a_slice_takes_fire_in_order_and_once(
    sqlite_url: str, ticking: bool
) -> None:
    with line_on(sqlite_url, 100, 20) as line:
        line.engine.append(
            [
                line.submission(
                    "report.submitted",
                    "WY-12345",
                    NOW,
                    case=subject("WY01", number),
                    category="D3-04",
                    definition="service_request",
                    source="hotline",
                    grid="WY01-01",
                    deadline=instant(DUE),
                )
                for number in range(1, 601)
            ],
            NOW,
        )
        line.engine.drain()
        before = line.engine.rows[0].n
        slices = list(burst(line.engine, ticking))
        assert all(0 < steps <= 20 for steps in slices[:-1]) and len(slices) >= 30
        fired = [row for row in runs.steps(line.engine) if row.n > before]
        due = [row for row in fired if '"breach":true' in row.body and '"clock":"total"' in row.body]
        assert [row.case_id for row in due] == [subject("WY01", number) for number in range(1, 601)]
        assert {row.at for row in due} == {DUE + 1}
        runs.check_whole(line.engine)


def burst(engine: Engine, ticking: bool) -> Iterator[int]:
    """The steps of each slice that fires what is due at DUE: released by one tick, or by a replay's end."""
    if not ticking:
        assert engine.tick(DUE + 1) == 1
        while (result := engine.work(DUE + 1)) is not None:
            yield len(result.steps)
        return
    while engine.partitions.next_due[0] is not None and engine.partitions.next_due[0] <= DUE:
        batch = Batch(engine.rows[0], [], engine.partitions.next_due[0], ticking=True, until=DUE + 1)
        yield len(isolation.decide(engine.partitions, [batch], None).steps)


def test_a_burst_in_every_partition_stays_within_the_steps_of_a_slice_and_none_waits_for_another(
    sqlite_url: str,
) -> None:
    with engine_on(sqlite_url, 8, 500, 80) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(600):
            line.report(number + 1, home=f"WY{number % 12 + 1:02}", due=DUE)
        engine.drain()
        first = {row.partition: row.n for row in engine.rows.values()}
        engine.tick(DUE + 1)
        after_one = engine.work(DUE + 1)
        assert after_one is not None and len(after_one.steps) <= 80 + 8
        busy = [row for row in engine.rows.values() if row.n > first[row.partition]]
        assert len(busy) == len({engine.partition(subject(f"WY{n:02}")) for n in range(1, 13)})
        engine.drain()
        fired = [row for row in runs.steps(engine) if '"breach":true' in row.body and '"clock":"total"' in row.body]
        assert len(fired) == len({row.case_id for row in fired}) == 600
        runs.check_whole(engine)


def test_a_tick_is_appended_where_something_is_due_and_everything_is_read(line: Line) -> None:
    line.report()
    assert line.engine.tick(DUE + 1) == 0  # the report is not decided yet
    line.engine.drain()
    assert line.engine.tick(line.engine.partitions.next_due[0] or 0) == 0  # due at this instant is not past
    assert line.engine.tick(DUE + 1) == 1
    assert line.engine.tick(DUE + 2) == 0  # and there it stands
    line.engine.drain()
    assert [rung.due_at for rung in line.breaches()] == [DUE]


def test_ticks_of_a_partition_keep_their_distance(line: Line) -> None:
    line.report(1, due=DUE)
    line.report(2, due=DUE + 10)
    line.engine.drain(NOW)
    ticks = []
    for moment in range(DUE, DUE + 1000):
        if line.engine.tick(moment):
            ticks.append(moment)
            line.engine.drain()
    assert len(ticks) == 2 and ticks[1] - ticks[0] >= line.engine.settings.tick_every_ms


def test_timers_that_ring_one_after_another_are_ticked_together(sqlite_url: str) -> None:
    """As patrols do after midnight: each a tenth of a second after the last, in all partitions. Then a lone one."""
    with engine_on(sqlite_url, 8) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(100):
            line.report(number + 1, due=DUE + number * 100, home=f"WY{number % 12 + 1:02}")
        line.report(101, due=DUE + 15_000)
        engine.drain(NOW)
        turns = []
        for moment in range(DUE, DUE + 16_000, 10):
            if engine.tick(moment):
                turns.append(moment)
                engine.drain()
        assert len(turns) <= IN_A_ROW + 1 + 10 + 1 and turns[-1] == DUE + 15_010
        assert max(b - a for a, b in pairwise(turns[:-1])) <= TOGETHER_MS + 10
        told = [(row.at, fact) for row in runs.steps(engine) for fact in facts.decode_facts(row.body)]
        late = [at - fact.due_at for at, fact in told if isinstance(fact, facts.ClockRung) and fact.due_at >= DUE]
        assert len(late) >= 101 and max(late) <= TOGETHER_MS + 20


def test_records_of_many_partitions_share_slices_and_none_waits_for_ever(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 8, 10, 1000) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(200):
            line.report(number + 1, home="WY01" if number % 20 else f"WY{number // 20 + 2:02}")
        waited = 0
        while len(engine.backlog()) > 1:
            result = engine.work(NOW)
            assert result is not None and sum(result.taken.values()) <= 10 + len(result.partitions)
            waited += 1
        assert waited < 10  # the small ones are through long before the large one
        engine.drain()
        runs.check_whole(engine)


def test_what_fits_into_a_slice_is_decided_and_folded_at_once_however_it_is_spread(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 8, 60, 120, consumers=runs.consumers()) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(60):
            line.report(number + 1, home="WY01" if number % 20 else f"WY{number // 20 + 2:02}")
        recorder = recording.Recorder(engine.database)
        result = engine.work(NOW)
        assert result is not None and sum(result.taken.values()) == 60 and engine.undecided() == 0
        engine.feed()
        assert len(recorder.transactions) == 1 + len(engine.consumers)
        runs.check_whole(engine)


def test_a_partition_forgets_the_empty_cells_of_its_counts_once_in_a_while(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty() -> int:
        with line.engine.database.read() as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM open_counts WHERE value = 0").scalar_one()

    line.report(1)
    line.engine.drain(NOW)
    line.close(1, NOW + 1)
    line.engine.drain(NOW + 1)
    assert empty() > 0
    monkeypatch.setattr(open_counts, "SWEEP", 1)
    line.report(2, NOW + 2)
    line.engine.drain(NOW + 2)
    assert empty() == 0
    runs.check_whole(line.engine)


def test_records_that_are_not_the_next_ones_are_not_decided(line: Line) -> None:
    rows = [line.report(1), line.report(2)]
    with pytest.raises(LogMismatch, match="is not the next one"):
        isolation.decide(line.engine.partitions, [Batch(line.engine.rows[0], rows[1:], None)], None)
    line.engine.drain()
    assert line.facts(1) and line.facts(2)


# ---- packs --------------------------------------------------------------------------------------------------


def report_by_the_pack(line: Line, number: int, time: int = NOW) -> None:
    """A service request with the pack's own limits."""
    line.say(
        "report.submitted",
        "WY-12345",
        time,
        case=subject("WY01", number),
        category="D3-04",
        source="hotline",
        grid="WY01-01",
        definition="service_request",
    )


@pytest.mark.parametrize("steps", [1000, 7, 1])
def test_a_newer_calendar_moves_deadlines_case_by_case_before_anything_else_is_decided(
    database_url: str, tmp_path: Path, steps: int
) -> None:
    arrival = NOW + HOUR
    with line_on(database_url, 500, steps, sample(deadlines_move="always")) as line:
        for number in range(1, 31):
            report_by_the_pack(line, number)
        line.engine.drain()
        was = {number: line.of(facts.ClockStarted, number)[-1] for number in range(1, 31)}
        line.engine.install(sample(deadlines_move="always", days_off=[20260303]), arrival)
        report_by_the_pack(line, 99, arrival)  # at the same instant, after it
        line.engine.drain()
        for number in range(1, 31):
            [moved] = [fact for fact in line.of(facts.ClockRetargeted, number) if fact.clock == "total"]
            assert (moved.judged, moved.why) == (arrival, "calendar")
            assert moved.due is not None and moved.due >= was[number].due + DAY
            [looked] = [step for step in line.steps(number) if "clock.recalculated" in step.body]
            assert looked.at == arrival
        assert line.steps(99) and not line.of(facts.ClockRecalculated, 99)
        runs.check_whole(line.engine)
        check_export(line, tmp_path)


def test_only_provisional_deadlines_move_where_the_pack_says_so(sqlite_url: str, tmp_path: Path) -> None:
    with line_on(sqlite_url, pack=sample(deadlines_move="provisional", last_day=20260304)) as line:
        report_by_the_pack(line, 1)
        line.report(2, due=DUE + 30 * DAY)  # ordered: an instant does not move
        line.engine.drain()
        [total] = [fact for fact in line.of(facts.ClockStarted) if fact.clock == "total"]
        assert total.provisional
        line.engine.install(sample(deadlines_move="provisional", days_off=[20260303]), NOW + HOUR)
        line.engine.install(sample(deadlines_move="provisional", days_off=[20260303, 20260304]), NOW + 2 * HOUR)
        line.engine.append([Submission(0, "tick", "owner", "")], NOW + 3 * HOUR)
        line.engine.drain()
        moved = [fact for fact in line.of(facts.ClockRetargeted) if fact.clock == "total"]
        assert [fact.provisional for fact in moved] == [False]  # once known for good, the next pack leaves it alone
        assert not line.of(facts.ClockRecalculated, 2)
        check_export(line, tmp_path)


def test_a_rung_due_at_the_very_instant_of_an_activation_is_not_mistaken_for_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    with line_on(sqlite_url, pack=sample(deadlines_move="always")) as line:
        report_by_the_pack(line, 1)
        line.engine.drain()
        first = line.engine.partitions.next_due[0]
        assert first is not None
        line.engine.install(sample(deadlines_move="always", days_off=[20260303]), first)
        line.engine.append([Submission(0, "tick", "owner", "")], first + 1)
        line.engine.drain()
        kinds = [type(fact) for fact in line.facts() if isinstance(fact, facts.ClockRecalculated | facts.ClockRung)]
        assert kinds[0] is facts.ClockRecalculated and len(line.of(facts.ClockRecalculated)) == 1
        check_export(line, tmp_path)


def test_a_pack_that_moves_nothing_leaves_open_cases_alone(sqlite_url: str) -> None:
    with line_on(sqlite_url, pack=sample(deadlines_move="never")) as line:
        report_by_the_pack(line, 1)
        line.engine.install(sample(deadlines_move="never", days_off=[20260303]), NOW + 1)
        report_by_the_pack(line, 2, NOW + 1)
        line.engine.drain()
        assert not line.of(facts.ClockRecalculated, 1)
        due = [next(c.due for c in line.of(facts.ClockStarted, n) if c.clock == "total") for n in (1, 2)]
        assert due[1] >= due[0] + DAY  # the register's calendar is the newer one for the newer case


def test_before_a_pack_is_active_events_are_refused_with_the_remedy(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 1) as engine:
        line = Line(engine)
        line.report()
        engine.drain()
        assert [letter[0] for letter in line.letters()] == ["failed"]


# ---- stamps from the future ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [f"stamp:{NOW + 2}", "skip"])
def test_a_stamp_far_ahead_halts_its_partition_until_an_operator_settles_it(
    database_url: str, tmp_path: Path, verdict: str
) -> None:
    with line_on(database_url) as line:
        line.report(1)
        line.engine.append([line.submission("incident.closed", "WY-DISPATCH", NOW + 1, case=subject())], NOW + DAY)
        line.report(2, NOW + MINUTE)
        for _ in range(3):
            line.engine.work(NOW + MINUTE)
        assert "ahead of this worker's clock" in line.engine.rows[0].halted
        assert line.engine.backlog() == [] and not line.facts(2)
        line.engine.reload()  # a restart does not help
        assert line.engine.work(NOW + DAY) is None

        line.engine.partitions.settle(SettlementRow(0, line.engine.rows[0].position, verdict, "an operator"))
        while line.engine.work(NOW + MINUTE) is not None:
            pass
        assert line.engine.rows[0].halted == "" and line.engine.rows[0].clock == NOW + MINUTE
        closed = [s for s in line.of(facts.ClockStopped) if s.clock == "total"]
        assert [s.judged for s in closed] == ([] if verdict == "skip" else [NOW + 2])  # a desk is judged at its arrival
        assert line.steps(2)[0].at == NOW + MINUTE
        assert [letter[0] for letter in line.letters()] == (["failed"] if verdict == "skip" else [])
        line.engine.append([Submission(0, "tick", "owner", "")], DUE + DAY)
        line.engine.drain()
        check_export(line, tmp_path)


def test_all_that_a_clock_has_stamped_ahead_is_named_and_settled_with_one_word(line: Line, tmp_path: Path) -> None:
    line.report(1)
    for number in (2, 3, 4):
        line.report(number, NOW + DAY)
    line.report(5, NOW + MINUTE)
    while line.engine.work(NOW + MINUTE) is not None:
        pass
    stands = line.engine.rows[0]
    first, last = stands.position, stands.position + 2
    assert stands.halted.endswith(f"clock, and so are those through {last}")
    for wrong, why in ((first - 1, "one of the"), (first + 4, "not in the log"), (first + MOST, "one of the")):
        with pytest.raises(ValueError, match=why):
            settle(line.engine, Settled(0, first, "skip", through=wrong), OPERATOR)
    settle(line.engine, Settled(0, first, f"stamp:{NOW + 2}", "an operator", through=last), OPERATOR)
    while line.engine.work(NOW + MINUTE) is not None:
        pass
    assert [line.steps(n)[0].at for n in range(1, 6)] == [NOW, *[NOW + 2] * 3, NOW + MINUTE]
    assert line.engine.rows[0].halted == ""
    check_export(line, tmp_path)


def test_a_stamp_settled_later_than_sent_fires_what_falls_due_until_then(line: Line) -> None:
    line.report(1)
    line.engine.drain()
    position = line.engine.heads[0]
    line.engine.partitions.settle(SettlementRow(0, position, f"stamp:{DUE + 5}", "an operator"))
    line.close(1, NOW + 1)
    line.engine.drain()
    assert [rung.due_at for rung in line.breaches()] == [DUE]


def test_thirty_seconds_ahead_are_believed(line: Line) -> None:
    line.report(1, NOW + 30_000)
    line.engine.work(NOW)
    assert line.facts() and not line.engine.rows[0].halted


# ---- resends ------------------------------------------------------------------------------------------------


def outcomes(line: Line, now: int | None = None) -> list[tuple[str, str]]:
    """Outcome and first outcome of what is decided next."""
    found = []
    while (result := line.engine.work(now)) is not None:
        found += [(answer.outcome, answer.first) for answer in result.answers]
    return found


def test_a_resend_gets_the_answer_that_stands_now(line: Line) -> None:
    line.close(1, NOW, id="c")
    assert outcomes(line) == [("parked", "")]
    line.close(1, NOW, id="c")
    assert outcomes(line) == [("duplicate", "parked")]
    line.report(1, NOW + 1)
    line.close(1, NOW, id="c")
    assert outcomes(line) == [("done", ""), ("duplicate", "done")]
    line.close(1, NOW + 2, id="other")
    line.close(1, NOW + 2, id="other")
    assert outcomes(line) == [("refused", ""), ("duplicate", "refused")]
    assert len(line.letters()) == 1


def test_the_same_id_with_other_content_is_a_conflict_and_is_kept(line: Line) -> None:
    line.report(1, id="r")
    line.report(1, id="r", due=DUE + 1)
    line.report(1, id="r", due=DUE)
    assert outcomes(line) == [("done", ""), ("conflict", ""), ("duplicate", "done")]
    assert [letter[:3] for letter in line.letters()] == [("conflict", subject(), "r")]
    assert [clock.due for clock in line.of(facts.ClockStarted) if clock.clock == "total"] == [DUE]


def test_beyond_the_window_an_event_is_decided_anew(line: Line) -> None:
    window = weiyang().options.duplicate_window_ms
    line.report(1, id="r")
    line.engine.append([line.submission("comment.added", "WY01-01-MEMBER", NOW, id="k")], NOW + 1)
    line.engine.append([line.submission("comment.added", "WY01-01-MEMBER", NOW, id="k")], NOW + 1 + window)
    line.engine.append([line.submission("comment.added", "WY01-01-MEMBER", NOW, id="k")], NOW + 2 + window)
    assert outcomes(line) == [("done", ""), ("done", ""), ("duplicate", "done"), ("done", "")]


def test_a_record_in_the_wrong_partition_is_misrouted(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 4) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        right = line.submission("comment.added", "WY01-01-MEMBER", NOW)
        wrong = msgspec.structs.replace(right, partition=(right.partition + 1) % 4)
        engine.append([wrong], NOW)
        assert outcomes(line) == [("refused", "")]
        assert [letter[0] for letter in line.letters()] == ["misrouted"]


def test_every_parked_event_that_is_given_up_at_once_is_kept_on_its_own(database_url: str) -> None:
    with line_on(database_url, pack=sample(parked_ms=DAY)) as line:
        for number in range(5):
            line.say("comment.added", "WY01-01-MEMBER", NOW + number, id=f"k{number}")
        for number in range(3):
            line.say("comment.added", "WY01-01-MEMBER", NOW + 9, id=f"t{number}")  # three expire at one instant
        line.engine.append([Submission(0, "tick", "owner", "")], NOW + 2 * DAY)
        line.engine.drain()
        assert sorted(letter[:3] for letter in line.letters()) == [
            ("expired", subject(), id_) for id_ in (*(f"k{n}" for n in range(5)), *(f"t{n}" for n in range(3)))
        ]
        assert len(line.of(facts.Unparked)) == 8


def test_parked_events_of_a_cycle_that_ends_are_kept_one_by_one(database_url: str) -> None:
    with line_on(database_url) as line:
        member, chief = "WY01-01-MEMBER", "WY01-CHIEF"
        line.say("report.submitted", "WY-12345", NOW, category="D3-04", source="hotline", grid="WY01-01")
        line.say("incident.accepted", chief, NOW + 1)
        for number in range(3):
            line.say("incident.closed", member, NOW + 2, id=f"early{number}")
        line.say("handling.completed", chief, NOW + 3)
        line.say("verification.recorded", member, NOW + 4, outcome="unsolved")
        line.engine.drain()
        assert sorted(letter[:3] for letter in line.letters()) == [
            ("expired", subject(), f"early{number}") for number in range(3)
        ]
