"""Kinds of case in the contract: one file each, with what people say to it, what it tells, and what it keeps.

`KINDS` is the one list of them. Who adds a kind adds its file and a line here; its rules stand in
`workflows.definitions`.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from schemas.kinds.approval import APPROVAL
from schemas.kinds.assessment import ASSESSMENT
from schemas.kinds.docket import DOCKET
from schemas.kinds.draw import DRAW
from schemas.kinds.duty import DUTY
from schemas.kinds.home import HOME
from schemas.kinds.incident import INCIDENT
from schemas.kinds.part import PART
from schemas.kinds.petition import PETITION
from schemas.kinds.responsibility import RESPONSIBILITY
from schemas.kinds.service_request import SERVICE_REQUEST
from schemas.kinds.signal import SIGNAL
from schemas.kinds.supervision import SUPERVISION
from schemas.kinds.target import TARGET
from schemas.kinds.task import TASK
from schemas.kinds.visit import VISIT
from schemas.members import EventData, Kind, Own
from schemas.unserved import UNSERVED, NotServed

KINDS: tuple[Kind, ...] = (
    INCIDENT,
    SERVICE_REQUEST,
    DUTY,
    SUPERVISION,
    RESPONSIBILITY,
    TASK,
    TARGET,
    ASSESSMENT,
    DRAW,
    VISIT,
    PART,
    APPROVAL,
    DOCKET,
    SIGNAL,
    PETITION,
    HOME,
)

if TYPE_CHECKING:
    AnyOwn = Own | None
else:
    AnyOwn = reduce(or_, (kind.own for kind in KINDS if kind.own is not None), None)
"""What a case keeps of its own; None where its kind keeps nothing. The decoder needs all of these structs by name."""
SENDS: dict[str, type[EventData]] = {
    UNSERVED: NotServed,
    **{trigger: data for kind in KINDS for trigger, data in kind.sends.items()},
}
"""What cases say to cases, by trigger."""
