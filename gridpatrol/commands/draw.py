"""`gridpatrol draw`: audit draws (抽查), as anybody can recompute them."""

from typing import IO

import click

from engine.errors import WRONG
from engine.operations.draws import waits_for
from engine.policies import Policies
from engine.views.draws import closed_for, read_draw, recount
from engine.views.names import active_names
from engine.views.questions import BadQuestion
from gridpatrol import options
from gridpatrol.run.wiring import reading, settings_of
from workflows.definitions.draw import UNDRAWN


@click.group("draw")
def command() -> None:
    """Audit draws (抽查): closed cases that are visited, chosen by lot."""


@command.command("cases")
@click.argument("id_", metavar="ID", type=options.TEXT)
@options.database
def print_cases(id_: str, database: str | None) -> None:
    """Print the cases from which the draw ID is made, an id a line: their SHA-256 is the digest of the list.

    \b
    Example:
      gridpatrol draw cases WY01.0195539a-1f40-7a11-8c02-1d2e3f405162 > list.txt
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = closed_for(connection, *read_draw(connection, id_))
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    for case in found:
        click.echo(case)


@command.command()
@click.argument("id_", metavar="ID", type=options.TEXT)
@click.option("--list", "listed", type=click.File(), help="The cases, an id a line, as they were when it was drawn.")
@options.database
@options.as_json
def verify(id_: str, listed: IO[str] | None, database: str | None, as_json: bool) -> None:
    """Draw ID once more from its bytes and the list of cases, and compare. Ends with 1 where something differs.

    \b
    Examples:
      gridpatrol draw verify WY01.0195539a-1f40-7a11-8c02-1d2e3f405162
      gridpatrol draw verify WY01.0195539a-1f40-7a11-8c02-1d2e3f405162 --list list.txt
    """
    given = [line.strip() for line in listed if line.strip()] if listed is not None else None
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found, (case, own) = recount(connection, id_, given), read_draw(connection, id_)
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
        register = active_names(connection, Policies()).register
        waits = waits_for(connection, register, case, own) if case.state == UNDRAWN else []
    wrong = any(not check.holds for check in found.checks)
    if as_json:
        options.print_json(
            {
                "draw": case.id,
                "state": case.state,
                "seed": own.seed,
                "cases": len(found.cases),
                "hits": found.hits,
                "checks": found.checks,
                "waits_for": waits,
                "holds": not wrong,
            }
        )
    else:
        click.echo(f"{case.id}  {case.state}  {own.share} % of {len(found.cases)} cases, bytes {own.seed}")
        for check in found.checks:
            what = (
                "agrees 相符"
                if check.holds
                else f"DIFFERS 不符: it says {check.said or 'none'}, and is {check.found or 'none'}"
            )
            click.echo(f"  {check.what}: {what}")
        for hit in found.hits:
            click.echo(f"  抽中 drawn: {hit}")
        for reason in waits:
            click.echo(f"  尚未抽取 not drawn so far: {reason}")
    if found.remark:
        options.say(found.remark)
    if wrong:
        raise SystemExit(WRONG)
