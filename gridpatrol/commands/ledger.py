"""`gridpatrol ledger`: the ledger (台账) of a grid and a period as CSV or as a workbook."""

import tempfile
from collections.abc import Iterator
from pathlib import PurePath

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.store.database import Connection
from engine.views.ledger import After, Cell, Ledger, LedgerQuestion, open_ledger, read_rows
from engine.views.questions import BadQuestion
from gridpatrol import options
from gridpatrol.run.wiring import reading, settings_of
from schemas.instants import written
from workflows.definitions import DEFINITIONS

WORKBOOK = ".xlsx"
"""How the name of a file ends that is to be a workbook."""


@click.command("ledger")
@click.option(
    "--definition",
    type=options.TEXT,
    default="",
    help="Of this kind of case; default: the main one, in a workbook every kind.",
)
@click.option("--grid", type=options.TEXT, default="", help="Of this grid and all below it; default: all.")
@click.option("--period", type=options.TEXT, default="", help="day, week ... all, as for figures; default: month.")
@click.option(
    "--day", type=options.TEXT, default="", metavar="DAY", help="The period that holds this local day; default: today."
)
@click.option("--from", "from_", type=options.TEXT, default="", metavar="DAY", help="First local day, not a period.")
@click.option("--to", type=options.TEXT, default="", metavar="DAY", help="Last local day, inclusive.")
@options.at
@options.database
@options.output
def command(
    definition: str,
    grid: str,
    period: str,
    day: str,
    from_: str,
    to: str,
    at: int | None,
    database: str | None,
    output: str,
) -> None:
    """Write the ledger of a grid and a period: a row for each case that was reported in it.

    Each has its number, place, category and reporter's post, who held it for how long, how its clocks came out, by how
    much it was late, and its result. A FILE that ends in .xlsx is a workbook, with a sheet for each kind of case and
    one for duties; all else is CSV.

    \b
    Examples:
      gridpatrol ledger --grid WY01 --period month -o ledger.xlsx
      gridpatrol ledger --definition duty --day 2026-03-01 -o duties.csv
    """
    then = "" if at is None else written(at)
    question = LedgerQuestion(definition=definition, grid=grid, period=period, day=day, since=from_, until=to, at=then)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            asked = open_ledger(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
        if PurePath(output).suffix == WORKBOOK:
            every = [name for name, kind in DEFINITIONS.items() if kind.listed != "never"]
            rows = write_book(connection, asked, [asked.definition] if definition else every, output)
        else:
            rows = write_lines(connection, asked, output)
    options.say(f"{rows} cases that were reported from {asked.since or 'the beginning'} to {asked.until or 'now'}.")
    if asked.remark:
        options.say(f"Not all of them: {asked.remark}.")


def pages(connection: Connection, asked: Ledger) -> Iterator[list[list[Cell]]]:
    """The rows of a ledger, page by page."""
    after: After | None = None
    while True:
        rows, after = read_rows(connection, asked, after)
        yield rows
        if after is None:
            return


def write_lines(connection: Connection, asked: Ledger, output: str) -> int:
    """Write CSV. How many cases it has."""
    from engine.views import ledger_files

    count = 0
    with options.whole_file(output) as out:
        out.write(ledger_files.csv_head().encode())
        for rows in pages(connection, asked):
            out.write(ledger_files.csv_lines(rows).encode())
            count += len(rows)
    return count


def write_book(connection: Connection, asked: Ledger, kinds: list[str], output: str) -> int:
    """Write a workbook. How many cases it has."""
    from engine.views.ledger_files import LedgerBook

    count = 0
    with options.whole_file(output) as out, tempfile.TemporaryDirectory(prefix="gridpatrol-ledger-") as folder:
        book = LedgerBook(out, folder)
        for kind in kinds:
            of_kind = asked._replace(definition=kind)
            for rows in pages(connection, of_kind):
                if rows:
                    book.add(of_kind, rows)
                count += len(rows)
        book.close(asked)
    return count
