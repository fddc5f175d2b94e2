"""Gauges of state, read from the store when somebody asks: they survive a restart and cannot drift.

In: a database. Out: Prometheus metrics whose names are a contract. One statement per family, each along an index; label
values come from the pack and from enumerations, so their number is bounded.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from platform import python_version

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.clock import now_ms
from engine.policies import Policies
from engine.store import dead_letters, figures, inbox, incident_queries, outbox, positions, unpublished_figures
from engine.store.database import FAILURES, Database
from engine.store.incident_queries import Connection
from engine.store.meta import read_meta
from schemas.refusals import Reason

_log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
AGES = ((0, "0-1h"), (1, "1-4h"), (4, "4-24h"), (24, "1-3d"), (72, "3-7d"), (168, "7d+"))
"""Bands of how long something is overdue: from so many hours on."""
DEEPEST = 3
"""Overdue cases are told apart by grid down to this level."""
FIGURES_BY = 2
"""Figures are told apart by grid down to this level."""
CONSUMERS = ("alerts", "performance")
"""Who reads the steps in an installation, by the names under which they keep their positions."""
FIGURES_EVERY_S = 30.0
"""How long the figures of a scrape are good for."""
MISMATCHES = "reconcile_mismatches"
"""Name in `meta` under which a verification leaves how many findings it had."""


class StateGauges(Collector):
    """The state of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._policies = Policies()
        self._figures: Metric | None = None
        self._figures_s = 0.0

    def collect(self) -> Iterator[Metric]:
        """All families, from one snapshot. Without a database there are none: a missing gauge says more than a stale
        one."""
        yield InfoMetricFamily(
            "gridpatrol_build",
            "The release that runs.",
            value={"version": version("gridpatrol"), "python": python_version()},
        )
        yield from self.read()

    def read(self) -> list[Metric]:
        """What the database says, as far as it can be asked."""
        try:
            with self.database.read() as connection:
                return list(self.families(connection, now_ms()))
        except FAILURES as error:
            _log.error("the gauges of state cannot be read: %s", error)
            return []

    def families(self, connection: Connection, now: int) -> Iterator[Metric]:
        """All of them, as of an instant."""
        yield from state(connection, now)
        yield self.figures(connection, now)

    def figures(self, connection: Connection, now: int) -> Metric:
        """The figures as they were half a minute ago at most: adding up a province's month takes a second."""
        if self._figures is None or time.monotonic() - self._figures_s >= FIGURES_EVERY_S:
            self._figures = sums_of_figures(connection, self._policies, now)
            self._figures_s = time.monotonic()
        return self._figures

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not need the database."""
        return iter(())


class FigureGauges(StateGauges):
    """The figures of one database, for the process that folds them."""

    def collect(self) -> Iterator[Metric]:
        """Only these: what else there is to say of the state, others say."""
        yield from self.read()

    def families(self, connection: Connection, now: int) -> Iterator[Metric]:
        """One of them."""
        yield self.figures(connection, now)


def register(registry: CollectorRegistry, database: Database) -> None:
    """Let a registry ask this database."""
    registry.register(StateGauges(database))


def register_figures(registry: CollectorRegistry, database: Database) -> None:
    """Let a registry ask this database for its figures only."""
    registry.register(FigureGauges(database))


def state(connection: Connection, now: int) -> Iterator[Metric]:
    """The families, as of an instant."""
    yield _open(connection)
    yield _overdue(connection, now)
    yield _seconds(
        "gridpatrol_timer_lag_seconds",
        "How long the earliest due instant has been waiting to fire.",
        incident_queries.read_earliest_due(connection),
        now,
    )
    if inbox.read_origin(connection) is None:  # of a topic the owners of its partitions know, and say it themselves
        yield _waiting(connection)
        yield GaugeMetricFamily(
            "gridpatrol_partitions_halted",
            "Partitions that stand still until somebody acts.",
            value=incident_queries.count_halted(connection),
        )
        yield _seconds(
            "gridpatrol_inbox_oldest_seconds",
            "How long the oldest undecided record has been waiting.",
            incident_queries.read_oldest_waiting(connection),
            now,
        )
    else:
        yield _unpublished(connection)
    yield GaugeMetricFamily(
        "gridpatrol_partitions",
        "Partitions of the installation, fixed for good.",
        value=int(read_meta(connection, "partitions") or 0),
    )
    yield _behind(connection)
    yield _letters(connection)
    yield _mismatches(connection)


def _open(connection: Connection) -> Metric:
    family = GaugeMetricFamily(
        "gridpatrol_incidents", "Open incidents by level of their owner and state.", labels=("level", "state")
    )
    for level, name, count in sorted(incident_queries.count_open(connection)):
        family.add_metric((str(level), name), count)
    return family


def _overdue(connection: Connection, now: int) -> Metric:
    """The store groups by path, which is finer; it is rolled up to the deepest level that has a label here."""
    edges = [now - hours * HOUR_MS for hours, _ in AGES]
    sums: Counter[tuple[str, str, str]] = Counter()
    for path, group, band, count in incident_queries.count_overdue(connection, edges):
        codes = [code for code in path.split("/") if code][:DEEPEST]
        sums[codes[-1] if codes else "", group, AGES[band - 1][1]] += count
    family = GaugeMetricFamily(
        "gridpatrol_incidents_overdue",
        "Open incidents past their next deadline, by grid, category group and age.",
        labels=("grid", "category_group", "age"),
    )
    for labels, count in sorted(sums.items()):
        family.add_metric(labels, count)
    return family


def _seconds(name: str, help_: str, since: int | None, now: int) -> Metric:
    """How long ago an instant was; 0 where there is none, or it lies ahead."""
    late = max(0, now - since) / 1000 if since is not None else 0
    return GaugeMetricFamily(name, help_, value=late)


def _waiting(connection: Connection) -> Metric:
    family = GaugeMetricFamily(
        "gridpatrol_inbox_lag_records", "Records in the log that are not decided yet.", labels=("partition",)
    )
    for partition, count in incident_queries.count_waiting(connection):
        family.add_metric((str(partition),), count)
    return family


def _behind(connection: Connection) -> Metric:
    family = GaugeMetricFamily(
        "gridpatrol_consumer_lag_steps", "Steps that a consumer has not taken in yet.", labels=("consumer",)
    )
    for consumer, count in positions.count_behind(connection, CONSUMERS):
        family.add_metric((consumer,), count)
    return family


def _unpublished(connection: Connection) -> Metric:
    """By topic, as far as the store says it; of steps their relay says it."""
    family = GaugeMetricFamily(
        "gridpatrol_messages_unpublished",
        "What its topic does not have yet: lines of the alert feed, dead letters, transactions that changed figures.",
        labels=("topic",),
    )
    lines, dead = outbox.count_unpublished(connection)
    for topic, count in (
        ("alerts", lines),
        ("deadletter", dead),
        ("performance", unpublished_figures.count(connection)),
    ):
        family.add_metric((topic,), count)
    return family


def _letters(connection: Connection) -> Metric:
    """Every reason has a series, so that an alert rule sees a rise from nothing."""
    found = {reason: waiting for reason, _, waiting in dead_letters.counts(connection)}
    family = GaugeMetricFamily(
        "gridpatrol_dead_letters", "Dead letters that nobody has replayed, by reason.", labels=("reason",)
    )
    for reason in sorted({*found, *Reason}):
        family.add_metric((str(reason),), found.get(reason, 0))
    return family


def _mismatches(connection: Connection) -> Metric:
    """Not a number until a verification has run: nothing found and nothing looked for are two things."""
    found = read_meta(connection, MISMATCHES)
    return GaugeMetricFamily(
        "gridpatrol_reconcile_mismatches",
        "Findings of the last `gridpatrol verify`; NaN before the first.",
        value=float(found) if found is not None else float("nan"),
    )


def sums_of_figures(connection: Connection, policies: Policies, now: int) -> Metric:
    """The figures of the present local day and month. None before a pack is active: no day is local then."""
    family = GaugeMetricFamily(
        "gridpatrol_figures",
        "Performance figures of the present day and month, by measure and grid.",
        labels=("grid", "measure", "period"),
    )
    digest = incident_queries.read_active(connection)
    if digest is None:
        return family
    day = policies.get(connection, digest).clock_of_days.local_day(now)
    for period, since in (("day", day), ("month", day // 100 * 100 + 1)):
        chosen = figures.Selection(by="grid", level=FIGURES_BY, since=since, until=day)
        for grid, measure, value in figures.sums(connection, chosen):
            family.add_metric((grid, measure, period), value)
    return family
