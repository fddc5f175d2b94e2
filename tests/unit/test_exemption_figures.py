"""What is exempted is counted beside what was missed, at the unit that is charged and the day of the deadline."""

from __future__ import annotations

from collections import Counter
from typing import Any

from consumers.performance import fold
from schemas import facts
from tests.support.builders import DAY, HOTLINE, LEAF, instant
from tests.support.histories import MINUTE, Teller
from tests.unit.test_fold import days, figures, measures, reported
from workflows.figures import with_sums

HOUR = 60 * MINUTE
STREET_CHIEF, DISTRICT_CHIEF, CITY_CHIEF = "WY01-CHIEF", "WY-CHIEF", "XA-CHIEF"


def exempt(teller: Teller, clock: str, by: str = STREET_CHIEF, above: str = DISTRICT_CHIEF, **which: int) -> None:
    """Ask for an exemption, and grant it."""
    assert teller.say("exemption.requested", by, clock=clock, ground="outage", **which)
    assert teller.say("exemption.granted", above, clock=clock, **which)


def closed_late(number: int = 1) -> Teller:
    """A request that the street accepted and closed after both deadlines."""
    teller = Teller(number)
    deadline = instant(teller.now + 5 * DAY)
    given: dict[str, Any] = {"category": "D3-04", "source": "hotline", "grid": LEAF, "deadline": deadline}
    assert teller.say("report.submitted", HOTLINE, definition="service_request", **given)
    assert teller.say("incident.closed", "WY-DISPATCH", 6 * DAY)
    return teller


def exempted_after_the_end(number: int = 1) -> Teller:
    """Both missed deadlines are exempted weeks later."""
    teller = closed_late(number)
    teller.now += 20 * DAY
    exempt(teller, "accept")
    exempt(teller, "total")
    return teller


def granted_on_appeal(number: int = 1) -> Teller:
    """The district refuses, the city grants on appeal."""
    teller = closed_late(number)
    assert teller.say("exemption.requested", STREET_CHIEF, clock="total", ground="emergency")
    assert teller.say("exemption.refused", DISTRICT_CHIEF, clock="total")
    assert teller.say("exemption.appealed", STREET_CHIEF, clock="total")
    assert teller.say("exemption.granted", CITY_CHIEF, clock="total")
    return teller


def refused(number: int = 1) -> Teller:
    """The district refuses."""
    teller = closed_late(number)
    assert teller.say("exemption.requested", STREET_CHIEF, clock="total", ground="emergency")
    assert teller.say("exemption.refused", DISTRICT_CHIEF, clock="total")
    return teller


def taken_back(number: int = 1) -> Teller:
    """Exempted while the clock runs; then a phone says that it had been accepted in time."""
    teller = Teller(number)
    given: dict[str, Any] = {"category": "D3-04", "source": "hotline", "grid": LEAF}
    assert teller.say("report.submitted", HOTLINE, definition="service_request", **given)
    began = teller.now
    assert teller.say("comment.added", STREET_CHIEF, 3 * HOUR)
    exempt(teller, "accept")
    assert teller.say("incident.accepted", STREET_CHIEF, MINUTE, late=teller.now + MINUTE - began - MINUTE)
    return teller


def recharged(number: int = 1) -> Teller:
    """Exempted for the street; then it turns out that a department had the work most of the time."""
    teller = Teller(number)
    given: dict[str, Any] = {"category": "D3-04", "source": "hotline", "grid": LEAF}
    assert teller.say("report.submitted", HOTLINE, definition="service_request", **given)
    assert teller.say("incident.accepted", STREET_CHIEF)
    began = teller.now
    due = next(clock.due for clock in teller.case.clocks if clock.name == "handle")
    assert due is not None
    assert teller.say("comment.added", STREET_CHIEF, due - began + HOUR)
    exempt(teller, "handle")
    late = teller.now + MINUTE - began - 2 * MINUTE
    assert teller.say("incident.dispatched", STREET_CHIEF, MINUTE, late=late, lead="WY-URBAN")
    return teller


def exempted_running(number: int = 1) -> Teller:
    """Exempted while the clock runs, which then stops overdue; a second missed deadline of it is exempted, too."""
    teller = recharged(number)
    exempt(teller, "handle", "WY-URBAN-H")
    assert teller.say("deadline.ordered", DISTRICT_CHIEF, clock="handle", limit="1工作日")
    assert teller.say("handling.completed", "WY-URBAN-H", 5 * DAY)
    exempt(teller, "handle", "WY-URBAN-H", target=1)
    return teller


def twice_overdue(upto: int) -> Teller:
    """The deadline of the whole case is missed, moved and missed again; so many of the two are exempted."""
    teller = reported(5 * DAY)
    assert teller.say("deadline.ordered", DISTRICT_CHIEF, 6 * DAY, clock="total", limit="30自然日")
    assert teller.say("comment.added", STREET_CHIEF, 40 * DAY)
    for target in range(upto):
        exempt(teller, "total", target=target)
    return teller


def exempted_lives(number: int) -> list[Teller]:
    """One of each."""
    ways = (exempted_after_the_end, granted_on_appeal, refused, taken_back, recharged, exempted_running)
    return [way(number + k) for k, way in enumerate(ways)]


def test_what_is_exempted_stays_missed_and_counts_beside_it_at_the_same_day_and_unit() -> None:
    teller = exempted_after_the_end()
    before, after = measures(closed_late().steps), measures(teller.steps)
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        "exempted:accept": 1,
        "exempted:total": 1,
        "overdue_exempted": 1,
    }
    cells = figures(teller.steps)
    for missed, exempted in (
        ("breach:accept", "exempted:accept"),
        ("breach:total", "exempted:total"),
        ("overdue", "overdue_exempted"),
    ):
        places = [[place for (name, place), _ in cells.items() if name == which] for which in (missed, exempted)]
        assert places[0] == places[1], missed
    assert days(teller.steps, "exempted:total") == [20260307]


def test_a_refusal_counts_nothing_and_an_appeal_that_is_granted_does() -> None:
    assert not any(name.startswith("exempted") for name in measures(refused().steps))
    assert measures(granted_on_appeal().steps)["overdue_exempted"] == 1


def test_what_is_withdrawn_takes_its_exemption_with_it() -> None:
    teller = taken_back()
    counts = measures(teller.steps)
    assert any(isinstance(fact, facts.ClockContradicted) for step in teller.steps for fact in step.facts)
    assert "breach:accept" not in counts and "exempted:accept" not in counts


def test_what_is_charged_to_another_unit_afterwards_is_held_against_that_one() -> None:
    teller = recharged()
    [charged] = [fact for step in teller.steps for fact in step.facts if isinstance(fact, facts.ClockRecharged)]
    assert charged.charged.department == "WY-URBAN"
    counts = measures(teller.steps)
    assert counts["breach:handle"] == 1 and "exempted:handle" not in counts


def test_a_clock_that_stops_after_its_exemption_is_an_outcome_that_knows_it() -> None:
    teller = exempted_running()
    held: fold.Contribution | None = None
    rows: list[fold.OutcomeRow] = []
    for step in teller.steps:
        folded = fold.fold(held, step)
        held, rows = folded.contribution, rows + folded.outcomes
    assert held is not None
    [outcome] = [row for row in rows if row.clock == "handle"]
    assert (outcome.target, outcome.result, outcome.exempted) == (1, "overdue", None), "exempted later, by the store"
    assert [each.target for each in held.exempted] == [0, 1]
    assert measures(teller.steps)["exempted:handle"] == measures(teller.steps)["breach:handle"] == 2


def test_a_case_is_exempted_when_each_missed_deadline_of_it_is() -> None:
    assert "overdue_exempted" not in measures(twice_overdue(1).steps)
    assert measures(twice_overdue(1).steps)["exempted:total"] == 1
    assert measures(twice_overdue(2).steps)["overdue_exempted"] == 1


def test_nothing_is_exempted_that_was_not_missed() -> None:
    total: Counter[str] = Counter()
    for life in (*exempted_lives(2), twice_overdue(2)):
        total.update(measures(life.steps))
    counts = with_sums(dict(total))
    assert 0 < counts["overdue_exempted"] <= counts["overdue"]
    for name in [name for name in counts if name.startswith("exempted:")]:
        assert 0 < counts[name] <= counts[name.replace("exempted", "breach")]
