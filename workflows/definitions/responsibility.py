"""The signature (签字认领, M66): a post takes on the list of responsibilities of its body.

    signed        beside: list_changed

1. It lies at the grid of the body, and is over as it begins: who has signed is read from such cases.
2. Only a post that signs for the body may say it, and only of the list as the active pack has it: a hash of another
   list is refused with the one that holds.
3. A list that changes asks again, since its hash is another one. The list of before, active again, is signed already.
4. Where a pack becomes active in which a list is another one, the home of its body says so, once for each hash: a case
   that is over as it begins, by which those are told who have to sign (`notices.csv`, word `signers`).
"""

from collections.abc import Sequence

from schemas import facts
from schemas.kinds import responsibility
from schemas.kinds.responsibility import CHANGED, Changed, ResponsibilityChanged, ResponsibilitySigned, Signed
from schemas.refusals import Reason, Refusal
from workflows import birth, effects
from workflows.case import AWAITED, TOTAL, Case
from workflows.decision import Decision
from workflows.define import define
from workflows.machine import Birth, State, Transition
from workflows.responsibility import list_hash, signers

SIGNED = "responsibility.signed"
STATES = (
    State(AWAITED, "待到", 1),
    State("signed", "已签", 2, terminal=True),
    State("list_changed", "清单有变", terminal=True),
)
TRANSITIONS = (Transition(SIGNED, (AWAITED,), "signed"), Transition(CHANGED, (AWAITED,), "list_changed"))


def sign(d: Decision, data: Signed, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Tell who signs which list, if it is the one that holds."""
    register, at = d.register, d.judged(0)
    body = register.bodies.get(data.body)
    if body is None:
        return effects.unknown_code("data.body", "body")
    refused = birth.refuse_grid(register, at, body.grid, home, "subject")
    if refused:
        return refused
    if d.by not in signers(register, body):
        return Refusal(Reason.FORBIDDEN, "actor", "this post signs for another body: the pack says who signs for this")
    current = list_hash(register, body)
    if data.list != current:
        detail = f"the list of this body is another one now: read it, and sign {current}"
        return Refusal(Reason.INVALID, "data.list", detail)
    path = register.path(register.standing(body.grid, at))
    definition, policy = responsibility.RESPONSIBILITY.name, d.rules.hash
    d.tell(facts.Born(definition=definition, policy=policy, by=d.by, path=path, occurred=d.instant, judged=at))
    d.tell(ResponsibilitySigned(body=body.code, list=current))
    return None


def ask_anew(d: Decision, data: Changed, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Tell whose list has changed."""
    register, at = d.register, d.judged(0)
    body = register.bodies.get(data.body)
    if body is None:
        return effects.unknown_code("data.body", "body")
    path = register.path(register.standing(body.grid, at))
    definition, policy = responsibility.RESPONSIBILITY.name, d.rules.hash
    d.tell(facts.Born(definition=definition, policy=policy, by="", path=path, occurred=d.instant, judged=at))
    d.tell(ResponsibilityChanged(body=data.body, list=data.list))
    return None


RESPONSIBILITY = define(
    responsibility.RESPONSIBILITY,
    "责任清单签认",
    STATES,
    TRANSITIONS,
    (),
    births={
        SIGNED: Birth(sign, lambda d, data, speaker, state: None),
        CHANGED: Birth(ask_anew, lambda d, data, speaker, state: None),
    },
    effects={},
    sentences={
        ResponsibilitySigned: "签字认领 signed for {body}",
        ResponsibilityChanged: "清单有变，请重新签字认领 the list of {body} has changed: sign it anew",
    },
    fulfils={SIGNED: (TOTAL,), CHANGED: (TOTAL,)},
    listed="asked",
    needs="responsibilities",
)
