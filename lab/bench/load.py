"""Events for a running installation, and who watches for what becomes of them.

Enters: a pack, a gateway's address, brokers. Leaves: events at the door, as fast as it takes them or at a given rate;
seconds from the instant at which each event was meant to be sent until its step, or its alert, is read from its topic.

A load that waits for answers hides the slowest ones: it sends nothing while it waits. Here every event has its instant
beforehand, and its seconds count from that instant, whether or not it could be sent then.
"""

from __future__ import annotations

import http.client
import queue
import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgspec
from kafka import KafkaConsumer, TopicPartition

from gridpatrol.bench import workload
from schemas import facts, messages
from schemas.topics import Topics
from workflows.policy.index import Policy

URGED_EVERY = 20
"""One event in so many urges (催办), which is told at once."""
AGE = 128
"""Reports since that of an incident when it is urged: it is in the middle of its life."""
SENDERS, LINES = 16, 32
"""Connections to the door: of threads that send batches, of the loop that sends one event per request."""
BATCH_S = 0.02
"""The load's events come in batches, one in this time."""
LATE_S = 60.0
"""How long is waited for what was sent."""
FETCH_BYTES, LOOK_MS = 65_536, 20
"""What is watched is read once in so many milliseconds: the broker is to be busy with the roles, and no event counts as
quicker than it was."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def traffic(policy: Policy, seed: int) -> Iterator[dict[str, Any]]:
    """Incidents side by side from report to closing, some of them urged. No event has an instant yet."""
    reported: deque[dict[str, Any]] = deque(maxlen=AGE)
    for number, event in enumerate(workload.incidents(policy, Random(seed)), 1):
        yield event
        if event["type"] == "gridpatrol.report.submitted.v1":
            reported.append(event)
        if number % (URGED_EVERY - 1) == 0 and len(reported) > AGE // 2:
            about = reported.popleft()
            yield about | {"id": f"{about['id']}-urged", "type": "gridpatrol.incident.urged.v1", "data": {}}


def written(event: dict[str, Any]) -> bytes:
    """An event that happens now."""
    event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode(event)


# ---- sending ------------------------------------------------------------------------------------------------


class Door:
    """Connections to a gateway, one per thread that asks."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self._own = threading.local()

    def send(self, events: Sequence[bytes]) -> None:
        """Send a batch, or one event alone; back when it is durable. Nothing that is sent here may be refused."""
        kind = "application/cloudevents+json" if len(events) == 1 else "application/cloudevents-batch+json"
        body = events[0] if len(events) == 1 else b"[" + b",".join(events) + b"]"
        line: http.client.HTTPConnection | None = getattr(self._own, "line", None)
        if line is None:
            line = self._own.line = http.client.HTTPConnection(self.host, timeout=90)
        status = 503
        while status in (429, 503):
            line.request("POST", "/v1/events", body, {"Content-Type": kind})
            answer = line.getresponse()
            status, results = answer.status, answer.read()
            if status in (429, 503):
                time.sleep(0.05)  # too busy: it asks for patience
        if status != 202 or (len(events) > 1 and b'"rejected":0' not in results):
            raise RuntimeError(f"the load was not taken: {status} {results[:400]!r}")


class Senders:
    """Threads that send what is queued, in the order of queueing."""

    def __init__(self, door: Door, count: int = SENDERS) -> None:
        self.failed: list[BaseException] = []
        self._queue: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._door = door
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def put(self, events: list[bytes]) -> None:
        """Have a batch sent."""
        self._queue.put(events)

    def close(self) -> None:
        """Until everything is durable."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        if self.failed:
            raise self.failed[0]

    def _run(self) -> None:
        while (events := self._queue.get()) is not None:
            try:
                self._door.send(events)
            except BaseException as error:
                self.failed.append(error)
                return


def fill(url: str, events: Iterator[dict[str, Any]], number: int, batch: int, senders: int) -> int:
    """Send so many events as fast as the door takes them. How many."""
    line = Senders(Door(url), senders)
    for k in range(0, number, batch):
        line.put([written(event) for event in islice(events, min(batch, number - k))])
    line.close()
    return number


def steady(
    url: str,
    events: Iterator[dict[str, Any]],
    rate: float,
    seconds: float,
    watch: LatencyMeter | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Send so many events a second for so long, each at its instant. How many."""
    line = Senders(Door(url))
    began, sent = time.monotonic(), 0
    for tick in range(1, int(seconds / BATCH_S) + 1):
        meant = began + tick * BATCH_S
        due = int(rate * tick * BATCH_S) - sent
        if due < 1:
            continue
        time.sleep(max(0.0, meant - time.monotonic()))
        if (stop is not None and stop.is_set()) or line.failed:
            break
        batch = list(islice(events, due))
        if watch is not None:
            watch.expect(batch, meant)
        line.put([written(event) for event in batch])
        sent += due
    line.close()
    return sent


def one_by_one(
    url: str, events: Iterator[dict[str, Any]], rate: float, seconds: float, watch: LatencyMeter | None = None
) -> int:
    """Send so many events a second for so long, each in a request of its own and at its instant. How many.

    It is one loop on raw sockets, so that it takes little of the machine that is measured.
    """
    where, number, sent = urlsplit(url), int(rate * seconds), 0
    head = f"POST /v1/events HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/cloudevents+json\r\n"
    with ExitStack() as stack:
        address = (where.hostname or "", where.port or 80)
        lines = [stack.enter_context(socket.create_connection(address, LATE_S)) for _ in range(LINES)]
        idle, busy, began = deque(lines), dict[socket.socket, bytes](), time.monotonic()
        while sent < number or busy:
            meant = began + sent / rate
            left_s = max(0.0, meant - time.monotonic()) if idle and sent < number else LATE_S
            if left_s:
                heard, _, _ = select.select(list(busy), (), (), left_s)
                if not heard and left_s == LATE_S:
                    raise RuntimeError(f"the door gave no answer within {LATE_S:.0f} s")
                for line in heard:
                    if _is_taken(line):
                        del busy[line]
                        idle.append(line)
                    else:
                        line.sendall(busy[line])
                continue
            event = next(events)
            if watch is not None:
                watch.expect([event], meant)
            body, line = written(event), idle.popleft()
            busy[line] = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            line.sendall(busy[line])
            sent += 1
    return sent


def _is_taken(line: socket.socket) -> bool:
    """Read an answer of the door. False where it asks for patience; RuntimeError where it does not take the event."""
    answer = b""
    while not (length := LENGTH.search(answer)) or len(answer) < answer.find(b"\r\n\r\n") + 4 + int(length[1]):
        if not (more := line.recv(65_536)):
            raise RuntimeError(f"the door hung up: {answer[:400]!r}")
        answer += more
    status = answer[9:12]
    if status in (b"429", b"503"):
        time.sleep(0.05)
        return False
    if status != b"202":
        raise RuntimeError(f"the load was not taken: {answer[:400]!r}")
    return True


# ---- watching -----------------------------------------------------------------------------------------------


class LatencyMeter(threading.Thread):
    """Reads the topics of facts and alerts from their present end on, and tells for each event how long it took."""

    def __init__(self, kafka: str, prefix: str) -> None:
        super().__init__(name="watch", daemon=True)
        names = Topics(prefix)
        self.facts = names.facts
        self.steps: list[float] = []
        self.alerts: list[float] = []
        self._meant: dict[tuple[str, str], float] = {}  # (source, id) -> when it was meant to be sent
        self._urged: dict[str, float] = {}  # case -> when its urging was meant to be sent
        self._over = threading.Event()
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka,
            enable_auto_commit=False,
            max_poll_records=2000,
            metrics_enabled=False,
            fetch_min_bytes=FETCH_BYTES,
            fetch_max_wait_ms=LOOK_MS,
        )
        places = [
            TopicPartition(topic, p)
            for topic in (names.facts, names.alerts)
            for p in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(places)
        self._consumer.seek_to_end()
        for place in places:
            self._consumer.position(place)

    def expect(self, events: list[dict[str, Any]], meant: float) -> None:
        """These events are sent at this instant (time.monotonic)."""
        for event in events:
            self._meant[event["source"], event["id"]] = meant
            if event["type"] == "gridpatrol.incident.urged.v1":
                self._urged[event["subject"]] = meant

    def close(self) -> None:
        """Wait for the rest, and stop."""
        until = time.monotonic() + LATE_S
        while (self._meant or self._urged) and time.monotonic() < until:
            time.sleep(0.02)
        self._over.set()
        self.join()
        self._consumer.close()
        if self._meant or self._urged:
            first = [*self._meant, *self._urged][:3]
            raise RuntimeError(f"{len(self._meant)} steps and {len(self._urged)} alerts did not come, such as {first}")

    def run(self) -> None:
        """Until closed."""
        while not self._over.is_set():
            for place, batch in self._consumer.poll(100).items():
                now = time.monotonic()
                for message in batch:
                    if place.topic == self.facts:
                        cause = facts.decode_step(message.value).cause
                        if (meant := self._meant.pop((cause.source, cause.id), None)) is not None:
                            self.steps.append(now - meant)
                    else:
                        line = messages.decode_alert(message.value)
                        urged = (line.kind, line.on) == ("notice", "urged")
                        if urged and (meant := self._urged.pop(line.case, None)) is not None:
                            self.alerts.append(now - meant)


def rank(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed: nearest rank."""
    return sorted(values)[max(0, ceil(len(values) * share) - 1)]
