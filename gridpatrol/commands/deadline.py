"""`gridpatrol deadline explain`: why a deadline is what it is, span by span.

The deadline is one of a stored incident, or that of a limit and an instant; the latter needs no database.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec

from engine.policies import Policies
from engine.store import exports
from engine.store.database import Database
from engine.views.deadlines import Ledger, calendar_then, explained_by, ledgers, packs_of
from gridpatrol import options
from gridpatrol.run.wiring import read_pack, reading, settings_of
from schemas.envelope import to_ms
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import Explanation, explain, render
from workflows.clocks.limits import ACCEPTED, LimitError, parse_limit
from workflows.policy.index import Policy


@click.group("deadline")
def command() -> None:
    """Explain deadlines."""


@command.command("explain")
@click.argument("incident", type=options.TEXT, required=False)
@click.option(
    "--clock",
    type=options.TEXT,
    help="Which clock of the incident, e.g. handle; default: of those that run the one that is due first, else total.",
)
@click.option("--level", type=int, help="Of which level, where several have that clock.")
@click.option("--limit", help=f"A limit instead of an incident. {ACCEPTED}")
@click.option("--from", "start", metavar="INSTANT", help="When it starts, e.g. 2026-02-14T17:00+08:00.")
@click.option("--calendar", help="Which calendar of the pack; default: the first.")
@options.pack
@options.lang
@options.database
@options.as_json
def explain_deadline(
    incident: str | None,
    clock: str | None,
    level: int | None,
    limit: str | None,
    start: str | None,
    calendar: str | None,
    pack: str | None,
    lang: str,
    database: str | None,
    as_json: bool,
) -> None:
    """Print a deadline's calculation: what counted, what did not, and why.

    Either of an INCIDENT that is stored, or of a --limit that starts at --from; the latter needs no database.

    \b
    Examples:
      gridpatrol deadline explain --limit 4工作时 --from 2026-02-14T17:00+08:00
      gridpatrol deadline explain --limit '10 working days' --from 2026-09-28T09:00+08:00 --lang en --json
      gridpatrol deadline explain WY-L3-01.0190c5e2-... --clock handle
    """
    if incident and (limit or start):
        raise click.UsageError("Give an INCIDENT, or --limit and --from, not both.")
    if not incident and not (limit and start):
        raise click.UsageError("Give an INCIDENT, or --limit and --from. See the examples: add --help.")
    settings = settings_of(database=database, pack=pack)
    if limit and start:
        policy = Policy(read_pack(settings.pack), "")
        code = calendar or policy.calendar_of(policy.root)
        if code not in policy.calendars:
            raise click.UsageError(f"The pack has no calendar {code!r}, only: {', '.join(policy.calendars)}.")
        chosen = policy.calendars[code]
        try:
            begun = datetime.fromisoformat(start)
        except ValueError as error:
            example = "2026-02-14T17:00+08:00"
            raise click.BadParameter(f"{start!r} is not an instant such as {example}", param_hint="--from") from error
        if begun.tzinfo is None:
            options.say(f"--from names no zone: {chosen.data.zone} is assumed.")
            begun = begun.replace(tzinfo=ZoneInfo(chosen.data.zone))
        try:
            budget = parse_limit(limit)
        except LimitError as error:
            raise click.BadParameter(str(error), param_hint="--limit") from error
        _print(explain(chosen.known_at(to_ms(begun)), to_ms(begun), budget), lang, as_json)
        return
    with reading(settings) as opened:
        _explain_stored(opened, str(incident), clock, level, lang, as_json)


def _print(explained: Explanation, lang: str, as_json: bool, more: dict[str, Any] | None = None) -> None:
    if as_json:
        options.print_json(msgspec.to_builtins(explained) | (more or {}))
    else:
        click.echo(render(explained, lang))


# ---- of a stored incident -----------------------------------------------------------------------------------


def _explain_stored(
    database: Database, incident: str, clock: str | None, level: int | None, lang: str, as_json: bool
) -> None:
    """Explain the last clock of that name and level; without a name the one that is due first, else the total."""
    with database.read() as connection:
        steps = exports.steps_of(connection, incident)
        if not steps:
            raise click.UsageError(f"There is no incident {incident!r}: see `gridpatrol incident list`.")
        ran = ledgers(steps)
        of_level = [item for item in ran if level in (None, item.level)]
        running = [(item.due, k) for k, item in enumerate(of_level) if item.runs and item.due is not None]
        named = [item for item in of_level if item.clock == (clock or "total")]
        if clock is None and running:
            ledger = of_level[min(running)[1]]
        elif named:
            ledger = named[-1]
        else:
            names = ", ".join(dict.fromkeys(f"{item.clock} (level {item.level})" for item in ran))
            wanted = repr(clock or "total") + ("" if level is None else f" at level {level}")
            raise click.UsageError(f"No clock {wanted} has run in this incident, only: {names or 'none'}.")
        calendar = calendar_then(connection, Policies(), packs_of(connection, steps[0].partition), ledger)
    _explain_ledger(calendar, ledger, lang, as_json)


def _explain_ledger(calendar: Calendar, ledger: Ledger, lang: str, as_json: bool) -> None:
    """What a clock's deadline rests on: an order, nothing, or a limit that is counted out."""
    more = {"clock": ledger.clock, "level": ledger.level, "cycle": ledger.cycle, "result": ledger.result}
    if not ledger.limit:
        due = calendar.local(ledger.due) if ledger.due is not None else None
        sentence = f"This deadline was ordered as an instant: {due}." if due else "This clock runs without a deadline."
        if as_json:
            options.print_json(more | {"due_at": due, "due_ms": ledger.due, "spans": [], "why": sentence})
        else:
            click.echo(sentence)
        return
    explained = explained_by(calendar, ledger)
    _print(explained, lang, as_json, more)
    if ledger.due is not None and ledger.paused is None and explained.due_ms != ledger.due:
        options.say(f"The deadline that counts was fixed earlier, by another calendar: {calendar.local(ledger.due)}.")
