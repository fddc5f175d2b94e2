"""What posts owe in their periods (履职): each duty with its subject, what is recorded and left, and how it ended.

Subjects are derived, so those of coming periods can be told before their cases are born: a phone that is offline for
days records under them.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice, zip_longest
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from engine.policies import Policies
from engine.slice.as_rows import path_text
from engine.slice.entering import activations_of
from engine.store import slices
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.figure_question import parse_day
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion, check_limit
from engine.views.readers import NotReadable, check_list, extent
from schemas.derived_ids import derived_subject, home_subject
from schemas.kinds.duty import Duty
from schemas.kinds.home import KEPT_MS, Home, Listing
from schemas.partition import partition_of
from workflows import case as cases
from workflows.case import AWAITED, Case
from workflows.clocks.calendar import day_number, day_of_number
from workflows.clocks.limits import DAY_MS
from workflows.definitions.duty import DUTY
from workflows.figures import PERIODS, period_bounds
from workflows.listing import listing_of
from workflows.periods import Period, first_instant, following, holding, last_instant
from workflows.policy.duties import is_owed, site_stands
from workflows.policy.index import Policy
from workflows.policy.model import DutyRow, Post
from workflows.reading import READS_EVERYTHING, Readable

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
    site: Named | None = None  # the source of pollution that is looked at, where the duty is owed for each


class DutyPage(Struct, frozen=True):
    """A page of duties. `next` continues it; None: this was the last one."""

    duties: list[DutyLine]
    since: str
    until: str
    next: str | None
    as_of: str
    reading: Reading = "now"


class Bearing(NamedTuple):
    """A pack, and from when up to when it was active in each partition (None: it still is). It bears the duties whose
    periods begin there."""

    policy: Policy
    spans: Mapping[int, Sequence[tuple[int, int | None]]]
    partitions: int
    listings: Callable[[str], tuple[Listing, ...]]  # what is listed in a home

    def bears(self, home: str, begins: int) -> bool:
        """Whether it bears what begins in a home at an instant."""
        spans = self.spans.get(partition_of(home, self.partitions), ())
        return any(since <= begins and (end is None or begins < end) for since, end in spans)

    def may_bear(self, row: DutyRow, grid: str, begins: int, now: int) -> bool:
        """Whether a duty of a grid may be borne at an instant, as far as that is listed. Of a period that began longer
        ago than ended listings are kept only its case says whether it was."""
        if not row.listed or begins < now - KEPT_MS:
            return True
        policy = self.policy
        return listing_of(self.listings(policy.home(grid)), policy.path(grid), policy, begins) is not None


class Key(NamedTuple):
    """Where a duty stands in the order: its path, post, row, first day and site."""

    path: str = ""
    post: str = ""
    row: str = ""
    first: int = 0
    site: str = ""


class Place(Struct, frozen=True):
    """A duty of a post in a period, before anything is known of its case, and the pack that bears it."""

    policy: Policy
    path: str
    row: DutyRow
    post: Post
    period: Period
    subject: str
    site: str = ""

    @property
    def key(self) -> Key:
        """Where it stands in the order."""
        return Key(self.path, self.post.code, self.row.code, self.period.first, self.site)


def duty_page(
    connection: Connection,
    policies: Policies,
    question: DutyQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> DutyPage:
    """The duties that are asked for, of those that are read, by place, post, duty and period. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    now, end = here.at, (names.instant(here.at), here.kind)
    check_limit(question.limit, MOST)
    since, until = days_of(names, question, now)
    after = Key(*read_cursor(question.cursor, tuple[str, str, str, int, str])) if question.cursor else Key()
    found, last = list[DutyLine](), after
    packs = bearing(connection, policies, names, since, until)
    check_known(names, packs, question)
    check_duties(readable, names, question)
    sight = readable.of(DUTY.name)
    places = heapq.merge(
        *(owed_places(pack, question, since, until, now, after) for pack in packs), key=attrgetter("key")
    )
    places = (place for place in places if sight.reads_line(place.path, (place.post.code,)))
    while len(found) <= question.limit and (some := list(islice(places, question.limit + 1))):
        bodies = {id_: body for id_, _, body in slices.read_cases(connection, [place.subject for place in some])}
        for place in some:
            body = bodies.get(place.subject)
            line = duty_line(place, cases.decode(body) if body else Case(id=place.subject), names, now)
            if line is None:
                continue
            if len(found) == question.limit:
                return DutyPage(found, dashed(since), dashed(until), write_cursor(*last), *end)
            found.append(line)
            last = place.key
    return DutyPage(found, dashed(since), dashed(until), None, *end)


def days_of(names: Names, question: DutyQuestion, now: int) -> tuple[int, int]:
    """First and last local day that are looked at."""
    today = names.register.clock_of_days.local_day(now)
    day = parse_day("day", question.day) if question.day else today
    if question.period:
        if question.period not in PERIODS:
            raise BadQuestion("period", "there is no such period", f"choose one of: {', '.join(PERIODS)}")
        return period_bounds(day, question.period)
    return day, day if question.day else day_of_number(day_number(today) + COMING_DAYS)


def bearing(connection: Connection, policies: Policies, names: Names, since: int, until: int) -> list[Bearing]:
    """The packs that may have borne what is owed in some days, and the active one. A period begins in the year of its
    last day at the earliest."""
    days = names.register.clock_of_days
    earliest, latest = days.day_start(period_bounds(since, "year")[0]) - DAY_MS, days.day_start(until) + 2 * DAY_MS
    found: dict[str, dict[int, list[tuple[int, int | None]]]] = {names.register.hash: {}}
    rows = slices.read_partitions(connection)
    for row in rows:
        activated = activations_of(row)
        for (digest, begin), after in zip_longest(activated, activated[1:]):
            end = after[1] if after else None
            if begin < latest and (end is None or end > earliest):
                found.setdefault(digest, {}).setdefault(row.partition, []).append((begin, end))
    listings = cache(partial(listings_of, connection))
    return [Bearing(policies.get(connection, digest), spans, len(rows), listings) for digest, spans in found.items()]


def is_borne(connection: Connection, place: Place, now: int) -> bool:
    """Whether what is owed in key areas was borne, where nobody but its case can say it any more."""
    begins = first_instant(place.period, place.policy.clock_of_days)
    known = not place.row.listed or begins >= now - KEPT_MS
    return known or bool(slices.read_cases(connection, [place.subject]))


def listings_of(connection: Connection, home: str) -> tuple[Listing, ...]:
    """What is listed in a home, and what was not long ago."""
    found = [cases.decode(body).own for _, _, body in slices.read_cases(connection, [home_subject(home)])]
    return next((own.listings for own in found if isinstance(own, Home)), ())


def check_known(names: Names, packs: Sequence[Bearing], question: DutyQuestion) -> None:
    """BadQuestion for a post or a grid that none of these packs has."""
    if question.post and not any(question.post in pack.policy.posts for pack in packs):
        raise BadQuestion("post", "the active pack has no post of this code", "send the code of one of posts.csv")
    if question.grid and not any(question.grid in pack.policy.grids for pack in packs):
        prefix_of(names, question.grid)


def check_duties(readable: Readable, names: Names, question: DutyQuestion) -> None:
    """Refuse what is owed by a post, or in a grid, of which no duty is read. Raises NotReadable."""
    check_list(readable, names, DUTY.name, question.grid if question.grid in names.register.grids else "")
    post = names.register.posts.get(question.post)
    if post is not None and post.grid in names.register.grids:
        path = path_text(names.register.path(post.grid))
        if not readable.of(DUTY.name).reads_line(path, (post.code,)):
            reason = f"principal {readable.who} reads {extent(readable, DUTY.name)}, and this post is no part of it"
            raise NotReadable("post", reason, "ask for a post of your own, or leave the post out")


def owed_places(pack: Bearing, question: DutyQuestion, since: int, until: int, now: int, after: Key) -> Iterator[Place]:
    """What a pack asks of these posts in periods that share a day with those, after a place in the order."""
    policy = pack.policy
    days, horizon = policy.clock_of_days, now + HORIZON_DAYS * DAY_MS
    for path, post in posts_asked(policy, question, after):
        home = policy.home(post.grid)
        for row in sorted(policy.duties.values(), key=attrgetter("code")):
            if not row.owed_by(post, policy.grids[post.grid].level):
                continue
            period = holding(row.period, since)
            while period.first <= until and (begins := first_instant(period, days)) <= horizon:
                for site in sites_after(policy, row, post, period, path, after):
                    owed = pack.bears(home, begins) and is_owed(row, post, period.first, policy)
                    if owed and pack.may_bear(row, post.grid, begins, now):
                        named = (home, DUTY.name, row.code, post.code, period.first, begins, site)
                        yield Place(policy, path, row, post, period, derived_subject(*named), site)
                period = following(period)


def sites_after(policy: Policy, row: DutyRow, post: Post, period: Period, path: str, after: Key) -> list[str]:
    """The sites for which a duty is owed in a period, sorted, after a place in the order; one empty code of a duty that
    is owed for none."""
    return [
        site
        for site in sorted(policy.sites_of(row, post.code))
        if Key(path, post.code, row.code, period.first, site) > after and site_stands(site, period.first, policy)
    ]


def posts_asked(policy: Policy, question: DutyQuestion, after: Key) -> Iterator[tuple[str, Post]]:
    """The posts that are asked for and owe something, with their paths: from a place in the order on."""
    if question.post:
        post = policy.posts.get(question.post)
        path = path_text(policy.path(post.grid)) if post is not None and post.grid in policy.grids else ""
        within = not question.grid or question.grid in path.split("/")
        return iter([(path, post)] if post is not None and path and within else [])
    if question.grid and question.grid not in policy.grids:
        return iter(())
    prefix = path_text(policy.path(question.grid)) if question.grid else "/"
    return policy.posts_that_owe(prefix, after[:2])


def place_of_case(case: Case, rules: Policy) -> Place | None:
    """Where a duty that was borne stands, under the pack that bore it; None of a case of another kind."""
    if not isinstance(case.own, Duty):
        return None
    row, post = rules.duties[case.own.duty], rules.posts[case.post]
    period = holding(row.period, case.own.first)
    return Place(rules, path_text(case.path), row, post, period, case.id, case.own.site)


def duty_line(place: Place, case: Case, names: Names, now: int) -> DutyLine | None:
    """A duty as people see it; None where its period has begun and nobody has borne it: then nobody owes it.

    Its words are those of the pack that bore it. A post or a grid has the name that it has now, if there is one.
    """
    row, policy = place.row, place.policy
    days, then = policy.clock_of_days, Names(policy)
    own = case.own if isinstance(case.own, Duty) else None
    if own is None and first_instant(place.period, days) < now - BEARING_MS:
        return None
    due, quota, recorded = (
        last_instant(place.period, days),
        own.quota if own else row.quota,
        len(own.records) if own else 0,
    )
    state = DUTY.states[case.state if own else AWAITED]
    post, grid = place.post.code, place.post.grid
    return DutyLine(
        subject=place.subject,
        duty=Named(row.code, row.name),
        post=(names if post in names.register.posts else then).post(post),
        grid=(names if grid in names.register.grids else then).grid(grid),
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
        site=site_named(place, names),
    )


def site_named(place: Place, names: Names) -> Named | None:
    """The site of a duty, as it is called now, else as the pack that bore it did; None: it is owed for none."""
    known = names.register.sites.get(place.site) or place.policy.sites.get(place.site)
    return Named(place.site, known.name if known is not None else place.site) if place.site else None


def dashed(day: int) -> str:
    """A local day as 2026-03-02."""
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"
