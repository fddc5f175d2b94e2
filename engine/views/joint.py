"""Joint work (联合处置): which incidents have parts that are open, whose these are, and who is waited for.

A part is read as any case is: by its owner's grid and those above, and by who leads.
"""

from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from engine.policies import Policies
from engine.store import slices
from engine.store.database import Connection
from engine.views.incident_list import IncidentLine, IncidentQuestion, each_read, filters, incident_line
from engine.views.names import Named, Names, active_names
from engine.views.past import Order
from engine.views.present import Reading, present
from engine.views.readers import check_list
from schemas.joint import KeptPart, joint_of
from schemas.kinds.part import PART, Part
from schemas.short_numbers import short_number
from workflows import case as cases
from workflows.case import Case
from workflows.reading import Readable

MOST = 200
"""So many parts are looked at, those that are due first."""


class JointPart(Struct, frozen=True, kw_only=True):
    """A part as the page shows it. `owner`: who has to do it, the neighbour's name where it is one's. `awaited`: the
    incident waits for it now; `complete` and `returned` as the incident knows it. `times`: how often it was asked
    for."""

    case: IncidentLine
    owner: Named
    awaited: bool
    complete: bool
    returned: bool
    times: int


class JointIncident(Struct, frozen=True, kw_only=True):
    """An incident with its parts that are read. `lead`: None where it is not read itself. `waits`: it was handled, and
    its parts are waited for."""

    id: str
    short_number: str
    lead: IncidentLine | None
    waits: bool
    meetings: int
    enforcements: int
    parts: list[JointPart]


class JointPage(Struct, frozen=True, kw_only=True):
    """The answer: incidents that wait first. Counts are of open parts; `more`: there are others."""

    incidents: list[JointIncident]
    open: int
    late: int
    returned: int
    waiting: int
    more: bool
    as_of: str
    reading: Reading


def joint_page(connection: Connection, policies: Policies, now: int, readable: Readable) -> JointPage:
    """What is open of joint work, of what is read. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, PART.name, "")
    wanted = filters(names, IncidentQuestion(definition=PART.name), here.at, readable)
    found = [
        case for _, case in islice(each_read(connection, wanted, Order("due_at", False, None), MOST + 1), MOST + 1)
    ]
    by_lead: dict[str, list[Case]] = {}
    for case in found[:MOST]:
        if isinstance(case.own, Part):
            by_lead.setdefault(case.own.lead, []).append(case)
    leads = {id_: cases.decode(body) for id_, _, body in slices.read_cases(connection, sorted(by_lead))}
    incidents = [incident_of(id_, leads.get(id_), parts, names, here.at, readable) for id_, parts in by_lead.items()]
    shown = [part for incident in incidents for part in incident.parts]
    return JointPage(
        incidents=sorted(incidents, key=lambda incident: not incident.waits),
        open=sum(not part.complete for part in shown),
        late=sum(part.case.overdue for part in shown),
        returned=sum(part.returned for part in shown),
        waiting=sum(incident.waits for incident in incidents),
        more=len(found) > MOST,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def incident_of(
    id_: str, lead: Case | None, parts: Iterable[Case], names: Names, at: int, readable: Readable
) -> JointIncident:
    """An incident and its parts as people see them."""
    joint = joint_of(lead.own if lead is not None else None)
    kept = {each.id: each for each in joint.parts}
    waits = lead is not None and bool(lead.handled_by) and any(each.waited_for for each in joint.parts)
    first = next((each.id for each in joint.parts if each.waited_for and not each.returned), "")
    reads = lead is not None and readable.reads_case(lead)
    return JointIncident(
        id=id_,
        short_number=short_number(id_),
        lead=incident_line(lead, names, at) if lead is not None and reads else None,
        waits=waits,
        meetings=joint.meetings,
        enforcements=joint.enforcements,
        parts=[part_of(case, kept.get(case.id), names, at, waits and case.id == first) for case in parts],
    )


def part_of(case: Case, kept: KeptPart | None, names: Names, at: int, awaited: bool) -> JointPart:
    """A part as people see it."""
    own, owner = case.own, case.owner
    assert isinstance(own, Part)
    named = names.department(owner.department) if owner.department else names.grid(owner.grid)
    return JointPart(
        case=incident_line(case, names, at),
        owner=names.post(own.neighbour) if own.neighbour else named,
        awaited=awaited,
        complete=kept is not None and kept.complete,
        returned=kept is not None and kept.returned,
        times=own.times,
    )
