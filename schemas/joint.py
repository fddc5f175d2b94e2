"""Joint work (联合处置): what is said to an incident that has further owners, and what it keeps of them (M30-M32, M64,
M74, M75).

One owner leads the incident. Each further one has a part (协办件), a case of its own in its own home
(`schemas.kinds.part`); the incident keeps the list of them.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct, structs

from schemas.members import (
    CaseId,
    Code,
    EventData,
    EventType,
    Evidence,
    Fact,
    Instant,
    LimitText,
    Ms,
    Own,
    OwnFact,
    Sealed,
)
from schemas.samples import OTHER, PHOTO

MOST_PARTS = 16
"""So many parts of an incident are alive at once: open, or done and not checked yet."""
Codes = Annotated[tuple[Code, ...], Meta(max_length=MOST_PARTS)]


class PartsOrdered(EventData, frozen=True, kw_only=True):
    """Further owners get a part each (交办协办): grids or departments as `owners`, and neighbours outside the register
    (毗邻地区), who are written to. At most one of `due` and `limit`: until when, else as the pack says. An owner that
    has sent its part back, or done it, gets it again."""

    owners: Codes = ()
    neighbours: Codes = ()
    due: Instant | None = None
    limit: LimitText | None = None
    requirement: Sealed | None = None


class PartsReleased(EventData, frozen=True, kw_only=True):
    """The chief of who leads waits for a part no longer (免除协办). The reason is mandatory."""

    part: CaseId
    reason: Literal["not_needed", "not_theirs", "no_answer", "done_by_lead", "other"]


class JointRecorded(EventData, frozen=True, kw_only=True):
    """They have met (会商、联席会) or enforced together (联合执法): these grids, departments and neighbours."""

    what: Literal["meeting", "enforcement"]
    participants: Codes = ()
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


JOINT: dict[str, EventType] = {
    "parts.ordered": EventType(
        PartsOrdered,
        "交办协办",
        {"owners": ["WY02"], "neighbours": ["NB-01"], "limit": "3工作日", "requirement": "…"},
        "Order parts",
    ),
    "parts.released": EventType(
        PartsReleased, "免除协办", {"part": OTHER, "reason": "not_needed"}, "Wait for a part no longer"
    ),
    "joint.recorded": EventType(
        JointRecorded,
        "联合行动",
        {"what": "enforcement", "participants": ["WY02", "NB-01"], "evidence": [PHOTO]},
        "Record joint action",
    ),
}
"""What people say to who leads."""
WORDS_OF_JOINT = {
    "not_needed": ("已无需协办", "not needed any more"),
    "not_theirs": ("确非其职责", "not theirs to do"),
    "no_answer": ("对方未答复", "they do not answer"),
    "done_by_lead": ("牵头单位已办", "done by who leads"),
    "meeting": ("会商、联席会", "meeting"),
    "enforcement": ("联合执法", "joint enforcement"),
}


# ---- what cases say to each other -------------------------------------------------------------------------


class PartHeard(EventData, frozen=True, kw_only=True):
    """A part says to who leads: it is done."""

    part: CaseId


class RefusalHeard(EventData, frozen=True, kw_only=True):
    """A part says to who leads: its owner, or the neighbour, will not do it."""

    part: CaseId
    reason: str


class KeptPart(Struct, frozen=True, omit_defaults=True):
    """A part as the incident that leads knows it. `grid` and `department` are its owner, of a neighbour's part who
    writes to that. `since`: when it was last ordered or reopened. `over`: nothing of it is waited for, or asked."""

    id: CaseId
    grid: str
    level: int
    since: Ms
    department: str = ""
    neighbour: str = ""
    complete: bool = False
    returned: bool = False
    over: bool = False

    @property
    def alive(self) -> bool:
        """Whether it is open, or done and may be reopened."""
        return not self.over

    @property
    def waited_for(self) -> bool:
        """Whether who leads waits for it, or has to decide of it: it is neither done nor over."""
        return not (self.over or self.complete)

    @property
    def unit(self) -> tuple[str, str]:
        """Its owner: the code of a neighbour, or a grid, and perhaps a department."""
        return (self.neighbour, "") if self.neighbour else (self.grid, self.department)


class PartsHanded(EventData, frozen=True, kw_only=True):
    """An incident that is merged says to its survivor: these parts of mine are yours from here on."""

    parts: tuple[KeptPart, ...]


PART_DONE, PART_SENT_BACK, PARTS_HANDED = "case.part_done", "case.part_sent_back", "case.parts_handed"
SAID_TO_LEAD: dict[str, type[EventData]] = {
    PART_DONE: PartHeard,
    PART_SENT_BACK: RefusalHeard,
    PARTS_HANDED: PartsHanded,
}
"""What other cases say to who leads."""


# ---- what is kept -----------------------------------------------------------------------------------------


class Awaited(NamedTuple):
    """A unit that a case waits for: a grid of a level, and perhaps a department of it."""

    grid: str
    level: int
    department: str


class Joint(Own, frozen=True, tag="incident"):
    """What an incident with joint work keeps: its parts in the order in which they came, and how often its owners met
    and enforced together."""

    parts: tuple[KeptPart, ...] = ()
    meetings: int = 0
    enforcements: int = 0

    @property
    def awaited(self) -> Awaited | None:
        """The owner of the first part that is worked on."""
        waited = (part for part in self.parts if part.waited_for and not part.returned)
        return next((Awaited(part.grid, part.level, part.department) for part in waited), None)

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """The owners of all its parts."""
        return tuple(dict.fromkeys((part.grid, part.department) for part in self.parts))

    def regridded(self, grids: Mapping[str, str]) -> Own:
        """Successors go on as owners of parts."""
        return structs.replace(
            self, parts=tuple(structs.replace(part, grid=grids.get(part.grid, part.grid)) for part in self.parts)
        )

    def part(self, id_: str) -> KeptPart | None:
        """A part by its id."""
        return next((part for part in self.parts if part.id == id_), None)

    def marked(self, ids: Iterable[str], **said: bool | int) -> "Joint":
        """With these members of some of its parts."""
        known = {*ids}
        return structs.replace(
            self, parts=tuple(structs.replace(part, **said) if part.id in known else part for part in self.parts)
        )


def joint_of(own: Own | None) -> Joint:
    """What an incident keeps, also where it had no joint work so far."""
    return own if isinstance(own, Joint) else Joint()


class PartOrdered(OwnFact, frozen=True, tag="incident.part_ordered"):
    """An owner has its part, or has it `again`."""

    part: str
    grid: str
    level: int
    at: Ms
    by: str
    department: str = ""
    neighbour: str = ""
    again: bool = False

    def keep(self, own: Own | None) -> Own:
        """One part more, or one that is open again."""
        joint = joint_of(own)
        if self.again:
            return joint.marked((self.part,), complete=False, returned=False, since=self.at)
        part = KeptPart(self.part, self.grid, self.level, self.at, self.department, self.neighbour)
        return structs.replace(joint, parts=(*joint.parts, part))


class PartCompleted(OwnFact, frozen=True, tag="incident.part_completed"):
    """A part is done."""

    part: str

    def keep(self, own: Own | None) -> Own:
        """It is waited for no more."""
        return joint_of(own).marked((self.part,), complete=True)


class PartReturned(OwnFact, frozen=True, tag="incident.part_returned"):
    """A part came back: its owner will not do it, and who leads has to decide of it."""

    part: str
    reason: str

    def keep(self, own: Own | None) -> Own:
        """It is with who leads."""
        return joint_of(own).marked((self.part,), returned=True)


class PartReleased(OwnFact, frozen=True, tag="incident.part_released"):
    """A part is waited for no more, by order."""

    part: str
    reason: str
    by: str
    token: str = ""  # of the sealed text that goes with it

    def keep(self, own: Own | None) -> Own:
        """It is over."""
        return joint_of(own).marked((self.part,), over=True)


class PartsReopened(OwnFact, frozen=True, tag="incident.parts_reopened"):
    """A check on site found that these parts were not done. `ended`: parts that it names as well and that are over, so
    they stay so."""

    parts: tuple[str, ...]
    at: Ms
    by: str
    ended: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """They are waited for again."""
        return joint_of(own).marked(self.parts, complete=False, since=self.at)


class PartsTaken(OwnFact, frozen=True, tag="incident.parts_taken"):
    """Parts of an incident that was merged into this one are its own."""

    parts: tuple[KeptPart, ...]

    def keep(self, own: Own | None) -> Own:
        """They stand after its own."""
        joint = joint_of(own)
        return structs.replace(joint, parts=(*joint.parts, *self.parts))


class PartsGivenUp(OwnFact, frozen=True, tag="incident.parts_given_up"):
    """These parts end, or go on, without this incident. `into`: the case that they go to; empty: they end."""

    parts: tuple[str, ...]
    into: str = ""

    def keep(self, own: Own | None) -> Own:
        """They are over for it."""
        return joint_of(own).marked(self.parts, over=True)


class JointActed(OwnFact, frozen=True, tag="incident.joint_acted"):
    """The owners have met, or enforced together."""

    what: str
    participants: tuple[str, ...]
    by: str

    def keep(self, own: Own | None) -> Own:
        """Once more."""
        joint, met = joint_of(own), self.what == "meeting"
        return structs.replace(joint, meetings=joint.meetings + met, enforcements=joint.enforcements + (not met))


FACTS_OF_JOINT: tuple[type[Fact], ...] = (
    PartOrdered,
    PartCompleted,
    PartReturned,
    PartReleased,
    PartsReopened,
    PartsTaken,
    PartsGivenUp,
    JointActed,
)
SENTENCES: dict[type[Fact], str] = {
    PartOrdered: "交办协办 part ordered: {neighbour} {grid} {department}",
    PartCompleted: "协办完成 part done",
    PartReturned: "协办退回 part sent back: {reason}",
    PartReleased: "免除协办 part released: {reason}",
    PartsReopened: "协办重办 parts reopened",
    PartsTaken: "接管协办 parts taken over",
    PartsGivenUp: "协办终止 parts given up",
    JointActed: "联合行动 joint action: {what}",
}
"""What the facts of joint work say, for the story of an incident."""
