"""The duty (履职): borne for a period, kept by records of its own period, missed, excused or void.

In: what the home says, what posts say, at instants of March 2026 and a little later. Out: the facts, the state, and
what the fold counts.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import pytest
from msgspec.structs import replace

from consumers.performance.fold import fold
from engine.packs import folder_of
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.rounds import PlannedRecord, live_plan, rounds_of
from schemas import facts
from schemas.derived_ids import derived_subject, home_subject
from schemas.kinds.duty import DutyEnded, DutyExcused, DutyRecorded
from schemas.members import EventData
from schemas.refusals import Reason
from schemas.samples import OTHER, PHOTO
from tests.support.builders import (
    CITY,
    DISTRICT,
    HOUR,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Beside,
    Story,
    at,
    changed,
    shipped,
)
from workflows import periods
from workflows.case import Case
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS, held_by
from workflows.definitions.duty import DUTY, RATIOS, SUMS, born
from workflows.figures import derived
from workflows.machine import Owed
from workflows.policy.index import Policy

LEADER, DISTRICT_LEADER = "WY01-01-SPONSOR", "WY01-SPONSOR"
OFFICE = "WY-OFFICE"
FORM = {**PHOTO, "kind": "document", "sha256": "cd" * 32}


class Round(Story):
    """One duty and what is said to it."""

    def __init__(
        self,
        row: str = "PATROL",
        post: str = MEMBER,
        day: int = 20260302,
        rules: Policy | None = None,
        site: str = "",
    ) -> None:
        super().__init__(rules or shipped())
        days = self.rules.clock_of_days
        period = periods.holding(self.rules.duties[row].period, day)
        self.begins, self.due = periods.first_instant(period, days), periods.last_instant(period, days)
        self.case = Case(id=derived_subject("WY01", "duty", row, post, period.first, self.begins, site))
        self.beside.stories[self.case.id] = self
        self.now = self.begins
        owed = Owed(row, post, self.rules.duties[row].period, site)
        self.hear("duty.owed", born(self.rules, owed, period), "duty")

    def void(self, when: int) -> None:
        """The home says that it is owed no more."""
        self.until(when)
        self.now = when
        self.hear("duty.void", EventData())

    @property
    def counts(self) -> dict[str, int]:
        """What it counts, as it is shown; without zeros."""
        stored, contribution = Counter[str](), None
        for step in self.steps:
            day = self.register.clock_of_days.local_day(step.instant)
            told = facts.Step(
                partition=0,
                n=1,
                case=self.case.id,
                seq=step.case.seq,
                at=0,
                day=day,
                policy="",
                definition="duty",
                path="/XA/WY/WY01/WY01-01/",
                department="",
                category="",
                group="",
                post=step.post,
                cause=step.cause,
                facts=step.facts,
            )
            found = fold(contribution, told)
            contribution = found.contribution
            for (measure, place), value in found.cells.items():
                assert (place.day, place.post) == (self.register.clock_of_days.local_day(self.due), self.case.post), (
                    measure
                )
                stored[measure] += value
        shown, _ = derived(stored, SUMS, RATIOS)
        assert shown["due"] == sum(shown[name] for name in ("kept", "missed", "awaited", "excused", "void"))
        return {name: value for name, value in shown.items() if value}

    @property
    def coverage(self) -> tuple[int, int]:
        stored = self.counts
        return stored.get("kept", 0), stored.get("due", 0) - stored.get("excused", 0) - stored.get("void", 0)


# ---- borne and kept ---------------------------------------------------------------------------------------


@pytest.mark.mechanism("M13")
def test_a_patrol_is_held_by_its_post_and_due_with_the_last_millisecond_of_its_day():
    patrol = Round()
    assert patrol.case.state == "owed"
    assert held_by(patrol.case).post == MEMBER
    assert patrol.case.due_at == at("03-03 00:00") - 1
    assert patrol.counts == {}  # it is due when its day is over


def test_a_patrol_that_is_walked_is_kept_and_counts_once():
    patrol = Round()
    patrol.done(
        "duty.recorded",
        MEMBER,
        at("03-02 17:00"),
        started="2026-03-02T16:00:00+08:00",
        ended="2026-03-02T17:00:00+08:00",
    )
    assert patrol.case.state == "kept"
    assert patrol.one(facts.ClockStopped).result == "on_time"
    assert patrol.one(facts.ClockStopped).charged.post == MEMBER
    assert patrol.until(at("04-02 00:00")) == []  # nothing fires any more
    assert patrol.counts == {"due": 1, "kept": 1}


def test_walking_twice_is_one_patrol_and_both_records_are_kept():
    patrol = Round()
    patrol.done("duty.recorded", MEMBER, at("03-02 10:00"))
    patrol.done("duty.recorded", MEMBER, at("03-02 15:00"), evidence=[PHOTO])
    assert [fact.counts for fact in patrol.history(DutyRecorded)] == ["1", ""]
    assert len(patrol.history(facts.Evidenced)) == 1
    assert patrol.counts == {"due": 1, "kept": 1}


@pytest.mark.mechanism("M45", "M46")
def test_two_inspections_of_a_month_are_two_days_with_photos_and_the_form():
    """每月至少对包抓网格实地检查两次，将检查照片、领导带队检查登记表等材料报区治污减霾办 (M45, M46)."""
    inspection = Round("INSPECT-STREET", DISTRICT_LEADER)
    refused = inspection.refused(Reason.INVALID, "duty.recorded", DISTRICT_LEADER, at("03-05 10:00"), form=FORM)
    assert refused.field == "data.evidence"
    refused = inspection.refused(
        Reason.INVALID, "duty.recorded", DISTRICT_LEADER, at("03-05 10:00"), evidence=[FORM], form=FORM
    )
    assert refused.field == "data.evidence"
    refused = inspection.refused(Reason.INVALID, "duty.recorded", DISTRICT_LEADER, at("03-05 10:00"), evidence=[PHOTO])
    assert refused.field == "data.form"
    brought = {"evidence": [PHOTO], "form": FORM}
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-05 10:00"), **brought)
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-05 18:00"), **brought)
    assert inspection.case.state == "owed"  # twice on one day is once
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-06 10:00"), **brought)
    assert inspection.case.state == "kept"
    assert inspection.one(facts.Copied).posts == (OFFICE,)
    assert inspection.counts == {"due": 1, "kept": 1}
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-20 10:00"), **brought)  # 至少两次
    assert inspection.counts == {"due": 1, "kept": 1}


def test_places_that_differ_count_apart():
    row = replace(shipped().duties["INSPECT-STREET"], needs=(), distinct="place")
    rules = changed(shipped(), duties=(row,))
    rounds = Round(row.code, DISTRICT_LEADER, rules=rules)
    for grid in ("WY01-01", "WY01-01", "WY01-02"):
        assert rounds.case.state == "owed"
        rounds.done("duty.recorded", DISTRICT_LEADER, rounds.now + HOUR, grid=grid)
    assert rounds.case.state == "kept"
    refusal = rounds.refused(Reason.INVALID, "duty.recorded", DISTRICT_LEADER, rounds.now + HOUR, grid="WY02-01")
    assert refusal.field == "data.grid"


# ---- late, early, elsewhere -------------------------------------------------------------------------------


def test_a_patrol_that_is_told_late_takes_its_lapse_back():
    patrol = Round()
    fired = patrol.until(at("03-03 08:00"))
    assert [fact.breach for fact in fired if isinstance(fact, facts.ClockRung)] == [True]
    (alert,) = [fact for fact in fired if isinstance(fact, facts.AlertRaised)]
    assert alert.to == (MEMBER, LEAF_CHIEF)
    assert patrol.counts == {"due": 1, "awaited": 1}
    patrol.done("duty.recorded", MEMBER, at("03-04 09:00"), occurred=at("03-02 23:00"))
    assert patrol.case.state == "kept"
    assert patrol.one(facts.ClockContradicted)
    assert patrol.one(facts.AlertEnded).how == "withdrawn"
    assert patrol.counts == {"due": 1, "kept": 1, "told_late": 1}


def test_the_patrols_that_a_night_has_missed_are_told_one_after_another_in_the_morning():
    told = set()
    for number in range(1, 9):
        patrol = Round(post=f"WY01-{number:02}-MEMBER")
        (alert,) = [fact for fact in patrol.until(at("03-03 00:06")) if isinstance(fact, facts.AlertRaised)]
        assert alert.not_before == at("03-03 07:00") + periods.spread_of(patrol.case.id)
        told.add(alert.not_before)
    assert len(told) == 8 and max(told) < at("03-03 07:05")


@pytest.mark.parametrize(
    ("made", "came", "kept"),
    [
        ("03-02 23:59:59.999", "03-05 23:59:59.999", True),  # as long as a phone may be offline
        ("03-02 23:59:59.998", "03-05 23:59:59.999", False),  # a millisecond longer
        ("03-02 00:00", "03-03 00:00", True),
    ],
)
def test_a_record_is_believed_for_as_long_as_a_phone_may_be_offline(made, came, kept):
    patrol = Round()
    if kept:
        patrol.done("duty.recorded", MEMBER, at(came), occurred=at(made))
        assert patrol.case.state == "kept"
    else:
        refusal = patrol.refused(Reason.IMPOSSIBLE, "duty.recorded", MEMBER, at(came), occurred=at(made))
        assert refusal.field == "time"
        assert "duty.excused" in refusal.detail


def test_nobody_records_a_patrol_that_was_missed_and_its_remedy_is_to_excuse_it():
    patrol = Round()
    patrol.until(at("03-06 00:00"))
    assert patrol.case.state == "missed"
    assert patrol.counts == {"due": 1, "missed": 1}
    assert patrol.coverage == (0, 1)
    refusal = patrol.refused(Reason.IMPOSSIBLE, "duty.recorded", MEMBER, at("03-06 00:00"), occurred=at("03-02 12:00"))
    assert "duty.excused" in refusal.detail
    patrol.done("duty.excused", STREET, at("03-20 09:00"), reason="no_signal")
    assert patrol.case.state == "excused"
    assert patrol.counts == {"due": 1, "excused": 1}
    assert patrol.coverage == (0, 0)
    assert patrol.steps[-1].instant == patrol.due  # restates the period in which it was due


def test_the_last_patrol_of_a_month_counts_in_its_month_when_it_is_missed_in_the_next():
    patrol = Round(day=20260331)
    patrol.until(at("04-10 00:00"))
    assert patrol.case.state == "missed"
    assert patrol.counts == {"due": 1, "missed": 1}  # `counts` asks every cell for the day of the due


def test_a_week_over_the_end_of_a_month_counts_on_its_sunday():
    visit = Round("VISIT-LEAF", LEADER, 20260330)
    visit.done("duty.recorded", LEADER, at("03-31 10:00"))
    assert visit.register.clock_of_days.local_day(visit.steps[-1].instant) == 20260405
    assert visit.counts == {"due": 1, "kept": 1}


@pytest.mark.parametrize(("made", "right"), [("03-01 23:00", 20260301), ("03-03 00:00", 20260303)])
def test_a_record_of_another_day_is_sent_to_the_duty_of_that_day(made, right):
    patrol = Round()
    refusal = patrol.refused(Reason.MISROUTED, "duty.recorded", MEMBER, at("03-03 09:00"), occurred=at(made))
    begins = patrol.register.clock_of_days.day_start(right)
    assert refusal.field == "subject"
    assert derived_subject("WY01", "duty", "PATROL", MEMBER, right, begins) in refusal.detail


def test_a_phone_whose_clock_runs_ahead_records_the_day_on_which_it_came():
    patrol = Round()
    patrol.done("duty.recorded", MEMBER, at("03-02 23:59:58"), occurred=at("03-03 00:00:03"))
    assert patrol.case.state == "kept"


def test_an_old_photo_is_no_inspection_of_this_month():
    """What is not believed counts for no period, neither for its own nor for the one in which it comes."""
    visit = Round("VISIT-LEAF", LEADER, 20260309)
    refusal = visit.refused(Reason.IMPOSSIBLE, "duty.recorded", LEADER, at("03-13 09:00"), occurred=at("03-09 09:00"))
    assert refusal.field == "time"


def test_records_that_come_out_of_order_are_the_same_two_days():
    inspection = Round("INSPECT-STREET", DISTRICT_LEADER)
    brought = {"evidence": [PHOTO], "form": FORM}
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-12 10:00"), occurred=at("03-11 10:00"), **brought)
    inspection.done("duty.recorded", DISTRICT_LEADER, at("03-12 10:01"), occurred=at("03-10 10:00"), **brought)
    assert inspection.case.state == "kept"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"started": "2026-03-02T12:00:00+08:00", "ended": "2026-03-02T11:00:00+08:00"}, "data.started"),
        ({"started": "2026-03-02T12:00:01+08:00"}, "data.started"),
        ({"ended": "2026-03-02T12:00:01+08:00"}, "data.ended"),
        ({"problems": ["WY02.0195539a-1f40-7a11-8c02-1d2e3f405162"]}, "data.problems"),
        ({"grid": "WY01-02"}, "data.grid"),
        ({"grid": "nowhere"}, "data.grid"),
    ],
)
def test_a_record_that_cannot_be_so_is_refused_with_its_field(said, field):
    assert Round().refused(Reason.INVALID, "duty.recorded", MEMBER, at("03-02 12:00"), **said).field == field


def test_a_problem_found_on_the_way_need_not_be_reported_yet():
    patrol = Round()
    patrol.done("duty.recorded", MEMBER, at("03-02 12:00"), problems=[OTHER])
    assert patrol.one(DutyRecorded).problems == (OTHER,)


def test_only_the_post_that_owes_a_duty_records_it():
    row = replace(next(row for row in shipped().pack.roles if row.rule == "record-patrol"), role="chief")
    patrol = Round(rules=changed(shipped(), roles=(*shipped().pack.roles, row)))
    refusal = patrol.refused(Reason.FORBIDDEN, "duty.recorded", LEAF_CHIEF, at("03-02 12:00"))
    assert MEMBER in refusal.detail and refusal.field == "actor"
    assert Round().refused(Reason.FORBIDDEN, "duty.recorded", LEAF_CHIEF, at("03-02 12:00")).field == "actor"


# ---- excused and void -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [STREET, DISTRICT, CITY, OFFICE])
def test_a_post_above_excuses(by):
    patrol = Round()
    patrol.done("duty.excused", by, at("03-02 08:00"), reason="weather")
    assert patrol.case.state == "excused"
    assert patrol.one(facts.ClockStopped).lapsed is False
    assert patrol.one(DutyExcused).stage == "running"
    assert patrol.counts == {"due": 1, "excused": 1}
    assert patrol.until(at("04-01 00:00")) == []


def test_who_is_inspected_does_not_excuse_the_leader_who_inspects():
    inspection = Round("INSPECT-STREET", DISTRICT_LEADER)
    assert (
        inspection.refused(Reason.FORBIDDEN, "duty.excused", STREET, at("03-05 10:00"), reason="other").field == "actor"
    )
    assert (
        Round().refused(Reason.FORBIDDEN, "duty.excused", LEAF_CHIEF, at("03-02 10:00"), reason="other").field
        == "actor"
    )


def test_what_had_lapsed_when_it_was_excused_stays_lapsed_beside_the_exemption():
    patrol = Round()
    patrol.done("duty.excused", STREET, at("03-03 10:00"), reason="illness")
    assert patrol.one(DutyExcused).stage == "lapsed"
    assert patrol.one(facts.ClockStopped).lapsed is True
    assert patrol.counts == {"due": 1, "excused": 1}
    patrol.done("duty.recorded", MEMBER, at("03-03 11:00"), occurred=at("03-02 18:00"))  # walked all the same
    assert patrol.counts == {"due": 1, "excused": 1}


def test_a_duty_that_was_kept_is_not_excused():
    patrol = Round()
    patrol.done("duty.recorded", MEMBER, at("03-02 10:00"))
    assert patrol.refused(Reason.IMPOSSIBLE, "duty.excused", STREET, at("03-02 11:00"), reason="other").field == "type"


def test_a_duty_whose_row_or_post_ends_is_void_once_and_what_was_kept_stays_kept():
    patrol = Round()
    patrol.void(at("03-02 10:00"))
    assert patrol.case.state == "void"
    assert patrol.counts == {"due": 1, "void": 1}
    assert patrol.coverage == (0, 0)
    patrol.void(at("03-02 11:00"))
    assert len(patrol.history(DutyEnded)) == 1
    kept = Round()
    kept.done("duty.recorded", MEMBER, at("03-02 10:00"))
    kept.void(at("03-02 11:00"))
    assert kept.counts == {"due": 1, "kept": 1}


# ---- what it may read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [False, True])
def test_the_case_of_the_home_is_found_by_a_kind_that_declares_it_alone(monkeypatch, declared):
    """Whatever lets the kind decide: its birth, what a post says, what its home says, and its own instants."""
    home, seen = home_subject("WY01"), list[tuple[str, bool]]()

    def looks(trigger, effect):
        def looking(d, data, *rest):
            seen.append((trigger, d.find(home) is not None))
            assert d.find(d.case.id) is None or d.find(d.case.id).id == d.case.id  # others are found as ever
            return effect(d, data, *rest)

        return looking

    effects = {trigger: looks(trigger, effect) for trigger, effect in DUTY.effects.items()}
    born = replace(DUTY.births["duty.owed"], begin=looks("duty.owed", DUTY.births["duty.owed"].begin))
    kind = replace(DUTY, reads_home=declared, effects=effects, births={"duty.owed": born})
    monkeypatch.setitem(DEFINITIONS, "duty", kind)
    beside = Story()
    beside.case = replace(beside.case, id=home, seq=1)
    monkeypatch.setattr(Beside, "__init__", lambda self: setattr(self, "stories", {home: beside}))
    missed, kept = Round(day=20260301), Round()
    missed.until(at("03-05 00:00"))
    kept.done("duty.recorded", MEMBER, at("03-02 10:00"))
    void = Round(day=20260303)
    void.void(at("03-03 10:00"))
    assert {trigger for trigger, _ in seen} == {"duty.owed", "duty.recorded", "duty.lapsed", "duty.void"}
    assert {found for _, found in seen} == {declared}


def test_nobody_speaks_to_the_case_of_a_home_nor_does_another_case():
    patrol = Round()
    d = Decision(patrol.case, patrol.rules, patrol.rules, patrol.now, patrol.now)
    with pytest.raises(ValueError, match="the case of the home itself"):
        d.send(home_subject("WY01"), "duty.void", EventData())


# ---- what becomes of it -----------------------------------------------------------------------------------


def test_a_missed_inspection_is_reported_to_the_office_and_a_patrol_to_nobody():
    inspection = Round("INSPECT-STREET", DISTRICT_LEADER)
    inspection.until(at("04-10 00:00"))
    assert inspection.case.state == "missed"
    assert [fact.posts for fact in inspection.history(facts.Copied)] == [(OFFICE,)]
    patrol = Round()
    patrol.until(at("04-10 00:00"))
    assert patrol.history(facts.Copied) == []


def test_a_patrol_costs_two_steps_and_few_bytes():
    patrol = Round()
    patrol.done("duty.recorded", MEMBER, at("03-02 10:00"))
    born_in, kept_in = (facts.encode_facts(step.facts) for step in patrol.steps)
    assert len(patrol.steps) == 2
    assert len(born_in) + len(kept_in) < 1200  # and one figure, and one outcome
    assert [type(fact).__name__ for step in patrol.steps for fact in step.facts] == [
        *("Born", "DutyOwed", "Moved", "Held", "ClockStarted"),
        *("DutyRecorded", "Moved", "ClockStopped"),
    ]


# ---- the demo ---------------------------------------------------------------------------------------------


def test_the_demo_walks_most_of_its_patrols_and_makes_its_rounds():
    """Of the posts of one street office and its first leaf, everything that is said is taken."""
    locality = Locality(folder_of("weiyang"))
    posts = {MEMBER, LEADER, DISTRICT_LEADER}
    kept = tuple(post for post in shipped().pack.posts if post.role not in ("member", "sponsor") or post.code in posts)
    locality.policy = changed(shipped(), posts=kept)
    locality.leaves = ["WY01-01"]
    said: dict[str, list[PlannedRecord]] = {}
    for done in rounds_of(locality, at("03-02 09:00"), at("04-01 09:00"), Random(7)):
        said.setdefault(done.subject, []).append(done)
    counts, owed = Counter[str](), 0
    for (row, post), day in product(
        ((row, post) for row, post in locality.policy.duties_of("WY01")), range(20260303, 20260332)
    ):
        duty = Round(row.code, post, day)
        if duty.case.id not in said or duty.register.clock_of_days.local_day(duty.begins) != day:
            continue
        owed += 1
        for done in sorted(said.pop(duty.case.id), key=lambda done: done.arrival):
            planned = done.planned
            duty.done(planned.trigger, planned.actor, done.arrival, occurred=done.at, **planned.data)
        counts += Counter(duty.counts)
    assert counts["kept"] > 0.85 * 29
    assert counts["kept"] + counts["excused"] == owed


@pytest.mark.parametrize("hour", ["00:30", "09:00", "23:00"])
def test_people_of_a_live_demo_record_today_and_seldom_tell_of_yesterday(hour):
    """Of all leaves' patrols: most will be said, under their derived subjects, now or later today."""
    locality, now, days = Locality(folder_of("weiyang")), at(f"03-03 {hour}"), shipped().clock_of_days

    members = [post.code for post in shipped().pack.posts if post.code.endswith("-MEMBER")]

    def planned(day: int, state: str = "owed") -> list[PlannedRecord | None]:
        line = {"duty": {"code": "PATROL"}, "first": f"2026-03-{day:02d}", "state": state, "left": 1, "recorded": 0}
        return [live_plan(locality, {**line, "post": {"code": post}}, now) for post in members]

    assert planned(3) == planned(3)
    today = planned(3)
    said = [found for found in today if found is not None]
    assert 0.85 < len(said) / len(today) < 1
    assert len({found.subject for found in said}) == len(said)
    assert derived_subject("WY01", "duty", "PATROL", MEMBER, 20260303, days.day_start(20260303)) in {
        found.subject for found in said
    }
    assert {days.local_day(found.at) for found in said if found.planned.trigger == "duty.recorded"} == {20260303}
    assert all(found.arrival >= max(found.at, now) for found in said)
    late = [found for found in planned(2) if found is not None]
    assert len(late) < 0.1 * len(today)
    assert all(found.at < days.day_start(20260303) and now <= found.arrival for found in late)
    assert set(planned(4, "awaited")) == {None}
