"""The policy pack, compiled: a locality as data, with nothing left to look up elsewhere.

`compile` fills these structs from a folder of CSV, TOML and GeoJSON; `index` indexes them for decisions. Canonical
JSON of `Pack` is content-addressed (`digest`): the same rules have the same hash everywhere, and holiday tables and
time zone rules are expanded into it. The hash covers the names and order of the fields.

Two kinds of data: *rules* (limits, rungs, authority, options) are pinned per case at its birth; the *register* (grids,
posts, departments, calendars) is what is active when an event arrives, so a new chief can act on an old case.
"""

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

from workflows.clocks.calendar import CalendarData
from workflows.clocks.limits import Limit
from workflows.policy.devices import Device, DeviceType, SignalRule
from workflows.policy.public import RewardRow, SourceRow
from workflows.policy.registers import AuthorityRow, Body, Neighbour, ResponsibilityRow, Site


class Level(Struct, frozen=True, omit_defaults=True):
    """One level of the grid tree; 1 is the root."""

    level: int
    name_zh: str
    name_en: str
    posts: tuple[str, ...] = ()  # roles that every grid of this level must have a post for (M7, M43)
    staff: tuple[int, ...] = ()  # how many full-time posts each of its grids has, at least and at most (M40)


class Grid(Struct, frozen=True, omit_defaults=True):
    """A grid (网格), a node of the tree. Days are local, YYYYMMDD; 0 means open-ended.

    Once its last day is over, the `successor` goes on with its open cases.
    """

    code: str
    name: str
    level: int
    parent: str = ""
    kind: str = ""
    calendar: str = ""  # code of a calendar; empty: the parent's, at the root the pack's first
    official_code: str = ""
    valid_from: int = 0
    valid_to: int = 0
    polygon: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = ()  # GeoJSON MultiPolygon coordinates, lon/lat
    successor: str = ""


class Department(Struct, frozen=True, omit_defaults=True):
    """A functional department (职能部门): a lane beside the levels, serving a grid's subtree (M8, M10)."""

    code: str
    name: str
    grid: str  # the grid it belongs to; it can handle cases of that grid's subtree
    groups: tuple[str, ...] = ()  # category groups it is competent for; empty: any


class Post(Struct, frozen=True, omit_defaults=True):
    """A post (岗位), which speaks and receives alerts; never a person. A `vacant` post cannot speak."""

    code: str
    title: str
    # chief 网格长, member 网格员, sponsor 包抓领导, handler 部门经办, dispatcher, supervisor, office, intake,
    # inspection 纪检监察, which reads and says nothing; secretary 书记, who leads the party body of a grid
    role: str
    grid: str
    department: str = ""
    vacant: bool = False
    valid_from: int = 0
    valid_to: int = 0
    machine: bool = False  # a system speaks from it, such as a sensor: nothing is told to it
    kind: str = ""  # one of registers.POST_KINDS, where the pack tells posts apart (M42)
    trained_on: int = 0  # the day of its training before duty (M50); 0: it has had none


class Category(Struct, frozen=True, omit_defaults=True):
    """A problem of the catalogue, with the level that has authority (处置权) over it."""

    code: str
    name_zh: str
    group: str
    level: int  # the grid level that handles it (M20-M22)
    name_en: str = ""
    department: str = ""  # the department that leads where one is needed
    dissuade: bool = False  # informing and dissuading comes first when found on patrol (M14)
    source: str = ""  # the phrase of the source text
    unnamed: bool = False  # stands for what the source counts of its level and group, and does not name


class Authority(Struct, frozen=True):
    """The number of problem types that a level is declared to handle, and how many of them the catalogue names."""

    level: int
    declared: int
    named: int


class LimitRow(Struct, frozen=True, omit_defaults=True):
    """One limit. Empty selectors match all; the most specific row wins: definition, then category, group and level."""

    clock: str  # dissuade report accept handle rectify verify total
    limit: Limit
    level: int = 0  # 0: any level
    category: str = ""
    group: str = ""
    valid_from: int = 0  # local day YYYYMMDD of the clock's start, inclusive
    valid_to: int = 0  # inclusive; 0: open
    basis: str = ""  # where the figure comes from, e.g. "our proposal"
    definition: str = ""  # the kind of case; empty: every one that has the clock
    listed: bool = False  # only of problems that were reported in a grid that is listed as a key area
    lane: str = ""  # only of what came by a source of this lane


ESCALATE, BEAR = "escalate", "bear:"
"""What a rung does besides telling: raise the case a level; call for an action, whose code follows."""


class RungRow(Struct, frozen=True, omit_defaults=True):
    """One rung of a clock's ladder. The rung `due` always exists, without a row if it alerts no post."""

    clock: str  # or "*"
    rung: str  # warn, due, overdue, raise, or any name
    offset: Literal["before", "at", "after"]
    limit: Limit | None = None  # distance from the deadline, by its own kind of clock; None with "at"
    every: Limit | None = None  # repeat distance, after the first time
    times: int = 1  # how often it fires at most
    tell: tuple[str, ...] = ()  # words of routing.recipients
    act: str = ""  # what the rung does besides: `escalate` raises the case a level, `bear:ACTION` calls for an action
    definition: str = ""  # the kind of case; empty: every one that has the clock
    category: str = ""  # only of cases of this category, or of this action; empty: of all

    @property
    def calls_for(self) -> str:
        """The action that is proposed about the case when it fires; empty: none."""
        return self.act.removeprefix(BEAR) if self.act.startswith(BEAR) else ""


class NoticeRow(Struct, frozen=True, omit_defaults=True):
    """Who is told of a move of a case. A kind of case that has a row of its own for a move has this one alone, and so
    has a category of it."""

    on: str  # a word of workflows.notices.MOVES
    tell: tuple[str, ...] = ()  # words of routing.recipients
    definition: str = ""  # the kind of case; empty: every one
    category: str = ""  # only of cases of this category, or of this action; empty: of all


NO_ALLOWANCE = "none"
"""The word in `allowance` of an act that is done at a desk: its sender's instant counts for nothing."""
NO_DEADLINE = "none"
"""The word in `deadlines` of a role that may order none."""


class RoleRow(Struct, frozen=True, omit_defaults=True):
    """One row of the roles table: a role that may pull a trigger, at which levels and in which relation to the case."""

    rule: str  # its name, quoted in refusals
    trigger: str  # e.g. incident.accepted
    role: str
    levels: tuple[int, ...] = ()  # levels of the actor's grid; empty: any
    scope: Literal["owner", "place", "above", "department", "reporter", "any"] = "any"
    # owner: the actor's grid or department owns the case; place: the actor's grid contains the place;
    # above: the actor's grid is the owner's or lies above it; department: the actor's department leads or
    # assists; reporter: the post that reported it
    sources: tuple[str, ...] = ()  # where its reports may come from; empty: anywhere
    deadlines: tuple[str, ...] = ()  # clocks whose deadline it may order, in a report too; `none`; empty: any
    offline_ms: int | None = None  # how late what it says is still believed; None: as the options have it
    definition: str = ""  # the kind of case; empty: every one that has the trigger
    categories: tuple[str, ...] = ()  # categories of cases, or actions, of which it may say so; empty: any


BANK = "bank"
"""The role of a bank's post (绿色信贷, M123): it reads the feed of decided violations, and says nothing."""
INSPECTION = "inspection"
"""The role of a post of discipline inspection (纪检监察, M39): it reads the feed of inspection, and says nothing."""
OWES_NOTHING = ("intake", INSPECTION, "lot", BANK)
"""Roles that can owe no duty: systems that report by themselves, and posts that only read."""


class DutyRow(Struct, frozen=True, omit_defaults=True):
    """One duty (履职): what each post of a role owes in each period, about its own grid."""

    code: str
    name: str
    role: str
    period: str  # one of figures.PERIODS, on the pack's local days
    levels: tuple[int, ...] = ()  # levels of the post's grid; empty: any
    object: Literal["grid", "chief"] = "grid"  # what it is about: the post's grid, or the chief of that grid
    quota: int = 1  # how many records keep it
    distinct: Literal["", "day", "place"] = ""  # what makes two records two: nothing more, a local day, a grid
    needs: tuple[str, ...] = ()  # what a record must bring: photo, form
    reports_to: tuple[str, ...] = ()  # who is told when it is kept or missed: words of routing.recipients
    calendar: str = ""  # owed in periods only in which this calendar has working time; empty: in every one
    basis: str = ""  # where it comes from
    listed: bool = False  # owed only in periods at whose beginning the post's grid is listed as a key area
    per: Literal["", "site", "key_site"] = ""  # owed once for each site of the post's subtree, or for each key one

    def owed_by(self, post: Post, level: int) -> bool:
        """Whether a post, at a grid of a level, owes this duty. Vacant posts owe nothing, nor do machines."""
        fits = post.role == self.role and (not self.levels or level in self.levels)
        return fits and not (post.vacant or post.machine or post.role in OWES_NOTHING)


class IndicatorRow(Struct, frozen=True, omit_defaults=True):
    """One indicator (考核指标): terms above and below the line, of one kind of case.

    A term is a figure of that kind, or `expected:<duty>`; one with a minus before it is taken away.
    """

    code: str
    numerator: tuple[str, ...]
    denominator: tuple[str, ...] = ()  # none: it is a count
    subtracted: tuple[str, ...] = ()  # exempt: taken away from the denominator
    unit: Literal["percent", "count"] = "count"
    direction: Literal["higher", "lower"] = "higher"  # which way it is better
    definition: str = ""  # the kind of case; empty: the pack's main one
    category: str = ""  # only of this category; of duties the duty's code
    found: Literal["", "own", "others", "confirmed"] = ""  # who reported the problem: workflows.assessment.terms
    name_zh: str = ""
    name_en: str = ""
    says_zh: str = ""
    says_en: str = ""
    basis: str = ""  # where it comes from


class ScorecardRow(Struct, frozen=True, omit_defaults=True):
    """One line of a scorecard (考核细则): what an indicator is worth. Numbers of an indicator are hundredths of its
    unit; weights and caps are points."""

    card: str
    year: int
    period: str  # month, quarter, half or year
    subjects: Literal["grid", "department", "post"]
    level: int  # of the grid, or of the grid of the department or the post
    indicator: str
    weight: int
    zero_at: int  # the value that gives nothing
    full_at: int  # the value that gives the weight
    peer: str = ""  # compared: all (empty), those of one kind of grid (kind), or in one grid of a level (N)
    cap: int = 0  # of a bonus: the most that it adds; 0: its weight
    bonus: bool = False  # comes on top of the total
    min_n: int | None = None  # fewer below the line leave it out; None: as the options have it
    title_zh: str = ""
    title_en: str = ""
    basis: str = ""


class ConsequenceRow(Struct, frozen=True, omit_defaults=True):
    """What a sheet of a card proposes, and for whom (奖惩). Nothing happens by it: a named role decides."""

    card: str
    when: str  # last:3@2, first:3, below:60, each perhaps after twice: (workflows.assessment.consequences)
    action: str  # the code of an action
    basis: str = ""


class TargetRow(Struct, frozen=True, omit_defaults=True):
    """One target (目标): what an owner has to reach in a year, by which values and which standard (M102 M108).

    `value` is decimal text, empty where the text gives none: then it is not scored. Days are YYYYMMDD, 0 open.
    """

    target: str
    owner: str  # code of a grid or a department
    year: int
    indicator_zh: str
    indicator_en: str
    comparison: Literal["<=", ">=", "<", ">", "="]
    value: str
    unit: str
    method: Literal["value", "mean", "sum", "count", "share"]  # how the year's value comes from what is measured
    period: Literal["day", "month", "quarter", "half", "year"]  # of which each measured value is
    each: str = ""  # the condition that a count or a share counts, such as <=100
    index: Literal["", "aqi", "water"] = ""  # what a value is an index or a class of
    places: int = -1  # decimals to which the year's value is rounded before it is compared; -1: it is not
    least: int = 0  # so many values it takes
    standard: str = ""
    standard_from: int = 0
    standard_to: int = 0
    basis: str = ""  # where it comes from


class ActionRow(Struct, frozen=True, omit_defaults=True):
    """One action of supervision (督办方式): what an office may do to a unit, as its law or its rules have it (M118)."""

    action: str
    title_zh: str
    title_en: str
    public: bool = False  # it is told in public
    answer: bool = True  # the unit has to answer; else it is cleared once it was served
    holds: bool = False  # while it is in force, the case of which it speaks does not end
    amount_fen: int = 0  # what it charges for each, in fen (1/100 yuan); 0: nothing
    per: str = ""  # what it charges for: an outlet, a case
    charged: Literal["", "unit", "government"] = ""  # the responsible unit, or the government or committee of the place
    basis: str = ""  # where it comes from
    lists: bool = False  # once served, the grid in which it lies is listed as a key area, up to a day
    veto: bool = False  # one-vote veto: it stands in the year's sheet as a grade beside the score (M124)
    bans: bool = False  # once served, nothing is permitted in the grid in which it lies, until it is cleared or revoked
    negative: bool = False  # once served, it stands on the negative list of the unit (负面清单, M113)


class ApprovalRow(Struct, frozen=True, omit_defaults=True):
    """What may be applied for (审批事项, M119, M120). Its times stand in limits.csv, by its code and the lane."""

    code: str
    title_zh: str
    title_en: str
    same_day: bool = False  # done on the day on which it is asked for, as the hall's calendar has days (当天办结)
    calendar: str = ""  # the hall's; empty: that of the grid that decides
    valid_from: int = 0  # local day YYYYMMDD, inclusive
    valid_to: int = 0  # inclusive; 0: open
    basis: str = ""  # where it comes from


class CampaignRow(Struct, frozen=True, omit_defaults=True):
    """One campaign (专项行动, M100): reports of these days, categories and grids may say that they are part of it."""

    code: str
    title_zh: str
    title_en: str
    valid_from: int = 0  # local day YYYYMMDD, inclusive
    valid_to: int = 0  # inclusive; 0: open
    categories: tuple[str, ...] = ()  # codes of categories and groups of them; empty: any
    grids: tuple[str, ...] = ()  # with all below them; empty: any
    basis: str = ""  # where it comes from

    def remark(self, day: int, category: str, group: str, path: tuple[str, ...]) -> str:
        """Why a report does not count as part of it; empty: it does."""
        if day < self.valid_from or (self.valid_to and day > self.valid_to):
            return "outside_days"
        if self.categories and not {category, group} & {*self.categories}:
            return "outside_categories"
        return "outside_grids" if self.grids and not {*path} & {*self.grids} else ""


MOST_FEN = 2**53 - 1
"""The largest amount of one supervision: what every reader of JSON holds exactly, and 64 bits hold well."""


UNBORN_CAP = 10_000
"""How many cases of a home may hold early events before their report, unless the pack says it."""


DAILY_AT = 18 * 60
"""The local minute of the day at which reporters get their daily line, unless the pack says it."""


class Options(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The pack's choices. Durations are milliseconds."""

    partition_level: int
    offline_ms: int  # offline allowance: how late an occurred instant is still believed
    parked_ms: int  # how long an early event waits
    parked_cap: int = 32  # how many wait per case at most
    unborn_cap: int = UNBORN_CAP  # how many cases of a home hold early events before their report, at most
    duplicate_window_ms: int = 90 * 86_400_000  # window W for resends
    rework_level: int  # the level a failed verification reports to again (M35)
    default_level: int  # where a report goes without other authority (M16)
    checks: Literal["all", "last"] = "all"  # which levels check on site before the last one decides (M33)
    verifier_differs: bool = False  # handler and verifier must be different posts
    barred_verifiers: tuple[str, ...] = ()  # kinds of leaf grid whose chief never verifies against its own unit
    loop_alarm: int = 3  # cycles from which a loop alarm is told
    similar_radius_m: int = 0  # duplicates proposed within this distance; 0: none proposed
    similar_window_ms: int = 0
    deadlines_move: Literal["never", "provisional", "always"] = "provisional"  # when a newer calendar is activated
    quiet_from: int = 0  # local minutes of the day, alerts wait from ...
    quiet_to: int = 0  # ... to; equal: no quiet hours
    quiet_exempt: tuple[str, ...] = ()  # clocks whose alerts do not wait
    hold_ms: int = 0  # how long the telling of a rung waits that was past when it was armed
    grace_days: int = 3  # after a period's end, later facts restate it
    min_n: int = 10  # least number of cases for a ranking
    copy_passed: bool = False  # levels that a report passes over get a copy (M17)
    main_definition: str = ""  # the kind of case that figures speak of unless asked; empty: the reference
    daily_at: int = DAILY_AT  # local minute of the day: what a reporter need not hear at once comes in one line then
    crs: Literal["", "WGS84", "CGCS2000", "GCJ02", "BD09"] = ""  # of positions that say none; empty: WGS84, perhaps
    against_table: tuple[str, ...] = ()  # roles that may give a case to another department than its category's, with a
    # reason (M55); empty: whoever dispatches may, and says none
    appeal: Limit | None = None  # in which a refused exemption may be appealed; None: not at all
    untrained: Literal["", "remark", "refuse"] = ""  # what a post of a kind says before it is trained (M50)
    root_cause: Literal["optional", "required"] = "optional"  # whether a closing has to name one (M99)
    negative_list: tuple[str, ...] = ()  # roles whose posts read the negative list (M113); empty: nobody


class Pack(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A compiled pack."""

    code: str
    title_zh: str
    title_en: str
    zone: str
    notice: str = ""  # e.g. that polygons are synthetic
    polygons: Literal["full", "none"] = "full"  # none: the pack has no borders, and none are missed
    levels: tuple[Level, ...]
    options: Options
    calendars: tuple[CalendarData, ...]
    grids: tuple[Grid, ...]
    departments: tuple[Department, ...] = ()
    posts: tuple[Post, ...]
    categories: tuple[Category, ...]
    authority: tuple[Authority, ...] = ()
    limits: tuple[LimitRow, ...] = ()
    rungs: tuple[RungRow, ...] = ()
    notices: tuple[NoticeRow, ...] = ()  # empty: nobody is told of moves, and urging alerts
    roles: tuple[RoleRow, ...]
    duties: tuple[DutyRow, ...] = ()
    indicators: tuple[IndicatorRow, ...] = ()
    scorecards: tuple[ScorecardRow, ...] = ()
    consequences: tuple[ConsequenceRow, ...] = ()
    actions: tuple[ActionRow, ...] = ()  # empty: nothing is supervised
    bodies: tuple[Body, ...] = ()
    responsibilities: tuple[ResponsibilityRow, ...] = ()
    sites: tuple[Site, ...] = ()
    authority_rows: tuple[AuthorityRow, ...] = ()  # in the place of the catalogue's levels, where one fits
    targets: tuple[TargetRow, ...] = ()  # empty: nobody signs for one
    campaigns: tuple[CampaignRow, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()  # who borders on the register: written to for joint work
    approvals: tuple[ApprovalRow, ...] = ()  # empty: nothing is applied for
    device_types: tuple[DeviceType, ...] = ()
    devices: tuple[Device, ...] = ()
    signals: tuple[SignalRule, ...] = ()  # empty: no value becomes a signal
    sources: tuple[SourceRow, ...] = ()  # by which petitions come in
    rewards: tuple[RewardRow, ...] = ()


def encode(pack: Pack) -> bytes:
    """Canonical bytes: JSON with the fields in declared order."""
    return msgspec.json.encode(pack)


def decode(body: bytes) -> Pack:
    """The pack inside canonical bytes."""
    return msgspec.json.decode(body, type=Pack)


def digest(pack: Pack) -> str:
    """The content address of a pack: SHA-256 of its canonical bytes, in hex."""
    return hashlib.sha256(encode(pack)).hexdigest()
