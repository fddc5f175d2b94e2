"""Verification: silent when all is well, loud when anything stored has moved by one."""

from __future__ import annotations

import random
from contextlib import ExitStack, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from consumers.alerts.fold import consume as consume_alerts
from consumers.performance import consume, fold
from consumers.verify import Mismatch, mismatches, verify
from engine.clock import now_ms
from engine.store.database import open_database
from lab.parts.postgres import fresh_database
from schemas.partition import home_of, partition_of
from tests.support.builders import BARE, DAY, HOTLINE, LEAF, STREET, at, changed, event, instant, subject, weiyang
from tests.support.examples import examples
from tests.support.histories import IN_THE_FIELD, MINUTE, Choice, Teller, as_before, live, plots, write
from tests.support.serving import prepared, tell
from tests.support.stored_texts import of_texts
from tests.unit.test_exemption_figures import exempted_lives, twice_overdue
from tests.unit.test_fold import rectified

PARTITIONS = 3


def placed(steps):
    """Steps in the order of their arrival, in the partition of their home, numbered there."""
    last: dict[int, int] = {}
    result = []
    for step in sorted(steps, key=lambda s: (s.at, s.case, s.seq)):
        p = partition_of(home_of(step.case), PARTITIONS)
        last[p] = last.get(p, 0) + 1
        result.append(msgspec.structs.replace(step, partition=p, n=last[p]))
    return result


def fill(database, lives) -> None:
    """Stored, folded and told, as the engine and its consumers leave it."""
    write(database, placed([step for life in lives for step in life.steps]), [life.case for life in lives])
    with database.begin() as connection:
        for p in range(PARTITIONS):
            connection.exec_driver_sql(f"INSERT INTO partitions (partition) VALUES ({p}) ON CONFLICT DO NOTHING")
        connection.exec_driver_sql("UPDATE partitions SET packs = '[]'")
    drain(database)


def drain(database) -> None:
    while consume.consume(database, limit=50):
        pass
    while consume_alerts(database, limit=50, now=at("2027-01-01 00:00")):
        pass


def random_lives(count: int):
    draw = random.Random(7)
    gaps = [MINUTE, 40 * MINUTE, 300 * MINUTE, 1440 * MINUTE, 4 * 1440 * MINUTE]
    return [
        live(
            k + 1,
            [
                Choice(draw.randrange(64), draw.choice(gaps), draw.choice([0, 0, 90 * MINUTE]), draw.randrange(4))
                for _ in range(draw.randrange(2, 14))
            ],
        )
        for k in range(count)
    ]


def told_lives():
    """An overdue request that is acknowledged, an incident that a street cannot handle alone, one that is given to
    departments that the pack does not name, two in which units are ordered to rectify, and requests that are taken up
    again: one of them late, and one closed again in time."""
    seen = Teller(101)
    due = instant(seen.now + 1440 * MINUTE)
    assert seen.say(
        "report.submitted",
        "WY-12345",
        category="D3-04",
        source="hotline",
        grid="WY01-01",
        deadline=due,
        definition="service_request",
    )
    assert seen.say("incident.acknowledged", "WY01-CHIEF", 2 * 1440 * MINUTE)
    assert seen.say("incident.acknowledged", "WY01-SPONSOR", 1440 * MINUTE)
    high = Teller(102, home="WY02")
    assert high.say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY02-01")
    assert high.say("incident.escalated", "WY02-CHIEF", reason="coordination")
    before = Teller(103)
    due = instant(before.now + 1440 * MINUTE)
    assert before.say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY01-01", deadline=due)
    assert before.say("incident.acknowledged", "WY01-CHIEF", 2 * 1440 * MINUTE)
    assert before.say("incident.acknowledged", "WY-CHIEF", 2 * 1440 * MINUTE)
    again = [taken_up_again(106, 7 * 1440, 2), taken_up_again(107, 1440, 1), taken_up_again(108, 1440, 3)]
    against = Teller(109, changed(IN_THE_FIELD, options={"against_table": ("dispatcher", "chief")}))
    assert against.say("report.submitted", "WY-12345", category="D3-04", source="hotline", grid="WY01-01")
    assert against.say("incident.dispatched", "WY01-CHIEF", lead="WY-URBAN", reason="capacity")
    assert against.say("incident.reassigned", "WY-DISPATCH", to_department="WY-BUILD", reason="orders")
    others = [seen, high, against, rectified(104), rectified(105, upto=3), *exempted_lives(110), twice_overdue(1)]
    return [*(other.life for other in others), *again, as_before(before.life)]


def taken_up_again(number: int, after: int, times: int):
    """A request that is due after five days, closed after so many minutes, and so often said to be closed or not."""
    teller = Teller(number, home="WY02")
    due = instant(teller.now + 5 * 1440 * MINUTE)
    report: dict[str, Any] = {
        "category": "D3-04",
        "source": "hotline",
        "grid": "WY02-01",
        "definition": "service_request",
    }
    assert teller.say("report.submitted", "WY-12345", deadline=due, **report)
    assert teller.say("incident.closed", "WY-DISPATCH", after * MINUTE)
    for turn in range(times):
        if turn % 2 == 0:
            assert teller.say("case.reopened", "WY-12345", 1440 * MINUTE, reason="dissatisfied")
        else:
            assert teller.say("incident.closed", "WY-DISPATCH", 60 * MINUTE)
    return teller.life


LIVES = [*random_lives(40), *told_lives()]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def db(request, tmp_path_factory):
    """A consistent database of each kind, filled once; tests change it in transactions that they roll
    back."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('verify') / 'a.db'}"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        database = open_database(url)
        stack.callback(database.close)
        database.create_fresh()
        fill(database, LIVES)
        yield database


class RollBack(Exception):
    """Ends a transaction without a trace."""


def after(database, sql: str) -> list[Mismatch]:
    """What verification finds after a change."""
    found: list[Mismatch] = []
    with suppress(RollBack), database.begin() as connection:
        changed = connection.exec_driver_sql(of_texts(database.dialect, sql)).rowcount
        assert changed > 0, f"nothing was changed by: {sql}"
        found += mismatches(connection)
        raise RollBack
    return found


def one(database, sql: str):
    with database.read() as connection:
        return connection.exec_driver_sql(of_texts(database.dialect, sql)).scalar_one()


def test_what_the_engine_and_its_consumers_leave_behind_is_consistent(db):
    seen: list[tuple[int, int]] = []
    assert verify(db, lambda done, total: seen.append((done, total))) == []
    assert seen[-1][0] == seen[-1][1] == sum(len(life.steps) for life in LIVES)


def test_the_histories_of_these_tests_are_worth_verifying(db):
    assert one(db, "SELECT count(*) FROM outcomes WHERE reopened_at IS NOT NULL") >= 4
    for measure in (
        "overdue",
        "on_time",
        "closed_late",
        "rework",
        "reopened",
        "breach:total",
        "escalated:coordination",
    ):
        assert one(db, f"SELECT sum(value) FROM figures WHERE measure = '{measure}'") > 0, measure
    for measure in ("exempted:handle", "exempted:total", "overdue_exempted"):
        assert one(db, f"SELECT sum(value) FROM figures WHERE measure = '{measure}'") > 0, measure
    assert one(db, "SELECT count(*) FROM outcomes WHERE exempted IS NOT NULL") > 2
    for status in ("firing", "resolved", "withdrawn"):
        assert one(db, f"SELECT count(*) FROM alerts WHERE status = '{status}'") > 0, status
    for posts in ('["WY01-CHIEF"]', '["WY01-CHIEF","WY01-SPONSOR"]'):
        assert one(db, f"SELECT count(*) FROM alerts WHERE acknowledged_by = '{posts}'") > 0, posts
    before = f"case_id = '{LIVES[-1].case.id}'"
    assert one(db, f"SELECT count(*) FROM alerts WHERE acknowledged_by <> '[]' AND {before}") > 0


@settings(max_examples=examples(25))
@given(plots)
def test_any_history_is_consistent(tmp_path_factory, plots):
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('verify') / 'a.db'}")
    database.create_fresh()
    fill(database, [live(k + 1, plot) for k, plot in enumerate(plots)])
    assert verify(database) == []
    database.close()


ANY_CASE = "(SELECT min(id) FROM cases WHERE seq > 2)"
LAST = "n = (SELECT max(n) FROM facts WHERE partition = 1) AND partition = 1"
CLOSED = "(SELECT min(case_id) FROM outcomes WHERE clock = 'total' AND why = 'incident.closed')"


@pytest.mark.parametrize(
    ("sql", "what", "where"),
    [
        # The log: a dropped step, at the end and in the middle.
        (f"DELETE FROM facts WHERE {LAST}", "log", "partition 1"),
        ("DELETE FROM facts WHERE n = 3 AND partition = 1", "log", "partition 1"),
        # A fact filed under another department, path, day: the figures were folded from the right one.
        (f"UPDATE facts SET department = 'WY-OTHER' WHERE case_id = {CLOSED}", "figure", "department WY-OTHER"),
        (f"UPDATE facts SET path = '/XA/WY/WY09/' WHERE case_id = {CLOSED}", "figure", "path /XA/WY/WY09/"),
        (f"UPDATE facts SET day = day + 1 WHERE case_id = {CLOSED}", "figure", "measure closed_late"),
        (f"UPDATE facts SET department = 'WY-OTHER' WHERE case_id = {CLOSED}", "step", "department"),
        (f"UPDATE facts SET post = 'NOBODY' WHERE case_id = {CLOSED}", "step", "post"),
        # Facts that say something else than what was folded.
        ('UPDATE facts SET body = replace(body, \'"result":"on_time"\', \'"result":"overdue"\')', "outcome", "result"),
        (
            'UPDATE facts SET body = replace(body, \'"source":"hotline"\', \'"source":"public"\') WHERE case_id = '
            '(SELECT min(case_id) FROM facts WHERE body LIKE \'%%"source":"hotline"%%\')',
            "figure",
            "reported:public",
        ),
        # Figures by one, in another department, gone, invented.
        ("UPDATE figures SET value = value + 1 WHERE measure = 'closed_late'", "figure", "measure closed_late"),
        ("UPDATE figures SET department = 'WY-OTHER' WHERE measure = 'closed_late'", "figure", "department WY-OTHER"),
        ("DELETE FROM figures WHERE measure = 'overdue'", "figure", "measure overdue"),
        (
            "INSERT INTO figures (definition, measure, day, path, department, category, grp, post, value) "
            "VALUES ('incident', 'closed_late', 20260303, '/XA/', '', 'D3-01', 'dust', '', 1)",
            "figure",
            "measure closed_late, day 20260303",
        ),
        # Figures and facts of another kind of case.
        ("UPDATE figures SET definition = 'incident' WHERE measure = 'closed_late'", "figure", "definition incident"),
        (f"UPDATE facts SET definition = '' WHERE {LAST}", "step", "definition"),
        (f"UPDATE outcomes SET definition = '' WHERE case_id = {CLOSED}", "outcome", "definition"),
        ("UPDATE alerts SET definition = '' WHERE kind = 'due'", "alert", "definition"),
        ("UPDATE deliveries SET definition = 'duty' WHERE number = 3", "delivery", "line 3 definition"),
        # Who must act.
        ("UPDATE cases SET holder = 'WY09' WHERE holder = 'WY01'", "case", "holder"),
        ("UPDATE cases SET holder_department = 'WY-OTHER' WHERE holder <> ''", "case", "holder_department"),
        # Standing counts.
        ("UPDATE open_counts SET value = value + 1 WHERE what = 'state'", "open count", "state"),
        ("UPDATE open_counts SET late = 'none' WHERE what = 'place' AND late = 'missed'", "open count", "missed"),
        ("DELETE FROM open_counts WHERE what = 'holder'", "open count", "holder"),
        ("UPDATE open_counts SET hour = -hour WHERE what = 'late'", "open count", "late"),
        # Outcomes.
        (f"DELETE FROM outcomes WHERE case_id = {CLOSED} AND clock = 'total'", "outcome", "total"),
        (f"UPDATE outcomes SET elapsed = elapsed + 1 WHERE case_id = {CLOSED}", "outcome", "elapsed"),
        (f"UPDATE outcomes SET arrival = arrival - 1 WHERE case_id = {CLOSED}", "outcome", "arrival"),
        (f"UPDATE outcomes SET charged_path = '/XA/' WHERE case_id = {CLOSED}", "outcome", "charged_path"),
        (f"UPDATE outcomes SET charged_department = 'X' WHERE case_id = {CLOSED}", "outcome", "charged_department"),
        (f"UPDATE outcomes SET charged_post = 'X' WHERE case_id = {CLOSED}", "outcome", "charged_post"),
        (f"UPDATE outcomes SET consumed = consumed + 1 WHERE case_id = {CLOSED}", "outcome", "consumed"),
        (f"UPDATE outcomes SET claimed = NOT claimed WHERE case_id = {CLOSED}", "outcome", "claimed"),
        (f"UPDATE outcomes SET unit = 'SITE-1' WHERE case_id = {CLOSED}", "outcome", "unit"),
        (f"UPDATE outcomes SET lapsed = NOT lapsed WHERE case_id = {CLOSED}", "outcome", "lapsed"),
        ("UPDATE outcomes SET reopened_at = NULL WHERE reopened_at IS NOT NULL", "outcome", "reopened_at"),
        ("UPDATE outcomes SET reopened_at = reopened_at + 1 WHERE reopened_at IS NOT NULL", "outcome", "reopened_at"),
        ("UPDATE outcomes SET unit = 'SITE-2' WHERE unit <> ''", "outcome", "rectify"),
        ("UPDATE outcomes SET exempted = exempted + 1 WHERE exempted IS NOT NULL", "outcome", "exempted"),
        ("UPDATE outcomes SET exempted = NULL WHERE exempted IS NOT NULL", "outcome", "exempted"),
        # What was exempted of what was missed.
        ("DELETE FROM figures WHERE measure = 'overdue_exempted'", "figure", "measure overdue_exempted"),
        ("UPDATE figures SET value = value + 1 WHERE measure = 'exempted:total'", "figure", "exempted:total"),
        (
            "UPDATE facts SET body = replace(body, '\"granted\":true', '\"granted\":false')",
            "figure",
            "exempted:total",
        ),
        # Contributions: what a case still holds.
        ("UPDATE contributions SET body = replace(body, 'SITE-1', 'SITE-2')", "contribution", "unit"),
        ("UPDATE contributions SET body = '[[]]'", "contribution", "total"),
        # Alerts.
        ("UPDATE alerts SET status = 'firing' WHERE status = 'resolved'", "alert", "status"),
        ("UPDATE alerts SET recipients = '[\"NOBODY\"]'", "alert", "recipients"),
        ("DELETE FROM alerts WHERE kind = 'due'", "alert", "due"),
        ("UPDATE alerts SET ended_at = ended_at + 1 WHERE status = 'resolved'", "alert", "ended_at"),
        ("UPDATE alerts SET department = 'WY-OTHER'", "alert", "department"),
        ("UPDATE alerts SET acknowledged_by = '[]' WHERE acknowledged_by <> '[]'", "alert", "acknowledged_by"),
        ("UPDATE alerts SET acknowledged_by = '[\"NOBODY\"]' WHERE acknowledged_by = '[]'", "alert", "acknowledged_by"),
        ('UPDATE facts SET body = replace(body, \'"rung":"overdue"\', \'"rung":"due"\')', "alert", "acknowledged_by"),
        # Cases: every kind of column, and the body.
        (f"UPDATE cases SET state = 'closed' WHERE id = {ANY_CASE} AND state <> 'closed'", "case", "state"),
        ("UPDATE cases SET department = 'WY-OTHER'", "case", "department"),
        ("UPDATE cases SET next_at = next_at + 1 WHERE next_at IS NOT NULL", "case", "next_at"),
        ("UPDATE cases SET due_at = NULL WHERE due_at IS NOT NULL", "case", "due_at"),
        (f"UPDATE cases SET seq = seq + 1 WHERE id = {ANY_CASE}", "case", "seq"),
        (
            f"UPDATE cases SET body = replace(body, '\"cycle\":', '\"cycles\":') || ' ' WHERE id = {ANY_CASE}",
            "case",
            "body",
        ),
        (f"UPDATE cases SET partition = 1 - partition WHERE id = {ANY_CASE}", "case", "partition"),
        (f"DELETE FROM cases WHERE id = {ANY_CASE}", "case", "000000000"),
        (f"UPDATE cases SET id = 'WY01.invented' WHERE id = {ANY_CASE}", "case", "WY01.invented"),
        # The feed: a line in the middle, the first one, the last one.
        ("DELETE FROM deliveries WHERE number = 3", "delivery", "the feed"),
        ("DELETE FROM deliveries WHERE number = 1", "delivery", "the feed"),
        ("DELETE FROM deliveries WHERE number = (SELECT max(number) FROM deliveries)", "delivery", "|"),
        (
            'UPDATE deliveries SET body = replace(body, \'"by":"WY01-SPONSOR"\', \'"by":"WY01-CHIEF"\')',
            "delivery",
            "|",
        ),
        # Positions.
        ("UPDATE positions SET n = n - 1 WHERE consumer = 'alerts'", "position", "alerts in partition"),
        ("UPDATE positions SET n = n + 1 WHERE consumer = 'performance'", "position", "performance in partition"),
    ],
)
def test_anything_that_moved_by_one_is_found(db, sql, what, where):
    found = [m for m in after(db, sql) if m.what == what and where in m.where]
    assert found, f"not noticed: {sql}"
    assert found[0].expected != found[0].found
    assert str(found[0]).startswith(f"{what} ")


def test_a_gap_is_named_by_the_number_that_is_missing(db):
    (log,) = [m for m in after(db, "DELETE FROM facts WHERE n = 3 AND partition = 1") if m.what == "log"]
    assert "3 among them" in log.expected


# ---- what only the engine writes: records, and what became of events ----------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def worked(request, tmp_path_factory):
    """A database on which an engine has worked: an event of half a year ago, one of now, one that waited."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('worked') / 'a.db'}"
        else:
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        engine = stack.enter_context(prepared(url, partitions=2))
        engine.consumers = [consume.consume, consume_alerts]
        now = now_ms()
        window = weiyang().options.duplicate_window_ms
        for number, then in ((OLD, now - window - 3 * DAY), (WAITED, now - 2 * DAY), (NEW, now - DAY)):
            if number == WAITED:
                early = event("incident.accepted", STREET, then, case=subject("WY01", number), id="early")
                assert tell(engine, early, then) == "parked"
            report = event(
                "report.submitted",
                HOTLINE,
                then,
                case=subject("WY01", number),
                id=f"r{number}",
                category=BARE,
                source="hotline",
                grid=LEAF,
            )
            assert tell(engine, report, then + MINUTE) == "done"
        engine.drain()
        while engine.feed():
            pass
        yield engine.database


OLD, WAITED, NEW = 1, 2, 3
HOME = f"partition = {partition_of('WY01', 2)}"


def test_what_an_engine_has_worked_on_is_consistent(worked):
    assert verify(worked) == []
    assert one(worked, f"SELECT count(*) FROM inbox WHERE {HOME}") > 4
    assert one(worked, "SELECT count(*) FROM seen") == 4
    assert one(worked, "SELECT count(*) FROM facts WHERE body LIKE '%%incident.unparked%%'") == 1


@pytest.mark.parametrize(
    ("sql", "what", "where"),
    [
        # A record: the first, one in the middle, the last one that was decided.
        (f"DELETE FROM inbox WHERE position = 0 AND {HOME}", "inbox", "partition"),
        (f"DELETE FROM inbox WHERE position = 2 AND {HOME}", "inbox", "partition"),
        (
            f"DELETE FROM inbox WHERE {HOME} AND position = (SELECT max(position) FROM inbox WHERE {HOME})",
            "inbox",
            "partition",
        ),
        (f"DELETE FROM inbox WHERE {HOME}", "inbox", "partition"),
        # What became of an event: of a recent one, and of one that waited before it was done.
        (f"DELETE FROM seen WHERE id = 'r{NEW}'", "seen", f"r{NEW} "),
        ("DELETE FROM seen WHERE id = 'early'", "seen", "early "),
    ],
)
def test_a_record_or_an_outcome_that_was_lost_is_found(worked, sql, what, where):
    [found] = after(worked, sql)
    assert (found.what, where in found.where) == (what, True)
    if what == "inbox" and "position = 2" in sql:
        assert "2 among them" in found.expected and "none at 2" in found.found


def test_what_became_of_an_event_may_vanish_when_a_resend_no_longer_counts_as_one(worked):
    assert after(worked, f"DELETE FROM seen WHERE id = 'r{OLD}'") == []


def broken(kind: str):
    """The fold, wrong for the fortieth step that counts anything."""
    counting: list[fold.Folded] = []

    def wrong(contribution, step, end):
        result = fold.fold(contribution, step, end)
        if result.cells:
            counting.append(result)
        if not result.cells or len(counting) != 40:
            return result
        if kind == "drop":
            return fold.Folded(contribution, {}, [])
        if kind == "double":
            return result._replace(cells={cell: 2 * value for cell, value in result.cells.items()})
        elsewhere = {(m, place._replace(department="WY-OTHER")): v for (m, place), v in result.cells.items()}
        return result._replace(cells=elsewhere)

    return wrong


@pytest.mark.parametrize("kind", ["drop", "double", "misfile"])
def test_a_fold_that_is_wrong_for_one_step_is_found(database_url, monkeypatch, kind):
    database = open_database(database_url)
    database.create_fresh()
    monkeypatch.setattr(consume, "fold", broken(kind))
    fill(database, LIVES)
    assert [m for m in verify(database) if m.what == "figure"]
    database.close()
