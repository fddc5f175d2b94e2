"""Periods on the local days of a place: which one holds a day, when it begins and ends, which ones have begun. Pure.

A period runs from the first instant of its first local day to the last millisecond of its last one, and what is owed in
it is due at that millisecond. Its days are those that figures know (`workflows.figures.period_bounds`); `days` is the
calendar whose local days count, which is the one of the pack's root (`Policy.clock_of_days`). Instants are milliseconds
UTC.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from schemas.partition import murmur2
from workflows.clocks.calendar import Calendar, day_number, day_of_number
from workflows.figures import period_bounds

SPREAD_MS = 300_000
"""Within so long after they are due come up the cases that time bears, so that many of them hold nobody up."""


class Period(NamedTuple):
    """One period: its name (`day`, `week`, ...), its first local day and its last one (YYYYMMDD)."""

    name: str
    first: int
    last: int


@lru_cache(maxsize=8_192)
def holding(name: str, day: int) -> Period:
    """The period of a name that holds a local day; ValueError for an unknown name."""
    return Period(name, *period_bounds(day, name))


@lru_cache(maxsize=8_192)
def following(period: Period) -> Period:
    """The period of the same name right after one."""
    return holding(period.name, day_of_number(day_number(period.last) + 1))


def first_instant(period: Period, days: Calendar) -> int:
    """The instant at which a period begins."""
    return days.day_start(period.first)


def last_instant(period: Period, days: Calendar) -> int:
    """The last millisecond of a period: what is owed in it is due then."""
    return days.day_start(following(period).first) - 1


def next_period(name: str, after: int, days: Calendar) -> Period:
    """The first period of a name that begins later than an instant."""
    period = following(holding(name, days.local_day(after)))
    while first_instant(period, days) <= after:  # the clocks were put back over midnight: a day comes again
        period = following(period)
    return period


def beginning(name: str, after: int, upto: int, days: Calendar) -> Iterator[Period]:
    """The periods of a name that begin later than an instant, and at another one at the latest."""
    period = next_period(name, after, days)
    while first_instant(period, days) <= upto:
        yield period
        period = following(period)


@lru_cache(maxsize=8_192)
def spread_of(id_: str, within_ms: int = SPREAD_MS) -> int:
    """How long after it is due something comes up, by a hash of its id: from 0 up to the given milliseconds, which are
    never reached."""
    return murmur2(id_.encode()) % within_ms
