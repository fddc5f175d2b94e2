"""Listings to their end: pages put one behind the other, for a terminal, as JSON or as CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import click
from msgspec import Struct, structs

from engine.views import spreadsheet
from gridpatrol import options

PAGE = 500
"""Lines that are read at once."""


class Page(Protocol):
    """A page of a view; `next` continues it."""

    @property
    def next(self) -> str | None: ...


P = TypeVar("P", bound=Any)


def asked(limit: int | None, as_csv: bool) -> int:
    """How many lines are wanted."""
    return limit or (options.EVERY if as_csv else options.FIRST)


def each_page(ask: Callable[[str, int], P], cursor: str, limit: int) -> Iterator[P]:
    """Pages from a cursor on, until so many lines have come. `ask` takes a cursor and the size of a page."""
    while True:
        page = ask(cursor, min(limit, PAGE))
        yield page
        limit -= len(getattr(page, spreadsheet.listed_in(page)[0]))
        if page.next is None or limit <= 0:
            return
        cursor = page.next


def whole(pages: Iterator[P]) -> P:
    """Pages as one; its `next` is that of the last."""
    first, *others = pages
    if not others:
        return first
    name, _ = spreadsheet.listed_in(first)
    lines = [line for page in (first, *others) for line in getattr(page, name)]
    return structs.replace(first, **{name: lines, "next": others[-1].next})


def print_pages(pages: Iterator[Struct]) -> None:
    """Pages as one CSV, each when it is read."""
    for number, page in enumerate(pages):
        click.echo(spreadsheet.page_lines(page, header=not number), nl=False)


def print_structs(kind: type[Struct], rows: Sequence[Struct]) -> None:
    """Structs of a kind as CSV."""
    click.echo(spreadsheet.struct_lines(kind, rows), nl=False)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Objects as CSV."""
    click.echo(spreadsheet.dict_lines(rows), nl=False)
