"""`gridpatrol incident`: the list, the story of one incident, and the erasure of its sealed texts.

The answers are the same as over HTTP, also while a server writes to the database.
"""

from typing import Any
from urllib.parse import quote

import click
import msgspec

from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.operations import erasure
from engine.operations.auditing import audit_words
from engine.operations.erasure import Erased, Erasure
from engine.policies import Policies
from engine.principals import LOCAL, Operator
from engine.store import exports
from engine.views import incident_detail as detail
from engine.views.incident_list import IncidentQuestion, incident_page
from engine.views.names import active_names
from engine.views.words import incident_words
from gridpatrol import options, pages
from gridpatrol.render.incidents import archived_list, incident_detail, incident_list
from gridpatrol.render.words import print_words
from gridpatrol.run.wiring import reading, settings_of, writer_of, writing
from schemas.instants import written


@click.group("incident")
def command() -> None:
    """Incidents (网格事件): who has them, until when, and what happened."""


@command.command("list")
@click.option(
    "--search",
    type=options.TEXT,
    default="",
    help="A short number, a reference or an id: all that it fits, also closed.",
)
@click.option("--overdue", is_flag=True, help="Only those past a deadline.")
@click.option("--all", "closed", is_flag=True, help="Closed ones as well.")
@click.option(
    "--definition",
    type=options.TEXT,
    default="",
    help="Only of this kind of case.",
)
@click.option("--grid", type=options.TEXT, default="", help="Only of this grid and all below it.")
@click.option("--clock", type=options.TEXT, default="", help="By this clock's deadline, e.g. handle.")
@click.option("--owner", type=options.TEXT, default="", help="Only with this grid or department.")
@click.option("--holder", type=options.TEXT, default="", help="Only the work of this grid, department or post.")
@click.option("--reporter", type=options.TEXT, default="", help="Only what this post reported.")
@click.option("--campaign", type=options.TEXT, default="", help="Only what counts as part of this campaign.")
@click.option("--unit", type=options.TEXT, default="", help="Only what this unit, or that of a post, holds or owns.")
@click.option("--state", type=options.TEXT, default="", help="Only in these states, e.g. accepted,handling.")
@click.option("--category", type=options.TEXT, default="", help="Only of this category.")
@click.option("--group", type=options.TEXT, default="", help="Only of this group of categories.")
@click.option(
    "--due-before",
    type=options.TEXT,
    default="",
    metavar="INSTANT",
    help="Only those due before, e.g. 2026-03-02T09:00+08:00.",
)
@click.option(
    "--sort",
    type=options.TEXT,
    default="due_at",
    show_default=True,
    help="due_at, opened_at or id; with - in front downwards.",
)
@options.limit
@click.option("--cursor", type=options.TEXT, default="", help="Go on where --json said `next`.")
@options.at
@options.database
@options.as_json
@options.as_csv
def list_incidents(
    overdue: bool,
    closed: bool,
    limit: int | None,
    cursor: str,
    at: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
    **filters: Any,
) -> None:
    """List open incidents, the next deadline first.

    \b
    Examples:
      gridpatrol incident list --overdue
      gridpatrol incident list --overdue --at 2026-03-02T09:00+08:00
      gridpatrol incident list --grid WY --state handling --sort -opened_at
      gridpatrol incident list --search '482 913 605'
      gridpatrol incident list --all --csv > incidents.csv
      gridpatrol incident list --clock handle --due-before 2026-03-02T09:00+08:00 --json
    """
    then = "" if at is None else written(at)
    question = IncidentQuestion(overdue=overdue, open=None if closed else True, at=then, **filters)
    settings = settings_of(database=database)
    found = pages.of_view(settings, incident_page, question, limit, as_csv, now=now_ms(), cursor=cursor)
    if found is None:
        return
    if as_json:
        options.print_json(found)
    else:
        incident_list(found)
        if found.archived:
            archived_list(found.archived)


@command.command("show")
@click.argument("incident", type=options.TEXT)
@click.option(
    "--words",
    "with_words",
    is_flag=True,
    help="Show what people wrote instead: `gridpatrol audit list` says who looked. Needs --post.",
)
@click.option("--post", type=options.TEXT, default="", help="With --words: the post that reads, e.g. WY-CHIEF.")
@options.at
@options.database
@options.as_json
def show_incident(
    incident: str, with_words: bool, post: str, at: int | None, database: str | None, as_json: bool
) -> None:
    """Show one INCIDENT: where it stands, its clocks, and its story from the first report on. Or its words: what
    people wrote with each step, as one post reads them.

    \b
    Examples:
      gridpatrol incident show WY-L3-01.0190c5e2-7bb4-7c21-9a55-d1f4c2b8a001
      gridpatrol incident show WY-L3-01.0190c5e2-7bb4-7c21-9a55-d1f4c2b8a001 --words --post WY-CHIEF
    """
    if with_words and at is not None:
        raise click.UsageError("--words are those of now: leave --at out")
    policies, then = Policies(), "" if at is None else written(at)
    if with_words:
        return show_words(incident, post, database, as_json)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        found = detail.incident_detail(connection, policies, incident, now_ms(), then)
        steps = [step for step in exports.steps_of(connection, incident) if at is None or step.at <= at]
        names = active_names(connection, policies)
    if as_json:
        options.print_json(found)
    else:
        incident_detail(found, steps, names)


def show_words(incident: str, post: str, database: str | None, as_json: bool) -> None:
    """The words of an incident for a post. The reading is in the audit before they are shown."""
    with reading(settings_of(database=database)) as opened:
        with opened.read() as connection:
            found = incident_words(connection, Policies(), incident, post, LOCAL, now_ms())
        who = options.operator()
        reader = Operator(f"{who.who}:{found.reader.code}", who.via)
        audit_words(opened, reader, incident, contact=found.contact)
    if as_json:
        options.print_json(found)
    else:
        print_words(found)


@command.command("erase")
@click.argument("incident", type=options.TEXT)
@options.server
@options.token_file
@options.database
@options.as_json
def erase_incident(incident: str, database: str | None, as_json: bool) -> None:
    """Erase what is sealed of one INCIDENT for good: identity, contact and free text of its events and dead letters.

    Facts and figures stay as they are. The log says who erased and when. Copies that the database or its operator
    keeps (backups, journals, rows not yet vacuumed) go when these are turned over.

    \b
    Example:
      gridpatrol incident erase WY-L3-01.0190c5e2-7bb4-7c21-9a55-d1f4c2b8a001
    """
    settings = settings_of(database=database)
    wish = Erasure(options.account())
    server = writer_of(settings)
    try:
        with writing(settings, listening=False) as engine:
            erased = erasure.forget(engine.database, erasure.erase(engine, incident, options.operator()))
    except LeaseTaken:
        route = f"/v1/operator/incidents/{quote(incident, safe='')}/erasures"
        erased = msgspec.convert(server.post(route, msgspec.json.encode(wish)), Erased)
    if as_json:
        options.print_json(erased)
    else:
        files = f", and {erased.files} files" if erased.files else ""
        click.echo(
            f"{incident}: erased what was sealed of {erased.events} events and {erased.letters} dead letters{files}"
        )
        if erased.left:
            options.say(f"Not all of it is gone yet: {erased.left}.")
