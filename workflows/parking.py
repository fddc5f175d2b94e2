"""The waiting room of a case: which early event gets a place in it, and what it then waits for.

`decide` releases what waits, and asks then whether it may be said.
"""

from collections.abc import Callable

from msgspec import Struct, structs

from schemas import facts
from schemas.envelope import Record, encode_record
from schemas.events import canonical, trigger_of
from schemas.kinds import SENDS
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import homes
from workflows.case import AWAITED, Case
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS, births_before
from workflows.effects import unknown_code
from workflows.permissions import NOTHING, Claim, forbid_early
from workflows.policy.index import Policy
from workflows.policy.model import Options

REMEDY = "send what they wait for, then this one again"


class Room(Struct, frozen=True):
    """What waits in a home already: the cases that have not begun, and the events of one principal."""

    unborn: int = 0  # counted for an event that would begin the waiting of such a case
    own: int = 0


def park(d: Decision, record: Record, raw: bytes, room: Callable[[], Room], claim: Claim = NOTHING) -> Refusal | None:
    """Give an early event a place with its case, or refuse it: what can never be taken, and what is too much.

    A record of an older release is parked as that release did it: it is asked for no right, and only its case limits
    it.
    """
    case, options, event = d.case, d.rules.options, record.event
    home, asked = home_of(event.subject), bool(record.digests)
    if case.state == AWAITED and (home not in d.register.grids or d.register.home(home) != home):
        return unknown_code("subject", "home")
    if asked and case.state == AWAITED:
        trigger, kind = canonical(trigger_of(event.type)), homes.expected_kind(d.register, case.id)
        if not kind and homes.only_by_time(trigger):
            detail = "time bears no case of this id: derive it from what is owed, as docs/derived-ids.md says"
            return Refusal(Reason.IMPOSSIBLE, "subject", detail)
        if kind and trigger not in DEFINITIONS[kind].heard:
            taken = ", ".join(sorted(DEFINITIONS[kind].heard - DEFINITIONS[kind].unspoken))
            detail = f"time bears the case of this id ({kind} {DEFINITIONS[kind].zh}), which takes: {taken}"
            return Refusal(Reason.IMPOSSIBLE, "type", detail)
        if kind and (right := homes.too_early(d.register, case.id, trigger, d.arrival, d.judged(0))):
            detail = f"its period has not begun, and nobody has done yet what is owed in it: send it to {right}"
            return Refusal(Reason.MISROUTED, "subject", detail)
    if asked:
        post = d.register.posts[event.actor]
        refused = forbid_early(post, trigger_of(event.type), case, d.rules, d.register, home, claim, d.arrival)
        if refused:
            return refused
    if len(case.parked) >= options.parked_cap:
        return Refusal(Reason.OVER_LIMIT, "subject", f"{options.parked_cap} events of this case are waiting already")
    if asked and (full := no_place(record, case, options, room())):
        return Refusal(Reason.OVER_LIMIT, "subject", full)
    d.tell(
        facts.Parked(
            source=event.source,
            id=event.id,
            type=event.type,
            arrival=d.arrival,
            until=d.arrival + options.parked_ms,
            # Whoever sends it again is answered by what is known of the event, not by this copy of it.
            event=(encode_record(structs.replace(record, digests=())) if asked else raw).decode(),
        )
    )
    return None


def no_place(record: Record, case: Case, options: Options, room: Room) -> str:
    """Why a case that has a place left has none for this event; empty: it has.

    A home holds a limited number of cases that have not begun, and a principal has a quota of waiting events in it.
    Of what it shares with others, the places of a case and those of a home, it gets a further one only while more are
    left than it has. So a flood takes half of what the others left, and who has nothing waiting finds a place.
    """
    home, who = home_of(case.id), record.principal
    begins = case.state == AWAITED and not case.parked
    left = options.unborn_cap - room.unborn
    if begins and left <= 0:
        return f"events of {room.unborn} cases of {home} that have not begun are waiting already: {REMEDY}"
    if who and record.parked and room.own >= record.parked:
        return f"{room.own} events of its principal are waiting in {home} already: {REMEDY}"
    if who and begins and room.own >= left:
        return f"{room.own} events of its principal are waiting in {home}, and {left} places are left to all: {REMEDY}"
    own, left = sum(waiting.principal == who for waiting in case.parked), options.parked_cap - len(case.parked)
    if who and own >= left:
        return f"{own} events of its principal are waiting for this case, and {left} places are left to all: {REMEDY}"
    return ""


def waits_for(case: Case, event_type: str, register: Policy) -> tuple[str, ...]:
    """What an early event waits for: the types of the events that bring a case to a state that takes it.

    An unborn case waits for what begins it, whatever it will be. Empty where nobody's event does that: time bears the
    case, as its id says under the active pack, or ends its state.
    """
    known, trigger = DEFINITIONS.get(case.definition), canonical(trigger_of(event_type))
    if known is None:
        by_time = homes.expected_kind(register, case.id)
        triggers = set[str]() if by_time else births_before(trigger) - SENDS.keys()
    else:
        triggers = {known.event_of(name) for name in known.leading(case.state, trigger) - known.unspoken}
    return tuple(sorted(f"gridpatrol.{trigger}.v1" for trigger in triggers))


class Wait(Struct, frozen=True):
    """What a parked event waits for (types of events, any of which ends it), and until when (ms UTC)."""

    waits_for: tuple[str, ...]
    until: int


def wait_of(case: Case, source: str, id_: str, actor: str, register: Policy) -> Wait | None:
    """The wait of an event that is parked with a case; None if it is not. An empty actor stands for any; `register` is
    the active pack."""
    for waiting in case.parked:
        if (waiting.source, waiting.id) == (source, id_) and actor in ("", waiting.actor):
            return Wait(waits_for(case, waiting.type, register), waiting.until)
    return None
