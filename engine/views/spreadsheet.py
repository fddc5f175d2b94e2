"""Answers as tables for a spreadsheet: CSV in UTF-8 with a byte order mark, by which programs of offices know it.

What is nested becomes columns of its own (`owner_grid_code`), several of a kind stand in one cell with `; ` between. A
text that a spreadsheet would take for a formula has an apostrophe before it: whoever reports a problem chooses its
reference, and somebody else opens the file.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, structs

from schemas.short_numbers import spoken

MARK = "\ufeff"
"""The byte order mark."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet computes; the wide signs are those of Chinese keyboards."""
BETWEEN = "; "
NUMBER = "short_number"
"""The column whose leading zeros would be lost: it is written as it is said."""


class Column(NamedTuple):
    """A column, and the way to its values: names of members, and keys of dictionaries."""

    name: str
    way: tuple[str, ...]


def listed_in(page: Struct) -> tuple[str, type[Struct]]:
    """The member of a page that has its lines, and what they are."""
    for field in structs.fields(page):
        if get_origin(field.type) is list:
            return field.name, get_args(field.type)[0]
    raise TypeError(f"{type(page).__name__} lists nothing")


def columns_of(kind: type[Struct], rows: Sequence[Any]) -> list[Column]:
    """The columns of structs of a kind. They follow from the kind alone, but for members that are dictionaries, and for
    one of the kind itself, which has columns where a row has it."""
    found = list[Column]()
    for field in structs.fields(kind):
        inner, values = struct_of(field.type), [getattr(row, field.name) for row in rows if row is not None]
        values = [None if value is UNSET else value for value in values]
        nested = [Column("", ())]
        if inner is kind:
            nested = columns_of(kind, [replaced(value, field.name) for value in values]) if any(values) else []
        elif inner is not None:
            nested = columns_of(inner, values)
        elif get_origin(field.type) is dict:
            keys = sorted({key for value in values if value for key in value})
            of_value = struct_of(get_args(field.type)[1])
            ways = columns_of(of_value, []) if of_value else [Column("", ())]
            nested = [Column(joined(key, column.name), (key, *column.way)) for key in keys for column in ways]
        elif is_named(field.type):
            nested = [Column("code", ("code",)), Column("name", ("name",))]
        found += [Column(joined(field.name, column.name), (field.name, *column.way)) for column in nested]
    return found


def joined(first: str, second: str) -> str:
    """A column's name within another's."""
    return f"{first}_{second}" if second else first


def replaced(row: Any, name: str) -> Any:
    """A row without what it has of its own kind."""
    return None if row is None else structs.replace(row, **{name: None})


def struct_of(kind: Any) -> type[Struct] | None:
    """The struct that a member is or may be."""
    kinds = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    return next((each for each in kinds if isinstance(each, type) and issubclass(each, Struct)), None)


def is_named(kind: Any) -> bool:
    """Whether a member is a list of codes with their names."""
    inner = struct_of(get_args(kind)[0]) if get_origin(kind) is list else None
    return inner is not None and inner.__struct_fields__ == ("code", "name")


def value_at(row: Any, way: Sequence[str]) -> Any:
    """What a row has on the way of a column; None where the way ends before."""
    for position, name in enumerate(way):
        if isinstance(row, list):
            return [value_at(each, way[position:]) for each in row]
        row = row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)
    return row


def cell(value: Any) -> str:
    """A value as a cell. Numbers stay numbers."""
    if value is None or value is UNSET:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        value = BETWEEN.join(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def lines_of(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def page_lines(page: Struct, *, header: bool = True) -> str:
    """A page as CSV; with its mark and its header, if it is the first."""
    name, kind = listed_in(page)
    return struct_lines(kind, getattr(page, name), header=header)


def struct_lines(kind: type[Struct], rows: Sequence[Struct], *, header: bool = True) -> str:
    """Structs of a kind as CSV."""
    columns = columns_of(kind, rows)
    head = MARK + lines_of([[column.name for column in columns]]) if header else ""
    return head + lines_of(cells_of(columns, rows))


def cells_of(columns: Sequence[Column], rows: Iterable[Struct]) -> Iterator[list[str]]:
    """The cells of rows."""
    for row in rows:
        values = ((column.name, value_at(row, column.way)) for column in columns)
        yield [spoken(str(value)) if name == NUMBER else cell(value) for name, value in values]


def dict_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Objects as CSV, by the members that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return MARK + lines_of([names, *([cell(row.get(name)) for name in names] for row in rows)])
