"""Events on their way from a request to the log: submitted to the writer, or kept as dead letters.

What is refused is kept with its bytes, under an id that the same bytes of the same sender always get.
"""

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from engine import admission
from engine.errors import ClockDoubted
from engine.http.context import DURABLE_S, DoorContext
from engine.http.problems import busy
from engine.http.waiting import done_within
from engine.principals import Principal
from engine.slice.types import PENDING
from engine.writer import Ask, Keeping
from schemas.envelope import Envelope
from schemas.refusals import Reason, Refusal

BREATH = 50
"""Events of a batch that are looked at before other requests get their turn."""
NOT_KEPT = "it was not kept, for this principal has had more events refused than are kept"


class Incoming(Struct):
    """An event on its way in: the bytes of one sender, and then either what was submitted or why it is refused."""

    raw: bytes
    sender: Principal
    event: Envelope | None = None
    ask: Ask | None = None
    refusal: Refusal | None = None
    letter: str = ""


async def take(context: DoorContext, incoming: Sequence[Incoming], *, wait: bool, follow: bool) -> None:
    """Submit what keeps the contract, keep the rest as dead letters, and return when all of it is durable.

    All of it comes from one sender. With `wait` the writer is asked for the outcomes as well, with `follow` for what
    becomes of parked events too. Raises Problem where the writer cannot keep up.
    """
    if incoming:
        sender = incoming[0].sender
        context.quotas.spend_events(sender.name, sender.quota, len(incoming) - 1)
    for number, item in enumerate(incoming, 1):
        size, most = len(item.raw), context.settings.event_bytes
        if item.refusal is None and size > most:
            detail = f"the event has {size} bytes, {most} are allowed: put files elsewhere and send their address"
            item.refusal = Refusal(Reason.TOO_LARGE, "", detail)
        elif item.refusal is None:
            admitted = admission.admit(item.raw, item.sender, context.writer.engine.count)
            if isinstance(admitted, Refusal):
                item.refusal = admitted
            else:
                submission, item.event = admitted
                item.ask = context.writer.submit(submission, wait=wait, follow=follow)
        if number % BREATH == 0:
            await asyncio.sleep(0)
    await keep(context, [item for item in incoming if item.refusal is not None])
    for item in incoming:
        # Events become durable in the order in which they were queued: after the last one none is waited for.
        if item.ask is not None and not await done_within(item.ask.durable, DURABLE_S):
            raise busy(f"not durable within {DURABLE_S} s: whether it will be is not known")
        if item.ask is not None and (error := item.ask.durable.exception()) is not None:
            raise error if isinstance(error, ClockDoubted) else busy(f"could not be made durable: {error}")


async def keep(context: DoorContext, refused: Sequence[Incoming]) -> None:
    """Keep what was refused, once per content; of what is too large, as much as an event may have.

    Of a principal that has more refused than its quota keeps, the rest is answered and counted only.
    """
    kept: dict[str, Keeping] = {}
    for number, item in enumerate(refused, 1):
        assert item.refusal is not None
        refusal, sender, raw = item.refusal, item.sender, item.raw[: context.settings.event_bytes]
        id_ = admission.letter_id(item.raw, sender.name)
        if id_ in kept or context.quotas.may_keep(sender.name, sender.quota, len(raw)):
            item.letter = id_
            if id_ not in kept:
                letter = admission.letter(raw, refusal, sender.name, context.now(), id_)
                kept[id_] = context.writer.keep(letter)
        else:
            item.refusal = replace(refusal, detail=f"{refusal.detail}; {NOT_KEPT}")
        context.watch.refused(sender.name, str(refusal.reason), bool(item.letter))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    for keeping in kept.values():
        if not await done_within(keeping.kept, DURABLE_S) or keeping.kept.exception() is not None:
            raise busy("what was refused could not be kept")


async def decided(context: DoorContext, incoming: Sequence[Incoming], wait_s: int) -> bool:
    """Wait for the outcomes, all of them together no longer than asked; whether every one is known.

    What is parked is known. Its sender is told what becomes of it if that is so within the same time.
    """
    until_s = time.monotonic() + wait_s
    asks = [item.ask for item in incoming if item.ask is not None and item.ask.outcome is not None]
    try:
        for ask in asks:
            assert ask.outcome is not None
            if not await done_within(ask.outcome, max(0, until_s - time.monotonic())):
                return False
        for ask in asks:
            if ask.release is not None and time.monotonic() < until_s:
                await done_within(ask.release, until_s - time.monotonic())
    finally:
        for ask in asks:
            ask.follows = False
    outcomes = [ask.outcome for ask in asks if ask.outcome is not None]
    return all(outcome.exception() is None and outcome.result().outcome != PENDING for outcome in outcomes)
