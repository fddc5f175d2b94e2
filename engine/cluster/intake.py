"""Intake topics: what systems publish over Kafka, each to a topic of its own under a name of its own.

In: CloudEvents of `gridpatrol.intake.<system>.v1`, structured or binary, in any partition. Out: the same events in the
inbox, checked as the door checks them, under the key and partition of their home; what is refused is a dead letter.

A topic's name says who speaks: only that system may write to it. A system that joins the file of principals is listened
to as soon as its topic is there. Offsets are told to the group when everything up to them is durable, so a crash
forwards some events twice: the owner of the partition tells them apart by source and id.
"""

import logging
import threading
import time
from collections.abc import Collection
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from engine import admission, failpoints
from engine.clock import now_ms
from engine.cluster import clients
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable
from engine.metrics.counters import intake_records
from engine.principals import Principals
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import dead_letters
from engine.store.database import DriverError, refuses
from engine.store.dead_letters import DeadLetter
from engine.writer import Ask, Full, Writer
from schemas import binary
from schemas.refusals import Reason, Refusal
from schemas.topics import Topics

log = logging.getLogger(__name__)

WAIT_S = 60.0
"""How long a fetched group of events may take to become durable."""
AWAY_S = 1.0
LOOK_S = 5.0
"""How often topics that are not there are looked for."""
CLOSE_S = 15.0
"""How long what was fetched may take to be forwarded in the end. Another gateway forwards again what the group was not
told of."""


class Intake(threading.Thread):
    """Forwards what systems publish. Every gateway runs one; the group shares the partitions among them."""

    def __init__(self, settings: Settings, writer: Writer, principals: Principals) -> None:
        super().__init__(name="gridpatrol-intake", daemon=True)
        self.settings = settings
        self.writer = writer
        self.principals = principals
        self.topics = Topics(settings.kafka_prefix)
        self.systems: dict[str, str] = {}  # whose topic it is
        self._there: list[str] = []  # topics that are listened to
        self._looked = self._seated = 0.0
        self._consumer: KafkaConsumer | None = None
        self._stopped = threading.Event()
        self.records = intake_records(writer.engine.counters.registry)
        self._unstored = writer.engine.counters.unstored.labels("intake")

    def close(self) -> None:
        """Stop fetching; what was fetched is forwarded first, if that can be done soon."""
        self._stopped.set()
        self.join(CLOSE_S)
        if self.is_alive():
            log.warning("intake: not done within %d s: what was fetched is forwarded by another", CLOSE_S)

    def run(self) -> None:
        """Until closed. What only waiting cures is waited for: nothing is told to the group before it is durable."""
        while not self._stopped.is_set():
            try:
                self._turn()
            except Full:
                break  # while stopping: whoever has the partitions next forwards what was fetched
            except (BrokerAway, BrokerRefuses, DatabaseUnusable, KafkaError, OSError) as error:
                log.error("intake: %s; trying again", error)
                self._unstored.inc()
                self._leave()
                self._stopped.wait(AWAY_S)
            except Exception:
                log.exception("intake: unexpected; trying again")
                self._unstored.inc()
                self._leave()
                self._stopped.wait(AWAY_S)
        self._leave()

    def _turn(self) -> None:
        """Fetch, forward, wait until it is durable, tell the group."""
        self._follow()
        if self._consumer is None:
            self._stopped.wait(AWAY_S)
            return
        fetched = self._consumer.poll(500)
        if not fetched:
            self._look_at_seat(self._consumer)
            return
        asks = [self._forward(place.topic, message) for place, some in fetched.items() for message in some]
        for ask in asks:
            if ask is not None:
                ask.durable.result(WAIT_S)
        failpoints.hit("intake.before_commit")
        ends = {place: OffsetAndMetadata(some[-1].offset + 1, "", -1) for place, some in fetched.items()}
        self._consumer.commit(ends)
        self._seated = time.monotonic()  # without a place this fails

    def _look_at_seat(self, consumer: KafkaConsumer) -> None:
        """Who waits in vain for a place in the group joins by a fresh client."""
        now = time.monotonic()
        if clients.seated(consumer):
            self._seated = now
        elif now - self._seated > clients.UNSEATED_S:
            log.warning("intake: no place in the group for %d s: joining it anew", clients.UNSEATED_S)
            self._leave()

    # ---- whom to listen to ------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Listen to the topics of those who are principals now, as far as they are there."""
        systems = {self.topics.intake(principal.name): principal.name for principal in self.principals}
        looked_for = len(self._there) == len(systems) or time.monotonic() - self._looked < LOOK_S
        if systems == self.systems and looked_for and (self._consumer is not None or not self._there):
            return
        self._looked, news, self.systems = time.monotonic(), systems != self.systems, systems
        there = self._find(systems)
        if news and (missing := sorted(set(systems) - set(there))):
            log.warning("intake: no topic %s: run `gridpatrol topic create`", ", ".join(missing))
        if there != self._there or self._consumer is None:
            self._leave()
            self._there = there
            self._consumer = self._join(there) if there else None
            self._seated = time.monotonic()

    def _find(self, systems: Collection[str]) -> list[str]:
        """Those of these topics that are there."""
        if not systems:
            return []
        asked = self._consumer or clients.consumer(self.settings, "intake")
        try:
            return clients.known(asked, systems)
        finally:
            if asked is not self._consumer:
                asked.close(timeout_ms=2000)

    def _join(self, there: list[str]) -> KafkaConsumer:
        """A member of the group. It knows the topics before it subscribes: else it can stay without partitions."""
        consumer = clients.consumer(self.settings, "intake", group_id=self.topics.group("intake"), max_poll_records=500)
        try:
            clients.known(consumer, there)
        except KafkaError:
            consumer.close(timeout_ms=2000)
            raise
        consumer.subscribe(there)
        log.info("intake: listening to %s", ", ".join(there))
        return consumer

    def _leave(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close(timeout_ms=2000)

    # ---- one message ------------------------------------------------------------------------------------------

    def _forward(self, topic: str, message: Any) -> Ask | None:
        """One message: queued for the inbox, or kept as a dead letter."""
        system = self.systems[topic]
        principal = self.principals.named(system)
        headers = [(name, value) for name, value in message.headers or ()]
        raw = binary.structured(headers, message.value or b"")
        received: Any = raw
        if principal is None:
            received = Refusal(Reason.FORBIDDEN, "", f"there is no principal {system} any more")
        elif not isinstance(raw, Refusal):
            received = admission.admit(raw, principal, self.writer.engine.count)
        if isinstance(received, Refusal):
            self.records.labels(system, "refused").inc()
            sent = raw if isinstance(raw, bytes) else binary.as_sent(headers, message.value or b"")
            self._keep(sent, received, system, TopicPartition(topic, message.partition), message.offset)
            return None
        self.records.labels(system, "forwarded").inc()
        return self._submit(received[0])

    def _submit(self, submission: Any) -> Ask:
        """Queue it, as soon as there is room. Full: there was none when it was to stop."""
        while True:
            try:
                return self.writer.submit(submission)
            except Full:
                if self._stopped.wait(0.05):
                    raise

    def _keep(self, raw: bytes, refusal: Refusal, system: str, place: TopicPartition, offset: int) -> None:
        """A dead letter under the message's own place: fetched twice, it is kept once."""
        id_ = f"intake-{system}-{place.partition}-{offset}"
        letter = admission.letter(raw, refusal, system, now_ms(), id_)
        try:
            self._write(letter)
        except DriverError as error:
            if not refuses(error):
                raise
            # Whatever a sender names itself or its event: it stops nobody else's.
            said = str(getattr(error, "orig", None) or error).partition("\n")[0]
            log.error("intake: letter %s is kept without its names: %s", id_, said)
            bare = {name: "" for name in ("field", "detail", "source", "event_id", "type", "case_id")}
            self._write(DeadLetter(replace(letter.row, **bare), letter.sealed and replace(letter.sealed, subject="")))

    def _write(self, letter: DeadLetter) -> None:
        def write(engine: Engine) -> None:
            with engine.database.begin() as connection:
                dead_letters.write(connection, [letter])

        self.writer.call(write).result(WAIT_S)
