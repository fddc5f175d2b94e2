"""`gridpatrol case`: the list and the story of cases of any kind. `gridpatrol incident` is the short way."""

import click

from gridpatrol import options
from gridpatrol.commands import incident

LIST = """List open cases, the next deadline first: of one kind, or of those that are listed unless asked for.

\b
Examples:
  gridpatrol case list --definition service_request --overdue
  gridpatrol case list --grid WY --json
"""
SHOW = """Show one CASE: where it stands, its clocks, and its story from its beginning on.

\b
Example:
  gridpatrol case show WY-L3-01.0190c5e2-7bb4-7c21-9a55-d1f4c2b8a001
"""


@click.group("case")
def command() -> None:
    """Cases (案件) of any kind: who has them, until when, and what happened."""


of_list, of_show = incident.list_incidents, incident.show_incident
named = click.Argument(["incident"], metavar="CASE", type=options.TEXT)
command.add_command(click.Command("list", callback=of_list.callback, params=of_list.params, help=LIST))
command.add_command(click.Command("show", callback=of_show.callback, params=[named, *of_show.params[1:]], help=SHOW))
