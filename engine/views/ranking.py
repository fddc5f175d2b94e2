"""Rows of figures ranked among their peers, with what has changed since the period before. Pure.

1. Peers are the rows of one level: grids of one level, departments or posts of grids of one level; else all rows.
2. Place 1 is the best: the highest, or the lowest where that is better; of a figure that is neither, the highest. Equal
   ones share a place and say so, and the next place is as many further on (1, 1, 3). Rates are compared exactly.
3. A rate or a duration of fewer than the pack's `min_n` is thin and has no place, nor has what nothing is known of, nor
   a unit without a peer. These rows come after all others.
4. The period before is ranked in the same way, among the rows that it has. Its part is left out where it is thin there,
   or has no row. A rate's change is that of its basis points, which are rounded.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from msgspec import structs

from engine.views.figure_rows import FigureRow, RankBefore, Ranking, RowRank, Why
from workflows.definitions import DEFINITIONS
from workflows.figures import SHARES, Rate
from workflows.policy.index import Policy

OWN_RATES = frozenset(ratio.name for kind in DEFINITIONS.values() for ratio in kind.ratios)
"""Rates that only one kind of case has."""
DURATIONS = ("median_ms", "p90_ms", "consumed_median_ms", "consumed_p90_ms")


class Ranked(NamedTuple):
    """The value of a row: what is shown, what is compared, and whether it is made of too few."""

    shown: int | None
    exact: Fraction | None
    numerator: int | None
    denominator: int | None
    n: int | None
    thin: bool


def ranked(
    rows: Sequence[FigureRow], before: Sequence[FigureRow] | None, ranking: Ranking, by: str, register: Policy
) -> list[FigureRow]:
    """The rows with their places, sorted by level and place; those without one after them by key. `before`: the rows of
    the period before."""
    stood = placed(before or [], ranking, by, register)
    found = placed(rows, ranking, by, register)
    lines = []
    for row in rows:
        now, then = found[row.key], stood.get(row.key)
        if then is not None and then.value is not None and then.why in ("", "alone"):
            earlier = RankBefore(
                place=then.place,
                of=then.of,
                value=then.value,
                numerator=then.numerator,
                denominator=then.denominator,
                n=then.n,
            )
            moved = None if now.place is None or then.place is None else then.place - now.place
            change = None if now.value is None else now.value - then.value
            now = structs.replace(now, before=earlier, moved=moved, change=change)
        lines.append(structs.replace(row, rank=now))
    backwards = ranking.order == ("desc" if ranking.measure.better == "lower" else "asc")
    return sorted(lines, key=lambda row: sort_key(found[row.key], row.key, backwards))


def sort_key(rank: RowRank, key: str, backwards: bool) -> tuple[bool, int, int, str]:
    """Where a row comes: those with a place first, by level and place."""
    place = rank.place or 0
    return rank.place is None, rank.level or 0, -place if backwards else place, key


def placed(rows: Iterable[FigureRow], ranking: Ranking, by: str, register: Policy) -> dict[str, RowRank]:
    """The places of rows by their keys, each among the peers of its level."""
    valued = {row.key: value_of(row, ranking.measure.name, ranking.min_n) for row in rows}
    levels = {key: level_of(key, by, register) for key in valued}
    low_is_better, found = ranking.measure.better == "lower", dict[str, RowRank]()
    for key, value in valued.items():
        level, why = levels[key], why_not(value, levels[key])
        peers = [
            other.exact
            for unit, other in valued.items()
            if other.exact is not None and levels[unit] == level and not why_not(other, level)
        ]
        if not why and len(peers) == 1 and level is not None and by in PEERS:
            why = "alone"
        place, tied = None, False
        if not why and value.exact is not None:
            better = sum(1 for each in peers if (each < value.exact if low_is_better else each > value.exact))
            place, tied = better + 1, peers.count(value.exact) > 1
        found[key] = RowRank(
            place=place,
            tied=tied,
            of=len(peers),
            level=level if level != NOWHERE else None,
            why=why,
            value=value.shown,
            numerator=value.numerator,
            denominator=value.denominator,
            n=value.n,
        )
    return found


PEERS = ("grid", "department", "post")
"""Groupings whose units stand at a level."""
NOWHERE = 0
"""The level of a unit that the active pack does not have."""


def level_of(key: str, by: str, register: Policy) -> int | None:
    """The level of a unit, by its grid; None where units of this grouping have none."""
    if by not in PEERS:
        return None
    grid = key
    if by == "department":
        grid = register.departments[key].grid if key in register.departments else ""
    if by == "post":
        grid = register.posts[key].grid if key in register.posts else ""
    return register.grids[grid].level if grid in register.grids else NOWHERE


def why_not(value: Ranked, level: int | None) -> Why:
    """Why a value has no place; empty: it has one."""
    if value.exact is None:
        return "nothing"
    if value.thin:
        return "thin"
    return "unknown" if level == NOWHERE else ""


def value_of(row: FigureRow, measure: str, min_n: int) -> Ranked:
    """What a row has of a figure."""
    if measure in DURATIONS:
        ms: int | None = getattr(row, measure)
        return Ranked(ms, None if ms is None else Fraction(ms), None, None, row.durations_n, row.durations_n < min_n)
    rates: Mapping[str, Rate] = {name: getattr(row, name) for name in SHARES} | row.rates
    if measure in rates or measure in OWN_RATES:
        rate = rates.get(measure, Rate(0, 0, None, thin=True))  # a rare one is left out where it is of nothing
        exact = Fraction(rate.numerator, rate.denominator) if rate.denominator else None
        return Ranked(rate.basis_points, exact, rate.numerator, rate.denominator, rate.denominator, rate.thin)
    count = row.counts.get(measure, 0)
    return Ranked(count, Fraction(count), None, None, None, False)
