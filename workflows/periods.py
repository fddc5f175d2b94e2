"""Periods of local days (YYYYMMDD), and the day on which a period's figures count as published."""

from datetime import date, timedelta

PERIODS = {"month": 1, "quarter": 3, "half": 6, "year": 12}
"""Length in months of the periods of whole months. `day` and `week` (Monday to Sunday) stand beside them."""
NAMES = ("day", "week", *PERIODS)


def bounds(day: int, period: str) -> tuple[int, int]:
    """First and last local day of the period that holds `day`; ValueError for an unknown period or no day."""
    when = to_date(day)
    if period == "day":
        return day, day
    if period == "week":
        monday = when - timedelta(days=when.weekday())
        return to_day(monday), to_day(monday + timedelta(days=6))
    months = PERIODS.get(period)
    if months is None:
        raise ValueError(f"{period!r} is no period: choose one of {', '.join(NAMES)}")
    first = (when.month - 1) // months * months
    year, month = divmod(when.year * 12 + first + months, 12)
    return to_day(date(when.year, first + 1, 1)), to_day(date(year, month + 1, 1) - timedelta(days=1))


def published(last: int, grace_days: int) -> int:
    """The local day at whose end a period that ended on `last` counts as published."""
    return to_day(to_date(last) + timedelta(days=grace_days))


def to_date(day: int) -> date:
    """YYYYMMDD as a date; ValueError where it is none."""
    return date(day // 10_000, day // 100 % 100, day % 100)


def to_day(when: date) -> int:
    """A date as YYYYMMDD."""
    return when.year * 10_000 + when.month * 100 + when.day
