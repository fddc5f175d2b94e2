"""The rows of bodies.csv, responsibilities.csv, authority.csv, sites.csv and neighbours.csv, compiled."""

import re

from workflows.policy.csv_tables import Columns, Row, plain
from workflows.policy.registers import AuthorityRow, Body, Neighbour, ResponsibilityRow, Site

BODIES = Columns(
    "bodies.csv",
    ("code", "name", "kind", "grid"),
    ("name_en", "department", "posts", "part_of", "valid_from", "valid_to"),
)
RESPONSIBILITIES = Columns(
    "responsibilities.csv",
    ("code", "body", "duty_zh", "part"),
    ("duty_en", "categories", "basis", "valid_from", "valid_to"),
)
AUTHORITY = Columns(
    "authority.csv", ("level",), ("category", "group", "grid", "kind", "valid_from", "valid_to", "basis")
)
SITES = Columns(
    "sites.csv",
    ("code", "name", "grid"),
    ("category", "key", "director", "lon", "lat", "valid_from", "valid_to"),
)
NEIGHBOURS = Columns("neighbours.csv", ("code", "name", "grid"), ("name_en", "department", "basis"))
DEGREES = re.compile(r"-?\d{1,3}(\.\d{1,9})?", re.ASCII)


def body_row(row: Row) -> Body:
    """A row of bodies.csv."""
    return Body(
        code=row.code("code"),
        name=row.needed("name"),
        kind=row.word("kind"),
        grid=row.word("grid"),
        name_en=row.text("name_en"),
        department=row.word("department"),
        posts=row.words("posts"),
        part_of=row.word("part_of"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
    )


def responsibility_row(row: Row) -> ResponsibilityRow:
    """A row of responsibilities.csv."""
    return ResponsibilityRow(
        code=row.code("code"),
        body=row.word("body"),
        duty_zh=row.needed("duty_zh"),
        part="assist" if row.choice("part", ("lead", "assist")) == "assist" else "lead",
        duty_en=row.text("duty_en"),
        categories=row.words("categories"),
        basis=row.text("basis"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
    )


def authority_row(row: Row) -> AuthorityRow:
    """A row of authority.csv."""
    return AuthorityRow(
        level=row.number_in("level"),
        category=row.word("category"),
        group=row.word("group"),
        grid=row.word("grid"),
        kind=row.text("kind"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        basis=row.text("basis"),
    )


def site_row(row: Row) -> Site:
    """A row of sites.csv."""
    lon, lat = position_of(row)
    return Site(
        code=row.code("code"),
        name=row.needed("name"),
        grid=row.word("grid"),
        category=row.word("category"),
        key=row.yes("key"),
        director=row.word("director"),
        lon=lon,
        lat=lat,
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
    )


def neighbour_row(row: Row) -> Neighbour:
    """A row of neighbours.csv."""
    return Neighbour(
        code=row.code("code"),
        name=row.needed("name"),
        grid=row.word("grid"),
        name_en=row.text("name_en"),
        department=row.word("department"),
        basis=row.text("basis"),
    )


def position_of(row: Row) -> tuple[float | None, float | None]:
    """Longitude and latitude of a row in degrees (WGS 84); None: they are not given."""
    lon, lat = degrees_of(row, "lon", 180), degrees_of(row, "lat", 90)
    if (lon is None) != (lat is None):
        row.bad("lon" if lon is None else "lat", "is empty, and the other one is not", "give both, or none")
    return lon, lat


def degrees_of(row: Row, column: str, most: int) -> float | None:
    """A longitude or a latitude in degrees (WGS 84); None: it is not given."""
    text = plain(row.text(column))
    if not text:
        return None
    if not DEGREES.fullmatch(text) or abs(float(text)) > most:
        row.bad(column, f"{text!r} is no number of degrees up to {most}", "write it as 108.946")
        return None
    return float(text)
