"""What an indicator adds up: its terms, and who found the problem of a case. Pure.

1. A term is a figure of one kind of case as `/v1/performance` names it, a stored measure or a sum of measures; a result
   of one clock, such as `on_time:handle`; or `expected`: for each duty the grids of its levels below the subject, once
   for each of its periods, whether a post is filled or not. So nobody's coverage rises by losing a post.
2. A problem is a unit's *own* where a post of the unit reported it: one whose grid lies in the unit's, one of the
   department, or the post itself. A post that the pack no longer has counts as the unit's own. It goes by the post and
   not by the source that the report claims. All other problems are found by *others*.
3. *Confirmed*: the unit's own, and counted by another post than the one that reported it, as by its check on site.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from workflows.figure_words import OF_CLOCK, meaning_of
from workflows.figures import COMPOSED, EACH, REPORTED, SHARES, weigh
from workflows.machine import Definition
from workflows.policy.index import Policy
from workflows.policy.model import IndicatorRow

EXPECTED = "expected"
"""The term that counts what duties are owed were every post filled."""
OF_OUTCOMES = ("on_time", "overdue", "without_deadline")
"""Results of one clock that are counted from clocks that stopped, and not from cells."""
COUNTED_OF_ANY = (REPORTED, *COMPOSED, *OF_OUTCOMES, "overdue_closed", "closed_late")
"""Counts that any kind of case has."""


class Counted(Struct, frozen=True):
    """So many of a measure, of one unit and group of categories, by the post that reported the case. `by_reporter`: the
    post that counts is that one."""

    key: str
    group: str
    measure: str
    reporter: str
    by_reporter: bool
    value: int


class Weights(NamedTuple):
    """The stored measures of an indicator with how often each is added, above the line and below it."""

    above: dict[str, int]
    below: dict[str, int]


class Sides(NamedTuple):
    """What stands above the line and below it."""

    above: int = 0
    below: int = 0


def plain_term(term: str) -> str:
    """A term without its sign."""
    return term.removeprefix("-")


def signed(terms: Iterable[str], sign: int = 1) -> dict[str, int]:
    """Terms with how often each is added."""
    return {plain_term(term): -sign if term.startswith("-") else sign for term in terms}


def weights_of(indicator: IndicatorRow, kind: Definition) -> Weights:
    """What an indicator is made of. `expected` stays as it is."""
    below = weigh(signed(indicator.denominator), kind.sums)
    for name, weight in weigh(signed(indicator.subtracted, -1), kind.sums).items():
        below[name] = below.get(name, 0) + weight
    return Weights(weigh(signed(indicator.numerator), kind.sums), {n: w for n, w in below.items() if w})


def is_term(kind: Definition, name: str) -> bool:
    """Whether a kind of case has a count of this name."""
    if name == EXPECTED:
        return kind.bears is not None
    first, _, clock = name.partition(":")
    if name in SHARES or name in {ratio.name for ratio in kind.ratios}:
        return False
    if not clock and name not in COMPOSED and first in OF_CLOCK and name not in COUNTED_OF_ANY:
        return False
    try:
        meaning_of(kind, name)
    except KeyError:
        return False
    return "." not in name and not name.endswith("_ms")


def clock_of_result(name: str) -> str:
    """The clock whose outcomes a term counts; empty: it counts cells."""
    first, _, clock = name.partition(":")
    return clock if first in OF_OUTCOMES else ""


def add_up(
    indicator: IndicatorRow, weights: Weights, counted: Iterable[Counted], is_own: Callable[[str, str], bool]
) -> dict[tuple[str, str], Sides]:
    """(subject, group) -> both sides of an indicator. `is_own` says of a unit and a reporter whether the problem is its
    own."""
    found: dict[tuple[str, str], Sides] = {}
    for each in counted:
        above, below = times(weights.above, each.measure), times(weights.below, each.measure)
        if not (above or below) or not counts(indicator.found, each, is_own):
            continue
        before = found.get((each.key, each.group), Sides())
        sides = Sides(before.above + above * each.value, before.below + below * each.value)
        found[each.key, each.group] = sides
    return found


def times(weights: Mapping[str, int], measure: str) -> int:
    """How often a stored measure is added."""
    if measure in weights:
        return weights[measure]
    return weights.get(f"{measure.partition(':')[0]}{EACH}", 0) if ":" in measure else 0


def counts(found: str, each: Counted, is_own: Callable[[str, str], bool]) -> bool:
    """Whether it counts by who found the problem."""
    if not found:
        return True
    own = is_own(each.key, each.reporter)
    return not own if found == "others" else own and (found == "own" or not each.by_reporter)


def own_posts(register: Policy, by: str, key: str) -> frozenset[str]:
    """The posts whose reports are a unit's own: of a grid all that stand in it and below, of a department its own."""
    if by == "grid":
        standing = (post for post in register.posts.values() if post.grid in register.grids)
        return frozenset(post.code for post in standing if key in register.path(post.grid))
    if by == "department":
        return frozenset(post.code for post in register.posts.values() if post.department == key)
    return frozenset({key})
