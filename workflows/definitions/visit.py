"""The visit (抽查核实) to a closed case on which the lot of an audit draw fell (M97).

    unvisited > revisited        beside: dropped

1. The server bears it, in the home of its case, once the draw is computed; the door takes `draw.hit` from nobody else.
2. It is in the hands of the office that ordered the draw. Until it is recorded nobody else reads of it: the unit that
   is visited is not told before (不打招呼), and nothing of it stands in the case.
3. What was found is said to the case, and counts at the unit in whose hands that was when it was closed.
"""

from schemas import facts
from schemas.envelope import is_subject
from schemas.kinds import visit
from schemas.kinds.incident import VISITED, Visited
from schemas.kinds.visit import Hit, Recorded, VisitDrawn, VisitRecorded
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import effects
from workflows.case import AWAITED, TOTAL, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.definitions.draw import of_its_office
from workflows.machine import Birth, NamedClock, Speaker, State, Transition

UNVISITED, HIT = "unvisited", "draw.hit"
STATES = (
    State(AWAITED, "待到", 1),
    State(UNVISITED, "待核实", 2, ("revisit",), concealed=True),
    State("revisited", "已核实", 3, terminal=True),
    State("dropped", "不再核实", terminal=True, concealed=True),
)

TRANSITIONS = (
    Transition(HIT, (AWAITED,), UNVISITED),
    Transition("visit.recorded", (UNVISITED,), "revisited"),
    Transition("visit.dropped", (UNVISITED,), "dropped"),
    Transition("case.acknowledged", (UNVISITED,), "="),
    Transition("case.commented", (UNVISITED, "revisited"), "="),
    Transition("case.evidence_added", (UNVISITED, "revisited"), "="),
)


def begin(d: Decision, data: Hit, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell which case is visited, and where it lies."""
    if not (is_subject(data.about) and home_of(data.about) == home):
        detail = f"must be the id of the case that was drawn, of the same home: {home}.<UUIDv7>"
        return Refusal(Reason.INVALID, "data.about", detail)
    if data.office not in d.register.grids:
        return effects.unknown_code("data.office", "grid")
    case = d.find(data.about)
    if case is None or not case.path:
        return Refusal(Reason.IMPOSSIBLE, "data.about", "the case is not there any more: it has been archived")
    d.tell(
        facts.Born(
            definition=visit.VISIT.name,
            policy=d.rules.hash,
            by=d.by,
            path=d.register.path(d.register.standing(case.path[-1], d.arrival)),
            occurred=d.instant,
            judged=d.judged(0),
            about=case.id,
            category=case.category,
            group=case.group,
            reference=data.draw,
        )
    )
    d.tell(VisitDrawn(draw=data.draw))
    return None


def to_the_office(d: Decision, data: Hit, speaker: Speaker, state: str) -> Refusal | None:
    """The office of the draw visits."""
    grid = d.register.standing(data.office, d.arrival)
    effects.assign(d, Owner(grid, d.register.grids[grid].level), "begun")
    return None


def record(d: Decision, data: Recorded, speaker: Speaker) -> Refusal | None:
    """Tell what was found, and say it to the case."""
    d.tell(VisitRecorded(outcome=data.outcome, by=d.by, token=d.token))
    d.send(d.case.about, VISITED, Visited(visit=d.case.id, outcome=data.outcome, by=d.by))
    return None


def may_add(d: Decision, speaker: Speaker) -> Refusal | None:
    """While it is concealed the office alone adds to it."""
    return of_its_office(d, speaker) if d.case.state == UNVISITED else None


VISIT = define(
    visit.VISIT,
    "抽查核实",
    STATES,
    TRANSITIONS,
    (),
    births={HIT: Birth(begin, to_the_office)},
    effects={**EFFECTS_OF_ANY, "visit.recorded": record, "visit.dropped": effects.note("dropped")},
    admits={
        **ADMITS_OF_ANY,
        "visit.recorded": of_its_office,
        "visit.dropped": of_its_office,
        "case.commented": may_add,
        "case.evidence_added": may_add,
    },
    clocks=(NamedClock("revisit", "抽查核实", "revisit"),),
    sentences={VisitDrawn: "抽中 drawn by {draw}", VisitRecorded: "抽查核实 visited: {outcome}"},
    fulfils={"visit.recorded": ("revisit", TOTAL)},
    listed="asked",
)
