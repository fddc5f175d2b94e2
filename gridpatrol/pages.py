"""Listings to their end: pages put one behind the other, for a terminal, as JSON or as CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import click
from msgspec import Struct, structs

from engine.policies import Policies
from engine.settings import Settings
from engine.store.database import Connection
from engine.views import spreadsheet
from gridpatrol import options
from gridpatrol.run.wiring import reading

PAGE = 500
"""Lines that are read at once."""


class Page(Protocol):
    """A page of a view; `next` continues it."""

    @property
    def next(self) -> str | None: ...


P = TypeVar("P", bound=Any)
Q = TypeVar("Q", bound=Struct)


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


def of_view(
    settings: Settings,
    view: Callable[[Connection, Policies, Q, int], P],
    question: Q,
    limit: int | None,
    as_csv: bool,
    *,
    now: int = 0,
    cursor: str = "",
    most: int = PAGE,
) -> P | None:
    """What a view answers to a question, its pages as one; None: it was printed as CSV. The database may be served
    meanwhile. `most`: lines of a page of this view. Raises Unanswerable."""
    policies = Policies()
    with reading(settings) as opened, opened.read() as connection:

        def ask(after: str, size: int) -> P:
            return view(connection, policies, structs.replace(question, cursor=after, limit=min(size, most)), now)

        found = each_page(ask, cursor, asked(limit, as_csv))
        if not as_csv:
            return whole(found)
        print_pages(found)
        return None


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
