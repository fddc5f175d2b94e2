"""The workarounds for kafka-python: what the library does without each of them.

A failure here after an update of the library is good news or bad: verify the workaround anew, delete it if the library
no longer needs it, and put the new version into `kafka_quirks`.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.abstract import RebalanceProtocol
from kafka.errors import (
    ClusterAuthorizationFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from kafka.net.transport import KafkaTCPTransport
from kafka.structs import MemberState

from engine.cluster import clients, kafka_quirks
from engine.settings import Settings
from lab.parts.kafka import Broker, running_broker
from lab.parts.processes import freeze


def test_the_workarounds_were_verified_with_the_installed_version() -> None:
    assert version("kafka-python") == kafka_quirks.VERIFIED, "verify each workaround again, then change VERIFIED"


def test_another_version_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(kafka_quirks, "VERIFIED", "3.0.11")
    kafka_quirks.check_version()
    assert "workarounds for 3.0.11 have to be verified again" in caplog.text


@pytest.fixture
def topic(kafka_server: str, kafka_prefix: str) -> str:
    """A topic of one partition with ten records."""
    name = f"{kafka_prefix}quirks"
    with closing(clients.admin(Settings(kafka=kafka_server))) as admin:
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    with closing(KafkaProducer(bootstrap_servers=kafka_server)) as producer:
        for number in range(10):
            producer.send(name, b"%d" % number, partition=0)
        producer.flush(20)
    return name


@pytest.fixture
def consumer(kafka_server: str) -> Iterator[KafkaConsumer]:
    made = KafkaConsumer(bootstrap_servers=kafka_server, auto_offset_reset="earliest", max_poll_records=4)
    yield made
    made.close()


def member(kafka_server: str, topic: str, **more: Any) -> KafkaConsumer:
    """A consumer with its place in a group."""
    made = KafkaConsumer(bootstrap_servers=kafka_server, auto_offset_reset="earliest", enable_auto_commit=False, **more)
    assert kafka_quirks.topics_found(made, [topic], 10_000) == [topic]
    made.subscribe([topic])
    until = time.monotonic() + 20
    while not (kafka_quirks.is_member(made) and made.assignment()):
        assert time.monotonic() < until
        kafka_quirks.poll_through_rebalance(made, kafka_quirks.MIN_POLL_MS, 5)
    return made


# ---- sockets and connections --------------------------------------------------------------------------------


def test_a_broker_that_is_silent_in_the_handshake_is_not_given_up_by_the_library() -> None:
    options = {option[1:] for option in kafka_quirks.socket_options()}
    assert (socket.SO_KEEPALIVE, 1) in options
    assert "timeout" not in KafkaTCPTransport.handshake.__code__.co_varnames


def test_the_last_words_of_a_broker_are_dropped_by_the_transport_and_kept_by_ours() -> None:
    for kind, heard in ((KafkaTCPTransport, b"no"), (kafka_quirks._TcpTransport, b"no")):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        transport = kind(None, ours)
        theirs.sendall(b"no")
        theirs.close()
        data, error = transport._sock_recv()
        assert data == heard
        # With an error the transport aborts, and never hands the data on.
        assert (error is None) == (kind is kafka_quirks._TcpTransport)
        ours.close()


def test_a_refusal_is_a_time_out_for_a_client_and_an_error_for_ask_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        threading.Thread(target=hang_up_on_all, args=(listening,), daemon=True).start()
        with pytest.raises(KafkaTimeoutError, match="Unable to bootstrap"):
            KafkaConsumer(bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=500)
        options = {"security_protocol": "PLAINTEXT"}
        with pytest.raises((EOFError, ConnectionResetError)):
            kafka_quirks.ask_broker("127.0.0.1", port, options, kafka_quirks.metadata_request(), 5)


def hang_up_on_all(listening: socket.socket) -> None:
    while True:
        try:
            listening.accept()[0].close()
        except OSError:
            return


# ---- metadata -----------------------------------------------------------------------------------------------


def test_topics_are_looked_for_with_a_time_limit(
    consumer: KafkaConsumer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kafka_quirks.topics_found(consumer, [topic, "of-nobody"], 10_000) == [topic]
    monkeypatch.setattr(consumer._manager, "least_loaded_node", lambda: None)
    endless = threading.Thread(target=consumer.partitions_for_topic, args=("of-nobody",), daemon=True)
    endless.start()
    with pytest.raises(KafkaTimeoutError):
        kafka_quirks.topics_found(consumer, ["of-nobody"], 300)
    endless.join(1)
    assert endless.is_alive(), "the library has a time limit of its own now"
    monkeypatch.undo()
    endless.join(20)


def test_a_topic_has_an_id(consumer: KafkaConsumer, topic: str) -> None:
    assert kafka_quirks.topic_id(consumer, topic) == ""
    kafka_quirks.topics_found(consumer, [topic], 10_000)
    assert uuid.UUID(kafka_quirks.topic_id(consumer, topic))
    assert not hasattr(consumer, "topic_id")


# ---- the group ----------------------------------------------------------------------------------------------


def test_a_fenced_member_hears_of_it_only_when_it_commits(kafka_server: str, topic: str) -> None:
    more = {"group_id": topic, "group_instance_id": "same", "max_poll_records": 1}
    with closing(member(kafka_server, topic, **more)) as older, closing(member(kafka_server, topic, **more)):
        time.sleep(0.5)
        place = TopicPartition(topic, 0)
        assert older.poll(1000)[place] and older.poll(1000)[place], "poll delivers to the fenced one as well"
        with pytest.raises(FencedInstanceIdError):
            kafka_quirks.raise_if_fenced(older, {place: 1}, 5000)


def test_a_partition_that_was_paused_in_a_fetch_goes_on_only_with_help(consumer: KafkaConsumer, topic: str) -> None:
    place = TopicPartition(topic, 0)
    consumer.assign([place])

    def fetched() -> list[int]:
        return [int(message.value) for message in consumer.poll(1000).get(place, ())]

    assert fetched() == [0, 1, 2, 3]
    consumer.pause(place)
    assert fetched() == []  # the rest of the fetch is put aside
    assert kafka_quirks.with_rest_of_fetch(consumer) == {0}
    # An exhausted fetch of another partition lies where the library looks for None.
    consumer._fetcher._next_partition_records = Exhausted()
    consumer.resume(place)
    assert fetched() == [] == fetched(), "the library no longer needs help"
    kafka_quirks.release_paused_records(consumer)
    assert fetched() == [4, 5, 6, 7]


class Exhausted:
    """As `PartitionRecords` that were all handed out: they are false, and not None."""

    topic_partition = TopicPartition("another", 0)

    def __bool__(self) -> bool:
        return False

    def drain(self) -> None:
        return


class Rebalancing:
    """A consumer that gets something in its third poll, and is in a change of the group until then."""

    def __init__(self) -> None:
        self.polls = 0

    def poll(self, timeout_ms: int) -> dict[str, int]:
        self.polls += 1
        return {"fetched": timeout_ms} if self.polls == 3 else {}

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=MemberState.REBALANCING if self.polls < 3 else MemberState.STABLE)


def test_a_consumer_waits_for_company_now_and_not_then(consumer: KafkaConsumer, topic: str) -> None:
    place, made = TopicPartition(topic, 0), {"fetch_min_bytes": 1, "fetch_max_wait_ms": 500}
    consumer.assign([place])
    came: list[bytes] = []
    for wait_ms in (40, 0):
        kafka_quirks.fetch_together(consumer, wait_ms)
        asked = {name: consumer._fetcher.config[name] for name in made}
        assert (
            asked
            == (made | {"fetch_min_bytes": kafka_quirks.TOGETHER_BYTES, "fetch_max_wait_ms": 40}, made)[not wait_ms]
        )
        consumer.seek_to_beginning()
        came = []
        while len(came) < 10:  # less than is waited for: it comes all the same
            came += [message.value for message in consumer.poll(1000).get(place, ())]
    assert came == [b"%d" % number for number in range(10)]


def test_nothing_comes_between_two_polls_of_a_change_of_the_group() -> None:
    consumer: Any = Rebalancing()
    assert not kafka_quirks.is_member(consumer)
    assert kafka_quirks.poll_through_rebalance(consumer, kafka_quirks.MIN_POLL_MS, 5) == {"fetched": 100}
    assert kafka_quirks.is_member(consumer)
    assert kafka_quirks.poll_through_rebalance(consumer, 100, 5) == {} and consumer.polls == 4


def test_the_assignors_are_eager() -> None:
    eager = {RebalanceProtocol.EAGER}
    assert [set(assignor().supported_protocols()) for assignor in kafka_quirks.ASSIGNORS] == [eager]


# ---- producing ----------------------------------------------------------------------------------------------


def test_a_message_is_appended_without_questions(kafka_server: str, topic: str) -> None:
    with closing(KafkaProducer(bootstrap_servers=kafka_server, linger_ms=2)) as producer:
        producer.send(topic, b"first", partition=0).get(10)
        future = kafka_quirks.append(producer, TopicPartition(topic, 0), b"k", b"second", [("kind", b"event")])
        kafka_quirks.wake(producer)
        assert future.get(10).offset == 11


@pytest.fixture
def frozen(kafka_parts: object) -> Iterator[tuple[Broker, KafkaProducer]]:
    """A broker that does not answer, and a producer with a message for it."""
    with running_broker() as broker:
        with closing(clients.admin(Settings(kafka=broker.bootstrap))) as admin:
            admin.create_topics({"t": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
        producer.send("t", b"0", partition=0).get(10)
        freeze(broker.pid)
        producer.send("t", b"1", partition=0)
        yield broker, producer
        os.kill(broker.pid, signal.SIGCONT)


def test_a_producer_that_cannot_flush_is_closed_only_with_force(frozen: tuple[Broker, KafkaProducer]) -> None:
    _, producer = frozen
    with pytest.raises(KafkaError):
        producer.close(timeout=0.5)
    assert producer._sender.is_alive(), "the library closes it now"
    kafka_quirks.close_for_good(producer)
    producer._sender.join(5)
    assert not producer._sender.is_alive()


# ---- errors -------------------------------------------------------------------------------------------------


def test_errors_of_rights_have_names_in_several_shapes() -> None:
    assert kafka_quirks.denied_names(TopicAuthorizationFailedError({"b", "a"})) == ["a", "b"]
    assert kafka_quirks.denied_names(TopicAuthorizationFailedError(["b"])) == ["b"]
    assert kafka_quirks.denied_names(GroupAuthorizationFailedError("g")) == ["g"]
    assert kafka_quirks.denied_names(KafkaError("t")) == []


def test_a_wrapped_error_of_rights_is_one() -> None:
    wrapped = KafkaError(f"Cannot execute: {ClusterAuthorizationFailedError()!r}")
    assert kafka_quirks.is_denied(wrapped) and kafka_quirks.is_denied(ClusterAuthorizationFailedError())
    assert not kafka_quirks.is_denied(KafkaTimeoutError("Unable to bootstrap"))
