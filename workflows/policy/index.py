"""A compiled pack, indexed for decisions: `Policy` looks up, and decides nothing.

Of two policies in a decision, one is the *rules* pinned to the case, the other the *register* active at arrival.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import islice
from operator import itemgetter

from schemas.coordinates import UNITS, Point
from schemas.events import canonical
from schemas.members import Position
from workflows.clocks.calendar import Calendar, day_number, day_of_number, laid_out
from workflows.clocks.limits import HOUR_MS, Kind, Limit
from workflows.policy.borders import Borders, exact, snapped
from workflows.policy.devices import Device, DeviceType, SignalRule
from workflows.policy.geometry import Polygon
from workflows.policy.model import (
    ActionRow,
    ApprovalRow,
    CampaignRow,
    Category,
    Department,
    DutyRow,
    Grid,
    LimitRow,
    Pack,
    Post,
    RoleRow,
    RungRow,
    TargetRow,
)
from workflows.policy.moves import Telling, compile_notices
from workflows.policy.public import SourceRow
from workflows.policy.registers import Body, Neighbour, Site

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
        self.machines = frozenset(p.code for p in pack.posts if p.machine)
        # People who have a post that stands on any day: whatever is told to it is heard.
        self.listening = frozenset(
            p.code for p in pack.posts if not (p.vacant or p.machine or p.valid_from or p.valid_to)
        )
        self.dated = frozenset(p.code for p in pack.posts if p.valid_from or p.valid_to)  # that do not always stand
        asks = pack.options.untrained  # whether posts of a kind are asked for their day of training
        # Those that may speak on any day: nothing is asked of them when they do.
        self.steady = frozenset(
            p.code
            for p in pack.posts
            if not (p.vacant or p.valid_from or p.valid_to or (asks and p.kind and not p.machine))
        )
        self.departments: dict[str, Department] = {d.code: d for d in pack.departments}
        self.categories: dict[str, Category] = {c.code: c for c in pack.categories}
        self.calendars: dict[str, Calendar] = {c.code: laid_out(c) for c in pack.calendars}
        self.leaf_level = max(level.level for level in pack.levels)
        self.root = next(g.code for g in pack.grids if not g.parent)
        self._paths: dict[str, tuple[str, ...]] = {}
        self.slashed: dict[str, str] = {}  # the paths of grids as texts: `/XA/WY/`
        self._calendar_of: dict[str, str] = {}
        for code in self.grids:
            upward = [code]
            while parent := self.grids[upward[-1]].parent:
                upward.append(parent)
            self._paths[code] = tuple(reversed(upward))
            self.slashed[code] = f"/{'/'.join(self._paths[code])}/"
            calendars = (self.grids[grid].calendar for grid in upward)
            self._calendar_of[code] = next(filter(None, calendars), pack.calendars[0].code)
        self._posts_at: dict[tuple[str, str], list[str]] = {}
        self._posts_of: dict[str, list[str]] = {}
        for post in pack.posts:
            if not post.vacant:
                self._posts_at.setdefault((post.grid, post.role), []).append(post.code)
                if post.department:
                    self._posts_of.setdefault(post.department, []).append(post.code)
        self._staff_of: dict[str, list[str]] = {}
        self.recipients: dict[Hashable, tuple[str, ...]] = {}  # `workflows.routing.recipients` keeps them here
        self.role_rows_by_trigger: dict[str, list[RoleRow]] = {}  # by trigger, in the order of the pack
        self._role_rows: dict[tuple[str, str], list[RoleRow]] = {}
        for role_row in pack.roles:
            trigger = canonical(role_row.trigger)
            self.role_rows_by_trigger.setdefault(trigger, []).append(role_row)
            self._role_rows.setdefault((trigger, role_row.role), []).append(role_row)
        self._role_rows_of: dict[tuple[str, str, str], list[RoleRow]] = {}
        self._role_rows_at: dict[tuple[str, str, str, int], list[RoleRow]] = {}
        self._allowances: dict[tuple[str, str, str, int], int] = {}
        self.duties: dict[str, DutyRow] = {d.code: d for d in pack.duties}
        self.approvals: dict[str, ApprovalRow] = {a.code: a for a in pack.approvals}
        self.sources: dict[str, SourceRow] = {source.code: source for source in pack.sources}
        self.campaigns: dict[str, CampaignRow] = {c.code: c for c in pack.campaigns}
        self.actions: dict[str, ActionRow] = {a.action: a for a in pack.actions}
        self.targets: dict[tuple[str, str, int], TargetRow] = {(t.target, t.owner, t.year): t for t in pack.targets}
        self.bodies: dict[str, Body] = {b.code: b for b in pack.bodies}
        self.neighbours: dict[str, Neighbour] = {n.code: n for n in pack.neighbours}
        self.sites: dict[str, Site] = {s.code: s for s in pack.sites}
        self.device_types: dict[str, DeviceType] = {t.code: t for t in pack.device_types}
        self.devices: dict[str, Device] = {d.code: d for d in pack.devices}
        self.signals: dict[str, SignalRule] = {r.code: r for r in pack.signals}
        self._limits: dict[tuple[str, bool, str, str, str, str], list[LimitRow]] = {}
        for limit in pack.limits:
            key = limit.definition, limit.listed, limit.lane, limit.clock, limit.category, limit.group
            self._limits.setdefault(key, []).append(limit)
        self._limits_of: dict[
            tuple[str, str, int, str, str, bool, str], list[LimitRow]
        ] = {}  # the most specific one first
        self.asks_listed = any(limit.listed for limit in pack.limits)  # whether a report asks what is listed
        self._roles_of: dict[tuple[str, str], list[str]] = {}
        self._ladders: dict[tuple[str, str, str], tuple[tuple[RungRow, int], ...]] = {}
        self._notices: dict[tuple[str, str], Telling] = {}
        self._laddered = frozenset(rung.category for rung in pack.rungs)  # categories that have rungs of their own
        self._noticed = frozenset(notice.category for notice in pack.notices)

    # ---- the register -------------------------------------------------------------------------------------

    def path(self, grid: str) -> tuple[str, ...]:
        """Codes from the root down to a grid."""
        return self._paths[grid]

    def home(self, grid: str | None) -> str:
        """The home of a place: its ancestor at the partition level, or the root if it lies above that level."""
        path = self._paths[grid] if grid else ()
        level = self.options.partition_level
        return path[level - 1] if len(path) >= level else self.root

    def locate(self, point: Point) -> tuple[str, ...]:
        """The leaf grids around a point, in order of their codes: several on a border, none off the map."""
        return self.borders.around(*point)

    def locate_as_sent(self, position: Position) -> tuple[str, ...]:
        """The same for a record of an older release, as that release did it: by the very numbers that were sent, of
        WGS 84 and CGCS2000 only."""
        if position.crs not in (None, "WGS84", "CGCS2000"):
            return ()
        return self._borders_as_drawn.around(Fraction(position.lon) * UNITS, Fraction(position.lat) * UNITS)

    def leaves(self, grid: str) -> list[str]:
        """The leaf grids in a grid that have borders."""
        return self._leaves.get(grid, [])

    @cached_property
    def _leaves(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for code in self._outlines:
            for grid in self._paths[code]:
                found.setdefault(grid, []).append(code)
        return found

    @cached_property
    def borders(self) -> Borders:
        """The borders of the leaf grids. They are made of the pack when they are first needed, and are no part of it:
        packs of older releases have them, too."""
        return Borders(snapped(self._outlines))

    @cached_property
    def _borders_as_drawn(self) -> Borders:
        return Borders(exact(self._outlines), slack=0)

    @cached_property
    def _outlines(self) -> dict[str, Polygon]:
        parents = {grid.parent for grid in self.pack.grids}
        return {grid.code: grid.polygon for grid in self.pack.grids if grid.polygon and grid.code not in parents}

    def stands(self, entry: Grid | Post, at: int) -> bool:
        """Whether a grid or a post exists on the local day of an instant (M3: grids are adjusted)."""
        if not entry.valid_from and not entry.valid_to:
            return True
        day = self.clock_of_days.local_day(at)
        return entry.valid_from <= day and (not entry.valid_to or day <= entry.valid_to)

    @cached_property
    def ends(self) -> dict[str, int]:
        """The last instants (ms) of the grids that name a successor, by their codes."""
        days = self.clock_of_days
        return {
            grid.code: days.day_start(day_of_number(day_number(grid.valid_to) + 1)) - 1
            for grid in self.pack.grids
            if grid.valid_to and grid.successor in self.grids
        }

    def standing(self, grid: str, at: int) -> str:
        """The grid that goes on for one at an instant: itself, or where it has ended before, its successor; of a chain
        of them the first that has not ended."""
        for _ in self.ends:  # as often as there are any: a circle is no pack that can be activated
            if self.ends.get(grid, at) >= at:
                break
            grid = self.grids[grid].successor
        return grid

    def posts_at(self, grid: str, role: str) -> list[str]:
        """The occupied posts of a role at a grid."""
        return self._posts_at.get((grid, role), [])

    def roles_at(self, grid: str, at: int) -> list[str]:
        """The roles of the occupied posts of a grid itself, beside its departments, that stand at an instant."""
        return sorted({post.role for post in self._own_posts.get(grid, ()) if self.stands(post, at)})

    @cached_property
    def _own_posts(self) -> dict[str, list[Post]]:
        found: dict[str, list[Post]] = {}
        for post in self.pack.posts:
            if not post.vacant and not post.department:
                found.setdefault(post.grid, []).append(post)
        return found

    def staff_of(self, grid: str) -> list[str]:
        """The occupied posts that act for a grid itself: its members, then its chiefs."""
        found = self._staff_of.get(grid)
        if found is None:
            found = self.posts_at(grid, "member") + self.posts_at(grid, "chief")
            if grid in self.grids:
                self._staff_of[grid] = found
        return found

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

    @cached_property
    def news(self) -> tuple[int, ...]:
        """The instants (ms) from which on a calendar knows more days, where deadlines that are open may move by it."""
        if self.options.deadlines_move == "never":
            return ()
        return tuple(sorted({at for calendar in self.calendars.values() for at in calendar.news}))

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

    def sites_of(self, duty: DutyRow, post: str) -> tuple[str, ...]:
        """The sites for each of which a post owes a duty, in order of sites.csv: those of its grid's subtree; of a duty
        that is owed for no site, one empty code."""
        if not duty.per:
            return ("",)
        found = self.sites_in.get(self.posts[post].grid, ()) if post in self.posts else ()
        return tuple(code for code in found if duty.per == "site" or self.sites[code].key)

    @cached_property
    def sites_in(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for site in self.pack.sites:
            for grid in self._paths.get(site.grid, ()):
                found.setdefault(grid, []).append(site.code)
        return found

    def posts_that_owe(self, prefix: str, after: tuple[str, str] = ("", "")) -> Iterator[tuple[str, Post]]:
        """The posts of a subtree that owe something, with the paths of their grids, by path and code: from such a pair
        on. `prefix`: the path of its root, such as `/XA/WY/`."""
        found = self._owing
        for path, code in islice(found, bisect_left(found, max((prefix, ""), after)), None):
            if not path.startswith(prefix):
                return
            yield path, self.posts[code]

    @cached_property
    def _owing(self) -> list[tuple[str, str]]:
        owing = {code for owed in self._duties.values() for _, code in owed}
        return sorted((f"/{'/'.join(self._paths[self.posts[code].grid])}/", code) for code in owing)

    # ---- the rules ----------------------------------------------------------------------------------------

    def limit(
        self,
        clock: str,
        level: int,
        category: str,
        group: str,
        day: int,
        definition: str = "",
        listed: bool = False,
        lane: str = "",
    ) -> LimitRow | None:
        """The limit of a clock that starts on local `day`: the most specific row valid then, or none. Rows for listed
        grids go before the others of a kind of case, whatever these select, and so do those for a lane."""
        asked = definition, clock, level, category, group, listed, lane
        found = self._limits_of.get(asked)
        if found is None:
            places = ((clock, category, group), (clock, category, ""), (clock, "", group), (clock, "", ""))
            of = (True, False) if listed else (False,)
            by = (lane, "") if lane else ("",)
            keys = [
                (kind, each, way, *place) for kind in (definition, "") for each in of for way in by for place in places
            ]
            rows = [[row for row in self._limits.get(key, ()) if row.level in (0, level)] for key in keys]
            found = [row for of_key in rows for row in sorted(of_key, key=lambda row: -row.level)]
            self._limits_of[asked] = found
        for row in found:
            if row.valid_from <= day and (not row.valid_to or day <= row.valid_to):
                return row
        return None

    def ladder(self, clock: str, definition: str = "", category: str = "") -> tuple[tuple[RungRow, int], ...]:
        """The rungs of a clock as (row, repeat from 0), in order of time whatever their order in the pack.

        They are those of the kind of case, else those of every kind; of these those of the category or action, else
        those of all; and of these the clock's own, else those of `*`.
        """
        asked = definition, clock, category if category in self._laddered else ""
        if asked not in self._ladders:
            found = [
                [row for row in self.pack.rungs if (row.definition, row.category, row.clock) == (kind, of, name)]
                for kind in (definition, "")
                for of in (asked[2], "")
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
            self._ladders[asked] = tuple((row, k) for _, row, k in sorted(rungs, key=itemgetter(0)))
        return self._ladders[asked]

    def notices(self, definition: str, category: str = "") -> Telling:
        """Whom the moves of a kind of case, of a category or an action, tell."""
        asked = definition, category if category in self._noticed else ""
        found = self._notices.get(asked)
        if found is None:
            found = self._notices[asked] = compile_notices(self.pack.notices, *asked)
        return found

    def role_rows(self, trigger: str, role: str, definition: str = "") -> list[RoleRow]:
        """The rows of the roles table for a role and a trigger: of this kind of case and of every kind. Those of all
        kinds where the kind is not known yet, and empty."""
        asked = trigger, role, definition
        found = self._role_rows_of.get(asked)
        if found is None:
            rows = self._role_rows.get((canonical(trigger), role), [])
            found = [row for row in rows if row.definition in ("", definition)] if definition else rows
            self._role_rows_of[asked] = found
        return found

    def role_rows_at(self, level: int, trigger: str, role: str, definition: str = "") -> list[RoleRow]:
        """Those of them that hold at a level."""
        asked = trigger, role, definition, level
        found = self._role_rows_at.get(asked)
        if found is None:
            rows = self.role_rows(trigger, role, definition)
            found = self._role_rows_at[asked] = [row for row in rows if not row.levels or level in row.levels]
        return found

    def offline_ms_at(self, level: int, trigger: str, role: str, definition: str = "") -> int:
        """The widest offline allowance (ms) of those rows, the pack's own where a row names none, or there is none."""
        asked = trigger, role, definition, level
        found = self._allowances.get(asked)
        if found is None:
            usual, rows = self.options.offline_ms, self.role_rows_at(level, trigger, role, definition)
            found = max((usual if row.offline_ms is None else row.offline_ms for row in rows), default=usual)
            self._allowances[asked] = found
        return found

    def roles_of(self, trigger: str, definition: str = "") -> list[str]:
        """The roles that have such rows, sorted."""
        found = self._roles_of.get((trigger, definition))
        if found is None:
            roles = sorted({row.role for row in self.pack.roles})
            found = [role for role in roles if self.role_rows(trigger, role, definition)]
            self._roles_of[trigger, definition] = found
        return found
