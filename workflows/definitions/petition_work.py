"""Where the work of a petition is done: in a case that is there, or in an incident that it bears.

Both know each other: what a petition says to the case, and what it does by what that says back.
"""

from schemas.derived_ids import petitioned_subject
from schemas.envelope import is_subject
from schemas.kinds import incident
from schemas.kinds.incident import PETITION_LEFT, PETITIONED, CaseJoined, CaseOver, Petitioned, PetitionLeft
from schemas.kinds.petition import Attached, PetitionCaseOver, PetitionJoined, PetitionPassedOn, PetitionUntaken
from schemas.members import Source
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from schemas.unserved import NotServed
from workflows import merging, petitioning
from workflows.decision import Decision
from workflows.definitions.incident import GOES_ON_IN
from workflows.definitions.petition_ladder import kept_by
from workflows.machine import Speaker

WORK = incident.INCIDENT.name


def attach(d: Decision, data: Attached, speaker: Speaker) -> Refusal | None:
    """Its work is done in another case."""
    return pass_on(d, data.into)


def pass_on(d: Decision, into: str | None) -> Refusal | None:
    """Let its work be done: in a case that is named, else in that in which it is done already, else in a similar open
    one, else in an incident that it bears."""
    kept = kept_by(d.case)
    if into is not None:
        refused = refuse_case(d, into)
        if refused or into in (kept.case, kept.asked):
            return refused
    elif kept.case or kept.asked:
        return None
    found = into or next((id_ for id_ in kept.similar if petitioning.is_open_with_room(d.find(id_))), "")
    if kept.case or kept.asked:
        d.send(kept.case or kept.asked, PETITION_LEFT, PetitionLeft(petition=d.case.id))
    place = d.register.standing(kept.place, d.arrival)
    to = found or petitioned_subject(d.case.id, d.register.home(place))
    said = Petitioned(
        petition=d.case.id,
        category=d.case.category,
        source=Source(d.case.source),
        grid=place,
        by=d.case.by,
        lon=d.case.lon,
        lat=d.case.lat,
        crs=kept.crs,
        spot=d.case.spot,
    )
    d.tell(PetitionPassedOn(case=to, borne=not found))
    d.send(to, PETITIONED, said, bears="" if found else WORK)
    return None


def refuse_case(d: Decision, id_: str) -> Refusal | None:
    """Why its work cannot be done in a case that is named; of other homes that is known only when they answer."""
    if not is_subject(id_) or id_ == d.case.id:
        return Refusal(Reason.INVALID, "data.into", "must be the id of the case in which it is worked on")
    if home_of(id_) != home_of(d.case.id):
        return None
    case = merging.survivor_of(id_, d.find)
    if case is None or case.definition not in GOES_ON_IN:
        detail = f"no case of this id is worked on: name one of {', '.join(GOES_ON_IN)}"
        return Refusal(Reason.IMPOSSIBLE, "data.into", detail)
    if petitioning.room_in(case) < 1:
        detail = f"{petitioning.MOST_WAITING} cases and petitions wait for that case: name another one"
        return Refusal(Reason.OVER_LIMIT, "data.into", detail)
    return None


def be_joined(d: Decision, data: CaseJoined, speaker: Speaker) -> Refusal | None:
    """The case has answered, and takes it, or takes no more."""
    d.tell(PetitionJoined(case=data.case, state=data.state, before=data.before, over=data.over, crowded=data.crowded))
    return None


def be_untaken(d: Decision, data: NotServed, speaker: Speaker) -> Refusal | None:
    """The case of another home that was asked is not there, or over for good: the work is not done in it."""
    if data.trigger == PETITIONED:
        d.tell(PetitionUntaken(case=data.case))
    return None


def hear_end(d: Decision, data: CaseOver, speaker: Speaker) -> Refusal | None:
    """The case in which its work is done has ended."""
    d.tell(PetitionCaseOver(case=data.case, state=data.state))
    return None
