"""Intake topics: systems publish over Kafka, each to a topic of its own under a name of its own.

CloudEvents of `gridpatrol.intake.<system>.v1`, structured or binary, in any partition, become the same events in the
inbox: checked as the door checks them, under the key and partition of their home. Refused ones become dead letters, of
which `/v1/outcomes` tells who sent them.

The name of a topic says who speaks, since only that system may write to it. A system that joins the file of principals
is listened to as soon as its topic is there. Offsets are committed when everything up to them is durable, so a crash
forwards some events twice; the owner of the partition tells them apart by source and id.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from engine import admission, failpoints
from engine.cluster import clients, kafka_quirks
from engine.errors import BrokerAway, BrokerRefuses, ClockDoubted, DatabaseUnusable
from engine.fair_queue import Full
from engine.inbox import Submission
from engine.loop import Loop
from engine.metrics.counters import intake_records
from engine.principals import Principals
from engine.quotas import Quota, Quotas
from engine.settings import Settings
from engine.store.database import DriverError
from engine.store.dead_letters import DeadLetter
from engine.writer import Ask, Keeping, Writer
from schemas import binary
from schemas.refusals import Reason, Refusal
from schemas.topics import Topics

log = logging.getLogger(__name__)

Queued = TypeVar("Queued", Ask, Keeping)

WAIT_S = 60.0
"""How long a fetched group of events may take to become durable."""
FETCH_BYTES = 128 * 1024
"""Of a partition so much is fetched at once, some hundred events: then other systems have their turn. A larger event
comes all the same."""
LOOK_S = 5.0
"""How often topics that are not there are looked for."""
STOP_S = 15.0
"""How long events that were fetched may take to be forwarded at a stop. After that another gateway forwards them, since
their offsets were not committed."""
EXPECTED = (BrokerAway, BrokerRefuses, ClockDoubted, DatabaseUnusable, KafkaError, OSError)


class Intake(Loop):
    """Forwards what systems publish. Every gateway runs one; the group shares the partitions among them."""

    def __init__(self, settings: Settings, writer: Writer, principals: Principals) -> None:
        super().__init__("intake")
        self.settings = settings
        self.writer = writer
        self.principals = principals
        self.topics = Topics(settings.kafka_prefix)
        self.systems: dict[str, str] = {}  # whose topic it is
        self.quotas = Quotas()
        self._found: list[str] = []  # topics that are there and listened to
        self._looked_s = self._member_s = 0.0
        self._consumer: KafkaConsumer | None = None
        self.records = intake_records(writer.engine.counters.registry)
        self._unstored = writer.engine.counters.unstored.labels("intake")

    def stop(self, within_s: float | None = STOP_S) -> None:
        """Stop fetching. What was fetched is forwarded first, if that can be done soon."""
        super().stop(within_s)
        if self.is_alive():
            log.warning("intake: not done within %d s: what was fetched is forwarded by another", within_s)

    # ---- the loop ---------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Fetch, forward, wait until it is durable, commit the offsets."""
        if self.writer.engine.wall.belief.doubt:  # what systems publish waits in their topics
            raise ClockDoubted("the wall clock of this machine is not believed", remedy="see /readyz", retry_s=1)
        self._follow()
        if self._consumer is None:
            return self.away_s
        fetched = self._consumer.poll(500)
        if not fetched:
            self.check_place(self._consumer)
            return 0.0
        try:
            queued = [self._forward(place.topic, message) for place, some in fetched.items() for message in some]
        except Full:
            return 0.0  # it is to stop; the next owner of the partitions forwards what was fetched
        for one in queued:
            if isinstance(one, Ask):
                one.durable.result(WAIT_S)
            elif one is not None:
                self.await_kept(one)
        failpoints.hit("intake.before_commit")
        ends = {place: OffsetAndMetadata(some[-1].offset + 1, "", -1) for place, some in fetched.items()}
        self._consumer.commit(ends)
        self._member_s = time.monotonic()  # without a place in the group this fails
        return 0.0

    def is_passing(self, error: Exception) -> bool:
        return True  # nothing was committed that is not durable, so it can always begin again

    def wait_out(self, error: Exception) -> float:
        if not isinstance(error, EXPECTED):
            log.error("intake: unexpected", exc_info=error)
        self._unstored.inc()
        self.release()
        return self.away_s

    def release(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close(timeout_ms=2000)

    def check_place(self, consumer: KafkaConsumer) -> None:
        """Leave the group where the place in it does not come, so that a fresh client joins."""
        now = time.monotonic()
        if kafka_quirks.is_member(consumer):
            self._member_s = now
        elif now - self._member_s > kafka_quirks.REJOIN_S:
            log.warning("intake: no place in the group for %d s: joining it anew", kafka_quirks.REJOIN_S)
            self.release()

    # ---- whom to listen to ------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Listen to the topics of those who are principals now, as far as they are there."""
        systems = {self.topics.intake(principal.name): principal.name for principal in self.principals}
        looked_for = len(self._found) == len(systems) or time.monotonic() - self._looked_s < LOOK_S
        if systems == self.systems and looked_for and (self._consumer is not None or not self._found):
            return
        self._looked_s, is_new, self.systems = time.monotonic(), systems != self.systems, systems
        found: list[str] = []
        if systems:
            asked = self._consumer or clients.consumer(self.settings, "intake")
            try:
                found = kafka_quirks.topics_found(asked, systems, clients.FIND_MS)
            finally:
                if asked is not self._consumer:
                    asked.close(timeout_ms=2000)
        if is_new and (missing := sorted(set(systems) - set(found))):
            log.warning("intake: no topic %s: run `gridpatrol topic create`", ", ".join(missing))
        if found == self._found and self._consumer is not None:
            return
        self.release()
        self._found = found
        self._member_s = time.monotonic()
        if found:
            group = self.topics.group("intake")
            limits = {"max_poll_records": 500, "max_partition_fetch_bytes": FETCH_BYTES}
            consumer = clients.consumer(self.settings, "intake", group_id=group, **limits)
            try:
                kafka_quirks.topics_found(consumer, found, clients.FIND_MS)
            except KafkaError:
                consumer.close(timeout_ms=2000)
                raise
            consumer.subscribe(found)
            self._consumer, self._member_s = consumer, time.monotonic()
            log.info("intake: listening to %s", ", ".join(found))

    # ---- one message ------------------------------------------------------------------------------------------

    def _forward(self, topic: str, message: Any) -> Ask | Keeping | None:
        """Queue a message for the inbox, or as a dead letter; None where its principal has more refused than is kept.

        How much a system may send at all is for the brokers to hold it to.
        """
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
            kept = self.quotas.may_keep(system, principal.quota if principal else Quota(), len(message.value or b""))
            self.records.labels(system, "refused" if kept else "not_kept").inc()
            if not kept:
                return None
            sent = raw if isinstance(raw, bytes) else binary.as_sent(headers, message.value or b"")
            return self.keep_letter(sent, received, system, TopicPartition(topic, message.partition), message.offset)
        self.records.labels(system, "forwarded").inc()
        return self.submit(received[0])

    def submit(self, submission: Submission) -> Ask:
        """Queue a submission as soon as there is room; Full where there is none and the loop is to stop."""
        return self.when_there_is_room(lambda: self.writer.submit(submission))

    def keep_letter(self, raw: bytes, refusal: Refusal, system: str, place: TopicPartition, offset: int) -> Keeping:
        """Queue a dead letter under the message's own place: fetched twice, it is kept once."""
        id_ = f"intake-{system}-{place.partition}-{offset}"
        letter = admission.letter(raw, refusal, system, self.writer.engine.wall.belief.now(), id_)
        return self.when_there_is_room(lambda: self.writer.keep(letter._replace(at_intake=True)))

    def await_kept(self, keeping: Keeping) -> None:
        """Wait until a letter is kept: without its names, where the database refuses those."""
        try:
            keeping.kept.result(WAIT_S)
        except DriverError as error:
            # The names of a sender or an event may be anything, and must not hold up the other senders.
            row, sealed, *_ = keeping.letter
            reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
            log.error("intake: letter %s is kept without its names: %s", row.id, reason)
            bare = {name: "" for name in ("field", "detail", "source", "event_id", "type", "case_id")}
            letter = DeadLetter(replace(row, **bare), sealed and replace(sealed, subject=""), at_intake=True)
            self.when_there_is_room(lambda: self.writer.keep(letter)).kept.result(WAIT_S)

    def when_there_is_room(self, queue: Callable[[], Queued]) -> Queued:
        """Queue something as soon as there is room; Full where there is none and the loop is to stop."""
        while True:
            try:
                return queue()
            except Full:
                if self.stop_asked.wait(0.05):
                    raise
