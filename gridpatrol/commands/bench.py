"""`gridpatrol bench`: events per second and CPU time per event, of one process on both databases, or of the roles."""

import logging
from itertools import count
from tempfile import gettempdir
from typing import TYPE_CHECKING

import click

from gridpatrol import options
from gridpatrol.bench import APART, FAMILIES
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import settings_of
from gridpatrol.source_tree import lab

if TYPE_CHECKING:
    from gridpatrol.bench.batches import Run
    from gridpatrol.bench.duties import DutyRun
    from gridpatrol.bench.run import Bench


@click.command("bench")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(0.02, 50), help="More or fewer events.")
@click.option(
    "--only", multiple=True, type=click.Choice((*FAMILIES, *APART)), help="Measure this alone; may be given again."
)
@click.option("--cluster", is_flag=True, help="Measure the distributed run: Kafka, PostgreSQL, roles as processes.")
@options.as_json
def command(scale: float, only: tuple[str, ...], cluster: bool, as_json: bool) -> None:
    """Measure the whole way of an event, from its bytes to the figures, on SQLite and on PostgreSQL: in batches, and
    through the door of a process that serves, with a load in a process of its own.

    Only where they are asked for: `growth`, what an event costs beside ten million waiting cases. It takes some GB of
    the disk of TMPDIR, and says how many before it begins. And `signals`, a minute of values of ten thousand devices.

    With --cluster: throughput, share of the bare limit, latency under load and recovery of the distributed run, about
    seven minutes on two cores. It needs the source tree, whose lab/ runs Kafka and PostgreSQL.

    \b
    Examples:
      gridpatrol bench
      gridpatrol bench --scale 0.1 --json
      gridpatrol bench --only door --only readable
      gridpatrol bench --only growth
      gridpatrol bench --only signals
      gridpatrol bench --cluster
    """
    if cluster:
        return _cluster(scale, as_json)
    # They need the engine and its consumers, which other commands do not.
    from gridpatrol.bench.growth import disk_bytes
    from gridpatrol.bench.run import run

    settings_of()
    logging.getLogger().setLevel(logging.WARNING)
    if "growth" in only:
        room = f"{disk_bytes(scale) / 1e9:.1f} GB of the disk of {gettempdir()}"
        click.echo(f"growth takes up to {room} meanwhile", err=True)
    with progress("starting", len(only or FAMILIES)) as show:
        stages = count()

        def told(what: str, done: int | None = None, of: int | None = None) -> None:
            show(next(stages) if done is None else done, of, now=what)

        found = run(scale, only, told)
    if as_json:
        return options.print_json(found)
    click.echo(f"{found.machine}. CPU time is that of all processes, the database included.")
    built = f"built with {' '.join(found.interpreter.options) or 'no option for speed that it names'}"
    click.echo(f"The interpreter, {built}, takes {found.interpreter.yardstick_ms:.1f} ms for the yardstick.")
    if found.runs:
        batch_table(found.runs)
    door_table(found)
    figure_table(found)
    for measured in found.duties:
        duty_table(measured)
    growth_table(found)
    if (run_of := found.signals) is not None:
        click.echo(
            f"\n{run_of.devices:,} devices at one value a second take {run_of.core_percent:.0f} % of a core, "
            f"{run_of.cpu_us:.1f} us a value; as fast as they are answered {run_of.values_per_s:,} values a second. "
            f"{run_of.episodes:,} of {run_of.episodes:,} episodes became cases."
        )
    for line in (*found.skipped, *found.notes):
        click.echo(line)


def batch_table(runs: "list[Run]") -> None:
    """Print what events cost in batches."""
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
            f"{run.statements:.2f}",
            f"{run.commits:.2f}",
        )
        for run in runs
    ]
    heads = ("database", "batch", "events", "events/s", "CPU ms/event", "engine", "database", "bare events/s", "share")
    table((*heads, "statements", "commits"), rows, right=range(1, 11))
    for run in runs:
        if run.batch == max(one.batch for one in runs) and run.bytes_per_event:
            sizes = ", ".join(f"{name} {size:,}" for name, size in run.bytes_per_event.items())
            click.echo(f"\n{run.database}: {sum(run.bytes_per_event.values()):,} bytes an event on disk: {sizes}.")


def door_table(done: "Bench") -> None:
    """Print what was measured at the door."""
    found = [(f"one event per request, {name}", run) for at in (done.door32, done.door1) for name, run in at.items()]
    found += [("four events, each answered by its decision", run) for run in (done.incident32, done.incident1) if run]
    found += [(f"event to readable state, {name}", run) for name, run in done.readable.items()]
    found += [("event to alert at half load", done.door_to_alert)] if done.door_to_alert else []
    rows = [
        (
            what,
            run.in_flight,
            f"{run.events_per_s:,}",
            f"{run.cpu_ms:.3f}",
            f"{run.load_cpu_ms:.3f}",
            *(f"{1000 * seconds:.1f}" for seconds in (run.p50_s, run.p99_s, run.longest_s)),
        )
        for what, run in found
    ]
    if rows:
        heads = ("at the door", "in flight", "events/s", "CPU ms/event", "load", "p50 ms", "p99 ms", "longest ms")
        table(heads, rows, right=range(1, len(heads)))


def growth_table(done: "Bench") -> None:
    """Print what very many open incidents cost."""
    if done.rss_mib_1m_open is not None:
        click.echo(f"\nThe process that serves very many open incidents takes {done.rss_mib_1m_open:,.0f} MiB at most.")
    if done.growth is not None:
        rows = [
            (name, f"{one.waiting:,}", f"{one.cpu_ms:.3f}", f"{one.alone_cpu_ms:.3f}", f"{one.cost_ratio:.2f}")
            for name, grown in done.growth.databases.items()
            for one in grown
        ]
        heads = ("beside waiting cases", "cases", "CPU ms/event in batches", "alone", "ratio to the fewest")
        table(heads, rows, right=range(1, len(heads)))


def figure_table(done: "Bench") -> None:
    """Print what is one figure each."""
    rows = [
        (f"batches of 500, {name}: CPU of f28de43's statements over the whole way's", f"{of.ratio:.2f}")
        for name, of in (("sqlite", done.sqlite), ("postgresql", done.postgresql))
        if of is not None
    ]
    if (peer := done.handwritten) is not None:
        rows.append(("the four events as most teams write them: their CPU over ours", f"{peer.cpu_ratio:.2f}"))
    if done.decide_us is not None:
        rows.append(("a decision by itself, with what follows from it in memory", f"{done.decide_us:.1f} µs"))
    if done.replay is not None:
        rows.append(("a city's record again", f"{done.replay.events_per_s:,} events/s"))
    if done.timers is not None:
        rows.append(("deadlines under load fire late, p99", f"{done.timers.lateness_p99_s:.3f} s"))
    if rows:
        table(("also", "measured"), rows, right=[1])


def duty_table(measured: "DutyRun") -> None:
    """Print what the patrols of one database cost."""
    where = f"{measured.database}: {measured.leaves:,} patrols are born at one midnight, and end at another"
    click.echo(f"\n{where}. Events arrive beside, and wait for their decisions:")
    rows = [
        (
            run.what,
            f"{run.steps:,}",
            f"{run.cpu_s:.1f}",
            f"{run.cpu_ms_a_step:.3f}",
            f"{run.events:,}",
            *(f"{ms:,}" for ms in (run.p50_ms, run.p99_ms, run.longest_ms)),
        )
        for run in measured.runs
    ]
    heads = ("midnight", "steps", "CPU s", "CPU ms/step", "events", "p50 ms", "p99 ms", "longest ms")
    table(heads, rows, right=range(1, len(heads)))
    sizes = ", ".join(f"{name} {size:,}" for name, size in measured.kept_bytes.items())
    click.echo(f"A kept patrol: {measured.kept_cpu_ms:.3f} ms of CPU time, and bytes of {sizes}.")


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
