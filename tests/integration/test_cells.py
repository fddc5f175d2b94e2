"""The publisher of figures: what only waiting cures is waited for and shown; what nobody expects is told.

Enters: a note of a figure in PostgreSQL; publishers that fail. Leaves: what is waited for, what ended it, readiness.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import pytest

from consumers.performance import faust_app, publish
from consumers.performance.publish import FigurePublisher
from engine.cluster.publisher import Header, Publisher
from engine.errors import BrokerAway
from engine.metrics.counters import FoldCounters
from engine.settings import Settings
from engine.store import unpublished_figures
from engine.store.database import Database, open_database
from engine.store.unpublished_figures import UnpublishedRow
from lab.parts.processes import eventually
from schemas.topics import Topics

KEY = '[["handled",20260301,"/XA/","","","",""]]'


class Brokers(Publisher):
    """They take what is sent until told to fail."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.sent: list[str] = []

    def send(
        self, topic: str, key: str, value: bytes, headers: Sequence[Header] = (), partition: int | None = None
    ) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(key)

    def flush(self) -> None:
        return

    def close(self) -> None:
        return


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """One figure that is to be published."""
    with closing(open_database(postgres_url)) as opened:
        opened.upgrade()
        with opened.begin() as connection:
            unpublished_figures.put_back(connection, [UnpublishedRow(0, 1, KEY)])
        yield opened


@contextmanager
def publishing(
    database: Database, brokers: Brokers, ended: Callable[[BaseException], None]
) -> Iterator[tuple[FigurePublisher, faust_app.Role]]:
    """A publisher that works beside a role with partitions."""
    thread = FigurePublisher(database, brokers, "figures", lambda count: None, lambda: False, ended)
    worker = faust_app.FoldWorker(database, FoldCounters(), lambda opened: None, ended)
    role = faust_app.Role(Settings(), Topics(), worker, thread)
    role.assigned(None, {("facts", 0)})
    thread.start()
    try:
        yield thread, role
    finally:
        thread.stop(within_s=10)
        worker.close()


def fail(error: BaseException) -> None:
    raise AssertionError(f"ended by {error!r}")


def test_who_waits_for_the_brokers_is_not_ready_until_they_are_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FigurePublisher, "away_s", 0.1)
    monkeypatch.setattr(publish, "REST_S", 0.1)
    brokers = Brokers()
    brokers.error = BrokerAway("no broker answers")
    with publishing(database, brokers, fail) as (thread, role):
        eventually(lambda: "no broker answers" in role.ready(), role.ready)
        brokers.error = None
        eventually(lambda: not role.ready(), role.ready)
        assert brokers.sent == [KEY[1:-1]] and not thread.away


def test_what_nobody_expects_is_told_and_does_not_leave_a_role_that_looks_well(database: Database) -> None:
    told, heard = [], threading.Event()

    def ended(error: BaseException) -> None:
        told.append(error)
        heard.set()

    brokers = Brokers()
    brokers.error = ValueError("a defect")
    with publishing(database, brokers, ended) as (thread, role):
        assert heard.wait(30) and told == [brokers.error]
        thread.join(10)
        assert "nobody publishes" in role.ready()


def test_a_role_without_partitions_is_not_ready(database: Database) -> None:
    with publishing(database, Brokers(), fail) as (_, role):
        assert not role.ready()
        role.revoked({("facts", 0)})
        assert "waiting for partitions" in role.ready()
