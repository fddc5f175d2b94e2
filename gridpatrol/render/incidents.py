"""Incidents at a terminal: the list, and one incident with where it stands. Its story is in `story.py`."""

from collections.abc import Sequence

import click

from engine.store.rows import StepRow
from engine.views.incident_detail import IncidentDetail
from engine.views.incident_list import IncidentLine
from engine.views.names import HolderNamed, Names, OwnerNamed
from gridpatrol.render.story import story
from gridpatrol.render.tables import duration, minute, table
from gridpatrol.render.terms import both
from workflows.definitions import CLOCKS


def incident_list(lines: Sequence[IncidentLine], as_of: str, more: bool) -> None:
    """Print incidents in brief; `more` says that the list goes on."""
    rows = [
        (
            item.id,
            f"{item.state_zh} {item.state}",
            item.category.code if item.category else "",
            _unit(item.owner),
            _unit(item.holder),
            minute(item.opened_at),
            minute(item.due_at),
            duration(item.overdue_ms) if item.overdue else "",
        )
        for item in lines
    ]
    table(("incident", "state", "category", "owner", "holder", "reported", "due", "late"), rows)
    rest = "; there are more: --limit, or --grid to look closer" if more else ""
    click.echo(f"{len(rows)} incidents as of {as_of}{rest}.")


def incident_detail(shown: IncidentDetail, steps: Sequence[StepRow], names: Names) -> None:
    """Print one incident: what it is, where it stands, and its story, one line per step."""
    category = shown.category
    click.echo(f"{shown.id}  {shown.state_zh} {shown.state}" + (f", cycle {shown.cycle + 1}" if shown.cycle else ""))
    if category:
        click.echo(f"  {category.code} {category.name_zh} {category.name_en}".rstrip())
    if shown.path:
        click.echo("  " + " / ".join(grid.name for grid in shown.path))
    if shown.owner and shown.open:
        click.echo(f"  with {_unit(shown.owner)}")
    if shown.holder:
        click.echo(f"  经手 in the hands of {_unit(shown.holder)}")
    if shown.merged_into:
        click.echo(f"  并入 goes on in {shown.merged_into}")
    if shown.absorbed:
        click.echo(f"  并案 goes on for {', '.join(shown.absorbed)}")
    for clock in shown.clocks:
        name = both(CLOCKS, clock.name)
        if clock.due_at is None:
            click.echo(f"  {name}: no deadline, since {minute(clock.started_at)}")
            continue
        left = f" ({clock.remaining.zh}, {clock.remaining.en})" if clock.remaining else ""
        paused = " paused" if clock.paused else ""
        limit = f"{clock.limit_zh} " if clock.limit_zh else ""
        click.echo(f"  {name}: {limit}until {minute(clock.due_at)}{paused}{left}")
    if shown.open and shown.allowed:
        click.echo("  next: " + ", ".join(item.trigger for item in shown.allowed))
    click.echo("")
    for line in story(steps, names):
        click.echo(line)


def _unit(unit: OwnerNamed | HolderNamed | None) -> str:
    """An owner or a holder by name: the grid, its department, its post."""
    if unit is None:
        return ""
    beside = (unit.department, unit.post if isinstance(unit, HolderNamed) else None)
    return " · ".join([unit.grid.name, *(named.name for named in beside if named)])
