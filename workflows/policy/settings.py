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

from workflows.clocks.limits import DAY_MS, HOUR_MS, Limit, LimitError, parse_limit
from workflows.policy.csv_tables import plain
from workflows.policy.model import DAILY_AT, UNBORN_CAP, Level, Options
from workflows.policy.problems import Problems

FILE = "pack.toml"
DAYS_OF_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Windows = tuple[tuple[int, int], ...]

LONGEST_HOLD_MS = HOUR_MS
"""A queue of an offline phone is sent in less."""

LONGEST_MS = 3650 * DAY_MS
"""No duration of a pack is longer than ten years: more is a slip of the keyboard."""
MOST = 10**9
"""The largest number of a pack."""

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
_WINDOW = re.compile(r"(\d{1,2}):(\d{2})\s*[-–—~〜至]\s*(\d{1,2}):(\d{2})", re.ASCII)


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table. A misspelt key is an error, not a silent default."""


class LevelSettings(Table, frozen=True, kw_only=True):
    """`[[levels]]`: one level of the tree and the roles that each of its grids needs a post for."""

    level: int
    name_zh: str
    name_en: str
    posts: tuple[str, ...] = ()
    staff: str = ""


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
    crs: Literal["", "WGS84", "CGCS2000", "GCJ02", "BD09"] = ""
    against_table: tuple[str, ...] = ()
    appeal: str = ""
    untrained: Literal["", "remark", "refuse"] = ""
    negative_list: tuple[str, ...] = ()
    root_cause: Literal["optional", "required"] = "optional"


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
        given = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        if not is_storable(given, text, problems):
            return None
        return msgspec.convert(given, Settings)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        problems.error(FILE, int(at[1]) if at else 0, "", str(error), "correct the TOML at this place")
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        key = re.search(r"field `(\w+)`", problem) or re.search(r"(\w+)[^\w]*$", path)
        column = key[1] if key else ""
        problems.error(FILE, line_of(text, column), path.strip("`$.") or column, problem, "see the README of the packs")
    return None


def is_storable(value: object, text: str, problems: Problems, key: str = "") -> bool:
    """Whether every number and text in a TOML value is one that a database takes. What is not, is reported."""
    if isinstance(value, dict):
        return all([is_storable(inner, text, problems, name) for name, inner in value.items()])
    if isinstance(value, list):
        return all([is_storable(inner, text, problems, key) for inner in value])
    if isinstance(value, int) and abs(value) > MOST:
        problems.error(FILE, line_of(text, key), key, "the number is too large", f"write at most {MOST:,}")
        return False
    if isinstance(value, str) and "\x00" in value:
        problems.error(FILE, line_of(text, key), key, "has U+0000, which no database takes", "remove it")
        return False
    return True


def line_of(text: str, key: str, value: str = "") -> int:
    """The line of pack.toml on which a key, with a value if one is given, first stands; 0 if there is none."""
    wanted = rf'\s*{re.escape(key)}\s*=\s*"{re.escape(value)}"' if value else rf"\s*\[*{re.escape(key)}\b"
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(wanted, line):
            return number
    return 0


def levels_of(settings: Settings, text: str, problems: Problems) -> tuple[Level, ...]:
    """The compiled levels, from the root down. A span of posts that is none is reported with its line."""
    found = list[Level]()
    for each in sorted(settings.levels, key=lambda level: level.level):
        span = re.fullmatch(r"(\d{1,4})(?:\s*[-–—~〜至]\s*(\d{1,4}))?", plain(each.staff).strip(), re.ASCII)
        staff = (int(span[1]), int(span[2] or span[1])) if span else ()
        if each.staff.strip() and (not staff or staff[0] > staff[1]):
            remedy = 'write "3-5", "3", or leave it empty'
            line = line_of(text, "staff", each.staff)
            problems.error(FILE, line, "levels.staff", f"{each.staff!r} is no number of posts", remedy)
            staff = ()
        found.append(Level(each.level, each.name_zh, each.name_en, each.posts, staff))
    return tuple(found)


def options_of(settings: Settings, text: str, problems: Problems) -> Options:
    """The compiled options. A text that is no duration is reported with its line."""
    given = settings.options

    def duration(key: str, value: str) -> int:
        ms = parse_duration(value)
        if ms is None:
            problems.error(FILE, line_of(text, key), key, *no_duration(value))
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
        crs=given.crs,
        against_table=given.against_table,
        appeal=appeal_of(given.appeal, text, problems),
        untrained=given.untrained,
        negative_list=given.negative_list,
        root_cause=given.root_cause,
    )


def appeal_of(value: str, text: str, problems: Problems) -> Limit | None:
    """The time in which a refused exemption may be appealed; None: there is none."""
    if not value.strip():
        return None
    try:
        return parse_limit(value)
    except LimitError as error:
        problem = f"{value!r} is no limit: {error.rule}"
        problems.error(FILE, line_of(text, "appeal"), "appeal", problem, 'write "5工作日", or leave it empty for none')
        return None


def parse_duration(value: str) -> int | None:
    """`72 hours`, `8 hours 30 minutes`, `7天` in milliseconds; None if it is no duration, or longer than ten years."""
    ms = _ms_of(value)
    return ms if ms is not None and ms <= LONGEST_MS else None


def no_duration(value: str) -> tuple[str, str]:
    """What is wrong with a text that is no duration, and what to do about it."""
    if _ms_of(value) is None:
        return f"{value!r} is not a duration", 'write "72 hours"'
    return f"{value!r} is longer than ten years", 'write at most "3650 days"'


def _ms_of(value: str) -> int | None:
    given = plain(value).strip().lower()
    parts = _DURATION.findall(given)
    if not parts or _DURATION.sub("", given):
        return None
    return sum(int(amount) * _UNIT_MS[unit] for amount, unit in parts)


def parse_windows(value: str) -> Windows | None:
    """`08:00-12:00, 14:00-18:00` as local minutes; empty text is a day off; None if it cannot be read."""
    parts = [part for part in re.split(r"[,;、]", plain(value)) if part.strip()]
    windows = [_minutes(part) for part in parts]
    read = tuple(window for window in windows if window is not None)
    in_order = all(start < end for start, end in read) and all(a[1] <= b[0] for a, b in pairwise(read))
    return read if len(read) == len(windows) and in_order else None


def no_windows(value: str) -> str:
    """What to do about hours that `parse_windows` cannot read."""
    for window in (_minutes(part) for part in re.split(r"[,;、]", plain(value)) if part.strip()):
        if window is not None and window[0] > window[1]:
            opens, closes = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in window)
            return f"split it at midnight: {opens}-24:00 on this day, 00:00-{closes} on the next one"
    return 'write hours such as "08:00-12:00, 14:00-18:00", in their order'


def _minutes(value: str) -> tuple[int, int] | None:
    """`22:00-07:00` as two minutes of the day."""
    found = _WINDOW.fullmatch(plain(value).strip())
    if found is None:
        return None
    hours_from, from_, hours_to, to = (int(part) for part in found.groups())
    start, end = hours_from * 60 + from_, hours_to * 60 + to
    return (start, end) if start <= 1440 and end <= 1440 and from_ < 60 and to < 60 else None
