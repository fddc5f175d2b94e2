"""Calendars that several tests use: China's real table of 2026, and the city of Boston in 2015."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

import msgspec

from workflows.clocks.calendar import Calendar, CalendarData, DayRule
from workflows.clocks.limits import DayMeaning
from workflows.policy.holidays_and_zones import expand_zone, national_days

OFFICE = ((8 * 60, 12 * 60), (14 * 60, 18 * 60))  # with a long lunch, as offices in China keep it
CITY_HALL = ((8 * 60 + 30, 17 * 60),)
ALL_DAY = ((0, 24 * 60),)
SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")


@cache
def china_data() -> CalendarData:
    national = national_days("CN", 2026, 2030, working=OFFICE)
    return CalendarData(
        code="weiyang",
        zone="Asia/Shanghai",
        offsets=expand_zone("Asia/Shanghai", 2026, 2030),
        first_day=20260101,
        last_day=national.last_day,
        weekly=(OFFICE,) * 5 + ((), ()),
        days=national.days,
    )


@cache
def boston_data() -> CalendarData:
    national = national_days("US", 2015, 2018, working=CITY_HALL, subdiv="MA")
    return CalendarData(
        code="boston",
        zone="America/New_York",
        offsets=expand_zone("America/New_York", 2015, 2018),
        first_day=20150101,
        last_day=national.last_day,
        weekly=(CITY_HALL,) * 5 + ((), ()),
        days=national.days,
    )


@cache
def china(meaning: DayMeaning = DayMeaning.same_time) -> Calendar:
    return Calendar(msgspec.structs.replace(china_data(), day_meaning=meaning))


@cache
def boston(meaning: DayMeaning = DayMeaning.same_time) -> Calendar:
    return Calendar(msgspec.structs.replace(boston_data(), day_meaning=meaning, daily_minutes=510))


def with_days(data: CalendarData, *rules: DayRule) -> Calendar:
    """A calendar in which local rules replace those of the same day."""
    ours = {rule.day for rule in rules}
    return Calendar(msgspec.structs.replace(data, days=(*(r for r in data.days if r.day not in ours), *rules)))


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    """Local time to UTC milliseconds; a text with an offset means what it says."""
    instant = datetime.fromisoformat(text)
    aware = instant if instant.tzinfo else instant.replace(tzinfo=zone)
    return round(aware.timestamp() * 1000)
