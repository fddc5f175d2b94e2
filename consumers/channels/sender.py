"""The sender of one channel, or of one subscription: it reads the feed from its own place and tells what is its
to tell.

1. Take: the next lines of the feed become lines of this channel, and its place moves on, in one transaction.
2. Compose: what is due for one recipient becomes one message, with an id and a body that stay as they are.
3. Send, outside of any transaction. Then record what came of it. A process that is killed in between sends the same
   message again, under the same id.
4. What fails is tried again, later each time, and given up after `tries`, or a day. While the channel itself fails, no
   other message of it is tried: what comes meanwhile is told together afterwards.
5. A subscription is told what its principal may be told at that moment: that is asked when a line is taken, when it is
   composed, and before each further try.
"""

import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from consumers.channels.letters import letters
from consumers.channels.message import Message, ToldLine, compose
from consumers.channels.outcome import Outcome
from consumers.channels.routing import STALE_MS, MayTell, Routing, Taken
from consumers.channels.settings import Channel, ChannelFile
from engine import failpoints
from engine.failures import named
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.store import channels
from engine.store.alerts import read_feed
from engine.store.channels import ChannelLine, ChannelMessage
from engine.store.database import Connection, Database
from engine.views.names import Names, active_names
from schemas.messages import Line, decode_line
from workflows.clocks.limits import DAY_MS
from workflows.policy.index import Policy

log = logging.getLogger(__name__)

PAGE = 200
"""Lines of the feed that are taken in one transaction."""
MOST_LINES = {"webhook": 100}
"""Lines of one message. For people 20 cases are named, and the rest is counted."""
MOST = 2000
LOOK_S = 0.5
"""How often, at most, a channel looks for what there is to tell."""
APART_S = {"feishu": 0.25}
"""From one message to the next: a robot of 飞书 takes five a second."""
BACKOFF_S = 5.0
"""The first pause after a failure; each later one is four times as long, up to an hour."""
MOST_BACKOFF_S = 3600.0
OUTCOMES = ("sent", "given_up", "overtaken", "too_old")
MINUTE_MS = 60_000
FORGET_EVERY_MS = 3_600_000

WITHHELD = "it may not be read any more by who subscribed"

Send = Callable[[Channel, Message, int], Outcome]
Rights = Callable[[Connection, Policy], MayTell]
"""What may be told now, under the active pack."""


class ChannelSender:
    """Tells what one channel has to tell. `now`: the judged wall clock, ms since 1970; `lots`: from 0 to 1, for the
    jitter; `label`: how it is counted; `rights`: whose reading it is bound by. For one thread, `attempt` apart."""

    def __init__(
        self,
        database: Database,
        config: ChannelFile,
        channel: Channel,
        counters: Counters,
        now: Callable[[], int],
        send: Send,
        lots: Callable[[], float] = random.random,
        label: str = "",
        rights: Rights | None = None,
    ) -> None:
        self.database, self.config, self.channel = database, config, channel
        self._now, self._send, self._lots = now, send, lots
        self._policies, self._rights = Policies(), rights
        self.label = label or channel.name
        self._told, self._asked = counters.deliveries, counters.channel_requests
        for outcome in OUTCOMES:  # each has a series, so that an alarm sees a rise from nothing
            self._told.labels(self.label, outcome)
        for result in ("sent", "again", "refused"):
            self._asked.labels(self.label, result)
        self.failures = 0  # of the channel, in a row
        self._paused_until = 0
        self._forgotten_at = 0
        self._begun = False
        self._tried: deque[int] = deque()  # within the last minute

    # ---- one look -------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Take a page of the feed, and send a message if one is due."""
        now = self._now()
        self.begin(now)
        full = self.take(now)
        sent = self.send_next(now)
        self._forget(now)
        if sent:
            return APART_S.get(self.channel.kind, 0.0)
        return 0.0 if full else LOOK_S

    def begin(self, now: int) -> None:
        """Find the place in the feed, and what was tried a moment ago by another process."""
        if self._begun:
            return
        with self.database.begin() as connection:
            if self._rights is None:  # a subscription has its place since it was made
                channels.begin(connection, self.channel.name)
            self._tried = deque(channels.tried_since(connection, self.channel.name, now - MINUTE_MS))
        self._begun = True

    def _forget(self, now: int) -> None:
        if now - self._forgotten_at >= FORGET_EVERY_MS:
            self._forgotten_at = now
            with self.database.begin() as connection:
                channels.forget(connection, now - self.config.keep_days * DAY_MS, MOST)

    def wakes_at(self) -> int | None:
        """When there is something to send as far as is known now (ms since 1970); None: nothing waits."""
        with self.database.read() as connection:
            first = channels.first_due(connection, self.channel.name)
            message = channels.next_message(connection, self.channel.name)
        due = ([first.due_at] if first is not None else []) + ([message.next_at] if message is not None else [])
        if not due:
            return None
        crowded = self._tried[0] + MINUTE_MS if len(self._tried) >= self.channel.per_minute else 0
        return max(min(due), self._paused_until, crowded)

    def routing(self, connection: Connection) -> Routing:
        """The routes under the active pack, and what may be told by them now."""
        register = active_names(connection, self._policies).register
        may_tell = self._rights(connection, register) if self._rights is not None else None
        return Routing(self.config, self.channel, register, may_tell)

    # ---- take -----------------------------------------------------------------------------------------------

    def take(self, now: int) -> bool:
        """Take in the next lines of the feed. Whether there may be more."""
        name = self.channel.name
        with self.database.read() as connection:
            was, last = channels.place(connection, name)
            if was >= last:
                return False
            routing = self.routing(connection)
        with self.database.begin() as connection:
            rows = read_feed(connection, was, "/", "", PAGE)
            lines = [decode_line(row.body) for row in rows]
            known = channels.known_lines(connection, name, {line.alert for line in lines})
            taken = Taken(routing, known)
            for row, line in zip(rows, lines, strict=True):
                taken.take(row, msgspec.structs.replace(line, definition=row.definition))
            channels.write_lines(connection, taken.new)
            for why, ids in taken.overtaken.items():
                channels.end_lines(connection, name, ids, "overtaken", why)
            channels.move_on(connection, name, was, rows[-1].number)
        overtaken = sum(row.status == "overtaken" for row in taken.new) + sum(map(len, taken.overtaken.values()))
        self._told.labels(self.label, "overtaken").inc(overtaken)
        return len(rows) == PAGE

    # ---- compose --------------------------------------------------------------------------------------------

    def compose(self, now: int) -> ChannelMessage | None:
        """Make a message of what is due for the recipient who waits longest. None: nothing is due."""
        name = self.channel.name
        with self.database.read() as connection:
            first = channels.first_due(connection, name)
            if first is None or first.due_at > now:
                return None
            names = active_names(connection, self._policies)
            routing = self.routing(connection)
        with self.database.begin() as connection:
            most = MOST_LINES.get(self.channel.kind, MOST)
            rows = channels.read_waiting(connection, name, first.recipient, now, most)
            stale = [row for row in rows if now - row.due_at > STALE_MS]
            channels.end_lines(connection, name, [row.id for row in stale], "too_old", "it was due more than a day ago")
            self._told.labels(self.label, "too_old").inc(len(stale))
            rows = self._may_be_told(connection, routing, [row for row in rows if now - row.due_at <= STALE_MS])
            rung = min((row for row in rows if row.due_at <= now), key=lambda row: row.due_at, default=None)
            if rung is None:
                return None
            quiet = [row for row in rows if row.joins and row.due_at <= now and _wakes(routing, row, now) > now]
            if len(quiet) == sum(row.due_at <= now for row in rows):  # it would ring in the quiet hours, for them alone
                for row in quiet:
                    row.due_at = _wakes(routing, row, now)
                channels.put_off(connection, name, quiet)
                return None
            return self._compose(connection, rung, rows, names, now)

    def _may_be_told(self, connection: Connection, routing: Routing, rows: list[ChannelLine]) -> list[ChannelLine]:
        """Those of some lines that may be told now. The others end."""
        if routing.may_tell is None:
            return rows
        lines = self._lines_of(connection, rows)
        withheld = [row.id for row in rows if not routing.may_tell(lines[row.number], row.post)]
        channels.end_lines(connection, self.channel.name, withheld, "overtaken", WITHHELD)
        self._told.labels(self.label, "overtaken").inc(len(withheld))
        return [row for row in rows if row.id not in withheld]

    def _lines_of(self, connection: Connection, rows: list[ChannelLine]) -> dict[int, Line]:
        """The lines of the feed behind these, by number."""
        bodies = channels.feed_bodies(connection, sorted({row.number for row in rows}))
        return {
            number: msgspec.structs.replace(decode_line(feed.body), definition=feed.definition)
            for number, feed in bodies.items()
        }

    def _compose(
        self, connection: Connection, rung: ChannelLine, rows: list[ChannelLine], names: Names, now: int
    ) -> ChannelMessage:
        name = self.channel.name
        lines, told = letters(connection, self._lines_of(connection, rows), names.register), dict[int, ToldLine]()
        for row in rows:
            told.setdefault(row.number, ToldLine(lines[row.number], {})).ids[row.post] = row.id
        ids = sorted(row.id for row in rows)
        id_ = f"msg_{hashlib.sha256(msgspec.json.encode([name, ids])).hexdigest()[:32]}"
        whole = self.channel.kind == "webhook"
        message = compose(id_, name, rung.recipient, list(told.values()), names, now, self._link, whole)
        fresh = ChannelMessage(
            channel=name,
            id=id_,
            recipient=rung.recipient,
            route=rung.route,
            subject=message.subject.zh,
            body=msgspec.json.encode(message).decode(),
            lines=len(rows),
            due_at=rung.due_at,
            composed_at=now,
            next_at=now,
        )
        channels.write_message(connection, fresh, ids)
        return fresh

    def _link(self, case: str) -> str:
        """The page of a case; without one, of all."""
        base = self.config.base_url
        if not base or not case:
            return base
        return base + self.config.page.replace("{case}", quote(case, safe=""))

    # ---- send -----------------------------------------------------------------------------------------------

    def send_next(self, now: int) -> bool:
        """Send the message whose turn it is, or a new one. Whether one was sent or tried."""
        message = self.next_to_send(now)
        if message is None:
            return False
        self.judge(message, self.attempt(message, now))
        return True

    def next_to_send(self, now: int) -> ChannelMessage | None:
        """The message whose turn it is, or a new one; None: there is none, or not now."""
        while self._tried and self._tried[0] <= now - MINUTE_MS:
            self._tried.popleft()
        if now < self._paused_until or len(self._tried) >= self.channel.per_minute:
            return None
        while True:
            with self.database.read() as connection:
                message = channels.next_message(connection, self.channel.name)
            if message is None or message.next_at > now:
                message = self.compose(now)
            elif self._is_put_off(message, now):
                return None
            if message is None or now - message.due_at <= STALE_MS:
                break
            message.status, message.reply = "given_up", "it was due more than a day ago"
            self._record(message)
        if message is not None:
            self._tried.append(now)
        return message

    def attempt(self, message: ChannelMessage, now: int) -> Outcome:
        """Send it, from any thread. A defect of ours counts as a failure of this message: the others go on."""
        failpoints.hit("channel.before_send")
        try:
            outcome = self._send(self.channel, msgspec.json.decode(message.body, type=Message), now)
        except Exception as error:
            log.error("message %s of channel %s", message.id, self.channel.name, exc_info=error)
            outcome = Outcome("again", f"a defect at {named(error)}", whole=False)
        failpoints.hit("channel.after_send")
        return outcome

    def _is_put_off(self, message: ChannelMessage, now: int) -> bool:
        """A message that is tried again rings nobody in the quiet hours either, and tells nothing that may not be told
        any more: what is left of it is composed anew."""
        with self.database.read() as connection:
            routing, rows = self.routing(connection), channels.lines_of(connection, message)
            lines = self._lines_of(connection, rows) if routing.may_tell is not None else {}
        if routing.may_tell is not None and not all(routing.may_tell(lines[row.number], row.post) for row in rows):
            with self.database.begin() as connection:
                channels.take_apart(connection, message)
            return True
        wakes = min((_wakes(routing, row, now) for row in rows), default=now)
        if wakes <= now:
            return False
        message.next_at = wakes
        self._record(message)
        return True

    def judge(self, message: ChannelMessage, outcome: Outcome) -> None:
        """Record what came of a try, and when the next one is."""
        name, now = self.channel.name, self._now()
        self._asked.labels(self.label, outcome.result).inc()
        message.tries, message.tried_at, message.reply = message.tries + 1, now, outcome.words
        if outcome.result == "sent":
            message.status, self.failures = "sent", 0
        elif outcome.result == "refused" or message.tries >= self.channel.tries:
            message.status = "given_up"
        if outcome.result == "again":
            self.failures += outcome.whole
            failures = self.failures if outcome.whole else message.tries
            pause = min(MOST_BACKOFF_S, BACKOFF_S * 4 ** min(failures - 1, 10)) * (0.5 + self._lots() / 2)
            until = now + int(1000 * max(pause, min(outcome.wait_s or 0, DAY_MS / 1000)))
            message.next_at = until
            if outcome.whole:
                self._paused_until = until
        self._record(message)
        if outcome.result != "sent":
            said = {"channel": name, "id": message.id, "why": outcome.words, "tries": message.tries}
            log.warning("channel.given_up" if message.status == "given_up" else "channel.failed", extra=said)

    def _record(self, message: ChannelMessage) -> None:
        with self.database.begin() as connection:
            channels.record(connection, message)
        if message.status != "sending":
            self._told.labels(self.label, message.status).inc(message.lines)


def _wakes(routing: Routing, row: ChannelLine, now: int) -> int:
    """When the quiet hours end that a line would ring in; an instant outside of them is itself."""
    return routing.after_quiet(routing.named(row.route), row.alert, now)
