"""The petition (信访): somebody of the public asks for something, and wants an answer (M49, M63, M76, M126).

It is the asking; the work that it leads to is done in an incident. What identifies who asks is sealed.
"""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, structs

from schemas.coordinates import measured
from schemas.kinds.incident import OF_CASES
from schemas.kinds.service_request import SERVICE_REQUEST
from schemas.members import (
    CaseId,
    Code,
    Contact,
    EventData,
    EventType,
    Evidence,
    Fact,
    Kind,
    Own,
    OwnFact,
    Position,
    Reference,
    Sealed,
)
from schemas.proposals import EXTENSIONS, WORDS_OF_PROPOSALS
from schemas.samples import OTHER, PHOTO
from schemas.unserved import UNSERVED, NotServed

Channel = Literal["phone", "fax", "visit", "app", "online", "letter"]
"""How it came (M49: 电话、传真; M126: 网民留言)."""
STAGES = ("reexamination", "review")
"""The stages that a petition may go up (复查, 复核)."""
Line = Literal["report", "subsidy"]
"""What is paid for a report found true (M61): a reward for it (有奖举报), or one instead of a subsidy (以奖代补)."""
CHANNELS, LINES = get_args(Channel), get_args(Line)


class Submitted(EventData, frozen=True, kw_only=True):
    """A petition was taken in (信访登记). `via` is a row of the pack's sources, where a channel has several.

    `grid` or `position` say where that is of which it speaks. It lies in the home of who took it in.
    """

    category: Code
    channel: Channel
    via: Code | None = None
    grid: Code | None = None
    position: Position | None = None
    department: Code | None = None  # who is to answer, where that is known
    reference: Reference | None = None  # the number of the sender's own record
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()
    address: Sealed | None = None
    description: Sealed | None = None
    name: Contact | None = None
    contact: Contact | None = None

    @property
    def measured(self) -> tuple[int, ...]:
        """Its position; empty where it has none."""
        here = self.position
        return () if here is None else measured(here.lon, here.lat, here.crs)


class Accepted(EventData, frozen=True, kw_only=True):
    """Taken on by who is to answer (受理). Its work is done in the case `into`; in none, where it stands `alone`;
    else in a similar open one of the home, or in an incident that it bears at its place."""

    into: CaseId | None = None
    alone: bool = False


class Rejected(EventData, frozen=True, kw_only=True):
    """Not taken on (不予受理)."""

    reason: Literal["out_of_scope", "in_court", "answered_before", "insufficient"]


class Transferred(EventData, frozen=True, kw_only=True):
    """Given to another one who is to answer (转办): to a grid or to a department."""

    to_grid: Code | None = None
    to_department: Code | None = None


class Examined(EventData, frozen=True, kw_only=True):
    """Somebody has looked whether there is anything in it, before it is worked on (先行核实). What is confirmed is
    done in the case `into`, else as of one that is accepted."""

    outcome: Literal["confirmed", "untrue"]
    into: CaseId | None = None
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Attached(EventData, frozen=True, kw_only=True):
    """Its work is done in another case, and no more in the one before (关联)."""

    into: CaseId


class Answered(EventData, frozen=True, kw_only=True):
    """It is answered (答复), and whether what was reported is true."""

    found: Literal["true", "partly", "untrue", "no_report"]
    answer: Sealed | None = None
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=20)] = ()


class Revisited(EventData, frozen=True, kw_only=True):
    """Who asked was asked whether the answer is enough (回访, M76)."""

    outcome: Literal["satisfied", "dissatisfied", "leaves_it", "unreachable"]


class Rewarded(EventData, frozen=True, kw_only=True):
    """What a report found true is worth was paid, or is not (M61): of a line of the pack, by which document."""

    line: Line
    outcome: Literal["paid", "refused"]
    document: Reference | None = None


class CodeGiven(EventData, frozen=True, kw_only=True):
    """Said by the door itself: who asked got a code by which the answer is looked up (查询码). This is its digest; one
    that was given before opens nothing any more."""

    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


class Ended(EventData, frozen=True, kw_only=True):
    """It is settled (办结)."""


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back by who asked (撤回)."""


Part = Literal["description", "address", "media"]
"""What the public may be shown of a petition: the words, where exactly it is, and what is to be seen of it."""


class Released(EventData, frozen=True, kw_only=True):
    """What the public may be shown from now on (公开); nothing: what was released is taken back."""

    shows: Annotated[tuple[Part, ...], Meta(max_length=3)] = ()


class Reward(Struct, frozen=True, omit_defaults=True):
    """A reward that is proposed: a row of the pack, its line, and what has become of it (empty: nothing yet)."""

    reward: str
    line: str
    amount_fen: int
    outcome: str = ""


class Petition(Own, frozen=True, tag="petition"):
    """What a petition keeps. `reception` is the grid that took it in, `place` that of which it speaks, `via` a row of
    the pack's sources, `similar` what may be the same. `case` is the one in which its work is done, `asked` one that
    has not answered yet.

    `unit` of a level, with `department`, is who is to answer, or has answered, by the post `by`. `ladder` are the
    stages that it may go up, `stage` the one that it has reached. `answer` is the token of what was answered last,
    `code` the digest of the code of who asked.
    `shows` is what the public may be shown.
    """

    channel: str
    reception: str
    place: str
    via: str = ""
    lane: str = ""
    checked: bool = False
    priority: int = 0
    weight: int = 1
    ladder: tuple[str, ...] = ()
    crs: str = ""
    similar: tuple[str, ...] = ()
    asked: str = ""
    case: str = ""
    case_state: str = ""
    before: bool = False
    unit: str = ""
    level: int = 0
    department: str = ""
    by: str = ""
    stage: str = ""
    answers: int = 0
    found: str = ""
    answer: str = ""
    outcome: str = ""
    shows: tuple[str, ...] = ()
    rewards: tuple[Reward, ...] = ()
    code: str = ""


class PetitionTaken(OwnFact, frozen=True, tag="petition.taken"):
    """It was taken in, by a channel and a source of the pack, with what the pack says of that source."""

    channel: str
    reception: str
    place: str
    via: str = ""
    lane: str = ""
    checked: bool = False
    priority: int = 0
    weight: int = 1
    ladder: tuple[str, ...] = ()
    crs: str = ""
    similar: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Petition(**structs.asdict(self))


class PetitionGiven(OwnFact, frozen=True, tag="petition.given"):
    """Who is to answer."""

    unit: str
    level: int
    department: str = ""

    def keep(self, own: Own | None) -> Own:
        """The one that has to."""
        assert isinstance(own, Petition)
        return structs.replace(own, unit=self.unit, level=self.level, department=self.department)


class PetitionExamined(OwnFact, frozen=True, tag="petition.examined"):
    """Whether there is anything in it."""

    outcome: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """That it has been looked at."""
        assert isinstance(own, Petition)
        return structs.replace(own, checked=False)


class PetitionPassedOn(OwnFact, frozen=True, tag="petition.passed_on"):
    """Its work is to be done in this case, which it has asked. `borne`: it bears the case."""

    case: str
    borne: bool = False

    def keep(self, own: Own | None) -> Own:
        """The case that is asked, and none yet in which the work is done."""
        assert isinstance(own, Petition)
        return structs.replace(own, asked=self.case, case="", case_state="", before=False)


class PetitionJoined(OwnFact, frozen=True, tag="petition.joined"):
    """The case has answered: the work is done in it. `before`: the problem had been found before anybody complained of
    it (M77). `crowded`: it takes no more petitions."""

    case: str
    state: str
    before: bool = False
    over: bool = False
    crowded: bool = False

    def keep(self, own: Own | None) -> Own:
        """The case, unless it is crowded."""
        assert isinstance(own, Petition)
        if self.crowded:
            return structs.replace(own, asked="")
        return structs.replace(own, asked="", case=self.case, case_state=self.state, before=self.before)


class PetitionUntaken(OwnFact, frozen=True, tag="petition.untaken"):
    """The case of another home that was asked cannot take it: it has ended long ago, or there is none of that id."""

    case: str

    def keep(self, own: Own | None) -> Own:
        """Nothing is asked any more; the next word that wants its work done asks another case."""
        assert isinstance(own, Petition)
        return structs.replace(own, asked="" if own.asked == self.case else own.asked)


class PetitionCaseOver(OwnFact, frozen=True, tag="petition.case_over"):
    """The case in which its work is done has ended, in this state."""

    case: str
    state: str

    def keep(self, own: Own | None) -> Own:
        """The case that ended may be the one in which the first one goes on."""
        assert isinstance(own, Petition)
        return structs.replace(own, case=self.case, case_state=self.state)


class PetitionAnswered(OwnFact, frozen=True, tag="petition.answered"):
    """It was answered, in a stage (empty: the first). `late`: after the time that there was for it."""

    by: str
    found: str
    lane: str = ""
    stage: str = ""
    late: bool = False
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """One answer more; the last one counts."""
        assert isinstance(own, Petition)
        return structs.replace(own, answers=own.answers + 1, found=self.found, by=self.by, answer=self.token)


class PetitionWeighed(Fact, frozen=True, tag="petition.weighed"):
    """An answer counts in assessments as often as this is told: so often as its source weighs (M126)."""

    late: bool = False


class RewardProposed(OwnFact, frozen=True, tag="petition.reward_proposed"):
    """A report was found true, and the pack has a reward for it."""

    reward: str
    line: str
    amount_fen: int

    def keep(self, own: Own | None) -> Own:
        """One reward more."""
        assert isinstance(own, Petition)
        return structs.replace(own, rewards=(*own.rewards, Reward(self.reward, self.line, self.amount_fen)))


class RewardDecided(OwnFact, frozen=True, tag="petition.reward_decided"):
    """A reward was paid, or is refused."""

    line: str
    outcome: str
    amount_fen: int
    by: str
    document: str = ""

    def keep(self, own: Own | None) -> Own:
        """What has become of the reward of this line."""
        assert isinstance(own, Petition)
        decided = (structs.replace(r, outcome=self.outcome) if r.line == self.line else r for r in own.rewards)
        return structs.replace(own, rewards=tuple(decided))


class PetitionCodeGiven(OwnFact, frozen=True, tag="petition.code_given"):
    """Who asked got a code, of which this is the digest."""

    digest: str

    def keep(self, own: Own | None) -> Own:
        """The last one counts."""
        assert isinstance(own, Petition)
        return structs.replace(own, code=self.digest)


class PetitionRevisited(OwnFact, frozen=True, tag="petition.revisited"):
    """What who asked says of the answer."""

    outcome: str
    by: str
    stage: str = ""

    def keep(self, own: Own | None) -> Own:
        """The last word counts."""
        assert isinstance(own, Petition)
        return structs.replace(own, outcome=self.outcome)


class PetitionRaised(OwnFact, frozen=True, tag="petition.raised"):
    """It goes up to the next stage of its ladder (复查, 复核), at the grid above who has answered."""

    stage: str
    unit: str
    level: int
    was: str

    def keep(self, own: Own | None) -> Own:
        """The stage, and who has to answer now."""
        assert isinstance(own, Petition)
        return structs.replace(own, stage=self.stage, unit=self.unit, level=self.level, department="")


class PetitionReleased(OwnFact, frozen=True, tag="petition.released"):
    """What the public may be shown, and who says so."""

    shows: tuple[str, ...]
    by: str

    def keep(self, own: Own | None) -> Own:
        """The last word counts."""
        assert isinstance(own, Petition)
        return structs.replace(own, shows=self.shows)


CODE_GIVEN, DOOR = "petition.code_given", "door"
"""What the door says of itself, and the principal by which it does."""
FACTS: tuple[type[Fact], ...] = (
    PetitionTaken,
    PetitionGiven,
    PetitionExamined,
    PetitionPassedOn,
    PetitionJoined,
    PetitionUntaken,
    PetitionCaseOver,
    PetitionAnswered,
    PetitionWeighed,
    RewardProposed,
    RewardDecided,
    PetitionCodeGiven,
    PetitionRevisited,
    PetitionRaised,
    PetitionReleased,
)
PETITION = Kind(
    name="petition",
    events={
        "petition.submitted": EventType(
            Submitted,
            "信访登记",
            {
                "category": "D3-01",
                "channel": "phone",
                "grid": "WY01-01",
                "position": {"lon": 108.845, "lat": 34.385, "crs": "CGCS2000"},
                "reference": "2026-17",
                "evidence": [PHOTO],
                "address": "…",
                "description": "…",
                "name": "…",
                "contact": "…",
            },
            "Take in a petition",
        ),
        "petition.accepted": EventType(Accepted, "信访受理", {"into": OTHER}, "Take on"),
        "petition.rejected": EventType(Rejected, "不予受理", {"reason": "in_court"}, "Do not take on"),
        "petition.transferred": EventType(Transferred, "转办", {"to_grid": "WY02"}, "Give to another one"),
        "petition.examined": EventType(
            Examined, "先行核实", {"outcome": "confirmed", "evidence": [PHOTO]}, "Look first"
        ),
        "petition.attached": EventType(Attached, "关联", {"into": OTHER}, "Attach to a case"),
        "petition.answered": EventType(
            Answered, "答复", {"found": "true", "answer": "…", "evidence": [PHOTO]}, "Answer"
        ),
        "petition.revisited": EventType(Revisited, "回访", {"outcome": "satisfied", "note": "…"}, "Ask afterwards"),
        "petition.rewarded": EventType(Rewarded, "发放奖励", {"line": "report", "outcome": "paid"}, "Pay a reward"),
        CODE_GIVEN: EventType(CodeGiven, "查询码", {"digest": "0" * 64}, "Give a code", by=DOOR),
        "petition.ended": EventType(Ended, "信访办结", {}, "Settle"),
        "petition.withdrawn": EventType(Withdrawn, "信访撤回", {}, "Take back"),
        "petition.released": EventType(Released, "信访公开", {"shows": ["description"]}, "Release to the public"),
        "case.reopened": SERVICE_REQUEST.events["case.reopened"],
        **EXTENSIONS,
    },
    sends=OF_CASES | {UNSERVED: NotServed},
    facts=FACTS,
    own=Petition,
    words={
        "description": ("内容", "what was written"),
        "address": ("地址", "the address"),
        "media": ("图片", "pictures"),
        "phone": ("电话", "telephone"),
        "fax": ("传真", "fax"),
        "visit": ("来访", "visit"),
        "app": ("手机应用", "app"),
        "online": ("网上留言", "online"),
        "letter": ("来信", "letter"),
        "reexamination": ("复查", "re-examination"),
        "review": ("复核", "review"),
        "out_of_scope": ("不属受理范围", "out of scope"),
        "in_court": ("已进入诉讼、仲裁或行政复议", "before a court"),
        "answered_before": ("已有终结答复", "answered for good before"),
        "insufficient": ("材料不足", "not enough to go on"),
        "confirmed": ("属实", "it is so"),
        "true": ("属实", "true"),
        "partly": ("部分属实", "partly true"),
        "untrue": ("不属实", "untrue"),
        "no_report": ("非举报事项", "no report of a problem"),
        "satisfied": ("满意", "satisfied"),
        "dissatisfied": ("回访不满意", "not satisfied"),
        "leaves_it": ("不满意，不再申请", "not satisfied, and asks no more"),
        "report": ("有奖举报", "reward for a report"),
        "subsidy": ("以奖代补", "reward instead of a subsidy"),
        "paid": ("已发放", "paid"),
        "refused": ("不予发放", "not paid"),
        "unreachable": ("联系不上", "could not be reached"),
        **WORDS_OF_PROPOSALS,
    },
    reopens=True,
)
