"""The performance role as it runs: Faust on a real broker, figures in PostgreSQL, each worker a process of its own.

In: the steps of a month, published by somebody who repeats himself, loses messages and sends what is none. Out: the
figures, to the last row those of a fold that read the same steps from the store.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition

from consumers import verify
from consumers.alerts import fold
from consumers.performance import consume, faust_app
from engine.cluster import clients, topics
from engine.cluster.publisher import Publisher
from engine.cluster.relay import message
from engine.errors import BrokerAway, TopicsUnusable
from engine.settings import Settings
from engine.store import unpublished_figures
from engine.store.database import Database, open_database
from engine.store.rows import StepRow
from lab import runs
from lab.installation import Installation, Role
from lab.parts.processes import eventually
from schemas import binary, facts, messages
from schemas.topics import Topics

PARTITIONS = 8
MONTH = 160
"""So many incidents."""


class Stage:
    """A database with the steps of a month that nobody has folded, their topics, and workers to be started."""

    def __init__(self, folder: Path, kafka: str, prefix: str, url: str) -> None:
        self.installation = Installation(folder, kafka, url, prefix, PARTITIONS)
        self.settings = Settings(role="performance", database=url, kafka=kafka, kafka_prefix=prefix)
        self.names = Topics(prefix)
        self.publisher = Publisher(self.settings, "test")
        with runs.engine_on(url, PARTITIONS, consumers=[fold.consume]) as engine:
            runs.replayed(engine, runs.month(MONTH))
            self.rows = sorted(runs.steps(engine), key=lambda row: (row.at, row.partition, row.n))
        self.database: Database = open_database(url)
        topics.create(self.settings, self.database, 1, [])

    def worker(self, name: str, **more: str) -> Role:
        """A worker that owns partitions, unless it is to die before."""
        self.installation.start(name, **more)
        role = self.installation[name]
        if not more:
            role.await_ready()
        return role

    def send(self, rows: Sequence[StepRow]) -> None:
        """Publish these steps in this order, as their relay does."""
        for row in rows:
            self.put(row.partition, message(row), f"{row.partition}.{row.n}", row.case_id)
        self.publisher.flush()

    def put(self, partition: int, value: bytes, id_: str = "0.0", key: str = "") -> None:
        headers = binary.headers(type="gridpatrol.step.v1", id=id_, subject=key, at_ms=0)
        self.publisher.send(self.names.facts, key, value, headers, partition)

    # ---- what is there ------------------------------------------------------------------------------------

    def asked(self, sql: str) -> int:
        """The one number that a statement answers with."""
        with self.database.read() as connection:
            return int(connection.exec_driver_sql(sql).scalar_one())

    def folded(self) -> int:
        """How many steps the figures contain."""
        return self.asked("SELECT coalesce(sum(n), 0) FROM positions WHERE consumer = 'performance'")

    def await_all(self, within_s: float = 60.0) -> None:
        """Until every step is folded."""
        eventually(lambda: self.folded() == len(self.rows), lambda: f"{self.folded()} of {len(self.rows)}", within_s)

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        """Everything that was folded. A cell that has come back to 0 is as good as none."""
        queries = {
            "figures": "SELECT * FROM figures WHERE value <> 0",
            "contributions": "SELECT * FROM contributions",
            "outcomes": "SELECT * FROM outcomes",
            "positions": "SELECT * FROM positions WHERE consumer = 'performance'",
        }
        with self.database.read() as connection:
            return {
                name: sorted((tuple(row) for row in connection.exec_driver_sql(sql)), key=repr)
                for name, sql in queries.items()
            }

    def counted(self, *roles: Role) -> dict[str, int]:
        """What became of the messages, as the workers say."""
        found: dict[str, int] = {}
        for role in roles:
            page = role.get("/metrics")[1]
            for how, number in re.findall(r'gridpatrol_fold_steps_total\{how="(\w+)"\} ([\d.e+]+)', page):
                found[how] = found.get(how, 0) + int(float(number))
        return found

    def check(self) -> None:
        """The figures are those of a fold from the store, and follow from the steps by SQL."""
        stands = self.tables()
        assert stands["figures"] and stands["contributions"] and stands["outcomes"]
        assert verify.verify(self.database) == []
        consume.rebuild(self.database)
        while consume.consume(self.database):
            pass
        assert self.tables() == stands

    # ---- what was published -------------------------------------------------------------------------------

    def published(self) -> dict[str, int]:
        """The last value of every figure on the topic, where it is not zero."""
        client = KafkaConsumer(bootstrap_servers=self.settings.kafka, consumer_timeout_ms=2000)
        try:
            places = [TopicPartition(self.names.performance, p) for p in range(PARTITIONS)]
            client.assign(places)
            client.seek_to_beginning()
            ends = client.end_offsets(places)
            last: dict[str, int] = {}
            while any(client.position(place) < ends[place] for place in places):
                for records in client.poll(500).values():
                    for record in records:
                        cell = messages.decode_cell(record.value)
                        assert record.key.decode() == messages.cell_key(cell)
                        last[messages.cell_key(cell)] = cell.value
            return {key: value for key, value in last.items() if value}
        finally:
            client.close()

    def figures(self) -> dict[str, int]:
        """Every figure under the key of its message, as it stands; one of zero may as well be absent."""
        names = ", ".join((*unpublished_figures.KEY, "value"))
        sql = f"SELECT {names} FROM figures WHERE value <> 0"
        with self.database.read() as connection:
            rows = [tuple(row) for row in connection.exec_driver_sql(sql)]
        return {msgspec.json.encode(row[:-1]).decode(): row[-1] for row in rows}

    def await_told(self, within_s: float = 30.0) -> None:
        """Until no change of a figure is left to be published."""

        def left() -> int:
            with self.database.read() as connection:
                return unpublished_figures.count(connection)

        eventually(lambda: left() == 0, lambda: f"{left()} notes left", within_s)

    def close(self) -> None:
        self.installation.kill()
        self.publisher.close()
        self.database.close()


@pytest.fixture
def stage(tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str) -> Iterator[Stage]:
    made = Stage(tmp_path, kafka_server, kafka_prefix, postgres_url)
    yield made
    made.close()


def in_two(rows: Sequence[StepRow]) -> tuple[Sequence[StepRow], Sequence[StepRow]]:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


# ---- what messages may be ---------------------------------------------------------------------------------------


def test_repeated_lost_and_broken_messages_change_no_figure(stage: Stage) -> None:
    draw = random.Random(5)
    first, second = in_two(stage.rows)
    kept = [row for row in first if draw.random() > 0.05]
    stage.send(kept)
    stage.send(kept[-120:])  # a relay that crashed before its mark
    stage.put(3, b"\x00 no step")
    stage.put(3, b'{"partition":3,"n":1}')
    stage.put(4, message(next(row for row in first if row.partition == 3)))
    beyond = msgspec.structs.replace(second[-1], n=10**9)
    stage.put(beyond.partition, message(beyond))
    worker = stage.worker("performance-1")
    stage.send([row for row in second if draw.random() > 0.05])
    stage.await_all()
    eventually(lambda: stage.counted(worker)["folded"] + stage.counted(worker)["filled"] == len(stage.rows), "counts")
    counted = stage.counted(worker)
    assert counted["undecodable"] == 3 and counted["unknown"] == 1 and counted["refused"] == 0
    assert counted["filled"] > 50 and counted["skipped"] >= 120 and counted["folded"] > 0
    assert counted["folded"] + counted["filled"] == len(stage.rows)
    stage.check()


def test_a_step_that_the_database_refuses_is_taken_from_the_store(stage: Stage) -> None:
    """Somebody forged a message: of the right number, with a character that no table takes."""
    evil = next(row for row in stage.rows if row.n == 1 and "incident.reported" in row.body)
    forged = msgspec.structs.replace(evil, department="\x00")
    with pytest.raises(Exception, match=r"x00|NUL|u0000"):
        consume.fold_messages(stage.database, [facts.decode_step(message(forged))])
    worker = stage.worker("performance-1")
    stage.put(evil.partition, message(forged))
    stage.send(stage.rows)
    stage.await_all()
    assert stage.counted(worker)["refused"] > 0
    stage.check()


# ---- before it starts -------------------------------------------------------------------------------------------


def refused(settings: Settings) -> None:
    faust_app.run(settings, threading.Event(), lambda url: None)


def test_missing_topics_and_absent_brokers_are_told_before_anything_is_folded(
    kafka_server: str, kafka_prefix: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runs.engine_on(postgres_url, PARTITIONS) as engine:
        settings = Settings(role="performance", database=postgres_url, kafka=kafka_server, kafka_prefix=kafka_prefix)
        with pytest.raises(TopicsUnusable, match=r"log is not a topic yet.*gridpatrol topic create"):
            refused(settings)
        topics.create(settings, engine.database, 1, [])
    with pytest.raises(TopicsUnusable, match=r"no topic other\.gridpatrol\.facts\.v1.*gridpatrol topic create"):
        refused(msgspec.structs.replace(settings, kafka_prefix="other."))
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 500)
    with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:1\b.*GRIDPATROL_KAFKA"):
        refused(msgspec.structs.replace(settings, kafka="127.0.0.1:1"))
