"""What posts owe in their periods (履职): each duty with its subject, what is recorded and left, and how it ended.

Subjects are derived, so those of coming periods can be told before their cases are born: a phone that is offline for
days records under them.
"""

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from engine.policies import Policies
from engine.store import slices
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.performance import parse_day
from engine.views.questions import BadQuestion, check_limit
from schemas.derived_ids import derived_subject
from schemas.kinds.duty import Duty
from workflows import case as cases
from workflows.case import AWAITED, Case
from workflows.clocks.calendar import day_number, day_of_number
from workflows.definitions.duty import DUTY
from workflows.figures import PERIODS, period_bounds
from workflows.periods import Period, first_instant, following, holding, last_instant
from workflows.policy.duties import is_owed
from workflows.policy.model import DutyRow, Post

MOST = 500
"""Duties of a page at most."""
COMING_DAYS = 7
"""So many days ahead are told unless a period is asked for."""
HORIZON_DAYS = 31
"""Duties that begin later than so many days from now are told to nobody: rows and posts change."""
BEARING_MS = 10 * 60_000
"""As long after a period's beginning its duties may still be on their way into the world."""


class DutyQuestion(Struct, frozen=True, kw_only=True):
    """Whose duties, as texts; empty asks nothing. `period` with `day` are the days that are looked at: duties whose
    own period shares one of them. Without either: today and the coming days."""

    post: str = ""
    grid: str = ""
    period: str = ""
    day: str = ""
    limit: int = 100
    cursor: str = ""


class DutyLine(Struct, frozen=True, kw_only=True):
    """One duty of a post in one period. Days are local, both inclusive. `lapsed`: its period is over and it is not
    kept, but may still be told. `left`: how many records are still to come."""

    subject: str  # send `duty.recorded` to it
    duty: Named
    post: Named
    grid: Named
    object: str
    period: str
    first: str
    last: str
    due_at: str
    state: str
    state_zh: str
    lapsed: bool
    quota: int
    distinct: str
    needs: tuple[str, ...]
    recorded: int
    left: int


class DutyPage(Struct, frozen=True):
    """A page of duties. `next` continues it; None: this was the last one."""

    duties: list[DutyLine]
    since: str
    until: str
    next: str | None
    as_of: str


class Place(Struct, frozen=True):
    """A duty of a post in a period, before anything is known of its case."""

    row: DutyRow
    post: Post
    period: Period
    subject: str


def duty_page(connection: Connection, policies: Policies, question: DutyQuestion, now: int) -> DutyPage:
    """The duties that are asked for, by post, duty and period. Raises Unanswerable."""
    names = active_names(connection, policies)
    check_limit(question.limit, MOST)
    since, until = days_of(names, question, now)
    after = read_cursor(question.cursor, tuple[str, str, int]) if question.cursor else ("", "", 0)
    found, last = list[DutyLine](), after
    places = (p for p in owed_places(names, question, since, until, now) if key_of(p) > after)
    while len(found) <= question.limit and (some := list(islice(places, MOST))):
        bodies = {id_: body for id_, _, body in slices.read_cases(connection, [place.subject for place in some])}
        for place in some:
            line = duty_line(place, bodies.get(place.subject), names, now)
            if line is None:
                continue
            if len(found) == question.limit:
                return DutyPage(found, dashed(since), dashed(until), write_cursor(*last), names.instant(now))
            found.append(line)
            last = key_of(place)
    return DutyPage(found, dashed(since), dashed(until), None, names.instant(now))


def key_of(place: Place) -> tuple[str, str, int]:
    """Where a duty stands in the order."""
    return place.post.code, place.row.code, place.period.first


def days_of(names: Names, question: DutyQuestion, now: int) -> tuple[int, int]:
    """First and last local day that are looked at."""
    today = names.register.clock_of_days.local_day(now)
    day = parse_day("day", question.day) if question.day else today
    if question.period:
        if question.period not in PERIODS:
            raise BadQuestion("period", "there is no such period", f"choose one of: {', '.join(PERIODS)}")
        return period_bounds(day, question.period)
    return day, day if question.day else day_of_number(day_number(today) + COMING_DAYS)


def owed_places(names: Names, question: DutyQuestion, since: int, until: int, now: int) -> Iterator[Place]:
    """Everything that the active pack asks of these posts in periods that share a day with those."""
    register = names.register
    days, horizon = register.clock_of_days, now + HORIZON_DAYS * 86_400_000
    if question.post and question.post not in register.posts:
        raise BadQuestion("post", "the active pack has no post of this code", "send the code of one of posts.csv")
    prefix = prefix_of(names, question.grid) if question.grid else "/"
    for post in sorted(register.pack.posts, key=lambda post: post.code):
        path = register.path(post.grid) if post.grid in register.grids else ()
        if question.post not in ("", post.code) or not f"/{'/'.join(path)}/".startswith(prefix):
            continue
        for row in sorted(register.duties.values(), key=lambda row: row.code):
            if not row.owed_by(post, len(path)):
                continue
            period = holding(row.period, since)
            while period.first <= until and (begins := first_instant(period, days)) <= horizon:
                if is_owed(row, post, period.first, register):
                    home = register.home(post.grid)
                    subject = derived_subject(home, DUTY.name, row.code, post.code, period.first, begins)
                    yield Place(row, post, period, subject)
                period = following(period)


def duty_line(place: Place, body: str | None, names: Names, now: int) -> DutyLine | None:
    """A duty as people see it; None where its period has begun and nobody has borne it: then nobody owes it."""
    case = cases.decode(body) if body else Case(id=place.subject)
    row, days = place.row, names.register.clock_of_days
    own = case.own if isinstance(case.own, Duty) else None
    if own is None and first_instant(place.period, days) < now - BEARING_MS:
        return None
    due, quota, recorded = (
        last_instant(place.period, days),
        own.quota if own else row.quota,
        len(own.records) if own else 0,
    )
    state = DUTY.states[case.state if own else AWAITED]
    return DutyLine(
        subject=place.subject,
        duty=Named(row.code, row.name),
        post=names.post(place.post.code),
        grid=names.grid(place.post.grid),
        object=row.object,
        period=row.period,
        first=dashed(place.period.first),
        last=dashed(place.period.last),
        due_at=names.instant(due),
        state=state.name,
        state_zh=state.zh,
        lapsed=own is not None and not state.terminal and due < now,
        quota=quota,
        distinct=row.distinct,
        needs=row.needs,
        recorded=recorded,
        left=0 if state.terminal else max(0, quota - recorded),
    )


def dashed(day: int) -> str:
    """A local day as 2026-03-02."""
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"
