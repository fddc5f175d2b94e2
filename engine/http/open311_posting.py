"""Forms of Open311 on their way to petitions: who sends one, what it says, and the request that it is.

The same form by the same principal within 24 hours is the same request: the id of its event follows from both and from
the day, so it is recognised by whichever door it comes, also after a restart. Of the day before it is looked up.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from engine.http.auth import token_of
from engine.http.context import DoorContext
from engine.http.events import Accepted, Wanted, check_sender, content_type, publish_all
from engine.http.incoming import Incoming
from engine.http.problems import Problem
from engine.policies import Policies
from engine.principals import Principal, Principals, Right
from engine.store import incident_queries
from engine.store.database import Connection
from engine.views import open311
from engine.views.event_status import AskedEvent, EventStatus, UnknownEvent, event_status, event_status_in_topic
from engine.views.names import active_names
from engine.views.questions import BadQuestion, check_text
from engine.views.speaking import only_post
from schemas.derived_ids import form_subject
from schemas.instants import written
from schemas.open311 import Created, RequestForm
from workflows import case as cases

StatusView = Callable[[Connection, Policies, AskedEvent], EventStatus]
"""What tells what became of an event."""

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 64 * 1024
"""Of a form."""
MOST_FIELDS = 100
ATTRIBUTE = re.compile(r"attribute\[([^\[\]]{1,64})\](\[\])?")
"""What a form says of a service besides: none asks anything, so it is kept with the words of the request."""


class SentForm(NamedTuple):
    """A form, what it says of the service besides, and what tells it from others."""

    said: RequestForm
    attributes: tuple[tuple[str, str], ...]
    digest: str


def check_key(principals: Principals, key: str, right: Right | None = None) -> Principal:
    """The principal of a key, with a right if one is named. Raises Problem."""
    found = principals.of_request(key)
    if found is None:
        why = "nobody has this key, or not any more" if key else "this server asks for a key"
        raise Problem(403, "unknown_token" if key else "no_token", why, field="api_key", remedy="see `discovery`")
    if right is not None and not found.has(right):
        raise Problem(403, "no_right", f"principal {found.name} lacks the right `{right}`", field="api_key")
    return found


async def read_form(request: Request[Any, Any, Any]) -> tuple[str, dict[str, str]]:
    """The key and the fields of a form; those that are empty count as not sent. Raises Problem and BadQuestion."""
    if content_type(request) != FORM:
        raise Problem(415, "content_type", "this content type is not taken here", remedy=f"send it as {FORM}")
    try:
        pairs = parse_qsl((await request.body()).decode(), max_num_fields=MOST_FIELDS, errors="strict")
    except UnicodeDecodeError as error:
        raise BadQuestion("", "the form is no UTF-8", "encode each text as UTF-8") from error
    except ValueError as error:
        raise BadQuestion("", f"the form has more than {MOST_FIELDS} fields") from error
    form = dict[str, str]()
    for name, value in pairs:
        check_text(name, "")
        check_text(value, name)
        if name in form and not ATTRIBUTE.fullmatch(name):
            raise BadQuestion(name, f"{name} stands there twice", "send each field once")
        form[name] = f"{form[name]}, {value}" if name in form else value
    return form.pop("api_key", "") or token_of(request), form


def form_of(fields: Mapping[str, str], principal: str) -> SentForm:
    """What the fields say. Raises BadQuestion for one that is missing, wrong or unknown."""
    attributes = {found[1]: text for name, text in fields.items() if (found := ATTRIBUTE.fullmatch(name))}
    plain = {name: text for name, text in fields.items() if not ATTRIBUTE.fullmatch(name)}
    try:
        said = msgspec.convert(plain, RequestForm)
    except msgspec.ValidationError as error:
        raise wrong(str(error)) from error
    if (said.lat is None) != (said.long is None):
        raise BadQuestion("lat" if said.lat is None else "long", "lat and long go together", "send both, or neither")
    if said.lat is None and not (said.address_string or said.address_id):
        raise BadQuestion("lat", "the form says nowhere where it is", "send lat and long, address_string or address_id")
    for field, degrees, most in (("lat", said.lat, 90), ("long", said.long, 180)):
        if degrees is not None and abs(float(degrees)) > most:
            raise BadQuestion(field, "this lies nowhere on Earth", f"send degrees from -{most} to {most}")
    meaning = msgspec.json.encode([principal, sorted(fields.items())])
    return SentForm(said, tuple(sorted(attributes.items())), hashlib.sha256(meaning).hexdigest())


def wrong(detail: str) -> BadQuestion:
    """What the decoder says is wrong with a form, without what was sent."""
    found = re.search(r"`\$\.(\w+)`|field `([^`]{0,64})`", detail)
    field = (found[1] or found[2] or "") if found else ""
    if "missing" in detail:
        return BadQuestion(field, f"{field} is missing")
    if "unknown" in detail:
        remedy = f"there are: {', '.join(RequestForm.__struct_fields__)}"
        return BadQuestion(field, "this is no field of a request", remedy)
    if field in ("lat", "long"):
        return BadQuestion(field, "this is no number of degrees", "write it such as 34.3412")
    if field == "media_url" and "length" not in detail:
        return BadQuestion(field, "this is no address of http or https")
    return BadQuestion(field, f"the text is too long, or too short: {detail.partition(' - at')[0].lower()}")


# ---- the request that a form is -----------------------------------------------------------------------------

SOURCE = "/open311/v2"
"""`source` of the events that forms become."""
TYPE = "gridpatrol.petition.submitted.v1"
DAY_MS = 86_400_000
WAIT_S = 5
"""How long a sender waits for its id; then it gets a token."""
MOST_TRIES = 16
"""So often the same form may be refused within a day and be sent again as if it were another one."""


class Standing(NamedTuple):
    """What became of a form before: its request, or empty and the id of the event that it is to be, whose bits begin at
    an instant (ms UTC)."""

    subject: str
    event: str = ""
    begins: int = 0


def standing(connection: Connection, ask: StatusView, policies: Policies, digest: str, now: int) -> Standing:
    """The request that a form is already, or the event that it becomes.

    A day of a form begins where its digest says, so that the days of all forms do not end at once. What was refused
    counts as not sent.
    """
    offset = int(digest[:12], 16) % DAY_MS
    today = (now + offset) // DAY_MS
    for day in (today - 1, today):
        for attempt in range(MOST_TRIES):
            id_ = hashlib.sha256(f"{digest}|{day}|{attempt}".encode()).hexdigest()
            try:
                known = ask(connection, policies, AskedEvent(SOURCE, id_))
            except UnknownEvent:
                if day == today:
                    return Standing("", id_, day * DAY_MS - offset)
                break
            if known.outcome in ("refused", "conflict"):
                continue
            body = incident_queries.read_case(connection, known.case)
            # Of yesterday's what is not decided yet is no day old.
            if day == today or body is None or now - cases.decode(body).opened < DAY_MS:
                return Standing(known.case)
            break
    raise BadQuestion("", "this form was refused too often today", "send it again tomorrow, or change it")


async def publish_form(context: DoorContext, sender: Principal, fields: Mapping[str, str]) -> Created:
    """Take a form in, and answer with its request. Raises Problem and Unanswerable."""
    check_sender(context, sender)
    form, now = form_of(fields, sender.name), context.now()
    policies, settings = context.policies, context.settings
    ask: StatusView = event_status_in_topic if settings.kafka else event_status

    def look(connection: Connection) -> tuple[Standing, str, str]:
        names = active_names(connection, policies)
        register = names.register
        open311.check_jurisdiction(names, form.said.jurisdiction_id or "", settings.open311_jurisdiction)
        open311.check_service(names, form.said.service_code, "service_code")
        if form.said.address_id and form.said.address_id not in register.grids:
            raise BadQuestion("address_id", "this is no code of a grid", "leave it out, or ask which grids there are")
        named = settings.open311_post
        post = only_post(register, sender) or (named if sender.may_speak(named) else "")
        if post not in register.posts:
            why = f"principal {sender.name} speaks for no post alone, and for none that this server names"
            remedy = "show the key of one post, or let whoever operates this server name a post (`open311_post`)"
            raise Problem(403, "forbidden", why, field="api_key", remedy=remedy)
        home = register.home(register.standing(register.posts[post].grid, now))
        return standing(connection, ask, policies, form.digest, now), post, home

    found, post, home = await context.read(look)
    if found.subject:
        return Created(service_request_id=found.subject)
    subject = form_subject(home, found.event, found.begins)
    event = {
        "specversion": "1.0",
        "id": found.event,
        "source": SOURCE,
        "type": TYPE,
        "subject": subject,
        "time": written(now),
        "actor": post,
        "data": data_of(form),
    }
    incoming = [Incoming(msgspec.json.encode(event), sender)]
    body = (await publish_all(context, incoming, Wanted(WAIT_S, False))).body
    assert isinstance(body, Accepted)
    if body.outcome == "refused":
        raise Problem(400, body.reason, body.detail, field=body.field)
    if body.outcome == "conflict":  # another door took the same form in the same instant
        again = await context.read(lambda connection: standing(connection, ask, policies, form.digest, now))
        return Created(service_request_id=again.subject) if again.subject else Created(token=subject)
    known = body.outcome in ("done", "duplicate")
    return Created(service_request_id=subject) if known else Created(token=subject)


def data_of(form: SentForm) -> dict[str, Any]:
    """What a form says, as the data of a petition."""
    said = form.said
    name = " ".join(filter(None, (said.first_name, said.last_name)))
    ways = {"email": said.email, "phone": said.phone, "account_id": said.account_id, "device_id": said.device_id}
    words = [said.description or "", *(f"{code}: {text}" for code, text in form.attributes)]
    data: dict[str, Any] = {
        "category": said.service_code,
        "channel": "app" if said.device_id else "online",
        "grid": said.address_id,
        "address": said.address_string,
        "description": "\n".join(filter(None, words)),
        "name": name,
        "contact": "; ".join(f"{way}: {value}" for way, value in ways.items() if value),
        "note": f"{open311.MEDIA}{said.media_url}" if said.media_url else "",
    }
    if said.lat is not None and said.long is not None:
        data["position"] = {"lon": float(said.long), "lat": float(said.lat), "crs": "WGS84"}
    return {name: value for name, value in data.items() if value}
