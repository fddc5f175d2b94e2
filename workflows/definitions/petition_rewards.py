"""The rewards of a petition (M61): proposed where a report is found true, one of each line, and decided by who pays."""

from schemas.kinds.petition import LINES, RewardDecided, Rewarded, RewardProposed
from schemas.refusals import Reason, Refusal
from workflows.decision import Decision
from workflows.definitions.petition_ladder import kept_by
from workflows.machine import Speaker


def propose_rewards(d: Decision) -> None:
    """Of each line of which none is proposed yet, the reward of the pack that fits best."""
    case, proposed = d.case, {reward.line for reward in kept_by(d.case).rewards}
    for line in LINES:
        rows = [row for row in d.rules.pack.rewards if row.line == line]
        fitting = [row for row in rows if row.category in ("", case.category) and row.group in ("", case.group)]
        if fitting and line not in proposed:
            row = max(fitting, key=lambda row: (bool(row.category), bool(row.group)))
            d.tell(RewardProposed(reward=row.code, line=line, amount_fen=row.amount_fen))


def reward(d: Decision, data: Rewarded, speaker: Speaker) -> Refusal | None:
    """A reward is paid or refused, once."""
    found = next((each for each in kept_by(d.case).rewards if each.line == data.line and not each.outcome), None)
    if found is None:
        return Refusal(Reason.IMPOSSIBLE, "data.line", "no reward of this line is proposed, or it is decided already")
    document, amount = data.document or "", found.amount_fen
    d.tell(RewardDecided(line=found.line, outcome=data.outcome, amount_fen=amount, by=d.by, document=document))
    return None


def has_a_reward(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some reward is proposed, and nobody has decided it."""
    if any(not each.outcome for each in kept_by(d.case).rewards):
        return None
    return Refusal(Reason.IMPOSSIBLE, "type", "no reward is proposed for it that nobody has decided")
