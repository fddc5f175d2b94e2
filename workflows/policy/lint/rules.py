"""Lints the rules of a pack: categories and authority, limits, rungs, roles, options, calendars.

These belong to duty, standard, process and assessment of 六定 (M11), which `fixings` counts.
"""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

from schemas.events import OLDER_NAMES, canonical
from schemas.exemptions import APPEALED, EXEMPTIONS
from schemas.joint import JOINT
from schemas.kinds import KINDS
from schemas.kinds.assessment import ASSESSMENT
from schemas.kinds.incident import Dispatched, Reassigned
from schemas.kinds.supervision import CONTESTS, UPHOLDS
from schemas.proposals import EXTENSIONS, PROPOSALS, SUSPENSIONS
from workflows.case import TOTAL
from workflows.clocks.limits import DayMeaning, Kind, Limit
from workflows.definitions import CLOCKS_OF_CATEGORIES, DEFINITIONS, OF_APPROVALS, OF_OTHERS
from workflows.figures import to_date, to_day
from workflows.policy.lint.context import (
    CLAIM_DEADLINES,
    CLAIM_SOURCES,
    CLOCKS,
    READS,
    ROLES,
    SOURCES,
    TELL,
    TELL_OF_MOVES,
    TRIGGERS,
    LintContext,
    one_of,
    overlap,
)
from workflows.policy.lint.fixings import held
from workflows.policy.model import BANK, NO_DEADLINE, LimitRow, RoleRow
from workflows.policy.moves import ASKED, MOVES, PUBLISHED
from workflows.policy.settings import FILE

CATEGORIES, LIMITS, RUNGS, ROLES_FILE = "categories.csv", "limits.csv", "rungs.csv", "roles.csv"
NOTICES = "notices.csv"
HORIZON_DAYS = 90  # a horizon nearer than this gets a warning
GIVES = frozenset(
    trigger for kind in KINDS for trigger, event in kind.events.items() if event.data in (Dispatched, Reassigned)
)
"""The events by which a case is given to a department."""


# ---- categories and authority -------------------------------------------------------------------------


def lint_categories(context: LintContext) -> None:
    """Every category has a group and a known level; its department, if one is named, serves the grids of that level."""
    for index, category in enumerate(context.pack.categories):
        if not category.group:
            context.error(CATEGORIES, index, "group", "has no group", "name its group, such as dust")
        if category.level not in context.levels:
            text = f"{category.level} is no level of pack.toml: nobody has authority over it"
            context.error(CATEGORIES, index, "level", text, one_of([str(n) for n in sorted(context.levels)]))
            continue
        if not category.department:
            continue
        department = context.departments.get(category.department)
        if department is None:
            remedy = "correct it, or add it to departments.csv"
            context.error(CATEGORIES, index, "department", f"{category.department!r} is no department", remedy)
            continue
        if department.groups and category.group not in department.groups:
            text = f"{department.code!r} is not competent for the group {category.group!r}"
            context.error(CATEGORIES, index, "department", text, "add the group to it in departments.csv")
        owners = [grid.code for grid in context.pack.grids if grid.level == category.level]
        lost = [code for code in owners if department.grid not in context.path(code)]
        if lost:
            text = f"{department.code!r} of {department.grid!r} does not serve {', '.join(lost[:3])}"
            tell = context.error if len(lost) == len(owners) else context.warning
            tell(CATEGORIES, index, "department", text, "name a department of a grid further up, or leave it empty")


def lint_authority(context: LintContext) -> None:
    """The catalogue names no more problems of a level than its source declares (等45项, 等56项)."""
    seen = set()
    for authority in context.pack.authority:
        declared = f"level {authority.level} declares {authority.declared} problems"
        if authority.named > authority.declared:
            remedy = "correct the level of the surplus rows in categories.csv, or the number"
            text = f"{declared}, the catalogue names {authority.named}"
            context.problems.error(FILE, 0, "authority", text, remedy)
        if authority.level not in context.levels or authority.level in seen:
            remedy = "give each level one entry"
            context.problems.error(FILE, 0, "authority", f"level {authority.level} is unknown or named twice", remedy)
        seen.add(authority.level)


def lint_unnamed(context: LintContext) -> None:
    """What a level is declared to handle beyond what the catalogue names can be reported, each in one way."""
    first: dict[tuple[int, str], int] = {}
    for index, category in enumerate(context.pack.categories):
        if category.unnamed and first.setdefault((category.level, category.group), index) != index:
            at = context.row(CATEGORIES, first[category.level, category.group])
            text = f"row {at} stands for the unnamed problems of level {category.level} and {category.group!r} already"
            context.error(CATEGORIES, index, "unnamed", text, "keep one of them")
    for authority in context.pack.authority:
        groups = {category.group for category in context.pack.categories if category.level == authority.level}
        lost = sorted(group for group in groups if (authority.level, group) not in first)
        if authority.named < authority.declared and lost:
            text = f"level {authority.level} declares {authority.declared} problems, {authority.named} have a name: "
            text += f"another one of {', '.join(lost)} cannot be reported"
            remedy = "add a row with yes here for each of these groups (其他…)"
            context.problems.warning(CATEGORIES, 0, "unnamed", text, remedy)


# ---- limits -------------------------------------------------------------------------------------------


def lint_limits(context: LintContext) -> None:
    """Every limit names a known clock, level, category and group; those with equal selectors follow each other."""
    equals: dict[tuple[str, bool, str, str, int, str, str], list[tuple[int, LimitRow]]] = defaultdict(list)
    for index, row in enumerate(context.pack.limits):
        if row.clock not in CLOCKS:
            context.error(LIMITS, index, "clock", f"{row.clock!r} is no clock", one_of(CLOCKS, len(CLOCKS)))
        if row.level and row.level not in context.levels:
            remedy = one_of([str(n) for n in sorted(context.levels)]) + ", or leave it empty for any"
            context.error(LIMITS, index, "level", f"{row.level} is no level of pack.toml", remedy)
        if row.level and row.clock == TOTAL:
            text = "the clock of the whole case runs at no level: this row can never hold"
            context.warning(LIMITS, index, "level", text, "leave the level empty, or give the level's clocks limits")
        category = context.categories.get(row.category)
        if row.category and category is None and row.definition not in OF_OTHERS:
            text = f"{row.category!r} is no category"
            context.error(LIMITS, index, "category", text, "use a code of categories.csv, or leave it empty for any")
        if row.group and row.definition not in OF_APPROVALS and row.group not in context.groups:
            context.error(
                LIMITS, index, "group", f"{row.group!r} is no group", one_of(context.groups) + ", or leave it empty"
            )
        elif row.group and category is not None and category.group != row.group:
            text = f"{row.category!r} belongs to {category.group!r}: this row can never hold"
            context.error(LIMITS, index, "group", text, "leave the group empty beside a category")
        if row.valid_to and row.valid_from > row.valid_to:
            text = f"{row.valid_to} lies before valid_from {row.valid_from}"
            context.error(LIMITS, index, "valid_to", text, "exchange the days, or leave valid_to empty")
        _lint_whole_days(context, LIMITS, index, "limit", row.limit)
        if not row.basis:
            remedy = "say where the figure comes from, or write: our proposal"
            context.warning(LIMITS, index, "basis", "does not say where the figure comes from", remedy)
        selectors = row.definition, row.listed, row.lane, row.clock, row.level, row.category, row.group
        equals[selectors].append((index, row))
    for rows in equals.values():
        rows.sort(key=lambda entry: entry[1].valid_from)
        for (first, earlier), (index, later) in pairwise(rows):
            at = context.row(LIMITS, first)
            if overlap(earlier.valid_from, earlier.valid_to, later.valid_from, later.valid_to):
                text = (
                    f"holds on days on which row {at} holds for the same kind of case, clock, level, category and group"
                )
                context.error(LIMITS, index, "valid_from", text, f"end row {at} the day before this one begins")
            elif to_day(to_date(earlier.valid_to) + timedelta(days=1)) < later.valid_from:
                text = f"no limit holds between {earlier.valid_to} (row {at}) and {later.valid_from}"
                context.warning(LIMITS, index, "valid_from", text, "close the gap, if none is meant")


def _lint_whole_days(context: LintContext, file: str, index: int, column: str, limit: Limit | None) -> None:
    """A limit of part of a working day has no meaning where working days end at closing time."""
    ends = [calendar.code for calendar in context.pack.calendars if calendar.day_meaning == DayMeaning.end_of_day]
    if ends and limit is not None and limit.kind is Kind.working_day and limit.milli % 1000:
        text = f"calendar {ends[0]!r} lets working days end at closing time, so it knows whole days only"
        context.error(file, index, column, text, "write whole 工作日, or 工作时")


def lint_coverage(context: LintContext) -> None:
    """A clock that has a limit for some categories has one for all of them. One finding per clock."""
    for clock in CLOCKS_OF_CATEGORIES:
        rows = [row for row in context.pack.limits if row.clock == clock and row.definition not in OF_OTHERS]
        without = [category.code for category in context.pack.categories if not held(context, category, clock)]
        if rows and without:
            text = f"clock {clock}: {len(without)} of {len(context.pack.categories)} categories have no limit"
            listed = ", ".join(without[:3])
            context.problems.warning(LIMITS, 0, "category", f"{text} ({listed} …)", "add a row, if a limit is meant")


# ---- rungs --------------------------------------------------------------------------------------------


def lint_rungs(context: LintContext) -> None:
    """Every rung has a known clock, a distance and repeats that fit, and alerts known recipients."""
    seen: dict[tuple[str, str, str, str], int] = {}
    if not context.pack.rungs:
        text = "no clock has a rung: deadlines pass, and nobody is told"
        context.problems.warning(RUNGS, 0, "", text, "say in rungs.csv who, and when")
    for index, rung in enumerate(context.pack.rungs):
        if rung.clock not in (*CLOCKS, "*"):
            context.error(RUNGS, index, "clock", f"{rung.clock!r} is no clock", one_of(("*", *CLOCKS), len(CLOCKS) + 1))
        key = rung.definition, rung.category, rung.clock, rung.rung
        if seen.setdefault(key, index) != index:
            first = context.row(RUNGS, seen[key])
            text = f"{rung.clock} {rung.rung} stands in row {first} already"
            context.error(RUNGS, index, "rung", text, "give each rung of a clock its own name")
        if rung.offset == "at" and rung.limit is not None:
            remedy = "empty the limit, or write before or after"
            context.error(RUNGS, index, "limit", "a rung at the deadline has no distance from it", remedy)
        if rung.offset != "at" and rung.limit is None:
            text = f"a rung {rung.offset} the deadline needs its distance"
            context.error(RUNGS, index, "limit", text, "write it, such as 1工作时")
        if rung.times < 1:
            context.error(RUNGS, index, "times", f"fires {rung.times} times", "write 1 or more, or remove the row")
        if rung.times > 1 and rung.every is None:
            text = f"fires {rung.times} times, but nothing says how far apart"
            context.error(RUNGS, index, "every", text, "write the distance, such as 1工作日, or times 1")
        if rung.every is not None and (rung.times == 1 or rung.offset != "after"):
            remedy = "write times 2 or more on a rung after the deadline, or empty the cell"
            context.warning(RUNGS, index, "every", "a distance of repeats, but nothing repeats", remedy)
        for word in rung.tell:
            if word not in TELL:
                context.error(RUNGS, index, "tell", f"{word!r} is nobody that can be told", one_of(TELL))
        if not rung.tell and not rung.act:
            context.warning(RUNGS, index, "tell", "tells nobody and does nothing", "name who is told, or remove it")
        _lint_whole_days(context, RUNGS, index, "limit", rung.limit)
        _lint_whole_days(context, RUNGS, index, "every", rung.every)


# ---- notices ------------------------------------------------------------------------------------------


def lint_notices(context: LintContext) -> None:
    """Every row names a known move, once for each kind of case, and known recipients; every move tells somebody."""
    seen: dict[tuple[str, str, str], int] = {}
    for index, row in enumerate(context.pack.notices):
        if row.on not in MOVES:
            context.error(NOTICES, index, "on", f"{row.on!r} is no move", one_of(MOVES))
        key = row.definition, row.category, row.on
        if seen.setdefault(key, index) != index:
            text = f"{row.on} stands in row {context.row(NOTICES, seen[key])} already"
            context.error(NOTICES, index, "on", text, "give each move of a kind of case, or of a category, one row")
        for word in row.tell:
            if word not in TELL_OF_MOVES:
                remedy = one_of(TELL_OF_MOVES, len(TELL_OF_MOVES))
                context.error(NOTICES, index, "tell", f"{word!r} is nobody that can be told", remedy)
            elif word == BANK and row.on != PUBLISHED:
                remedy = f"take the word out, and add a row for {PUBLISHED}"
                context.error(NOTICES, index, "tell", "a bank is told of acts that are told in public alone", remedy)
    everywhere = {(kind, move): index for (kind, of, move), index in seen.items() if not of}
    told = {key for key, index in everywhere.items() if context.pack.notices[index].tell}
    asks = any(row.trigger in (*PROPOSALS, *EXEMPTIONS) for row in context.pack.roles)
    banks = [post for post in context.pack.posts if post.role == BANK and not (post.vacant or post.machine)]
    for name, definition in DEFINITIONS.items() if seen else ():
        own = {move for kind, move in everywhere if kind == name}  # a row of its own that names nobody is meant so
        asked = {ASKED: asks, PUBLISHED: bool(definition.of_actions and banks)}
        silent = [m for m in MOVES if m not in own and ("", m) not in told and asked.get(m, True)]
        if silent and not context.has_none_of(definition):
            text = f"{name}: nobody is told of {', '.join(silent)}"
            context.problems.warning(NOTICES, 0, "on", text, "add a row for each, if somebody should be")


# ---- roles --------------------------------------------------------------------------------------------


def lint_roles(context: LintContext) -> None:
    """Every row names a known trigger, role and level, and says what it may claim; every trigger has a row."""
    staffed = {post.role for post in context.pack.posts if not post.vacant}
    for index, row in enumerate(context.pack.roles):
        if row.trigger not in TRIGGERS:
            context.error(
                ROLES_FILE,
                index,
                "trigger",
                f"{row.trigger!r} is no trigger",
                one_of(TRIGGERS, len(TRIGGERS)),
            )
        if row.role not in ROLES:
            context.error(ROLES_FILE, index, "role", f"{row.role!r} is no role", one_of(ROLES))
        elif row.role in READS:
            remedy = "take the role out; who watches deadlines, urges and orders is a supervisor"
            context.error(ROLES_FILE, index, "role", f"rule {row.rule!r}: {row.role} reads and says nothing", remedy)
        elif row.role not in staffed:
            remedy = "add a post with this role to posts.csv, or take the role out"
            context.warning(ROLES_FILE, index, "role", f"rule {row.rule!r}: no post has the role {row.role}", remedy)
        for level in row.levels:
            if level not in context.levels:
                text = f"rule {row.rule!r}: {level} is no level of pack.toml"
                context.error(ROLES_FILE, index, "levels", text, one_of([str(n) for n in sorted(context.levels)]))
        _lint_claims(context, index, row)
    for column, triggers in (("sources", CLAIM_SOURCES), ("deadlines", CLAIM_DEADLINES)):
        silent_rules = [row.rule for row in context.pack.roles if row.trigger in triggers and not getattr(row, column)]
        if silent_rules:
            listed = ", ".join(dict.fromkeys(silent_rules))
            context.problems.warning(ROLES_FILE, 0, column, f"{listed}: may claim any", f"say which {column} they may")
    named = {canonical(row.trigger) for row in context.pack.roles}
    # A kind is spoken of only where there is some of it.
    idle = {t for kind in KINDS if context.has_none_of(DEFINITIONS[kind.name]) for t in kind.events}
    # Nor of approval or joint work where nobody asks for it, of sheets where none is computed, or of taking up again.
    for proposals in (EXTENSIONS, SUSPENSIONS, EXEMPTIONS, JOINT, (*ASSESSMENT.events, CONTESTS, UPHOLDS)):
        idle |= set() if named & set(proposals) else set(proposals)
    idle |= set() if context.pack.options.appeal else {APPEALED}
    idle |= {trigger for definition in DEFINITIONS.values() for trigger in definition.reopening}
    silent = [t for t in TRIGGERS if t not in OLDER_NAMES and t not in named and t not in idle]
    if silent:
        text = f"nobody may say {', '.join(silent)}"
        context.problems.warning(ROLES_FILE, 0, "trigger", text, "add a row for each, if somebody should")


def _lint_claims(context: LintContext, index: int, row: RoleRow) -> None:
    """Sources and deadlines are known ones, and stand where something claims them."""
    for column, triggers, words in (
        ("sources", CLAIM_SOURCES, SOURCES),
        ("deadlines", CLAIM_DEADLINES, (NO_DEADLINE, *CLOCKS)),
    ):
        claims = getattr(row, column)
        if claims and row.trigger not in triggers:
            text = f"rule {row.rule!r}: {row.trigger} claims no {column}"
            context.error(ROLES_FILE, index, column, text, f"leave it empty, or move it to {' or '.join(triggers)}")
        for word in claims:
            if word not in words:
                text = f"rule {row.rule!r}: {word!r} is none of the {column}"
                context.error(ROLES_FILE, index, column, text, one_of(words))
        if NO_DEADLINE in claims and len(claims) > 1:
            text = f"rule {row.rule!r}: {NO_DEADLINE!r} stands beside others"
            context.error(ROLES_FILE, index, column, text, f"write {NO_DEADLINE} alone, or the clocks")


def lint_definitions(context: LintContext) -> None:
    """Rows for one kind of case name one that there is."""
    pack = context.pack
    tables = (
        (LIMITS, [row.definition for row in pack.limits]),
        (RUNGS, [row.definition for row in pack.rungs]),
        (NOTICES, [row.definition for row in pack.notices]),
        (ROLES_FILE, [row.definition for row in pack.roles]),
    )
    for file, names in tables:
        for index, name in enumerate(names):
            if name and name not in DEFINITIONS:
                remedy = one_of(tuple(DEFINITIONS)) + ", or leave it empty for every kind"
                context.error(file, index, "definition", f"{name!r} is no kind of case", remedy)


# ---- options and calendars ----------------------------------------------------------------------------


def lint_options(context: LintContext) -> None:
    """Options name existing levels and known words, and their numbers make sense."""
    options = context.pack.options
    for column in ("partition_level", "rework_level", "default_level"):
        if getattr(options, column) not in context.levels:
            text = f"{getattr(options, column)} is no level of [[levels]]"
            remedy = one_of([str(n) for n in sorted(context.levels)])
            context.problems.error(FILE, 0, f"options.{column}", text, remedy)
    for column in ("offline_ms", "parked_ms", "parked_cap", "unborn_cap", "duplicate_window_ms", "loop_alarm", "min_n"):
        if getattr(options, column) < 1:
            text = f"{column.removesuffix('_ms')} is {getattr(options, column)}"
            context.problems.error(FILE, 0, "options", text, "write a number or a duration above 0")
    if options.similar_radius_m and not options.similar_window_ms:
        text = "a radius without a window proposes nothing"
        context.problems.error(FILE, 0, "options.similar_window", text, 'write one, such as "24 hours"')
    for clock in options.quiet_exempt:
        if clock not in CLOCKS:
            context.problems.error(FILE, 0, "options.quiet_exempt", f"{clock!r} is no clock", one_of(CLOCKS))
    if options.main_definition and options.main_definition not in DEFINITIONS:
        text = f"{options.main_definition!r} is no kind of case"
        context.problems.error(FILE, 0, "options.main_definition", text, one_of(tuple(DEFINITIONS)))
    given_by = {row.role for row in context.pack.roles if row.trigger in GIVES}
    for role in options.against_table:
        if role not in given_by:
            text = f"role {role!r} may give no case to a department"
            context.problems.error(FILE, 0, "options.against_table", text, one_of(given_by))
    kinds = {grid.kind for grid in context.pack.grids}
    for kind in options.barred_verifiers:
        if kind not in kinds:
            text = f"no grid is of the kind {kind!r}"
            context.problems.warning(FILE, 0, "options.barred_verifiers", text, one_of(kinds - {""}))


def lint_calendars(context: LintContext) -> None:
    """There is a calendar, each has its own code, and as of the day the holidays are known far enough ahead."""
    day = context.day
    if not context.pack.calendars:
        context.problems.error(FILE, 0, "calendars", "the pack has no calendar", "add [[calendars]]")
    codes = [calendar.code for calendar in context.pack.calendars]
    for code in sorted({code for code in codes if codes.count(code) > 1}):
        context.problems.error(FILE, 0, "calendars", f"{code!r} stands twice", "give each calendar its own code")
    for calendar in context.pack.calendars:
        days = (*calendar.weekly, *(rule.windows for rule in calendar.days))
        if any(closes == 24 * 60 - 1 for windows in days for _, closes in windows):
            text = "hours until 23:59 lose a minute a day"
            context.problems.warning(FILE, 0, f"calendars.{calendar.code}", text, "write 24:00")
    for calendar in context.pack.calendars if day else ():
        column = f"calendars.{calendar.code}"
        today, last = to_date(day), to_date(calendar.last_day)
        if day < calendar.first_day:
            text = f"begins on {calendar.first_day}, after {today}"
            context.problems.warning(FILE, 0, column, text, "begin with an earlier first_year")
        left = (last - today).days
        if left < HORIZON_DAYS:
            state = f"ends in {left} days" if left >= 0 else f"ended {-left} days ago"
            remedy = "update the holidays library, or add next year's days to days.csv and raise last_year"
            text = f"its horizon {last} {state}; deadlines beyond it are provisional"
            context.problems.warning(FILE, 0, column, text, remedy)
