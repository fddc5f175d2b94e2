"""The log as a topic: the same log gives the same facts, whether a table or Kafka held it; and what becomes of a log
that was lost.

In: a storm and a month, through a topic of a real broker into PostgreSQL. Out: facts, answers and exported logs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from consumers.verify.replayed import replayed_beside
from engine.clock import now_ms
from engine.cluster import adopt, inbox, topics
from engine.cluster.adopt import UndecidedLost
from engine.cluster.inbox import LogCut, Reader
from engine.errors import BrokerAway, LogMismatch
from engine.inbox import Submission
from engine.replay import export_log
from engine.store.rows import InboxRow
from gridpatrol.run import roles
from lab import runs
from lab.runs import engine_on, replayed, storm
from tests.integration.test_isolation import POISON, refuse
from tests.integration.test_worker import all_decided_of, check_once, report
from tests.simulation.cluster import Cluster, cluster_on
from tests.simulation.line import Line
from workflows.policy import model


def log_of(folder: Path, lines: tuple[bytes, ...], partitions: int) -> tuple[list[InboxRow], object]:
    """The log of a run on a table, ticks and packs included, and what came of it."""
    with engine_on(f"sqlite:///{folder / 'table.db'}", partitions) as engine:
        replayed(engine, lines)
        rows = [msgspec.json.decode(line)["record"] for line in export_log(engine) if line.startswith(b'{"record"')]
        told = runs.facts(engine), runs.answers(engine, shapes=False)
        return [msgspec.convert(row, InboxRow) for row in rows], told


STORM, MONTH = "storm", "month"


def check_from_a_topic(
    url: str, kafka: str, prefix: str, folder: Path, lines: tuple[bytes, ...], partitions: int, records: int, steps: int
) -> None:
    """The log of these events gives, from a topic, the facts and answers that it gives from a table."""
    rows, told = log_of(folder, lines, partitions)
    with cluster_on(url, kafka, prefix, partitions, slice_records=records, slice_steps=steps) as cluster:
        cluster.take_stamps()
        cluster.gateway.keep_pack(runs.pack_of("weiyang"))
        cluster.lay(rows)
        cluster.worker(ticking=False)
        cluster.settle(within_s=120)
        result = cluster.result()
        assert (runs.facts(result), runs.answers(result, shapes=False)) == told
        cluster.check_export(folder)
        cluster.check_published()


def test_a_log_gives_the_same_facts_from_a_topic_as_from_a_table(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path
) -> None:
    check_from_a_topic(postgres_url, kafka_server, kafka_prefix, tmp_path, storm(), 8, 500, 1000)


def test_what_one_run_isolated_the_replay_of_its_log_isolates_as_well(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path
) -> None:
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 8, slice_records=40) as cluster:
        cluster.install()
        line = Line(cluster.gateway)
        refuse(cluster.database, "facts", f"NEW.body LIKE '%{POISON}%'")
        for number in range(1, 61):
            home = f"WY{number % 12 + 1:02}"
            line.report(number, now_ms(), None, home, reference=POISON if number % 17 == 0 else "fine")
        cluster.worker()
        cluster.settle()
        assert sorted(letter[2] for letter in line.letters()) == ["e17", "e34", "e51"]
        cluster.check_export(tmp_path)
        assert replayed_beside(cluster.result(), tmp_path) == []  # read from the topic


def test_a_home_has_the_partition_that_kafka_itself_would_choose(cluster: Cluster) -> None:
    report(cluster, 1, 24)
    places: dict[bytes, set[int]] = {}
    for message in cluster.messages(cluster.topics.inbox):
        if dict(message.headers)["kind"] == b"event":
            places.setdefault(message.key, set()).add(message.partition)
            assert message.timestamp_type == 1  # the broker's stamp
    assert len(places) == 12 and all(len(found) == 1 for found in places.values())


# ---- a log that was lost ------------------------------------------------------------------------------------


def adopted(cluster: Cluster, lose: bool) -> list[str]:
    """`topic create --adopt`, and what it says was lost."""
    going_on = partial(adopt.adopt, lose=lose)
    done = topics.create(cluster.settings, cluster.database, 1, [], going_on)
    return [line for line, how in done.items() if how == "adopted"]


def test_a_log_that_is_whole_is_adopted_without_a_word_and_nothing_changes(cluster: Cluster, tmp_path: Path) -> None:
    report(cluster, 1, 20)
    before = cluster.origin()
    assert adopted(cluster, lose=False) == []
    assert cluster.origin().bases == before.bases
    cluster.worker()
    cluster.settle()
    check_once(cluster, 20)
    cluster.check_export(tmp_path)


def test_records_lost_before_they_were_decided_are_written_off_only_with_a_word(cluster: Cluster) -> None:
    report(cluster, 1, 24)
    first = cluster.worker()
    cluster.settle()
    cluster.end(first)
    stands = cluster.result().rows[0].position
    report(cluster, 25, 24)
    with cluster.admin() as admin:
        admin.delete_records({TopicPartition(cluster.topics.inbox, 0): stands + 3})
    second = cluster.worker("two")
    cluster.turn(lambda: bool(second.engine.rows[0].halted) and all_decided_of(cluster, 1))
    assert "--adopt" in second.engine.rows[0].halted
    cluster.end(second)
    with pytest.raises(UndecidedLost, match=r"partition 0 goes on at .* 3 records lost"):
        adopted(cluster, lose=False)
    [line] = adopted(cluster, lose=True)
    assert "3 records lost" in line
    cluster.restart()
    cluster.worker("three")
    cluster.settle()
    report(cluster, 49, 10)
    cluster.settle()
    result = cluster.result()
    seen = {step.cause for step in runs.steps(result) if '"id":"r' in step.cause}
    assert len(seen) == 58 - 3
    assert cluster.ends() == {p: row.position for p, row in result.rows.items()}
    with pytest.raises(LogMismatch, match="lost with their topic"):
        cluster.export()


def test_an_export_of_a_log_that_is_cut_meanwhile_says_so_and_jumps_over_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(cluster, 1, 24)
    ends = Reader.ends

    def cut(reader: Reader, places: list[TopicPartition]) -> list[int]:
        """The place of the end was asked for: after that, retention does its work."""
        with cluster.admin() as admin:
            admin.delete_records({TopicPartition(cluster.topics.inbox, 0): 5})
        return ends(reader, places)

    monkeypatch.setattr(Reader, "ends", cut)
    with cluster.database.read() as connection, pytest.raises(LogCut, match="is gone"):
        list(cluster.inbox.read_all(connection, 0))


def test_an_export_waits_for_brokers_that_are_away_and_not_for_ever(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(cluster, 1, 24)
    monkeypatch.setattr(inbox, "SILENT_S", 1.0)
    monkeypatch.setattr(KafkaConsumer, "poll", lambda *_: {})
    with cluster.database.read() as connection, pytest.raises(BrokerAway, match="from offset 0"):
        list(cluster.inbox.read_all(connection, 0))


def test_a_topic_that_was_made_anew_is_gone_on_with_and_what_is_sent_again_counts_once(cluster: Cluster) -> None:
    report(cluster, 1, 20)
    first = cluster.worker()
    cluster.settle()
    cluster.end(first)
    stands = {p: row.position for p, row in cluster.result().rows.items()}
    logged = [m for m in cluster.messages(cluster.topics.inbox) if dict(m.headers)["kind"] == b"event"]
    sent = [Submission(m.partition, "event", "door", m.value.decode()) for m in logged]
    with cluster.admin() as admin:
        admin.delete_topics([cluster.topics.inbox])
    cluster.await_no(cluster.topics.inbox)
    with pytest.raises(LogMismatch, match="--adopt"):
        topics.create(cluster.settings, cluster.database, 1, [])
    with pytest.raises(UndecidedLost, match="an unknown number of records"):
        adopted(cluster, lose=False)
    assert len(adopted(cluster, lose=True)) == 2
    topics.open_inbox(cluster.settings, cluster.database)
    cluster.restart()
    cluster.gateway.append(sent[-6:], now_ms())
    report(cluster, 21, 10)
    cluster.worker("two")
    cluster.settle()
    result = cluster.result()
    assert {p: row.position > stands[p] for p, row in result.rows.items()} == {0: True, 1: True}
    causes = [step.cause for step in runs.steps(result) if '"id":"r' in step.cause]
    assert len(causes) == len(set(causes)) == 30
    assert adopted(cluster, lose=False) == []
    with pytest.raises(LogMismatch, match="lost with their topic"):
        cluster.export()


def test_a_first_pack_that_was_installed_in_part_is_installed_in_all(
    postgres_url: str, kafka_server: str, kafka_prefix: str
) -> None:
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 4) as cluster:
        first = cluster.gateway
        first.keep_pack(runs.pack_of("weiyang"))
        first.reload()
        digest = model.digest(runs.pack_of("weiyang"))
        first.append([Submission(p, "pack", "operator", digest) for p in (0, 2)], now_ms())
        cluster.worker()
        cluster.settle()
        assert [bool(cluster.result().activations(p)) for p in range(4)] == [True, False, True, False]
        settings = cluster.as_("gateway")
        roles.install_first(settings, cluster.database, first, cluster.inbox)
        roles.install_first(settings, cluster.database, first, cluster.inbox)  # another gateway, before it is decided
        cluster.settle()
        roles.install_first(settings, cluster.database, first, cluster.inbox)
        assert [len(cluster.result().activations(p)) for p in range(4)] == [2, 1, 2, 1]
        assert sum(message.headers[0][1] == b"pack" for message in cluster.messages(cluster.topics.inbox)) == 6


def test_a_pack_that_the_store_has_lost_is_waited_for(postgres_url: str, kafka_server: str, kafka_prefix: str) -> None:
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2) as cluster:
        cluster.install()
        worker = cluster.worker()
        cluster.settle()
        with cluster.database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM packs")
        cluster.end(worker)
        report(cluster, 1, 3)
        worker = cluster.worker("two")
        cluster.turn(lambda: "gridpatrol pack activate" in worker.ready())
        cluster.gateway.keep_pack(runs.pack_of("weiyang"))
        cluster.settle()
        check_once(cluster, 3)
        assert not worker.ready()


def test_a_topic_with_fewer_copies_than_wanted_is_told_and_keeps_taking_writes(
    postgres_url: str, kafka_server: str, kafka_prefix: str
) -> None:
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2) as cluster:
        assert set(topics.create(cluster.settings, cluster.database, 1, []).values()) == {"exists"}
        [said] = set(topics.create(cluster.settings, cluster.database, 3, []).values())
        assert said.startswith("exists with 1 instead of 3 copies (kafka-reassign-partitions.sh")
        asked = ConfigResource(ConfigResourceType.TOPIC, cluster.topics.inbox, {"min.insync.replicas": None})
        with cluster.admin() as admin:
            found = admin.describe_configs([asked], config_filter="all")["topic"][cluster.topics.inbox]
        assert found["min.insync.replicas"]["value"] == "1"
