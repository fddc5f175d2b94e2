"""Gauges of state: what the store holds is what a scrape says, after a restart as before.

In: cases, records and letters on each database. Out: samples, and a page that Prometheus' own checker finds clean.
"""

from __future__ import annotations

import logging
import math
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry, generate_latest

from engine import gauges
from engine.clock import now_ms
from engine.store import log, slices, writes
from engine.store.database import Database, open_database
from engine.store.rows import InboxRow, LetterRow, PartitionRow
from engine.store.tables import partitions
from engine.telemetry import Telemetry
from schemas.refusals import Reason
from tests.integration.test_desk import case, clock, database, write
from tests.serving import prepared, served
from workflows.case import Owner

__all__ = ["database"]
HOUR = gauges.HOUR_MS
NAMES = (
    "gridpatrol_events_total", "gridpatrol_incidents", "gridpatrol_incidents_overdue",
    "gridpatrol_clock_breaches_total", "gridpatrol_timer_lag_seconds", "gridpatrol_timer_lateness_seconds",
    "gridpatrol_inbox_lag_records", "gridpatrol_inbox_oldest_seconds", "gridpatrol_commit_duration_seconds",
    "gridpatrol_dead_letters", "gridpatrol_alert_deliveries_total", "gridpatrol_reconcile_mismatches",
    "gridpatrol_build_info",
)  # fmt: skip


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
    assert value("gridpatrol_incidents", {"level": "3", "state": "handling"}) == 2
    assert value("gridpatrol_incidents", {"level": "2", "state": "accepted"}) == 1
    assert sum(s.value for m in registry.collect() if m.name == "gridpatrol_incidents" for s in m.samples) == 3


@pytest.mark.parametrize(
    ("hours", "age"), [(0.5, "0-1h"), (1.5, "1-4h"), (5, "4-24h"), (25, "1-3d"), (80, "3-7d"), (1000, "7d+")]
)
def test_overdue_incidents_stand_in_the_band_of_their_age(database: Database, registry, hours, age) -> None:
    write(database, case(1, clock("handle", now_ms() - round(hours * HOUR))))
    labels = {"grid": "WY01", "category_group": "dust", "age": age}
    assert registry.get_sample_value("gridpatrol_incidents_overdue", labels) == 1


def test_overdue_incidents_are_rolled_up_to_the_third_level_and_no_further(database: Database, registry) -> None:
    late = clock("handle", now_ms() - HOUR // 2)
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


def test_what_waits_in_the_log_shows_by_partition_and_age(database: Database, registry: CollectorRegistry) -> None:
    with database.begin() as connection:
        stamp = now_ms() - 60_000
        log.append(connection, [InboxRow(1, n, stamp + n, "event", "local", "{}") for n in range(3)])
    assert registry.get_sample_value("gridpatrol_inbox_lag_records", {"partition": "1"}) == 3
    assert registry.get_sample_value("gridpatrol_inbox_lag_records", {"partition": "0"}) == 0
    assert registry.get_sample_value("gridpatrol_inbox_oldest_seconds") == pytest.approx(60, abs=30)


def test_open_dead_letters_are_counted_and_every_reason_has_its_series(database: Database, registry) -> None:
    rows = [LetterRow(f"l{n}", 1, None, None, "forbidden", "", "", "", "", "", "", "", "") for n in range(3)]
    with database.begin() as connection:
        slices.write_letters(connection, rows, [])
        connection.exec_driver_sql("UPDATE dead_letters SET replayed = 'done' WHERE id = 'l0'")
    assert registry.get_sample_value("gridpatrol_dead_letters", {"reason": "forbidden"}) == 2
    for reason in Reason:
        assert registry.get_sample_value("gridpatrol_dead_letters", {"reason": reason}) is not None


def test_mismatches_are_no_number_until_somebody_has_looked(database: Database, registry: CollectorRegistry) -> None:
    assert math.isnan(registry.get_sample_value("gridpatrol_reconcile_mismatches") or 0)
    with database.begin() as connection:
        log.write_meta(connection, gauges.MISMATCHES, "4")
    assert registry.get_sample_value("gridpatrol_reconcile_mismatches") == 4


def test_without_a_database_the_other_metrics_are_still_told(sqlite_url: str, caplog) -> None:
    away = open_database(sqlite_url)  # no tables at all
    telemetry = Telemetry()
    gauges.register(telemetry.registry, away)
    with caplog.at_level(logging.ERROR):
        page = generate_latest(telemetry.registry).decode()
    assert "gridpatrol_build_info" in page and "gridpatrol_commit_duration_seconds" in page
    assert "gridpatrol_timer_lag_seconds" not in page
    assert "cannot be read" in caplog.text
    away.close()


def test_the_page_carries_every_name_that_dashboards_rely_on(database_url: str) -> None:
    with prepared(database_url) as engine, served(engine) as door:
        page = door.client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert page.headers["content-type"].count("charset") == 1
    told = {line.split()[2] for line in page.text.splitlines() if line.startswith("# TYPE")}
    assert set(NAMES) <= told


def test_prometheus_finds_nothing_to_complain_about(sqlite_url: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here: it comes with Prometheus (Debian and Ubuntu: apt install prometheus)")
    with prepared(sqlite_url) as engine, served(engine) as door:
        page = door.client.get("/metrics").content
    found = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
