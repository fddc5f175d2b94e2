"""`gridpatrol clock`: the wall clock of a server and whether it is believed, and an operator's word on it."""

from typing import Any

import click
import msgspec

from engine.errors import LeaseTaken
from engine.operations import clocks
from engine.operations.clocks import ClockSettlement, ClockState
from engine.wall_clock import SECOND_MS, spell_instant, spell_length
from gridpatrol import options
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import reading, settings_of, writer_of, writing

STANDS = {"": "goes on", "still": "stands still until the wall gets there", "refused": "refused"}


@click.group("clock")
def command() -> None:
    """The wall clock: is it believed, and what stands still because of it."""


@command.command("show")
@options.server
@options.token_file
@options.database
@options.as_json
def show(database: str | None, as_json: bool) -> None:
    """Show wall clock and boot-time clock, the partitions' clocks, what stands still and why.

    Of the server or gateway that runs, else of this machine. Each role of a cluster says at its own /readyz whether it
    believes the clock of its machine.

    \b
    Example:
      gridpatrol clock show
    """
    settings = settings_of(database=database)
    with reading(settings):
        pass  # a database that is not there is not made
    try:
        with writing(settings, listening=False) as engine:
            state = clocks.show(engine)
    except LeaseTaken:
        state = msgspec.convert(writer_of(settings).get("/v1/operator/clock"), ClockState, str_keys=True)
    if as_json:
        return options.print_json(state)
    click.echo(f"wall clock   {spell_instant(state.wall)}, {'doubted' if state.doubt else 'believed'}")
    click.echo(f"since boot   {spell_length(state.boot)} ({state.boot_clock})")
    click.echo(f"known        {spell_instant(state.latest) if state.latest else 'nothing'}")
    if state.replayed:
        click.echo("             A replayed file: its time is not that of the wall.")
    if state.doubt:
        click.echo(f"{state.doubt}. {state.remedy[0].upper()}{state.remedy[1:]}.")
    rows = list[tuple[Any, ...]]()
    for row in state.partitions:  # the rest needs nobody's eyes; --json has all
        if row.stands or row.ahead >= SECOND_MS:
            ahead = f"{spell_length(row.ahead)} ahead" if row.ahead >= SECOND_MS else ""
            rows.append((row.partition, spell_instant(row.clock), ahead, STANDS[row.stands]))
    if rows:
        table(("partition", "clock", "", ""), rows)
    click.echo(f"{len(state.partitions) - len(rows)} of {len(state.partitions)} partitions go on.")
    for word in state.words[-5:]:
        still = f"; standing still: {', '.join(map(str, sorted(word.still)))}" if word.still else ""
        click.echo(f"{word.by or 'an operator'} said at {spell_instant(word.at)} that it is right: {word.why}{still}")


@command.command("settle")
@click.option("--stand-still", is_flag=True, help="Accept that partitions which are ahead stand still meanwhile.")
@click.option("--why", type=options.TEXT, default="", help="The reason, which is kept.")
@options.server
@options.token_file
@options.database
def settle(stand_still: bool, why: str, database: str | None) -> None:
    """Say that the wall clock is right, so that a server which doubts it goes on. Look at `date` first.

    It counts at once for the server or gateway that runs, and for the other roles of its cluster a minute later, if
    their own clocks agree. A partition that is ahead of the wall goes on with --stand-still only: what arrives there is
    dated at its own clock until the wall gets there, and no deadline of it fires.

    \b
    Examples:
      gridpatrol clock settle --why 'off over the holidays'
      gridpatrol clock settle --stand-still --why 'the clock was two hours ahead'
    """
    settings = settings_of(database=database)
    said = ClockSettlement(why, stand_still)
    with reading(settings):
        pass
    try:
        with writing(settings, listening=False) as engine:
            state = clocks.settle(engine, said, options.operator())
    except LeaseTaken:
        answer = writer_of(settings).post("/v1/operator/clock", msgspec.json.encode(said))
        state = msgspec.convert(answer, ClockState, str_keys=True)
    click.echo(f"The wall clock is believed: it is {spell_instant(state.wall)}.")
    for stands, what in (("still", "stands still until then"), ("refused", "is refused: see --stand-still")):
        for row in state.partitions:
            if row.stands == stands:
                clock = f"{spell_instant(row.clock)}, {spell_length(row.ahead)} ahead"
                click.echo(f"Partition {row.partition}, at {clock}, {what}.")
