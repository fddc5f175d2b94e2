"""Every workaround for kafka-python, and what goes wrong without it.

All of them were verified against the version below. Another version logs a warning, and a test fails until each one has
been verified again: `tests/integration/test_kafka_quirks.py` shows what the library does without it. Delete those that
the library no longer needs.

Only this file touches private attributes of the library.
"""

import logging
import socket
import ssl
import time
from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from kafka.net.connection import KafkaConnection
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.sasl import SaslHandshakeRequest
from kafka.structs import MemberState, OffsetAndMetadata

log = logging.getLogger(__name__)

VERIFIED = "3.0.12"
"""The version of kafka-python that these workarounds were verified against."""


def check_version() -> None:
    """Warn where another version is installed."""
    if (installed := version("kafka-python")) != VERIFIED:
        log.warning("kafka-python is %s: the workarounds for %s have to be verified again", installed, VERIFIED)


check_version()


# ---- sockets and connections --------------------------------------------------------------------------------

KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def socket_options() -> list[tuple[int, int, int]]:
    """Options that let the system notice a peer that is gone.

    Symptom: a connection that is cut in the middle of the TLS handshake stays for ever, since `transport.handshake` has
    no timeout. Seen in 3.0.12. The client before 3.0 had one: https://github.com/dpkp/kafka-python/pull/1696
    """
    probes = [(socket.IPPROTO_TCP, getattr(socket, n), value) for n, value in KEEPALIVE.items() if hasattr(socket, n)]
    return [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *probes]


class _DataBeforeEnd:
    """Hands on what a broker said before it hung up.

    Symptom: the transport reads until the connection would block. Where it meets the end, it aborts and drops the bytes
    that it has just read. A broker answers a wrong password, or an unencrypted request to a TLS port, and hangs up at
    once, so the answer is lost («socket disconnected»). Seen in 3.0.12; no upstream issue known.
    """

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, error = super()._sock_recv()  # type: ignore[misc]  # of the transport
        return (data, None) if data else (data, error)  # the next read meets the end again


class _TcpTransport(_DataBeforeEnd, KafkaTCPTransport):  # type: ignore[misc]  # the library ships no types
    pass


class _TlsTransport(_DataBeforeEnd, KafkaSSLTransport):  # type: ignore[misc]
    pass


def ask_broker(host: str, port: int, options: dict[str, Any], request: Any, within_s: float) -> Any:
    """Open one connection as a client with these options does, and return the answer to one request.

    Symptom: a client that is refused raises `KafkaTimeoutError: Unable to bootstrap` after the whole
    `bootstrap_timeout_ms`; the reason is in the log only. Seen in 3.0.12, although failed logins were meant to be
    raised: https://github.com/dpkp/kafka-python/pull/2994

    Raises the reason: TimeoutError, EOFError where the broker hangs up, another OSError (those of `ssl` among them), or
    a KafkaError.
    """
    until = time.monotonic() + within_s
    plain = socket.create_connection((host, port), timeout=within_s)
    plain.setblocking(False)
    net = NetworkSelector()
    if "ssl_context" in options:
        transport = _TlsTransport(net, plain, host=host, ssl_context=options["ssl_context"])
    else:
        transport = _TcpTransport(net, plain, host=host)
    connection = KafkaConnection(net, **options)

    async def answer() -> Any:
        await transport.handshake()
        connection.connection_made(transport)
        await connection.initialize(timeout_at=until)
        await connection
        return await connection.send_request(request, request_timeout_ms=within_s * 1000)

    future = net.call_soon_with_future(answer)
    try:
        net.poll(max(0.0, until - time.monotonic()) * 1000, future)
        if not future.is_done:
            raise TimeoutError
        if future.failed():
            raise _reason(future.exception)
        return future.value
    finally:
        transport.abort()
        net.close()


def _reason(error: Exception) -> Exception:
    """The error that a KafkaConnectionError wraps; EOFError where the broker has hung up."""
    if isinstance(error, ssl.SSLEOFError):
        return EOFError()
    if isinstance(error, KafkaConnectionError):
        return _reason(error.args[0]) if error.args and isinstance(error.args[0], Exception) else EOFError()
    return error


def metadata_request() -> MetadataRequest:
    """The smallest request that a broker answers only to a client that it has let in."""
    return MetadataRequest(topics=[], allow_auto_topic_creation=False)


def mechanisms_of(host: str, port: int, options: dict[str, Any], within_s: float) -> list[str]:
    """The SASL mechanisms that a broker takes.

    Symptom: `UnsupportedSaslMechanismError` comes without the list, although the broker has sent it. Seen in 3.0.12; no
    upstream issue known. So the broker is asked for it, on a connection that shows no user.
    """
    nameless = options | {"security_protocol": options["security_protocol"].removeprefix("SASL_")}
    request = SaslHandshakeRequest(mechanism=options["sasl_mechanism"], max_version=1)
    return list(ask_broker(host, port, nameless, request, within_s).mechanisms)


# ---- metadata -----------------------------------------------------------------------------------------------


def topics_found(consumer: KafkaConsumer, topics: Collection[str], timeout_ms: int) -> list[str]:
    """Those of these topics that the brokers know; KafkaTimeoutError.

    Call it before `subscribe`. Symptom: the first JoinGroup goes out before the topics' metadata are known, so the
    leader assigns nothing; the second join, which the metadata cause, is lost when `poll` times out before its
    SyncGroup. The consumer then stays without partitions for ever (14 % of fresh consumers with poll(20), 3 % with
    poll(100), on a broker without an initial rebalance delay). Seen in 3.0.12; no upstream issue known.

    `consumer.partitions_for_topic` would do, but symptom: it waits without a timeout while no broker answers. Seen in
    3.0.12; https://github.com/dpkp/kafka-python/issues/1322
    """
    cluster = consumer._cluster
    if not all(map(cluster.partitions_for_topic, topics)):
        if cluster.metadata_refresh_in_progress:  # of other topics
            consumer._net.run(consumer._manager.wait_for, cluster.request_update(), timeout_ms)
        all_topics, cluster.need_all_topic_metadata = cluster.need_all_topic_metadata, True
        try:
            consumer._net.run(consumer._manager.wait_for, cluster.request_update(), timeout_ms)
        finally:
            cluster.need_all_topic_metadata = all_topics
    return sorted(filter(cluster.partitions_for_topic, topics))


def topic_id(consumer: KafkaConsumer, topic: str) -> str:
    """The id that the brokers gave to a topic that the consumer knows; empty: it knows none.

    Symptom: a topic that was deleted and made anew has the same name and other records, and the consumer goes on at its
    old offset. No public call tells the id. Seen in 3.0.12; no upstream issue known.
    """
    return str(consumer._cluster.topic_id(topic) or "")


# ---- the group ----------------------------------------------------------------------------------------------

MIN_POLL_MS = 100
"""The shortest `poll` that is safe. With poll(0) a change of the group takes 2 to 14 s instead of 0.5. Seen in 3.0.12;
no upstream issue known."""

ASSIGNORS = [RangePartitionAssignor]
"""An eager assignor. The members of `CooperativeStickyAssignor` swap partitions for 11 to 15 s after each change, since
it joins without its generation. Seen in 3.0.12; no upstream issue known."""

REJOIN_S = 15.0
"""A member that waits longer than this for the end of a change of the group is closed, and a fresh client joins. It can
wait for an answer that has already come (see `topics_found`). While others keep the group waiting, joining again does
no harm."""


def is_member(consumer: KafkaConsumer) -> bool:
    """Whether the consumer has its place in the group, with or without partitions."""
    return bool(consumer.group_metadata().state == MemberState.STABLE)


def poll_through_rebalance(consumer: KafkaConsumer, timeout_ms: int, within_s: float) -> Any:
    """Poll until something came, or the time is over and no change of the group is under way.

    Symptom: an answer of the group that comes between two calls of `poll` is thrown away. The member then joins again,
    and the whole group begins anew. Seen in 3.0.12; no upstream issue known.
    """
    until = time.monotonic() + within_s
    fetched = consumer.poll(timeout_ms)
    while not fetched and consumer.group_metadata().state == MemberState.REBALANCING and time.monotonic() < until:
        fetched = consumer.poll(timeout_ms)
    return fetched


def raise_if_fenced(consumer: KafkaConsumer, offsets: dict[TopicPartition, int], timeout_ms: int) -> None:
    """Commit, which is how a consumer hears that another process has taken its `group_instance_id`.

    Symptom: a fenced static member keeps its partitions, and `poll` goes on delivering every record to both. Only a
    synchronous `commit` raises FencedInstanceIdError. Seen in 3.0.12, with the static membership of
    https://github.com/dpkp/kafka-python/pull/2625
    """
    consumer.commit({place: OffsetAndMetadata(at, "", -1) for place, at in offsets.items()}, timeout_ms=timeout_ms)


def release_paused_records(consumer: KafkaConsumer) -> None:
    """Let a partition that was paused in the middle of a fetch go on after `resume`. Call it before each `poll`.

    Symptom: the fetcher keeps the rest of such a fetch and hands it out when `_next_partition_records` is None. It
    leaves an exhausted, falsy object there, so the partition never goes on. Seen in 3.0.12; the records are kept since
    https://github.com/dpkp/kafka-python/pull/2981
    """
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def with_rest_of_fetch(consumer: KafkaConsumer) -> set[int]:
    """The partitions (of one topic) of which a part of a fetch was handed out, and the rest waits.

    Symptom: `poll` hands out such rests before what has come meanwhile for other partitions, so that these wait for the
    end of all of them. Seen in 3.0.12; the rests are kept since https://github.com/dpkp/kafka-python/pull/2981
    """
    fetcher = consumer._fetcher
    rests = [*fetcher._paused_partition_records.values(), fetcher._next_partition_records]
    return {rest.topic_partition.partition for rest in rests if rest}


TOGETHER_BYTES = 256 * 1024
"""With so much at hand a broker answers at once."""


def fetch_together(consumer: KafkaConsumer, wait_ms: int) -> None:
    """Let brokers answer the next fetches with what has come within `wait_ms`; 0: with the first record, as soon as it
    comes.

    Symptom: `fetch_min_bytes` and `fetch_max_wait_ms` are fixed when a consumer is made, so that it waits for company
    always or never, and a wait between two polls does not help, since the next fetch is sent before it and answered
    with the first record that comes. Seen in 3.0.12; no upstream issue known.
    """
    least, most_ms = (TOGETHER_BYTES, wait_ms) if wait_ms else (1, consumer.config["fetch_max_wait_ms"])
    consumer._fetcher.config |= {"fetch_min_bytes": least, "fetch_max_wait_ms": most_ms}


# ---- producing ----------------------------------------------------------------------------------------------

NO_DELIVERY_TIMEOUT_MS = 24 * 3_600_000
"""A `delivery_timeout_ms` that no message reaches. Symptom: the producer gives up one batch and goes on with those
behind it, so that messages come out of order or wait for ever for a sequence number. Seen in 3.0.12 (the option is of
https://github.com/dpkp/kafka-python/pull/2597); `publisher` gives up everything at once instead."""


def append(
    producer: KafkaProducer, place: TopicPartition, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
) -> Any:
    """Send a small message to a partition that the producer knows. Returns its future.

    Symptom: `producer.send` asks for every message whether topic and partition exist and how large it may get, which
    takes two fifths of its time, and wakes its thread for every new batch, which takes as much again. Seen in 3.0.12;
    no upstream issue known. The message sets out with the next `wake` or `flush` at the latest.
    """
    future, full, _, _ = producer._accumulator.append(place, None, key, value, list(headers))
    if full:
        producer._sender.wakeup()
    return future


def wake(producer: KafkaProducer) -> None:
    """Let what `append` has queued set out."""
    producer._sender.wakeup()


def close_for_good(producer: KafkaProducer) -> None:
    """Close a producer and give up what is not acknowledged.

    Symptom: `producer.close` flushes first. If that times out it raises before it has closed anything, and the thread
    goes on sending. Seen in 3.0.12; no upstream issue known.
    """
    try:
        producer.close(timeout=1)
    except KafkaError:
        producer._sender.force_close()
        producer._sender.join(1)


# ---- errors -------------------------------------------------------------------------------------------------


def is_denied(error: Exception) -> bool:
    """Whether an error is a missing right.

    Symptom: the idempotent producer wraps `ClusterAuthorizationFailedError` into a KafkaError that only quotes it. Seen
    in 3.0.12; no upstream issue known.
    """
    return isinstance(error, AuthorizationError) or ClusterAuthorizationFailedError.__name__ in str(error)


def denied_names(error: Exception) -> list[str]:
    """The topics or groups that an error denies; none where it is about the cluster.

    Symptom: some calls raise the error with a name, others with a set or a list of names. Seen in 3.0.12; no upstream
    issue known.
    """
    if not isinstance(error, (TopicAuthorizationFailedError, GroupAuthorizationFailedError)):
        return []
    names: list[str] = []
    for argument in error.args:
        names += sorted(map(str, argument)) if isinstance(argument, (set, list)) else [str(argument)]
    return names
