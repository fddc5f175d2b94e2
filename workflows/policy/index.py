"""A compiled pack, indexed for decisions: `Policy` looks up, and decides nothing.

Of two policies in a decision, one is the *rules* pinned to the case, the other the *register* active at arrival.
"""

from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

from schemas.events import canonical
from schemas.members import Position
from workflows.clocks.calendar import Calendar
from workflows.clocks.limits import HOUR_MS, Kind, Limit
from workflows.policy.model import Category, Department, DutyRow, Grid, LimitRow, Pack, Post, RoleRow, RungRow
from workflows.policy.moves import Telling, compile_notices

if TYPE_CHECKING:
    from shapely import STRtree

DUE = RungRow("*", "due", "at")
"""The rung of the deadline itself. Every ladder has it, even if it alerts no post."""


def _rough_ms(limit: Limit | None) -> int:
    """The length of a limit on a wall clock, as if every day had eight hours: good enough to sort a ladder."""
    if limit is None:
        return 0
    hours = {Kind.urgent_hour: 1, Kind.working_hour: 3}.get(limit.kind, 24)
    return limit.milli * hours * (HOUR_MS // 1000)


class Policy:
    """One pack with its indexes. It is immutable after construction."""

    def __init__(self, pack: Pack, digest: str) -> None:
        self.pack = pack
        self.hash = digest
        self.options = pack.options
        self.grids: dict[str, Grid] = {g.code: g for g in pack.grids}
        self.posts: dict[str, Post] = {p.code: p for p in pack.posts}
        self.departments: dict[str, Department] = {d.code: d for d in pack.departments}
        self.categories: dict[str, Category] = {c.code: c for c in pack.categories}
        self.calendars: dict[str, Calendar] = {c.code: Calendar(c) for c in pack.calendars}
        self.leaf_level = max(level.level for level in pack.levels)
        self.root = next(g.code for g in pack.grids if not g.parent)
        self._paths: dict[str, tuple[str, ...]] = {}
        self._calendar_of: dict[str, str] = {}
        for code in self.grids:
            upward = [code]
            while parent := self.grids[upward[-1]].parent:
                upward.append(parent)
            self._paths[code] = tuple(reversed(upward))
            calendars = (self.grids[grid].calendar for grid in upward)
            self._calendar_of[code] = next(filter(None, calendars), pack.calendars[0].code)
        self._posts_at: dict[tuple[str, str], list[str]] = {}
        self._posts_of: dict[str, list[str]] = {}
        for post in pack.posts:
            if not post.vacant:
                self._posts_at.setdefault((post.grid, post.role), []).append(post.code)
                if post.department:
                    self._posts_of.setdefault(post.department, []).append(post.code)
        self._role_rows: dict[tuple[str, str], list[RoleRow]] = {}
        for role_row in pack.roles:
            self._role_rows.setdefault((canonical(role_row.trigger), role_row.role), []).append(role_row)
        self.duties: dict[str, DutyRow] = {d.code: d for d in pack.duties}
        self._limits: dict[tuple[str, str, str, str], list[LimitRow]] = {}
        for limit in pack.limits:
            self._limits.setdefault((limit.definition, limit.clock, limit.category, limit.group), []).append(limit)
        self._ladders: dict[tuple[str, str], tuple[tuple[RungRow, int], ...]] = {}
        self._notices: dict[str, Telling] = {}

    # ---- the register -------------------------------------------------------------------------------------

    def path(self, grid: str) -> tuple[str, ...]:
        """Codes from the root down to a grid."""
        return self._paths[grid]

    def home(self, grid: str | None) -> str:
        """The home of a place: its ancestor at the partition level, or the root if it lies above that level."""
        path = self._paths[grid] if grid else ()
        level = self.options.partition_level
        return path[level - 1] if len(path) >= level else self.root

    def locate(self, position: Position) -> tuple[str, ...]:
        """The leaf grids that cover a point, in order of their codes: several on a border, none off the map.

        Only WGS 84 and CGCS2000 (the same at this accuracy) are looked up; other systems are not converted.
        """
        if position.crs not in ("WGS84", "CGCS2000"):
            return ()
        from shapely import Point  # with numpy a tenth of a command's start: only who locates something waits for it

        tree, codes = self._map
        if not codes:
            return ()
        found = tree.query(Point(position.lon, position.lat), predicate="intersects")
        return tuple(sorted(codes[int(index)] for index in found))

    @cached_property
    def _map(self) -> "tuple[STRtree, list[str]]":
        """The borders of the leaf grids in a spatial index, and the code of each."""
        from shapely import MultiPolygon, STRtree

        parents = {grid.parent for grid in self.pack.grids}
        leaves = [grid for grid in self.pack.grids if grid.code not in parents and grid.polygon]
        borders = [MultiPolygon([(rings[0], rings[1:]) for rings in grid.polygon]) for grid in leaves]
        return STRtree(borders), [grid.code for grid in leaves]

    def stands(self, entry: Grid | Post, at: int) -> bool:
        """Whether a grid or a post exists on the local day of an instant (M3: grids are adjusted)."""
        if not entry.valid_from and not entry.valid_to:
            return True
        day = self.clock_of_days.local_day(at)
        return entry.valid_from <= day and (not entry.valid_to or day <= entry.valid_to)

    def posts_at(self, grid: str, role: str) -> list[str]:
        """The occupied posts of a role at a grid."""
        return self._posts_at.get((grid, role), [])

    def posts_of(self, department: str) -> list[str]:
        """The occupied posts of a department."""
        return self._posts_of.get(department, [])

    def calendar_of(self, grid: str) -> str:
        """The code of a grid's calendar: its own, or that of the nearest ancestor that has one."""
        return self._calendar_of.get(grid, self.pack.calendars[0].code)

    @cached_property
    def clock_of_days(self) -> Calendar:
        """The root's calendar, whose local days the figures use."""
        return self.calendars[self.calendar_of(self.root)]

    def duties_of(self, home: str) -> tuple[tuple[DutyRow, str], ...]:
        """What the posts of a home owe, as (duty, post), in order of duties.csv and posts.csv.

        Whether a post and its grid stand in a period is asked when it begins.
        """
        return self._duties.get(home, ())

    @cached_property
    def _duties(self) -> dict[str, tuple[tuple[DutyRow, str], ...]]:
        found: dict[str, list[tuple[DutyRow, str]]] = {}
        for duty in self.pack.duties:
            for post in self.pack.posts:
                if post.grid in self.grids and duty.owed_by(post, self.grids[post.grid].level):
                    found.setdefault(self.home(post.grid), []).append((duty, post.code))
        return {home: tuple(owed) for home, owed in found.items()}

    # ---- the rules ----------------------------------------------------------------------------------------

    def limit(
        self, clock: str, level: int, category: str, group: str, day: int, definition: str = ""
    ) -> LimitRow | None:
        """The limit of a clock that starts on local `day`: the most specific row valid then, or none."""
        places = ((clock, category, group), (clock, category, ""), (clock, "", group), (clock, "", ""))
        for key in [(kind, *place) for kind in (definition, "") for place in places]:
            rows = [
                row
                for row in self._limits.get(key, ())
                if row.level in (0, level) and row.valid_from <= day and (not row.valid_to or day <= row.valid_to)
            ]
            if rows:
                return max(rows, key=lambda row: row.level)
        return None

    def ladder(self, clock: str, definition: str = "") -> tuple[tuple[RungRow, int], ...]:
        """The rungs of a clock as (row, repeat from 0), in order of time whatever their order in the pack.

        They are those of the kind of case, else those of every kind; and of these the clock's own, else those of `*`.
        """
        if (definition, clock) not in self._ladders:
            found = [
                [row for row in self.pack.rungs if (row.definition, row.clock) == (kind, name)]
                for kind in (definition, "")
                for name in (clock, "*")
            ]
            rows = next(filter(None, found), [])
            if not any(r.offset == "at" for r in rows):
                rows.append(DUE)
            rungs = []
            for row in rows:
                first, every = _rough_ms(row.limit), _rough_ms(row.every)
                for k in range(row.times if row.every else 1):
                    distance = -first if row.offset == "before" else first + k * every if row.offset == "after" else 0
                    rungs.append((distance, row, k))
            self._ladders[definition, clock] = tuple((row, k) for _, row, k in sorted(rungs, key=itemgetter(0)))
        return self._ladders[definition, clock]

    def notices(self, definition: str) -> Telling:
        """Whom the moves of a kind of case tell."""
        found = self._notices.get(definition)
        if found is None:
            found = self._notices[definition] = compile_notices(self.pack.notices, definition)
        return found

    def role_rows(self, trigger: str, role: str, definition: str = "") -> list[RoleRow]:
        """The rows of the roles table for a role and a trigger: of this kind of case and of every kind. Those of all
        kinds where the kind is not known yet, and empty."""
        rows = self._role_rows.get((canonical(trigger), role), [])
        return [row for row in rows if row.definition in ("", definition)] if definition else rows
