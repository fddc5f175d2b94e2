"""Expands a zone's name and a country's code into the plain numbers of `CalendarData`.

Only this file asks the time zone database and the holiday library, and it runs when a pack is compiled. So a deadline
never depends on the version of either that is installed where it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
import msgspec

from workflows.clocks.calendar import SINCE_EVER, DayRule, Windows
from workflows.clocks.timescales import CalendarError
from workflows.figures import to_day

#: Countries that publish each year's days off and working weekends by notice. For a year without a notice the library
#: gives the statutory festivals alone, which is a guess, so such a year counts as unknown.
BY_NOTICE = {"CN"}


class NationalDays(msgspec.Struct, frozen=True):
    """A country's days off and working weekends, known up to `last_day` (YYYYMMDD)."""

    days: tuple[DayRule, ...]
    last_day: int


@lru_cache(maxsize=32)
def expand_zone(zone: str, first_year: int, last_year: int) -> tuple[tuple[int, int], ...]:
    """The UTC offsets of a zone from the start of one year to the end of another, both inclusive.

    Pairs of (UTC milliseconds from which, local minus UTC in milliseconds); the first holds since ever.
    Raises CalendarError for an unknown zone.
    """
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CalendarError(f"there is no time zone {zone!r}; write a name such as Asia/Shanghai") from None
    start = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    new = _offset_s(info, start)
    offsets = [(SINCE_EVER, new * 1000)]
    for day in range(start, end, 86_400):
        before, after = day, day + 86_400
        old, new = new, _offset_s(info, after)
        if old == new:
            continue
        while after - before > 1:  # to the first second with another offset; a day has one change at most
            middle = (before + after) // 2
            before, after = (middle, after) if _offset_s(info, middle) == old else (before, middle)
        offsets.append((after * 1000, _offset_s(info, after) * 1000))
    return tuple(offsets)


def _offset_s(info: ZoneInfo, t_s: int) -> int:
    offset = datetime.fromtimestamp(t_s, info).utcoffset()
    assert offset is not None  # an aware datetime has one
    return int(offset.total_seconds())


def national_days(
    country: str, first_year: int, last_year: int, *, working: Windows, subdiv: str | None = None
) -> NationalDays:
    """The days of a country (ISO 3166 code; `subdiv` for a state) that differ from its plain weeks.

    `working` are the windows of a working weekend (调休), usually those of a weekday. Years are left out from the first
    one on whose table is not published yet, and `last_day` says so. Raises CalendarError if the first is such a year.
    """
    years = list(takewhile(lambda year: _is_known(country, year, subdiv), range(first_year, last_year + 1)))
    if not years:
        raise CalendarError(
            f"no holidays of {' '.join(filter(None, (country, subdiv)))} are known for {first_year}; "
            "begin with a later year, or update the `holidays` library"
        )
    # A January holiday may be swapped for a weekend of the December before it.
    after = [year for year in (years[-1] + 1,) if _is_known(country, year, subdiv)]
    table = _table(country, years + after, subdiv)
    worked = {day: working for day in table.weekend_workdays}
    named = _by_notice(table, set(worked)) if country in BY_NOTICE else dict(table)
    notes = dict(named)
    for day in worked:  # why it is worked, for example 春节调休上班
        if country in BY_NOTICE:
            swapped_for = next((named[off] for off, name in table.items() if _swapped_with(name) == day), "")
            notes[day] = f"{swapped_for}调休上班"
        else:
            notes[day] = "working weekend"
    rules = tuple(DayRule(to_day(day), worked.get(day, ()), notes[day]) for day in sorted(notes) if day.year in years)
    return NationalDays(rules, years[-1] * 10000 + 1231)


def _table(country: str, years: list[int], subdiv: str | None) -> holidays.HolidayBase:
    """The library's table in the country's own language, not in that of the machine."""
    try:
        language = holidays.country_holidays(country, subdiv=subdiv).default_language
        return holidays.country_holidays(country, subdiv=subdiv, years=years, language=language, expand=False)
    except NotImplementedError as error:
        raise CalendarError(f"{error}; write an ISO 3166 code that the `holidays` library knows") from None


def _is_known(country: str, year: int, subdiv: str | None) -> bool:
    table = _table(country, [year], subdiv)
    if country in BY_NOTICE:
        return any(day.year == year for day in table.weekend_workdays)
    # Future holidays that depend on a moon sighting are estimates, and the library marks them.
    mark = getattr(table, "estimated_label", "").replace("%s", "").strip()
    return bool(table) and not any(mark and mark in name for name in table.values())


def _by_notice(table: Mapping[date, str], worked: set[date]) -> dict[date, str]:
    """Days off under the name of the whole holiday, as the notice prints them.

    The library names a swapped day after the swap (休息日（由 2026-02-14 调休）) and leaves out the weekends inside a
    holiday; people know both as part of 春节.
    """

    def off(day: date) -> bool:
        return day in table or (day.weekday() >= 5 and day not in worked)

    days = dict[date, str]()
    for holiday in sorted(table):
        if holiday in days:
            continue
        first = last = holiday
        while off(first - timedelta(1)):
            first -= timedelta(1)
        while off(last + timedelta(1)):
            last += timedelta(1)
        run = [first + timedelta(i) for i in range((last - first).days + 1)]
        festivals = [table[day] for day in run if day in table and _swapped_with(table[day]) is None]
        festival = _festival(festivals[0]) if festivals else "假日"
        for day in run:
            if day in table and _swapped_with(table[day]) is None:
                festival = _festival(table[day])
            days[day] = festival
    return days


def _festival(name: str) -> str:
    """春节 for 农历除夕, 清明节 for 清明节（补假）."""
    plain = name.split("（")[0].split(";")[0].strip()
    return "春节" if plain == "农历除夕" else plain


def _swapped_with(name: str) -> date | None:
    """The working weekend for which a day is off, from a name such as 休息日（由 2026-02-14 调休）."""
    if not name.startswith("休息日"):
        return None
    return date.fromisoformat(name.split("由")[1].split("调休")[0].strip())
