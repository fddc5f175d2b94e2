"""Exemptions (免责): a missed deadline is not held against the unit that is charged with it. The fact stays beside it.

Requested by that unit with a ground, then granted or refused above it. A refusal may be appealed (申诉) once, where the
pack gives time for it; the appeal is decided by the same two words, one level above whoever refused.
"""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.members import EventData, EventType
from schemas.proposals import ClockName

Ground = Literal[
    "tolerance", "force_majeure", "emergency", "other_orders", "coordination", "misassigned", "outage", "other"
]
"""Why the deadline was missed. The words for it go into `note`, sealed. `tolerance` is 容错 (M86), which alone asks for
its four conditions; the other grounds are our choice."""
TOLERANCE: Ground = "tolerance"
Number = Annotated[int, Meta(ge=0, le=1_000_000)]


class OfMissed(EventData, frozen=True, kw_only=True):
    """Base of what is said of a missed deadline: its clock, and as far as that leaves it open its part (the level, or
    the stage that was ordered), its cycle, and which of the clock's deadlines in that cycle (`target`)."""

    clock: ClockName
    part: Number | None = None
    cycle: Number | None = None
    target: Number | None = None


class ExemptionRequested(OfMissed, frozen=True, kw_only=True):
    """The unit that is charged with a missed deadline asks that it be not held against it (申请免责)."""

    ground: Ground


class ExemptionGranted(OfMissed, frozen=True, kw_only=True):
    """It is not held against the unit (准予免责): on the ground that was given, or on another one that is named.

    `no_harm` says that no harm was done (未造成不良后果), which 容错 asks for and only a person can say.
    """

    ground: Ground | None = None
    no_harm: bool = False


class ExemptionRefused(OfMissed, frozen=True, kw_only=True):
    """It stays held against the unit (不予免责)."""


class ExemptionAppealed(OfMissed, frozen=True, kw_only=True):
    """The unit asks the level above whoever refused (申诉), once, within the time that the pack gives."""


EXEMPTIONS = {
    "exemption.requested": EventType(
        ExemptionRequested,
        "申请免责",
        {"clock": "handle", "ground": "tolerance", "note": "…"},
        "Ask for exemption",
    ),
    "exemption.granted": EventType(ExemptionGranted, "准予免责", {"clock": "handle", "no_harm": True}, "Exempt"),
    "exemption.refused": EventType(ExemptionRefused, "不予免责", {"clock": "handle", "note": "…"}, "Refuse to exempt"),
    "exemption.appealed": EventType(ExemptionAppealed, "申诉", {"clock": "handle", "note": "…"}, "Appeal"),
}
"""The events by trigger, for kinds of case whose missed deadlines may be exempted. A pack may do without them."""
APPEALED = "exemption.appealed"
"""The one that a pack does without where it gives no time for appeals."""
WORDS_OF_EXEMPTIONS = {
    "tolerance": ("容错", "tolerance"),
    "force_majeure": ("不可抗力", "force majeure"),
    "emergency": ("应急任务", "an emergency"),
    "other_orders": ("另有任务", "other orders"),
    "misassigned": ("派遣有误", "wrongly assigned"),
    "outage": ("系统故障", "an outage"),
}
"""The grounds that no other event of these kinds names."""
