"""One map, one net, one set of standards (一张图、一张网、一套标准, M12), for other programs: the grids as GeoJSON with
what is open in them, the organisation, and the workflow that is in force.

All of it is of the active pack, whose hash is its version. The register is no secret; counts are figures, and told to
who reads those.
"""

from typing import Literal

from msgspec import Struct

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.figure_question import PerformanceQuestion
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.performance import performance_page
from engine.views.readers import grid_asked
from workflows.clocks.limits import limit_text
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.machine import Definition
from workflows.policy.index import Policy
from workflows.policy.model import Department, Grid, Level, Post
from workflows.reading import READS_EVERYTHING, Readable

CHIEF = "chief"
"""The role of whoever owns a grid (网格长)."""


class GridBorder(Struct, frozen=True):
    """The border of a grid: a MultiPolygon, longitude and latitude of WGS 84."""

    coordinates: list[list[list[list[float]]]]
    type: Literal["MultiPolygon"] = "MultiPolygon"


class GridProperties(Struct, frozen=True, kw_only=True):
    """A grid: its names, who owns it, and its open cases of one kind with all in the grids below. `overdue`: those
    whose total deadline has passed."""

    code: str
    name: str
    level: int
    level_zh: str
    level_en: str
    parent: str
    kind: str
    owners: list[Named]
    open: int
    overdue: int


class GridFeature(Struct, frozen=True, kw_only=True):
    """A grid as a feature (RFC 7946). `geometry` is null where the pack draws no border."""

    id: str
    geometry: GridBorder | None
    properties: GridProperties
    type: Literal["Feature"] = "Feature"


class GridCollection(Struct, frozen=True, kw_only=True):
    """The grids of a subtree, from its root down, by code within a level."""

    features: list[GridFeature]
    pack: str
    pack_hash: str
    notice: str
    definition: str
    as_of: str
    type: Literal["FeatureCollection"] = "FeatureCollection"


class GridQuestion(Struct, frozen=True, kw_only=True):
    """Which subtree, and whose open cases, as texts; without them all that is read, and the main kind of the pack."""

    grid: str = ""
    definition: str = ""


def grid_collection(
    connection: Connection,
    policies: Policies,
    question: GridQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> GridCollection:
    """The grids with what is open in them now. Raises Unanswerable: also for a subtree whose figures are not read."""
    names = active_names(connection, policies)
    register = names.register
    kind = question.definition or register.pack.options.main_definition or REFERENCE
    top = grid_asked(readable, names, kind, question.grid) or register.root
    prefix_of(names, top)
    levels = {level.level: level for level in register.pack.levels}
    counts, at = dict[str, tuple[int, int]](), ""
    for level in range(register.grids[top].level, register.leaf_level + 1):
        asked = PerformanceQuestion(definition=kind, grid=top, by="grid", level=str(level))
        page = performance_page(connection, policies, asked, now, readable)
        counts |= {each.key: (each.open, each.overdue) for each in page.standing}
        kind, at = page.definition, page.as_of
    within = sorted((grid for grid in register.pack.grids if top in register.path(grid.code)), key=in_order)
    return GridCollection(
        features=[feature(names, grid, levels[grid.level], counts.get(grid.code, (0, 0))) for grid in within],
        pack=register.pack.code,
        pack_hash=register.hash,
        notice=register.pack.notice,
        definition=kind,
        as_of=at,
    )


def in_order(grid: Grid) -> tuple[int, str]:
    """From the root down, by code within a level."""
    return grid.level, grid.code


def feature(names: Names, grid: Grid, level: Level, counts: tuple[int, int]) -> GridFeature:
    """A grid of the map."""
    drawn = [[[list(corner) for corner in ring] for ring in part] for part in grid.polygon]
    return GridFeature(
        id=grid.code,
        geometry=GridBorder(drawn) if drawn else None,
        properties=GridProperties(
            code=grid.code,
            name=grid.name,
            level=grid.level,
            level_zh=level.name_zh,
            level_en=level.name_en,
            parent=grid.parent,
            kind=grid.kind,
            owners=[names.post(code) for code in names.register.posts_at(grid.code, CHIEF)],
            open=counts[0],
            overdue=counts[1],
        ),
    )


# ---- the net ------------------------------------------------------------------------------------------------


class GridEntry(Struct, frozen=True, kw_only=True):
    """A grid of the register. Days are YYYYMMDD; 0: open-ended."""

    code: str
    name: str
    level: int
    parent: str
    kind: str
    official_code: str
    valid_from: int
    valid_to: int
    successor: str


class Organisation(Struct, frozen=True, kw_only=True):
    """The grids, departments and posts of the active pack, as it has them."""

    grids: list[GridEntry]
    departments: list[Department]
    posts: list[Post]
    levels: list[Level]
    pack: str
    pack_hash: str
    title_zh: str
    title_en: str


ENTRIES: dict[str, type[Struct]] = {"grids": GridEntry, "departments": Department, "posts": Post}
"""What the tables of an organisation list."""


def organisation(connection: Connection, policies: Policies) -> Organisation:
    """The organisation. Raises NoActivePack."""
    register = active_names(connection, policies).register
    pack = register.pack
    fields = GridEntry.__struct_fields__
    return Organisation(
        grids=[GridEntry(**{name: getattr(grid, name) for name in fields}) for grid in pack.grids],
        departments=list(pack.departments),
        posts=list(pack.posts),
        levels=list(pack.levels),
        pack=pack.code,
        pack_hash=register.hash,
        title_zh=pack.title_zh,
        title_en=pack.title_en,
    )


# ---- the standards ------------------------------------------------------------------------------------------


class StateEntry(Struct, frozen=True, kw_only=True):
    """A state of a kind of case: the clocks that run in it, and whether it is an end."""

    name: str
    zh: str
    clocks: list[str]
    ends: bool


class TransitionEntry(Struct, frozen=True, kw_only=True):
    """A row of the table: what moves a case from which states where to (`=`: it stays), and the conditions."""

    trigger: str
    sources: list[str]
    dest: str
    guards: list[str]


class ClockEntry(Struct, frozen=True, kw_only=True):
    """A clock of a kind of case, in words."""

    name: str
    zh: str
    en: str


class LimitEntry(Struct, frozen=True, kw_only=True):
    """A limit of a clock. Empty selectors fit all, and the most specific row wins. `basis`: the text that it has."""

    clock: str
    limit_zh: str
    limit_en: str
    definition: str
    level: int
    category: str
    group: str
    valid_from: int
    valid_to: int
    basis: str


class KindEntry(Struct, frozen=True, kw_only=True):
    """A kind of case: its states, its table, and its clocks."""

    name: str
    zh: str
    states: list[StateEntry]
    transitions: list[TransitionEntry]
    clocks: list[ClockEntry]


class Workflow(Struct, frozen=True, kw_only=True):
    """The workflow in force. `pack_hash` is the version of the limits; the kinds are those of this release."""

    limits: list[LimitEntry]
    kinds: list[KindEntry]
    pack: str
    pack_hash: str


def workflow(connection: Connection, policies: Policies) -> Workflow:
    """The workflow. Raises NoActivePack."""
    register = active_names(connection, policies).register
    kinds = [kind for kind in DEFINITIONS.values() if kind.listed != "never"]
    return Workflow(
        limits=limits_of(register),
        kinds=[kind_entry(kind) for kind in kinds],
        pack=register.pack.code,
        pack_hash=register.hash,
    )


def limits_of(register: Policy) -> list[LimitEntry]:
    """The limits of a pack, as it has them."""
    return [
        LimitEntry(
            clock=row.clock,
            limit_zh=limit_text(row.limit),
            limit_en=limit_text(row.limit, "en"),
            definition=row.definition,
            level=row.level,
            category=row.category,
            group=row.group,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            basis=row.basis,
        )
        for row in register.pack.limits
    ]


def kind_entry(kind: Definition) -> KindEntry:
    """A kind of case as a program reads it."""
    return KindEntry(
        name=kind.name,
        zh=kind.zh,
        states=[
            StateEntry(name=each.name, zh=each.zh, clocks=list(each.clocks), ends=each.terminal)
            for each in kind.states.values()
        ],
        transitions=[
            TransitionEntry(trigger=row.trigger, sources=list(row.sources), dest=row.dest, guards=list(row.guards))
            for row in kind.rows
        ],
        clocks=[ClockEntry(name=each.name, zh=each.zh, en=each.en) for each in kind.clocks.values()],
    )
