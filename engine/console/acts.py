"""What people post: an event of the contract, on the same way as those of the API.

A form carries the id of its event, made with the page. A double click sends the same form twice: the second time the
very bytes of the first go in again, and the engine knows them. Another gateway, which has not kept them, is told
`conflict`: whatever it is, nothing is done twice.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from secrets import randbits
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from litestar import Request

from engine.console.access import not_a_form, post_of
from engine.console.forms import data_of, form_for
from engine.http.context import DoorContext
from engine.http.events import Accepted, Wanted, check_sender, publish_all
from engine.http.incoming import Incoming
from engine.http.problems import Problem
from engine.principals import Principal
from engine.views.names import active_names
from schemas.events import EVENTS

SOURCE = "/console"
"""`source` of what is posted here."""
WAIT_S = 5
"""How long a page waits for what became of it."""
MOST_KEPT = 2000
"""So many forms are known again by their bytes."""


class Outcome(NamedTuple):
    """What became of an act: done, parked, pending, again, or refused with its reason and the member that is wrong."""

    trigger: str
    how: str
    detail: str = ""
    field: str = ""
    reason: str = ""


class SentForms:
    """The bytes of the last forms, by who sent them and their ids."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def same(self, sender: str, id_: str, body: bytes) -> bytes:
        """The bytes that were sent under this id first."""
        kept = self._kept.setdefault((sender, id_), body)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept


def new_id() -> str:
    """The id of the event that a form will send."""
    return str(uuid4())


def mint(home: str, number: str) -> str:
    """The id of a case that a form begins, of the number that the form has."""
    return f"{home}.{number}"


def new_number(at: int) -> str:
    """A fresh UUIDv7 of an instant (ms UTC): the number of a case that a form will begin."""
    return str(UUID(int=(at << 80) | (0x7 << 76) | (randbits(12) << 64) | (0b10 << 62) | randbits(62)))


async def send(
    request: Request[Principal, Any, Any], context: DoorContext, case: str, fields: dict[str, str]
) -> Outcome:
    """Send what a form says, and wait for what becomes of it."""
    trigger, id_, post = fields.get("trigger", ""), fields.get("event", ""), post_of(request)
    if not post:
        remedy = "choose the post for which you act"
        raise Problem(403, "no_post", "nobody acts without a post", remedy=remedy)
    if trigger not in EVENTS or not is_id(id_):
        raise not_a_form()
    names = await context.read(lambda connection: active_names(connection, context.policies))
    data = data_of(form_for(trigger), fields, names)
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": SOURCE,
        "type": f"gridpatrol.{trigger}.v1",
        "subject": case,
        "time": datetime.fromtimestamp(context.now() / 1000, UTC).isoformat(timespec="milliseconds"),
        "actor": post,
        "data": data,
    }
    body = sent_forms(request).same(request.user.name, f"{post} {id_}", msgspec.json.encode(event))
    check_sender(context, request.user)
    try:
        reply = await publish_all(context, [Incoming(body, request.user)], Wanted(WAIT_S, follow=False))
    except Problem as problem:
        if problem.status >= 500:
            raise
        field = str(problem.members.get("field", "")).removeprefix("data.")
        return Outcome(trigger, "refused", str(problem), field, problem.reason)
    assert isinstance(reply.body, Accepted)
    return outcome_of(trigger, reply.body)


def outcome_of(trigger: str, told: Accepted) -> Outcome:
    """What became of an event, as a page tells it."""
    if told.outcome in ("duplicate", "conflict"):
        return Outcome(trigger, "again")
    if told.outcome in ("done", "parked"):
        return Outcome(trigger, told.outcome)
    if told.outcome == "refused":
        return Outcome(trigger, "refused", told.detail, told.field.removeprefix("data."), told.reason)
    return Outcome(trigger, "pending")


def sent_forms(request: Request[Any, Any, Any]) -> SentForms:
    """The forms that this process has sent."""
    found: SentForms = request.app.state["console_forms"]
    return found


def is_id(text: str) -> bool:
    """Whether a text is an id as forms have them."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
