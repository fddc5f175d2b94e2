"""The keeper of the channels: it reads their file, again whenever it changes, and has a thread for each of them, and
one for all subscriptions.

1. A file that cannot be used is not taken: what was known before stays, and the log says `channels.kept` and why.
2. A channel that is new begins with the next line of the feed. One that left the file is closed: what waited is given
   up. One that changed goes on from its place.
3. In a cluster one process sends, by a lease; the others stand by.
4. A sender that a defect has ended is begun again after a while; the others never notice.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from consumers.channels.kinds import send as send_by_kind
from consumers.channels.sender import ChannelSender, Send
from consumers.channels.settings import Channel, ChannelFile, Route, read_channels
from consumers.channels.subscriptions import SubscriptionSenders
from engine.errors import GridpatrolError, LeaseTaken, SettingsError
from engine.lease import Lease, LeaseName
from engine.loop import Loop
from engine.metrics.counters import Counters
from engine.store import channels
from engine.store.database import Database, DriverError, refuses
from engine.subscribers import Subscribers
from engine.watched_files import WatchedFiles

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the file, the lease and the senders are looked at."""
AGAIN_S = 60.0
"""After so long a sender that failed is begun again."""
STOP_S = 30.0
"""How long a sender that is stopped may take: it waits for the answer that is under way."""
SUBSCRIPTIONS = "(subscriptions)"
"""The thread of all subscriptions among those of the channels; no channel has such a name."""
SENDS = LeaseName("sends by the channels of", ".channels.lease", 0x6368616E)  # "chan"


class ChannelLoop(Loop):
    """The thread of one channel."""

    away_s = 1.0

    def __init__(self, sender: ChannelSender) -> None:
        super().__init__(f"channel-{sender.channel.name}")
        self.sender = sender

    def run_once(self) -> float:
        return self.sender.run_once()

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, DriverError)) and not refuses(error)


class ChannelKeeper(Loop):
    """Keeps a thread for each channel of a file, if there is one, and one for the subscriptions. SettingsError where a
    file cannot be used at the start.

    `judged` makes a clock of a database (ms since 1970) for one thread; `leased`: other processes may want to send too;
    `who` knows the principals that subscribe, `private` whether their webhooks may lead into one's own network.
    """

    away_s = 1.0

    def __init__(
        self,
        database: Database,
        path: str,
        counters: Counters,
        judged: Callable[[Database], Callable[[], int]],
        *,
        leased: bool,
        send: Send = send_by_kind,
        who: Subscribers | None = None,
        private: bool = False,
    ) -> None:
        super().__init__("channels")
        self.database, self.path = database, path
        self._counters, self._judged, self._send, self._leased = counters, judged, send, leased
        self._who, self._private = who, private
        self.config: ChannelFile = read_channels(path) if path else ChannelFile()
        self._watched = WatchedFiles(self.config.files)
        self.senders: dict[str, ChannelLoop | SubscriptionSenders] = {}
        self._ended_s: dict[str, float] = {}
        self._lease: Lease | None = None
        self._closed = False
        self._say()

    def run_once(self) -> float:
        """Look at the lease, the file and the senders."""
        if self._leased and not self._holds_lease():
            self._stop_senders()
            return LOOK_S
        self._refresh()
        if self.path and not self._closed:
            self._close_others()
            self._closed = True
        for name, channel in self.config.channels.items():
            self._keep(name, partial(self._thread_of, channel))
        if self._who is not None:
            self._keep(SUBSCRIPTIONS, partial(self._subscriptions, self._who))
        return LOOK_S

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, DriverError)) and not refuses(error)

    def release(self) -> None:
        self._stop_senders()
        if self._lease is not None:
            with suppress(DriverError):
                self._lease.close()

    # ---- senders --------------------------------------------------------------------------------------------

    def _keep(self, name: str, make: "Callable[[], ChannelLoop | SubscriptionSenders]") -> None:
        """A thread runs; one that has ended is begun again, after a while."""
        known = self.senders.get(name)
        if known is not None and known.is_alive():
            return
        if known is not None and self.clock() - self._ended_s.setdefault(name, self.clock()) < AGAIN_S:
            return
        self._ended_s.pop(name, None)
        self.senders[name] = make()
        self.senders[name].start()

    def _thread_of(self, channel: Channel) -> ChannelLoop:
        now = self._judged(self.database)
        return ChannelLoop(ChannelSender(self.database, self.config, channel, self._counters, now, self._send))

    def _subscriptions(self, who: Subscribers) -> SubscriptionSenders:
        now = self._judged(self.database)
        return SubscriptionSenders(
            self.database, self.config, who, self._counters, now, self._send, private=self._private
        )

    def _stop_senders(self, names: set[str] | None = None) -> None:
        chosen = {name: sender for name, sender in self.senders.items() if names is None or name in names}
        for sender in chosen.values():
            sender.stop_asked.set()
        for name, sender in chosen.items():
            sender.stop(STOP_S)
            del self.senders[name]

    def _close_others(self) -> None:
        """Channels that the file has no more are closed."""
        with self.database.read() as connection:
            others = set(channels.names(connection)) - set(self.config.channels)
        for name in sorted(others):
            with self.database.begin() as connection:
                channels.close(connection, name, self._judged(self.database)())
            log.info("channel.closed", extra={"channel": name})

    def _holds_lease(self) -> bool:
        try:
            if self._lease is None:
                self._lease = Lease(self.database, SENDS, linger_s=0)
                log.info("this process sends by the channels")
            else:
                self._lease.keep(self.database)
        except LeaseTaken:
            if self._lease is not None:
                with suppress(DriverError):
                    self._lease.close()
            self._lease = None
        return self._lease is not None

    # ---- the file -------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read the file again if it, or one that it names, has changed."""
        if not self._watched.changed():
            return
        try:
            fresh = read_channels(self.path)
        except SettingsError as error:
            log.error("channels.kept", extra={"file": self.path, "why": str(error)})
            return
        was, self.config = self.config, fresh
        self._closed = False
        if fresh.files != was.files:
            self._watched.watch(fresh.files)
        self._stop_senders({name for name in self.senders if said_of(was, name) != said_of(fresh, name)})
        log.info("channels.read", extra={"file": self.path, "channels": len(fresh.channels)})
        self._say()

    def _say(self) -> None:
        for remark in self.config.remarks:
            log.warning("%s", remark)


def said_of(config: ChannelFile, name: str) -> tuple[Channel | None, tuple[Route, ...], str, str, int]:
    """What a file says of a channel, its routes and its links."""
    return config.channels.get(name), config.routes_of(name), config.base_url, config.page, config.keep_days
