"""The service request of a city hotline (热线工单): report -> handle -> close, on the same engine.

1. Reported to the responsible department at once; accepting and arriving are optional steps of handling.
2. Closing needs no check on site: systems of record know only an opening and a closing.
3. Side lines as for an incident, without escalation through checks and cycles.

In and out as in `incident.py`.
"""

from workflows.case import AWAITED
from workflows.definitions.machine import Row, State, define

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

ROWS = (
    Row("report.submitted", (AWAITED,), "reported"),
    Row("incident.accepted", ("reported",), "handling"),
    Row("incident.dispatched", (*AT_WORK, "returned"), "handling"),
    Row("department.arrived", AT_WORK, "handling"),
    Row("handling.completed", AT_WORK, "handled"),
    Row("incident.closed", (*AT_WORK, "handled"), "closed"),
    Row("incident.returned", AT_WORK, "returned"),
    Row("incident.reassigned", (*AT_WORK, "returned"), "reported"),
    Row("incident.suspended", (*AT_WORK, "returned"), "suspended"),
    Row("incident.resumed", ("suspended",), "reported"),
    Row("deadline.ordered", OPEN, "="),
    Row("incident.merged", OPEN, "merged"),
    Row("incident.rejected", ("reported", "handling", "returned"), "rejected"),
    Row("incident.withdrawn", ("reported", "handling"), "withdrawn"),
    Row("incident.force_closed", OPEN, "force_closed"),
    Row("incident.acknowledged", OPEN, "="),
    Row("incident.urged", OPEN, "="),
    Row("evidence.added", (*OPEN, *ENDED), "="),
    Row("comment.added", (*OPEN, *ENDED), "="),
)

SERVICE_REQUEST = define("service_request", "热线工单", STATES, ROWS, {})
