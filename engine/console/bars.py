"""The clocks of a case as bars over one span of time, with working hours shaded: so one sees why a deadline was missed.

All numbers are whole units of a field that is 1,000 wide.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from engine.views.deadlines import Ledger
from workflows.clocks.calendar import Calendar
from workflows.clocks.timescales import CalendarError

WIDTH = 1000
MOST_WINDOWS = 80
"""Working windows that are shaded at most: over a longer span they would be a grey field."""


class Stretch(NamedTuple):
    """A part of a bar: from one unit to another."""

    x: int
    width: int


class Bar(NamedTuple):
    """A clock: when it ran, when what ran was over time, and where its deadline stands (None: beyond the field, or
    there is none)."""

    ledger: Ledger
    runs: tuple[Stretch, ...]
    late: tuple[Stretch, ...]
    due: int | None


class Bars(NamedTuple):
    """The bars of a case between two instants (ms UTC); `now` is where the present stands, None once all is over."""

    begin: int
    end: int
    bars: tuple[Bar, ...]
    working: tuple[Stretch, ...]
    now: int | None


def bars_of(ledgers: Iterable[Ledger], calendar: Calendar | None, now: int, closed: int | None) -> Bars | None:
    """The clocks that have run, in the order in which they started; None where none has."""
    ran = [ledger for ledger in ledgers if ledger.started <= now]
    if not ran:
        return None
    begin = min(ledger.started for ledger in ran)
    until = closed if closed is not None else now
    ahead = [ledger.due for ledger in ran if ledger.due is not None and ledger.runs]
    end = max(until, min(max(ahead, default=until), until + max(until - begin, 3_600_000)), begin + 60_000)
    unit = (end - begin) / WIDTH

    def at(ms: int) -> int:
        return round((min(max(ms, begin), end) - begin) / unit)

    def stretch(since: int, to: int) -> Stretch:
        return Stretch(at(since), max(2, at(to) - at(since)))

    bars = []
    for ledger in ran:
        spans = stretches_of(ledger, until)
        due = ledger.due
        late = tuple(stretch(max(since, due), to) for since, to in spans if due is not None and to > due)
        shown = at(due) if due is not None and begin <= due <= end else None
        bars.append(Bar(ledger, tuple(stretch(*span) for span in spans), late, shown))
    windows = working_between(calendar, begin, end) if calendar is not None else []
    return Bars(begin, end, tuple(bars), tuple(stretch(*each) for each in windows), at(now) if closed is None else None)


def stretches_of(ledger: Ledger, until: int) -> list[tuple[int, int]]:
    """When a clock ran: from its start to its end, but for its pauses."""
    end, since, found = ledger.judged if ledger.result else until, ledger.started, list[tuple[int, int]]()
    paused = [*ledger.pauses, *([(ledger.paused, end)] if ledger.paused is not None else [])]
    for begin, resumed in paused:
        found.append((since, begin))
        since = resumed
    if since < end or not found:
        found.append((since, end))
    return [(begin, to) for begin, to in found if to >= begin]


def working_between(calendar: Calendar, begin: int, end: int) -> list[tuple[int, int]]:
    """The working windows of a span; none of one that has too many to be told apart."""
    try:
        windows = list(islice(calendar.windows_from(begin), MOST_WINDOWS + 1))
    except CalendarError:
        return []
    found = [(max(each.opens_ms, begin), min(each.closes_ms, end)) for each in windows if each.opens_ms < end]
    return found if len(found) <= MOST_WINDOWS else []
