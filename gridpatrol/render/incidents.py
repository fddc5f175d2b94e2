"""Incidents at a terminal: the list, and one incident with where it stands. Its story is in `story.py`."""

from collections.abc import Sequence

import click

from engine.store.rows import StepRow
from engine.views.incident_detail import IncidentDetail
from engine.views.incident_list import IncidentHead, IncidentLine
from engine.views.names import Names
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
            _owner(item),
            minute(item.opened_at),
            minute(item.due_at),
            duration(item.overdue_ms) if item.overdue else "",
        )
        for item in lines
    ]
    table(("incident", "state", "category", "owner", "reported", "due", "late"), rows)
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
        click.echo(f"  with {_owner(shown)}")
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


def _owner(item: IncidentHead) -> str:
    if item.owner is None:
        return ""
    department = f" · {item.owner.department.name}" if item.owner.department else ""
    return f"{item.owner.grid.name}{department}"
