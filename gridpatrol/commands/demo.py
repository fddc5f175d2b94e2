"""`gridpatrol demo`: see it work, with a sample city in real time or a real city's record."""

from pathlib import Path

import click

from engine.clock import now_ms
from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import defaults, settings_of, shown

DATABASE = "sqlite:///var/demo.db"
CITY_DATABASE = "sqlite:///var/city.db"
YEAR_DATABASE = "sqlite:///var/year.db"


@click.group("demo")
def command() -> None:
    """See it work."""


@command.command("run")
@options.listen
@options.database
@options.token_file
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the month's file is kept.")
@click.option("--rate", default=1.0, show_default=True, type=click.FloatRange(0.01, 100), help="Events per second.")
@click.option("--for", "seconds", type=float, metavar="SECONDS", help="Stop by itself after so long.")
def run(listen: str | None, database: str | None, folder: Path | None, rate: float, seconds: float | None) -> None:
    """A sample city: a month that ends now, then real time. Ctrl-C stops it; the next run goes on from there.

    \b
    Examples:
      gridpatrol demo run
      gridpatrol demo run --rate 5 --listen 127.0.0.1:9000
    """
    from gridpatrol.run import demo  # the HTTP server takes a third of a second to import

    demo.run(defaults(settings_of(listen=listen, database=database), database=DATABASE), folder, seconds, rate)


@command.command("year")
@options.database
@click.option(
    "--year", type=click.IntRange(2024, 2100), help="A calendar year; default: the last one that is well over."
)
@click.option(
    "--incidents", default=1500, show_default=True, type=click.IntRange(12, 100_000), help="So many problems."
)
@click.option("--seed", default=311, show_default=True, help="Another seed, another year.")
def show_year(database: str | None, year: int | None, incidents: int, seed: int) -> None:
    """A made-up year of the sample city: supervision, tasks, targets, audit draws and assessments in motion.

    Nothing in it is real, and its pack says so; it lies beside the database, which has to be empty, and goes on in
    `gridpatrol demo run`. The same year, size and seed give the same facts. It takes minutes.

    \b
    Examples:
      gridpatrol demo year
      gridpatrol demo year --year 2025 --incidents 200 --database sqlite:///var/small.db
    """
    from gridpatrol.run import demo_year

    settings = defaults(settings_of(database=database), database=YEAR_DATABASE)
    wanted = demo_year.Wanted(year=year or demo_year.last_whole(now_ms()), incidents=incidents, seed=seed)
    options.say(f"Playing the made-up year {wanted.year} into {shown(settings.database)} ...")
    with progress("one year", None) as show:
        said = demo_year.run(settings, demo_year.beside(settings), wanted, show)
    click.echo(f"示例年度（合成数据）made up: {said} events of {wanted.year} in {shown(settings.database)}")


@command.command("city")
@options.database
@click.option("--proof", is_flag=True, help="Print only the line of proof that the README carries.")
@options.as_json
def show_city(database: str | None, proof: bool, as_json: bool) -> None:
    """Seven weeks of a real city (Boston 311, public domain), and what the engine makes of them.

    \b
    Examples:
      gridpatrol demo city
      gridpatrol demo city --json
    """
    from gridpatrol.run import city

    settings = defaults(settings_of(database=database), database=CITY_DATABASE)
    found = city.run(settings)
    if as_json:
        options.print_json(found)
    elif proof:
        click.echo(city.proof(found))
    else:
        city.print_city(found, shown(settings.database))
