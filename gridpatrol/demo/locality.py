"""The locality of a demo: its compiled pack, and what somebody who writes the days of a city asks of it.

Roles, limits, paths and authority are those of the pack. What becomes of an incident is not asked here: the author
expects it, and a test holds that against the rules.
"""

from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from engine.packs import load_pack
from gridpatrol.demo.hours import Gap
from workflows.case import Case
from workflows.clocks.limits import Kind
from workflows.permissions import NOTHING, Claim, forbid
from workflows.policy.index import Policy
from workflows.policy.model import OWES_NOTHING, Category, Post

WEIGHTS = {"member": 8, "handler": 8, "chief": 2}
"""How often a role speaks where several may; the others once."""
HOURS = {Kind.urgent_hour: 1, Kind.working_hour: 1, Kind.working_day: 8, Kind.calendar_day: 24}
WORKING = (Kind.working_hour, Kind.working_day)
OPEN_ENDED = 99_991_231
"""A local day after which no limit ends: limits count that hold from now on."""


class Locality:
    """A pack folder, read once. PackError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.policy = Policy(load_pack(folder), "")
        self.zone = ZoneInfo(self.policy.pack.zone)
        self.categories = self.policy.pack.categories
        # A machine takes in what comes from outside; another one is no person who could act.
        people = (post for post in self.policy.pack.posts if not post.machine or post.role in OWES_NOTHING)
        self.posts = [post for post in people if not post.vacant]
        self.roles = {post.role for post in self.posts}
        self.leaf_level = self.policy.leaf_level
        self.leaves = [grid.code for grid in self.policy.pack.grids if grid.level == self.leaf_level]

    def level(self, post: Post) -> int:
        """The level of a post's grid."""
        return self.policy.grids[post.grid].level

    def speakers(
        self, trigger: str, case: Case, levels: tuple[int, ...] = (), role: str = "", claim: Claim = NOTHING
    ) -> list[Post]:
        """The posts that may say and claim it of this case, all or those of some levels or of a role, in the pack's
        order.

        Most posts are those of grids elsewhere. They have to do with the case only where a row lets anybody speak, or
        whoever reported it, and are passed over otherwise, which spares the wording of their refusals.
        """
        owner = case.owner.grid
        near = {*case.path, *(self.policy.path(owner) if owner in self.policy.grids else ())}
        anywhere = {
            named: any(row.scope in ("any", "reporter") for row in rows)
            for named in ([role] if role else self.roles)
            if (rows := self.policy.role_rows(trigger, named))
        }
        return [
            post
            for post in self.posts
            if post.role in anywhere
            and (post.grid in near or post.department or anywhere[post.role])
            and (not levels or self.level(post) in levels)
            and forbid(post, trigger, case, self.policy, self.policy, claim) is None
        ]

    def limit(self, clock: str, level: int, category: Category) -> Gap:
        """About the pack's limit for a clock: a working day counts as eight hours; one of them where it has none."""
        row = self.policy.limit(clock, level, category.code, category.group, OPEN_ENDED)
        if row is None:
            return Gap(480.0, working=True)
        return Gap(row.limit.milli * HOURS[row.limit.kind] * 60 / 1000, row.limit.kind in WORKING)

    def inside(self, leaf: str, rng: Random) -> tuple[float, float]:
        """Longitude and latitude of some point well inside a grid's outline, in degrees."""
        corners = [corner for polygon in self.policy.grids[leaf].polygon for ring in polygon for corner in ring]
        lons, lats = zip(*corners, strict=True)
        west, south, east, north = min(lons), min(lats), max(lons), max(lats)
        lon = west + (east - west) * rng.uniform(0.1, 0.9)
        lat = south + (north - south) * rng.uniform(0.1, 0.9)
        return round(lon, 6), round(lat, 6)
