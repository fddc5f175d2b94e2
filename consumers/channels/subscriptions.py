"""The senders of all subscriptions: one thread takes, composes and records, a few others only send.

1. The feed is read once for all of them. Those for whom a page of it has nothing are moved on in one statement; the
   others take their lines as channels do, with their own places, messages, retries and records.
2. A subscription that has nothing to tell costs nothing: each says when it wakes.
3. Of the threads that send, at most half are with subscriptions whose last try failed: those that hang delay
   themselves. Each has one message under way.
4. What is told is what its principal may be told at that moment. One whose principal is not known waits; one of a
   person whose token has ended, ends.
"""

import logging
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import msgspec

from consumers.channels.outcome import Outcome
from consumers.channels.routing import MayTell, matches
from consumers.channels.sender import LOOK_S, PAGE, ChannelSender, Send
from consumers.channels.settings import Channel, ChannelFile, Route, Secret, digest_minutes
from engine.clock import now_ms
from engine.errors import GridpatrolError, StaleWriter
from engine.loop import Loop
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.store import channels, people, subscriptions
from engine.store.alerts import DeliveryRow, last_number, read_feed
from engine.store.channels import ChannelMessage
from engine.store.database import Connection, Database, DriverError, refuses
from engine.store.subscriptions import SubscriptionRow
from engine.subscribers import Subscribers, is_person, post_of
from engine.views.readers import readable_by
from engine.views.subscriptions import decode_selection
from schemas.messages import Line, decode_line
from workflows.clocks.limits import DAY_MS
from workflows.policy.index import Policy

log = logging.getLogger(__name__)

LABEL = "subscriptions"
"""What metrics call all of them together."""
THREADS = 8
"""Messages that are sent at once."""
PER_MINUTE = 60
"""Messages a minute of one subscription."""
TIMEOUT_S = 10
"""How long the other side may take."""
ASK_EVERY_S = 5.0
"""How often it is looked for messages that an operator lets try anew."""
STOP_S = 15.0
FORGET_EVERY_S = 3600.0


class Attempt(NamedTuple):
    """A message under way, by its sender."""

    sender: ChannelSender
    message: ChannelMessage


class SubscriptionSenders(Loop):
    """Tells all subscriptions that have a webhook. `now`: the judged wall clock, ms since 1970; `base`: the file whose
    links and days count."""

    away_s = 1.0

    def __init__(
        self,
        database: Database,
        base: ChannelFile,
        who: Subscribers,
        counters: Counters,
        now: Callable[[], int],
        send: Send,
        *,
        private: bool = False,
    ) -> None:
        super().__init__(LABEL)
        self.database, self.base, self.who = database, base, who
        self._counters, self._now, self._send, self._private = counters, now, send, private
        self._policies = Policies()
        self._change, self._head = -1, -1
        self.rows: dict[str, SubscriptionRow] = {}  # of webhooks that stand
        self.senders: dict[str, ChannelSender] = {}
        self._held = set[str]()  # principals that are not known
        self._wakes: dict[str, int] = {}
        self._flying: dict[str, Attempt] = {}
        self._done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gridpatrol-subscription")
        self._asked_s = self._forgot_s = float("-inf")

    # ---- the loop -------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """See what has changed, take a page of the feed, send what is due, record what came back."""
        self._refresh()
        now = self._now()
        more = bool(self.senders) and self._take(now)
        self._send_due(now)
        self._forget(now)
        if not self._flying:
            return 0.0 if more else LOOK_S
        self._record_done(0.0 if more else LOOK_S)
        return 0.0

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, DriverError)) and not refuses(error)

    def release(self) -> None:
        """Wait for the answers that are under way, and record them."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        until = self.clock() + STOP_S
        while self._flying and (left := until - self.clock()) > 0:
            try:
                self._record_done(left)
            except DriverError as error:
                log.warning("subscriptions: what came of a message was not recorded: %s", error)

    # ---- which there are ------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read what has changed of subscriptions and of their principals."""
        self.who.look(self.database)
        with self.database.read() as connection:
            change = subscriptions.last_change(connection)
            fresh = []
            if change != self._change:
                if change < self._change:  # another database was put in the place of this one
                    self._change, self.rows, self.senders = -1, {}, {}
                fresh = subscriptions.changed_since(connection, self._change)
        for row in fresh:
            self.rows.pop(row.id, None)
            self.senders.pop(row.id, None)
            self._wakes.pop(row.id, None)
            if row.kind == "webhook" and not row.ended_at:
                self.rows[row.id], self.senders[row.id] = row, self._sender(row)
                self._wakes[row.id] = 0
                self._head = -1
        self._change = change
        self._look_at_principals()

    def _sender(self, row: SubscriptionRow) -> ChannelSender:
        """The sender of a subscription: that of a channel which one route leads to, at any hour."""
        channel = channel_of(row, self._private, self._now())
        route = Route(
            name=row.name,
            channels=(row.id,),
            digest_at=digest_minutes(),
            quiet=(0, 0),
            **msgspec.structs.asdict(decode_selection(row.asks)),
        )
        file = msgspec.structs.replace(self.base, channels={row.id: channel}, routes=(route,))

        def rights(connection: Connection, register: Policy) -> MayTell:
            return may_tell(connection, self._policies, self.who, row.principal, self._now())

        return ChannelSender(
            self.database, file, channel, self._counters, self._now, self._send, label=LABEL, rights=rights
        )

    def _look_at_principals(self) -> None:
        """Hold the subscriptions of principals that are not known, and end those of people whose token has ended."""
        unknown = {row.principal for row in self.rows.values() if self.who.named(row.principal) is None}
        for name in sorted(unknown):
            if is_person(name):
                self._end_without_token(name)
            elif name not in self._held:
                log.warning("subscriptions.held", extra={"principal": name})
        if back := self._held - unknown:
            self._head = -1
            self._wakes |= {row.id: 0 for row in self.rows.values() if row.principal in back}
        for row in self.rows.values():
            if row.old_until and row.old_until <= self._now():  # the old secret signs no more
                row.old_secret, row.old_until = "", 0
                self.senders[row.id] = self._sender(row)
        self._held = unknown

    def _end_without_token(self, person: str) -> None:
        """End the subscriptions of a person who has no token. One that was given a moment ago may not be known yet."""
        with self.database.begin() as connection:
            if not people.of_post(connection, post_of(person), now_ms()):
                subscriptions.end_of(connection, person, self._now(), "its principal's token has ended")

    def _is_held(self, id_: str) -> bool:
        return self.rows[id_].principal in self._held

    # ---- take -----------------------------------------------------------------------------------------------

    def _take(self, now: int) -> bool:
        """Let all take in the next page of the feed that some have not. Whether there may be more."""
        with self.database.read() as connection:
            head = last_number(connection)
            if head == self._head:
                return False
            places = {id_: n for id_, n in channels.places(connection).items() if id_ in self.senders}
            behind = {id_: n for id_, n in places.items() if n < head and not self._is_held(id_)}
            if not behind:
                self._head = head
                return False
            first = min(behind.values())
            page = read_feed(connection, first, "/", "", PAGE)
            upto = page[-1].number
            lines = [(row.number, whole_line(row)) for row in page]
            behind = {id_: n for id_, n in behind.items() if n < upto}
            asked = {
                id_ for id_, n in behind.items() if self._asks(id_, [line for k, line in lines if k > n], connection)
            }
        passed = sorted(behind.keys() - asked)
        if passed:
            with self.database.begin() as connection:
                channels.pass_over(connection, passed, upto)
        for id_ in sorted(asked):
            with suppress(StaleWriter):  # it has ended a moment ago
                self.senders[id_].take(now)
                self._wakes[id_] = 0
        return True

    def _asks(self, id_: str, lines: list[Line], connection: Connection) -> bool:
        """Whether some of these lines are for a subscription, or for what it has still to tell."""
        sender = self.senders[id_]
        [route] = sender.config.routes
        found = [line for line in lines if any(matches(route, line, post) for post in (*line.recipients, line.by))]
        if not found:
            return False
        routing = sender.routing(connection)
        return any(
            line.what == "acknowledged" or any(routing.route_of(line, post) is not None for post in line.recipients)
            for line in found
        )

    # ---- send -----------------------------------------------------------------------------------------------

    def _send_due(self, now: int) -> None:
        """Hand what is due to the threads that send, as far as some are free."""
        self._wake_tried_anew(now)
        ready = [id_ for id_, at in self._wakes.items() if at <= now and id_ not in self._flying]
        for id_ in sorted(ready, key=lambda id_: (self.senders[id_].failures > 0, self._wakes[id_])):
            sender = self.senders[id_]
            slow = sum(attempt.sender.failures > 0 for attempt in self._flying.values())
            if len(self._flying) >= THREADS or (sender.failures and slow >= THREADS // 2):
                break
            if self._is_held(id_):
                del self._wakes[id_]
                continue
            sender.begin(now)
            message = sender.next_to_send(now)
            if message is None:
                self._sleep(id_, now)
                continue
            self._flying[id_] = Attempt(sender, message)
            self._pool.submit(self._fly, id_, sender, message, now)

    def _fly(self, id_: str, sender: ChannelSender, message: ChannelMessage, now: int) -> None:
        """Send a message, on a thread of the pool."""
        outcome = Outcome("again", "it was not sent", whole=False)
        try:
            outcome = sender.attempt(message, now)
        finally:
            self._done.put((id_, outcome))

    def _record_done(self, within_s: float) -> None:
        """Record what came of messages: of those that are back, or of the first that comes back in time."""
        try:
            while True:
                id_, outcome = self._done.get(timeout=within_s) if within_s else self._done.get_nowait()
                within_s = 0.0
                sender, message = self._flying.pop(id_)
                sender.judge(message, outcome)
                if id_ in self.senders:
                    self._wakes[id_] = 0
        except queue.Empty:
            pass

    def _sleep(self, id_: str, now: int) -> None:
        """A subscription with nothing to send now: it wakes when there will be."""
        at = self.senders[id_].wakes_at()
        if at is None:
            self._wakes.pop(id_, None)
        else:
            self._wakes[id_] = max(at, now + int(LOOK_S * 1000))

    def _wake_tried_anew(self, now: int) -> None:
        """Now and then, wake those with messages of which this process does not know that they are to be tried."""
        if self.clock() - self._asked_s < ASK_EVERY_S:
            return
        self._asked_s = self.clock()
        with self.database.read() as connection:
            due = channels.subscriptions_due(connection, now)
        for id_ in due:
            if id_ in self.senders:
                self._wakes.setdefault(id_, 0)

    def _forget(self, now: int) -> None:
        """Take away records that are old enough; of subscriptions that ended, too."""
        if self.clock() - self._forgot_s < FORGET_EVERY_S:
            return
        self._forgot_s = self.clock()
        before = now - self.base.keep_days * DAY_MS
        with self.database.begin() as connection:
            channels.forget(connection, before, 2000)
            subscriptions.forget(connection, before)


def channel_of(row: SubscriptionRow, private: bool, now: int) -> Channel:
    """The webhook of a subscription, as channels have them. Two secrets sign while the old one still counts."""
    old = row.old_secret if row.old_until > now else ""
    return Channel(
        name=row.id,
        kind="webhook",
        url=Secret(row.url),
        secret=Secret(f"{row.secret}\n{old}".strip()),
        private=private,
        per_minute=PER_MINUTE,
        timeout_s=TIMEOUT_S,
        wait_s=row.wait_s,
    )


def whole_line(row: DeliveryRow) -> Line:
    """A line of the feed, with its kind of case, which old ones have beside them only."""
    return msgspec.structs.replace(decode_line(row.body), definition=row.definition)


def may_tell(connection: Connection, policies: Policies, who: Subscribers, name: str, now: int) -> MayTell:
    """What a principal may be told now: what its posts are told, and what it reads. Nothing where it is not known."""
    principal = who.named(name)
    if principal is None:
        return lambda line, post: False
    readable = readable_by(connection, policies, principal, now)

    def told(line: Line, post: str) -> bool:
        speaks = principal.may_speak(post)
        return readable.may_be_told(line.definition, line.path, line.recipients, post, speaks)

    return told
