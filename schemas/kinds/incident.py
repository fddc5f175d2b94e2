"""What people and systems say to an incident (网格事件). A service request takes most of it, too.

Its facts are those that all kinds share (`schemas.facts`), and those of joint work (`schemas.joint`): of that alone it
keeps anything beyond what every case has.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.coordinates import measured
from schemas.exemptions import EXEMPTIONS, WORDS_OF_EXEMPTIONS
from schemas.joint import FACTS_OF_JOINT, JOINT, MOST_PARTS, SAID_TO_LEAD, WORDS_OF_JOINT, Joint
from schemas.members import (
    CaseId,
    Code,
    Contact,
    EventData,
    EventType,
    Evidence,
    Instant,
    Kind,
    LimitText,
    Position,
    Sealed,
    Source,
    UnitCode,
)
from schemas.proposals import PROPOSALS, WORDS_OF_PROPOSALS
from schemas.samples import LATER, OTHER, PHOTO


class ReportSubmitted(EventData, frozen=True, kw_only=True):
    """A problem was found (M13, M52, M63). The birth of a case."""

    category: Code
    source: Source
    definition: Literal["incident", "service_request"] = "incident"
    grid: Code | None = None
    position: Position | None = None
    touches: Annotated[tuple[Code, ...], Meta(max_length=16)] = ()  # other grids it lies in (跨界, M30-M32)
    department: Code | None = None  # the responsible department, where the sender's system names it
    unit: UnitCode | None = None  # the responsible unit (责任单位)
    site: UnitCode | None = None  # the source of pollution of the register (污染源) at which it was found
    # The deadline of the whole case. Null: it has none, by order. Absent: the pack's limit applies.
    deadline: Instant | UnsetType | None = UNSET
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()
    reference: Annotated[str, Meta(max_length=80)] | None = None  # the number of the sender's own record
    campaign: Code | None = None  # of the pack, as part of which it was found (专项行动, M100)
    description: Sealed | None = None
    reporter_name: Contact | None = None
    reporter_contact: Contact | None = None

    @property
    def measured(self) -> tuple[int, ...]:
        """Its position; empty where it has none."""
        here = self.position
        return () if here is None else measured(here.lon, here.lat, here.crs)


class DissuasionRecorded(EventData, frozen=True, kw_only=True):
    """Informed and dissuaded on the spot (告知劝阻, M14), and what came of it (M15)."""

    outcome: Literal["effective", "ineffective", "impossible"]


class ReportedUp(EventData, frozen=True, kw_only=True):
    """Reported to the grid or department with authority (及时上报, M15-M17); default: the pack's routing."""

    to_grid: Code | None = None
    to_department: Code | None = None


class Accepted(EventData, frozen=True, kw_only=True):
    """The owner takes the case on (受理/立案)."""


class Returned(EventData, frozen=True, kw_only=True):
    """Not our duty (退回): goes back to who sent it. The reason is mandatory."""

    reason: Literal["not_our_duty", "not_our_area", "insufficient", "wrong_category"]


AgainstTable = Literal["capacity", "expertise", "nearer", "orders", "other"]
"""Why a case goes to another department than the pack names for its category. The words for it go into `note`,
sealed."""


class Dispatched(EventData, frozen=True, kw_only=True):
    """Sent to a department to be handled (派遣): one leads, others assist (M18). To another one than the pack names for
    the category it needs a `reason` where the pack says so (统一调度指挥, M55)."""

    lead: Code
    assisting: Annotated[tuple[Code, ...], Meta(max_length=16)] = ()
    reason: AgainstTable | None = None


class DepartmentArrived(EventData, frozen=True, kw_only=True):
    """A department is on site; the grid assists from here (配合处理, M18)."""

    department: Code


class RectificationOrdered(EventData, frozen=True, kw_only=True):
    """The responsible unit is ordered to put it right (督促责任单位及时整改, M24), on its own clock."""

    stage: Annotated[int, Meta(ge=1, le=9)] = 1
    unit: UnitCode | None = None
    due: Instant | None = None
    limit: LimitText | None = None
    requirement: Sealed | None = None


class RectificationCompleted(EventData, frozen=True, kw_only=True):
    """The responsible unit says a stage is done."""

    stage: Annotated[int, Meta(ge=1, le=9)] = 1


class Escalated(EventData, frozen=True, kw_only=True):
    """Reported to the next level that can decide (M25): ownership moves, copies go out."""

    reason: Literal["authority", "coordination", "cross_boundary"]
    to_grid: Code | None = None


class HandlingCompleted(EventData, frozen=True, kw_only=True):
    """Handled; fed back to the levels below for their check on site (M33, M34)."""

    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class VerificationRecorded(EventData, frozen=True, kw_only=True):
    """Checked on site after handling (现场核查, M33-M36). Where the check that decides finds it unsolved, `parts` are
    those of further owners that were not done: they are reopened with it."""

    outcome: Literal["solved", "unsolved"]
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()
    parts: Annotated[tuple[CaseId, ...], Meta(max_length=MOST_PARTS)] = ()


RootCause = Literal["polluter", "supervision", "service"]
"""What lay at the root of a problem (M99): who polluted, supervision that was missing, or service that was missing."""


class Closed(EventData, frozen=True, kw_only=True):
    """Closed (结案): only after the problem is finally solved (M36), perhaps with what lay at its root (M99)."""

    root_cause: RootCause | None = None


class Suspended(EventData, frozen=True, kw_only=True):
    """Cannot be handled now (挂账/缓办), until a day or an order to resume."""

    reason: Literal["season", "funds", "engineering", "dispute", "other"]
    until: Instant | None = None


class Resumed(EventData, frozen=True, kw_only=True):
    """Taken up again after a suspension."""


class Reassigned(EventData, frozen=True, kw_only=True):
    """Another owner by order (统一调度, M55): to a grid or to a department. The `reason` is asked for as of a
    dispatch."""

    to_grid: Code | None = None
    to_department: Code | None = None
    reason: AgainstTable | None = None


class Merged(EventData, frozen=True, kw_only=True):
    """The same problem as another case, which goes on."""

    into: CaseId

    @property
    def acts_on(self) -> str:
        """The case that goes on."""
        return self.into


class Rejected(EventData, frozen=True, kw_only=True):
    """Not a case for the grid (不予立案)."""

    reason: Literal["not_found", "duplicate", "out_of_scope", "unfounded"]


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back by who reported it."""


class ForceClosed(EventData, frozen=True, kw_only=True):
    """Closed by order, without a passed verification (强制结案): role and reason are kept."""

    reason: Literal["unsolvable", "policy", "transferred", "error"]


class Absorbed(EventData, frozen=True, kw_only=True):
    """A case says to its survivor: this one, and what was merged into it before, goes on in you; and so do
    the petitions that wait for its end."""

    cases: tuple[CaseId, ...]
    petitions: tuple[CaseId, ...] = ()


class SurvivorChanged(EventData, frozen=True, kw_only=True):
    """A survivor that is merged itself says to each case merged into it, which case goes on from here."""

    into: CaseId


class SurvivorEnded(EventData, frozen=True, kw_only=True):
    """A survivor says to each case merged into it that it has ended, and in which state."""

    state: str


ABSORBED, SURVIVOR_CHANGED, SURVIVOR_ENDED = "case.absorbed", "case.survivor_changed", "case.survivor_ended"
MERGING: dict[str, type[EventData]] = {
    ABSORBED: Absorbed,
    SURVIVOR_CHANGED: SurvivorChanged,
    SURVIVOR_ENDED: SurvivorEnded,
}
"""What cases that are merged say to each other."""


class HoldPlaced(EventData, frozen=True, kw_only=True):
    """A supervision says to the case of which it speaks: you do not end before I am cleared."""

    by: CaseId


class HoldLifted(EventData, frozen=True, kw_only=True):
    """A supervision says to the case of which it speaks: I bar you no more."""

    by: CaseId


HOLD_PLACED, HOLD_LIFTED = "case.hold_placed", "case.hold_lifted"
HOLDS: dict[str, type[EventData]] = {HOLD_PLACED: HoldPlaced, HOLD_LIFTED: HoldLifted}
"""What a listed supervision says to its case."""


class Visited(EventData, frozen=True, kw_only=True):
    """A visit says to the case that it is about what was found on site."""

    visit: CaseId
    outcome: str
    by: Code


class Borne(EventData, frozen=True, kw_only=True):
    """Another case bears an incident: what it is, and where. It speaks of that case, and tells it its end."""

    about: CaseId
    category: Code
    source: Source
    grid: Code
    position: Position | None = None
    department: Code | None = None
    site: UnitCode | None = None
    reference: Annotated[str, Meta(max_length=80)] | None = None

    @property
    def report(self) -> ReportSubmitted:
        """The same as a report of it."""
        return ReportSubmitted(
            category=self.category,
            source=self.source,
            grid=self.grid,
            position=self.position,
            department=self.department,
            site=self.site,
            reference=self.reference,
        )


BORNE = "incident.borne"
VISITED = "case.visited"
VISITS: dict[str, type[EventData]] = {VISITED: Visited}
"""What a visit of an audit draw says to its case."""


class Petitioned(EventData, frozen=True, kw_only=True):
    """A petition (信访) says to a case: what I ask for is done in you. It bears the case, where that is not born: of
    this category, at this place. `by`: who took it in."""

    petition: CaseId
    category: Code
    source: Source
    grid: Code
    by: Code
    lon: float | None = None
    lat: float | None = None
    crs: str = ""
    spot: tuple[int, int] | None = None  # WGS 84 in units of 1e-7 degree, where the two above are of another map
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class PetitionLeft(EventData, frozen=True, kw_only=True):
    """A petition says to a case: what I ask for is done elsewhere."""

    petition: CaseId


PETITIONED, PETITION_LEFT = "case.petitioned", "case.petition_left"
PETITIONS: dict[str, type[EventData]] = {PETITIONED: Petitioned, PETITION_LEFT: PetitionLeft}
"""What petitions say to the case in which their work is done."""


class CaseJoined(EventData, frozen=True, kw_only=True):
    """A case says to a petition that its work is done in it, and in which state it is. `before`: we had found the
    problem ourselves before anybody complained of it (M77). `over`: it has ended. `crowded`: it takes no more."""

    case: CaseId
    state: str
    before: bool = False
    over: bool = False
    crowded: bool = False


class CaseOver(EventData, frozen=True, kw_only=True):
    """A case says to a petition that waits for it that it has ended, and in which state."""

    case: CaseId
    state: str


CASE_JOINED, CASE_OVER = "petition.case_joined", "petition.case_over"
OF_CASES: dict[str, type[EventData]] = {CASE_JOINED: CaseJoined, CASE_OVER: CaseOver}
"""What cases say to petitions."""

INCIDENT = Kind(
    name="incident",
    sends=MERGING | HOLDS | VISITS | SAID_TO_LEAD | PETITIONS | {BORNE: Borne},
    facts=FACTS_OF_JOINT,
    own=Joint,
    events={
        "report.submitted": EventType(
            ReportSubmitted,
            "发现",
            {
                "category": "D3-01",
                "source": "patrol",
                "grid": "WY01-01",
                "unit": "SITE-0042",
                "touches": ["WY01-02"],
                "deadline": LATER,
                "reference": "2026-17",
                "campaign": "three-rivers",
                "position": {"lon": 108.845, "lat": 34.385, "crs": "CGCS2000"},
                "evidence": [PHOTO],
                "description": "围挡外裸土未覆盖",
                "reporter_name": "…",
                "reporter_contact": "…",
                "note": "…",
            },
            "Report",
        ),
        "dissuasion.recorded": EventType(
            DissuasionRecorded, "告知劝阻", {"outcome": "ineffective"}, "Record a dissuasion"
        ),
        "incident.reported_up": EventType(ReportedUp, "上报", {"to_department": "WY-BUILD"}, "Report up"),
        "incident.accepted": EventType(Accepted, "受理", {}, "Accept"),
        "incident.returned": EventType(Returned, "退回", {"reason": "not_our_area"}, "Return"),
        "incident.dispatched": EventType(
            Dispatched, "派遣", {"lead": "WY-BUILD", "assisting": ["WY-URBAN"]}, "Dispatch"
        ),
        "department.arrived": EventType(DepartmentArrived, "部门到场", {"department": "WY-BUILD"}, "On site"),
        "rectification.ordered": EventType(
            RectificationOrdered,
            "督促整改",
            {"stage": 2, "unit": "SITE-0042", "limit": "7工作日", "requirement": "…"},
            "Order to rectify",
        ),
        "rectification.completed": EventType(RectificationCompleted, "整改完成", {"stage": 2}, "Rectification done"),
        "incident.escalated": EventType(Escalated, "提级", {"reason": "cross_boundary", "to_grid": "WY"}, "Escalate"),
        "handling.completed": EventType(
            HandlingCompleted, "处置完成", {"evidence": [{**PHOTO, "kind": "after"}]}, "Handling done"
        ),
        "verification.recorded": EventType(
            VerificationRecorded, "现场核查", {"outcome": "solved", "evidence": []}, "Record a check"
        ),
        "incident.closed": EventType(Closed, "结案", {"root_cause": "polluter"}, "Close"),
        "incident.suspended": EventType(Suspended, "挂账", {"reason": "season", "until": LATER}, "Suspend"),
        "incident.resumed": EventType(Resumed, "恢复", {}, "Resume"),
        "incident.reassigned": EventType(Reassigned, "改派", {"to_grid": "WY02"}, "Reassign"),
        "incident.merged": EventType(Merged, "合并", {"into": OTHER}, "Merge"),
        "incident.rejected": EventType(Rejected, "不予立案", {"reason": "duplicate"}, "Reject"),
        "incident.withdrawn": EventType(Withdrawn, "撤回", {}, "Withdraw"),
        "incident.force_closed": EventType(ForceClosed, "强制结案", {"reason": "policy"}, "Force close"),
        **PROPOSALS,
        **EXEMPTIONS,
        **JOINT,
    },
    words={
        "effective": ("劝阻有效", "dissuasion was effective"),
        "ineffective": ("劝阻无效", "dissuasion was in vain"),
        "impossible": ("无法劝阻", "nobody could be dissuaded"),
        "solved": ("已解决", "solved"),
        "unsolved": ("未解决", "unsolved"),
        "authority": ("权限不足", "beyond our authority"),
        "coordination": ("需协调", "needs coordination"),
        "cross_boundary": ("跨界", "crosses a boundary"),
        "not_our_duty": ("非本单位职责", "not our duty"),
        "not_our_area": ("非本辖区", "not our area"),
        "insufficient": ("材料不足", "not enough to go on"),
        "wrong_category": ("类别有误", "wrong category"),
        "season": ("季节", "season"),
        "funds": ("资金", "funds"),
        "engineering": ("工程", "engineering"),
        "dispute": ("争议", "dispute"),
        "other": ("其他", "other"),
        "not_found": ("现场未发现", "nothing was found there"),
        "duplicate": ("重复上报", "reported twice"),
        "out_of_scope": ("不属受理范围", "out of scope"),
        "unfounded": ("情况不实", "unfounded"),
        "unsolvable": ("无法解决", "cannot be solved"),
        "policy": ("政策原因", "by policy"),
        "transferred": ("已移交", "handed over elsewhere"),
        "error": ("录入有误", "entered by mistake"),
        "capacity": ("力量不足", "too few hands"),
        "expertise": ("专业所需", "needs other skills"),
        "nearer": ("就近处置", "nearer by"),
        "orders": ("上级指定", "ordered from above"),
        "polluter": ("污染主体责任", "the polluter"),
        "supervision": ("监管缺位", "supervision was missing"),
        "service": ("服务缺位", "service was missing"),
        **WORDS_OF_PROPOSALS,
        **WORDS_OF_EXEMPTIONS,
        **WORDS_OF_JOINT,
    },
)
