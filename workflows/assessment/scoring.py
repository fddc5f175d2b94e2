"""`score`: a sheet from a card and what was added up for it. Pure; whole numbers and exact fractions only.

1. A line is weight × clamp((v − zero_at) / (full_at − zero_at)) in hundredths of a point, rounded half up once. A bonus
   line is bounded by its cap instead of its weight, and comes on top of the total.
2. A rate is standardised directly: the rates of a subject by category group, weighed by the mix of its peer group, over
   the groups that it has. Two subjects with equal rates per group score equally, whatever their mix.
3. A line of fewer than min_n below the line is left out, and the total is scaled to the weight of the whole card. With
   less than half of the weight left a subject is thin: shown, and not placed.
4. The total is the sum of the rounded lines, scaled where one is left out, and of the bonus.
5. Place 1 is the highest total of the peer group; equal ones share a place, and the next is as many further on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from workflows.assessment.cards import Card, CardLine

FORM = 1
"""The form of `score`: another one gives other sheets of the same rows."""
HUNDREDTHS = 100
SHARE = 100 * HUNDREDTHS
"""A share of one, in hundredths of a percent."""


class Subject(Struct, frozen=True):
    """Who is assessed: its code, its peer group, and the path of its grid from the root down."""

    code: str
    peer: str
    path: tuple[str, ...]


class Tally(Struct, frozen=True):
    """Both sides of an indicator for one subject and group of categories."""

    subject: str
    indicator: str
    group: str
    above: int
    below: int


class Rows(Struct, frozen=True, kw_only=True):
    """What a sheet is made of: the pack, local days (YYYYMMDD, inclusive), and the instant (ms UTC) as of which all of
    it was known."""

    pack: str
    since: int
    until: int
    as_of: int
    subjects: tuple[Subject, ...]
    tallies: tuple[Tally, ...]


class GroupLine(Struct, frozen=True):
    """A group of categories in a rate: both sides of the subject, and the group's weight in the mix of its peers."""

    group: str
    above: int
    below: int
    mix: int


class ScoreLine(Struct, frozen=True, kw_only=True):
    """What a subject has of a line. `value` is in hundredths of the unit, `points` in hundredths of a point. Of a rate
    `below` are all cases below the line, whatever their group. `left_out`: made of too few, or of nothing."""

    indicator: str
    above: int
    below: int
    value: int | None
    points: int
    weight: int
    bonus: bool
    left_out: Literal["", "few", "nothing"]
    groups: tuple[GroupLine, ...]


class Score(Struct, frozen=True, kw_only=True):
    """What a subject comes to, in hundredths of a point, and its place among its peers: of so many (`of`) that have
    one. Thin ones have none."""

    subject: str
    peer: str
    total: int
    bonus: int
    place: int | None
    tied: bool
    of: int
    thin: bool
    lines: tuple[ScoreLine, ...]


class Sheet(Struct, frozen=True, kw_only=True):
    """A sheet (考核得分表). It names all that it follows from, and nothing that may change."""

    form: int
    pack: str
    card: str
    year: int
    period: str
    since: int
    until: int
    as_of: int
    scores: tuple[Score, ...]


class Valued(NamedTuple):
    """The value of a line in hundredths of its unit; None: there is nothing to divide by."""

    value: Fraction | None
    above: int
    below: int
    groups: tuple[GroupLine, ...]


ByGroup = Mapping[str, tuple[int, int]]
"""Both sides by group of categories."""


def score(card: Card, rows: Rows) -> Sheet:
    """The sheet of a card. Subjects stand in the order of their codes."""
    sides: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for each in rows.tallies:
        above, below = sides[each.indicator, each.subject].get(each.group, (0, 0))
        sides[each.indicator, each.subject][each.group] = (above + each.above, below + each.below)
    peers: dict[str, list[Subject]] = defaultdict(list)
    for subject in sorted(rows.subjects, key=lambda each: each.code):
        peers[subject.peer].append(subject)
    mixes = {
        (peer, line.indicator.code): mix_of(sides[line.indicator.code, each.code] for each in group)
        for peer, group in peers.items()
        for line in card.lines
    }
    scores = []
    for peer, group in peers.items():
        unplaced = []
        for subject in group:
            lines = []
            for line in card.lines:
                code = line.indicator.code
                lines.append(score_line(card, line, sides[code, subject.code], mixes[peer, code]))
            unplaced.append(scored(subject, lines))
        scores += placed(unplaced)
    return Sheet(
        form=FORM,
        pack=rows.pack,
        card=card.code,
        year=card.year,
        period=card.period,
        since=rows.since,
        until=rows.until,
        as_of=rows.as_of,
        scores=tuple(sorted(scores, key=lambda each: each.subject)),
    )


# ---- a line -------------------------------------------------------------------------------------------------


def mix_of(peers: Iterable[ByGroup]) -> dict[str, int]:
    """How much lies below the line in each group, of all peers together."""
    mix: dict[str, int] = defaultdict(int)
    for groups in peers:
        for group, (_, below) in groups.items():
            mix[group] += max(below, 0)
    return mix


def valued(line: CardLine, groups: ByGroup, mix: Mapping[str, int]) -> Valued:
    """A count is the sum of its groups; a rate is standardised to the mix of the peers."""
    above = sum(each[0] for each in groups.values())
    below = sum(each[1] for each in groups.values())
    lines = tuple(GroupLine(name, *groups[name], mix.get(name, 0)) for name in sorted(groups))
    if not line.indicator.denominator:
        return Valued(Fraction(above * HUNDREDTHS), above, 0, lines)
    known = [each for each in lines if each.below > 0]
    whole = sum(each.mix for each in known)
    if not whole:
        return Valued(None, above, below, lines)
    shares = sum((Fraction(each.mix * each.above, each.below) for each in known), Fraction(0))
    return Valued(SHARE * shares / whole, above, below, lines)


def score_line(card: Card, line: CardLine, groups: ByGroup, mix: Mapping[str, int]) -> ScoreLine:
    """What a subject has of a line."""
    row, found = line.row, valued(line, groups, mix)
    left_out: Literal["", "few", "nothing"] = ""
    if found.value is None:
        left_out = "nothing"
    elif line.indicator.denominator and found.below < card.least(line):
        left_out = "few"
    points = 0
    if found.value is not None and not left_out:
        share = max(Fraction(0), (found.value - row.zero_at) / (row.full_at - row.zero_at))
        most = (row.cap or row.weight) * HUNDREDTHS if row.bonus else row.weight * HUNDREDTHS
        points = min(most, half_up(row.weight * HUNDREDTHS * share))
    return ScoreLine(
        indicator=line.indicator.code,
        above=found.above,
        below=found.below,
        value=None if found.value is None else half_up(found.value),
        points=points,
        weight=row.weight,
        bonus=row.bonus,
        left_out=left_out,
        groups=found.groups,
    )


def half_up(value: Fraction) -> int:
    """The nearest whole number; of two equally near ones the higher."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


# ---- a subject ----------------------------------------------------------------------------------------------


def scored(subject: Subject, lines: Sequence[ScoreLine]) -> Score:
    """The total of a subject, without its place."""
    counted = [line for line in lines if not line.bonus and not line.left_out]
    present = sum(line.weight for line in counted)
    whole = sum(line.weight for line in lines if not line.bonus)
    total = sum(line.points for line in counted)
    if present and present != whole:
        total = half_up(Fraction(total * whole, present))
    bonus = sum(line.points for line in lines if line.bonus)
    return Score(
        subject=subject.code,
        peer=subject.peer,
        total=total + bonus,
        bonus=bonus,
        place=None,
        tied=False,
        of=0,
        thin=2 * present < whole or not present,
        lines=tuple(lines),
    )


def placed(peers: Sequence[Score]) -> list[Score]:
    """The scores of a peer group with their places."""
    totals = [each.total for each in peers if not each.thin]
    found = []
    for each in peers:
        place = None if each.thin else 1 + sum(1 for total in totals if total > each.total)
        tied = not each.thin and totals.count(each.total) > 1
        found.append(structs.replace(each, place=place, tied=tied, of=len(totals)))
    return found
