"""Alerts: what fires, what ends, and what the feed tells of it."""

from __future__ import annotations

import msgspec
import pytest

from consumers.alerts import fold, telling
from consumers.verify import verify
from engine.store import alerts
from engine.store.alerts import AlertRow, DeliveryRow
from engine.store.database import open_database
from engine.store.steps import FactsGap
from schemas import facts
from schemas.messages import Line
from tests.support.builders import at, changed, instant
from tests.support.histories import DAY, IN_THE_FIELD, MINUTE, Teller, numbered, write

HOUR = 60 * MINUTE


@pytest.fixture
def db(database_url):
    database = open_database(database_url)
    database.create_fresh()
    yield database
    database.close()


def request(number: int = 1, due_in: int = 5 * DAY, rules=None, leaf: str = "WY01-01") -> Teller:
    """A service request that is due in five days and that nobody accepts."""
    teller = Teller(number, rules, home=leaf[:4])
    assert teller.say(
        "report.submitted",
        "WY-12345",
        category="D3-04",
        source="hotline",
        grid=leaf,
        deadline=instant(teller.now + MINUTE + due_in),
        definition="service_request",
    )
    return teller


def put(database, *tellers: Teller) -> None:
    """Replace what is stored by the steps that these cases have taken by now."""
    steps = numbered(sorted((s for t in tellers for s in t.steps), key=lambda s: (s.at, s.case, s.seq)), count=1)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM facts")
    write(database, steps, [t.case for t in tellers])


def raised(teller: Teller) -> list[facts.AlertRaised]:
    return [fact for step in teller.steps for fact in step.facts if isinstance(fact, facts.AlertRaised)]


def feed_rows(database, after: int = 0, path: str = "/") -> list[DeliveryRow]:
    with database.read() as connection:
        return alerts.read_feed(connection, after, path, "", 1_000_000)


def listed(database, **filters) -> list[AlertRow]:
    with database.read() as connection:
        return alerts.listed(connection, **filters)


def lines(database, after: int = 0, path: str = "/") -> list[tuple[int, str, str]]:
    """(number, alert, what) of the feed."""
    return [(row.number, row.alert, row.what) for row in feed_rows(database, after, path)]


def status(database) -> dict[str, str]:
    return {row.id: row.status for row in listed(database)}


LATER = at("06-01 00:00")


def test_an_overdue_case_alerts_those_whom_the_ladder_names(db):
    teller = request()
    teller.until(at("03-07 09:02"))
    put(db, teller)
    assert fold.consume(db, now=LATER) == len(teller.steps)
    told = raised(teller)
    assert told
    assert set(status(db)) == {fact.alert for fact in told}
    assert set(status(db).values()) == {"firing"}
    (row,) = [row for row in listed(db, clock="total") if row.kind == "due"]
    total = teller.case.clock("total")
    assert total is not None
    assert (row.due, row.due_at, row.raised_at) == (total.due, total.due, (total.due or 0) + 1)
    assert row.path == "/XA/WY/WY01/WY01-01/"
    assert fold.consume(db, now=LATER) == 0


def test_the_feed_is_numbered_without_gaps_and_each_line_has_stable_ids(db):
    teller = request()
    teller.until(at("03-20 00:00"))
    put(db, teller)
    while fold.consume(db, limit=1, now=LATER):
        pass
    told = feed_rows(db)
    assert [row.number for row in told] == list(range(1, len(told) + 1))
    for row in told:
        line = msgspec.json.decode(row.body, type=Line)
        assert line.id == f"{row.alert}|{row.what}"
        assert line.recipients == {post: f"{line.id}|{post}" for post in msgspec.json.decode(row.recipients)}
        assert row.reason
    assert len({row.body for row in told}) == len(told)


def test_an_alert_is_of_the_department_that_must_act_and_not_of_the_one_that_has_handled_the_case(db):
    teller = Teller(rules=changed(IN_THE_FIELD, options={"quiet_from": 0, "quiet_to": 0}))
    assert teller.say("report.submitted", "WY-12345", category="D2-14", source="hotline", grid="WY01-01")
    assert teller.say("incident.dispatched", "WY-CHIEF", lead="WY-URBAN")
    assert teller.say("handling.completed", "WY-URBAN-H", 30 * DAY)
    teller.until(teller.now + 3 * DAY)
    put(db, teller)
    while fold.consume(db, now=LATER):
        pass
    found = {row.clock: row.department for row in listed(db) if row.clock in ("handle", "verify")}
    assert found == {"handle": "WY-URBAN", "verify": ""}
    told = [msgspec.json.decode(row.body, type=Line) for row in feed_rows(db) if row.what == "firing"]
    assert {(line.clock, line.department) for line in told} >= set(found.items())
    assert [str(wrong) for wrong in verify(db, live=True) if wrong.what == "alert"] == []


def test_the_feed_goes_on_after_a_number_and_keeps_to_a_subtree(db):
    first, second = request(1), request(2, leaf="WY02-01")
    for teller in (first, second):
        teller.until(at("03-08 00:00"))
    put(db, first, second)
    fold.consume(db, now=LATER)
    everything = lines(db)
    assert lines(db, after=everything[2][0]) == everything[3:]
    here = lines(db, path="/XA/WY/WY02/")
    assert {alert for _, alert, what in here if what != "told"} == {fact.alert for fact in raised(second)}
    assert 0 < len(here) < len(everything)


def test_an_alert_that_somebody_has_acknowledged_fires_on_and_is_resolved_when_its_clock_stops(db):
    teller = request()
    teller.until(at("03-07 12:00"))
    assert teller.say("incident.acknowledged", "WY01-CHIEF", 6 * DAY)
    put(db, teller)
    fold.consume(db, now=LATER)
    assert set(status(db).values()) == {"firing"}
    seen = {row.id: msgspec.json.decode(row.acknowledged_by) for row in listed(db)}
    assert seen == {f.alert: ["WY01-CHIEF"] if "WY01-CHIEF" in f.to else [] for f in raised(teller)}
    assert any(seen.values())
    assert {(row.ended_at, row.ended_by) for row in listed(db)} == {(None, "")}
    assert teller.say("incident.closed", "WY-DISPATCH")
    put(db, teller)
    fold.consume(db, now=LATER)
    assert set(status(db).values()) == {"resolved"}
    for alert, posts in seen.items():
        said = [what for _, a, what in lines(db) if a == alert]
        assert said == (["firing", "acknowledged", "resolved"] if posts else ["firing", "resolved"])


def test_that_somebody_has_seen_an_alert_rings_nobody(db):
    teller = request()
    teller.until(at("03-07 12:00"))
    assert teller.say("incident.acknowledged", "WY01-CHIEF", 6 * DAY)
    put(db, teller)
    fold.consume(db, now=LATER)
    found = [row for row in feed_rows(db) if row.what == "acknowledged"]
    assert found
    for row in found:
        line = msgspec.json.decode(row.body, type=Line)
        assert (line.id, line.by) == (f"{row.alert}|acknowledged|WY01-CHIEF", "WY01-CHIEF")
        assert (line.recipients, row.recipients) == ({}, "[]")


def test_an_alert_that_a_late_arrival_contradicts_is_withdrawn(db):
    teller = request()
    assert teller.say("incident.closed", "WY-DISPATCH", 5 * DAY + HOUR, late=2 * HOUR)
    put(db, teller)
    fold.consume(db, now=LATER)
    found = {row.status for row in listed(db, clock="total")}
    assert found == {"withdrawn"}


def test_urging_of_a_pack_without_notices_ends_with_its_case(db):
    teller = request(rules=changed(IN_THE_FIELD, notices=()))
    assert teller.say("incident.urged", "WY-DISPATCH")
    put(db, teller)
    fold.consume(db, now=LATER)
    assert status(db) == {f"{teller.case.id}|urge|2": "firing"}
    assert teller.say("incident.closed", "WY-DISPATCH")
    put(db, teller)
    fold.consume(db, now=LATER)
    assert status(db) == {f"{teller.case.id}|urge|2": "resolved"}


QUIET = {"quiet_from": 22 * 60, "quiet_to": 7 * 60, "quiet_exempt": ()}


def at_night(number: int = 1, start: str = "03-02 09:00", due: str = "03-03 23:00") -> Teller:
    """Due at 23:00 on 3 March, when alerts wait until seven."""
    rules = changed(options=QUIET)
    teller = Teller(number, rules, start=at(start))
    assert teller.say(
        "report.submitted",
        "WY-12345",
        category="D3-04",
        source="hotline",
        grid="WY01-01",
        deadline=instant(at(due)),
        definition="service_request",
    )
    teller.until(at(due) + 30 * MINUTE)
    return teller


def waiting(teller: Teller) -> str:
    (alert,) = [fact.alert for fact in raised(teller) if fact.kind == "due" and fact.clock == "total"]
    return alert


def test_at_night_the_telling_waits_for_the_morning_and_is_then_told_once(db):
    teller = at_night()
    put(db, teller)
    fold.consume(db, now=at("03-03 23:31"))
    alert = waiting(teller)
    assert status(db)[alert] == "firing"
    assert alert not in {a for _, a, _ in lines(db)}
    assert fold.tell(db, at("03-04 06:59")) == 0
    assert fold.tell(db, at("03-04 07:00")) >= 1
    assert [what for _, a, what in lines(db) if a == alert] == ["firing"]
    assert fold.tell(db, at("03-04 07:00")) == fold.tell(db, at("03-09 07:00")) == 0
    (row,) = [row for row in feed_rows(db) if row.alert == alert]
    assert (row.reason, row.told_at) == ("it has waited long enough", at("03-04 07:00"))


def firing(database, alert: str) -> list[str]:
    return [what for _, told, what in lines(database) if told == alert]


def test_what_waited_for_one_morning_is_told_in_pages_once_each_whatever_happens_between_them(db, monkeypatch):
    """A kill in the middle of a page, ends of what was told and of what was not, and one more that waited as long."""
    monkeypatch.setattr(telling, "PAGE", 3)
    morning, tellers = at("03-04 07:00"), [at_night(number) for number in range(2, 10)]
    put(db, *tellers)
    fold.consume(db, now=at("03-03 23:31"))
    alerts_of = [waiting(teller) for teller in tellers]
    assert fold.tell(db, morning) == 3
    assert [bool(firing(db, alert)) for alert in alerts_of] == [True] * 3 + [False] * 5

    def killed(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(alerts, "write", killed)
        fold.tell(db, morning)
    first, last = tellers[0], tellers[-1]
    for teller in (first, last):
        assert teller.say("incident.closed", "WY-DISPATCH", morning + 1 - teller.now)
    late = at_night(1, "03-03 23:40", "03-03 23:50")
    put(db, *tellers, late)
    fold.consume(db, now=morning)  # with a page of its own, and the one that comes before it in the order of ids
    assert firing(db, waiting(late)) == ["firing"]
    assert firing(db, waiting(first)) == ["firing", "resolved"]
    assert firing(db, waiting(last)) == []
    told = [fold.tell(db, morning) for _ in range(3)]
    assert told == [1, 0, 0]
    assert [firing(db, alert) for alert in alerts_of[1:-1]] == [["firing"]] * 6
    assert firing(db, waiting(last)) == []
    assert fold.tell(db, morning + DAY) == 0
    assert [m for m in verify(db) if m.what in ("alert", "delivery")] == []


def test_an_alert_that_ends_before_the_morning_is_never_told(db):
    teller = at_night()
    put(db, teller)
    fold.consume(db, now=at("03-03 23:31"))
    assert teller.say("incident.closed", "WY-DISPATCH", at("03-04 01:00") - teller.now)
    put(db, teller)
    fold.consume(db, now=at("03-04 01:00"))
    fold.tell(db, at("03-09 07:00"))
    assert status(db)[waiting(teller)] == "resolved"
    assert waiting(teller) not in {a for _, a, _ in lines(db)}


def test_a_phone_that_was_away_for_two_hours_and_did_all_in_time_tells_nobody(db):
    """One batch in order. Between two records a deadline of the morning fires, and the next one takes it back."""
    teller = Teller(1, changed(IN_THE_FIELD, options={"hold_ms": 2 * MINUTE}, notices=()))
    begun = teller.now
    assert teller.say("report.submitted", "WY01-01-MEMBER", 2 * HOUR, late=2 * HOUR, category="D3-01", source="patrol")
    late = teller.now - begun - 20 * MINUTE
    assert teller.say("dissuasion.recorded", "WY01-01-MEMBER", 1, late=late, outcome="ineffective")
    assert teller.say("incident.reported_up", "WY01-01-MEMBER", 1, late=late - 5 * MINUTE)
    put(db, teller)
    fold.consume(db, now=teller.now + 5)
    assert {row.clock for row in listed(db)} == {"dissuade", "report"}
    assert set(status(db).values()) == {"withdrawn"}
    assert fold.tell(db, teller.now + DAY) == 0
    assert lines(db) == []
    assert {fact.result for step in teller.steps for fact in step.facts if isinstance(fact, facts.ClockStopped)} == {
        "on_time"
    }


def test_a_phone_that_comes_back_and_is_late_is_told_when_the_hold_is_over(db):
    teller = Teller(1, changed(IN_THE_FIELD, options={"hold_ms": 2 * MINUTE}, notices=()))
    assert teller.say("report.submitted", "WY01-01-MEMBER", 2 * HOUR, late=2 * HOUR, category="D3-01", source="patrol")
    came = teller.now
    teller.until(came + 1)
    put(db, teller)
    fold.consume(db, now=came + 1)
    assert (lines(db), fold.tell(db, came + MINUTE)) == ([], 0)
    assert fold.tell(db, came + 3 * MINUTE) == 1
    assert [(row.what, row.reason) for row in feed_rows(db)] == [("firing", "it has waited long enough")]


def test_what_is_older_than_a_day_when_it_is_told_is_marked_for_the_feed_alone(db):
    teller = request(rules=changed(IN_THE_FIELD, notices=()))
    teller.until(at("03-07 09:02"))
    put(db, teller)
    last = max(step.at for step in teller.steps)
    fold.consume(db, now=last + 2 * MINUTE)
    told = {row.alert: msgspec.json.decode(row.body, type=Line) for row in feed_rows(db)}
    due = {fact.alert: last + 2 * MINUTE - fact.due_at > DAY for fact in raised(teller)}
    assert {alert: line.feed_only for alert, line in told.items()} == due
    assert set(due.values()) == {False, True}


def test_after_a_week_of_standstill_what_waited_is_told_before_its_end(db):
    teller = at_night()
    put(db, teller)
    fold.consume(db, now=at("03-03 23:31"))
    assert teller.say("incident.closed", "WY-DISPATCH", at("03-11 09:00") - teller.now)
    put(db, teller)
    fold.consume(db, now=at("03-11 09:00"))
    assert [what for _, a, what in lines(db) if a == waiting(teller)] == ["firing", "resolved"]


def test_a_wall_clock_that_goes_back_loses_no_alert(db):
    teller = at_night()
    other = request(2, due_in=HOUR)
    other.until(at("03-02 12:00"))
    put(db, other)
    fold.consume(db, now=at("03-04 08:00"))
    put(db, other, teller)
    fold.consume(db, now=at("03-04 06:00"))
    fold.tell(db, at("03-04 08:00"))
    assert [what for _, a, what in lines(db) if a == waiting(teller)] == ["firing"]


def test_a_missing_step_stops_the_alerts_visibly(db):
    teller = request()
    teller.until(at("03-08 00:00"))
    steps = numbered(teller.steps, count=1)
    write(db, [*steps[:1], *steps[2:]])
    with pytest.raises(FactsGap, match="step 2 of partition 0 is missing for alerts"):
        fold.consume(db, now=LATER)
    assert lines(db) == []


def test_the_listener_hears_which_lines_were_told(db):
    teller = request()
    teller.until(at("03-08 00:00"))
    put(db, teller)
    heard: list[list[DeliveryRow]] = []
    fold.consume(db, now=LATER, heard=heard.append)
    assert heard == [feed_rows(db)]


def test_the_epoch_stays_until_the_feed_is_restarted_after_a_restore(db):
    first = fold.epoch(db)
    assert first == fold.epoch(db)
    assert fold.restart_feed(db) == fold.epoch(db) != first


def test_a_list_is_paged_from_the_latest_to_the_first(db):
    teller = request()
    teller.until(at("03-20 00:00"))
    put(db, teller)
    fold.consume(db, now=LATER)
    everything = listed(db)
    assert [r.raised_at for r in everything] == sorted((r.raised_at for r in everything), reverse=True)
    page = listed(db, limit=2)
    rest = listed(db, before=(page[-1].raised_at, page[-1].id))
    assert page + rest == everything
    assert listed(db, case="nobody") == listed(db, status="withdrawn") == []
    assert listed(db, path="/XA/WY/WY01/") == everything
