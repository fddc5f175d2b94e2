"""Gauges of state, read when Prometheus asks: they survive a restart and cannot drift.

What the store knows is read from it, one statement per gauge, each along an index. What only a worker knows, such as
how much of its topic is not decided, comes from its memory.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from platform import python_version
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.clock import now_ms
from engine.metrics import definitions as d
from engine.policies import Policies
from engine.store import (
    chains,
    channels,
    dead_letters,
    figures,
    inbox_table,
    incident_queries,
    letter_bytes,
    open_counts,
    outbox,
    positions,
    sends,
    standing,
    subscriptions,
    unpublished_figures,
    verifications,
    watched,
)
from engine.store.database import FAILURES, Connection, Database
from engine.store.meta import read_meta
from schemas.refusals import Reason
from workflows import case as cases
from workflows import homes
from workflows.definitions import DEFINITIONS

_log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
AGES = ((0, "0-1h"), (1, "1-4h"), (4, "4-24h"), (24, "1-3d"), (72, "3-7d"), (168, "7d+"))
"""Bands of how long something is overdue: from so many hours on."""
FIGURES_BY = 2
"""Figures are told apart by grid down to this level."""
CONSUMERS = ("alerts", "performance")
"""The consumers of an installation, by the names under which they keep their positions."""
FIGURES_EVERY_S = 30.0
"""How long the figures of a scrape are good for: adding up a province's month takes a second."""
MISMATCHES = "reconcile_mismatches"
"""Name in `meta` under which a verification leaves how many findings it had."""


# ---- what the store knows -----------------------------------------------------------------------------------


class StateGauges(Collector):
    """The state of one database. With `figures_only` no more than the figures, for the process that folds them."""

    def __init__(self, database: Database, figures_only: bool = False) -> None:
        self.database = database
        self.figures_only = figures_only
        self._policies = Policies()
        self._figures: Metric | None = None
        self._figures_s = 0.0

    def collect(self) -> Iterator[Metric]:
        """All families, from one snapshot. Without a database there are none: a missing gauge says more than a stale
        one."""
        if not self.figures_only:
            release = {"version": version("gridpatrol"), "python": python_version()}
            yield InfoMetricFamily("gridpatrol_build", "The release that runs.", value=release)
        try:
            with self.database.read() as connection:
                now = now_ms()
                families = [] if self.figures_only else list(state(connection, now))
                families += [] if self.figures_only else [vacancies(connection, self._policies, now)]
                families.append(self.figures(connection, now))
        except FAILURES as error:
            _log.error("the gauges of state cannot be read: %s", error)
        else:
            yield from families

    def figures(self, connection: Connection, now: int) -> Metric:
        """The figures, no older than half a minute."""
        if self._figures is None or time.monotonic() - self._figures_s >= FIGURES_EVERY_S:
            self._figures = sums_of_figures(connection, self._policies, now)
            self._figures_s = time.monotonic()
        return self._figures

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not need the database."""
        return iter(())


def register(registry: CollectorRegistry, database: Database, figures_only: bool = False) -> None:
    """Let a registry ask this database."""
    registry.register(StateGauges(database, figures_only))


def state(connection: Connection, now: int) -> Iterator[Metric]:
    """The families without the figures, as of an instant."""
    yield d.INCIDENTS.values(
        {
            (definition, str(level), name): count
            for definition, level, name, count in open_counts.by_state(connection)
            if is_listed(definition)
        }
    )
    # By (definition, grid, category group, age). A deadline is known by its hour, and counts from the end of that.
    overdue: Counter[tuple[str, ...]] = Counter()
    for definition, path, group, hour, count in open_counts.late_by_hour(connection):
        if not is_listed(definition):
            continue
        hours = (now - (hour + 1) * HOUR_MS) // HOUR_MS
        age = [name for least, name in AGES if hours >= least] or [AGES[0][1]]
        overdue[definition, path.rstrip("/").rpartition("/")[2], group, age[-1]] += count
    yield d.INCIDENTS_OVERDUE.values(dict(sorted(overdue.items())))
    waiting_since = (known_since(*first) for first in incident_queries.read_first_due(connection))
    yield d.TIMER_LAG.value(_seconds_since(min(waiting_since, default=None), now))
    if inbox_table.read_origin(connection) is None:  # of a topic, the workers that own its partitions know and say it
        yield d.INBOX_LAG.values({(str(p),): count for p, count in incident_queries.count_waiting(connection)})
        yield d.PARTITIONS_HALTED.value(incident_queries.count_halted(connection))
        yield d.INBOX_OLDEST.value(_seconds_since(incident_queries.read_oldest_waiting(connection), now))
    else:  # how many steps are unpublished, their relay says
        lines, letters = outbox.count_unpublished(connection)
        changes = unpublished_figures.count(connection)
        yield d.MESSAGES_UNPUBLISHED.values({("alerts",): lines, ("deadletter",): letters, ("performance",): changes})
    yield d.CASES_STANDING.values({(str(p),): count for p, count in standing.counts(connection)})
    waiting_sends = {p: 0 for p, _ in standing.counts(connection)} | sends.count_outgoing(connection)
    yield d.SENDS_OUTGOING.values({(str(p),): count for p, count in waiting_sends.items()})
    yield d.SENDS_OLDEST.value(_seconds_since(sends.read_oldest_outgoing(connection), now))
    yield d.HOMES_QUARANTINED.value(dead_letters.count_cases(connection, homes.DUE))
    phases = watched.count_phases(connection)
    yield d.SIGNAL_EPISODES.value(phases.get("standing", 0) + phases.get("falling", 0))
    yield d.DEVICES_SILENT.value(phases.get("silent", 0))
    yield d.PARTITIONS.value(int(read_meta(connection, "partitions") or 0))
    yield d.CONSUMER_LAG.values({(name,): count for name, count in positions.count_behind(connection, CONSUMERS)})
    delays = channels.delays(connection)
    yield d.CHANNEL_LAG.values({(name,): lag for name, lag, _ in delays})
    yield d.CHANNEL_OLDEST.values({(name,): _seconds_since(due, now) for name, _, due in delays})
    kinds = {"webhook": 0, "stream": 0} | subscriptions.counts(connection)
    yield d.SUBSCRIPTIONS.values({(kind,): count for kind, count in kinds.items()})
    # Every reason has a series, so that an alert rule sees a rise from nothing.
    waiting = {str(reason): 0 for reason in Reason}
    waiting |= {reason: unreplayed for reason, _, unreplayed in dead_letters.counts(connection)}
    yield d.DEAD_LETTERS.values({(reason,): count for reason, count in sorted(waiting.items())})
    yield d.LETTER_BYTES.value(sum(letter_bytes.held(connection).values()))
    # No findings, and no verification yet, are two things.
    yield d.MISMATCHES.value(float(read_meta(connection, MISMATCHES) or "nan"))
    anchor, audited = chains.last_anchor(connection), verifications.last(connection, verifications.AUDIT)
    yield d.CHAIN_LAG.value(chains.count_waiting(connection))
    yield d.ANCHOR_AGE.value(_seconds_since(anchor.at, now) if anchor is not None else float("nan"))
    yield d.AUDIT_FINDINGS.value(audited.findings if audited is not None else float("nan"))


def is_listed(definition: str) -> bool:
    """Whether cases of a kind are incidents as lists show them. Duties are not: hundreds fall due at one instant."""
    kind = DEFINITIONS.get(definition)
    return kind is None or kind.listed == "always"


def vacancies(connection: Connection, policies: Policies, now: int) -> Metric:
    """How many posts of the active pack are vacant, by level and role; nothing before a pack is active."""
    values: Counter[tuple[str, ...]] = Counter()
    digest = incident_queries.read_active(connection)
    if digest is not None:
        register = policies.get(connection, digest)
        for post in register.pack.posts:
            if post.grid in register.grids and register.stands(post, now):
                values[str(register.grids[post.grid].level), post.role] += post.vacant
    return d.POSTS_VACANT.values(dict(sorted(values.items())))


def known_since(due: int, body: str) -> int:
    """Since when what is due first of a case waits: what was past already when it was armed, since then.

    Everything that was due before had fired by then. A body that cannot be read says no more than its row.
    """
    try:
        return cases.decode(body).known_due(due)
    except msgspec.MsgspecError:
        return due


def _seconds_since(instant: int | None, now: int) -> float:
    """0 where there is no instant, or it lies ahead."""
    return max(0, now - instant) / 1000 if instant is not None else 0


def sums_of_figures(connection: Connection, policies: Policies, now: int) -> Metric:
    """The figures of the present local day and month. None before a pack is active: no day is local then."""
    values: dict[tuple[str, ...], int] = {}
    digest = incident_queries.read_active(connection)
    if digest is not None:
        day = policies.get(connection, digest).clock_of_days.local_day(now)
        for period, since in (("day", day), ("month", day // 100 * 100 + 1)):
            for name in DEFINITIONS:
                chosen = figures.Selection(definition=name, by="grid", level=FIGURES_BY, since=since, until=day)
                for grid, measure, value in figures.sums(connection, chosen):
                    values[name, grid, measure, period] = value
    return d.FIGURES.values(values)


# ---- what a worker knows ------------------------------------------------------------------------------------


class WorkerState(NamedTuple):
    """How a worker stands: by owned partition the records that are not decided, and those that the log no longer has;
    halted partitions, whether it fetches nothing, the age of the oldest undecided record, steps that are not published,
    the age of its present turn."""

    lag: Mapping[int, int]
    gaps: Mapping[int, int]
    halted: int
    holds_back: bool
    oldest_s: float
    unpublished: int
    turn_age_s: float


class WorkerGauges(Collector):
    """The state of one worker, out of its memory: neither database nor brokers are asked."""

    def __init__(self, read: Callable[[], WorkerState]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """All families."""
        worker = self._read()
        yield d.INBOX_LAG.values({(str(p),): count for p, count in worker.lag.items()})
        yield d.INBOX_GAP.values({(str(p),): count for p, count in worker.gaps.items()})
        yield d.PARTITIONS_OWNED.value(len(worker.lag))
        yield d.PARTITIONS_HALTED.value(worker.halted)
        yield d.BACKPRESSURE.value(worker.holds_back)
        yield d.INBOX_OLDEST.value(worker.oldest_s)
        yield d.FACTS_UNPUBLISHED.value(worker.unpublished)
        yield d.TURN_AGE.value(worker.turn_age_s)

    def describe(self) -> Iterator[Metric]:
        """Nothing is known before the first fetch."""
        return iter(())
