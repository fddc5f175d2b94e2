"""The service request of a city hotline (热线工单): report -> handle -> close, on the same engine.

1. Reported to the responsible department at once; accepting and arriving are optional steps of handling.
2. Closing needs no check on site, since the systems of record know only an opening and a closing.
3. Side lines as for an incident, without escalation, checks and cycles. Arriving and handling show that a request was
   accepted, and closing it fulfils all that was still to do.
"""

from workflows.case import AWAITED
from workflows.definitions.machine import State, Transition, define

STATES = (
    State(AWAITED, "待到", 1),
    State("reported", "受理", 2, ("accept",)),
    State("handling", "办理", 3, ("handle",)),
    State("handled", "已办", 4, ("close",)),
    State("closed", "结案", 5, terminal=True),
    State("returned", "退回", clocks=("accept",)),
    State("suspended", "挂账", holds=True),
    State("merged", "合并", terminal=True),
    State("rejected", "不予受理", terminal=True),
    State("withdrawn", "撤回", terminal=True),
    State("force_closed", "强制结案", terminal=True),
)

AT_WORK = ("reported", "handling")
OPEN = (*AT_WORK, "handled", "returned", "suspended")
ENDED = ("closed", "merged", "rejected", "withdrawn", "force_closed")

TRANSITIONS = (
    Transition("report.submitted", (AWAITED,), "reported"),
    Transition("incident.accepted", ("reported",), "handling"),
    Transition("incident.dispatched", (*AT_WORK, "returned"), "handling"),
    Transition("department.arrived", AT_WORK, "handling"),
    Transition("handling.completed", AT_WORK, "handled"),
    Transition("incident.closed", (*AT_WORK, "handled"), "closed"),
    Transition("incident.returned", AT_WORK, "returned"),
    Transition("incident.reassigned", (*AT_WORK, "returned"), "reported"),
    Transition("incident.suspended", (*AT_WORK, "returned"), "suspended"),
    Transition("incident.resumed", ("suspended",), "reported"),
    Transition("deadline.ordered", OPEN, "="),
    Transition("incident.merged", OPEN, "merged"),
    Transition("incident.rejected", ("reported", "handling", "returned"), "rejected"),
    Transition("incident.withdrawn", ("reported", "handling"), "withdrawn"),
    Transition("incident.force_closed", OPEN, "force_closed"),
    Transition("incident.acknowledged", OPEN, "="),
    Transition("incident.urged", OPEN, "="),
    Transition("evidence.added", (*OPEN, *ENDED), "="),
    Transition("comment.added", (*OPEN, *ENDED), "="),
)

FULFILS = {
    "incident.accepted": ("accept",),
    "incident.dispatched": ("accept",),
    "department.arrived": ("accept",),
    "handling.completed": ("accept", "handle"),
    "incident.closed": ("accept", "handle", "close", "total"),
}

SERVICE_REQUEST = define(
    "service_request", "热线工单", STATES, TRANSITIONS, {}, fulfils=FULFILS, returns=("incident.returned",)
)
