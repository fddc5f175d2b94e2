"""Ranks: peers of a level, ties, what is too thin to rank, and what changed since the period before."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from engine.views.figure_rows import FigureRow, Ranking, RowRank
from engine.views.ranking import ranked
from tests.support.builders import weiyang
from workflows.definitions import DEFINITIONS
from workflows.figure_words import meaning_of
from workflows.figures import rate

NONE = rate(0, 0)


def row(key: str, on_time: tuple[int, int] = (0, 0), **changes: Any) -> FigureRow:
    known: dict[str, Any] = dict(
        key=key, name=key, counts={}, close_rate=NONE, on_time_rate=rate(*on_time, min_n=10), rework_rate=NONE,
        n=on_time[1], thin=on_time[1] < 10, durations_n=0, median_ms=None, p90_ms=None,
    )  # fmt: skip
    return FigureRow(**known | changes)


def ranking(measure: str, order: str = "", clock: str = "") -> Ranking:
    meaning = meaning_of(DEFINITIONS["incident"], measure, clock)
    order = order or ("asc" if meaning.better == "lower" else "desc")
    return Ranking(measure=meaning, order=order, min_n=10, before_since="", before_until="", period_over=True)


def places(
    rows: list[FigureRow], by: Ranking, before: list[FigureRow] | None = None, of: str = "grid"
) -> dict[str, RowRank]:
    found = {}
    for each in ranked(rows, before, by, of, weiyang()):
        assert each.rank is not UNSET
        found[each.key] = each.rank
    return found


def test_equal_rates_share_a_place_and_say_so_whatever_they_are_shares_of() -> None:
    rows = [row("WY01", (19, 20)), row("WY02", (20, 20)), row("WY03", (38, 40)), row("WY04", (9, 10))]
    found = places(rows, ranking("on_time_rate"))
    assert [(key, each.place, each.tied) for key, each in found.items()] == [
        ("WY02", 1, False), ("WY01", 2, True), ("WY03", 2, True), ("WY04", 4, False)]  # fmt: skip
    assert {each.of for each in found.values()} == {4} and {each.level for each in found.values()} == {3}


def test_rates_that_round_to_the_same_basis_points_are_told_apart() -> None:
    rows = [row("WY01", (99_999, 100_000)), row("WY02", (100_000, 100_001))]
    found = places(rows, ranking("on_time_rate"))
    assert [(key, each.place, each.value) for key, each in found.items()] == [("WY02", 1, 10_000), ("WY01", 2, 10_000)]


def test_what_is_made_of_too_few_has_no_place_and_comes_last_by_its_own_denominator() -> None:
    rows = [row("WY01", (9, 9)), row("WY02", (5, 10)), row("WY03", (4, 10)), row("WY04")]
    found = places(rows, ranking("on_time_rate"))
    assert [(key, each.place, each.why, each.of) for key, each in found.items()] == [
        ("WY02", 1, "", 2), ("WY03", 2, "", 2), ("WY01", None, "thin", 2), ("WY04", None, "nothing", 2)]  # fmt: skip
    timed = [row("WY01", (50, 50), durations_n=9, median_ms=5), row("WY02", durations_n=10, median_ms=9)]
    timed += [row("WY03", durations_n=12, median_ms=7)]
    found = places(timed, ranking("median_ms"))
    assert [(key, each.place, each.n) for key, each in found.items()] == [
        ("WY03", 1, 12),
        ("WY02", 2, 10),
        ("WY01", None, 9),
    ]


def test_only_peers_of_one_level_are_compared_and_who_has_none_is_not_ranked() -> None:
    rows = [
        row("WY", (10, 10)),
        row("WY01", (5, 10)),
        row("WY02", (6, 10)),
        row("WY01-01", (1, 10)),
        row("GONE", (9, 10)),
    ]
    rows += [row("WY01-02", (2, 10))]
    found = places(rows, ranking("on_time_rate"))
    assert [(key, each.level, each.place, each.why) for key, each in found.items()] == [
        ("WY02", 3, 1, ""), ("WY01", 3, 2, ""), ("WY01-02", 4, 1, ""), ("WY01-01", 4, 2, ""),
        ("GONE", None, None, "unknown"), ("WY", 2, None, "alone")]  # fmt: skip
    offices = places(
        [row("WY-EPB", (9, 10)), row("WY-URBAN", (8, 10)), row("XA-HAZE", (1, 10))],
        ranking("on_time_rate"),
        of="department",
    )
    assert [(key, each.level, each.place) for key, each in offices.items()] == [
        ("WY-EPB", 2, 1), ("WY-URBAN", 2, 2), ("XA-HAZE", 1, None)]  # fmt: skip


@pytest.mark.parametrize(("order", "keys"), [("", "312"), ("asc", "312"), ("desc", "213")])
def test_less_is_better_of_what_was_missed_and_the_order_changes_no_place(order: str, keys: str) -> None:
    rows = [row(f"WY0{k}", counts={"overdue": n}) for k, n in ((1, 4), (2, 9), (3, 0))]
    found = places(rows, ranking("overdue", order))
    assert [*found] == [f"WY0{key}" for key in keys]
    assert {key: each.place for key, each in found.items()} == {"WY03": 1, "WY01": 2, "WY02": 3}


def test_the_period_before_stands_beside_unless_it_was_thin_or_has_no_row() -> None:
    rows = [row("WY01", (10, 10)), row("WY02", (9, 10)), row("WY03", (8, 10)), row("WY04", (7, 10))]
    before = [row("WY01", (8, 10)), row("WY02", (19, 20)), row("WY03", (9, 9))]
    found = places(rows, ranking("on_time_rate"), before)
    one, two = found["WY01"], found["WY02"]
    assert one.before is not None and (one.before.place, one.before.of, one.moved, one.change) == (2, 2, 1, 2000)
    assert two.before is not None and (two.before.place, two.moved, two.change) == (1, -1, -500)
    assert (found["WY03"].before, found["WY03"].change, found["WY04"].before) == (None, None, None)


def test_without_a_period_before_nothing_is_compared() -> None:
    found = places([row("WY01", (10, 10)), row("WY02", (9, 10))], ranking("on_time_rate"))
    assert all(each.before is None and each.moved is None for each in found.values())


def test_rows_without_a_level_are_all_peers() -> None:
    rows = [row("smoke", (5, 10)), row("dust", (10, 10)), replace(row("water", (7, 10)), name="水")]
    found = places(rows, ranking("on_time_rate"), of="group")
    assert [(key, each.place, each.level) for key, each in found.items()] == [
        ("dust", 1, None),
        ("water", 2, None),
        ("smoke", 3, None),
    ]
