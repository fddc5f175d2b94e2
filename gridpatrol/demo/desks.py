"""What desks of the demo's year say of petitions, signals, parts and approvals that they have in hand, and of incidents
that came of one of these.

As in `gridpatrol.demo.offices`, whoever says it may say it by the rules' own look-ups, and chance is that of the seed.
"""

from random import Random
from typing import Any

from msgspec.structs import replace

from gridpatrol.demo.hours import MINUTE
from gridpatrol.demo.incident_script import IncidentScript, Later, PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.turns import Turn, Words, is_late
from workflows.case import Case

DAY = 24 * 60 * 60_000
ANSWERED = (
    "经核查属实，已督促整改",
    "经核查部分属实，已处理",
    "经现场核查，未发现所反映的问题",
    "已办理，感谢监督",
)
OUTCOMES = (("satisfied", 55), ("dissatisfied", 30), ("leaves_it", 8), ("unreachable", 7))
FOUND = (("true", 55), ("partly", 25), ("untrue", 15), ("no_report", 5))
OVER = ("closed", "rejected", "withdrawn", "force_closed")
"""States in which an incident is over."""
GROUNDS = ("papers", "hearing", "assessment")
BODIES = ("police_desk", "enforcement_team")


def drawn(rng: Random, shares: tuple[tuple[str, int], ...]) -> str:
    """One of some words, by its share."""
    return rng.choices([word for word, _ in shares], [share for _, share in shares])[0]


# ---- petitions ------------------------------------------------------------------------------------------------


def of_petition(turn: Turn) -> Words:
    """It is accepted, answered when its work is done, and who asked is asked; some go to another one, some go up."""
    own, luck, case = turn.own, turn.luck, turn.case
    match case.state:
        case "submitted" if luck < 0.06:
            return "petition.rejected", {"reason": "in_court"}
        case "submitted" if luck < 0.2 and case.owner.level == 2 and not own.department:
            return "petition.transferred", {"to_department": "WY-EPB"}
        case "submitted" if luck > 0.4 and turn.similar:
            return "petition.accepted", {"into": turn.rng.choice(turn.similar)}  # we had found it before
        case "submitted":
            return "petition.accepted", {"alone": True} if luck > 0.95 else {}
        case "examining":
            return "petition.examined", {"outcome": "untrue" if luck < 0.3 else "confirmed"}
        case "accepted" | "reexamination" | "review":
            return to_be_answered(turn)
        case "answered" | "revisited" if any(not reward.outcome for reward in own.rewards):
            line = next(reward.line for reward in own.rewards if not reward.outcome)
            decided = {"outcome": "refused"} if luck < 0.2 else {"outcome": "paid", "document": "示例发放1号"}
            return "petition.rewarded", {"line": line} | decided
        case "answered":
            if own.ladder and turn.fate > 0.6:
                return "petition.revisited", {"outcome": "dissatisfied"}  # all the way up
            outcome = "satisfied" if case.cycle > 2 else drawn(turn.rng, OUTCOMES)
            return "petition.revisited", {"outcome": outcome}
        case "revisited":
            return "petition.ended", {}
    return None


def to_be_answered(turn: Turn) -> Words:
    """More time is asked for, or it is answered, mostly when the case is over in which it is worked on."""
    own, case, luck = turn.own, turn.case, turn.luck
    clock = {"accepted": "response", "reexamination": "reexamine", "review": "recheck"}[case.state]
    due = next((each.due for each in case.clocks if each.name == clock), None)
    if case.proposals:
        granted = luck < 0.7 and due is not None and turn.at < due + 9 * DAY
        return ("extension.granted" if granted else "extension.refused"), {"clock": clock}
    if luck < 0.04 and not case.cycle:
        return "petition.withdrawn", {}
    if luck > 0.9 and due is not None and due > turn.at:
        later = Later((due + 10 * DAY - turn.at) / MINUTE)
        return "extension.requested", {"clock": clock, "due": later, "reason": "coordination", "note": "…"}
    working = (own.case and own.case_state not in OVER) or own.asked
    if working and turn.rng.random() < 0.8:
        return None
    return "petition.answered", {"found": drawn(turn.rng, FOUND), "answer": turn.rng.choice(ANSWERED)}


# ---- signals, parts -------------------------------------------------------------------------------------------


def of_signal(turn: Turn) -> Words:
    """What has to be looked at first is looked at."""
    if turn.case.state != "checking":
        return None
    if turn.luck < 0.5:
        return "signal.dismissed", {"reason": "false_alarm" if turn.luck < 0.3 else "maintenance"}
    return "signal.confirmed", {}


def of_part(turn: Turn) -> Words:
    """It is taken on and done, perhaps late; some come back. A neighbour's answer is entered."""
    luck = turn.luck
    match turn.case.state:
        case "entrusted" if luck < 0.2 and not turn.own.reopened:
            return "part.returned", {"reason": "not_our_duty" if luck < 0.1 else "not_our_area"}
        case "entrusted":
            return "part.accepted", {}
        case "taken_on":
            return "part.completed", {}
        case "written_to":
            outcome = "unwilling" if luck < 0.25 else "finished" if luck < 0.5 else "agreed"
            return "part.answered", {"outcome": outcome}
    return None


def of_lead(turn: Turn) -> Words:
    """Of a part that came back who stands above decides: nobody waits for it, or it is ordered once more."""
    parts = getattr(turn.own, "parts", ())
    back = next((part for part in parts if part.waited_for and part.returned), None)
    if back is None:
        return None
    if turn.luck < 0.6 or back.neighbour:
        return "parts.released", {"part": back.id, "reason": "no_answer" if back.neighbour else "not_theirs"}
    return "parts.ordered", {"owners": [back.department or back.grid], "limit": "5工作日"}


# ---- approvals ------------------------------------------------------------------------------------------------


def of_approval(turn: Turn) -> Words:
    """It is decided within the promise, or after it; its time stands still, something is referred, fees are entered."""
    own, luck, case, rng = turn.own, turn.luck, turn.case, turn.rng
    if own.pauses:
        return "approval.resumed", {"ground": own.pauses[0]}
    if own.referrals:
        outcome = rng.choice(("penalty", "case_filed", "unfounded"))
        return "approval.referral_answered", {"body": own.referrals[0], "outcome": outcome}
    if case.state != "examining":
        return None  # a permit ban holds
    hall = any(clock.name == "hall" for clock in case.clocks)
    if hall and not own.visits:
        return "approval.visited", {}
    if hall and turn.at - case.opened < 5 * DAY:
        return None
    fresh = not hall and not own.lines and len(own.bans) == 0
    if fresh and luck < 0.3:
        return "approval.paused", {"ground": rng.choice(GROUNDS)}
    if fresh and luck < 0.45:
        return "approval.referred", {"body": rng.choice(BODIES)}
    if not hall and luck > 0.55 and len(own.lines) < 3:
        return of_money(turn)
    if not hall and turn.fate < 0.15 and not is_late(case, turn.at, "statute"):
        return None  # forgotten until the law's time is over
    if not hall and turn.fate < 0.4 and not is_late(case, turn.at, "promise"):
        return None
    if luck < 0.03:
        return "approval.withdrawn", {}
    declined = 0.5 < luck < 0.55
    document = {"document": f"示例批复〔{turn.today.year}〕{rng.randint(1, 400)}号"}
    return "approval.decided", {"outcome": "declined" if declined else "granted"} | document


def of_money(turn: Turn) -> Words:
    """A fee or a compensation is entered, and some are taken back."""
    lines, day = turn.own.lines, {"day": turn.today.isoformat()}
    if len(lines) == 1 and turn.luck > 0.8:
        return "approval.line_reversed", {"line": 1} | day
    purpose = "fee" if turn.rng.random() < 0.7 else "compensation"
    return "approval.line_entered", {"purpose": purpose, "amount_fen": turn.rng.randint(5, 60) * 10_000} | day


# ---- an incident that nobody has scripted ---------------------------------------------------------------------


def way_of(locality: Locality, case: Case, rng: Random) -> list[PlannedEvent]:
    """What is said of an incident from where it stands to its end; nothing where it waits for others. Of parts that are
    done a check may find that one is not."""
    policy, parts = locality.policy, getattr(case.own, "parts", ())
    category = policy.categories.get(case.category)
    if category is None or case.holds or len(case.path) != locality.leaf_level or case.owner.grid not in policy.grids:
        return []
    script = IncidentScript(locality, rng, category, case.path[-1], case.source, state=case.state, cycle=case.cycle)
    known: dict[str, Any] = {"path": case.path, "touches": case.touches, "owner": case.owner, "by": case.by}
    script.case = replace(script.case, assisting=case.assisting, **known)
    checks = [level for level in case.checks if level < locality.leaf_level]
    complete = [part.id for part in parts if part.alive and part.complete]
    waited = any(part.waited_for for part in parts)
    try:
        while script.state in STEPS and len(script.events) < 40:
            match script.state:
                case "discovered":
                    script.dissuade("ineffective")
                case "dissuading":
                    script.report_up()
                case "reported":
                    script.accept()
                case "accepted" | "handling":
                    if not script.department and not waited and script.lead() and script.chance(0.4):
                        script.dispatch()
                    script.handled()
                    checks = list(script.checks())
                    if waited:
                        break  # it waits for them now
                case "feedback":
                    for level in checks:
                        script.check(level)
                    script.state = "verifying"
                case "verifying":
                    again = not script.cycle and script.chance(0.4 if complete else 0.1)
                    script.verify("unsolved" if again else "solved")
                    if again and complete:
                        script.events[-1].data["parts"] = complete[:1]
                        waited = True
                case "verified":
                    script.close()
    except LookupError:
        pass  # nobody may say the next thing; what was said so far stands
    return script.events


STEPS = ("discovered", "dissuading", "reported", "accepted", "handling", "feedback", "verifying", "verified")
"""States from which an incident goes on without anybody else."""
