"""The assessment (考核): a sheet is computed, commented on, and published by who signs; what changes later is restated.

    computed > commented > announced        restating: another sheet is proposed, and published when it is signed

1. There is one for each card and period, in the home of the root; its id is derived from both. It speaks of sheets that
   are stored by their hashes. The assessor says that one was computed; the door takes that from nobody else.
2. A sheet that is computed anew takes the place of the current one, which it names. Before it is published it is to be
   commented on; afterwards it is the proposal of a restatement. When the published sheet is the right one again, the
   assessor names that, and the proposal is over.
3. Who comments, publishes or restates names the hash that he means: another than the current one is refused.
4. A sheet that names halted partitions, standing or quarantined cases is not published while it does.
"""

from schemas import facts
from schemas.envelope import to_ms
from schemas.kinds import assessment
from schemas.kinds.assessment import (
    COMPUTED,
    Assessment,
    AssessmentCommented,
    AssessmentComputed,
    AssessmentPublished,
    AssessmentRestated,
    Computed,
    SheetCommented,
    SheetPublished,
    SheetRestated,
)
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import birth, sla
from workflows.case import AWAITED, TOTAL, Case
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.figures import Measure
from workflows.machine import Effect, Speaker, State, Transition

STATES = (
    State(AWAITED, "待到", 1),
    State("computed", "已核算", 2),
    State("commented", "已点评", 3),
    State("announced", "已公布", 4, terminal=True),
    State("restating", "拟更正"),
)
OPEN = ("computed", "commented", "restating")

TRANSITIONS = (
    Transition(COMPUTED, (AWAITED,), "computed"),
    Transition(COMPUTED, ("computed",), "="),
    Transition(COMPUTED, ("commented",), "computed"),
    Transition(COMPUTED, ("announced",), "restating"),
    Transition(COMPUTED, ("restating",), "announced", ("as_published",)),
    Transition(COMPUTED, ("restating",), "="),
    Transition("assessment.commented", ("computed",), "commented"),
    Transition("assessment.commented", ("commented", "restating"), "="),
    Transition("assessment.published", ("commented",), "announced"),
    Transition("assessment.restated", ("restating",), "announced"),
    Transition("case.acknowledged", OPEN, "="),
    Transition("case.urged", OPEN, "="),
    Transition("case.evidence_added", (*OPEN, "announced"), "="),
    Transition("case.commented", (*OPEN, "announced"), "="),
)


def kept_by(case: Case) -> Assessment:
    """What an assessment keeps of its own."""
    assert isinstance(case.own, Assessment)
    return case.own


def as_published(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The sheet that is published is the right one again."""
    return isinstance(data, Computed) and data.hash == kept_by(case).published


def begin(d: Decision, data: Computed) -> Refusal | None:
    """The first sheet of a card and a period."""
    if data.previous is not None:
        return Refusal(Reason.IMPOSSIBLE, "data.previous", "nothing has been computed before: leave it out")
    tell_sheet(d, data)
    return None


def tell_sheet(d: Decision, data: Computed) -> None:
    """Tell which sheet is the current one."""
    d.tell(
        AssessmentComputed(
            card=data.card,
            period=data.period,
            as_of=to_ms(data.as_of),
            hash=data.hash,
            previous=data.previous or "",
            standing=data.standing,
        )
    )


def compute(d: Decision, data: Computed, speaker: Speaker) -> Refusal | None:
    """Another sheet of the same card and period takes the place of the current one."""
    kept, ended = kept_by(d.case), d.case.ended
    if (data.card, data.period) != (kept.card, kept.period):
        return Refusal(Reason.INVALID, "data.card", f"this case is of {kept.card}, {kept.period}")
    if data.previous != kept.hash:
        return Refusal(Reason.IMPOSSIBLE, "data.previous", f"the current sheet is another one: {kept.hash}")
    if d.case.state == "announced" and ended is not None:
        judged = d.judged(d.case.judged)
        d.tell(facts.Reopened(cycle=d.case.cycle + 1, reason="restated", by=d.by, judged=judged, looped=False))
        sla.go_on(d, ended)
    tell_sheet(d, data)
    return None


def refuse_other(d: Decision, named: str) -> Refusal | None:
    """Why nothing is said of a sheet: it is not the current one."""
    current = kept_by(d.case).hash
    if named == current:
        return None
    return Refusal(Reason.IMPOSSIBLE, "data.hash", f"the current sheet is another one: read {current} first")


def refuse_standing(d: Decision) -> Refusal | None:
    """Why the current sheet is not published: it names what stands still."""
    standing = kept_by(d.case).standing
    if not standing:
        return None
    detail = f"the sheet names {standing} halted partitions, standing or quarantined cases: it is computed anew "
    return Refusal(Reason.IMPOSSIBLE, "type", detail + "when they go on, and published then")


def comment(d: Decision, data: SheetCommented, speaker: Speaker) -> Refusal | None:
    """A comment on the current sheet."""
    refused = refuse_other(d, data.hash)
    if refused is None:
        d.tell(AssessmentCommented(hash=data.hash, by=d.by, token=d.token))
    return refused


def publish(d: Decision, data: SheetPublished, speaker: Speaker) -> Refusal | None:
    """The current sheet is signed and published."""
    refused = refuse_other(d, data.hash) or refuse_standing(d)
    if refused is None:
        d.tell(AssessmentPublished(hash=data.hash, by=d.by))
    return refused


def restate(d: Decision, data: SheetRestated, speaker: Speaker) -> Refusal | None:
    """The current sheet is signed and takes the place of the published one."""
    refused = refuse_other(d, data.hash) or refuse_standing(d)
    if refused is None:
        d.tell(AssessmentRestated(before=kept_by(d.case).published, after=data.hash, by=d.by))
    return refused


EFFECTS: dict[str, Effect] = {
    **EFFECTS_OF_ANY,
    COMPUTED: compute,
    "assessment.commented": comment,
    "assessment.published": publish,
    "assessment.restated": restate,
}

ASSESSMENT = define(
    assessment.ASSESSMENT,
    "考核",
    STATES,
    TRANSITIONS,
    (as_published,),
    births={COMPUTED: birth.plain("assessment", begin)},
    effects=EFFECTS,
    admits=ADMITS_OF_ANY,
    measures=(
        Measure("sheets", AssessmentComputed, zh="核算的次数", en="sheets that were computed"),
        Measure("restatements", AssessmentRestated, zh="更正的次数", en="published sheets that were restated"),
    ),
    sentences={
        AssessmentComputed: "核算 computed: {card} {period} ({hash})",
        AssessmentCommented: "点评 commented on {hash}",
        AssessmentPublished: "公布 published: {hash}",
        AssessmentRestated: "更正 restated: {before} → {after}",
    },
    fulfils={COMPUTED: (TOTAL,), "assessment.published": (TOTAL,), "assessment.restated": (TOTAL,)},
    listed="asked",
    needs="scorecards",
)
