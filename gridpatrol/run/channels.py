"""The channels of a process that tells alerts: the embedded server, or the alerts role of a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from consumers.channels.keeper import ChannelKeeper
from engine.metrics.counters import Counters
from engine.settings import Settings
from engine.store.database import Database
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
    """The channels of the settings send meanwhile, if there are any. SettingsError where their file cannot be used."""
    if not settings.channels:
        yield
        return
    keeper = ChannelKeeper(database, settings.channels, counters, judged, leased=leased)
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()
