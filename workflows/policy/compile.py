"""Compiles a policy pack: from the texts of a folder to a `Pack` with nothing left to look up.

Nothing is read here; file names map to texts. The same texts give the same pack whatever the line endings and byte
order marks. A file with an error gives no pack, only findings.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from workflows.policy.assessment_rows import (
    CONSEQUENCES,
    INDICATORS,
    SCORECARDS,
    consequence_row,
    indicator_row,
    scorecard_row,
)
from workflows.policy.calendars import compile_calendars
from workflows.policy.csv_tables import CODE, Columns, Row, plain, read_table, unseen_in
from workflows.policy.device_rows import DEVICE_TYPES, DEVICES, SIGNALS, device_row, device_type_row, signal_row
from workflows.policy.geometry import GEOJSON, Polygon, name_lost_polygons, read_polygons
from workflows.policy.model import (
    BEAR,
    ESCALATE,
    NO_ALLOWANCE,
    ActionRow,
    ApprovalRow,
    Authority,
    CampaignRow,
    Category,
    Department,
    DutyRow,
    Grid,
    LimitRow,
    NoticeRow,
    Pack,
    Post,
    RoleRow,
    RungRow,
)
from workflows.policy.problems import Finding, Problems, has_errors
from workflows.policy.public_rows import REWARDS, SOURCES, reward_row, source_row
from workflows.policy.register_rows import (
    AUTHORITY,
    BODIES,
    NEIGHBOURS,
    RESPONSIBILITIES,
    SITES,
    authority_row,
    body_row,
    neighbour_row,
    responsibility_row,
    site_row,
)
from workflows.policy.settings import (
    FILE,
    Settings,
    levels_of,
    line_of,
    no_duration,
    options_of,
    parse_duration,
    read_settings,
)
from workflows.policy.target_rows import TARGETS, target_row

T = TypeVar("T")

DAYS = Columns("days.csv", ("calendar", "day", "windows"), ("note", "known_on"))
GRIDS = Columns(
    "grids.csv",
    ("code", "name", "level", "parent"),
    ("kind", "calendar", "official_code", "valid_from", "valid_to", "successor"),
)
DEPARTMENTS = Columns("departments.csv", ("code", "name", "grid"), ("groups",))
POSTS = Columns(
    "posts.csv",
    ("code", "title", "role", "grid"),
    ("department", "vacant", "valid_from", "valid_to", "machine", "kind", "trained_on"),
)
CATEGORIES = Columns(
    "categories.csv", ("code", "group", "level"), ("name_zh", "name_en", "department", "dissuade", "source", "unnamed")
)
LIMITS = Columns(
    "limits.csv",
    ("clock", "limit"),
    ("level", "category", "group", "valid_from", "valid_to", "basis", "definition", "listed", "lane"),
)
RUNGS = Columns(
    "rungs.csv", ("clock", "rung", "offset"), ("limit", "every", "times", "tell", "act", "definition", "category")
)
NOTICES = Columns("notices.csv", ("on", "tell"), ("definition", "note", "category"))
ROLES = Columns(
    "roles.csv",
    ("rule", "trigger", "role"),
    ("levels", "scope", "note", "sources", "deadlines", "allowance", "definition", "categories"),
)
DUTIES = Columns(
    "duties.csv",
    ("code", "role", "period"),
    ("name", "levels", "object", "quota", "distinct", "needs", "reports_to", "calendar", "basis", "listed", "per"),
)
ACTIONS = Columns(
    "actions.csv",
    ("action", "title_zh"),
    (
        "title_en",
        "public",
        "answer",
        "holds",
        "amount_fen",
        "per",
        "charged",
        "basis",
        "lists",
        "veto",
        "bans",
        "negative",
    ),
)
CAMPAIGNS = Columns(
    "campaigns.csv", ("code", "title_zh"), ("title_en", "from", "until", "categories", "grids", "basis")
)
APPROVALS = Columns(
    "approvals.csv", ("code", "title_zh"), ("title_en", "same_day", "calendar", "from", "until", "basis")
)
TABLES = (
    GRIDS,
    DEPARTMENTS,
    POSTS,
    CATEGORIES,
    LIMITS,
    RUNGS,
    NOTICES,
    ROLES,
    DUTIES,
    INDICATORS,
    SCORECARDS,
    CONSEQUENCES,
    ACTIONS,
    BODIES,
    RESPONSIBILITIES,
    AUTHORITY,
    SITES,
    TARGETS,
    CAMPAIGNS,
    NEIGHBOURS,
    APPROVALS,
    DEVICE_TYPES,
    DEVICES,
    SIGNALS,
    SOURCES,
    REWARDS,
    DAYS,
)
NEEDED = (FILE, "grids.csv", "posts.csv", "categories.csv", "roles.csv")

Rows = dict[str, tuple[int, ...]]
"""For each file the spreadsheet row of each compiled entry, in the pack's order."""


class Compiled(NamedTuple):
    """A compiled pack with its findings. `pack` is None if one of them is an error."""

    pack: Pack | None
    problems: Problems
    rows: Rows


def compile_pack(files: Mapping[str, str]) -> tuple[Pack | None, list[Finding]]:
    """Compile the texts of a pack folder. If one of the findings is an error, there is no pack."""
    compiled = compile_rows(files)
    return compiled.pack, compiled.problems


def compile_rows(files: Mapping[str, str]) -> Compiled:
    """As `compile_pack`, with the row of every entry, so that `lint` can name it."""
    problems = Problems()
    known = {FILE, GEOJSON, *(columns.file for columns in TABLES)}
    for name in sorted(set(files) - known):
        remedy = "rename or remove it; a pack has " + ", ".join(sorted(known))
        problems.warning(name, 0, "", "this file is not part of a pack and is not read", remedy)
    for name in NEEDED:
        if name not in files:
            problems.error(name, 0, "", "this file is missing", "add it; the README of the packs shows its columns")
    settings = read_settings(files[FILE], problems) if FILE in files else None
    tables = {
        columns.file: read_table(files[columns.file], columns, problems) if columns.file in files else []
        for columns in TABLES
    }
    if settings is None:
        return Compiled(None, problems, {})
    pack, rows = _assemble(files, settings, tables, problems)
    return Compiled(None if has_errors(problems) else pack, problems, rows)


def _assemble(
    files: Mapping[str, str], settings: Settings, tables: Mapping[str, list[Row]], problems: Problems
) -> tuple[Pack, Rows]:
    text, rows = files[FILE], dict[str, tuple[int, ...]]()
    polygons = read_polygons(files.get(GEOJSON, ""), problems)

    def each(columns: Columns, make: Callable[[Row], T | None]) -> tuple[T, ...]:
        made = [(row.number, entry) for row in tables[columns.file] if (entry := make(row)) is not None]
        rows[columns.file] = tuple(number for number, _ in made)
        return tuple(entry for _, entry in made)

    categories = each(CATEGORIES, _category)
    named = [category.level for category in categories if not category.unnamed]
    grids = each(GRIDS, lambda row: _grid(row, polygons))
    if grids:  # else their table is missing or cannot be read, and every polygon would be lost
        name_lost_polygons(polygons, grids, problems)
    roles = [(row.number, role_row) for row in tables[ROLES.file] for role_row in _role_rows(row)]
    rows[ROLES.file] = tuple(number for number, _ in roles)
    if "\x00" in (drawn := files.get(GEOJSON, "")) or "\\u0000" in drawn:
        problems.error(GEOJSON, 0, "", "has U+0000, which no database takes", "remove it, or export the map anew")
    for name in ("code", "zone"):
        if unseen := unseen_in(getattr(settings, name)):
            text_of = f"{getattr(settings, name)!r} has {unseen}"
            problems.error(FILE, line_of(text, name), name, text_of, "remove it: nobody sees it")
        if not CODE.fullmatch(getattr(settings, name).replace("/", "-")):
            problems.error(FILE, line_of(text, name), name, "must not be empty or contain blanks", "correct it")
    pack = Pack(
        code=settings.code,
        title_zh=settings.title_zh,
        title_en=settings.title_en,
        zone=settings.zone,
        notice=settings.notice,
        polygons=settings.polygons,
        levels=levels_of(settings, text, problems),
        options=options_of(settings, text, problems),
        calendars=compile_calendars(settings, text, tables[DAYS.file], problems),
        grids=grids,
        departments=each(
            DEPARTMENTS,
            lambda row: Department(row.code("code"), row.needed("name"), row.word("grid"), row.words("groups")),
        ),
        posts=each(POSTS, _post),
        categories=categories,
        authority=tuple(Authority(a.level, a.declared, named.count(a.level)) for a in settings.authority),
        limits=each(LIMITS, limit_row),
        rungs=each(RUNGS, rung_row),
        notices=each(NOTICES, notice_row),
        roles=tuple(role_row for _, role_row in roles),
        duties=each(DUTIES, duty_row),
        indicators=each(INDICATORS, indicator_row),
        scorecards=each(SCORECARDS, scorecard_row),
        consequences=each(CONSEQUENCES, consequence_row),
        actions=each(ACTIONS, action_row),
        bodies=each(BODIES, body_row),
        responsibilities=each(RESPONSIBILITIES, responsibility_row),
        sites=each(SITES, site_row),
        authority_rows=each(AUTHORITY, authority_row),
        targets=each(TARGETS, target_row),
        campaigns=each(CAMPAIGNS, campaign_row),
        neighbours=each(NEIGHBOURS, neighbour_row),
        approvals=each(APPROVALS, approval_row),
        device_types=each(DEVICE_TYPES, device_type_row),
        devices=each(DEVICES, device_row),
        signals=each(SIGNALS, signal_row),
        sources=each(SOURCES, source_row),
        rewards=each(REWARDS, reward_row),
    )
    return pack, rows


# ---- one row each -------------------------------------------------------------------------------------


def _grid(row: Row, polygons: Mapping[str, Polygon]) -> Grid:
    code = row.code("code")
    return Grid(
        code=code,
        name=row.needed("name"),
        level=row.number_in("level"),
        parent=row.word("parent"),
        kind=row.text("kind"),
        calendar=row.word("calendar"),
        official_code=row.word("official_code"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        polygon=polygons.get(code, ()),
        successor=row.word("successor"),
    )


def _post(row: Row) -> Post:
    return Post(
        code=row.code("code"),
        title=row.needed("title"),
        role=row.word("role"),
        grid=row.word("grid"),
        department=row.word("department"),
        vacant=row.yes("vacant"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        machine=row.yes("machine"),
        kind=row.word("kind"),
        trained_on=row.day("trained_on"),
    )


def _category(row: Row) -> Category:
    name_zh, name_en = row.text("name_zh"), row.text("name_en")
    if not name_zh and not name_en:
        row.bad("name_zh", "has no name", "fill in name_zh or name_en")
    return Category(
        code=row.code("code"),
        name_zh=name_zh or name_en,
        group=row.word("group"),
        level=row.number_in("level"),
        name_en=name_en,
        department=row.word("department"),
        dissuade=row.yes("dissuade"),
        source=row.text("source"),
        unnamed=row.yes("unnamed"),
    )


def limit_row(row: Row) -> LimitRow | None:
    """A row of limits.csv; None: its limit cannot be read."""
    row.needed("limit")
    limit = row.limit("limit")
    if limit is None:
        return None
    return LimitRow(
        clock=row.word("clock"),
        limit=limit,
        level=row.number_in("level"),
        category=row.word("category"),
        group=row.word("group"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        basis=row.text("basis"),
        definition=row.word("definition"),
        listed=row.yes("listed"),
        lane=row.word("lane"),
    )


def rung_row(row: Row) -> RungRow:
    """A row of rungs.csv."""
    offset, act = row.choice("offset", ("before", "at", "after")), row.word("act")
    if act not in ("", ESCALATE) and not act.startswith(BEAR):
        row.bad("act", f"{act!r} is unknown", f"use one of: (empty), {ESCALATE}, {BEAR} with an action of actions.csv")
    return RungRow(
        clock=row.word("clock"),
        rung=row.code("rung"),
        offset="before" if offset == "before" else "at" if offset == "at" else "after",
        limit=row.limit("limit"),
        every=row.limit("every"),
        times=row.number_in("times", 1),
        tell=row.words("tell"),
        act=act,
        definition=row.word("definition"),
        category=row.word("category"),
    )


def notice_row(row: Row) -> NoticeRow:
    """A row of notices.csv."""
    row.needed("on")
    return NoticeRow(row.word("on"), row.words("tell"), row.word("definition"), row.word("category"))


def duty_row(row: Row) -> DutyRow:
    """A row of duties.csv. A duty without a name is called by its code."""
    about, distinct = row.word("object") or "grid", row.choice("distinct", ("", "day", "place"))
    per = row.choice("per", ("", "site", "key_site"))
    if about not in ("grid", "chief"):
        row.bad("object", f"{about!r} is unknown", "write grid, or chief for the chief of that grid")
    return DutyRow(
        code=row.code("code"),
        name=row.text("name") or row.word("code"),
        role=row.word("role"),
        period=row.word("period"),
        levels=row.levels("levels"),
        object="chief" if about == "chief" else "grid",
        quota=row.number_in("quota", 1),
        distinct="day" if distinct == "day" else "place" if distinct else "",
        needs=row.words("needs"),
        reports_to=row.words("reports_to"),
        calendar=row.word("calendar"),
        basis=row.text("basis"),
        listed=row.yes("listed"),
        per="site" if per == "site" else "key_site" if per else "",
    )


def action_row(row: Row) -> ActionRow:
    """A row of actions.csv. An action without an English title is called by the Chinese one."""
    charged = row.choice("charged", ("", "unit", "government"))
    return ActionRow(
        action=row.code("action"),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        public=row.yes("public"),
        answer=row.yes("answer", default=True),
        holds=row.yes("holds"),
        amount_fen=row.amount("amount_fen"),
        per=row.text("per"),
        charged="unit" if charged == "unit" else "government" if charged else "",
        basis=row.text("basis"),
        lists=row.yes("lists"),
        veto=row.yes("veto"),
        bans=row.yes("bans"),
        negative=row.yes("negative"),
    )


def campaign_row(row: Row) -> CampaignRow:
    """A row of campaigns.csv. A campaign without an English title is called by the Chinese one."""
    return CampaignRow(
        code=row.code("code"),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        valid_from=row.day("from"),
        valid_to=row.day("until"),
        categories=row.words("categories"),
        grids=row.words("grids"),
        basis=row.text("basis"),
    )


def approval_row(row: Row) -> ApprovalRow:
    """A row of approvals.csv. What has no English title is called by the Chinese one."""
    return ApprovalRow(
        code=row.code("code"),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        same_day=row.yes("same_day"),
        calendar=row.word("calendar"),
        valid_from=row.day("from"),
        valid_to=row.day("until"),
        basis=row.text("basis"),
    )


def _role_rows(row: Row) -> list[RoleRow]:
    """The entries of a row, which is one rule: one for each role in its cell."""
    rule, trigger, levels = row.needed("rule"), row.word("trigger"), row.levels("levels")
    scopes = ("any", "owner", "place", "above", "department", "reporter")
    scope = row.choice("scope", scopes) if row.word("scope") else "any"
    if not row.words("role"):
        row.bad("role", "is empty", "name a role, or several such as member;chief")
    claims = {"sources": row.words("sources"), "deadlines": row.words("deadlines")}
    offline_ms, allowance = None, plain(row.text("allowance"))
    if allowance:
        offline_ms = 0 if allowance == NO_ALLOWANCE else parse_duration(allowance)
        if offline_ms is None:
            problem, remedy = no_duration(allowance)
            other = f"or {NO_ALLOWANCE} for an act that is believed at its arrival only"
            row.bad("allowance", problem, f"{remedy}, {other}")
    said = {"rule": rule, "trigger": trigger, "levels": levels, "scope": scope, "offline_ms": offline_ms} | claims
    said |= {"definition": row.word("definition"), "categories": row.words("categories")}
    return msgspec.convert([said | {"role": role} for role in row.words("role")], list[RoleRow])
