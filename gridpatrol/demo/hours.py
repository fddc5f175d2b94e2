"""Office hours, roughly: when people of an office act. Instants are milliseconds UTC.

The engine's calendars are another matter. National holidays are ignored: a demo must move on every day.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

MINUTE = 60_000
WINDOWS = ((time(8), time(12)), (time(14), time(18)))
PATROL = (1, 1, 1, 1, 1, 2, 5, 20, 40, 45, 45, 40, 25, 25, 40, 45, 45, 40, 30, 25, 20, 14, 7, 3)
"""How likely a problem is found in each hour of the day, in hundredths."""


class Gap(NamedTuple):
    """How long before something is said: minutes of office hours, or of the wall clock."""

    minutes: float
    working: bool = False


def instant(day: date, clock: time, zone: tzinfo) -> int:
    """A local wall clock as milliseconds UTC."""
    return round(datetime.combine(day, clock, zone).timestamp()) * 1000


def local(at: int, zone: tzinfo) -> datetime:
    """Milliseconds UTC on the local wall clock."""
    return datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000).astimezone(zone)


def later(at: int, minutes: float, zone: tzinfo) -> int:
    """`minutes` of office hours after `at`."""
    left = round(minutes * MINUTE)
    for begin, end in _windows(at, 1, zone):
        begin = max(begin, at)
        if end - begin > left:
            return begin + left
        left -= max(0, end - begin)
    raise AssertionError("weeks do not end")


def earlier(at: int, minutes: float, zone: tzinfo) -> int:
    """`minutes` of office hours before `at`."""
    left = round(minutes * MINUTE)
    for begin, end in _windows(at, -1, zone):
        end = min(end, at)
        if end - begin > left:
            return end - left
        left -= max(0, end - begin)
    raise AssertionError("weeks do not begin")


def _windows(at: int, step: int, zone: tzinfo) -> Iterator[tuple[int, int]]:
    """Windows of work from the day of `at` on, forwards or backwards."""
    day = local(at, zone).date()
    while True:
        if day.weekday() < 5:
            for begin, end in WINDOWS[::step]:
                yield instant(day, begin, zone), instant(day, end, zone)
        day += timedelta(days=step)


def likely(at: int, zone: tzinfo) -> float:
    """How likely a problem is found at an instant, at most 0.45: more by day, less at weekends."""
    wall = local(at, zone)
    return PATROL[wall.hour] / 100 * (1.0 if wall.weekday() < 5 else 0.5)
