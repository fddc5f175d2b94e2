"""`gridpatrol bench`: events per second and CPU time per event, of one process on both databases, or of the roles."""

import logging

import click

from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import settings_of
from gridpatrol.source_tree import lab


@click.command("bench")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(0.02, 50), help="More or fewer events.")
@click.option("--cluster", is_flag=True, help="Measure the distributed run: Kafka, PostgreSQL, roles as processes.")
@options.as_json
def command(scale: float, cluster: bool, as_json: bool) -> None:
    """Measure the whole way of an event, from its bytes to the figures, on SQLite and on PostgreSQL.

    With --cluster: throughput, share of the bare limit, latency under load and recovery of the distributed run, about
    five minutes on two cores. It needs the source tree, whose lab/ runs Kafka and PostgreSQL.

    \b
    Examples:
      gridpatrol bench
      gridpatrol bench --scale 0.1 --json
      gridpatrol bench --cluster
    """
    if cluster:
        return _cluster(scale, as_json)
    from gridpatrol import bench  # needs the engine and its consumers, which other commands do not

    settings_of()
    logging.getLogger().setLevel(logging.WARNING)
    done = bench.run(scale)
    if as_json:
        options.print_json(done)
        return
    click.echo(f"{done.machine}. CPU time is that of all processes, the database included.")
    rows = [
        (
            run.database,
            run.batch,
            f"{run.events:,}",
            f"{run.events_per_s:,}",
            f"{run.cpu_ms:.3f}",
            f"{run.process_cpu_ms:.3f}",
            "in process"
            if run.database == "sqlite"
            else "elsewhere"
            if run.database_cpu_ms is None
            else f"{run.database_cpu_ms:.3f}",
            f"{run.bare_events_per_s:,}",
            f"{run.bare_share:.2f}",
        )
        for run in done.runs
    ]
    heads = ("database", "batch", "events", "events/s", "CPU ms/event", "engine", "database", "bare events/s", "share")
    table(heads, rows, right=range(1, 9))
    for line in (*done.skipped, *done.notes):
        click.echo(line)


# ---- the distributed run ------------------------------------------------------------------------------------


def _cluster(scale: float, as_json: bool) -> None:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        bench = lab("bench.run")
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error
    with progress("starting", bench.STAGES) as show:
        stages = iter(range(bench.STAGES + 1))
        done = bench.run(scale, lambda what: show(next(stages), now=what))
    if as_json:
        return options.print_json(done)
    for line in (done["machine"], *done["notes"]):
        click.echo(line)
    for heads, rows in bench.tables(done):
        click.echo()
        table(heads, rows, right=range(1, len(heads)))
