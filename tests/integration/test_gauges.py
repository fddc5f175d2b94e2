"""Gauges of state: what the store holds is what a scrape says, after a restart as before.

Prometheus' own checker reads the page as well.
"""

from __future__ import annotations

import logging
import math
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from consumers.performance import consume
from engine.clock import now_ms
from engine.metrics import gauges
from engine.metrics.counters import Counters
from engine.store import alerts, dead_letters, inbox_table, outbox, positions, unpublished_figures, writes
from engine.store.database import Database, open_database
from engine.store.dead_letters import DeadLetter
from engine.store.meta import write_meta
from engine.store.rows import InboxRow, LetterRow, PartitionRow
from engine.store.tables import partitions
from schemas.refusals import Reason
from tests.integration.test_incident_queries import case, clock, database, write
from tests.support.builders import BARE, DAY, HOTLINE, LEAF, event, instant, subject
from tests.support.serving import prepared, served, tell, wait_until
from workflows.case import AWAITED, ArmedClock, Owner

__all__ = ["database"]
HOUR = gauges.HOUR_MS
NAMES = (
    "gridpatrol_events_total",
    "gridpatrol_incidents",
    "gridpatrol_incidents_overdue",
    "gridpatrol_clock_breaches_total",
    "gridpatrol_timer_lag_seconds",
    "gridpatrol_timer_lateness_seconds",
    "gridpatrol_inbox_lag_records",
    "gridpatrol_inbox_oldest_seconds",
    "gridpatrol_commit_duration_seconds",
    "gridpatrol_dead_letters",
    "gridpatrol_alert_deliveries_total",
    "gridpatrol_reconcile_mismatches",
    "gridpatrol_build_info",
    "gridpatrol_figures",
)


@pytest.fixture
def registry(database: Database) -> Iterator[CollectorRegistry]:
    """A registry that asks this database; two partitions, nothing in them."""
    with database.begin() as connection:
        writes.insert(connection, partitions, [PartitionRow(p, 0, 0, 0, 0, "", "[]") for p in range(2)])
    made = CollectorRegistry()
    gauges.register(made, database)
    yield made


def test_open_incidents_are_counted_by_level_and_state(database: Database, registry: CollectorRegistry) -> None:
    write(database, case(1), case(2), case(3, state="accepted", owner=Owner("WY", 2)), case(4, closed=5))
    value = registry.get_sample_value
    assert value("gridpatrol_incidents", {"definition": "incident", "level": "3", "state": "handling"}) == 2
    assert value("gridpatrol_incidents", {"definition": "incident", "level": "2", "state": "accepted"}) == 1
    assert sum(s.value for m in registry.collect() if m.name == "gridpatrol_incidents" for s in m.samples) == 3


def test_an_incident_that_nobody_has_reported_yet_is_not_counted(database: Database, registry) -> None:
    write(database, case(1), case(2, state=AWAITED, definition="", owner=Owner("", 0)))
    [family] = [m for m in registry.collect() if m.name == "gridpatrol_incidents"]
    assert [(s.labels, s.value) for s in family.samples] == [
        ({"definition": "incident", "level": "3", "state": "handling"}, 1)
    ]


@pytest.mark.parametrize(
    ("hours", "age"), [(0.5, "0-1h"), (2.5, "1-4h"), (5.5, "4-24h"), (25.5, "1-3d"), (80, "3-7d"), (1000, "7d+")]
)
def test_overdue_incidents_stand_in_the_band_of_their_age(database: Database, registry, hours, age) -> None:
    """A deadline counts from the end of its hour: nothing is shown older than it is."""
    missed = structs.replace(clock("handle", now_ms() - round(hours * HOUR)), breached=True)
    write(database, case(1, missed))
    labels = {"definition": "incident", "grid": "WY01", "category_group": "dust", "age": age}
    assert registry.get_sample_value("gridpatrol_incidents_overdue", labels) == 1


def test_overdue_incidents_are_rolled_up_to_the_third_level_and_no_further(database: Database, registry) -> None:
    late = structs.replace(clock("handle", now_ms() - HOUR // 2), breached=True)
    leaves = [("XA", "WY", "WY01", leaf) for leaf in ("WY01-01", "WY01-02")]
    write(database, *(case(n, late, path=path) for n, path in enumerate([*leaves, ("XA", "WY"), ("XA",)], 1)))
    write(database, case(9, clock("handle", now_ms() + HOUR)), case(10, late, closed=5))
    [family] = [m for m in registry.collect() if m.name == "gridpatrol_incidents_overdue"]
    assert {s.labels["grid"]: s.value for s in family.samples} == {"WY01": 2, "WY": 1, "XA": 1}


def test_what_is_due_and_has_not_fired_shows_as_lag(database: Database, registry: CollectorRegistry) -> None:
    assert registry.get_sample_value("gridpatrol_timer_lag_seconds") == 0
    waiting = clock("handle", now_ms())
    write(database, case(1, structs.replace(waiting, next=now_ms() + HOUR)))
    assert registry.get_sample_value("gridpatrol_timer_lag_seconds") == 0
    write(database, case(2, structs.replace(waiting, next=now_ms() - HOUR)), partition=1)
    assert registry.get_sample_value("gridpatrol_timer_lag_seconds") == pytest.approx(3600, abs=60)


def test_what_was_past_when_it_became_known_lags_since_then(database: Database, registry: CollectorRegistry) -> None:
    """A phone that comes back after an hour makes nothing late, and raises no alarm."""
    waiting = structs.replace(clock("handle", now_ms()), next=now_ms() - HOUR)
    late = (ArmedClock("handle", waiting.level, now_ms() - 60_000),)
    write(database, structs.replace(case(1, waiting), armed=late))
    assert registry.get_sample_value("gridpatrol_timer_lag_seconds") == pytest.approx(60, abs=30)


def test_what_waits_in_the_log_shows_by_partition_and_age(database: Database, registry: CollectorRegistry) -> None:
    with database.begin() as connection:
        stamp = now_ms() - 60_000
        inbox_table.append(connection, [InboxRow(1, n, stamp + n, "event", "local", "{}") for n in range(3)])
    assert registry.get_sample_value("gridpatrol_inbox_lag_records", {"partition": "1"}) == 3
    assert registry.get_sample_value("gridpatrol_inbox_lag_records", {"partition": "0"}) == 0
    assert registry.get_sample_value("gridpatrol_inbox_oldest_seconds") == pytest.approx(60, abs=30)


def test_open_dead_letters_are_counted_and_every_reason_has_its_series(database: Database, registry) -> None:
    rows = [LetterRow(f"l{n}", 1, None, None, "forbidden", "", "", "", "", "", "", "", "") for n in range(3)]
    with database.begin() as connection:
        dead_letters.write(connection, [DeadLetter(row, None) for row in rows])
        connection.exec_driver_sql("UPDATE dead_letters SET replayed = 'done' WHERE id = 'l0'")
    assert registry.get_sample_value("gridpatrol_dead_letters", {"reason": "forbidden"}) == 2
    for reason in Reason:
        assert registry.get_sample_value("gridpatrol_dead_letters", {"reason": reason}) is not None


def test_mismatches_are_no_number_until_somebody_has_looked(database: Database, registry: CollectorRegistry) -> None:
    assert math.isnan(registry.get_sample_value("gridpatrol_reconcile_mismatches") or 0)
    with database.begin() as connection:
        write_meta(connection, gauges.MISMATCHES, "4")
    assert registry.get_sample_value("gridpatrol_reconcile_mismatches") == 4


def test_without_a_database_the_other_metrics_are_still_told(sqlite_url: str, caplog) -> None:
    away = open_database(sqlite_url)  # no tables at all
    counters = Counters()
    gauges.register(counters.registry, away)
    with caplog.at_level(logging.ERROR):
        page = generate_latest(counters.registry).decode()
    assert "gridpatrol_build_info" in page and "gridpatrol_commit_duration_seconds" in page
    assert "gridpatrol_timer_lag_seconds" not in page
    assert "cannot be read" in caplog.text
    away.close()


def test_the_page_carries_every_name_that_dashboards_rely_on(database_url: str) -> None:
    with prepared(database_url) as engine, served(engine) as door:
        page = door.client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert page.headers["content-type"].count("charset") == 1
    families = {line.split()[2] for line in page.text.splitlines() if line.startswith("# TYPE")}
    assert set(NAMES) <= families


# ---- the rules of Prometheus' checker -----------------------------------------------------------------------

BASE_UNITS = ("seconds", "bytes", "ratio", "meters", "celsius", "grams", "joules", "amperes", "volts")
OTHER_UNITS = {
    "minutes",
    "hours",
    "days",
    "weeks",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "percent",
    "kilobytes",
    "megabytes",
    "bits",
    "kilometers",
    "fahrenheit",
    "kelvin",
    "kilograms",
}
ABBREVIATIONS = {
    "s",
    "sec",
    "secs",
    "ms",
    "us",
    "ns",
    "min",
    "mins",
    "h",
    "hr",
    "hrs",
    "d",
    "b",
    "kb",
    "mb",
    "gb",
    "pct",
}
RESERVED = ("_count", "_sum", "_bucket")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped", "info")


def complaints(page: str) -> Iterator[str]:
    """What `promtool check metrics` complains about, by its published rules."""
    helps, types = _told(page, "HELP"), _told(page, "TYPE")
    for name, kind in types.items():
        if not helps.get(name):
            yield f"{name}: no help text"
        yield from _of_the_name(name)
        yield from _of_the_type(name, kind)
    for family in text_string_to_metric_families(page):  # which takes _total off the names of counters
        if family.name not in types and f"{family.name}_total" not in types:
            yield f"{family.name}: no type"
        for sample in family.samples:
            yield from _of_the_labels(sample, family.type)


def _told(page: str, what: str) -> dict[str, str]:
    """Metric -> its HELP or TYPE."""
    lines = [line.split(" ", 3) for line in page.splitlines() if line.startswith(f"# {what} ")]
    return {words[2]: words[3].strip() if len(words) > 3 else "" for words in lines}


def _of_the_name(name: str) -> Iterator[str]:
    words = name.split("_")
    if not re.fullmatch(r"[a-z_:][a-z0-9_:]*", name):
        yield f"{name}: names are written in snake_case, of letters, digits and underscores"
    if ":" in name:
        yield f"{name}: colons belong to recording rules"
    if ABBREVIATIONS & set(words):
        yield f"{name}: an abbreviated unit"
    if OTHER_UNITS & set(words):
        yield f"{name}: not a base unit, which are {', '.join(BASE_UNITS)}"
    if any(unit in words and words[-1] not in (unit, "total", "created") for unit in BASE_UNITS):
        yield f"{name}: the unit comes last"
    if set(words) & set(TYPES) - {"info"}:
        yield f"{name}: the type does not belong into the name"


def _of_the_type(name: str, kind: str) -> Iterator[str]:
    if kind == "counter" and not name.endswith("_total"):
        yield f"{name}: counters end in _total"
    if kind != "counter" and name.endswith("_total"):
        yield f"{name}: only counters end in _total"
    if kind not in ("histogram", "summary") and name.endswith(RESERVED):
        yield f"{name}: {', '.join(RESERVED)} are reserved for histograms and summaries"


def _of_the_labels(sample: Sample, kind: str) -> Iterator[str]:
    for label in sample.labels:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", label) or label.startswith("__"):
            yield f"{sample.name}: label {label!r} is not written in snake_case"
        if {"le": "histogram", "quantile": "summary"}.get(label, kind) != kind:
            yield f"{sample.name}: label {label!r} is reserved"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("# TYPE a gauge\na 1\n", "no help text"),
        ("# HELP a \n# TYPE a gauge\na 1\n", "no help text"),
        ("# HELP a_b A.\na_b 1\n", "no type"),
        ("# HELP a_sent A.\n# TYPE a_sent counter\na_sent 1\n", "counters end in _total"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", "only counters"),
        ("# HELP a_wait_ms A.\n# TYPE a_wait_ms gauge\na_wait_ms 1\n", "abbreviated"),
        ("# HELP a_hours A.\n# TYPE a_hours gauge\na_hours 1\n", "base unit"),
        ("# HELP a_seconds_lag A.\n# TYPE a_seconds_lag gauge\na_seconds_lag 1\n", "the unit comes last"),
        ("# HELP aLag A.\n# TYPE aLag gauge\naLag 1\n", "snake_case"),
        ("# HELP a:b A.\n# TYPE a:b gauge\na:b 1\n", "recording rules"),
        ("# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge 1\n", "the type"),
        ("# HELP a_count A.\n# TYPE a_count gauge\na_count 1\n", "reserved"),
        ('# HELP a A.\n# TYPE a gauge\na{le="1"} 1\n', "reserved"),
        ('# HELP a A.\n# TYPE a gauge\na{byType="1"} 1\n', "snake_case"),
    ],
)
def test_the_rules_of_a_good_page_notice_a_bad_one(page: str, why: str) -> None:
    assert any(why in complaint for complaint in complaints(page)), list(complaints(page))


def test_a_consumer_is_behind_by_the_steps_of_all_partitions_also_of_those_that_it_never_read(
    database: Database, registry: CollectorRegistry
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE partitions SET n = 7")
        positions.write_positions(connection, [positions.PositionRow("alerts", 0, 5)])
        write_meta(connection, "partitions", "2")
    value = registry.get_sample_value
    assert value("gridpatrol_consumer_lag_steps", {"consumer": "alerts"}) == 9
    assert value("gridpatrol_consumer_lag_steps", {"consumer": "performance"}) == 14
    assert value("gridpatrol_partitions") == 2


def test_halted_partitions_are_counted_here_while_the_log_is_a_table(database: Database, registry) -> None:
    """Of a topic each worker says it of its own partitions; said here as well, a sum would count them twice."""
    assert registry.get_sample_value("gridpatrol_partitions_halted") == 0
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE partitions SET halted = 'a stamp is ahead' WHERE partition = 1")
    assert registry.get_sample_value("gridpatrol_partitions_halted") == 1
    with database.begin() as connection:
        inbox_table.write_origin(connection, inbox_table.Origin("cluster", "topic", [0, 0]))
    assert registry.get_sample_value("gridpatrol_partitions_halted") is None


def test_what_the_topics_do_not_have_yet_is_counted_while_the_log_is_one(database: Database, registry) -> None:
    def unpublished(topic: str) -> float | None:
        found: float | None = registry.get_sample_value("gridpatrol_messages_unpublished", {"topic": topic})
        return found

    assert unpublished("alerts") is None
    lines = [
        alerts.DeliveryRow(n, f"a{n}", "firing", "incident", "/XA/", "feed", "[]", "", 1, "{}") for n in range(1, 6)
    ]
    rows = [LetterRow(f"l{n}", 1, None, None, "forbidden", "", "", "", "", "", "", "", "") for n in range(3)]
    with database.begin() as connection:
        inbox_table.write_origin(connection, inbox_table.Origin("cluster", "topic", [0, 0]))
        alerts.write(connection, [], lines)
        outbox.mark_lines(connection, 0, 1)
        dead_letters.write(connection, [DeadLetter(row, None) for row in rows])
        outbox.mark_letters(connection, ["l1"])
        unpublished_figures.put_back(connection, [unpublished_figures.UnpublishedRow(0, n, "[]") for n in range(3)])
    assert [unpublished(topic) for topic in ("alerts", "deadletter", "performance")] == [4, 2, 3]


@pytest.fixture(scope="module")
def live_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a server on which something has happened, so that every family has samples."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('page') / 'a.db'}") as engine:
        then = now_ms() - 30 * DAY
        late = event(
            "report.submitted", HOTLINE, then, case=subject("WY01", 1), category=BARE, source="hotline", grid=LEAF
        )
        assert tell(engine, late, then) == "done"
        fresh = late | {"id": "fresh", "subject": subject("WY01", 2), "time": instant(now_ms())}
        assert tell(engine, fresh, now_ms()) == "done"
        assert consume.consume(engine.database) > 0
        engine.counters.deliveries.labels("feed", "told").inc()
        with served(engine) as door:
            assert door.post({"what": "is this"}).status_code == 400
            assert door.client.get("/v1/incidents", headers={"Host": "elsewhere"}).status_code == 421
            wait_until(lambda: "gridpatrol_clock_breaches_total{" in door.client.get("/metrics").text)
            return door.client.get("/metrics").text


def test_every_metric_keeps_the_rules_of_prometheus(live_page: str) -> None:
    assert list(complaints(live_page)) == []
    families = {family.name: family for family in text_string_to_metric_families(live_page)}
    for name in NAMES:
        assert families[name.removesuffix("_total")].samples, f"{name} has no sample to judge"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here; its rules are tested all the same")
def test_prometheus_itself_finds_nothing_to_complain_about(live_page: str) -> None:
    found = subprocess.run(["promtool", "check", "metrics"], input=live_page.encode(), capture_output=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
