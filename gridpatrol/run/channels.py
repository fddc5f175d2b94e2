"""Channels and subscriptions of a process that tells alerts: the embedded server, or the alerts role of a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from consumers.channels.keeper import ChannelKeeper
from engine.metrics.counters import Counters
from engine.settings import Settings
from engine.store.database import Database
from engine.subscribers import Subscribers
from engine.wall_clock import WallClock


def judged(database: Database) -> Callable[[], int]:
    """The judged wall clock (ms since 1970), for one thread: a clock that jumped rings nobody."""
    wall = WallClock(database)

    def now() -> int:
        wall.look({}, ())
        return wall.known_instant()

    return now


@contextmanager
def channels_of(settings: Settings, database: Database, counters: Counters, *, leased: bool) -> Iterator[None]:
    """The channels of the settings send meanwhile, if there are any, and the subscriptions. SettingsError where a file
    cannot be used."""
    who = Subscribers(settings.principals)
    keeper = ChannelKeeper(
        database, settings.channels, counters, judged, leased=leased, who=who, private=settings.webhook_private
    )
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()
