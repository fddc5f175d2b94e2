"""What a phone takes along (离线包): of the active pack what a member needs to work for a day without a network.

It is told for some posts: their grids with borders, whom they speak to, what they may say, what they owe, the catalogue
with its limits, and the words of all that. But for the periods of duties, and for what is listed as a key area, it is a
function of pack, posts and local day: every gateway gives the same bytes, so a phone that asks again is told that
nothing has changed.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec import Struct, structs

from engine.policies import Policies
from engine.principals import Principal
from engine.store.database import Connection
from engine.views import duties
from engine.views.duties import DutyQuestion, Key, dashed, site_named
from engine.views.names import Named, Names, active_names
from engine.views.phone_words import PhoneWords, phone_words
from engine.views.questions import BadQuestion
from engine.views.speaking import SpeakingPost, check_post, posts_of, speaking_post
from schemas.events import canonical
from schemas.messages import Words
from schemas.value_words import CHOICES
from workflows.case import TOTAL
from workflows.clocks.calendar import day_number, day_of_number
from workflows.clocks.limits import limit_text
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.machine import Definition
from workflows.periods import last_instant
from workflows.permissions import grids_of, offline_allowance
from workflows.policy.index import Policy
from workflows.policy.model import Category, Grid

MOST_POSTS = 20
"""Posts of which one answer tells."""
MOST_GRIDS = 1000
"""Grids of one answer: those above a post and its own come first, then those in it in order of their codes."""
MOST_POINTS = 10_000
"""Corners of borders of one answer: some 150 kB when they are compressed."""
MOST_CONTACTS = 1000
"""Posts to speak to of one answer."""
DECIMALS = 6
"""Of degrees in borders: a tenth of a metre. The door decides by a hundredth of that."""
COMING_DAYS = 2
"""Duties are told whose periods share a day with today and so many days to come."""


class PhoneLevel(Struct, frozen=True):
    """A level of the grid tree; 1 is the root."""

    level: int
    name: Words


class PhoneGrid(Struct, frozen=True, kw_only=True):
    """A grid. `border` has the coordinates of a MultiPolygon, longitude and latitude of WGS84; null of one that has
    grids in it, of one that the pack does not draw, and where there are more corners than an answer has."""

    code: str
    name: str
    level: int
    parent: str
    border: list[list[list[list[float]]]] | None


class PhoneContact(Struct, frozen=True, kw_only=True):
    """A post to speak to."""

    code: str
    title: str
    role: str
    grid: str
    department: str


class PhoneDepartment(Struct, frozen=True, kw_only=True):
    """A department that serves the grids; `groups` of categories are those that it is competent for, empty for any."""

    code: str
    name: str
    grid: str
    groups: list[str]


class PhoneAction(Struct, frozen=True, kw_only=True):
    """What a post may say: a type of event, to which kinds of case, by which rule and in which relation to the case
    (`scope`: owner, place, above, department, reporter, any). Reports may come from `sources` and order the deadlines
    of these clocks alone; empty lists restrict nothing. What was done offline is believed for `offline_ms`; 0: at the
    instant at which it arrives."""

    type: str
    definitions: list[str]
    rule: str
    scope: str
    sources: list[str]
    deadlines: list[str]
    offline_ms: int


class PhonePeriod(Struct, frozen=True):
    """A period in which a duty is owed; days are local, both inclusive. Send `duty.recorded` to the subject. `site`:
    the source of pollution that is to be looked at, of a duty that is owed for each."""

    first: str
    last: str
    due_at: str
    subject: str
    site: Named | None = None


class PhoneDuty(Struct, frozen=True, kw_only=True):
    """What a post owes in each period (履职): so many records, which bring what it `needs`."""

    code: str
    name: str
    period: str
    object: str
    quota: int
    distinct: str
    needs: list[str]
    periods: list[PhonePeriod]


class PhonePost(SpeakingPost, frozen=True, kw_only=True):
    """A post for which the phone speaks; `path` leads from the root to its grid."""

    path: list[str]
    actions: list[PhoneAction]
    duties: list[PhoneDuty]


class PhoneCategory(Struct, frozen=True, kw_only=True):
    """A problem of the catalogue, and the level that has authority over it. `dissuade`: on patrol, inform and dissuade
    first. `limits`: by kind of case and by clock, as offices write them."""

    code: str
    name: Words
    group: str
    level: int
    department: str
    dissuade: bool
    limits: dict[str, dict[str, str]]


class PhoneCampaign(Struct, frozen=True):
    """A campaign (专项行动) that has not ended: on which local days it runs (empty: open), and the categories, groups
    of them and grids to which it goes (none: all). A report names its `code`."""

    code: str
    title: Words
    first: str
    last: str
    categories: list[str]
    grids: list[str]


class LeftOut(Struct, frozen=True):
    """How much did not fit."""

    grids: int = 0
    borders: int = 0
    contacts: int = 0


class PhoneListing(Struct, frozen=True):
    """A grid that is listed as a key area (重点监控区域), since when and up to when, and by which supervision."""

    grid: str
    since: str
    until: str
    by: str


class PhonePack(Struct, frozen=True, kw_only=True):
    """What a phone takes along of the pack `hash`, on the local day `day`. `choices`: by type of event the members of
    its data that take one of some values. Early events wait for `parked_ms` at most; open cases within `similar_m` are
    proposed as the same."""

    hash: str
    code: str
    title: Words
    notice: str
    zone: str
    crs: str
    day: str
    main_definition: str
    leaf_level: int
    offline_ms: int
    parked_ms: int
    similar_m: int
    levels: list[PhoneLevel]
    posts: list[PhonePost]
    grids: list[PhoneGrid]
    contacts: list[PhoneContact]
    departments: list[PhoneDepartment]
    categories: list[PhoneCategory]
    campaigns: list[PhoneCampaign]
    choices: dict[str, dict[str, list[str]]]
    words: PhoneWords
    left_out: LeftOut
    listed: list[PhoneListing]


def phone_pack(connection: Connection, policies: Policies, principal: Principal, post: str, now: int) -> PhonePack:
    """What a phone takes along for a post, or for all posts of a principal. Raises Unanswerable."""
    names = active_names(connection, policies)
    register = names.register
    check_post(register, post)
    codes = (post,) if post else posts_of(register, principal)
    if not codes:
        raise BadQuestion("post", "the active pack has none of your posts", "ask /v1/me for yours")
    if len(codes) > MOST_POSTS:
        reason = f"you may speak for {len(codes)} posts, and an answer is for {MOST_POSTS} at most"
        raise BadQuestion("post", reason, "name one: `?post=CODE`; /v1/me lists them")
    made = pack_of_day(register, codes, register.clock_of_days.local_day(now))
    told = [structs.replace(each, duties=coming(connection, policies, names, each, now)) for each in made.posts]
    return structs.replace(made, posts=told, listed=listed_now(connection, names, made.grids, now))


def listed_now(connection: Connection, names: Names, grids: Iterable[PhoneGrid], now: int) -> list[PhoneListing]:
    """What is listed as a key area of the grids that a phone takes along, by the homes of these grids."""
    register, known = names.register, {grid.code for grid in grids}
    if not any(action.lists for action in register.pack.actions):
        return []
    homes = sorted({register.home(grid) for grid in known})
    kept = [each for home in homes for each in duties.listings_of(connection, home) if each.since <= now <= each.until]
    standing = [structs.replace(each, grid=register.standing(each.grid, now)) for each in kept]
    told = sorted((each for each in standing if each.grid in known), key=lambda each: (each.grid, each.by))
    return [PhoneListing(each.grid, names.instant(each.since), names.instant(each.until), each.by) for each in told]


@lru_cache(maxsize=64)
def pack_of_day(register: Policy, codes: tuple[str, ...], day: int) -> PhonePack:
    """The same without the periods of duties, on a local day."""
    pack, names = register.pack, Names(register)
    at = register.clock_of_days.day_start(day)
    posts = [phone_post(names, code, at) for code in codes]
    grids, no_grids = grids_for(register, codes, at)
    drawn, no_borders = with_borders(register, grids)
    contacts, no_contacts = contacts_for(register, [grid.code for grid in grids], posts, at)
    near = {code for post in posts for code in post.path} | {grid.code for grid in grids}
    lanes = [each for each in pack.departments if each.grid in near]
    return PhonePack(
        hash=register.hash,
        code=pack.code,
        title=Words(pack.title_zh, pack.title_en),
        notice=pack.notice,
        zone=pack.zone,
        crs=pack.options.crs or "WGS84",
        day=dashed(day),
        main_definition=pack.options.main_definition or REFERENCE,
        leaf_level=register.leaf_level,
        offline_ms=pack.options.offline_ms,
        parked_ms=pack.options.parked_ms,
        similar_m=pack.options.similar_radius_m,
        levels=[PhoneLevel(each.level, Words(each.name_zh, each.name_en)) for each in pack.levels],
        posts=posts,
        grids=drawn,
        contacts=contacts,
        departments=[
            PhoneDepartment(code=each.code, name=each.name, grid=each.grid, groups=list(each.groups)) for each in lanes
        ],
        categories=[phone_category(register, each, day) for each in pack.categories],
        campaigns=[
            PhoneCampaign(
                each.code,
                Words(each.title_zh, each.title_en),
                dashed(each.valid_from) if each.valid_from else "",
                dashed(each.valid_to) if each.valid_to else "",
                list(each.categories),
                list(each.grids),
            )
            for each in pack.campaigns
            if not each.valid_to or each.valid_to >= day
        ],
        choices={event: {name: list(values) for name, values in found.items()} for event, found in CHOICES.items()},
        words=phone_words(register),
        left_out=LeftOut(no_grids, no_borders, no_contacts),
        listed=[],
    )


# ---- posts --------------------------------------------------------------------------------------------------


def phone_post(names: Names, code: str, at: int) -> PhonePost:
    """A post and what it may say, on the day of an instant."""
    register, post = names.register, names.register.posts[code]
    head = structs.asdict(speaking_post(names, post, at))
    path = register.path(head["grid"].code) if head["grid"].code in register.grids else ()
    return PhonePost(**head, path=list(path), actions=actions_of(register, code, head["level"]), duties=[])


def actions_of(register: Policy, code: str, level: int) -> list[PhoneAction]:
    """The rows of the roles table that hold for a post, in their order."""
    post, found = register.posts[code], list[PhoneAction]()
    for row in register.pack.roles:
        trigger = canonical(row.trigger)
        kinds = [each for each in DEFINITIONS.values() if trigger in each.heard and row.definition in ("", each.name)]
        if row.role != post.role or (row.levels and level not in row.levels) or not kinds or post.vacant:
            continue
        found.append(
            PhoneAction(
                type=f"gridpatrol.{trigger}.v1",
                definitions=[each.name for each in kinds],
                rule=row.rule,
                scope=row.scope,
                sources=list(row.sources),
                deadlines=list(row.deadlines),
                offline_ms=offline_allowance(post, trigger, register, register, row.definition),
            )
        )
    return found


def coming(connection: Connection, policies: Policies, names: Names, post: PhonePost, now: int) -> list[PhoneDuty]:
    """What a post owes today and in the days to come, as `/v1/duties` would tell it."""
    register, question = names.register, DutyQuestion(post=post.code)
    if not post.speaks or not register.pack.duties:
        return []
    today = register.clock_of_days.local_day(now)
    until = day_of_number(day_number(today) + COMING_DAYS)
    found = dict[str, PhoneDuty]()
    for pack in duties.bearing(connection, policies, names, today, until):
        for place in duties.owed_places(pack, question, today, until, now, Key()):
            row, period = place.row, place.period
            if not duties.is_borne(connection, place, now):
                continue
            due = names.instant(last_instant(period, place.policy.clock_of_days))
            duty = PhoneDuty(
                code=row.code,
                name=row.name,
                period=row.period,
                object=row.object,
                quota=row.quota,
                distinct=row.distinct,
                needs=list(row.needs),
                periods=[],
            )
            told = PhonePeriod(dashed(period.first), dashed(period.last), due, place.subject, site_named(place, names))
            found.setdefault(row.code, duty).periods.append(told)
    return list(found.values())


# ---- grids --------------------------------------------------------------------------------------------------


def grids_for(register: Policy, codes: Iterable[str], at: int) -> tuple[list[Grid], int]:
    """The grids of some posts: those above, their own, and those in it; and how many of these did not fit."""
    own = dict.fromkeys(grid for code in codes for grid in grids_of(register.posts[code], register, at))
    above = dict.fromkeys(each for grid in own if grid in register.grids for each in register.path(grid))
    inside = [code for code in sorted(register.grids) if code not in above and own.keys() & {*register.path(code)}]
    wanted = [register.grids[code] for code in [*above, *inside]]
    standing = [grid for grid in wanted if register.stands(grid, at)]
    return standing[:MOST_GRIDS], max(0, len(standing) - MOST_GRIDS)


def with_borders(register: Policy, grids: Sequence[Grid]) -> tuple[list[PhoneGrid], int]:
    """The grids as a phone has them, and how many borders of leaves did not fit."""
    room, missing, found = MOST_POINTS, 0, list[PhoneGrid]()
    for grid in grids:
        drawn = grid.polygon if grid.code in register.leaves(grid.code) else ()
        corners = sum(len(ring) for rings in drawn for ring in rings)
        fits = corners <= room
        room -= corners if fits else 0
        missing += not fits
        border = [[[[round(x, DECIMALS), round(y, DECIMALS)] for x, y in ring] for ring in rings] for rings in drawn]
        found.append(
            PhoneGrid(
                code=grid.code,
                name=grid.name,
                level=grid.level,
                parent=grid.parent,
                border=border if fits and drawn else None,
            )
        )
    return found, missing


def contacts_for(
    register: Policy, grids: Sequence[str], posts: Sequence[PhonePost], at: int
) -> tuple[list[PhoneContact], int]:
    """Posts to speak to: those of the grids above, of the own ones, and of those directly in them; and how many of them
    did not fit. Posts of systems are none, nor are vacant ones."""
    line, own = {code for post in posts for code in post.path}, {post.grid.code for post in posts}
    near = line | {code for code in grids if register.grids[code].parent in own}
    found = [
        PhoneContact(code=each.code, title=each.title, role=each.role, grid=each.grid, department=each.department)
        for each in register.pack.posts
        if each.grid in near and not each.vacant and not each.machine and register.stands(each, at)
    ]
    return found[:MOST_CONTACTS], max(0, len(found) - MOST_CONTACTS)


# ---- the catalogue ------------------------------------------------------------------------------------------


def phone_category(register: Policy, category: Category, day: int) -> PhoneCategory:
    """A category with the limits of clocks that start on a local day."""
    kinds = [kind for kind in DEFINITIONS.values() if kind.births and kind.listed == "always"]
    return PhoneCategory(
        code=category.code,
        name=Words(category.name_zh, category.name_en or category.name_zh),
        group=category.group,
        level=category.level,
        department=category.department,
        dissuade=category.dissuade,
        limits={kind.name: limits_of(register, kind, category, day) for kind in kinds},
    )


def limits_of(register: Policy, kind: Definition, category: Category, day: int) -> dict[str, str]:
    """The limits of a category by clock, where its level handles it and the leaf of its place checks."""
    found = dict[str, str]()
    for clock in (*kind.clocks, TOTAL):
        hands = next((state.hands for state in kind.states.values() if clock in state.clocks), "owner")
        level = category.level if hands == "owner" else register.leaf_level
        row = register.limit(clock, 0 if clock == TOTAL else level, category.code, category.group, day, kind.name)
        if row is not None:
            found[clock] = limit_text(row.limit)
    return found
