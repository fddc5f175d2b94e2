"""People who publish while things break: a load from a seed, senders that never give up, a ledger of what was promised.

Enters: a seed, a rate, the doors of gateways and a broker. Leaves: events in the log, and a ledger with every sending:
how often it was tried, and which place in the log it was promised.

Half of the events are lives of incidents as the benchmark tells them, half come from storms squeezed into seconds:
deadlines that fall due while things are killed, bursts of them at one instant, events that come early, late, twice, or
with other content. Beside that: resends of what was acknowledged already, forged actors, messages of a system over its
intake topic, and what does not belong there written straight into the inbox.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from random import Random
from typing import Any

import msgspec

from engine import admission
from engine.clock import now_ms
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, BrokerRefuses
from engine.settings import Settings
from gridpatrol.bench.workload import event_lines
from lab.events import DAY, instant
from lab.runs import pack_of
from lab.storm import BURST, FIRST, Storm
from schemas.partition import home_of
from schemas.refusals import Refusal
from schemas.topics import Topics
from workflows.policy import model
from workflows.policy.index import Policy

STORM_CASES = 30
STORM_MS = 18_000
"""How long a storm's week lasts here."""
WEEK = 8 * DAY
INSTANTS = ("deadline", "until", "due")
BATCH = 40
PATIENCE_S = 20.0
"""How long a phone waits for an answer. The door's own patience is longer, so some 202 are never heard."""
SENDERS = 3
AGAIN = 0.03
"""Share of acknowledged events that are sent again."""


@dataclass
class Sending:
    """An event as somebody sends it, until it is acknowledged."""

    raw: bytes
    source: str
    id: str
    subject: str
    tries: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    rejected: str = ""


@dataclass
class Ledger:
    """What was promised. `forwarded` are events that a broker took for an intake topic."""

    sendings: list[Sending] = field(default_factory=list)
    forwarded: list[Sending] = field(default_factory=list)
    strays: int = 0  # messages written straight into the inbox
    waiting: int = 0
    tries: int = 0
    resent: int = 0
    silent_s: float = 0.0  # the longest time in which no door took anything, though somebody tried
    highest: dict[int, int] = field(default_factory=dict)  # the last place that was promised, by partition


# ---- what is said -------------------------------------------------------------------------------------------


def squeezed_storm(seed: int, number: int, begin_ms: int) -> list[tuple[int, dict[str, Any]]]:
    """A storm's events with the instant of sending, squeezed; cases and ids are this storm's own."""
    burst = _linear(BURST, begin_ms)

    def squeezed(ms: int) -> int:
        return burst + ms - BURST if abs(ms - BURST) < 60_000 else _linear(ms, begin_ms)

    events = []
    for at, _, sent in sorted(Storm(seed * 1000 + number, STORM_CASES).sent, key=lambda item: item[:2]):
        event = json.loads(json.dumps(sent))
        subject = event["subject"]
        event["id"], event["subject"] = f"{number}-{event['id']}", f"{subject[:-12]}{number:04x}{subject[-8:]}"
        for holder, names in ((event, ("time", "recordedtime")), (event["data"], INSTANTS)):
            for name in names:
                if name in holder:
                    holder[name] = instant(squeezed(round(datetime.fromisoformat(holder[name]).timestamp() * 1000)))
        events.append((squeezed(at), event))
    return events


def _linear(ms: int, begin_ms: int) -> int:
    return begin_ms + max(0, min(ms - FIRST, WEEK)) * STORM_MS // WEEK


def everyday() -> Iterator[dict[str, Any]]:
    """Lives of incidents, without end, said now."""
    pack = pack_of("weiyang")
    for raw in event_lines(Policy(pack, model.digest(pack))):
        yield msgspec.json.decode(raw) | {"time": instant(now_ms())}


# ---- sending ------------------------------------------------------------------------------------------------


class Load:
    """Publishes at about `rate` events a second from `start` to `end`, then until everything is acknowledged."""

    def __init__(self, seed: int, rate: float, doors: Callable[[], list[str]], token: str = "") -> None:
        self.rng = Random(seed)
        self.seed, self.rate, self.doors, self.token = seed, rate, doors, token
        self.ledger = Ledger()
        self._queue: list[tuple[float, int, Sending]] = []
        self._guard = threading.Lock()
        self._ended, self._closed = threading.Event(), threading.Event()
        self._count = 0
        self._answered_s = self._tried_s = 0.0
        self._threads = [threading.Thread(target=self._write, daemon=True)]
        self._threads += [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(SENDERS)]

    def start(self) -> None:
        """Begin."""
        self._answered_s = time.monotonic()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Say nothing new; what was thought of for later and never sent is forgotten."""
        self._ended.set()
        self._threads[0].join()
        with self._guard:
            never = {id(sending) for _, _, sending in self._queue if not sending.tries}
            self._queue = [item for item in self._queue if id(item[2]) not in never]
            heapq.heapify(self._queue)
            self.ledger.sendings = [sending for sending in self.ledger.sendings if id(sending) not in never]
            self.ledger.waiting -= len(never)

    def close(self) -> None:
        """Stop, whatever is still to be sent."""
        self._ended.set()
        self._closed.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)

    def say(self, event: dict[str, Any], at_s: float) -> Sending:
        """Have an event sent at an instant of the monotonic clock."""
        sending = Sending(json.dumps(event).encode(), event["source"], event["id"], event["subject"])
        with self._guard:
            self.ledger.sendings.append(sending)
            self.ledger.waiting += 1
            self._push(at_s, sending)
        return sending

    def _push(self, at_s: float, sending: Sending) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_s, self._count, sending))

    def _write(self) -> None:
        """Think of events, as many as the rate asks for."""
        begin_s, said, storms, calm = time.monotonic(), 0, 0, everyday()
        stormy = 0
        while not self._ended.wait(0.05):
            due = (time.monotonic() - begin_s) * self.rate
            while said < due:
                if stormy < said / 2:
                    now, now_s = now_ms(), time.monotonic()
                    told = squeezed_storm(self.seed, storms, now)
                    storms += 1
                    stormy += len(told)
                    said += len(told)
                    for at, event in told:
                        self.say(event, now_s + (at - now) / 1000)
                else:
                    said += 1
                    self.say(next(calm), time.monotonic())

    def _send(self, number: int) -> None:
        """Publish what is due, in batches; what was not answered is sent again, now and then also what was."""
        rng = Random(self.seed * 10 + number)
        while not self._closed.is_set():
            batch: list[Sending] = []
            with self._guard:
                while self._queue and len(batch) < BATCH and self._queue[0][0] <= time.monotonic():
                    batch.append(heapq.heappop(self._queue)[2])
            if not batch:
                self._closed.wait(0.02)
                continue
            self._publish(batch, rng)

    def _publish(self, batch: list[Sending], rng: Random) -> None:
        doors = self.doors()
        results: list[dict[str, Any]] | None = None
        with suppress(OSError, ValueError, HTTPException):
            results = self._post(rng.choice(doors), batch) if doors else None
        with self._guard:
            self._note_answer(results is not None)
            for number, sending in enumerate(batch):
                sending.tries += 1
                self.ledger.tries += 1
                if results is None:
                    self._push(time.monotonic() + rng.uniform(0.2, 1.0), sending)
                else:
                    self._note(sending, results[number], rng)

    def _post(self, door: str, batch: list[Sending]) -> list[dict[str, Any]]:
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        body = b"[" + b",".join(sending.raw for sending in batch) + b"]"
        asked = urllib.request.Request(f"{door}/v1/events", body, headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["results"]
            return found

    def _note_answer(self, heard: bool) -> None:
        """How long nobody was heard: from the last answer to the first one after it, if something failed between."""
        now = time.monotonic()
        if not heard:
            self._tried_s = now
        elif self._tried_s > self._answered_s:
            self.ledger.silent_s = max(self.ledger.silent_s, now - self._answered_s)
        if heard:
            self._answered_s = now

    def _note(self, sending: Sending, result: dict[str, Any], rng: Random) -> None:
        first = not (sending.places or sending.rejected)
        if result["status"] == "accepted":
            place = (result["partition"], result["position"])
            sending.places.append(place)
            self.ledger.highest[place[0]] = max(place[1], self.ledger.highest.get(place[0], -1))
        else:
            sending.rejected = result["reason"]
        if first:
            self.ledger.waiting -= 1
        if not self._ended.is_set() and rng.random() < AGAIN:
            self.ledger.resent += 1
            self._push(time.monotonic() + rng.uniform(0, 3), sending)


# ---- over Kafka ---------------------------------------------------------------------------------------------


class Strays(threading.Thread):
    """A system that publishes over its intake topic, wherever its library puts things, and somebody who writes into
    the inbox what does not belong there."""

    def __init__(
        self, seed: int, brokers: str, prefix: str, partitions: int, system: str, ledger: Ledger, rate: float = 4.0
    ) -> None:
        super().__init__(daemon=True)
        self.rng = Random(seed + 1)
        self.brokers, self.topics, self.partitions = brokers, Topics(prefix), partitions
        self.system, self.ledger, self.rate = system, ledger, rate
        self._closed = threading.Event()
        self._said = 0

    def close(self) -> None:
        """Stop; what was sent last may have come or not."""
        self._closed.set()
        self.join()

    def run(self) -> None:
        """Publish until closed. A broker that is away is waited for."""
        publisher = Publisher(Settings(kafka=self.brokers), "stray")
        try:
            while not self._closed.wait(self.rng.expovariate(self.rate)):
                try:
                    self._publish(publisher) if self.rng.random() < 0.6 else self._stray(publisher)
                except (BrokerAway, BrokerRefuses):
                    self._closed.wait(0.5)
        finally:
            publisher.close()

    def _report(self) -> dict[str, Any]:
        self._said += 1
        home = f"WY{self.rng.randrange(1, 13):02}"
        case = f"{home}.01900000-0000-7000-9000-{self._said:012x}"
        return {
            "specversion": "1.0",
            "id": f"k{self._said}",
            "source": f"/{self.system}",
            "subject": case,
            "type": "gridpatrol.report.submitted.v1",
            "time": instant(now_ms()),
            "actor": "WY-12345",
            "data": {
                "category": "D3-04",
                "source": "hotline",
                "grid": f"{home}-01",
                "definition": "service_request",
                "deadline": instant(now_ms() + self.rng.randrange(500, 9000)),
            },
        }

    def _publish(self, publisher: Publisher) -> None:
        """An event in any partition of the intake topic, at times twice, at times in the name of a post not its own."""
        said = self._report()
        if self.rng.random() < 0.1:
            said["actor"] = "WY-SUPERVISOR"
        raw, topic = json.dumps(said).encode(), self.topics.intake(self.system)
        sending = Sending(raw, said["source"], said["id"], said["subject"])
        sending.rejected = "forbidden" if said["actor"] != "WY-12345" else ""
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            publisher.send(topic, "", raw, partition=self.rng.randrange(4))
        publisher.flush()
        self.ledger.forwarded.append(sending)

    def _stray(self, publisher: Publisher) -> None:
        """Something in the inbox that nobody should have put there."""
        received = admission.receive(json.dumps(self._report()).encode(), "stray", self.partitions)
        assert not isinstance(received, Refusal), received
        submission, event = received
        right, home, body = submission.partition, home_of(event.subject), submission.body.encode()
        wrong, kind = (right + 1) % self.partitions, ("kind", b"event")
        partition, value, headers = self.rng.choice(
            (
                (right, b"\xff\xfe{", [kind]),
                (right, b"", [kind]),
                (right, b'{"event": {"id": "\\u0000"}}', [kind]),
                (wrong, body, [kind, ("principal", b"x\x00y")]),
                (right, body, []),
                (right, body, [("kind", b"release")]),
                (right, b"no-such-pack", [("kind", b"nonsense")]),
                (wrong, b"", [("kind", b"tick")]),
            )
        )
        publisher.send(self.topics.inbox, home, value, headers, partition)
        publisher.flush()
        self.ledger.strays += 1
