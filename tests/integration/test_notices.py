"""Notices on the feed: told once, at their hour, in the order of the steps; recounted by verify."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from consumers.alerts import fold
from consumers.verify import verify
from engine.failpoints import Interrupted, arm
from engine.store.database import Database, open_database
from schemas.messages import Line
from tests.integration.test_alerts import feed_rows, put
from tests.support.builders import BARE, DISTRICT, HOTLINE, LEAF, STREET, at
from tests.support.histories import DAY, Teller

EVENING = at("03-02 18:00")
NIGHT = at("03-02 23:00")
MORNING = at("03-03 07:00")


@pytest.fixture
def db(database_url):
    database = open_database(database_url)
    database.create_fresh()
    yield database
    database.close()


def reported(number: int = 1, start: int = 0) -> Teller:
    """A case that the hotline has reported to the street office."""
    teller = Teller(number, start=start)
    assert teller.say("report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF)
    return teller


def told(database: Database) -> list[Line]:
    """The notices on the feed, in order."""
    rows = [row for row in feed_rows(database) if row.what == "told"]
    return [msgspec.json.decode(row.body, type=Line) for row in rows]


def moves(database: Database) -> list[tuple[str, list[str]]]:
    return [(line.on, list(line.recipients)) for line in told(database)]


def wrong(database: Database) -> list[str]:
    """What verify says of notices and of the feed."""
    return [str(found) for found in verify(database, live=True) if found.what in ("notice", "delivery")]


def change(database: Database, sql: str) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(sql)


def test_work_that_arrives_is_a_line_of_the_feed_that_names_its_move_and_its_posts(db):
    teller = reported()
    put(db, teller)
    fold.consume(db, now=teller.now)
    (line,) = told(db)
    assert (line.kind, line.on, line.what, line.case) == ("notice", "assigned", "told", teller.case.id)
    assert line.id == f"{teller.case.id}|assigned|1|told"
    assert line.recipients == {
        post: f"{line.id}|{post}" for post in ("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET)
    }
    assert wrong(db) == []


def test_what_was_folded_and_told_is_not_told_again(db):
    teller = reported()
    put(db, teller)
    for _ in range(2):
        fold.consume(db, now=teller.now)
        fold.tell(db, now=teller.now + 1)
    assert moves(db) == [("assigned", ["WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET])]


@pytest.mark.parametrize("point", ["alerts.before_commit", "alerts.after_commit"])
def test_a_fold_that_is_killed_tells_it_once(db, point):
    teller = reported()
    put(db, teller)
    arm(f"{point}:raise")
    with pytest.raises(Interrupted):
        fold.consume(db, now=teller.now)
    arm("")
    fold.consume(db, now=teller.now)
    assert len(told(db)) == 1 and wrong(db) == []


def test_at_night_it_waits_for_the_morning(db):
    teller = reported(start=NIGHT)
    put(db, teller)
    fold.consume(db, now=NIGHT)
    assert told(db) == [] and wrong(db) == []
    assert fold.tell(db, now=MORNING - 1) == 0
    assert fold.tell(db, now=MORNING) == 1
    assert fold.tell(db, now=MORNING + 1) == 0
    assert [row.reason for row in feed_rows(db)] == ["the quiet hours are over"]
    assert wrong(db) == []


# ---- the daily line ---------------------------------------------------------------------------------------


def moved(*numbers: int, start: int = 0) -> list[Teller]:
    """Cases of the hotline that the street office has accepted."""
    tellers = [reported(number, start) for number in numbers]
    for teller in tellers:
        assert teller.say("incident.accepted", STREET)
    return tellers


def daily(database: Database) -> list[Line]:
    return [line for line in told(database) if line.on == "daily"]


@pytest.mark.mechanism("M19")
def test_a_reporter_gets_one_line_a_day_with_its_cases_and_their_present_states(db):
    one, two = moved(1, 2)
    assert two.say("handling.completed", STREET)
    put(db, one, two)
    fold.consume(db, now=one.now)
    assert fold.tell(db, now=EVENING - 1) == 0
    assert fold.tell(db, now=EVENING) == 1
    (line,) = daily(db)
    assert line.cases == {one.case.id: "accepted", two.case.id: "verifying"}
    assert (list(line.recipients), line.case, line.path) == ([HOTLINE], "", "/XA/WY/WY01/WY01-01/")
    assert line.id == f"{HOTLINE}|daily|incident|{EVENING}|told"
    assert fold.tell(db, now=EVENING + DAY) == 0
    assert wrong(db) == []


def test_each_kind_of_case_has_its_own_daily_line(db):
    tellers = moved(1)
    request = Teller(2)
    assert request.say(
        "report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF, definition="service_request"
    )
    assert request.say("incident.accepted", STREET)
    put(db, *tellers, request)
    fold.consume(db, now=request.now)
    assert fold.tell(db, now=EVENING) == 2
    assert [line.definition for line in daily(db)] == ["incident", "service_request"]


def test_a_daily_line_waits_until_every_step_has_been_read(db):
    """A fold that is behind would else tell half of the day, and the rest in a second line."""
    one, two = moved(1, 2)
    put(db, one, two)
    fold.consume(db, limit=1, now=one.now)
    fold.consume(db, limit=1, now=one.now)
    fold.consume(db, limit=1, now=one.now)
    assert fold.tell(db, now=EVENING) == 0
    while fold.consume(db, limit=1, now=EVENING):
        pass
    assert fold.tell(db, now=EVENING) == 1
    assert len(daily(db)[0].cases) == 2


def test_what_comes_after_its_daily_line_was_told_comes_with_the_next_one(db):
    (one,), (two,) = moved(1), moved(2, start=at("03-02 17:00"))
    put(db, one)
    fold.consume(db, now=one.now)
    assert fold.tell(db, now=EVENING) == 1
    put(db, one, two)
    fold.consume(db, now=EVENING + 1)
    assert fold.tell(db, now=EVENING + 2) == 0
    assert fold.tell(db, now=EVENING + DAY) == 1
    assert [list(line.cases) for line in daily(db)] == [[one.case.id], [two.case.id]]
    assert wrong(db) == []


def test_who_was_away_for_days_finds_a_line_for_each(db):
    (one,) = moved(1)
    one.now = at("03-03 10:00")
    assert one.say("handling.completed", STREET)
    put(db, one)
    late = at("03-20 10:00")
    fold.consume(db, now=late)
    assert (fold.tell(db, now=late), fold.tell(db, now=late), fold.tell(db, now=late)) == (1, 1, 0)
    assert [line.raised_at for line in daily(db)] == [EVENING, EVENING + DAY]


# ---- verify -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        pytest.param("DELETE FROM notices WHERE move = 'assigned'", "expected a row, found none", id="a row is lost"),
        pytest.param("UPDATE notices SET recipients = '[]'", "recipients", id="told to others"),
        pytest.param("UPDATE notices SET number = 0 WHERE not_before IS NULL", "its own line", id="never told"),
        pytest.param("UPDATE notices SET number = 1 WHERE number = 2", "its own line", id="another's line"),
        pytest.param("UPDATE notices SET daily = NOT daily", "daily", id="at another time"),
    ],
)
def test_verify_finds_a_notice_that_does_not_follow_from_the_facts(db, sql: str, says: Any):
    one, two = moved(1, 2)
    assert one.say("incident.urged", DISTRICT)
    put(db, one, two)
    fold.consume(db, now=one.now)
    fold.tell(db, now=EVENING)
    assert wrong(db) == []
    change(db, sql)
    assert any(says in found for found in wrong(db))
