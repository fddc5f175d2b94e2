"""A pack folder read as plain data: who is where, what is whose, who may say what.

In: the CSV, TOML and GeoJSON files of a pack. Out: `Town`, which answers the questions of somebody who writes
the day of a city: which post could say this now, where does this problem go, about how long does that take.
It judges nothing; the engine does.
"""

import csv
import json
import re
import tomllib
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

WEIGHTS = {"member": 8, "handler": 8, "chief": 2}
"""How often a role speaks where several may; the others once."""
HOURS = {
    "紧急工作时": 1.0,
    "urgent hours": 1.0,
    "工作时": 1.0,
    "working hours": 1.0,
    "工作日": 8.0,
    "working days": 8.0,
    "自然日": 24.0,
    "calendar days": 24.0,
}
_LIMIT = re.compile(r"([\d.]+)\s*(.+)")


class Grid(NamedTuple):
    """A grid of the tree."""

    code: str
    level: int
    parent: str
    kind: str


class Post(NamedTuple):
    """A post that can speak."""

    code: str
    role: str
    grid: str
    department: str


class Category(NamedTuple):
    """A problem of the catalogue, and the level that handles it."""

    code: str
    group: str
    level: int
    department: str
    dissuade: bool


class May(NamedTuple):
    """A row of the roles table."""

    roles: tuple[str, ...]
    levels: tuple[int, ...]
    scope: str


class Limit(NamedTuple):
    """About how long something may take: minutes, counted in office hours or always."""

    minutes: float
    working: bool


@dataclass
class Place:
    """Where an incident stands, as far as the question who may speak goes."""

    path: tuple[str, ...]
    owner: str = ""
    department: str = ""
    assisting: tuple[str, ...] = ()
    by: str = ""


class Town:
    """The sample locality."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pack = tomllib.loads((folder / "pack.toml").read_text(encoding="utf-8"))
        self.zone = ZoneInfo(pack["zone"])
        self.home_level: int = pack["options"]["partition_level"]
        self.rework_level: int = pack["options"]["rework_level"]
        self.grids = {r["code"]: Grid(r["code"], int(r["level"]), r["parent"], r["kind"]) for r in self._rows("grids")}
        self.posts = [
            Post(r["code"], r["role"], r["grid"], r["department"]) for r in self._rows("posts") if r["vacant"] != "yes"
        ]
        self.categories = [_category(row) for row in self._rows("categories")]
        self.departments = {r["code"]: r["grid"] for r in self._rows("departments")}
        self.leaf_level = max(grid.level for grid in self.grids.values())
        self.leaves = [grid.code for grid in self.grids.values() if grid.level == self.leaf_level]
        self._limits = self._rows("limits")
        self._may = self._roles()
        self._boxes = self._read_boxes()

    def _rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def _roles(self) -> dict[str, list[May]]:
        table: dict[str, list[May]] = {}
        for row in self._rows("roles"):
            levels = tuple(int(level) for level in row["levels"].split(";") if level)
            may = May(tuple(row["role"].split(";")), levels, row["scope"])
            table.setdefault(row["trigger"], []).append(may)
        return table

    def _read_boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Code -> west, south, east, north of a grid's outline."""
        text = (self.folder / "grids.geojson").read_text(encoding="utf-8")
        boxes = {}
        for feature in json.loads(text)["features"]:
            lons, lats = zip(*_points(feature["geometry"]["coordinates"]), strict=True)
            boxes[feature["properties"]["code"]] = (min(lons), min(lats), max(lons), max(lats))
        return boxes

    # ---- the tree ------------------------------------------------------------------------------------------

    def path(self, code: str) -> tuple[str, ...]:
        """Codes from the root down to a grid."""
        grid = self.grids[code]
        return (*self.path(grid.parent), code) if grid.parent else (code,)

    def home(self, code: str) -> str:
        """The ancestor whose code begins the id of every incident in a grid."""
        return self.path(code)[self.home_level - 1]

    def level_for(self, category: Category, path: tuple[str, ...], touches: tuple[str, ...]) -> int:
        """The level a report goes to: the one with authority, or the one above all grids that it touches."""
        level = min(category.level, len(path))
        if touches:
            levels = zip(path, *map(self.path, touches), strict=False)
            level = min(level, sum(1 for _ in takewhile(lambda codes: len(set(codes)) == 1, levels)))
        return level

    def inside(self, code: str, rng: Random) -> tuple[float, float]:
        """Longitude and latitude of some point well inside a grid."""
        west, south, east, north = self._boxes[code]
        lon = west + (east - west) * rng.uniform(0.1, 0.9)
        lat = south + (north - south) * rng.uniform(0.1, 0.9)
        return round(lon, 6), round(lat, 6)

    # ---- who -----------------------------------------------------------------------------------------------

    def speakers(self, trigger: str, place: Place, levels: tuple[int, ...] = (), role: str = "") -> list[Post]:
        """The posts that may say it here, all or those of some levels or of a role."""
        rows = self._may.get(trigger, [])
        return [
            post
            for post in self.posts
            if (not levels or self.grids[post.grid].level in levels)
            and (not role or post.role == role)
            and any(post.role in may.roles and self._stands(may, post, place) for may in rows)
        ]

    def speaker(self, rng: Random, trigger: str, place: Place, levels: tuple[int, ...] = (), role: str = "") -> str:
        """One of them, those who do the daily work more often; "" where nobody may."""
        posts = self.speakers(trigger, place, levels, role)
        if not posts:
            return ""
        return rng.choices(posts, [WEIGHTS.get(post.role, 1) for post in posts])[0].code

    def _stands(self, may: May, post: Post, place: Place) -> bool:
        if may.levels and self.grids[post.grid].level not in may.levels:
            return False
        match may.scope:
            case "owner":
                return post.department == place.department if post.department else post.grid == place.owner
            case "department":
                return bool(post.department) and post.department in (place.department, *place.assisting)
            case "place":
                return post.grid in place.path
            case "above":
                return bool(place.owner) and post.grid in self.path(place.owner)
            case "reporter":
                return post.code == place.by
            case _:
                return True

    # ---- how long ------------------------------------------------------------------------------------------

    def limit(self, clock: str, level: int, category: Category) -> Limit:
        """About the pack's limit for a clock; a working day where it has none."""
        best, score = "1工作日", -1
        for row in self._limits:
            wanted = [("category", category.code, 4), ("group", category.group, 2), ("level", str(level), 1)]
            if row["clock"] != clock or any(row[name] not in ("", value) for name, value, _ in wanted):
                continue
            points = sum(weight for name, _, weight in wanted if row[name])
            if points > score:
                best, score = row["limit"], points
        return parse(best)


def _category(row: dict[str, str]) -> Category:
    return Category(row["code"], row["group"], int(row["level"]), row["department"], row["dissuade"] == "yes")


def parse(text: str) -> Limit:
    """`4工作时` -> 240 minutes of office hours. A working day is taken as eight hours."""
    match = _LIMIT.fullmatch(text)
    if match is None or match[2] not in HOURS:
        raise ValueError(f"a limit is a number and one of {', '.join(HOURS)}, got {text!r}")
    return Limit(
        float(match[1]) * HOURS[match[2]] * 60,
        match[2] in ("工作时", "working hours", "工作日", "working days"),
    )


def _points(coordinates: Any) -> list[tuple[float, float]]:
    """All corners of a polygon or of several."""
    if isinstance(coordinates[0], (int, float)):
        return [(coordinates[0], coordinates[1])]
    return [point for part in coordinates for point in _points(part)]
