"""`gridpatrol bench`: events per second and CPU time per event on both databases. In: nothing. Out: a table."""

import logging

import click

from gridpatrol import options, show
from gridpatrol.opening import settings_of


@click.command("bench")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(0.02, 50), help="More or fewer events.")
@options.as_json
def command(scale: float, as_json: bool) -> None:
    """Measure the whole way of an event, from its bytes to the figures, on SQLite and on PostgreSQL.

    \b
    Examples:
      gridpatrol bench
      gridpatrol bench --scale 0.1 --json
    """
    from gridpatrol import bench  # needs the engine and its consumers, which other commands do not

    settings_of()
    logging.getLogger().setLevel(logging.WARNING)
    done = bench.run(scale)
    if as_json:
        options.print_json(done)
        return
    click.echo(f"{done.machine}. CPU time is that of all processes, the database included.")
    rows = [
        (run.database, run.batch, f"{run.events:,}", f"{run.events_per_s:,}", f"{run.cpu_ms:.3f}",
         f"{run.process_cpu_ms:.3f}", "in process" if run.database == "sqlite" else _known(run.database_cpu_ms),
         f"{run.bare_events_per_s:,}", f"{run.bare_share:.2f}") for run in done.runs
    ]  # fmt: skip
    heads = ("database", "batch", "events", "events/s", "CPU ms/event", "engine", "database", "bare events/s", "share")
    show.table(heads, rows, right=range(1, 9))
    for line in (*done.skipped, *done.notes):
        click.echo(line)


def _known(value: float | None) -> str:
    return "elsewhere" if value is None else f"{value:.3f}"
