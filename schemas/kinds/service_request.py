"""What people and systems say to a service request (热线工单): a part of what they say to an incident."""

from schemas.kinds.incident import HOLDS, INCIDENT, MERGING
from schemas.members import Kind
from schemas.proposals import PROPOSALS

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
)

SERVICE_REQUEST = Kind(
    name="service_request",
    sends=MERGING | HOLDS,
    events={trigger: INCIDENT.events[trigger] for trigger in TRIGGERS},
    words=INCIDENT.words,
)
