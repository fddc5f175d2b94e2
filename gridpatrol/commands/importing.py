"""`gridpatrol import`: another system's records as CloudEvents."""

from collections import Counter
from pathlib import Path
from typing import Literal

import click

from gridpatrol import options
from gridpatrol.importers import boston311
from gridpatrol.options import say
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import read_pack


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
@click.option("--pack", default="boston311", show_default=True, metavar="DIR", help="The pack whose tree is meant.")
@click.option("--show", default=20, show_default=True, metavar="N", help="How many problems to list.")
@click.pass_context
def import_boston311(
    ctx: click.Context, file: Path | None, output: str, deadlines: Literal["city", "pack"], pack: str, show: int
) -> None:
    """Boston's record of service requests (CSV or CSV.gz, any size); without FILE the seven weeks that are shipped.

    Exit status 1 if a line was not imported; the others are written all the same.

    \b
    Examples:
      gridpatrol import boston311 -o city.jsonl
      gridpatrol import boston311 rows.csv.gz --deadlines pack | gridpatrol replay - --pack boston311
    """
    remarks = Counter[tuple[bool, str]]()

    def note(remark: boston311.ImportRemark) -> None:
        remarks[remark.imported, remark.field] += 1
        if remarks.total() <= show:
            kept = "imported" if remark.imported else "NOT imported"
            say(f"line {remark.row} {remark.field}: {remark.reason} ({kept})")

    count = 0
    tree = {grid.code: grid.parent for grid in read_pack(pack).grids}
    with options.whole_file(output) as out, progress("importing", None) as show_count:
        for event in boston311.events(file or boston311.SHIPPED, tree, note, deadlines=deadlines):
            out.write(event + b"\n")
            count += 1
            if count % 1000 == 0:
                show_count(count)
    left_out = sum(n for (imported, _), n in remarks.items() if not imported)
    say(f"{count} events; {left_out} lines not imported, {remarks.total() - left_out} imported with a remark.")
    ctx.exit(1 if left_out else 0)
