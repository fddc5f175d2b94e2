"""The choices of a pack: `pack.toml`, typed.

`options_of` compiles them; durations such as "72 hours" become milliseconds. A value that does not fit becomes a
`Finding` with its line.
"""

import re
import tomllib
from itertools import pairwise
from typing import Literal

import msgspec
from msgspec import Struct

from workflows.clocks.limits import DAY_MS, HOUR_MS
from workflows.policy.model import DAILY_AT, UNBORN_CAP, Level, Options
from workflows.policy.problems import Problems

FILE = "pack.toml"
DAYS_OF_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Windows = tuple[tuple[int, int], ...]

LONGEST_HOLD_MS = HOUR_MS
"""A queue of an offline phone is sent in less."""

_DURATION = re.compile(r"(\d+)\s*(second|minute|hour|day|week|秒|分钟|小时|天|周)s?\s*")
_UNIT_MS = {
    "second": 1000,
    "minute": 60_000,
    "hour": HOUR_MS,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
    "秒": 1000,
    "分钟": 60_000,
    "小时": HOUR_MS,
    "天": DAY_MS,
    "周": 7 * DAY_MS,
}
_WINDOW = re.compile(r"(\d{1,2})[:：](\d{2})\s*[-–—~至]\s*(\d{1,2})[:：](\d{2})")


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table. A misspelt key is an error, not a silent default."""


class LevelSettings(Table, frozen=True, kw_only=True):
    """`[[levels]]`: one level of the tree and the roles that each of its grids needs a post for."""

    level: int
    name_zh: str
    name_en: str
    posts: tuple[str, ...] = ()


class AuthoritySettings(Table, frozen=True, kw_only=True):
    """`[[authority]]`: how many problem types the source declares for a level."""

    level: int
    declared: int


class CalendarSettings(Table, frozen=True, kw_only=True):
    """`[[calendars]]`: weekly hours, holidays and what N working days mean."""

    code: str
    weekly: dict[str, str]
    zone: str = ""
    holidays: str = "none"
    first_year: int
    last_year: int = 0
    horizon: str = ""
    day_meaning: Literal["same_time", "end_of_day", "hours"] = "same_time"
    daily_hours: str = "8 hours"


class OptionSettings(Table, frozen=True, kw_only=True):
    """`[options]`: see `workflows.policy.model.Options`; durations are texts here."""

    partition_level: int
    offline_allowance: str = "72 hours"
    parked_time: str = "7 days"
    parked_cap: int = 32
    unborn_cap: int = UNBORN_CAP
    duplicate_window: str = "90 days"
    rework_level: int
    default_level: int
    checks: Literal["all", "last"] = "all"
    copy_passed: bool = False
    verifier_differs: bool = False
    barred_verifiers: tuple[str, ...] = ()
    loop_alarm: int = 3
    similar_radius_m: int = 0
    similar_window: str = ""
    deadlines_move: Literal["never", "provisional", "always"] = "provisional"
    quiet: str = ""
    quiet_exempt: tuple[str, ...] = ()
    hold: str = "2 minutes"
    grace_days: int = 3
    min_n: int = 10
    main_definition: str = ""
    daily_notices: str = ""


class Settings(Table, frozen=True, kw_only=True):
    """The whole of pack.toml."""

    code: str
    title_zh: str
    title_en: str
    zone: str
    notice: str = ""
    polygons: Literal["full", "none"] = "full"
    levels: tuple[LevelSettings, ...]
    authority: tuple[AuthoritySettings, ...] = ()
    options: OptionSettings
    calendars: tuple[CalendarSettings, ...]


def read_settings(text: str, problems: Problems) -> Settings | None:
    """pack.toml as `Settings`; None, with a finding, if it cannot be used."""
    try:
        return msgspec.convert(tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n")), Settings)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        problems.error(FILE, int(at[1]) if at else 0, "", str(error), "correct the TOML at this place")
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        key = re.search(r"field `(\w+)`", problem) or re.search(r"(\w+)[^\w]*$", path)
        column = key[1] if key else ""
        problems.error(FILE, line_of(text, column), path.strip("`$.") or column, problem, "see the README of the packs")
    return None


def line_of(text: str, key: str, value: str = "") -> int:
    """The line of pack.toml on which a key, with a value if one is given, first stands; 0 if there is none."""
    wanted = rf'\s*{re.escape(key)}\s*=\s*"{re.escape(value)}"' if value else rf"\s*\[*{re.escape(key)}\b"
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(wanted, line):
            return number
    return 0


def levels_of(settings: Settings) -> tuple[Level, ...]:
    """The compiled levels, from the root down."""
    ordered = sorted(settings.levels, key=lambda level: level.level)
    return tuple(Level(level.level, level.name_zh, level.name_en, level.posts) for level in ordered)


def options_of(settings: Settings, text: str, problems: Problems) -> Options:
    """The compiled options. A text that is no duration is reported with its line."""
    given = settings.options

    def duration(key: str, value: str) -> int:
        ms = parse_duration(value)
        if ms is None:
            problems.error(FILE, line_of(text, key), key, f"{value!r} is not a duration", 'write "72 hours"')
        return ms or 0

    quiet = _minutes(given.quiet) if given.quiet.strip() else (0, 0)
    if quiet is None:
        remedy = 'write "22:00-07:00", or leave it empty for none'
        problems.error(FILE, line_of(text, "quiet"), "quiet", f"{given.quiet!r} is not a span of hours", remedy)
        quiet = 0, 0
    hold = duration("hold", given.hold) if given.hold.strip() else 0
    if hold > LONGEST_HOLD_MS:
        remedy = 'write "2 minutes", or at most "1 hour": alerts of work that is really late wait as long'
        problems.error(FILE, line_of(text, "hold"), "hold", f"{given.hold!r} is too long", remedy)
        hold = 0
    # Read as the beginning of a span, so that both are written alike.
    daily = _minutes(f"{given.daily_notices}-24:00") if given.daily_notices.strip() else (DAILY_AT, 1440)
    if daily is None or daily[0] == 1440:
        problem = f"{given.daily_notices!r} is no time of the day"
        problems.error(FILE, line_of(text, "daily_notices"), "daily_notices", problem, 'write "18:00"')
        daily = DAILY_AT, 1440
    return Options(
        partition_level=given.partition_level,
        offline_ms=duration("offline_allowance", given.offline_allowance),
        parked_ms=duration("parked_time", given.parked_time),
        parked_cap=given.parked_cap,
        # A default is left out of the encoding, and so out of the hash, only where it is the very object.
        unborn_cap=UNBORN_CAP if given.unborn_cap == UNBORN_CAP else given.unborn_cap,
        duplicate_window_ms=duration("duplicate_window", given.duplicate_window),
        rework_level=given.rework_level,
        default_level=given.default_level,
        checks=given.checks,
        copy_passed=given.copy_passed,
        verifier_differs=given.verifier_differs,
        barred_verifiers=given.barred_verifiers,
        loop_alarm=given.loop_alarm,
        similar_radius_m=given.similar_radius_m,
        similar_window_ms=duration("similar_window", given.similar_window) if given.similar_window else 0,
        deadlines_move=given.deadlines_move,
        quiet_from=quiet[0],
        quiet_to=quiet[1],
        quiet_exempt=given.quiet_exempt,
        hold_ms=hold,
        grace_days=given.grace_days,
        min_n=given.min_n,
        main_definition=given.main_definition,
        daily_at=DAILY_AT if daily[0] == DAILY_AT else daily[0],
    )


def parse_duration(value: str) -> int | None:
    """`72 hours`, `8 hours 30 minutes`, `7天` in milliseconds; None if it is no duration."""
    plain = value.strip().lower()
    parts = _DURATION.findall(plain)
    if not parts or _DURATION.sub("", plain):
        return None
    return sum(int(amount) * _UNIT_MS[unit] for amount, unit in parts)


def parse_windows(value: str) -> Windows | None:
    """`08:00-12:00, 14:00-18:00` as local minutes; empty text is a day off; None if it cannot be read."""
    parts = [part for part in re.split(r"[,;，；、]", value) if part.strip()]
    windows = [_minutes(part) for part in parts]
    read = tuple(window for window in windows if window is not None)
    in_order = all(start < end for start, end in read) and all(a[1] <= b[0] for a, b in pairwise(read))
    return read if len(read) == len(windows) and in_order else None


def _minutes(value: str) -> tuple[int, int] | None:
    """`22:00-07:00` as two minutes of the day."""
    found = _WINDOW.fullmatch(value.strip())
    if found is None:
        return None
    hours_from, from_, hours_to, to = (int(part) for part in found.groups())
    start, end = hours_from * 60 + from_, hours_to * 60 + to
    return (start, end) if start <= 1440 and end <= 1440 and from_ < 60 and to < 60 else None
