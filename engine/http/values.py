"""What devices measure, at the door: batches of values, which an adapter of this process takes. None enters the log."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency

from engine.http.auth import needs
from engine.http.context import DoorContext
from engine.http.events import content_type
from engine.http.problems import Problem
from engine.principals import Principal
from schemas.device_values import MOST_VALUES, DeviceValue, TakenValues
from schemas.envelope import BOM, not_json

decode = msgspec.json.Decoder(list[DeviceValue]).decode


@post(
    "/v1/signals/values",
    status_code=200,
    summary="Send what devices measured",
    tags=["signals"],
    guards=[needs("actors")],
)
async def send_values(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> TakenValues:
    """A JSON array of values of devices of the active pack: `device`, `quantity`, `value` (a number, or an exact one as
    decimal text) and `at`. Its sender must be allowed to speak for the posts of the devices. Each value is taken or
    refused by itself; a batch that is sent again changes nothing. What comes of it is stored when this is answered, and
    is said as events of signals. A batch counts as one event of the quota."""
    if content_type(request) != "application/json":
        remedy = "send it as application/json"
        raise Problem(415, "content_type", "this content type is not taken here", remedy=remedy)
    sender = request.user
    context.check_open()
    context.check_clock()
    context.quotas.check_events(sender.name, sender.quota)
    taker = context.values
    if taker is None:
        raise Problem(503, "no_adapter", "this process takes no values", remedy="send them to a server or a gateway")
    with context.quotas.batch(sender.name, sender.quota):
        values = values_of(await request.body())
        taken = await context.aside(lambda: taker.take(values, sender.may_speak, context.now()))
    counted = context.counters.door.values
    counted.labels("taken").inc(taken.taken)
    counted.labels("late").inc(taken.late)
    counted.labels("refused").inc(taken.refused)
    return taken


def values_of(body: bytes) -> list[DeviceValue]:
    """The values of a batch. Raises Problem, with the member, for what is none."""
    try:
        values = decode(body.removeprefix(BOM))
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        field = place.strip("`").removeprefix("$") or "body"
        remedy = "send an array of {device, quantity, value, at}"
        raise Problem(422, "invalid", plain(what), field=field, remedy=remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        remedy = "send an array of {device, quantity, value, at}"
        raise Problem(400, "undecodable", not_json(error), field="body", remedy=remedy) from error
    if len(values) > MOST_VALUES:
        detail = f"the batch has {len(values)} values, {MOST_VALUES} are allowed"
        raise Problem(422, "too_many", detail, remedy=f"send at most {MOST_VALUES} at a time")
    return values


def plain(what: str) -> str:
    """What a value breaks, without what was sent."""
    return what if "regex" not in what else "is no code: one to 64 characters without blanks, | and /"


ROUTES = [send_values]
"""For who speaks for posts."""
