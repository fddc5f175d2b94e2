"""What the engine counts as it goes; gauges of state are read from the store when somebody asks.

In: slice results. Out: counters and histograms in a Prometheus registry. The names are a contract.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

if TYPE_CHECKING:
    from engine.slice.types import SliceResult

LATENESS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)
COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Counters:
    """Counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter(
            "gridpatrol_events_total",
            "Events decided, by type and outcome.",
            ("type", "outcome"),
            registry=self.registry,
        )
        self.breaches = Counter(
            "gridpatrol_clock_breaches_total",
            "Deadlines that passed, by clock and level.",
            ("clock", "level"),
            registry=self.registry,
        )
        self.lateness = Histogram(
            "gridpatrol_timer_lateness_seconds",
            "From a due instant to the record that released its firing.",
            buckets=LATENESS,
            registry=self.registry,
        )
        self.commits = Histogram(
            "gridpatrol_commit_duration_seconds",
            "One slice, from lock to commit.",
            buckets=COMMIT,
            registry=self.registry,
        )
        self.unstored = Counter(
            "gridpatrol_unstored_total",
            "Times that what came in could not be stored, database or brokers being away.",
            ("way",),
            registry=self.registry,
        )
        self.deliveries = Counter(
            "gridpatrol_alert_deliveries_total",
            "Alerts told, by channel and outcome.",
            ("channel", "outcome"),
            registry=self.registry,
        )

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Time one slice."""
        with self.commits.time():
            yield

    def count(self, result: "SliceResult") -> None:
        """Take in what a slice did."""
        for (kind, outcome), number in result.counts.events.items():
            self.events.labels(kind or "undecodable", outcome).inc(number)
        for (clock, level), number in result.counts.breaches.items():
            self.breaches.labels(clock, str(level)).inc(number)
        for late in result.counts.lateness:
            self.lateness.observe(late / 1000)
