"""What a sheet proposes (奖惩建议). Pure; a proposal is data, and nothing happens by it.

1. `last:3` are the three lowest totals of each peer group, `last:3@2` those within each grid of level 2, `first:3` the
   highest, `below:60` all with fewer than 60 points. `twice:` before it: only who is meant in the period before, too.
2. Only who has a place is proposed. By `last` and `first` nobody is unless more than 2n have one (ours).
3. A tie across the cut is proposed whole, and marked. Who shares the best total is never among the last, nor who shares
   the lowest among the first (ours): where all are equal nobody is proposed.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from workflows.assessment.cards import Card
from workflows.assessment.scoring import HUNDREDTHS, Score, Sheet

_WHEN = re.compile(r"(twice:)?(?:(last|first):([1-9]\d{0,3})(?:@([1-9]\d?))?|below:(\d{1,5}))", re.ASCII)


class When(NamedTuple):
    """A condition on a sheet. `n` are places, or points; `level` that of the grids within which it is asked, 0: in the
    peer group."""

    what: Literal["last", "first", "below"]
    n: int
    level: int = 0
    twice: bool = False


class Proposal(Struct, frozen=True, kw_only=True):
    """An action that a sheet proposes for a subject, with its place within the grid in which it was asked (empty: the
    peer group). `tied`: it shares the last total that is meant, with more than were asked for."""

    rule: str
    action: str
    subject: str
    within: str
    place: int
    of: int
    total: int
    tied: bool
    basis: str


def parse_when(text: str) -> When | None:
    """A condition as a pack writes it; None where it is none."""
    match = _WHEN.fullmatch(text)
    if match is None:
        return None
    twice, what, count, level, points = match.groups()
    if points is not None:
        return When("below", int(points), twice=bool(twice))
    return When("last" if what == "last" else "first", int(count), int(level or 0), bool(twice))


def propose(card: Card, sheet: Sheet, paths: Mapping[str, tuple[str, ...]], before: Sheet | None) -> list[Proposal]:
    """What a sheet proposes, in the order of the rules. `paths` has the grids of each subject from the root down,
    `before` the sheet of the period before."""
    found = []
    for row in card.consequences:
        when = parse_when(row.when)
        if when is None:
            continue
        earlier = None
        if when.twice:
            earlier = {hit.score.subject for hit in meant(when, before, paths)} if before is not None else set()
        found += [
            Proposal(
                rule=row.when,
                action=row.action,
                subject=hit.score.subject,
                within=hit.within,
                place=hit.place,
                of=hit.of,
                total=hit.score.total,
                tied=hit.tied,
                basis=row.basis,
            )
            for hit in meant(when, sheet, paths)
            if earlier is None or hit.score.subject in earlier
        ]
    return found


class Hit(NamedTuple):
    """A score that a condition means."""

    score: Score
    within: str
    place: int
    of: int
    tied: bool


def meant(when: When, sheet: Sheet, paths: Mapping[str, tuple[str, ...]]) -> list[Hit]:
    """Those that a condition means, the best first."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in sheet.scores:
        if score.place is not None:
            path = paths.get(score.subject, ())
            within = path[when.level - 1] if 0 < when.level <= len(path) else ""
            groups[score.peer, within].append(score)
    found = []
    for (_, within), scores in sorted(groups.items()):
        totals = [score.total for score in scores]
        for score in sorted(scores, key=lambda each: (-each.total, each.subject)):
            place = 1 + sum(1 for total in totals if total > score.total)
            chosen, tied = is_meant(when, score.total, totals)
            if chosen:
                found.append(Hit(score, within, place, len(totals), tied))
    return found


def is_meant(when: When, total: int, totals: list[int]) -> tuple[bool, bool]:
    """Whether a condition means a total among these, and whether by a tie across the cut."""
    if when.what == "below":
        return total < when.n * HUNDREDTHS, False
    if len(totals) <= 2 * when.n:
        return False, False
    ranked = sorted(totals, reverse=when.what == "first")
    cut, other_end = ranked[when.n - 1], ranked[-1]
    among = total <= cut if when.what == "last" else total >= cut
    tied = total == cut and ranked[when.n] == cut
    return among and total != other_end, tied
