"""What the application takes of the console: its routes behind their guards, and what they share."""

from typing import Any

from litestar import Router

from engine.console.access import signed_in, signed_in_with
from engine.console.acts import SentForms
from engine.console.live import Changes
from engine.console.pages import (
    alerts,
    approvals,
    assessment,
    audit,
    case,
    channels,
    desk,
    duties,
    health,
    joint,
    ledger,
    member,
    packs,
    petitions,
    ranking,
    reports,
    responsibility,
    sign_in,
    signals,
    sponsors,
    supervision,
    tokens,
    unit,
    what_if,
)
from engine.console.sessions import Keys
from engine.http import files
from engine.http.auth import Guard
from engine.http.context import DoorContext
from engine.views.channel_desk import ChannelProbe
from engine.views.what_if_desk import Comparisons

UNGUARDED: list[Any] = [*sign_in.UNGUARDED, *member.UNGUARDED]
GUARDED: list[tuple[Guard, list[Any]]] = [
    (signed_in, [*sign_in.ROUTES, *member.SIGNED_IN]),
    (
        signed_in_with("reads"),
        [*alerts.ROUTES, *desk.ROUTES, *case.ROUTES, *ranking.ROUTES, *ledger.ROUTES, *reports.ROUTES],
    ),
    (signed_in_with("reads"), [Router("/console", route_handlers=[files.show_file])]),
    (
        signed_in_with("reads"),
        [
            *supervision.ROUTES,
            *joint.ROUTES,
            *approvals.ROUTES,
            *petitions.ROUTES,
            *assessment.ROUTES,
            *duties.ROUTES,
            *unit.ROUTES,
            *sponsors.ROUTES,
            *signals.ROUTES,
            *responsibility.ROUTES,
        ],
    ),
    (signed_in_with("actors"), [*desk.ACTS, *case.ACTS, *supervision.ACTS, *approvals.ACTS]),
    (
        signed_in_with("operator"),
        [*health.ROUTES, *packs.ROUTES, *tokens.ROUTES, *channels.ROUTES, *audit.ROUTES, *what_if.ROUTES],
    ),
    (member.for_this_member, member.KNOWN),
    (member.for_this_speaker, member.SPOKEN),
    (member.for_this_reader, member.READ),
]


def state_of(context: DoorContext, probe: ChannelProbe | None, comparisons: Comparisons) -> dict[str, Any]:
    """What the pages find in the state of the application."""
    return {
        "context": context,
        "console_keys": Keys(context),
        "console_forms": SentForms(),
        "console_changes": Changes(context),
        "console_packs": packs.CheckedPacks(),
        "console_channels": probe,
        "console_comparisons": comparisons,
    }
