"""The judge of the real city's record: what must come out, computed from the CSV alone.

In: the CSV of the city and, for the rules of its deadlines, `sla_rules.csv`. Out: outcomes, counts, medians
and due alerts as of any instant, and the deadlines that the published rules give. Standard library only; it
shares no code with the engine, the packs or the importer, summer time included.

Rules it judges by:
1. All instants are integer milliseconds UTC. As of T, what happened at T has happened.
2. A closing before its opening stops the clock at the opening: nothing can be stopped before it runs.
3. On time means closed at or before the target; an open case is overdue strictly after its target.
4. A precinct lies in the district that most of its cases name; without a precinct the row's own district
   counts; without one, and with district 0, the case belongs to the city, `BOS`.
5. Percentiles are nearest rank: the ceil(p * n)-th of the n ordered durations.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

HOUR_MS = 3_600_000
HOLIDAYS = {date(2015, 4, 20), date(2015, 5, 25)}
"""Patriots' Day and Memorial Day 2015: the holidays that these deadlines meet."""
_OPENS = timedelta(hours=8, minutes=30)
_SHUTS = timedelta(hours=17)

AT_OPENING = "the deadline stands at the opening"
CREATED_LATER = "created 1 to 15 minutes after the opening that was entered"
COUNTED_EARLIER = "counted from 1 to 25 minutes before the opening that was entered"
OTHER_DAYS = "another whole number of days: a limit changed by hand, or kept from another type"
BY_HAND = "no whole number of days: set by hand"


@dataclass(frozen=True)
class Case:
    """One row. Instants in ms UTC; `opened_local` and `target_local` as the city wrote them."""

    number: str
    opened: int
    target: int | None
    closed: int | None
    flag: str
    district: str
    department: str
    type: str
    opened_local: datetime
    target_local: datetime | None

    @property
    def stopped(self) -> int | None:
        """The instant at which its clock stops."""
        return None if self.closed is None else max(self.closed, self.opened)


class Figures(NamedTuple):
    """One cell as of T. `overdue` = closed late + open past the target; durations in ms or None."""

    reported: int
    closed: int
    on_time: int
    overdue: int
    overdue_open: int
    not_due: int
    without_deadline: int
    median_ms: int | None
    p90_ms: int | None


class Rule(NamedTuple):
    """One line of sla_rules.csv with the shares published there."""

    unit: str  # working_day, calendar_day
    days: int
    deadlines: int
    exact: float
    within_60s: float


class Share(NamedTuple):
    """How many deadlines of a type its rule gives back, and why not the others."""

    deadlines: int
    exact: int
    within_60s: int
    reasons: Counter[str]


def utc_ms(local: datetime) -> int:
    """Boston's local time in ms UTC: summer time from March's second Sunday 02:00 to November's first 02:00.

    The hour that comes twice in November is the first one; the hour that March skips is read as winter time.
    """
    spring = _sunday(local.year, 3, 8) + timedelta(hours=3)
    autumn = _sunday(local.year, 11, 1) + timedelta(hours=2)
    offset = 4 if spring <= local < autumn else 5
    return round((local - datetime(1970, 1, 1)) / timedelta(milliseconds=1)) + offset * HOUR_MS


def _sunday(year: int, month: int, first: int) -> datetime:
    day = datetime(year, month, first)
    return day + timedelta(days=6 - day.weekday())


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of the CSV as they stand there."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> list[Case]:
    """All cases of the file."""
    table = rows(path)
    home = _districts(table)
    return [_case(row, home) for row in table]


def _districts(table: Iterable[dict[str, str]]) -> dict[str, str]:
    """Precinct -> the district that most of its cases name."""
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for row in table:
        if row["precinct"]:
            named[row["precinct"]][row["city_council_district"]] += 1
    return {precinct: count.most_common(1)[0][0] for precinct, count in named.items()}


def _case(row: dict[str, str], home: dict[str, str]) -> Case:
    opened = datetime.fromisoformat(row["open_dt"])
    target = datetime.fromisoformat(row["target_dt"]) if row["target_dt"] else None
    closed = datetime.fromisoformat(row["closed_dt"]) if row["closed_dt"] else None
    district = home.get(row["precinct"], row["city_council_district"])
    return Case(
        number=row["case_enquiry_id"],
        opened=utc_ms(opened),
        target=utc_ms(target) if target else None,
        closed=utc_ms(closed) if closed else None,
        flag=row["ontime"],
        district=f"D{district}" if district not in ("", "0") else "BOS",
        department=row["department"],
        type=row["type"],
        opened_local=opened,
        target_local=target,
    )


def outcome(case: Case, at: int) -> str:
    """not_reported, without_deadline, on_time, overdue_closed, overdue_open or not_due, at `at` (ms UTC)."""
    if case.opened > at:
        return "not_reported"
    if case.target is None:
        return "without_deadline"
    if case.stopped is not None and case.stopped <= at:
        return "on_time" if case.stopped <= case.target else "overdue_closed"
    return "overdue_open" if case.target < at else "not_due"


def figures(cases: Iterable[Case], at: int) -> Figures:
    """The figures of these cases as of `at`."""
    known = [case for case in cases if case.opened <= at]
    count = Counter(outcome(case, at) for case in known)
    took = sorted(c.stopped - c.opened for c in known if c.stopped is not None and c.stopped <= at)
    return Figures(
        reported=len(known),
        closed=len(took),
        on_time=count["on_time"],
        overdue=count["overdue_closed"] + count["overdue_open"],
        overdue_open=count["overdue_open"],
        not_due=count["not_due"],
        without_deadline=count["without_deadline"],
        median_ms=nearest_rank(took, 50),
        p90_ms=nearest_rank(took, 90),
    )


def figures_by(cases: Iterable[Case], at: int, key: Callable[[Case], str]) -> dict[str, Figures]:
    """Figures per district, department or type (`key`), only of what was reported by `at`."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.opened <= at:
            groups[key(case)].append(case)
    return {name: figures(group, at) for name, group in sorted(groups.items())}


def nearest_rank(ordered: list[int], percent: int) -> int | None:
    """The nearest-rank percentile of an ordered list."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def due_alerts(cases: Iterable[Case], at: int) -> dict[str, int]:
    """Case number -> target of every case that was open past its target by `at`: told once, at its target."""
    late = (case for case in cases if outcome(case, at) in ("overdue_closed", "overdue_open"))
    return {case.number: case.target for case in late if case.target is not None}


# ---- the city's rules ------------------------------------------------------------------------------------


def rules(path: Path) -> dict[str, Rule]:
    """The published rule of each type."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["type"]: _rule(row) for row in csv.DictReader(file)}


def _rule(row: dict[str, str]) -> Rule:
    published = int(row["deadlines"]), float(row["exact"]), float(row["within_60s"])
    return Rule(row["unit"], int(row["limit"]), *published)


def deadline(opened: datetime, unit: str, days: int) -> datetime:
    """The deadline that a rule gives to an opening, in local time."""
    if unit == "calendar_day":
        return opened + timedelta(days=days)
    when = _next_opening(opened)
    day = when.date()
    for _ in range(days):
        day = _next_working_day(day)
    return datetime.combine(day, when.time())


def _works(day: date) -> bool:
    return day.weekday() < 5 and day not in HOLIDAYS


def _next_working_day(day: date) -> date:
    day += timedelta(days=1)
    return day if _works(day) else _next_working_day(day)


def _next_opening(when: datetime) -> datetime:
    """The instant itself inside working hours, else the next 08:30 of a working day."""
    midnight = datetime.combine(when.date(), datetime.min.time())
    if _works(when.date()) and when < midnight + _SHUTS:
        return max(when, midnight + _OPENS)
    return datetime.combine(_next_working_day(when.date()), datetime.min.time()) + _OPENS


def shares(cases: Iterable[Case], table: dict[str, Rule]) -> dict[str, Share]:
    """Per type of the table: how many of the city's deadlines its rule gives, with reasons for the rest."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.type in table and case.target_local is not None:
            groups[case.type].append(case)
    return {name: _share(groups[name], table) for name in table}


def _share(cases: list[Case], table: dict[str, Rule]) -> Share:
    off = [(case, abs(deviation(case, table[case.type]))) for case in cases]
    exact = sum(seconds == 0 for _, seconds in off)
    within = sum(seconds <= 60 for _, seconds in off)
    return Share(len(cases), exact, within, Counter(reason(case, table) for case, s in off if s > 60))


def deviation(case: Case, rule: Rule) -> int:
    """The city's deadline minus the rule's, in seconds."""
    assert case.target_local is not None
    return round((case.target_local - deadline(case.opened_local, rule.unit, rule.days)).total_seconds())


def reason(case: Case, table: dict[str, Rule]) -> str:
    """Why the city's deadline is not the rule's, from what the row itself shows."""
    opened, target, rule = case.opened_local, case.target_local, table[case.type]
    assert target is not None
    off = deviation(case, rule)
    if target - opened <= timedelta(seconds=60):
        return AT_OPENING
    if 60 < off <= 900 or _crosses_closing_time(case, rule):
        return CREATED_LATER
    if -1500 <= off < -60:
        return COUNTED_EARLIER
    starts = (opened, _next_opening(opened))
    if any(abs(_time_of_day(target) - _time_of_day(start)) <= 60 for start in starts):
        return OTHER_DAYS
    return BY_HAND


def _crosses_closing_time(case: Case, rule: Rule) -> bool:
    """Entered up to 15 minutes before 17:00 and created after it: counted from the next opening."""
    shut = datetime.combine(case.opened_local.date(), datetime.min.time()) + _SHUTS
    near = timedelta(0) < shut - case.opened_local <= timedelta(minutes=15)
    return near and deadline(shut, rule.unit, rule.days) == case.target_local


def _time_of_day(when: datetime) -> int:
    return when.hour * 3600 + when.minute * 60 + when.second
