"""Proposals (申请与批准): what who holds a case asks for, and what somebody above decides of it.

A longer deadline (延期) and a suspension (挂账) are asked for in the same way: requested, then granted or refused.
Whether a pack asks for approval is said by its roles table: whoever may say `incident.suspended` there needs nobody's.
"""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.members import EventData, EventType, Instant, LimitText
from schemas.samples import LATER

Ground = Literal["season", "funds", "engineering", "dispute", "weather", "coordination", "other"]
"""Why the work cannot be done in time, or not now. The words for it go into `note`, sealed."""
ClockName = Annotated[str, Meta(max_length=20)]


class ExtensionRequested(EventData, frozen=True, kw_only=True):
    """More time is asked for, before the deadline of a clock (申请延期): exactly one of `due` and `limit`."""

    reason: Ground
    clock: ClockName = "handle"
    due: Instant | None = None
    limit: LimitText | None = None


class ExtensionGranted(EventData, frozen=True, kw_only=True):
    """More time is given (批准延期): as it was asked for, or another `due` or `limit`."""

    clock: ClockName = "handle"
    due: Instant | None = None
    limit: LimitText | None = None


class ExtensionRefused(EventData, frozen=True, kw_only=True):
    """No more time is given (不予延期): the deadline stays."""

    clock: ClockName = "handle"


class SuspensionRequested(EventData, frozen=True, kw_only=True):
    """It is asked to put the case aside, until a day or until it is resumed (申请挂账)."""

    reason: Ground
    until: Instant | None = None


class SuspensionGranted(EventData, frozen=True, kw_only=True):
    """The case is put aside (批准挂账): until the instant that was asked for, or another one."""

    until: Instant | None = None


class SuspensionRefused(EventData, frozen=True, kw_only=True):
    """The case is not put aside (不予挂账): the work goes on."""


EXTENSIONS = {
    "extension.requested": EventType(
        ExtensionRequested,
        "申请延期",
        {"clock": "handle", "due": LATER, "reason": "weather", "note": "…"},
        "Ask for more time",
    ),
    "extension.granted": EventType(ExtensionGranted, "批准延期", {"clock": "handle"}, "Grant more time"),
    "extension.refused": EventType(ExtensionRefused, "不予延期", {"clock": "handle"}, "Refuse more time"),
}
SUSPENSIONS = {
    "suspension.requested": EventType(
        SuspensionRequested, "申请挂账", {"reason": "season", "until": LATER, "note": "…"}, "Ask to suspend"
    ),
    "suspension.granted": EventType(SuspensionGranted, "批准挂账", {}, "Grant the suspension"),
    "suspension.refused": EventType(SuspensionRefused, "不予挂账", {}, "Refuse the suspension"),
}
PROPOSALS = {**EXTENSIONS, **SUSPENSIONS}
"""The events by trigger, for kinds of case whose work can be put off. A pack may do without either of the two."""
WORDS_OF_PROPOSALS = {"weather": ("天气", "weather")}
"""The grounds that no other event names."""
