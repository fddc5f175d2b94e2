"""The events that people and systems send: one struct per type, the `data` of a CloudEvent.

`EVENT_TYPES` maps event types to structs. The decoder, the JSON Schemas and the sealing all read it. Instants inside
`data` are RFC 3339 with a zone; limits are texts such as `4工作时`.

Members marked *sealed* (identity, contact, free text) never enter the log. The door moves them, and every member that
it does not know, into the sealed table and leaves a token.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.instants import SPAN

# `(?!\n)`, because Python lets `$` match before a last line feed, and other languages do not.
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s|/]+$(?!\n)", description="a code of the pack")]
"""A code of the pack: grid, post, department or category. Blank, `|` and `/` are separators, so none has them."""
Instant = Annotated[datetime, Meta(tz=True, description=f"RFC 3339 with a zone, {SPAN}")]
UnitCode = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$(?!\n)",
        description="a code of the office's register of units, never a name: a sole trader's is personal",
    ),
]
"""责任单位. It stays in the log and in facts, so it is a code, in ASCII so that no name passes for one."""
LimitText = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=40,
        examples=["4工作时", "7工作日"],
        description="a limit as offices write it",
    ),
]
WEB = r"[Hh][Tt][Tt][Pp][Ss]?://([^\s/?#@:\\\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#]|$(?!\n))"
"""How an address begins that a browser may be sent to: http or https, a host, no name and password before it."""
LINK = f"^{WEB}"
Link = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        description="an address of http or https; the file lies elsewhere",
        extra_json_schema={"pattern": LINK},
    ),
]
"""The pattern is asked for at the door only: logs of earlier releases hold other addresses."""
SUBJECT = r"^[^\s|/]{1,64}\.[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$(?!\n)"
CaseId = Annotated[
    str,
    Meta(min_length=38, max_length=120, description="<home>.<UUIDv7>", extra_json_schema={"pattern": SUBJECT}),
]
"""The pattern is asked for at the door only: logs of earlier releases hold other texts."""
Sealed = Annotated[
    str,
    Meta(
        max_length=20_000,
        description="sealed: never enters the log",
        extra_json_schema={"x-sealed": True},
        extra={"sealed": True},
    ),
]
"""Free text or contact data, replaced by a token before the event enters the log."""


class Source(StrEnum):
    """Who found the problem (问题来源)."""

    PATROL = "patrol"  # 网格员巡查
    INSPECTION = "inspection"  # 上级检查发现
    SUPERVISION = "supervision"  # 督查
    PUBLIC = "public"  # 公众举报
    PETITION = "petition"  # 信访
    HOTLINE = "hotline"  # 12345 / 12369
    SENSOR = "sensor"  # 在线监测
    CAMERA = "camera"  # 视频监控
    TRANSFER = "transfer"  # 外系统移交


class Position(Struct, frozen=True, omit_defaults=True):
    """A position as the sender measured it, never converted here."""

    lon: Annotated[float, Meta(ge=-180, le=180)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    crs: Literal["WGS84", "CGCS2000", "GCJ02", "BD09"] = "WGS84"
    accuracy_m: Annotated[float, Meta(ge=0, le=100_000)] | None = None


class Evidence(Struct, frozen=True, omit_defaults=True):
    """A photo or file that lies elsewhere: its address and its SHA-256."""

    url: Link
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    kind: Literal["near", "far", "reference", "before", "after", "document", "video", "audio"]
    taken_at: Instant | None = None
    position: Position | None = None


class EventData(Struct, frozen=True, omit_defaults=True):
    """Base of the data of all events: a free note may go with each, sealed."""

    note: Sealed | None = None


class ReportSubmitted(EventData, frozen=True, kw_only=True):
    """A problem was found (M13, M52, M63). The birth of a case."""

    category: Code
    source: Source
    definition: Literal["incident", "service_request"] = "incident"
    grid: Code | None = None
    position: Position | None = None
    touches: Annotated[tuple[Code, ...], Meta(max_length=16)] = ()  # other grids it lies in (跨界, M30-M32)
    department: Code | None = None  # the responsible department, where the sender's system names it
    unit: UnitCode | None = None  # the responsible unit (责任单位)
    # The deadline of the whole case. Null: it has none, by order. Absent: the pack's limit applies.
    deadline: Instant | UnsetType | None = UNSET
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()
    reference: Annotated[str, Meta(max_length=80)] | None = None  # the number of the sender's own record
    description: Sealed | None = None
    reporter_name: Sealed | None = None
    reporter_contact: Sealed | None = None


class DissuasionRecorded(EventData, frozen=True, kw_only=True):
    """Informed and dissuaded on the spot (告知劝阻, M14), and what came of it (M15)."""

    outcome: Literal["effective", "ineffective", "impossible"]


class ReportedUp(EventData, frozen=True, kw_only=True):
    """Reported to the grid or department with authority (及时上报, M15-M17); default: the pack's routing."""

    to_grid: Code | None = None
    to_department: Code | None = None


class Accepted(EventData, frozen=True, kw_only=True):
    """The owner takes the case on (受理/立案)."""


class Returned(EventData, frozen=True, kw_only=True):
    """Not our duty (退回): goes back to who sent it. The reason is mandatory."""

    reason: Literal["not_our_duty", "not_our_area", "insufficient", "wrong_category"]


class Dispatched(EventData, frozen=True, kw_only=True):
    """Sent to a department to be handled (派遣): one leads, others assist (M18)."""

    lead: Code
    assisting: Annotated[tuple[Code, ...], Meta(max_length=16)] = ()


class DepartmentArrived(EventData, frozen=True, kw_only=True):
    """A department is on site; the grid assists from here (配合处理, M18)."""

    department: Code


class RectificationOrdered(EventData, frozen=True, kw_only=True):
    """The responsible unit is ordered to put it right (督促责任单位及时整改, M24), on its own clock."""

    stage: Annotated[int, Meta(ge=1, le=9)] = 1
    unit: UnitCode | None = None
    due: Instant | None = None
    limit: LimitText | None = None
    requirement: Sealed | None = None


class RectificationCompleted(EventData, frozen=True, kw_only=True):
    """The responsible unit says a stage is done."""

    stage: Annotated[int, Meta(ge=1, le=9)] = 1


class Escalated(EventData, frozen=True, kw_only=True):
    """Reported to the next level that can decide (M25): ownership moves, copies go out."""

    reason: Literal["authority", "coordination", "cross_boundary"]
    to_grid: Code | None = None


class HandlingCompleted(EventData, frozen=True, kw_only=True):
    """Handled; fed back to the levels below for their check on site (M33, M34)."""

    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class VerificationRecorded(EventData, frozen=True, kw_only=True):
    """Checked on site after handling (现场核查, M33-M36)."""

    outcome: Literal["solved", "unsolved"]
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Closed(EventData, frozen=True, kw_only=True):
    """Closed (结案): only after the problem is finally solved (M36)."""


class Suspended(EventData, frozen=True, kw_only=True):
    """Cannot be handled now (挂账/缓办), until a day or an order to resume."""

    reason: Literal["season", "funds", "engineering", "dispute", "other"]
    until: Instant | None = None


class Resumed(EventData, frozen=True, kw_only=True):
    """Taken up again after a suspension."""


class DeadlineOrdered(EventData, frozen=True, kw_only=True):
    """A new deadline or limit for a running clock (延期, 督办): exactly one of `due` and `limit`."""

    clock: Annotated[str, Meta(max_length=20)] = "total"
    due: Instant | None = None
    limit: LimitText | None = None


class Reassigned(EventData, frozen=True, kw_only=True):
    """Another owner by order (统一调度, M55): to a grid or to a department."""

    to_grid: Code | None = None
    to_department: Code | None = None


class Merged(EventData, frozen=True, kw_only=True):
    """The same problem as another case, which goes on."""

    into: CaseId


class Rejected(EventData, frozen=True, kw_only=True):
    """Not a case for the grid (不予立案)."""

    reason: Literal["not_found", "duplicate", "out_of_scope", "unfounded"]


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back by who reported it."""


class ForceClosed(EventData, frozen=True, kw_only=True):
    """Closed by order, without a passed verification (强制结案): role and reason are kept."""

    reason: Literal["unsolvable", "policy", "transferred", "error"]


class EvidenceAdded(EventData, frozen=True, kw_only=True):
    """More evidence for a case."""

    evidence: Annotated[tuple[Evidence, ...], Meta(min_length=1, max_length=20)]


class CommentAdded(EventData, frozen=True, kw_only=True):
    """A remark; its text is sealed."""

    text: Sealed | None = None


class Acknowledged(EventData, frozen=True, kw_only=True):
    """A supervisor has seen the alerts of a case (知悉): their repeats stop for the current deadline."""

    clock: Annotated[str, Meta(max_length=20)] | None = None


class Urged(EventData, frozen=True, kw_only=True):
    """A supervisor urges the owner (催办)."""


EVENT_TYPES: dict[str, type[EventData]] = {
    "gridpatrol.report.submitted.v1": ReportSubmitted,
    "gridpatrol.dissuasion.recorded.v1": DissuasionRecorded,
    "gridpatrol.incident.reported_up.v1": ReportedUp,
    "gridpatrol.incident.accepted.v1": Accepted,
    "gridpatrol.incident.returned.v1": Returned,
    "gridpatrol.incident.dispatched.v1": Dispatched,
    "gridpatrol.department.arrived.v1": DepartmentArrived,
    "gridpatrol.rectification.ordered.v1": RectificationOrdered,
    "gridpatrol.rectification.completed.v1": RectificationCompleted,
    "gridpatrol.incident.escalated.v1": Escalated,
    "gridpatrol.handling.completed.v1": HandlingCompleted,
    "gridpatrol.verification.recorded.v1": VerificationRecorded,
    "gridpatrol.incident.closed.v1": Closed,
    "gridpatrol.incident.suspended.v1": Suspended,
    "gridpatrol.incident.resumed.v1": Resumed,
    "gridpatrol.deadline.ordered.v1": DeadlineOrdered,
    "gridpatrol.incident.reassigned.v1": Reassigned,
    "gridpatrol.incident.merged.v1": Merged,
    "gridpatrol.incident.rejected.v1": Rejected,
    "gridpatrol.incident.withdrawn.v1": Withdrawn,
    "gridpatrol.incident.force_closed.v1": ForceClosed,
    "gridpatrol.evidence.added.v1": EvidenceAdded,
    "gridpatrol.comment.added.v1": CommentAdded,
    "gridpatrol.incident.acknowledged.v1": Acknowledged,
    "gridpatrol.incident.urged.v1": Urged,
}
"""The struct of every event type that the door takes."""


def trigger_of(event_type: str) -> str:
    """The trigger that an event type pulls: `gridpatrol.incident.accepted.v1` -> `incident.accepted`."""
    return event_type.removeprefix("gridpatrol.").rsplit(".v", 1)[0]
