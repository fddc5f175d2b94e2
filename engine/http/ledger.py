"""The ledger (台账) at the door: as CSV that comes as it is read, and as a workbook that is written first."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from litestar.response import Stream

from engine.http.context import DoorContext
from engine.http.performance import At, Day, From, Grid, Period, To, figures
from engine.principals import Principal
from engine.views.ledger import After, Cell, Ledger, LedgerQuestion, open_ledger, read_rows
from workflows.definitions import DEFINITIONS

CHUNK = 1 << 16
"""Bytes of a workbook that are sent at once."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Definition = Annotated[
    str, QueryParameter(description="The kind of case; without one the pack's main kind, in a workbook every kind.")
]


def ledger_asked(
    definition: Definition = "",
    grid: Grid = "",
    period: Period = "",
    day: Day = "",
    from_: From = "",
    to: To = "",
    at: At = "",
) -> LedgerQuestion:
    """Which cases are asked for: the parameters of both routes."""
    return LedgerQuestion(definition=definition, grid=grid, period=period, day=day, since=from_, until=to, at=at)


ASKED = {"asked": Provide(ledger_asked, sync_to_thread=False)}


@get(
    "/v1/ledger.csv",
    summary="The ledger of a period as CSV",
    tags=["performance"],
    media_type="text/csv",
    dependencies=ASKED,
)
async def ledger_csv(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    asked: NamedDependency[LedgerQuestion],
) -> Stream:
    """A line for each case of a kind that was reported in the period: number, place, category, who reported it, who
    held it for how long, how its clocks came out, by how much it was late. All lines are as of one instant."""
    return await as_csv(context, request.user, asked)


async def as_csv(context: DoorContext, reader: Principal, asked: LedgerQuestion) -> Stream:
    """A ledger as CSV, as the answer to a request."""
    ledger = await opened(context, reader, asked)
    name = f"ledger-{ledger.definition}-{ledger.since or 'all'}.csv"
    return Stream(
        lines(context, ledger),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@get(
    "/v1/ledger.xlsx",
    summary="The ledger of a period as a workbook",
    tags=["performance"],
    media_type=XLSX,
    dependencies=ASKED,
)
async def ledger_xlsx(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    asked: NamedDependency[LedgerQuestion],
) -> Stream:
    """The same as a workbook with a sheet for each kind of case that was reported in the period, with duties among
    them. It is written before it is sent: of 50,000 cases that takes a while."""
    return await as_workbook(context, request.user, asked)


async def as_workbook(context: DoorContext, reader: Principal, asked: LedgerQuestion) -> Stream:
    """A ledger as a workbook, as the answer to a request."""
    ledger = await opened(context, reader, asked)
    kinds = [ledger.definition] if asked.definition else listed()
    return Stream(
        workbook(context, ledger, kinds),
        media_type=XLSX,
        headers={"Content-Disposition": f'attachment; filename="ledger-{ledger.since or "all"}.xlsx"'},
    )


def listed() -> list[str]:
    """The kinds of case that have a sheet, where none is named."""
    return [name for name, kind in DEFINITIONS.items() if kind.listed != "never"]


async def opened(context: DoorContext, reader: Principal, question: LedgerQuestion) -> Ledger:
    """Read a question."""
    now, policies = context.now(), context.policies
    return await figures(
        context, reader, lambda connection, readable: open_ledger(connection, policies, question, now, readable)
    )


async def pages(context: DoorContext, asked: Ledger) -> AsyncIterator[list[list[Cell]]]:
    """The rows of a ledger, page by page."""
    after: After | None = None
    while True:
        rows, after = await context.read(partial(read_rows, asked=asked, after=after))
        if rows:
            yield rows
        if after is None:
            return


async def lines(context: DoorContext, asked: Ledger) -> AsyncIterator[str]:
    """The lines of a ledger, as they are read."""
    from engine.views import ledger_files

    yield ledger_files.csv_head()
    async for rows in pages(context, asked):
        yield ledger_files.csv_lines(rows)


async def workbook(context: DoorContext, asked: Ledger, kinds: list[str]) -> AsyncIterator[bytes]:
    """The bytes of a workbook: written to a file that nobody else sees, then sent."""
    from engine.views.ledger_files import LedgerBook

    with tempfile.TemporaryFile() as out, tempfile.TemporaryDirectory(prefix="gridpatrol-ledger-") as folder:
        book = LedgerBook(out, folder)
        for kind in kinds:
            of_kind = asked._replace(definition=kind)
            async for rows in pages(context, of_kind):
                await asyncio.to_thread(book.add, of_kind, rows)
        await asyncio.to_thread(book.close, asked)
        out.seek(0)
        while some := await asyncio.to_thread(out.read, CHUNK):
            yield some


ROUTES = [ledger_csv, ledger_xlsx]
