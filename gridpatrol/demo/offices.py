"""What offices of the demo's year say next of the cases that they have in hand: rungs, sheets and lots have borne them,
or other offices.

Whoever says it may say it by the rules' own look-ups; what becomes of it is not asked here. Chance is that of the seed,
the case and the day alone, so that the same year gives the same words, whatever else is asked.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from gridpatrol.demo import desks
from gridpatrol.demo.events import CloudEventWriter, mint
from gridpatrol.demo.hours import MINUTE, Gap, later, local
from gridpatrol.demo.incident_script import PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.rounds import EXCUSES, of_duty
from gridpatrol.demo.turns import LATE, LISTED_FOR, Turn, Words, is_late
from schemas.derived_ids import derived_subject
from workflows.case import Case, Missed
from workflows.decision import Decision
from workflows.exemptions import grid_of_appeal, grids_above, own_grids
from workflows.listing import listing_of
from workflows.periods import first_instant, following, holding
from workflows.policy.duties import is_owed
from workflows.policy.model import Post
from workflows.saying import pulls_of, silence_of

SLOW = 0.75
"""So often nobody finds the time to decide what was asked of a missed deadline: some is decided when the quarter has
been assessed."""
MISSED = "missed"
"""The state of a duty that was not kept."""
NOTES = ("已按要求整改，附现场照片", "已约谈责任单位，整改完成", "已补录巡查记录，纳入日常管理")
GROUNDS = ("tolerance", "force_majeure", "emergency", "other_orders", "coordination", "outage")


# ---- supervisions ---------------------------------------------------------------------------------------------


def of_supervision(turn: Turn) -> Words:
    """It is decided, served, answered, reviewed and cleared; some are refused, taken back, sent back, raised."""
    own, luck, state = turn.own, turn.luck, turn.case.state
    number = f"示例督〔{turn.today.year}〕{turn.rng.randint(1, 400)}号"
    if own.contested:
        return ("supervision.revoked", {"reason": "restated"}) if luck < 0.5 else ("supervision.upheld", UPHELD)
    match state:
        case "proposed" if luck < 0.1:
            return "supervision.refused", {"reason": "unfounded"}
        case "proposed" if luck < 0.18 and turn.case.by:
            return "supervision.withdrawn", {"reason": "settled"}
        case "proposed":
            until = (
                {"until": (turn.today + timedelta(days=LISTED_FOR)).isoformat()} if turn.lists and not own.until else {}
            )
            return "supervision.decided", {"document": number} | until
        case "approved" if luck < 0.05:
            return "supervision.revoked", {"reason": "error"}
        case "approved" | "elevated":
            return "supervision.served", {}
        case "served" | "sent_back" if own.answer:
            return of_the_unit(turn)
        case "answered":
            outcome = "sent_back" if luck < 0.25 and own.answers < 3 else "passed"
            return "supervision.reviewed", {"outcome": outcome}
        case "served" | "reviewed":
            return "supervision.cleared", {}
    return None


UPHELD = {"reason": "own_grounds"}


def of_the_unit(turn: Turn) -> Words:
    """The unit answers, perhaps late; now and then the office gives it to the next one above before."""
    late = turn.luck < LATE
    if late and not is_late(turn.case, turn.at):
        return None
    if (
        turn.luck > 0.88
        and turn.case.state == "served"
        and not turn.own.raised
        and turn.own.office != turn.case.path[0]
    ):
        return "supervision.raised", {}
    if turn.luck > 0.8 and turn.case.state == "served":
        return "supervision.revoked", {"reason": "unfounded"}
    return "supervision.answered", {"answer": turn.rng.choice(NOTES)}


# ---- tasks, sheets, draws -------------------------------------------------------------------------------------


def of_task(turn: Turn) -> Words:
    """It is claimed, comes forward, is reported done and checked; some go back, some are taken back."""
    own, luck = turn.own, turn.luck
    match turn.case.state:
        case "handed_down" if luck < 0.04:
            return "task.withdrawn", {"reason": "error"}
        case "handed_down":
            return "task.claimed", {}
        case "taken_on" | "sent_back":
            whole, done = Decimal(own.quantity), Decimal(own.done)
            if done >= whole:
                return "task.reported", {}
            more = min(whole, done + max(Decimal(1), whole * turn.rng.randint(2, 5) // 10))
            return "task.progressed", {"done": f"{more}", "items": list(own.items[: int(more)])}
        case "reported" if luck < 0.2 and not own.sent_back:
            return "task.checked", {"outcome": "returned", "due": (turn.today + timedelta(days=21)).isoformat()}
        case "reported":
            return "task.checked", {"outcome": "passed"}
        case "checked":
            return "task.ended", {}
    return None


def of_assessment(turn: Turn) -> Words:
    """A sheet is commented on and published, and a restated one signed."""
    own = turn.own
    if own.standing:
        return None
    match turn.case.state:
        case "computed":
            return "assessment.commented", {"hash": own.hash, "note": "本期排名靠后的单位应说明原因"}
        case "commented":
            return "assessment.published", {"hash": own.hash}
        case "restating":
            return "assessment.restated", {"hash": own.hash}
    return None


def of_visit(turn: Turn) -> Words:
    """Who visits finds most as it was closed; some places are gone."""
    if turn.luck < 0.1:
        return "visit.dropped", {"reason": "gone"}
    return "visit.recorded", {"outcome": "failed" if turn.luck < 0.3 else "held"}


# ---- problems -------------------------------------------------------------------------------------------------


def of_problem(turn: Turn) -> Words:
    """Of a missed deadline exemption is asked for, decided, and appealed where it was refused."""
    if turn.case.state == "verified" and not turn.case.holds and turn.case.id in turn.held:
        return "incident.closed", {"root_cause": "supervision"}
    for missed in reversed(turn.case.lapses):
        which = {"clock": missed.clock, "part": missed.level, "cycle": missed.cycle, "target": missed.target}
        chance, asked = turn.luck, missed.exemption
        if asked is None:
            ground = turn.rng.choice(GROUNDS)
            return ("exemption.requested", which | {"ground": ground, "note": "…"}) if chance < 0.8 else None
        if asked.stage == "refused":
            open_ = asked.until is not None and turn.at < asked.until
            return (APPEALED, which | {"note": "…"}) if open_ else None
        if turn.rng.random() < SLOW:
            return None
        if asked.stage == "requested":
            refused = chance < 0.5 or asked.ground == "tolerance"
            return ("exemption.refused", which | {"note": "…"}) if refused else ("exemption.granted", which)
        if asked.stage == "appealed":
            granted = chance < 0.7 and asked.ground != "tolerance"
            return ("exemption.granted", which) if granted else ("exemption.refused", which | {"note": "…"})
    return None


APPEALED = "exemption.appealed"


def appeal_of(trigger: str, data: dict[str, Any], missed: Missed | None) -> tuple[str, dict[str, Any]] | None:
    """Who has asked for exemption appeals at once where it is refused for the first time; None: there is nothing to."""
    asked = missed.exemption if missed is not None else None
    if trigger != "exemption.refused" or asked is None or asked.stage != "requested":
        return None
    return asked.by, data


ANSWERS: dict[str, Callable[[Turn], Words]] = {
    "supervision": of_supervision,
    "task": of_task,
    "assessment": of_assessment,
    "visit": of_visit,
    "incident": of_problem,
    "service_request": of_problem,
    "petition": desks.of_petition,
    "signal": desks.of_signal,
    "part": desks.of_part,
    "approval": desks.of_approval,
}
"""By kind of case what is said of one."""
BUSY = {
    "petition": 0.8,
    "signal": 1.0,
    "part": 0.7,
    "approval": 0.8,
    "assessment": 0.6,
    "task": 0.35,
    "incident": 0.5,
    "service_request": 0.5,
}
"""How likely somebody comes to a case of a kind on a day; to others, every other time."""


class Offices:
    """The offices of a locality."""

    def __init__(
        self, locality: Locality, seed: int, scripted: Collection[str] = (), busy: Mapping[str, int] | None = None
    ) -> None:
        """`scripted`: cases of which everything is said by others; `busy`: until when (ms) it is, of some."""
        self.locality, self.seed, self.scripted = locality, seed, scripted
        self.busy = dict(busy or {})
        self.writer = CloudEventWriter(locality, "/demo/year")
        self.asked = set[str]()  # cases for which a supervision was proposed

    def turn(self, cases: Iterable[Case], at: int) -> Iterator[dict[str, Any]]:
        """What is said of these cases from an instant (ms) on, one after another, a second apart."""
        today, now, ordered = local(at, self.locality.zone).date(), at, sorted(cases, key=lambda case: case.id)
        patrolled = [(case.id, case.group) for case in ordered if case.source == "patrol" and case.closed is None]
        for case in ordered:
            if at < self.busy.get(case.id, 0):
                continue
            rng = Random(f"{self.seed}:{case.id}:{at}")
            luck = Random(f"{self.seed}:{case.id}:{case.seq}").random()
            fate = Random(f"{self.seed}:{case.id}").random()
            action = self.locality.policy.actions.get(case.category)
            turn = Turn(case, case.own, at, today, rng, luck, fate, self.asked, action is not None and action.lists)
            turn = turn._replace(similar=[id_ for id_, group in patrolled if group == case.group])
            answer = ANSWERS.get(case.definition)
            words = answer(turn) if answer is not None and rng.random() < BUSY.get(case.definition, 0.5) else None
            if case.definition == "incident" and case.id not in self.scripted and case.closed is None:
                yield from (onwards := list(self.onwards(case, at)))
                if case.state == "awaiting_parts":
                    words = desks.of_lead(turn)
                elif onwards and words is not None and words[0] == "incident.closed":
                    words = None  # it is closed on its way
            if words is not None:
                trigger, data = words
                which = tuple(data.get(name) for name in ("clock", "part", "cycle", "target"))
                missed = next((each for each in case.lapses if each.key == which), None)
                if speakers := [
                    post for post in self.speakers(case, trigger, at) if self.may(post, trigger, missed, at)
                ]:
                    speaker = rng.choice(speakers)
                    planned = PlannedEvent(trigger, speaker.code, data, Gap(0))
                    now += 1000
                    yield self.writer.event(planned, case.id, f"{case.id}-{at}-{trigger}", now)
                    above = speaker.grid != self.locality.policy.root  # else nobody stands above who refused
                    if above and (appeal := appeal_of(trigger, data, missed)):
                        planned = PlannedEvent(APPEALED, *appeal, Gap(0))
                        now += 1000
                        yield self.writer.event(planned, case.id, f"{case.id}-{at}-{APPEALED}", now)
            for said in self.listing(turn, now):
                now += 1000
                yield said

    def onwards(self, case: Case, at: int) -> Iterator[dict[str, Any]]:
        """What is said of an incident that nobody has scripted, from an instant (ms) on to its end."""
        for planned in desks.way_of(self.locality, case, Random(f"{self.seed}:{case.id}:{at}:way")):
            minutes, before = planned.gap.minutes, at
            at = later(at, minutes, self.locality.zone) if planned.gap.working else at + round(minutes * MINUTE)
            at = self.busy[case.id] = max(at, before + 5000)
            yield self.writer.event(planned, case.id, f"{case.id}-{at}-{planned.trigger}", at)

    def patrols(self, cases: Iterable[Case], at: int, until: int, ended: Collection[str]) -> Iterator[dict[str, Any]]:
        """What posts record of duties that are owed while their grid is listed as a key area, of the periods that begin
        after an instant and up to another one (ms). What lists by a supervision that is `ended` is not asked."""
        policy, days = self.locality.policy, self.locality.policy.clock_of_days
        for case in sorted(cases, key=lambda case: case.id):
            listed = [each for each in getattr(case.own, "listings", ()) if each.by not in ended]
            home = case.id.rpartition(".")[0]
            for row, code in policy.duties_of(home) if listed else ():
                post, period = policy.posts[code], following(holding(row.period, days.local_day(at)))
                while row.listed and (starts := first_instant(period, days)) <= until:
                    held = listing_of(listed, policy.path(post.grid), policy, starts)
                    if held is not None and is_owed(row, post, period.first, policy):
                        subject = derived_subject(home, "duty", row.code, code, period.first, starts)
                        rng = Random(f"{self.seed}:{subject}")
                        for said in of_duty(self.locality, row, post, period, subject, at, rng):
                            id_ = f"{said.subject}-{said.at}"
                            yield self.writer.event(said.planned, said.subject, id_, said.at, said.arrival)
                    period = following(period)

    def listing(self, turn: Turn, at: int) -> Iterator[dict[str, Any]]:
        """Now and then a problem that is late is listed for supervision (挂牌督办), which bars it from ending."""
        case = turn.case
        if case.definition != "incident" or case.closed is not None or case.holds or not is_late(case, turn.at):
            return
        if turn.luck < 0.6 or case.id in self.asked:
            return
        self.asked.add(case.id)
        data = {"action": "listed", "about": case.id, "ground": "逾期未办结，群众反映强烈"}
        home = case.id.rpartition(".")[0]
        subject = mint(home, at, Random(f"{self.seed}:{case.id}:listed"))
        decides = "WY-SUPERVISOR" if case.owner.level > 2 else "XA-OFFICE"  # an office above the unit
        words = ("proposed", "WY-OFFICE"), ("decided", decides), ("served", decides)
        for number, (trigger, actor) in enumerate(words, 1):
            said = data if trigger == "proposed" else {}
            planned = PlannedEvent(f"supervision.{trigger}", actor, said, Gap(0))
            yield self.writer.event(planned, subject, f"{case.id}-listed-{number}", at + 1000 * number)

    def excuses(self, missed: Iterable[tuple[str, str]], at: int) -> Iterator[dict[str, Any]]:
        """Long after a quarter most of what was missed in it is excused, by subject and grid: then sheets change."""
        for number, (subject, grid) in enumerate(missed, 1):
            rng = Random(f"{self.seed}:{subject}:excused")
            above, posts = self.locality.policy.path(grid)[-2], self.locality.policy.posts
            who = next(code for code in (f"{above}-OFFICE", f"{above}-CHIEF") if code in posts)
            planned = PlannedEvent("duty.excused", who, {"reason": rng.choice(EXCUSES)}, Gap(0))
            if rng.random() < 0.8:
                yield self.writer.event(planned, subject, f"{subject}-excused", at + 500 + number * 1000)

    def may(self, post: Post, trigger: str, missed: Missed | None, at: int) -> bool:
        """Whether a post has to do with a missed deadline as what it says of it asks; with none, it may."""
        policy = self.locality.policy
        if missed is None or not trigger.startswith("exemption."):
            return True
        if trigger in ("exemption.requested", APPEALED):
            own = bool(missed.unit.department) or post.grid in own_grids(missed.unit, policy, at)
            return own and post.department == missed.unit.department
        asked = missed.exemption
        if asked is not None and asked.stage == "appealed":
            return post.grid == grid_of_appeal(asked.grid, policy, at)
        return post.grid in grids_above(missed.unit, policy, at)

    def speakers(self, case: Case, trigger: str, at: int) -> list[Post]:
        """The posts near a case that may say this of it now."""
        policy = self.locality.policy
        owner = case.owner
        grids = {*case.path, *(policy.path(owner.grid) if owner.grid in policy.grids else ())}
        grids |= {policy.posts[case.by].grid} if case.by in policy.posts else set()
        departments = {"", owner.department, getattr(case.own, "office_department", "")}
        departments |= {missed.unit.department for missed in case.lapses}
        grids |= {missed.unit.grid for missed in case.lapses}
        return [
            post
            for post in self.locality.posts
            if post.grid in grids
            and post.department in departments
            and post.role not in ("intake", "lot")
            and not silence_of(post, policy, at)
            and pulls_of(Decision(case, policy, policy, at, at, post.code), post, trigger)
        ]
