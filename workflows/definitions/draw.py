"""The audit draw (抽查): ordered by an office, computed by the server, finished once its visits are done (M97).

    undrawn > drawn > finished        beside: called_off

1. It is drawn from the cases of a kind that lie in its grid, or in the whole home, and were closed in its days, as
   known at the arrival of the order. The server draws (`engine.operations.draws`): the list goes over partitions.
2. The lot falls by random bytes that the door has written into the order's record: the smallest of SHA-256(bytes, id).
   So whoever orders does not choose, and all can recompute it afterwards.
3. It is concealed until every visit is done: bytes and list together tell whom the lot fell on. The post that ordered
   it reads it, and those of its office that visit.
4. What the server says of it, `computed` and `finished`, the door takes from nobody else.
"""

from schemas import facts
from schemas.envelope import to_ms
from schemas.kinds import draw
from schemas.kinds.draw import Computed, DrawComputed, DrawOrdered, DrawPassed, Ordered
from schemas.refusals import Reason, Refusal
from workflows import birth, effects
from workflows.case import AWAITED, TOTAL, Owner
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions.any_case import ADMITS_OF_ANY, EFFECTS_OF_ANY
from workflows.machine import Birth, Speaker, State, Transition

UNDRAWN, DRAWN = "undrawn", "drawn"
COMPUTED, FINISHED = "draw.computed", "draw.finished"
STATES = (
    State(AWAITED, "待到", 1),
    State(UNDRAWN, "已下令", 2, concealed=True),
    State(DRAWN, "已抽取", 3, concealed=True),
    State("finished", "抽查完成", 4, terminal=True),
    State("called_off", "已取消", terminal=True, concealed=True),
)
OPEN = (UNDRAWN, DRAWN)

TRANSITIONS = (
    Transition("draw.ordered", (AWAITED,), UNDRAWN),
    Transition("draw.passed", (UNDRAWN,), "="),
    Transition(COMPUTED, (UNDRAWN,), DRAWN),
    Transition(FINISHED, (DRAWN,), "finished"),
    Transition("draw.called_off", OPEN, "called_off"),
    Transition("case.acknowledged", OPEN, "="),
)


def begin(d: Decision, data: Ordered, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell where it is drawn, what from, and by which bytes."""
    since, before = to_ms(data.since), to_ms(data.before)
    refused = birth.refuse_grid(
        d.register, d.judged(0), data.grid or home, home, "data.grid" if data.grid else "subject"
    )
    if refused is None and before <= since:
        refused = Refusal(Reason.INVALID, "data.before", "must lie after data.since")
    if refused is None and before > d.arrival:
        refused = Refusal(Reason.INVALID, "data.before", "must have passed: what is closed later cannot be drawn")
    if refused is None and not d.seed:
        detail = "no random bytes came with it: order it through a door of this release"
        refused = Refusal(Reason.INVALID, "type", detail)
    if refused:
        return refused
    d.tell(
        facts.Born(
            definition=draw.DRAW.name,
            policy=d.rules.hash,
            by=d.by,
            path=d.register.path(d.register.standing(data.grid or home, d.judged(0))),
            occurred=d.instant,
            judged=d.judged(0),
        )
    )
    told = DrawOrdered(share=data.share, since=since, before=before, of=data.of, seed=d.seed, known_at=d.arrival)
    d.tell(told)
    return None


def to_its_office(d: Decision, data: Ordered, speaker: Speaker, state: str) -> Refusal | None:
    """The office of the post that orders it has it in hand."""
    effects.assign(d, Owner(speaker.grid, speaker.level), "begun")
    return None


def note_passed(d: Decision, data: object, speaker: Speaker) -> Refusal | None:
    """The time of its home has passed the order."""
    d.tell(DrawPassed())
    return None


def compute(d: Decision, data: Computed, speaker: Speaker) -> Refusal | None:
    """Tell what was drawn."""
    d.tell(DrawComputed(cases=data.cases, digest=data.digest, hits=data.hits))
    return None


def of_its_office(d: Decision, speaker: Speaker) -> Refusal | None:
    """While it is concealed only who ordered it and posts of the office say something of it."""
    if speaker.post == d.case.by or speaker.grid == d.case.owner.grid:
        return None
    return Refusal(Reason.FORBIDDEN, "actor", "this is for the office that ordered the draw")


DRAW = define(
    draw.DRAW,
    "抽查",
    STATES,
    TRANSITIONS,
    (),
    births={"draw.ordered": Birth(begin, to_its_office)},
    effects={
        **EFFECTS_OF_ANY,
        "draw.passed": note_passed,
        COMPUTED: compute,
        "draw.called_off": effects.note("called_off"),
    },
    admits={**ADMITS_OF_ANY, "draw.called_off": of_its_office},
    sentences={
        DrawOrdered: "抽查令 ordered: {share} %",
        DrawPassed: "清单截止 the list is final",
        DrawComputed: "抽取 drawn: {hits} of {cases}, list {digest}",
    },
    fulfils={FINISHED: (TOTAL,)},
    listed="asked",
    wakes="draw.passed",
)
