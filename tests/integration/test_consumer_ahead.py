"""A consumer that has taken in steps that the store does not have is of another backup: it says so and goes no further.

Enters: stores whose positions lie beyond their last steps, as where tables were restored one by one. Leaves: one
sentence, nothing folded, and a way on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from consumers.alerts import fold
from consumers.performance import consume
from consumers.performance.faust_app import FoldWorker
from consumers.verify import verify
from engine.cluster import relay
from engine.cluster.relay import Relay
from engine.metrics.counters import FoldCounters
from engine.runtime import Consumer
from engine.settings import Settings
from engine.store import alerts, outbox, steps
from engine.store.database import Database, open_database
from engine.store.positions import PositionRow, write_positions
from engine.store.steps import ConsumerAhead, StepRange
from gridpatrol.run.following import follow
from gridpatrol.run.serve import serve
from lab.runs import consumers, engine_on, replayed, storm
from schemas import facts
from schemas.topics import Topics

EACH: list[tuple[str, Consumer]] = [("performance", consume.consume), ("alerts", fold.consume)]


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A run whose consumers are at its end."""
    with engine_on(database_url, 4, consumers=consumers()) as engine:
        replayed(engine, storm(5, 4))
        yield engine.database


def end(db: Database) -> int:
    """The last step of partition 0."""
    with db.read() as connection:
        return steps.read_ends(connection)[0]


def put(db: Database, consumer: str, n: int, partition: int = 0) -> None:
    """Let a consumer stand at a number."""
    with db.begin() as connection:
        write_positions(connection, [PositionRow(consumer, partition, n)])


@pytest.mark.parametrize(("name", "takes"), EACH)
def test_it_takes_in_nothing_and_says_how_far_it_was_and_how_far_the_store_is(
    db: Database, name: str, takes: Consumer
) -> None:
    put(db, name, end(db) + 3)
    wanted = f"{name} has taken in steps up to {end(db) + 3} of partition 0, which has {end(db)}"
    with pytest.raises(ConsumerAhead, match=wanted):
        takes(db, ())
    assert [found.what for found in verify(db, live=True)] == ["position"]


def test_a_partition_that_has_no_step_yet_counts_too(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        put(engine.database, "performance", 5, partition=1)
        with pytest.raises(ConsumerAhead, match="up to 5 of partition 1, which has 0"):
            consume.consume(engine.database)


def test_figures_that_are_folded_anew_are_right_again(db: Database) -> None:
    put(db, "performance", end(db) + 3)
    consume.rebuild(db)
    while consume.consume(db):
        pass
    assert verify(db) == []


def test_figures_that_are_behind_catch_up_by_themselves_beside_alerts_that_stand(db: Database) -> None:
    consume.rebuild(db)
    with db.read() as connection:
        there, told = sum(steps.read_ends(connection).values()), alerts.last_number(connection)
    assert follow(db, limit=there) == there and follow(db) == 0
    assert verify(db) == []
    with db.read() as connection:
        assert alerts.last_number(connection) == told


def test_a_server_does_not_start_on_it(db: Database, database_url: str) -> None:
    put(db, "alerts", end(db) + 3)
    doors: list[str] = []
    settings = Settings(database=database_url, listen="127.0.0.1:0", partitions=4)
    with pytest.raises(ConsumerAhead, match="Restore the whole database from one backup"):
        serve(settings, opened=lambda url, _: doors.append(url), seconds=5)
    assert doors == []


# ---- in a cluster -------------------------------------------------------------------------------------------


def test_the_performance_role_ends_with_that_sentence_when_a_message_comes(db: Database) -> None:
    with db.read() as connection:
        [row] = steps.read_ranges(connection, "a test", [StepRange(0, 0, 1)])
    put(db, "performance", end(db) + 3)
    ended: list[BaseException] = []
    worker = FoldWorker(db, FoldCounters(), lambda _: None, ended.append)
    with pytest.raises(ConsumerAhead):
        worker.submit([(0, 0, facts.encode_step(steps.step_of(row)))]).result(30)
    worker.close()
    assert [type(error) for error in ended] == [ConsumerAhead]


def test_the_performance_role_finds_it_without_a_message_after_some_looks(db: Database) -> None:
    put(db, "performance", end(db) + 3)
    worker = FoldWorker(db, FoldCounters(), lambda _: None, lambda _: None)
    worker.catch_up()
    with pytest.raises(ConsumerAhead):
        worker.catch_up()
    worker.close()


def test_the_alerts_role_looks_at_it_and_waits(db: Database) -> None:
    with db.read() as connection:
        assert not outbox.read_backlog(connection, "alerts").steps
    put(db, "alerts", end(db) + 3)
    with db.read() as connection:
        assert outbox.read_backlog(connection, "alerts").steps


def test_who_waited_for_another_process_takes_its_new_steps_for_no_other_backup(postgres_url: str) -> None:
    """Each transaction is to see the steps that the one before it took in."""
    with engine_on(postgres_url, 4, consumers=consumers()) as engine:
        replayed(engine, storm(5, 4))
        db, was = engine.database, end(engine.database)
        found: list[Any] = []

        def wait() -> None:
            try:
                with db.begin() as connection:
                    found.append(steps.hold(connection, "performance").ends[0])
            except ConsumerAhead as error:
                found.append(error)

        thread = threading.Thread(target=wait)
        with db.begin() as connection:
            steps.hold(connection, "performance")
            thread.start()
            _until_it_waits(postgres_url)
            connection.exec_driver_sql("UPDATE partitions SET n = n + 1 WHERE partition = 0")
            write_positions(connection, [PositionRow("performance", 0, was + 1)])
        thread.join(30)
        assert found == [was + 1]


def _until_it_waits(url: str) -> None:
    """Until a session of this database waits for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with closing(open_database(url)) as database:
        for _ in range(3000):
            with database.db.connect() as connection:
                if connection.exec_driver_sql(sql).scalar_one():
                    return
    raise AssertionError("nobody waits")


class Sent:
    """A publisher that keeps the ids of what it is given."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def forget(self) -> None:
        """Nothing is on its way."""

    def send(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]], partition: int) -> None:
        self.ids.append(dict(headers)["ce_id"].decode())

    def go(self) -> None:
        """It is gone."""


def test_steps_after_the_last_one_are_published_whatever_counted_as_published(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    last = end(db)
    put(db, relay.NAME, last + 3)
    sent = Sent()
    published = Relay(db, Topics(""), sent)  # type: ignore[arg-type]
    published.reload([0])
    assert f"steps up to 0.{last + 3} were published, and the store has {last}" in caplog.text
    with db.read() as connection:
        [row] = steps.read_ranges(connection, "a test", [StepRange(0, last - 1, last)])
    published.take([replace(row, n=last + 1)])
    assert sent.ids == [f"0.{last + 1}"]
