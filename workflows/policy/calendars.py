"""Compiles the calendars of a pack: weekly hours, national holidays, and the days that differ from them.

Time zone rules and holiday tables are expanded into `CalendarData`. Rows of days.csv override the national table.
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
    """The calendars of pack.toml with their days. One that cannot be laid out is reported and left out."""
    known = {calendar.code for calendar in settings.calendars}
    remedy = "use one of: " + ", ".join(sorted(known))
    for row in days:
        if row.text("calendar") not in known:
            row.bad("calendar", f"{row.text('calendar')!r} is no calendar of pack.toml", remedy)
    made = []
    for given in settings.calendars:
        own = [row for row in days if row.text("calendar") == given.code]
        try:
            calendar = _calendar(given, given.zone or settings.zone, own)
            Calendar(calendar)
        except CalendarError as error:
            problems.error(
                FILE,
                line_of(text, "code", given.code),
                f"calendars.{given.code}",
                str(error),
                "correct it there",
            )
        else:
            made.append(calendar)
    return tuple(made)


def _calendar(given: CalendarSettings, zone: str, rows: list[Row]) -> CalendarData:
    last_year = given.last_year or given.first_year + 10
    if not 0 <= last_year - given.first_year <= MOST_YEARS:
        raise CalendarError(f"last_year {last_year} must lie 0 to {MOST_YEARS} years after first_year")
    weekly = _weekly(given)
    days, last_day = _holidays(given, last_year, next(filter(None, weekly), ()))
    days |= {rule.day: rule for row in rows if (rule := _day_rule(row)) is not None}
    seen: dict[str, int] = {}
    for row in rows:
        first = seen.setdefault(row.text("day"), row.number)
        if first != row.number:
            row.bad("day", f"stands in row {first} already", "keep one of them")
    minutes, rest = divmod(parse_duration(given.daily_hours) or 0, 60_000)
    if not minutes or rest:
        raise CalendarError(f'daily_hours {given.daily_hours!r} is not a duration; write "8 hours"')
    offsets = expand_zone(zone, given.first_year, last_year + ZONE_YEARS)
    if given.horizon:
        last_day = parse_day(given.horizon)
    if not last_day:
        raise CalendarError(f"horizon {given.horizon!r} is not a day; write it as 2026-12-31")
    return CalendarData(
        code=given.code,
        zone=zone,
        offsets=offsets,
        first_day=given.first_year * 10_000 + 101,
        last_day=last_day,
        weekly=weekly,
        days=tuple(days[day] for day in sorted(days)),
        day_meaning=DayMeaning(given.day_meaning),
        daily_minutes=minutes,
    )


def _holidays(given: CalendarSettings, last_year: int, working: Windows) -> tuple[dict[int, DayRule], int]:
    """The national holidays by day, and the last day whose status is known; without a table, the end of last_year."""
    if given.holidays.lower() != "none":
        country, _, subdiv = given.holidays.partition("-")
        table = national_days(country, given.first_year, last_year, working=working, subdiv=subdiv or None)
        return {rule.day: rule for rule in table.days}, table.last_day
    if not given.last_year:
        raise CalendarError("without national holidays nothing says how far it reaches; give last_year")
    return {}, last_year * 10_000 + 1231


def _weekly(given: CalendarSettings) -> tuple[Windows, ...]:
    strange = set(given.weekly) - set(DAYS_OF_WEEK)
    if strange:
        raise CalendarError(f"weekly names {', '.join(sorted(strange))}; use {', '.join(DAYS_OF_WEEK)}")
    windows = [(day, parse_windows(given.weekly.get(day, ""))) for day in DAYS_OF_WEEK]
    for day, read in windows:
        if read is None:
            raise CalendarError(f'{day} {given.weekly[day]!r} cannot be read; write "08:00-12:00, 14:00-18:00"')
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
