"""The moves of a case that may tell somebody (告知): the words of `notices.csv`, and the facts that each rests on."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas import facts
from schemas.joint import PartReturned
from schemas.kinds.petition import PetitionCaseOver
from schemas.kinds.responsibility import ResponsibilityChanged
from schemas.kinds.supervision import SupervisionContested, SupervisionServed
from schemas.members import Fact
from workflows.policy.model import NoticeRow

ASKED = "asked"
"""The move by which something is proposed that somebody above decides."""
PUBLISHED = "published"
"""The move by which an act against an enterprise that is told in public is in force, or is no more (M123)."""
MEANS: dict[str, tuple[type[Fact], ...]] = {
    "returned": (facts.Returned,),
    "reassigned": (facts.Assigned,),
    "urged": (facts.Urged,),
    "check": (facts.Held, facts.Moved),
    "assigned": (facts.Held, facts.Moved, facts.Resumed),
    "looped": (facts.Reworked, facts.Reopened),
    ASKED: (
        facts.Proposed,
        facts.ExemptionRequested,
        facts.ExemptionAppealed,
        SupervisionContested,
        PartReturned,
        ResponsibilityChanged,
    ),
    "decided": (facts.ClockRetargeted, facts.Moved, facts.ProposalDecided, facts.ExemptionDecided),
    "merged": (facts.Moved, facts.Absorbed),
    "ended": (facts.Moved, facts.SurvivorEnded, PetitionCaseOver),
    "copied": (facts.Copied,),
    "moved": (facts.Moved,),
    PUBLISHED: (SupervisionServed, facts.Moved),
}
MOVES = tuple(MEANS)
"""What a step may mean to somebody. Of several that reach a post the first one counts."""
REPORTER = "reporter"
"""The word for who reported the case."""
TO_ACT = frozenset({"returned", "reassigned", "check", "assigned"})
"""Moves that bring work."""


class Telling(NamedTuple):
    """Whom the moves of a kind of case tell, as words by the move, without the reporter; the facts without which nobody
    is told; and the moves that tell the reporter."""

    words: dict[str, tuple[str, ...]]
    facts: frozenset[type[Fact]]
    reported: frozenset[str]


def compile_notices(rows: Iterable[NoticeRow], definition: str, category: str = "") -> Telling:
    """The rows for a kind of case: of each move its own row, else that of every kind; and of these that of the category
    or action, else that of all."""
    known = tuple(rows)
    selectors = [(kind, of) for kind in ("", definition) for of in ("", category)]
    words = {row.on: row.tell for each in selectors for row in known if (row.definition, row.category) == each}
    words = {move: words[move] for move in MOVES if words.get(move)}
    others = {move: tuple(word for word in told if word != REPORTER) for move, told in words.items()}
    reported = frozenset(move for move, told in words.items() if REPORTER in told)
    return Telling(others, frozenset(fact for move in words for fact in MEANS[move]), reported)
