"""Lints the ways by which petitions come in, and what reports are worth."""

from schemas.kinds.petition import STAGES
from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.public import MOST_WEIGHT

SOURCES, REWARDS, LIMITS = "sources.csv", "rewards.csv", "limits.csv"


def lint_sources(context: LintContext) -> None:
    """A source has a ladder of known stages in their order, and a weight; a lane of a limit is that of some source."""
    for index, source in enumerate(context.pack.sources):
        if source.ladder not in (STAGES[:length] for length in range(len(STAGES) + 1)):
            text = f"{source.code!r}: {';'.join(source.ladder)} is no ladder"
            remedy = f"write {STAGES[0]}, or {';'.join(STAGES)}, or leave it empty"
            context.error(SOURCES, index, "ladder", text, remedy)
        if not 1 <= source.weight <= MOST_WEIGHT:
            text = f"{source.code!r}: an answer cannot count {source.weight} times"
            context.error(SOURCES, index, "weight", text, f"write a number from 1 to {MOST_WEIGHT}, or leave it empty")
        if not source.basis:
            remedy = "say where it comes from, or write: ours"
            context.warning(SOURCES, index, "basis", "does not say where the source comes from", remedy)
    lanes = {source.lane for source in context.pack.sources}
    for index, row in enumerate(context.pack.limits):
        if row.lane and row.lane not in lanes:
            text = f"{row.lane!r} is the lane of no source: this row can never hold"
            context.error(LIMITS, index, "lane", text, one_of(sorted(lanes - {""})) + ", or leave it empty")


def lint_rewards(context: LintContext) -> None:
    """A reward has an amount, and holds for a category or a group that there is."""
    for index, reward in enumerate(context.pack.rewards):
        if reward.amount_fen <= 0:
            remedy = "write what it is worth in fen, 1/100 yuan"
            context.error(REWARDS, index, "amount_fen", f"{reward.code!r} is worth nothing", remedy)
        if reward.category and reward.category not in context.categories:
            text = f"{reward.code!r}: {reward.category!r} is no category"
            context.error(REWARDS, index, "category", text, "use a code of categories.csv, or leave it empty for any")
        if reward.group and reward.group not in context.groups:
            text = f"{reward.code!r}: {reward.group!r} is no group"
            context.error(REWARDS, index, "group", text, one_of(context.groups) + ", or leave it empty")
        if not reward.basis:
            remedy = "say where it comes from, or write: ours"
            context.warning(REWARDS, index, "basis", "does not say where the amount comes from", remedy)
