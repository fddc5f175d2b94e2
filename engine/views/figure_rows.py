"""The lines of an answer about figures, what their counts are called, and how they are ranked."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from schemas.facts import PASSED_ON, VOID
from workflows.definitions import ENDINGS
from workflows.figure_words import FigureMeaning
from workflows.figures import CLOSED, Rate

CLOSING = tuple(sorted(trigger for trigger, measure in ENDINGS.items() if measure == CLOSED))
"""The triggers that close a case."""
FULFILLED = ("on_time", "overdue", "without_deadline")
"""Results of clocks whose work was done."""
UNFULFILLED = (PASSED_ON, VOID)
"""Results of clocks whose work was not done: neither on time nor overdue."""
CHARGED = ("breach", "exempted", "claimed", *UNFULFILLED)
"""Measures of clocks; behind a colon follows the clock's name. By post they are those of clocks that posts hold."""
Why = Literal["", "thin", "nothing", "alone", "unknown"]


class RankBefore(Struct, frozen=True, kw_only=True):
    """How a row stood in the period before: its place among so many, and its value."""

    place: int | None
    of: int
    value: int
    numerator: int | None = None
    denominator: int | None = None
    n: int | None = None


class RowRank(Struct, frozen=True, kw_only=True):
    """The place of a row among the peers of its level; None where it has none, and `why`: made of too few (thin), of
    nothing, alone at its level, or of a unit that the active pack does not have (unknown). `of`: so many have a place.

    `value` is a count, milliseconds, or the basis points of a rate, whose both sides stand beside it; `n` says of how
    many a rate or a duration is made. `moved` says how
    many places it has gained since the period before, and `change` by how much its value has changed.
    """

    place: int | None
    tied: bool = False
    of: int = 0
    level: int | None = None
    why: Why = ""
    value: int | None = None
    numerator: int | None = None
    denominator: int | None = None
    n: int | None = None
    moved: int | None = None
    change: int | None = None
    before: RankBefore | None = None


class Ranking(Struct, frozen=True, kw_only=True):
    """By what the rows are ranked and how they are sorted, and with which period they are compared (empty: with none).
    While `period_over` is false the period runs still, and the one before is whole."""

    measure: FigureMeaning
    order: str
    min_n: int
    before_since: str
    before_until: str
    period_over: bool


class FigureRow(Struct, frozen=True, kw_only=True):
    """One line of a reading. Durations in ms. `published` and `restated` only where they were asked for.

    Of one clock the durations are of its outcomes that were fulfilled, and beside what elapsed stands what was consumed
    in the limit's own kind of time; its `on_time_rate` is on_time / (on_time + overdue).
    """

    key: str
    name: str
    counts: dict[str, int]
    close_rate: Rate
    on_time_rate: Rate
    rework_rate: Rate
    n: int  # closable cases: what the first two rates are made of
    thin: bool  # of these two; each rate says for itself whether it is
    durations_n: int
    median_ms: int | None
    p90_ms: int | None
    consumed_median_ms: int | None = None
    consumed_p90_ms: int | None = None
    rates: dict[str, Rate] = {}  # those that only the kind of case has, such as the coverage of duties
    published: "FigureRow | None" = None  # as it stood when the period's days of grace were over
    restated: bool | None = None  # what arrived since has changed it
    rank: RowRank | UnsetType = UNSET  # its place among its peers, where a ranking was asked for
