"""Cases of a home talk to each other within a turn: in order, once, whatever the slices, and whoever fails.

Enters: events of one home, in an engine with merging and with a kind of case that only other cases bear. Leaves: facts,
letters, what stands and what waits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine import failpoints
from engine.failpoints import Interrupted
from engine.policies import Policies
from engine.store import exports, standing
from engine.views.incident_detail import IncidentDetail, incident_detail
from engine.views.names import active_names
from gridpatrol.render import incidents
from lab import runs
from lab.runs import engine_on
from schemas import facts
from schemas.kinds.incident import Absorbed
from tests.integration.test_isolation import damage, refuse, relent, tick
from tests.integration.test_migrations import to
from tests.integration.test_standing import SECRET, broken, check_as_clean, check_beside, restarted, work
from tests.simulation.line import DUE, NOW, Line, check_export, line_on
from tests.support.builders import HOUR, subject
from tests.support.errands import Owed, Passed, errands
from workflows import birth, merging, sla
from workflows.case import Clock
from workflows.decision import Decision

FIRST, SECOND, THIRD = (subject("WY01", number) for number in (1, 2, 3))


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with line_on(database_url) as found:
        yield found


def report(line: Line, *numbers: int) -> None:
    """Requests without a deadline."""
    for number in numbers:
        line.report(number, due=None)


def merge(line: Line, number: int, into: str, time: int, **rest: Any) -> None:
    line.say("incident.merged", "WY-DISPATCH", time, case=subject("WY01", number), into=into, **rest)


def urge(line: Line, number: int, time: int) -> None:
    line.say("case.urged", "WY-SUPERVISOR", time, case=subject("WY01", number))


def order(line: Line) -> list[str]:
    """Whose steps they are, in the order of their numbers."""
    return [step.case_id[-1] for step in runs.steps(line.engine)]


def sound(line: Line, tmp_path: Path) -> None:
    """All that is stored follows from the facts, and these from the log."""
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    check_export(line, tmp_path)
    (tmp_path / "beside").mkdir()
    assert [str(m) for m in replayed_beside(line.engine, tmp_path / "beside")] == []


# ---- merging ------------------------------------------------------------------------------------------------


def test_of_two_cases_that_are_merged_into_each_other_in_one_slice_one_goes_on(line: Line, tmp_path: Path) -> None:
    report(line, 1, 2)
    merge(line, 1, SECOND, NOW + 1)
    merge(line, 2, FIRST, NOW + 1)
    assert work(line) == ["done", "done", "done", "refused"]
    assert order(line) == ["1", "2", "1", "2"]
    assert [fact.cases for fact in line.of(facts.Absorbed, 2)] == [(FIRST,)]
    assert [letter[:2] for letter in line.letters()] == [("impossible", SECOND)]
    sound(line, tmp_path)


def test_a_survivor_that_ends_in_the_same_slice_takes_nothing_more_and_tells_whom_it_took(
    line: Line, tmp_path: Path
) -> None:
    report(line, 1, 2, 3)
    merge(line, 2, FIRST, NOW + 1)
    line.close(1, NOW + 2)
    merge(line, 3, FIRST, NOW + 3)
    assert work(line) == ["done"] * 5 + ["refused"]
    assert order(line)[3:] == ["2", "1", "1", "2"]
    assert line.of(facts.SurvivorEnded, 2) == [facts.SurvivorEnded(case=FIRST, state="closed")]
    sound(line, tmp_path)


def test_what_a_survivor_s_deadline_does_is_its_own_and_a_parked_event_is_given_up_behind_what_was_said(
    line: Line, tmp_path: Path
) -> None:
    line.report(1)
    line.report(2)
    line.say("incident.resumed", "WY-DISPATCH", NOW + 1, case=SECOND)
    merge(line, 2, FIRST, NOW + 2)
    tick(line, DUE + 1)
    assert line.breaches(1) and not line.breaches(2)
    sound(line, tmp_path)


@pytest.mark.parametrize("first", ["a word", "a deadline"])
def test_a_survivor_of_an_earlier_release_hears_after_the_upgrade_which_others_go_on_in_it(
    line: Line, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """That release told it nothing: it could be withdrawn, and its end was told to nobody who had reported the same."""
    line.report(1)
    report(line, 2, 3, 4, 5)
    with monkeypatch.context() as before:
        before.setattr(merging, "hand_over", lambda d, together, petitions: None)
        merge(line, 3, SECOND, NOW + 1)
        merge(line, 2, FIRST, NOW + 2)
        merge(line, 4, subject("WY01", 5), NOW + 3)
        work(line)
    line.close(5, NOW + 4)  # it has ended by then, and tells nothing any more
    work(line)
    to(line.engine.database, "0017")
    line.engine.database.upgrade()
    line = restarted(line)
    if first == "a deadline":
        tick(line, DUE + 1)
        told = line.facts(1)
        assert told.index(line.of(facts.Absorbed, 1)[0]) < told.index(line.breaches(1)[0])
    line.say("incident.withdrawn", "WY-12345", DUE + 2, case=FIRST)
    line.close(1, DUE + 3)
    assert work(line) == ["refused", "done"]
    assert [fact.cases for fact in line.of(facts.Absorbed, 1)] == [(SECOND, THIRD)]
    ended = facts.SurvivorEnded(case=FIRST, state="closed")
    assert line.of(facts.SurvivorEnded, 2) == line.of(facts.SurvivorEnded, 3) == [ended]
    assert not line.of(facts.SurvivorEnded, 4)
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    assert [row.unheard for row in line.engine.rows.values()] == [""]


# ---- a case bears others -------------------------------------------------------------------------------------


def bear(*numbers: int) -> Any:
    """What an urged case says: it bears errands."""

    def says(d: Decision) -> None:
        for number in numbers:
            d.send(subject("WY01", number), "errand.owed", Owed(grid="WY01-01"), bears="errand")

    return says


def test_a_case_bears_another_once_and_what_came_before_it_is_released(line: Line, tmp_path: Path) -> None:
    with errands(bear(4, 5)):
        report(line, 1)
        line.say("case.commented", "WY01-01-MEMBER", NOW + 1, case=subject("WY01", 4), id="early")
        urge(line, 1, NOW + 2)
        urge(line, 1, NOW + 3)
        assert work(line) == ["done", "parked", "done", "done"]
        assert order(line) == ["1", "4", "1", "4", "4", "5", "1"]
        born = line.steps(5)[0]
        assert (born.definition, born.path, born.at, born.post) == ("errand", "/XA/WY/WY01/WY01-01/", NOW + 2, "")
        assert json.loads(born.cause) == {
            "type": "gridpatrol.case.sent",
            "source": FIRST,
            "id": "2.2",
            "occurred": NOW + 2,
        }
        assert len(line.of(facts.Born, 4)) == len(line.of(facts.Born, 5)) == 1
        assert [fact.why for fact in line.of(facts.Unparked, 4)] == ["released"]
        sound(line, tmp_path)


def test_what_is_said_to_a_case_that_there_is_not_makes_none(line: Line, tmp_path: Path) -> None:
    with errands(lambda d: d.send(subject("WY01", 4), "errand.passed", Passed())):
        report(line, 1)
        urge(line, 1, NOW + 1)
        work(line)
        assert order(line) == ["1", "1"]
        # Nor of one that waits for its birth.
        line.say("case.commented", "WY01-01-MEMBER", NOW + 2, case=subject("WY01", 4))
        urge(line, 1, NOW + 3)
        work(line)
        assert line.facts(4) and not line.of(facts.Unserved, 4) and not line.of(facts.Noted, 4)
        sound(line, tmp_path)


def test_what_a_target_can_no_longer_do_is_a_fact_of_it(line: Line, tmp_path: Path) -> None:
    def says(d: Decision) -> None:
        d.send(subject("WY01", 4), "errand.passed", Passed())  # over
        d.send(subject("WY01", 5), "errand.passed", Passed(wrong=True))  # its own rule says no
        d.send(subject("WY01", 5), "case.survivor_ended", Passed())  # nothing that it ever takes
        d.send(SECOND, "errand.owed", Owed(), bears="errand")  # another case has this id
        d.send(subject("WY01", 6), "errand.owed", Owed(grid="NONE"), bears="errand")  # no grid of the pack

    with errands(bear(4, 5)):
        report(line, 1, 2)
        urge(line, 1, NOW + 1)
        photo = {"url": "https://a.example/1", "sha256": "ab" * 32, "kind": "near"}
        line.say("case.evidence_added", "WY01-01-MEMBER", NOW + 2, case=subject("WY01", 4), evidence=[photo])
        work(line)
    with errands(says):
        urge(line, 1, NOW + 3)
        assert work(line) == ["done"]
        assert order(line)[-6:] == ["1", "4", "5", "5", "2", "6"]
        told = [fact for number in (4, 5, 2, 6) for fact in line.of(facts.Unserved, number)]
        assert [(fact.trigger, fact.why, fact.field) for fact in told] == [
            ("errand.passed", "impossible", "type"),
            ("errand.passed", "invalid", "data.wrong"),
            ("case.survivor_ended", "impossible", "type"),
            ("errand.owed", "impossible", "subject"),
            ("errand.owed", "unknown_code", "data.grid"),
        ]
    with errands(bear(6)):  # it is not born, and may be
        urge(line, 1, NOW + 4)
        work(line)
        assert len(line.of(facts.Born, 6)) == 1
        assert [str(m) for m in verify(line.engine.database, live=True)] == []


def passes(*numbers: int) -> Any:
    """What an urged case says: a word that goes from errand to errand."""
    ids = [subject("WY01", number) for number in numbers]
    return lambda d: d.send(ids[0], "errand.passed", Passed(to=tuple(ids[1:])))


def test_a_word_that_comes_back_is_heard_and_the_next_one_comes_after_all_that_follows_from_the_first(
    line: Line,
) -> None:
    def says(d: Decision) -> None:
        for first in (4, 5):
            rest = tuple(subject("WY01", number) for number in (5, 4))
            d.send(subject("WY01", first), "errand.passed", Passed(to=rest))

    with errands(bear(4, 5)):
        report(line, 1)
        urge(line, 1, NOW + 1)
        work(line)
    with errands(says):
        urge(line, 1, NOW + 2)
        work(line)
        assert order(line)[-7:] == ["1", "4", "5", "4", "5", "5", "4"]
        assert [str(m) for m in verify(line.engine.database, live=True)] == []


def test_more_than_a_turn_may_say_is_a_defect_of_whoever_says_it(line: Line) -> None:
    with errands(passes(*([4, 5] * 65))):
        report(line, 1, 2)
        work(line)
        with errands(bear(4, 5)):
            urge(line, 2, NOW + 1)
            work(line)
        urge(line, 1, NOW + 2)
        line.close(2, NOW + 3)
        assert work(line) == ["done", "done"]
        # The 128th has one word too much to say: it stands, and its own step is undone.
        heard = [len(line.of(facts.Noted, number)) for number in (4, 5)]
        assert heard == [64, 63] and stands(line) == [subject("WY01", 5)]


# ---- a target that stands, or that the database refuses ------------------------------------------------------


def stands(line: Line) -> list[str]:
    with line.engine.database.read() as connection:
        return standing.read_ids(connection, 0)


def test_a_target_whose_rule_fails_stands_and_what_is_said_to_it_waits_in_order(line: Line, tmp_path: Path) -> None:
    report(line, 1, 2, 3)
    work(line)
    with broken("case.absorbed", chosen=lambda id_: id_ == FIRST):
        merge(line, 2, FIRST, NOW + 1)
        line.close(1, NOW + 2)
        merge(line, 3, FIRST, NOW + 3)
        urge(line, 3, NOW + 4)
        assert work(line) == ["done", "pending", "done", "refused"]  # the senders' steps stand
        assert stands(line) == [FIRST] and line.letters()[0][1] == THIRD
        assert order(line) == ["1", "2", "3", "2", "3"]
        assert [str(m) for m in verify(line.engine.database, live=True)] == []
        with line.engine.database.read() as connection:
            [(row, waiting)] = standing.listed(connection, 9)
            assert (row.place.rpartition(":")[0], waiting) == ("workflows.decide:_pull", 3)
        assert SECRET not in repr(line.engine.rows)
        assert work(restarted(line)) == []  # tried again, and it stands on
    check_beside(line, tmp_path / "stands")
    with broken("case.absorbed", chosen=lambda id_: id_ == FIRST):
        assert [str(m) for m in verify(line.engine.database, live=True)] == []
    line = restarted(line)
    assert work(line) == ["done"]
    # The second one was there before its end, the third came after it: both hear of it.
    assert [fact.cases for fact in line.of(facts.Absorbed, 1)] == [(SECOND,), (THIRD,)]
    assert [line.of(facts.SurvivorEnded, number) for number in (2, 3)] == [
        [facts.SurvivorEnded(case=FIRST, state="closed")]
    ] * 2
    assert stands(line) == [] and [step.seq for step in line.steps(1)] == [1, 2, 3, 4]
    check_beside(line, tmp_path / "went-on")  # though the merged cases heard of its end later than they would have
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    with line.engine.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM waiting").scalar_one() == 0


def test_a_survivor_that_stands_for_its_own_record_hears_what_came_meanwhile_as_of_then(
    line: Line, tmp_path: Path
) -> None:
    report(line, 1, 2)
    work(line)
    with broken("case.commented", chosen=lambda id_: id_ == FIRST):
        line.say("case.commented", "WY01-01-MEMBER", NOW + 1, case=FIRST)
        merge(line, 2, FIRST, NOW + 2)
        line.say("case.commented", "WY01-01-MEMBER", NOW + 3, case=FIRST)
        assert work(line) == ["pending", "done", "pending"]
        check_beside(line, tmp_path / "stands")
    line = restarted(line)
    assert work(line) == ["done", "done"]
    assert [step.at - NOW for step in line.steps(1)] == [0, 1, 2, 3]
    check_as_clean(line, tmp_path)
    check_beside(line, tmp_path / "went-on")


def test_what_a_case_says_that_has_stood_is_heard_when_it_goes_on(line: Line, tmp_path: Path) -> None:
    report(line, 1, 2)
    work(line)
    with broken("incident.merged", chosen=lambda id_: id_ == SECOND):
        merge(line, 2, FIRST, NOW + 1)
        urge(line, 1, NOW + 2)
        assert work(line) == ["pending", "done"]
    line = restarted(line)
    assert work(line) == ["done"]
    assert [(step.seq, step.at - NOW) for step in line.steps(1)] == [(1, 0), (2, 2), (3, 2)]
    assert line.of(facts.Absorbed, 1) and [step.at - NOW for step in line.steps(2)] == [0, 1]
    check_beside(line, tmp_path / "went-on")
    assert [str(m) for m in verify(line.engine.database, live=True)] == []


def test_what_was_said_to_a_case_before_its_own_try_is_heard_in_slices_of_one_as_well(tmp_path: Path) -> None:
    with line_on(f"sqlite:///{tmp_path / 'a.db'}", 1, 1) as line:
        report(line, 1, 2)
        work(line)
        with broken("incident.merged"):
            merge(line, 2, FIRST, NOW + 1)
            merge(line, 1, THIRD, NOW + 2)  # which there is not
            assert work(line) == ["pending", "pending"]
        line = restarted(line)
        assert work(line) == ["done", "refused"]  # the second one has said it before the first is tried again
        assert [fact.cases for fact in line.of(facts.Absorbed, 1)] == [(SECOND,)] and stands(line) == []
        assert [str(m) for m in verify(line.engine.database, live=True)] == []


def test_a_merger_that_is_refused_later_than_without_a_defect_concerns_nobody_else_in_a_replay_beside(
    line: Line, tmp_path: Path
) -> None:
    report(line, 1, 2, 3)
    work(line)
    with broken("incident.merged", chosen=lambda id_: id_ == SECOND):
        merge(line, 2, FIRST, NOW + 1)
        line.close(1, NOW + 2)
        assert work(line) == ["pending", "done"]
    line = restarted(line)
    assert work(line) == ["refused"] and line.letters()[0][1] == SECOND  # the first has ended
    check_beside(line, tmp_path / "went-on")


def test_a_birth_whose_rule_fails_stands_as_well_and_is_born_when_that_is_mended(line: Line, tmp_path: Path) -> None:
    with errands(bear(4)):
        report(line, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(birth, "total_clock", lambda d, data, **_: 1 // 0 if d.case.definition == "errand" else None)
            urge(line, 1, NOW + 1)
            urge(line, 1, NOW + 2)
            line.say("case.commented", "WY01-01-MEMBER", NOW + 3, case=subject("WY01", 4))
            assert work(line) == ["done", "done", "done", "pending"]
            assert stands(line) == [subject("WY01", 4)] and line.steps(4) == []
        line = restarted(line)
        assert work(line) == ["done"]
        assert [step.at - NOW for step in line.steps(4)] == [1, 3]
        assert [str(m) for m in verify(line.engine.database, live=True)] == []


def test_where_targets_of_three_who_speak_fail_at_one_line_the_partition_halts(line: Line) -> None:
    def said_by(principal: str, number: int) -> None:
        said = line.submission("case.urged", "WY-SUPERVISOR", NOW + number, case=subject("WY01", number))
        line.engine.append([msgspec.structs.replace(said, principal=principal)], NOW + number)
        assert work(line) == ["done"]

    report(line, 1, 2, 3)
    work(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(birth, "total_clock", lambda d, data, **_: 1 // 0)
        with errands(bear(4, 5, 6, 7)):
            said_by("app", 1)  # one who speaks is one voice, however many cases it is about
        assert len(stands(line)) == 4 and not line.engine.rows[0].halted
        for number, principal in ((2, "hotline"), (3, "phone")):
            with errands(bear(10 + number)):
                said_by(principal, number)
    assert line.engine.rows[0].halted.startswith("defect at workflows.") and len(stands(line)) == 6


def test_what_a_firing_says_to_one_that_stands_comes_between_what_was_due_of_that_one(
    line: Line, tmp_path: Path
) -> None:
    """Both are due before the same record: the earlier one comes first, as if neither had waited."""
    ring = sla.ring

    def loud(d: Decision, clock: Clock) -> Any:
        found = ring(d, clock)
        if d.case.id == SECOND and d.arrival == DUE:
            d.send(FIRST, "case.absorbed", Absorbed(cases=(THIRD,)))
        return found

    line.report(1, due=DUE + 1)
    line.report(2, due=DUE)
    work(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sla, "ring", loud)
        with broken("case.commented", chosen=lambda id_: id_ == FIRST):
            line.say("case.commented", "WY01-01-MEMBER", NOW + 1, case=FIRST)
            tick(line, DUE + HOUR)
        line = restarted(line)
        assert work(line) == ["done"]
        causes = [json.loads(step.cause)["type"].removeprefix("gridpatrol.") for step in line.steps(1)]
        assert causes[-2:] == ["case.sent", "clock.due"] and line.breaches(1)
        check_as_clean(line, tmp_path)


def test_a_survivor_that_cannot_be_read_costs_the_record_that_names_it_only_its_time(line: Line) -> None:
    report(line, 1, 2, 3)
    work(line)
    damage(line, 1, "{", "[")
    merge(line, 2, FIRST, NOW + 1)
    line.close(3, NOW + 2)
    assert work(line) == ["pending", "done"]
    assert stands(line) == [SECOND]


def test_a_target_that_the_database_refuses_is_quarantined_and_the_sender_s_step_stands(
    line: Line, tmp_path: Path
) -> None:
    report(line, 1, 2, 3)
    work(line)
    refuse(line.engine.database, "facts", f"NEW.case_id = '{FIRST}' AND NEW.body LIKE '%case.absorbed%'")
    merge(line, 2, FIRST, NOW + 1)
    urge(line, 3, NOW + 2)
    assert work(line) == ["done", "done"]
    assert order(line) == ["1", "2", "3", "2", "1", "3"]
    assert [fact.on for fact in line.of(facts.Quarantined, 1)] == [True] and not line.of(facts.Absorbed, 1)
    assert line.facts(2)[-1:] and line.of(facts.Linked, 2)
    assert [letter[:3] for letter in line.letters()] == [("failed", FIRST, "")]
    relent(line.engine.database, "facts")
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    check_export(line, tmp_path)  # there the database takes it, but it was settled: the same facts
    line.operate("release", FIRST, NOW + 3)
    work(line)
    assert [fact.on for fact in line.of(facts.Quarantined, 1)] == [True, False]


def test_of_many_targets_the_refused_ones_are_found_also_in_a_firing(line: Line, tmp_path: Path) -> None:
    numbers = tuple(range(10, 40))
    with errands(bear(*numbers)):
        report(line, 1)
        work(line)
        refused = [subject("WY01", number) for number in (13, 27)]
        ids = ", ".join(f"'{id_}'" for id_ in refused)
        refuse(line.engine.database, "facts", f"NEW.case_id IN ({ids}) AND NEW.body LIKE '%case.born%'")
        urge(line, 1, NOW + 1)
        assert work(line) == ["done"]
        assert sorted(letter[1] for letter in line.letters()) == refused
        born = {step.case_id for step in runs.steps(line.engine) if "case.born" in step.body}
        assert born == {subject("WY01", number) for number in numbers} - {*refused}
        relent(line.engine.database, "facts")
        urge(line, 1, NOW + 2)  # those that were refused are born now; their clocks stand still until they are released
        work(line)
        assert all(line.of(facts.Born, number) for number in (13, 27))
        assert [str(m) for m in verify(line.engine.database, live=True)] == []
        check_export(line, tmp_path)


def test_where_not_even_the_quarantine_can_be_stored_the_record_becomes_a_dead_letter(line: Line) -> None:
    report(line, 1, 2)
    work(line)
    refuse(line.engine.database, "facts", f"NEW.case_id = '{FIRST}'")
    merge(line, 2, FIRST, NOW + 1)
    line.say("case.commented", "WY01-01-MEMBER", NOW + 2, case=SECOND)
    assert work(line) == ["refused", "done"]
    assert [letter[:3] for letter in line.letters()] == [("failed", SECOND, "e3")]
    assert line.of(facts.Linked, 2) == []


@pytest.mark.parametrize(
    "point", ["slice.after_lock", "slice.after_read", "slice.before_write", "slice.before_commit", "slice.after_commit"]
)
def test_killed_anywhere_a_turn_is_done_once_or_not_yet(line: Line, tmp_path: Path, point: str) -> None:
    report(line, 1, 2, 3)
    merge(line, 2, FIRST, NOW + 1)
    merge(line, 3, SECOND, NOW + 2)
    line.close(1, NOW + 3)
    failpoints.arm(f"{point}:raise")
    try:
        with pytest.raises(Interrupted):
            work(line)
    finally:
        failpoints.arm("")
    line = restarted(line)
    work(line)
    assert order(line) == ["1", "2", "3", "2", "1", "3", "1", "1", "2", "3"]
    sound(line, tmp_path)


# ---- whatever the slices and partitions ----------------------------------------------------------------------


def lively(seed: int) -> list[tuple[str, str, int, dict[str, Any]]]:
    """What is said in three homes: reports, mergers of all kinds, ends, and errands that are owed and passed on."""
    random, said = Random(seed), list[tuple[str, str, int, dict[str, Any]]]()
    for number in range(160):
        home, one, other = random.choice(["WY01", "WY02", "WY03"]), random.randint(1, 5), random.randint(1, 6)
        case, now = subject(home, one), NOW + number // 3
        data: dict[str, Any] = {"category": "D3-04", "source": "hotline", "grid": f"{home}-01", "deadline": None}
        choices: list[tuple[str, str, dict[str, Any]]] = [
            ("report.submitted", "WY-12345", data | {"definition": "service_request"}),
            ("incident.merged", "WY-DISPATCH", {"into": subject(home, other)}),
            ("case.urged", "WY-SUPERVISOR", {}),
            ("case.commented", f"{home}-01-MEMBER", {"about": one}),
            ("incident.closed", "WY-DISPATCH", {}),
        ]
        trigger, by, rest = random.choices(choices, [6, 5, 3, 2, 1])[0]
        if trigger == "case.commented":
            case, rest = subject(home, one + 5), {}  # of an errand, perhaps before it is born
        said.append((trigger, by, now, {"case": case, "id": f"e{number}", **rest}))
    return said


def owe(d: Decision) -> None:
    """An urged case bears the errand of its number, and passes the word to all errands of the home."""
    home, _, own = d.case.id.rpartition(".")
    number = int(own[-12:], 16) + 5
    errands_ = [subject(home, each) for each in range(6, 11)]
    d.send(subject(home, number), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")
    d.send(subject(home, number), "errand.passed", Passed(to=tuple(errands_)))


@pytest.mark.parametrize("seed", [1, 2])
def test_slices_and_partitions_change_no_fact_of_cases_that_talk(tmp_path: Path, seed: int) -> None:
    found = []
    with errands(owe):
        for limits in [(1, 500, 1000), (32, 500, 1000), (1, 1, 1), (32, 7, 2)]:
            url = f"sqlite:///{tmp_path / '-'.join(map(str, limits))}.db"
            with engine_on(url, *limits) as engine:
                runs.install(engine, runs.pack_of("weiyang"))
                line = Line(engine)
                for trigger, by, now, rest in lively(seed):
                    line.say(trigger, by, now, **rest)
                work(line)
                runs.check_whole(engine)
                found.append((runs.facts(engine), runs.answers(engine)))
                if limits == (32, 7, 2):
                    assert [str(m) for m in verify(engine.database, live=True)] == []
                    kinds = {type(f) for step in runs.steps(engine) for f in facts.decode_facts(step.body)}
                    told = {facts.Absorbed, facts.SurvivorEnded, facts.Unparked, facts.Born, facts.Noted}
                    assert told <= kinds
    assert all(each == found[0] for each in found[1:])


def test_a_target_that_the_database_refuses_when_a_case_goes_on_is_found_as_well(line: Line) -> None:
    report(line, 1, 2)
    work(line)
    with broken("incident.merged", chosen=lambda id_: id_ == SECOND):
        merge(line, 2, FIRST, NOW + 1)
        assert work(line) == ["pending"]
    refuse(line.engine.database, "facts", f"NEW.case_id = '{FIRST}' AND NEW.body LIKE '%case.absorbed%'")
    line = restarted(line)
    assert work(line) == ["done"]
    assert line.of(facts.Linked, 2) and [fact.on for fact in line.of(facts.Quarantined, 1)] == [True]
    relent(line.engine.database, "facts")
    assert [str(m) for m in verify(line.engine.database, live=True)] == []


def test_what_waits_for_a_target_that_the_database_refuses_quarantines_it_then(line: Line) -> None:
    report(line, 1, 2, 3)
    work(line)
    with broken("case.absorbed", chosen=lambda id_: id_ == FIRST):
        merge(line, 2, FIRST, NOW + 1)
        merge(line, 3, FIRST, NOW + 2)
        assert work(line) == ["done", "done"]
    refuse(line.engine.database, "facts", f"NEW.case_id = '{FIRST}' AND NEW.body LIKE '%{SECOND}%'")
    line = restarted(line)
    work(line)
    assert stands(line) == [] and [fact.on for fact in line.of(facts.Quarantined, 1)] == [True]
    assert [fact.cases for fact in line.of(facts.Absorbed, 1)] == [(THIRD,)]
    relent(line.engine.database, "facts")
    assert [str(m) for m in verify(line.engine.database, live=True)] == []


# ---- what people see -----------------------------------------------------------------------------------------


def test_the_answer_and_the_story_of_both_cases_say_where_they_go_on(
    line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    report(line, 1, 2)
    merge(line, 2, FIRST, NOW + 1)
    work(line)
    first, second = shown(line, FIRST), shown(line, SECOND)
    assert (first.absorbed, second.merged_into) == ([SECOND], FIRST)
    told = capsys.readouterr().out
    assert f"  并案 goes on for {SECOND}\n" in told and f"  并入 goes on in {FIRST}\n" in told
    assert f"另一案件 another case  并案 goes on for {SECOND}" in told
    line.close(1, NOW + 2)
    work(line)
    capsys.readouterr()
    assert shown(line, FIRST).absorbed == [SECOND]
    assert shown(line, SECOND).state == "merged"
    assert f"存续件终结 {FIRST} has ended: closed" in capsys.readouterr().out


def shown(line: Line, id_: str) -> IncidentDetail:
    """A case as the door answers it, printed as the command prints it."""
    with line.engine.database.read() as connection:
        found = incident_detail(connection, Policies(), id_, NOW)
        incidents.incident_detail(found, exports.steps_of(connection, id_), active_names(connection, Policies()))
    return found
