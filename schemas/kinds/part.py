"""The part (协办件): what one further owner of an incident has to do for it (M30-M32, M64, M74).

It lies in the home of its owner, a grid or a department. A neighbour outside the register (毗邻地区) has no post here:
its part is that of the unit that writes to it, and enters its answer.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.members import CaseId, Code, EventData, EventType, Evidence, Fact, Kind, Ms, Own, OwnFact
from schemas.samples import PHOTO


class Accepted(EventData, frozen=True, kw_only=True):
    """The owner takes it on (认领)."""


class Completed(EventData, frozen=True, kw_only=True):
    """It is done (协办完成); the incident is told, and the check on site comes with it."""

    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Returned(EventData, frozen=True, kw_only=True):
    """The owner will not do it (退回协办): who leads decides. The reason is mandatory."""

    reason: Literal["not_our_duty", "not_our_area", "insufficient"]


class Answered(EventData, frozen=True, kw_only=True):
    """What a neighbour has answered (对方复函), entered by who wrote to it: it will do it, it has done it, or it will
    not."""

    outcome: Literal["agreed", "finished", "unwilling"]
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


# ---- what the incident says to it -------------------------------------------------------------------------


class Entrusted(EventData, frozen=True, kw_only=True):
    """Who leads asks a further owner for its part in the incident `leading`. `place` is where the problem lies;
    `lead_grid` and `lead_department` are who leads. At most one of `due` (ms UTC) and `limit`."""

    leading: CaseId
    grid: Code
    by: Code
    place: Code
    lead_grid: Code
    lead_department: str = ""
    department: str = ""
    neighbour: str = ""
    category: str = ""
    group: str = ""
    due: Ms | None = None
    limit: str = ""


class Reopened(EventData, frozen=True, kw_only=True):
    """Who leads asks for it again: a check on site found it not done, or it is ordered once more."""

    why: str
    due: Ms | None = None
    limit: str = ""


class LeadChanged(EventData, frozen=True, kw_only=True):
    """Another incident leads it from here on: the one before was merged into that one."""

    leading: CaseId
    lead_grid: Code
    lead_department: str = ""


class Over(EventData, frozen=True, kw_only=True):
    """Nothing of it is waited for any more."""


ENTRUSTED, REOPENED, LEAD_CHANGED = "part.entrusted", "part.reopened", "part.lead_changed"
SETTLED, RELEASED, VOIDED = "part.settled", "part.released", "part.voided"
"""How it ends: the incident is over and the part was done; it was released; the incident is over, or merged into one
that needs it no more."""


class Part(Own, frozen=True, tag="part"):
    """What a part keeps. `lead` is the incident; `reopened` when it was asked for again (0: never)."""

    lead: str
    place: str
    lead_grid: str
    lead_department: str = ""
    neighbour: str = ""
    reopened: Ms = 0
    times: int = 1  # how often it was asked for
    answer: str = ""  # what the neighbour has answered last

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """Who leads."""
        return ((self.lead_grid, self.lead_department),)

    @property
    def writes_to(self) -> str:
        """The neighbour."""
        return self.neighbour

    @property
    def writes_of(self) -> str:
        """The place of the problem."""
        return self.place

    def regridded(self, grids: Mapping[str, str]) -> Own:
        """A successor goes on as who leads."""
        return structs.replace(self, lead_grid=grids.get(self.lead_grid, self.lead_grid))


def kept(own: Own | None) -> Part:
    """What a part keeps, once it is entrusted."""
    assert isinstance(own, Part)
    return own


class PartEntrusted(OwnFact, frozen=True, tag="part.entrusted"):
    """A further owner is asked for its part."""

    lead: str
    place: str
    lead_grid: str
    lead_department: str = ""
    neighbour: str = ""

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Part(**structs.asdict(self))


class PartAccepted(Fact, frozen=True, tag="part.accepted"):
    """The owner has taken it on."""

    by: str


class PartFinished(Fact, frozen=True, tag="part.finished"):
    """It is done. `late`: after its deadline."""

    by: str
    late: bool = False


class PartRefused(Fact, frozen=True, tag="part.refused"):
    """The owner will not do it."""

    by: str
    reason: str


class NeighbourAnswered(OwnFact, frozen=True, tag="part.answered"):
    """A neighbour's answer was entered."""

    neighbour: str
    outcome: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """The answer."""
        return structs.replace(kept(own), answer=self.outcome)


class PartReopened(OwnFact, frozen=True, tag="part.reopened"):
    """It is asked for again."""

    why: str
    at: Ms

    def keep(self, own: Own | None) -> Own:
        """When, and once more."""
        part = kept(own)
        return structs.replace(part, reopened=self.at, times=part.times + 1, answer="")


class PartMoved(OwnFact, frozen=True, tag="part.moved"):
    """Another incident leads it."""

    lead: str
    lead_grid: str
    lead_department: str = ""

    def keep(self, own: Own | None) -> Own:
        """Which one."""
        return structs.replace(
            kept(own), lead=self.lead, lead_grid=self.lead_grid, lead_department=self.lead_department
        )


FACTS: tuple[type[Fact], ...] = (
    PartEntrusted,
    PartAccepted,
    PartFinished,
    PartRefused,
    NeighbourAnswered,
    PartReopened,
    PartMoved,
)
PART = Kind(
    name="part",
    events={
        "part.accepted": EventType(Accepted, "认领协办", {}, "Take on"),
        "part.completed": EventType(Completed, "协办完成", {"evidence": [{**PHOTO, "kind": "after"}]}, "Part done"),
        "part.returned": EventType(Returned, "退回协办", {"reason": "not_our_duty"}, "Send the part back"),
        "part.answered": EventType(
            Answered, "对方复函", {"outcome": "agreed", "evidence": [{**PHOTO, "kind": "document"}]}, "Enter the answer"
        ),
    },
    facts=FACTS,
    own=Part,
    sends={
        ENTRUSTED: Entrusted,
        REOPENED: Reopened,
        LEAD_CHANGED: LeadChanged,
        SETTLED: Over,
        RELEASED: Over,
        VOIDED: Over,
    },
    words={
        "agreed": ("同意配合", "will do it"),
        "finished": ("已办妥", "has done it"),
        "unwilling": ("不予配合", "will not do it"),
        "not_our_duty": ("非本单位职责", "not our duty"),
        "not_our_area": ("非本辖区", "not our area"),
        "insufficient": ("材料不足", "not enough to go on"),
    },
)
