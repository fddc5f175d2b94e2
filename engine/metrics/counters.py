"""What the processes count as they go. Names and labels are a contract with dashboards and alert rules."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from engine.metrics.door import DoorCounters
from workflows.policy.moves import MOVES

if TYPE_CHECKING:
    from engine.slice.types import SliceResult

LATENESS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)
COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
BATCH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


def registry_of_process() -> CollectorRegistry:
    """A registry that tells of the process itself: processor time, memory and files (on Linux), and what Python's
    collector of garbage did."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def ready_gauge(registry: CollectorRegistry) -> Gauge:
    """Whether a process can do its work; every role has it."""
    return Gauge(
        "gridpatrol_ready",
        "1 while this process can do its work, 0 while it waits for something: its /readyz says what for.",
        registry=registry,
    )


class TellingCounters:
    """What is told to people: by the feed, and by channels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "gridpatrol_alert_deliveries_total",
            "Lines of the alert feed told, by channel and outcome; of a channel by posts.",
            ("channel", "outcome"),
            registry=registry,
        )
        self.channel_requests = Counter(
            "gridpatrol_channel_requests_total",
            "Messages that a channel tried to send: sent, again (it will try again), refused (no other try helps).",
            ("channel", "outcome"),
            registry=registry,
        )
        self.notices = Counter(
            "gridpatrol_notices_total",
            "Notices told, by move; daily lines count as daily.",
            ("move",),
            registry=registry,
        )
        for move in (*MOVES, "daily"):
            self.notices.labels(move)


class Counters(TellingCounters):
    """What a process with an engine counts."""

    def __init__(self) -> None:
        self.registry = registry_of_process()
        self.ready = ready_gauge(self.registry)
        self.door = DoorCounters(self.registry)
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.events = counter("gridpatrol_events_total", "Events decided, by type and outcome.", ("type", "outcome"))
        self.remarks = counter(
            "gridpatrol_position_remarks_total",
            "Reports whose position lies elsewhere than their grid, off the map, or at 0/0.",
            ("remark",),
        )
        for remark in ("elsewhere", "off_map", "no_position"):
            self.remarks.labels(remark)
        self.breaches = counter(
            "gridpatrol_clock_breaches_total", "Deadlines that passed, by clock and level.", ("clock", "level")
        )
        self.lateness = Histogram(
            "gridpatrol_timer_lateness_seconds",
            "From a due instant, or a later arrival that told of it, to the record that released its firing.",
            buckets=LATENESS_S,
            registry=self.registry,
        )
        self.commits = Histogram(
            "gridpatrol_commit_duration_seconds",
            "One slice, from lock to commit.",
            buckets=COMMIT_S,
            registry=self.registry,
        )
        self.unstored = counter(
            "gridpatrol_unstored_total",
            "Times that what came in could not be stored, database or brokers being away.",
            ("way",),
        )
        self.clock_doubted = gauge(
            "gridpatrol_clock_doubted", "1 while this process does not believe the wall clock of its machine."
        )
        self.partitions_ahead = gauge(
            "gridpatrol_partitions_ahead",
            "Partitions of this process that are ahead of the wall clock by more than an operator has accepted.",
        )
        self.defects = counter(
            "gridpatrol_defects_total",
            "Rules and code that failed: a case stands since (case), or a partition (partition).",
            ("what",),
        )
        for what in ("case", "partition"):
            self.defects.labels(what)
        super().__init__(self.registry)

    def count(self, result: "SliceResult") -> None:
        """Take in what a slice did."""
        for (type_, outcome), number in result.counts.events.items():
            self.events.labels(type_ or "undecodable", outcome).inc(number)
        for (clock, level), number in result.counts.breaches.items():
            self.breaches.labels(clock, str(level)).inc(number)
        self.defects.labels("case").inc(result.counts.stood)
        for remark, number in result.counts.remarks.items():
            self.remarks.labels(remark).inc(number)
        for late_ms in result.counts.lateness:
            self.lateness.observe(late_ms / 1000)


def intake_records(registry: CollectorRegistry) -> Counter:
    """What a gateway that listens to intake topics counts, beside its `Counters`."""
    return Counter(
        "gridpatrol_intake_records_total",
        "Messages of intake topics, by system and outcome.",
        ("system", "outcome"),
        registry=registry,
    )


class FoldCounters:
    """What the role counts that folds the figures out of the facts topic."""

    def __init__(self) -> None:
        self.registry = registry_of_process()
        self.ready = ready_gauge(self.registry)
        self.steps = Counter(
            "gridpatrol_fold_steps_total",
            "Steps: folded, skipped (came again), filled (out of the store), undecodable, unknown, refused.",
            ("how",),
            registry=self.registry,
        )
        for how in ("folded", "skipped", "filled", "undecodable", "unknown", "refused"):
            self.steps.labels(how)
        self.batches = Histogram(
            "gridpatrol_fold_batch_seconds",
            "One batch, from its first message read to commit.",
            buckets=BATCH_S,
            registry=self.registry,
        )
        self.owned = Gauge(
            "gridpatrol_fold_partitions_owned",
            "Partitions of the facts topic that this process reads.",
            registry=self.registry,
        )
        self.published = Counter(
            "gridpatrol_figures_published_total", "Figures published, each as it stood.", registry=self.registry
        )

    def count(self, steps: Mapping[str, int]) -> None:
        """Take in how many steps became what."""
        for how, number in steps.items():
            self.steps.labels(how).inc(number)
