"""Compiles the calendars of a pack: weekly hours, national holidays, and the days that differ here.

In: the calendars of pack.toml and the rows of days.csv. Out: `CalendarData` with time zone rules and holiday
tables expanded into it; rows of days.csv override the national table.
"""

from workflows.clocks.calendar import Calendar, CalendarData, DayRule
from workflows.clocks.limits import DayMeaning
from workflows.clocks.timescales import CalendarError
from workflows.policy.csv_tables import Row, parse_day
from workflows.policy.holidays_and_zones import expand_zone, national_days
from workflows.policy.problems import Problems
from workflows.policy.settings import (
    DAYS_OF_WEEK,
    FILE,
    CalendarSettings,
    Settings,
    Windows,
    line_of,
    parse_duration,
    parse_windows,
)

ZONE_YEARS = 4  # clock changes are expanded this far past last_year: long limits end there
MOST_YEARS = 30  # how many years a calendar may span


def compile_calendars(settings: Settings, text: str, days: list[Row], problems: Problems) -> tuple[CalendarData, ...]:
    """The calendars of pack.toml with their days; one that cannot be laid out is reported and left out."""
    known = {calendar.code for calendar in settings.calendars}
    for row in days:
        if row.text("calendar") not in known:
            row.bad("calendar", f"{row.text('calendar')!r} is no calendar of pack.toml", _one_of(known))
    made = []
    for said in settings.calendars:
        own = [row for row in days if row.text("calendar") == said.code]
        try:
            calendar = _calendar(said, said.zone or settings.zone, own)
            Calendar(calendar)
        except CalendarError as error:
            problems.error(
                FILE,
                line_of(text, "code", said.code),
                f"calendars.{said.code}",
                str(error),
                "correct it there",
            )
        else:
            made.append(calendar)
    return tuple(made)


def _one_of(words: set[str]) -> str:
    return "use one of: " + ", ".join(sorted(words))


def _calendar(said: CalendarSettings, zone: str, rows: list[Row]) -> CalendarData:
    last_year = said.last_year or said.first_year + 10
    if not 0 <= last_year - said.first_year <= MOST_YEARS:
        raise CalendarError(f"last_year {last_year} must lie 0 to {MOST_YEARS} years after first_year")
    weekly = _weekly(said)
    days, last_day = _holidays(said, last_year, next(filter(None, weekly), ()))
    days |= {rule.day: rule for row in rows if (rule := _day_rule(row)) is not None}
    _name_twice(rows)
    minutes, rest = divmod(parse_duration(said.daily_hours) or 0, 60_000)
    if not minutes or rest:
        raise CalendarError(f'daily_hours {said.daily_hours!r} is not a duration; write "8 hours"')
    return CalendarData(
        code=said.code,
        zone=zone,
        offsets=expand_zone(zone, said.first_year, last_year + ZONE_YEARS),
        first_day=said.first_year * 10_000 + 101,
        last_day=_horizon(said, last_day),
        weekly=weekly,
        days=tuple(days[day] for day in sorted(days)),
        day_meaning=DayMeaning(said.day_meaning),
        daily_minutes=minutes,
    )


def _holidays(said: CalendarSettings, last_year: int, working: Windows) -> tuple[dict[int, DayRule], int]:
    """The national table, and the last day that it knows; without one, the end of last_year."""
    if said.holidays.lower() != "none":
        country, _, subdiv = said.holidays.partition("-")
        table = national_days(country, said.first_year, last_year, working=working, subdiv=subdiv or None)
        return {rule.day: rule for rule in table.days}, table.last_day
    if not said.last_year:
        raise CalendarError("without national holidays nothing says how far it reaches; give last_year")
    return {}, last_year * 10_000 + 1231


def _horizon(said: CalendarSettings, last_day: int) -> int:
    """The day given as horizon; else the last day of the table."""
    day = parse_day(said.horizon) if said.horizon else last_day
    if not day:
        raise CalendarError(f"horizon {said.horizon!r} is not a day; write it as 2026-12-31")
    return day


def _weekly(said: CalendarSettings) -> tuple[Windows, ...]:
    strange = set(said.weekly) - set(DAYS_OF_WEEK)
    if strange:
        raise CalendarError(f"weekly names {', '.join(sorted(strange))}; use {', '.join(DAYS_OF_WEEK)}")
    windows = [(day, parse_windows(said.weekly.get(day, ""))) for day in DAYS_OF_WEEK]
    for day, read in windows:
        if read is None:
            raise CalendarError(f'{day} {said.weekly[day]!r} cannot be read; write "08:00-12:00, 14:00-18:00"')
    return tuple(read or () for _, read in windows)


def _day_rule(row: Row) -> DayRule | None:
    text = row.text("windows")
    windows = () if text.lower() in ("off", "休") else parse_windows(text)
    if windows is None or (not windows and text.lower() not in ("off", "休")):
        row.bad("windows", f"{text!r} is neither off nor hours", "write off, or hours such as 08:00-12:00")
        return None
    row.needed("day")
    day = row.day("day")
    return DayRule(day, windows, row.text("note")) if day else None


def _name_twice(rows: list[Row]) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        first = seen.setdefault(row.text("day"), row.number)
        if first != row.number:
            row.bad("day", f"stands in row {first} already", "keep one of them")
