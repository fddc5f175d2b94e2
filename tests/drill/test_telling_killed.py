"""The role that tells alerts is killed at each of its failpoints: each line and each dead letter reaches its topic."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition

from consumers.alerts import fold
from engine.cluster import clients
from engine.cluster.publisher import Publisher
from engine.settings import Settings
from engine.store.database import Database
from lab.runs import engine_on, replayed, storm
from schemas.topics import Topics
from tests.integration import test_telling
from tests.integration.test_telling import (
    Message,
    await_,
    check_whole,
    had,
    outbox_news,
    process,
    running,
)
from tests.support.forks import ended


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A run that nobody has folded yet."""
    with engine_on(database_url, 4) as engine:
        replayed(engine, storm(5, 40))
        fold.epoch(engine.database)
        yield engine.database


@pytest.mark.parametrize(
    "name", ["alerts.before_publish", "alerts.after_publish", "alerts.before_commit", "alerts.after_commit"]
)
def test_killed_at_any_point_it_goes_on_and_nothing_is_lost(name: str, database: Database, tmp_path: Path) -> None:
    url = database.url.render_as_string(hide_password=False)
    files = [tmp_path / f"{k}.jsonl" for k in range(4)]
    for k, file in enumerate(files[:3]):
        with process(url, file, f"{name}:kill@{k + 1}") as killed:
            assert ended(killed) == -signal.SIGKILL
    with process(url, files[3]):
        await_(lambda: not any(outbox_news(database)), 60)
    check_whole(database, had(*files), once=name != "alerts.after_publish")


def test_a_killed_one_s_successor_completes_the_topics(
    postgres_url: str, kafka_server: str, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, topics = Settings(kafka=kafka_server, kafka_prefix=kafka_prefix), Topics(kafka_prefix)
    monkeypatch.setattr(test_telling, "TOPICS", topics)
    admin = clients.admin(settings)
    admin.create_topics(
        {topics.alerts: {"num_partitions": 1}, topics.deadletter: {"num_partitions": 1}}, wait_for_metadata=True
    )
    admin.close()
    with engine_on(postgres_url, 4) as engine:
        database = engine.database
        replayed(engine, storm(5, 40))
        fold.epoch(database)
        for count in (1, 2):
            failpoint = f"alerts.after_publish:kill@{count}"
            with process(postgres_url, kafka_prefix, failpoint, kafka_server) as killed:
                assert ended(killed) == -signal.SIGKILL
        with running(database, Publisher(settings, "alerts")):
            await_(lambda: not any(outbox_news(database)), 60)
        check_whole(database, read_topics(settings, topics), once=False)


def read_topics(settings: Settings, topics: Topics) -> list[Message]:
    """All that the two topics have."""
    consumer = clients.consumer(settings, "test")
    places = [TopicPartition(topic, 0) for topic in (topics.alerts, topics.deadletter)]
    consumer.assign(places)
    consumer.seek_to_beginning()
    ends, found = consumer.end_offsets(places), list[Message]()
    while any(consumer.position(place) < end for place, end in ends.items()):
        for records in consumer.poll(200).values():
            found += [
                Message(r.topic, r.key.decode(), r.value.decode(), {k: v.decode() for k, v in r.headers})
                for r in records
            ]
    consumer.close()
    return found
