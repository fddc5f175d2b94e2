"""What people and systems say to a service request (热线工单): a part of what they say to an incident, and that it is
taken up again after it was closed."""

from typing import Literal

from schemas.exemptions import EXEMPTIONS
from schemas.kinds.incident import HOLDS, INCIDENT, MERGING, PETITIONS, VISITS
from schemas.members import EventData, EventType, Kind
from schemas.proposals import PROPOSALS


class Reopened(EventData, frozen=True, kw_only=True):
    """Who was asked after the closing is not satisfied: it goes back to be handled again (回访不满意，发回重办)."""

    reason: Literal["dissatisfied", "unsolved", "error"]


TRIGGERS = (
    "report.submitted",
    "incident.accepted",
    "incident.dispatched",
    "department.arrived",
    "handling.completed",
    "incident.closed",
    "incident.returned",
    "incident.reassigned",
    "incident.suspended",
    "incident.resumed",
    "incident.merged",
    "incident.rejected",
    "incident.withdrawn",
    "incident.force_closed",
    *PROPOSALS,
    *EXEMPTIONS,
)

SERVICE_REQUEST = Kind(
    name="service_request",
    sends=MERGING | HOLDS | VISITS | PETITIONS,
    events={trigger: INCIDENT.events[trigger] for trigger in TRIGGERS}
    | {"case.reopened": EventType(Reopened, "重办", {"reason": "dissatisfied", "note": "…"}, "Take up again")},
    words={**INCIDENT.words, "dissatisfied": ("回访不满意", "not satisfied")},
    reopens=True,
)
