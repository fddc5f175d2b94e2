"""The visit (抽查核实, M97) to a closed case on which the lot of a draw fell: nobody is told of it before."""

from typing import Literal

from schemas.members import CaseId, Code, EventData, EventType, Fact, Kind, Own, OwnFact
from schemas.samples import OTHER


class Hit(EventData, frozen=True, kw_only=True):
    """Said by the server itself: the lot of a draw has fallen on the case that it is about (抽中). `office` is the grid
    of who visits: that of the order."""

    draw: CaseId
    about: CaseId
    office: Code


class Recorded(EventData, frozen=True, kw_only=True):
    """The case was visited (抽查核实): what was said of it at its closing held, or it did not."""

    outcome: Literal["held", "failed"]


class Dropped(EventData, frozen=True, kw_only=True):
    """It is not visited (不再核实): the place is gone, another visit was there, or the draw was called off."""

    reason: Literal["gone", "otherwise", "called_off", "other"]


class Visit(Own, frozen=True, tag="visit"):
    """What a visit keeps: the draw, and what was found."""

    draw: str
    outcome: str = ""


class VisitDrawn(OwnFact, frozen=True, tag="draw.hit"):
    """The lot of a draw has fallen on the case that this visit is about."""

    draw: str

    def keep(self, own: Own | None) -> Own:
        """The draw."""
        return Visit(draw=self.draw)


class VisitRecorded(OwnFact, frozen=True, tag="visit.recorded"):
    """What was found, and which post was there."""

    outcome: str
    by: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """The outcome."""
        assert isinstance(own, Visit)
        return Visit(draw=own.draw, outcome=self.outcome)


FACTS: tuple[type[Fact], ...] = (VisitDrawn, VisitRecorded)
VISITS = ("visit.recorded", "visit.dropped")
"""What only who visits says, before anybody else reads of it."""
VISIT = Kind(
    name="visit",
    events={
        "draw.hit": EventType(Hit, "抽中", {"draw": OTHER, "about": OTHER, "office": "WY"}, "Drawn", by="draws"),
        "visit.recorded": EventType(Recorded, "抽查核实", {"outcome": "held", "note": "…"}, "Record a visit"),
        "visit.dropped": EventType(Dropped, "不再核实", {"reason": "gone"}, "Drop a visit"),
    },
    facts=FACTS,
    own=Visit,
    words={
        "held": ("属实", "it held"),
        "failed": ("不属实", "it did not hold"),
        "gone": ("现场已不存在", "the place is gone"),
        "otherwise": ("已另行核实", "visited otherwise"),
        "called_off": ("抽查取消", "the draw was called off"),
        "other": ("其他", "other"),
    },
)
