"""The events that people and systems send: one struct per type, the `data` of a CloudEvent.

Here are those that may be said to a case of any kind; the others stand with their kind (`schemas.kinds`). `EVENT_TYPES`
maps all event types to structs. The decoder, the JSON Schemas and the sealing all read it.

Members marked *sealed* (identity, contact, free text) never enter the log. The door moves them, and every member that
it does not know, into the sealed table and leaves a token.
"""

from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from schemas.kinds import KINDS
from schemas.members import EventData, EventType, Evidence, Instant, LimitText, Sealed
from schemas.samples import LATER, PHOTO


class DeadlineOrdered(EventData, frozen=True, kw_only=True):
    """A new deadline or limit for a running clock (延期, 督办): exactly one of `due` and `limit`."""

    clock: Annotated[str, Meta(max_length=20)] = "total"
    due: Instant | None = None
    limit: LimitText | None = None


class EvidenceAdded(EventData, frozen=True, kw_only=True):
    """More evidence for a case."""

    evidence: Annotated[tuple[Evidence, ...], Meta(min_length=1, max_length=20)]


class CommentAdded(EventData, frozen=True, kw_only=True):
    """A remark; its text is sealed."""

    text: Sealed | None = None


class Acknowledged(EventData, frozen=True, kw_only=True):
    """A post has seen what the alerts of a case told it (知悉): the repeats of these rungs stop for this post alone,
    until the clock, its deadline, the cycle or the holder of the post is another."""

    clock: Annotated[str, Meta(max_length=20)] | None = None


class Urged(EventData, frozen=True, kw_only=True):
    """A supervisor urges the owner (催办)."""


OF_ANY_CASE = {
    "case.deadline_ordered": EventType(DeadlineOrdered, "延期/督办", {"clock": "handle", "due": LATER}, "New deadline"),
    "case.evidence_added": EventType(EvidenceAdded, "补充证据", {"evidence": [PHOTO]}, "Add evidence"),
    "case.commented": EventType(CommentAdded, "备注", {"text": "…"}, "Comment"),
    "case.acknowledged": EventType(Acknowledged, "知悉", {"clock": "total"}, "Acknowledge"),
    "case.urged": EventType(Urged, "催办", {}, "Urge"),
}
"""What may be said to a case of any kind."""
OLDER_NAMES = {
    "deadline.ordered": "case.deadline_ordered",
    "evidence.added": "case.evidence_added",
    "comment.added": "case.commented",
    "incident.acknowledged": "case.acknowledged",
    "incident.urged": "case.urged",
}
"""Names that the incident's events had before there were other kinds: they mean the same, for any case."""
EVENTS: dict[str, EventType] = {
    **{trigger: event for kind in KINDS for trigger, event in kind.events.items()},
    **OF_ANY_CASE,
    **{older: OF_ANY_CASE[name] for older, name in OLDER_NAMES.items()},
}
"""Every event of the contract, by its trigger."""
EVENT_TYPES: dict[str, type[EventData]] = {f"gridpatrol.{trigger}.v1": event.data for trigger, event in EVENTS.items()}
"""The struct of every event type that the door takes."""


def files_of(data: EventData) -> list[str]:
    """The files that an event refers to, by SHA-256: of its evidence, and of the form of a duty, what names no
    address."""
    items: tuple[Evidence | None, ...] = (*getattr(data, "evidence", ()), getattr(data, "form", None))
    return [item.sha256 for item in items if item is not None and item.url is None]


@lru_cache(maxsize=1024)
def trigger_of(event_type: str) -> str:
    """The trigger that an event type pulls: `gridpatrol.incident.accepted.v1` -> `incident.accepted`."""
    return event_type.removeprefix("gridpatrol.").rsplit(".v", 1)[0]


def canonical(trigger: str) -> str:
    """The name that rules ask for: of a trigger with an older name the present one."""
    return OLDER_NAMES.get(trigger, trigger)
