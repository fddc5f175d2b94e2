"""Incidents at a terminal: the list, and one incident with where it stands. Its story is in `story.py`."""

from collections.abc import Sequence

import click

from engine.store.rows import StepRow
from engine.views.holders import worded
from engine.views.incident_detail import IncidentDetail
from engine.views.incident_list import ArchivedCase, IncidentPage
from engine.views.names import HolderNamed, Names, OwnerNamed
from engine.views.present import Reading
from gridpatrol.render.story import story
from gridpatrol.render.tables import duration, minute, table
from gridpatrol.render.terms import both
from schemas.exemptions import EXEMPTIONS
from schemas.short_numbers import spoken
from schemas.value_words import EXEMPTION_STAGES, WORDS
from workflows.definitions import CLOCKS
from workflows.definitions.incident import INCIDENT


def spelled(reading: Reading, as_of: str) -> str:
    """As of when a reading is, for people."""
    if reading == "last_record":
        return f"the last record, {as_of}"
    return f"{as_of}, as known then" if reading == "as_known_then" else as_of


def incident_list(page: IncidentPage) -> None:
    """Print incidents, or cases of any kind, in brief, as of when they are, and whether the list goes on."""
    lines = page.incidents
    kinds = {item.definition for item in lines}
    what = "incident" if INCIDENT.name in kinds or not kinds else "case"
    rows = [
        (
            item.id,
            spoken(item.short_number),
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
    table((what, "number", "state", "category", "owner", "holder", "reported", "due", "late"), rows)
    rest = "; there are more: --limit all, or --grid to look closer" if page.next is not None else ""
    click.echo(f"{len(rows)} {what}s as of {spelled(page.reading, page.as_of)}{rest}.")
    if page.remark:
        click.echo(f"{page.remark[0].upper()}{page.remark[1:]}.")


def archived_list(cases: Sequence[ArchivedCase]) -> None:
    """Print what is still known of cases that have left the tables."""
    rows = [(c.id, spoken(c.short_number), f"{c.state_zh} {c.state}", minute(c.ended_at), c.archive) for c in cases]
    table(("archived", "number", "state", "ended", "file"), rows)


def incident_detail(shown: IncidentDetail, steps: Sequence[StepRow], names: Names) -> None:
    """Print one incident: what it is, where it stands, and its story, one line per step."""
    category = shown.category
    number, cycle = spoken(shown.short_number), f", cycle {shown.cycle + 1}" if shown.cycle else ""
    click.echo(f"{shown.id}  {number}  {shown.state_zh} {shown.state}{cycle}")
    if shown.reference:
        click.echo(f"  来文号 reference {shown.reference}")
    if category:
        click.echo(f"  {category.code} {category.name_zh} {category.name_en}".rstrip())
    if shown.path:
        click.echo("  " + " / ".join(grid.name for grid in shown.path))
    if shown.owner and shown.open:
        click.echo(f"  with {_unit(shown.owner)}")
    if shown.holder:
        click.echo(f"  经手 in the hands of {_unit(shown.holder)}")
    for asked in shown.proposals:
        wanted = asked.limit or asked.due_at or asked.until or ""
        until = f" {wanted}" if wanted else ""
        click.echo(f"  申请 asked for: {both(WORDS, asked.what)}{until} · {asked.by.name}: {both(WORDS, asked.reason)}")
    if shown.campaign:
        click.echo(f"  专项行动 campaign {shown.campaign.name}")
    if shown.root_cause:
        click.echo(f"  问题根源 at its root: {both(WORDS, shown.root_cause)}")
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
    held_lines(shown, names)
    if shown.reading != "now" and (shown.open or shown.reading == "as_known_then"):
        click.echo(f"  as of {spelled(shown.reading, shown.as_of)}")
    if shown.open and shown.allowed:
        click.echo("  next: " + ", ".join(item.trigger for item in shown.allowed if item.trigger not in EXEMPTIONS))
    click.echo("")
    for line in story(steps, names):
        click.echo(line)


def held_lines(shown: IncidentDetail, names: Names) -> None:
    """Print which deadlines were missed, by how much and by whom; and who held the case, for how long."""
    for outcome in shown.outcomes:
        if outcome.lapsed and outcome.late_by_ms is not None:
            zh, en = worded(outcome.kind, outcome.late_by_ms, names)
            by = f", 责任 charged to {_unit(outcome.charged)}" if outcome.charged else ""
            click.echo(f"  {both(CLOCKS, outcome.name)}: 超期{zh}, {en} late{by}")
    for missed in shown.missed:
        if asked := missed.exemption:
            until = f", 可申诉 may be appealed until {minute(asked.appeal_until)}" if asked.appeal_until else ""
            stage = f"{both(EXEMPTION_STAGES, asked.stage)}: {both(WORDS, asked.ground)}"
            click.echo(f"  {both(CLOCKS, missed.clock)}: {stage} · {asked.by.name}{until}")
    for span in shown.holders:
        spent = [
            f"{both(CLOCKS, clock.name)} {' '.join(worded(clock.kind, clock.consumed_ms, names))}"
            for clock in span.clocks
        ]
        until = minute(span.held_until) or "now"
        click.echo(
            f"  经手 held by {_unit(span.unit)}: {minute(span.held_from)} to {until}, {duration(span.natural_ms)}"
        )
        if spent:
            click.echo(f"    其间耗用 consumed: {'; '.join(spent)}")


def _unit(unit: OwnerNamed | HolderNamed | None) -> str:
    """An owner or a holder by name: the grid, its department, its post."""
    if unit is None:
        return ""
    beside = (unit.department, unit.post if isinstance(unit, HolderNamed) else None)
    return " · ".join([unit.grid.name, *(named.name for named in beside if named)])
