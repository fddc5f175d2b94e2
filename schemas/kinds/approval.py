"""The approval (审批): what somebody applies for, the time that is promised and that of the law (M119, M120).

Who applies is sealed, and so are the words of the application. What it is for is a row of the pack's `approvals.csv`:
it stands where other kinds have a category, and the lane where they have a group.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from schemas.members import (
    BirthData,
    CaseId,
    Code,
    Contact,
    DayText,
    EventData,
    EventType,
    Fact,
    Kind,
    Own,
    OwnFact,
    Sealed,
)

MOST_LINES = 100
"""So many lines of money has an approval at most, those that take others back among them."""
MOST_LINE_FEN = 1_000_000_000_000
"""No line is of more than this."""
EMERGENCY = "emergency"
"""The lane of what cannot wait (应急)."""
Lane = Literal["ordinary", "emergency"]
Ground = Literal["papers", "hearing", "assessment"]
"""Why the time stands still: the applicant's papers, a hearing, a technical assessment. A ban is told by cases."""
Body = Literal["police_desk", "enforcement_team"]
"""To whom something is referred (M88)."""
LineNumber = Annotated[int, Meta(ge=1, le=MOST_LINES, description="the number of a line, as it was entered")]
AmountFen = Annotated[int, Meta(ge=1, le=MOST_LINE_FEN, description="an amount of money in fen, 1/100 yuan")]


class Filed(BirthData, frozen=True, kw_only=True):
    """Somebody applies (申请). `grid` is where it is to be, `department` who decides, `matter` what it is for."""

    matter: Code
    lane: Lane = "ordinary"
    applicant: Contact | None = None
    project: Sealed | None = None


class Paused(EventData, frozen=True, kw_only=True):
    """The time stands still (中止计时), for one ground more."""

    ground: Ground


class Resumed(EventData, frozen=True, kw_only=True):
    """A ground for standing still is gone (恢复计时): the papers are there, the hearing is over."""

    ground: Ground


class HomeVisited(EventData, frozen=True, kw_only=True):
    """The hall has come to the applicant (上门服务)."""


class Referred(EventData, frozen=True, kw_only=True):
    """Something of it is handed to the police desk or the enforcement team (移送)."""

    body: Body


class Reported(EventData, frozen=True, kw_only=True):
    """What came of a referral (移送结果)."""

    body: Body
    outcome: Literal["penalty", "case_filed", "unfounded", "other"]


class LineEntered(EventData, frozen=True, kw_only=True):
    """A line of money (收费、补偿): what for, how much, on which day. There is no account: only lines."""

    purpose: Literal["fee", "compensation", "trading"]
    amount_fen: AmountFen
    day: DayText


class LineReversed(EventData, frozen=True, kw_only=True):
    """A line is taken back by a counter-line (冲销), on a day of its own. What was entered is not erased."""

    line: LineNumber
    day: DayText


class Decided(EventData, frozen=True, kw_only=True):
    """It is decided (办结): granted or declined, perhaps by a document."""

    outcome: Literal["granted", "declined"]
    document: (
        Annotated[str, Meta(min_length=1, max_length=80, description="the number of a document (文号)")] | None
    ) = None


class Withdrawn(EventData, frozen=True, kw_only=True):
    """The applicant wants it no more (撤回申请)."""


class BanPlaced(EventData, frozen=True, kw_only=True):
    """The docket says to an approval: a permit ban holds where it is to be."""

    by: CaseId


class BanLifted(EventData, frozen=True, kw_only=True):
    """The docket says to an approval: this permit ban holds no more."""

    by: CaseId


BANNED, UNBANNED = "approval.banned", "approval.unbanned"


class Line(Struct, frozen=True, array_like=True):
    """A line of money: its number is its place. `reverses`: the number of the line that it takes back; 0: none."""

    purpose: str
    amount_fen: int
    day: int
    reverses: int = 0


class Approval(Own, frozen=True, tag="approval"):
    """What an approval keeps. `grid` is where it is to be; `pauses` the grounds for which its time stands still, `bans`
    the supervisions by which a permit ban holds there; `referrals` to whom something is referred and not answered.
    """

    grid: str
    emergency: bool = False
    pauses: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    referrals: tuple[str, ...] = ()
    visits: int = 0
    lines: tuple[Line, ...] = ()
    outcome: str = ""
    document: str = ""


def kept(own: Own | None) -> Approval:
    """What an approval keeps, of which a fact has told."""
    assert isinstance(own, Approval)
    return own


class ApprovalFiled(OwnFact, frozen=True, tag="approval.filed"):
    """Somebody has applied."""

    matter: str
    grid: str
    emergency: bool = False
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """Where it is to be."""
        return Approval(grid=self.grid, emergency=self.emergency)


class ApprovalPaused(OwnFact, frozen=True, tag="approval.paused"):
    """One ground more for which the time stands still."""

    ground: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """It stands beside the others."""
        return structs.replace(kept(own), pauses=(*kept(own).pauses, self.ground))


class ApprovalResumed(OwnFact, frozen=True, tag="approval.resumed"):
    """A ground is gone."""

    ground: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """The others stand."""
        return structs.replace(kept(own), pauses=tuple(each for each in kept(own).pauses if each != self.ground))


class ApprovalBanned(OwnFact, frozen=True, tag=BANNED):
    """A permit ban holds where it is to be."""

    by: str

    def keep(self, own: Own | None) -> Own:
        """It stands beside the others."""
        return structs.replace(kept(own), bans=(*kept(own).bans, self.by))


class ApprovalUnbanned(OwnFact, frozen=True, tag=UNBANNED):
    """A permit ban holds no more."""

    by: str

    def keep(self, own: Own | None) -> Own:
        """The others stand."""
        return structs.replace(kept(own), bans=tuple(each for each in kept(own).bans if each != self.by))


class ApprovalVisited(OwnFact, frozen=True, tag="approval.visited"):
    """The hall has come to the applicant."""

    by: str

    def keep(self, own: Own | None) -> Own:
        """One visit more."""
        return structs.replace(kept(own), visits=kept(own).visits + 1)


class ApprovalReferred(OwnFact, frozen=True, tag="approval.referred"):
    """Something of it was handed on."""

    body: str
    by: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """It waits for what comes of it."""
        return structs.replace(kept(own), referrals=(*kept(own).referrals, self.body))


class ReferralAnswered(OwnFact, frozen=True, tag="approval.referral_answered"):
    """What came of a referral."""

    body: str
    outcome: str
    by: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """It waits no more."""
        return structs.replace(kept(own), referrals=tuple(each for each in kept(own).referrals if each != self.body))


class MoneyEntered(OwnFact, frozen=True, tag="approval.line_entered"):
    """A line of money, with its number; below zero it takes back the line `reverses`."""

    line: int
    purpose: str
    amount_fen: int
    day: int
    by: str
    reverses: int = 0

    def keep(self, own: Own | None) -> Own:
        """It stands at the end."""
        line = Line(purpose=self.purpose, amount_fen=self.amount_fen, day=self.day, reverses=self.reverses)
        return structs.replace(kept(own), lines=(*kept(own).lines, line))


class ApprovalDecided(OwnFact, frozen=True, tag="approval.decided"):
    """It was decided. `past_promise`, `past_statute`: after the time that was promised, or that the law gives; `timed`,
    `bound`: it had such a time."""

    outcome: str
    by: str
    document: str = ""
    timed: bool = False
    past_promise: bool = False
    bound: bool = False
    past_statute: bool = False
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """What was decided."""
        return structs.replace(kept(own), outcome=self.outcome, document=self.document)


FACTS: tuple[type[Fact], ...] = (
    ApprovalFiled,
    ApprovalPaused,
    ApprovalResumed,
    ApprovalBanned,
    ApprovalUnbanned,
    ApprovalVisited,
    ApprovalReferred,
    ReferralAnswered,
    MoneyEntered,
    ApprovalDecided,
)
APPROVAL = Kind(
    name="approval",
    events={
        "approval.filed": EventType(
            Filed,
            "申请",
            {
                "matter": "eia-report",
                "grid": "WY01",
                "department": "WY-EPB",
                "applicant": "…",
                "project": "…",
                "reference": "2026-31",
            },
            "Apply",
        ),
        "approval.paused": EventType(Paused, "中止计时", {"ground": "papers", "note": "…"}, "Stop the time"),
        "approval.resumed": EventType(Resumed, "恢复计时", {"ground": "papers"}, "Let the time go on"),
        "approval.visited": EventType(HomeVisited, "上门服务", {}, "Visit the applicant"),
        "approval.referred": EventType(Referred, "移送", {"body": "police_desk", "note": "…"}, "Refer"),
        "approval.referral_answered": EventType(
            Reported, "移送结果", {"body": "police_desk", "outcome": "case_filed"}, "What came of a referral"
        ),
        "approval.line_entered": EventType(
            LineEntered, "登记收费", {"purpose": "fee", "amount_fen": 120000, "day": "2026-03-02"}, "Enter a line"
        ),
        "approval.line_reversed": EventType(LineReversed, "冲销", {"line": 1, "day": "2026-03-03"}, "Take a line back"),
        "approval.decided": EventType(Decided, "办结", {"outcome": "granted", "document": "2026-7"}, "Decide"),
        "approval.withdrawn": EventType(Withdrawn, "撤回申请", {}, "Withdraw the application"),
    },
    sends={BANNED: BanPlaced, UNBANNED: BanLifted},
    facts=FACTS,
    own=Approval,
    words={
        "ordinary": ("普通", "ordinary"),
        "papers": ("补正材料", "papers to be completed"),
        "hearing": ("听证", "a hearing"),
        "assessment": ("技术评估", "a technical assessment"),
        "police_desk": ("环保警务室", "police desk"),
        "enforcement_team": ("综合行政执法队", "enforcement team"),
        "penalty": ("行政处罚", "a penalty"),
        "case_filed": ("立案", "a case was filed"),
        "unfounded": ("情况不实", "unfounded"),
        "other": ("其他", "other"),
        "fee": ("收费", "a fee"),
        "compensation": ("生态补偿", "compensation"),
        "trading": ("排污权交易", "trading of discharge rights"),
        "granted": ("准予", "granted"),
        "declined": ("不予许可", "declined"),
    },
)
