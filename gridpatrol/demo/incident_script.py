"""The script of one incident: what people say of it, each event by a post that may say it.

The script keeps the state that its author expects, by which the next event is chosen. The engine decides by itself, and
where it refuses an event the author was wrong. Instants inside data are `Later`: minutes after the event itself.
"""

import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from gridpatrol.demo.hours import Gap
from gridpatrol.demo.locality import WEIGHTS, Locality
from workflows.case import Case, Owner
from workflows.permissions import NOTHING, Claim
from workflows.policy.model import Category, Post
from workflows.routing import next_above, upward

INTAKES = {"hotline": "12345", "public": "PUBLIC", "sensor": "SENSOR", "camera": "CAMERA"}
MAIN_LINE = (
    "discovered",
    "dissuading",
    "reported",
    "accepted",
    "handling",
    "feedback",
    "verifying",
    "verified",
)
OPEN = (*MAIN_LINE, "returned", "suspended")
SEEN = ("巡查路段内发现，现场可见", "施工区域边缘，未见遮盖", "与上次位置相近", "路口附近，影响通行")
REPORTED_BY_PEOPLE = ("居民反映近日反复出现", "反映夜间较明显，白天较轻", "反映有异味，请核实", "反映已持续数日")
MEASURED = ("监测数值短时升高，请核实", "画面识别疑似问题，请核实")
DESCRIPTIONS = {
    "hotline": REPORTED_BY_PEOPLE,
    "public": REPORTED_BY_PEOPLE,
    "petition": REPORTED_BY_PEOPLE,
    "sensor": MEASURED,
    "camera": MEASURED,
}
REMARKS = ("已电话告知责任单位", "现场已拍照留存", "请关注周边路段", "责任单位表示配合", "已与社区沟通")
REPORTERS = {"hotline": "来电居民", "public": "附近居民", "petition": "来访居民"}


class Later(NamedTuple):
    """An instant: minutes after the event that carries it."""

    minutes: float


@dataclass
class PlannedEvent:
    """An event before it has an instant: what is said, by which post, how long after the one before it."""

    trigger: str
    actor: str
    data: dict[str, Any]
    gap: Gap
    offline: bool = False  # the phone had no network: it arrives with the next one that has


@dataclass
class IncidentScript:
    """An incident and what can be said of it. `events` has what was said so far, in order."""

    locality: Locality
    rng: Random
    category: Category
    leaf: str
    source: str = "patrol"
    slow: float = 0.0  # how likely a step takes longer than it may
    offline: float = 0.0  # how likely the member of the leaf grid is without network at first
    state: str = "awaited"
    cycle: int = 0
    case: Case = field(init=False)  # place, owner and reporter, as far as the question who may speak goes
    events: list[PlannedEvent] = field(default_factory=list)
    suspended_from: str = ""

    def __post_init__(self) -> None:
        path = self.locality.policy.path(self.leaf)
        self.case = Case(id="", category=self.category.code, group=self.category.group, path=path)
        self.away = self.rng.random() < self.offline

    # ---- saying --------------------------------------------------------------------------------------------

    @property
    def level(self) -> int:
        """The level of the grid that owns it."""
        return self.case.owner.level

    @property
    def department(self) -> str:
        """The department that owns it; "" where a grid does alone."""
        return self.case.owner.department

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.rng.random() < share

    def gap(self, clock: str, share: float = 1.0) -> Gap:
        """A share of what a clock allows: mostly well within, sometimes too long."""
        limit = self.locality.limit(clock, self.level or self.locality.leaf_level, self.category)
        factor = self.rng.uniform(1.1, 2.0) if self.chance(self.slow) else self.rng.uniform(0.15, 0.75)
        if limit.minutes > 960 and factor < 1:
            factor /= 3  # nobody needs all of fifteen days
        return Gap(limit.minutes * factor * share, limit.working)

    def say(self, trigger: str, gap: Gap, *levels: int, role: str = "", actor: str = "", **data: Any) -> PlannedEvent:
        """Let somebody say it who may, those who do the daily work more often. LookupError where nobody may."""
        event = PlannedEvent(trigger, actor or self._speaker(trigger, levels, role).code, data, gap)
        self.events.append(event)
        return event

    def _speaker(self, trigger: str, levels: tuple[int, ...] = (), role: str = "", claim: Claim = NOTHING) -> Post:
        posts = self.locality.speakers(trigger, self.case, levels, role, claim)
        if not posts:
            raise LookupError(f"nobody may say {trigger} of a case owned by {self.case.owner.grid}")
        return self.rng.choices(posts, [WEIGHTS.get(post.role, 1) for post in posts])[0]

    def evidence(self, *kinds: str) -> list[dict[str, Any]]:
        """Photos. A fingerprint is that of the phrase that names the photo, for there is none behind it."""
        found = []
        for kind in kinds:
            phrase = f"gridpatrol demo, photo {self.rng.getrandbits(40)} ({kind})"
            digest = hashlib.sha256(phrase.encode()).hexdigest()
            url = f"https://example.org/evidence/{digest[:24]}.jpg"
            found.append({"url": url, "sha256": digest, "kind": kind, "taken_at": Later(-1)})
        return found

    # ---- found, dissuaded, reported ------------------------------------------------------------------------

    def found(self, **extra: Any) -> None:
        """Somebody finds it, or hears of it. It begins with the finder while it can be dissuaded or handled there."""
        if self.source in INTAKES:
            posts = self.locality.speakers("report.submitted", self.case, role="intake")
            finder = next((post for post in posts if INTAKES[self.source] in post.code), posts[0])
        else:
            levels = {"patrol": (self.locality.leaf_level,), "inspection": (2, 3)}.get(self.source, ())
            role = {"supervision": "supervisor", "petition": "office"}.get(self.source, "")
            claim = Claim(self.source)
            leader = self.source == "inspection" and self.chance(0.15)  # 包抓领导实地检查
            sponsors = self.locality.speakers("report.submitted", self.case, levels, "sponsor", claim) if leader else []
            finder = self.rng.choice(sponsors) if sponsors else self._speaker("report.submitted", levels, role, claim)
        data: dict[str, Any] = {"category": self.category.code, "source": self.source}
        # A place by code, by position or by both.
        if self.source == "sensor" or self.chance(0.7):
            lon, lat = self.locality.inside(self.leaf, self.rng)
            data["position"] = {"lon": lon, "lat": lat, "accuracy_m": self.rng.randint(3, 30)}
        if "position" not in data or self.chance(0.7):
            data["grid"] = self.leaf
        if self.case.touches:
            data["touches"] = list(self.case.touches)
        if self.source in ("patrol", "inspection", "camera"):
            data["evidence"] = self.evidence("near", "far")
        if self.source in REPORTERS:
            data |= {"reporter_name": REPORTERS[self.source], "reporter_contact": "经受理岗位转接"}
        data["description"] = self.rng.choice(DESCRIPTIONS.get(self.source, SEEN))
        level = self.locality.level(finder)
        event = self.say("report.submitted", Gap(0), actor=finder.code, **(data | extra))
        event.offline = self.away = self.away and level == self.locality.leaf_level
        to = upward(self.case, self.locality.policy, self.locality.policy)
        self.state = "reported"
        if self.source == "patrol" and self.category.dissuade:
            self.state, to = "discovered", Owner(self.leaf, len(self.case.path))
        elif finder.role != "sponsor" and self.source in ("inspection", "supervision") and level == to.level:
            self.state = "accepted"
        self.case = replace(self.case, by=finder.code, owner=to)

    def dissuade(self, outcome: str) -> None:
        """Inform and dissuade on the spot (告知劝阻)."""
        self.say("dissuasion.recorded", self.gap("dissuade"), outcome=outcome).offline = self.away
        self.state = "verifying" if outcome == "effective" else "dissuading"

    def report_up(self, department: str = "") -> None:
        """Report to the grid with authority, or to a department (及时上报)."""
        data = {"to_department": department} if department else {}
        self.say("incident.reported_up", self.gap("report"), **data).offline = self.away
        self.away = False
        policy = self.locality.policy
        if department:
            self._give_to(policy.departments[department].grid, department)
        else:
            self._give_to(upward(self.case, policy, policy).grid)

    def _give_to(self, grid: str, department: str = "") -> None:
        """Another owner, who has not accepted it yet."""
        owner = Owner(grid, self.locality.policy.grids[grid].level, department)
        self.case, self.state = replace(self.case, owner=owner, assisting=()), "reported"

    # ---- accepted and handled ------------------------------------------------------------------------------

    def accept(self) -> None:
        """The owner takes it on (受理)."""
        self.say("incident.accepted", self.gap("accept"), role="handler" if self.department else "")
        self.state = "accepted"

    def escalate(self, reason: str) -> None:
        """To the next level that can decide."""
        self.say("incident.escalated", self.gap("accept"), reason=reason)
        above = next_above(self.case, reason, self.locality.policy, self.locality.policy)
        assert above is not None  # nobody may escalate from the top
        self._give_to(above.grid)

    def send_back(self, reason: str) -> None:
        """Not our duty (退回): to the grid of the place, which reported it first."""
        self.say("incident.returned", self.gap("accept"), reason=reason)
        self._give_to(self.leaf)
        self.state = "returned"

    def reassign(self, grid: str) -> None:
        """Another owner by order of the command centre (统一调度)."""
        self.say("incident.reassigned", self.gap("accept"), role="dispatcher", to_grid=grid)
        self._give_to(grid)

    def lead(self) -> str:
        """The department that leads here: the category's, if it serves this place; "" where none does."""
        serving = self._serving()
        return self.category.department if self.category.department in serving else next(iter(serving), "")

    def _serving(self) -> list[str]:
        """The departments of the grids around the place."""
        return [one.code for one in self.locality.policy.departments.values() if one.grid in self.case.path]

    def dispatch(self) -> None:
        """To a department, perhaps with others that assist (派遣)."""
        lead = self.lead()
        others = [code for code in self._serving() if code != lead]
        assisting = self.rng.sample(others, 1) if self.chance(0.3) else []
        data = {"lead": lead, "assisting": assisting} if assisting else {"lead": lead}
        self.say("incident.dispatched", self.gap("handle", 0.1), **data)
        owner = Owner(self.case.owner.grid, self.level, lead)
        self.case, self.state = replace(self.case, owner=owner, assisting=tuple(assisting)), "handling"

    def arrive(self) -> None:
        """The department is on site (到达现场)."""
        actor = self._handler("department.arrived")
        self.say("department.arrived", self.gap("handle", 0.2), actor=actor, department=self.department)
        self.state = "handling"

    def _handler(self, trigger: str) -> str:
        """The desk of the department that owns it; "" where a grid owns it alone."""
        posts = self.locality.speakers(trigger, self.case, role="handler")
        return next((post.code for post in posts if post.department == self.department), "")

    def order(self) -> None:
        """The responsible unit is ordered to put it right (督促责任单位整改)."""
        data: dict[str, Any] = {"requirement": "限期整改并报送结果"}
        if self.chance(0.4):
            data["limit"] = self.rng.choice(("4工作时", "1工作日", "2工作日"))
        actor = self._handler("rectification.ordered")
        self.say("rectification.ordered", self.gap("handle", 0.1), actor=actor, **data)
        self.state = "handling"

    def rectified(self) -> None:
        """A stage is done, says who watches it on site or the department."""
        self.say("rectification.completed", self.gap("handle", 0.4))

    def handled(self) -> None:
        """Handled: the levels below check on site."""
        data: dict[str, Any] = {"evidence": self.evidence("before", "after")} if self.chance(0.6) else {}
        self.say("handling.completed", self.gap("handle", 0.5), actor=self._handler("handling.completed"), **data)
        self.state = "feedback" if self.checks() else "verifying"

    # ---- checked and closed --------------------------------------------------------------------------------

    def checks(self) -> tuple[int, ...]:
        """The levels between the owner and the leaf, which check before it."""
        return tuple(range(self.level + 1, self.locality.leaf_level))

    def check(self, level: int, outcome: str = "solved") -> None:
        """A level between checks on site (现场核查)."""
        self.say("verification.recorded", self.gap("verify", 0.5), level, outcome=outcome)
        if level == self.locality.leaf_level - 1:
            self.state = "verifying"

    def verify(self, outcome: str) -> None:
        """The grid of the place checks last and decides; never the head of an enterprise over itself."""
        policy = self.locality.policy
        role = "member" if policy.grids[self.leaf].kind == "enterprise" else ""
        data: dict[str, Any] = {"outcome": outcome}
        if self.chance(0.5):
            data["evidence"] = self.evidence("after")
        event = self.say("verification.recorded", self.gap("verify"), self.locality.leaf_level, role=role, **data)
        event.offline = self.chance(self.offline / 2)
        if outcome == "solved":
            self.state = "verified"
            return
        self.cycle += 1
        self._give_to(self.case.path[policy.options.rework_level - 1])

    def close(self) -> None:
        """Closed (结案)."""
        self.say("incident.closed", self.gap("close"))
        self.state = "closed"

    # ---- beside the line -----------------------------------------------------------------------------------

    def suspend(self, reason: str, minutes: float | None = None) -> None:
        """Put aside, until a day or until it is taken up (挂账)."""
        data: dict[str, Any] = {"until": Later(minutes)} if minutes else {}
        self.say("incident.suspended", self.gap("accept"), reason=reason, **data)
        self.suspended_from, self.state = self.state, "suspended"

    def ask(self, what: str, **data: Any) -> None:
        """The department asks for more time, or to put it aside (申请延期、申请挂账)."""
        trigger = f"{what}.requested"
        self.say(trigger, self.gap("handle", 0.1), actor=self._handler(trigger), **data)

    def decide(self, what: str, granted: bool, **data: Any) -> None:
        """The chief above the department decides it."""
        policy, trigger = self.locality.policy, f"{what}.{'granted' if granted else 'refused'}"
        level = min(policy.grids[policy.departments[self.department].grid].level, self.level)
        self.say(trigger, Gap(30, working=True), level, role="chief", **data)
        if granted and what == "suspension":
            self.suspended_from, self.state = self.state, "suspended"

    def resume(self, gap: Gap) -> None:
        """Taken up again (恢复)."""
        self.say("incident.resumed", gap)
        self.state = self.suspended_from

    def end(self, how: str, **data: Any) -> None:
        """Ends beside the line: rejected, withdrawn, force_closed, merged."""
        trigger = f"incident.{how}"
        self.say(trigger, self.gap("accept"), actor=self.case.by if how == "withdrawn" else "", **data)
        self.state = how

    def remark(self) -> None:
        """Something that moves nothing: a remark, a photo, urging, another deadline."""
        soon = Gap(self.rng.uniform(1, 8))
        match self.rng.choices(("comment", "evidence", "urge", "deadline"), (5, 3, 2, 1))[0]:
            case "comment":
                self.say("comment.added", soon, text=self.rng.choice(REMARKS))
            case "evidence":
                self.say("evidence.added", soon, evidence=self.evidence("reference"))
            case "urge":
                self.say("incident.urged", soon)
            case _:
                self.say("deadline.ordered", soon, clock="total", limit=f"{self.rng.randint(2, 9)}工作日")

    def acknowledge(self, minutes: float) -> None:
        """A post of the grid that must act has seen its alerts (知悉). Only after one was surely raised."""
        grid, posts_at = self.case.owner.grid, self.locality.policy.posts_at
        posts = [*posts_at(grid, "member"), *posts_at(grid, "chief")]
        self.say("incident.acknowledged", Gap(minutes), actor=self.rng.choices(posts)[0])
