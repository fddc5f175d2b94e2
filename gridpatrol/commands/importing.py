"""`gridpatrol import`: another system's records as CloudEvents."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Literal

import click

from gridpatrol import options
from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import Codes, ImportRemark
from gridpatrol.importers.mapping import read_mapping
from gridpatrol.options import say
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import read_pack
from schemas.members import Source
from workflows.policy.model import Pack

REJECT = ("reject_line", "reject_field", "reject_reason")
"""Columns that the file of rejects has after those of the record."""
MOST_VALUES = 40
"""Values of a column that are named in the totals."""

Remark = Callable[[ImportRemark], None]


@click.group("import")
def command() -> None:
    """Turn other systems' records into events."""


@command.command("boston311")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@options.output
@click.option(
    "--deadlines",
    type=click.Choice(["city", "pack"]),
    default="city",
    show_default=True,
    help="Order the city's own targets, or leave deadlines to the pack's limits.",
)
@click.option(
    "--pack", default="boston311", show_default=True, metavar="DIR", help="The pack whose grids and codes are meant."
)
@click.option(
    "--map",
    "mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of column,value,code: what sources, types and departments mean that are not known.",
)
@click.option("--rejects", metavar="FILE", help="Write the lines that are not imported there, each with its reason.")
@click.option("--show", default=20, show_default=True, metavar="N", help="How many problems to list.")
@click.pass_context
def import_boston311(
    ctx: click.Context,
    file: Path | None,
    output: str,
    deadlines: Literal["city", "pack"],
    pack: str,
    mapping: Path | None,
    rejects: str | None,
    show: int,
) -> None:
    """Boston's record of service requests (CSV or CSV.gz, any size); without FILE the seven weeks that are shipped.

    The columns may have the city's older or its present names. Types and departments are held against the pack before
    anything is written. A line that is not imported is counted by its reason, and written to --rejects as it stands:
    mended, that file can be imported as well. Exit status 1 if there was one; the others are written all the same.

    \b
    Examples:
      gridpatrol import boston311 -o city.jsonl
      gridpatrol import boston311 rows.csv --map meanings.csv --rejects rejects.csv -o city.jsonl
      gridpatrol import boston311 rows.csv.gz --deadlines pack | gridpatrol replay - --pack boston311
    """
    if rejects is not None and rejects in (output, str(file), str(mapping)):
        raise click.UsageError("--rejects is a file of its own.")
    source, compiled = file or boston311.SHIPPED, read_pack(pack)
    remarks, values = Counter[tuple[bool, str, str]](), Counter[tuple[str, str]]()
    codes, count = codes_of(compiled, mapping), 0
    tree = {grid.code: grid.parent for grid in compiled.grids}
    with (
        rejecting(rejects, source) as reject,
        options.whole_file(output) as out,
        progress("importing", None) as show_count,
    ):

        def note(remark: ImportRemark) -> None:
            remarks[remark.imported, remark.field, remark.reason] += 1
            if not remark.imported:
                reject(remark)
                if remark.field in boston311.MAPPED and remark.value:
                    values[remark.field, remark.value] += 1
            if remarks.total() <= show:
                kept = "imported" if remark.imported else "NOT imported"
                what = f" ({remark.value})" if remark.value else ""
                say(f"line {remark.row} {remark.field}: {remark.reason}{what} ({kept})".replace(" : ", ": "))

        for event in boston311.events(source, tree, note, deadlines=deadlines, codes=codes):
            if not count:
                tell_totals(remarks, values)
            out.write(event + b"\n")
            count += 1
            if count % 1000 == 0:
                show_count(count)
    if not count:
        tell_totals(remarks, values)
    left_out = sum(n for (imported, _, _), n in remarks.items() if not imported)
    say(f"{count} events; {left_out} lines not imported, {remarks.total() - left_out} imported with a remark.")
    ctx.exit(1 if left_out else 0)


def codes_of(pack: Pack, mapping: Path | None) -> Codes:
    """The codes of a pack, and what the user's file says of others."""
    categories = {category.code for category in pack.categories}
    departments = {department.code for department in pack.departments}
    if mapping is None:
        return Codes(categories, departments)
    known = {"source": {str(source) for source in Source}, "type": categories, "department": departments}
    return Codes(categories, departments, read_mapping(mapping, known, optional=("department",)))


@contextmanager
def rejecting(name: str | None, source: Path) -> Iterator[Remark]:
    """Takes the remarks on lines that are not imported, and writes these with what is wrong behind them. A spreadsheet
    opens the file, and the importer takes it."""
    if name is None:
        yield lambda remark: None
        return
    with options.whole_file(name) as out:
        out.write(f"{boston311.header_of(source)},{','.join(REJECT)}\r\n".encode())

        def write(remark: ImportRemark) -> None:
            told, reason = StringIO(), f"{remark.reason}: {remark.value}" if remark.value else remark.reason
            csv.writer(told).writerow((remark.row, remark.field, reason))
            out.write(f"{remark.line},{told.getvalue()}".encode("utf-8", "backslashreplace"))

        yield write


def tell_totals(remarks: Counter[tuple[bool, str, str]], values: Counter[tuple[str, str]]) -> None:
    """How many lines have which fault, those that are not imported first; and what a file for --map has to say."""
    for (imported, field, reason), count in sorted(remarks.items(), key=lambda item: (item[0][0], -item[1], item[0])):
        what = "imported" if imported else "NOT imported"
        say(f"{count:>9,}  {what:12}  {field + ': ' if field else ''}{reason}")
    for (column, value), count in values.most_common(MOST_VALUES):
        say(f"{count:>9,}  {'':12}  {column}: {value}")
    if values:
        more = f" ({len(values):,} values in all)" if len(values) > MOST_VALUES else ""
        [((column, value), _)] = values.most_common(1)
        row = StringIO()
        csv.writer(row, lineterminator="").writerow((column, value, "CODE"))
        say(f"To import these{more}, give --map a CSV of column,value,code, with rows such as {row.getvalue()}")
