"""The supervision (督办): an office asks a unit to answer for something, and what comes of it (M58-M60, M79, M118).

It speaks of a case, of a grid, or of a department. What is done is an *action* of the pack (督办函, 挂牌督办, 约谈 …):
it stands where other kinds have a category. Nobody but who proposes it and who decides reads of it before it is served.
"""

from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.kinds.assessment import SAMPLE, SheetHash
from schemas.members import (
    BirthData,
    Code,
    Day,
    EventData,
    EventType,
    Evidence,
    Fact,
    Kind,
    Ms,
    Own,
    OwnFact,
    Sealed,
    UnitCode,
)
from schemas.samples import PHOTO

MOST_COUNTED = 10_000
"""So many outlets or cases one supervision charges at most."""
Fen = Annotated[int, Meta(description="an amount of money in fen, 1/100 yuan")]
DocumentNumber = Annotated[str, Meta(min_length=1, max_length=80, description="the number of a document (文号)")]
Reason = Literal["unfounded", "settled", "error", "restated", "other"]
"""Why one is refused, withdrawn or revoked. The words for it go into `note`, sealed."""


class Proposed(BirthData, frozen=True, kw_only=True):
    """An action is proposed (拟议督办) about a case, a grid or a department: `about`, `grid`, `department`.

    `department` is who has to answer, else the grid that is named, else who owns the case. `site` is the responsible
    unit (责任单位) that it is about, where it is about one; `count` how many there are of what the action charges for.
    `until` is the last day on which the grid is to be listed, where the action lists one.
    """

    action: Code
    site: UnitCode | None = None
    count: Annotated[int, Meta(ge=1, le=MOST_COUNTED)] = 1
    ground: Sealed | None = None
    until: Day | None = None


class Decided(EventData, frozen=True, kw_only=True):
    """The deciding office takes it on (决定), perhaps by a document. `until`: another day than was proposed up to which
    the grid is listed."""

    document: DocumentNumber | None = None
    until: Day | None = None


class Refused(EventData, frozen=True, kw_only=True):
    """The deciding office does not take it on (不予采纳)."""

    reason: Reason


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back by who proposed it, before it is decided (撤回)."""

    reason: Reason


class Served(EventData, frozen=True, kw_only=True):
    """It has been delivered to the unit (送达): from here on it is open to all who read its place."""

    document: DocumentNumber | None = None


class Answered(EventData, frozen=True, kw_only=True):
    """The unit has answered (答复)."""

    answer: Sealed | None = None
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Reviewed(EventData, frozen=True, kw_only=True):
    """The office has reviewed the answer (审核): it is enough, or the unit has to answer again."""

    outcome: Literal["passed", "sent_back"]


class Raised(EventData, frozen=True, kw_only=True):
    """Given to the next office above (提级督办), which serves it anew or revokes it."""


class Cleared(EventData, frozen=True, kw_only=True):
    """Taken off the account (销号)."""


class Revoked(EventData, frozen=True, kw_only=True):
    """Taken back after it was decided (撤销). What was served is revoked as openly as it was served."""

    reason: Reason


class Contested(EventData, frozen=True, kw_only=True):
    """The assessment that proposed it was restated, and proposes it no more: who decided it is asked to revoke it, or
    to uphold it with a reason (提请撤销). `hash`: the sheet that is published now."""

    hash: SheetHash


class Upheld(EventData, frozen=True, kw_only=True):
    """It stands, although the assessment that proposed it was restated (维持)."""

    reason: Literal["own_grounds", "no_other_outcome", "other"]


class CalledFor(BirthData, frozen=True, kw_only=True):
    """A rung of a case calls for an action about that case: the pack proposes it, and an office decides.

    `unit` with `department` is who is charged with the clock, and `at` when it could be known that the rung is due.
    """

    action: Code
    unit: Code
    clock: str
    level: int
    cycle: int
    target: int
    rung: str
    at: Ms


CALLED_FOR, CONTRADICTED = "supervision.called_for", "supervision.contradicted"


class Supervision(Own, frozen=True, tag="supervision"):
    """What a supervision keeps: who has to answer, for what, and which office has it in hand.

    `unit` and `office` are grids. `answer`: the unit has to answer; else it is cleared once it was served. `public`:
    the act is of those that are told in public. `served`: when it was first served. `clock` and `rung`: what called for
    it, where no post proposed it; `contradicted`: when it was known that this deadline had been met. `until`: the last
    local day (YYYYMMDD) on which the grid is listed, 0 where none is. `contested`: its ground has gone, and whether it
    stands is to be decided.
    """

    unit: str
    department: str = ""
    site: str = ""
    count: int = 1
    answer: bool = True
    public: bool = False
    office: str = ""
    document: str = ""
    amount_fen: Fen = 0
    charged: str = ""
    answers: int = 0
    raised: int = 0
    served: Ms | None = None
    clock: str = ""
    rung: str = ""
    contradicted: Ms | None = None
    until: int = 0
    contested: bool = False


class SupervisionProposed(OwnFact, frozen=True, tag="supervision.proposed"):
    """Somebody proposes an action: who has to answer, and what the pack says of the action."""

    unit: str
    department: str = ""
    site: str = ""
    count: int = 1
    answer: bool = False
    public: bool = False
    token: str = ""  # of the sealed ground
    until: int = 0

    def keep(self, own: Own | None) -> Own:
        """All of it but the token."""
        return Supervision(
            unit=self.unit,
            department=self.department,
            site=self.site,
            count=self.count,
            answer=self.answer,
            public=self.public,
            until=self.until,
        )


class SupervisionCalledFor(OwnFact, frozen=True, tag="supervision.called_for"):
    """A rung of the case of which it speaks has proposed it, and no post."""

    clock: str
    level: int
    cycle: int
    target: int
    rung: str

    def keep(self, own: Own | None) -> Own:
        """Which rung it was."""
        assert isinstance(own, Supervision)
        return structs.replace(own, clock=self.clock, rung=self.rung)


class SupervisionContradicted(OwnFact, frozen=True, tag="supervision.contradicted"):
    """It has turned out that the deadline was met whose rung called for it."""

    at: Ms

    def keep(self, own: Own | None) -> Own:
        """Whoever reviews it sees that."""
        assert isinstance(own, Supervision)
        return structs.replace(own, contradicted=self.at)


class OfficeNamed(OwnFact, frozen=True, tag="supervision.office_named"):
    """This office decides: the nearest one upwards that may."""

    office: str

    def keep(self, own: Own | None) -> Own:
        """It has the supervision in hand."""
        assert isinstance(own, Supervision)
        return structs.replace(own, office=self.office)


class SupervisionDecided(OwnFact, frozen=True, tag="supervision.decided"):
    """The office has decided: by which post, by which document, and what it comes to."""

    by: str
    document: str = ""
    amount_fen: Fen = 0
    charged: str = ""
    token: str = ""
    until: int = 0

    def keep(self, own: Own | None) -> Own:
        """What was decided."""
        assert isinstance(own, Supervision)
        decided = {"document": self.document, "amount_fen": self.amount_fen, "charged": self.charged}
        return structs.replace(own, **decided, until=self.until)


class SupervisionServed(OwnFact, frozen=True, tag="supervision.served"):
    """Delivered to the unit."""

    unit: str
    at: Ms
    department: str = ""
    document: str = ""
    first: bool = False

    def keep(self, own: Own | None) -> Own:
        """The unit may be the successor of a grid that has ended, the document another one."""
        assert isinstance(own, Supervision)
        document = self.document or own.document
        served = self.at if own.served is None else own.served
        return structs.replace(own, unit=self.unit, document=document, served=served)


class SupervisionAnswered(OwnFact, frozen=True, tag="supervision.answered"):
    """The unit has answered. `late`: after the time that it had for it."""

    by: str
    late: bool = False
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """One answer more."""
        assert isinstance(own, Supervision)
        return structs.replace(own, answers=own.answers + 1)


class SupervisionReviewed(OwnFact, frozen=True, tag="supervision.reviewed"):
    """The office has reviewed the answer."""

    outcome: str
    by: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """Nothing more is kept."""
        assert isinstance(own, Supervision)
        return own


class SupervisionRaised(OwnFact, frozen=True, tag="supervision.raised"):
    """Given to the next office above."""

    office: str
    was: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """The office above has it in hand."""
        assert isinstance(own, Supervision)
        return structs.replace(own, office=self.office, raised=own.raised + 1)


class SupervisionContested(OwnFact, frozen=True, tag="supervision.contested"):
    """Its ground has gone: the office is asked to revoke or to uphold it. `hash`: the sheet that is published now."""

    office: str
    by: str
    hash: str

    def keep(self, own: Own | None) -> Own:
        """It is to be decided."""
        assert isinstance(own, Supervision)
        return structs.replace(own, contested=True)


class SupervisionUpheld(OwnFact, frozen=True, tag="supervision.upheld"):
    """The office upholds it, for a reason."""

    by: str
    reason: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """It is decided."""
        assert isinstance(own, Supervision)
        return structs.replace(own, contested=False)


FACTS: tuple[type[Fact], ...] = (
    SupervisionProposed,
    SupervisionCalledFor,
    SupervisionContradicted,
    OfficeNamed,
    SupervisionDecided,
    SupervisionServed,
    SupervisionAnswered,
    SupervisionReviewed,
    SupervisionRaised,
    SupervisionContested,
    SupervisionUpheld,
)
DECIDED = "supervision.decided"
"""What the deciding office says where it takes one on."""
DECIDES = (DECIDED, "supervision.refused", "supervision.served")
"""What only the deciding office says, before anybody else reads of it."""
PROPOSES, WITHDRAWS, CONTESTS = "supervision.proposed", "supervision.withdrawn", "supervision.contested"
"""What an assessment says: that its rules propose one, and that they do so no longer."""
UPHOLDS = "supervision.upheld"
"""What is said where one that is contested stands."""
RESTATED = "restated"
"""Why an assessment withdraws what it has proposed."""
SUPERVISION = Kind(
    name="supervision",
    events={
        "supervision.proposed": EventType(
            Proposed, "拟议督办", {"action": "letter", "grid": "WY01", "ground": "…"}, "Propose"
        ),
        "supervision.decided": EventType(Decided, "决定督办", {"document": "2026-12"}, "Decide"),
        "supervision.refused": EventType(Refused, "不予采纳", {"reason": "unfounded"}, "Refuse"),
        "supervision.withdrawn": EventType(Withdrawn, "撤回拟议", {"reason": "error"}, "Withdraw"),
        "supervision.served": EventType(Served, "送达", {}, "Serve"),
        "supervision.answered": EventType(Answered, "答复", {"answer": "…", "evidence": [PHOTO]}, "Answer"),
        "supervision.reviewed": EventType(Reviewed, "审核", {"outcome": "passed"}, "Review"),
        "supervision.raised": EventType(Raised, "提级督办", {}, "Raise"),
        "supervision.cleared": EventType(Cleared, "销号", {}, "Clear"),
        "supervision.revoked": EventType(Revoked, "撤销", {"reason": "error"}, "Revoke"),
        "supervision.contested": EventType(Contested, "提请撤销", {"hash": SAMPLE}, "Contest"),
        "supervision.upheld": EventType(Upheld, "维持", {"reason": "own_grounds", "note": "…"}, "Uphold"),
    },
    sends={CALLED_FOR: CalledFor, CONTRADICTED: EventData},
    facts=FACTS,
    own=Supervision,
    words={
        "passed": ("通过", "enough"),
        "sent_back": ("退回补正", "to be answered again"),
        "unfounded": ("情况不实", "unfounded"),
        "settled": ("已解决", "settled meanwhile"),
        "error": ("录入有误", "entered by mistake"),
        "restated": ("考核结果已更正", "the assessment was restated"),
        "own_grounds": ("另有依据", "it has grounds of its own"),
        "no_other_outcome": ("更正不影响该决定", "the restatement changes nothing in this"),
        "other": ("其他", "other"),
    },
)
