"""Questions about figures, asked as texts: over HTTP and on the command line alike.

In: parameters such as `grid=WY`, `by=grid`, `period=month`, `day=2026-03-02`. Out: rows with counts, rates and
durations, and how the open cases stand now. A parameter that cannot be read is a ValueError that says what can.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from consumers.performance import consume
from engine.clock import now_ms
from engine.errors import PackUnusable
from engine.policies import Policies
from engine.store import incident_queries
from engine.store.database import Database
from workflows import periods
from workflows.policy.index import Policy

GROUPINGS = ("", "grid", "department", "group", "category", "post", "day")
LONGEST = 18
"""Digits of a whole number at most: it fits any column."""
CODES = ("grid", "department", "group", "category", "post")


class Figures(Struct, frozen=True, kw_only=True):
    """An answer. `rows` are the period's figures, `standing` the open cases as of now, both one row per key."""

    pack: str
    grid: str
    by: str
    since: str  # first local day, inclusive; empty: from the beginning
    until: str
    as_of: str
    rows: list[consume.FigureRow]
    standing: list[consume.Standing]


def reader(database: Database) -> Callable[[Mapping[str, str]], Figures]:
    """Answers questions about this database."""
    policies = Policies()

    def answer(asked: Mapping[str, str]) -> Figures:
        with database.read() as connection:
            digest = incident_queries.read_active(connection)
            if digest is None:
                raise PackUnusable("no policy pack is active: run `gridpatrol pack activate DIR`")
            policy = policies.get(connection, digest)
        return figures(database, policy, asked, now_ms())

    return answer


def figures(database: Database, policy: Policy, asked: Mapping[str, str], now: int) -> Figures:
    """The figures that are asked for. Without a period: the month that holds the day, or all days from `from`."""
    by = _one_of("by", asked.get("by", ""), GROUPINGS)
    since, until = _days(asked, policy, now)
    codes: dict[str, Any] = {name: asked.get(name) or None for name in CODES}
    level = _whole("level", asked["level"]) if asked.get("level") else None
    rows = consume.performance(
        database,
        policy,
        level=level,
        since=since,
        until=until,
        by=by,  # type: ignore[arg-type]
        published=_yes("published", asked.get("published", "")),
        **codes,
    )
    standing = []
    if by not in ("post", "day") and codes.pop("post") is None:
        standing = consume.standing(database, policy, now, level=level, by=by, **codes)  # type: ignore[arg-type]
    return Figures(
        pack=policy.pack.code,
        grid=asked.get("grid") or policy.root,
        by=by,
        since=_dashed(since),
        until=_dashed(until),
        as_of=policy.clock_of_days.local(now),
        rows=rows,
        standing=standing,
    )


def _days(asked: Mapping[str, str], policy: Policy, now: int) -> tuple[int, int]:
    """First and last local day."""
    first, last = asked.get("from", ""), asked.get("to", "")
    if asked.get("period") == "all":
        return 0, 99_991_231
    if first or last:
        if asked.get("period"):
            raise ValueError("give either a period or from and to")
        return _day("from", first) if first else 0, _day("to", last) if last else 99_991_231
    day = _day("day", asked["day"]) if asked.get("day") else policy.clock_of_days.local_day(now)
    return periods.bounds(day, asked.get("period") or "month")


def _day(name: str, text: str) -> int:
    """`2026-03-02` or `20260302` as 20260302."""
    plain = text.replace("-", "")
    try:
        year = datetime.strptime(plain, "%Y%m%d").year
    except ValueError as error:
        raise ValueError(f"{name}: {_brief(text)} is no day such as 2026-03-02") from error
    if not 1900 <= year < 3000:  # at the edges of the calendar a week or the days of grace would leave it
        raise ValueError(f"{name}: {_brief(text)} is not of the years 1900 to 2999")
    return int(plain)


def _dashed(day: int) -> str:
    return "" if day in (0, 99_991_231) else f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ValueError(f"{name}: {text!r} is none of {', '.join(filter(None, known))}")
    return text


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
        raise ValueError(f"{name}: {_brief(text)} is no whole number of at most {LONGEST} digits")
    return int(text)


def _brief(text: str) -> str:
    """A text as it is quoted in a sentence: what is far too long is cut."""
    return repr(text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}…")


def _yes(name: str, text: str) -> bool:
    if text.lower() not in ("", "0", "1", "true", "false"):
        raise ValueError(f"{name}: {text!r} is neither true nor false")
    return text.lower() in ("1", "true")
