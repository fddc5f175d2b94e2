"""Compiles the calendars of a pack: weekly hours, national holidays, and the days that differ from them.

Time zone rules and holiday tables are expanded into `CalendarData`. Rows of days.csv override the national table.
"""

from workflows.clocks.calendar import CalendarData, DayRule, laid_out
from workflows.clocks.limits import DayMeaning
from workflows.clocks.timescales import CalendarError
from workflows.policy.csv_tables import Row, parse_day, plain
from workflows.policy.holidays_and_zones import NationalDays, expand_zone, national_days
from workflows.policy.problems import Problems
from workflows.policy.settings import (
    DAYS_OF_WEEK,
    FILE,
    CalendarSettings,
    Settings,
    line_of,
    no_windows,
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
        if row.word("calendar") not in known:
            row.bad("calendar", f"{row.word('calendar')!r} is no calendar of pack.toml", remedy)
    made = []
    for given in settings.calendars:
        own = [row for row in days if plain(row.text("calendar")) == given.code]
        try:
            calendar = _calendar(given, given.zone or settings.zone, own)
            laid_out(calendar)
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
    strange = sorted(set(given.weekly) - set(DAYS_OF_WEEK))
    if strange:
        raise CalendarError(f"weekly names {', '.join(strange)}; use {', '.join(DAYS_OF_WEEK)}")
    weekly = []
    for day in DAYS_OF_WEEK:
        windows = parse_windows(given.weekly.get(day, ""))
        if windows is None:
            raise CalendarError(f"{day} {given.weekly[day]!r} cannot be read; {no_windows(given.weekly[day])}")
        weekly.append(windows)
    if given.holidays.lower() != "none":
        country, _, subdiv = given.holidays.partition("-")
        working = next(filter(None, weekly), ())
        table = national_days(country, given.first_year, last_year, working=working, subdiv=subdiv or None)
    elif given.last_year:
        table = NationalDays((), last_year * 10_000 + 1231)
    else:
        raise CalendarError("without national holidays nothing says how far it reaches; give last_year")
    days = {(rule.day, rule.known_on): rule for rule in table.days} | _day_rules(rows)
    minutes, rest = divmod(parse_duration(given.daily_hours) or 0, 60_000)
    if not minutes or rest:
        raise CalendarError(f'daily_hours {given.daily_hours!r} is not a duration; write "8 hours"')
    offsets = expand_zone(zone, given.first_year, last_year + ZONE_YEARS)
    last_day = parse_day(given.horizon) if given.horizon else table.last_day
    if not last_day:
        raise CalendarError(f"horizon {given.horizon!r} is not a day; write it as 2026-12-31")
    return CalendarData(
        code=given.code,
        zone=zone,
        offsets=offsets,
        first_day=given.first_year * 10_000 + 101,
        last_day=last_day,
        weekly=tuple(weekly),
        days=tuple(days[day] for day in sorted(days)),
        day_meaning=DayMeaning(given.day_meaning),
        daily_minutes=minutes,
    )


def _day_rules(rows: list[Row]) -> dict[tuple[int, int], DayRule]:
    """The rows of days.csv by day and by the day on which they are known. Bad rows, and second ones, are reported."""
    rules: dict[tuple[int, int], DayRule] = {}
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        text = plain(row.text("windows"))
        off = text.lower() in ("off", "休")
        windows = () if off else parse_windows(text)
        if not windows and not off:
            row.bad("windows", f"{text!r} is neither off nor hours", f"write off, or {no_windows(text)}")
            continue
        row.needed("day")
        day, known_on = row.day("day"), row.day("known_on")
        if not day:
            continue
        first = seen.setdefault((day, known_on), row.number)
        if first != row.number:  # however each of them is written
            row.bad("day", f"stands in row {first} already", "keep one of them")
        rules[day, known_on] = DayRule(day, windows or (), row.text("note"), known_on)
    return rules
