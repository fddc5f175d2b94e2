"""`score` and what follows from a sheet: by hand, and by what must hold of any sheet.

In: a card and rows. Out: points, places and proposals. The numbers by hand are those of docs/assessment.md.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.kinds.home import Listing
from tests.support.builders import changed, shipped
from workflows.assessment.cards import Card, CardLine, card_of
from workflows.assessment.consequences import Proposal, parse_when, propose
from workflows.assessment.expected import expected
from workflows.assessment.scoring import Rows, Score, Sheet, Subject, Tally, score
from workflows.assessment.terms import Counted, Sides, add_up, own_posts, weights_of
from workflows.definitions import DEFINITIONS
from workflows.policy.model import ConsequenceRow, DutyRow, IndicatorRow, ScorecardRow

SHARE = IndicatorRow("on-time", ("on_time",), ("closable",), unit="percent")
LATE = IndicatorRow("late", ("overdue",), ("closable",), unit="percent", direction="lower")
FOUND = IndicatorRow("found", ("verified",))


def line(indicator: IndicatorRow, weight: int, zero: int, full: int, **rest: Any) -> CardLine:
    row = ScorecardRow("C", 2026, "quarter", "grid", 3, indicator.code, weight, zero * 100, full * 100, **rest)
    return CardLine(row, indicator)


def card(*lines: CardLine, consequences: tuple[ConsequenceRow, ...] = (), min_n: int = 0) -> Card:
    return Card(
        code="C",
        year=2026,
        period="quarter",
        subjects="grid",
        level=3,
        peer="",
        title_zh="",
        title_en="",
        min_n=min_n,
        lines=lines,
        consequences=consequences,
    )


USUAL = card(line(SHARE, 60, 60, 95), line(LATE, 40, 40, 0), line(FOUND, 3, 0, 10, bonus=True, cap=3))


def sheet_of(of: Card, tallies: list[Tally], subjects: list[Subject] | None = None) -> Sheet:
    named = subjects or [Subject(code, "", ("XA", "WY", code)) for code in sorted({t.subject for t in tallies})]
    rows = Rows(pack="p", since=20260701, until=20260930, as_of=0, subjects=tuple(named), tallies=tuple(tallies))
    return score(of, rows)


def by_code(sheet: Sheet) -> dict[str, Score]:
    return {each.subject: each for each in sheet.scores}


def shares(**sides: tuple[int, int]) -> list[Tally]:
    return [Tally(code, "on-time", "dust", *both) for code, both in sides.items()]


# ---- by hand ------------------------------------------------------------------------------------------------


def test_a_line_is_its_weight_times_how_far_it_came_from_zero_to_full():
    found = by_code(sheet_of(card(line(SHARE, 40, 60, 95)), shares(A=(17, 20), B=(19, 20), C=(12, 20), D=(2, 3))))
    # 85 %: 40 × 25/35 = 28.571…; 95 % is full and 60 % nothing; 66.67 %: 40 × (66.66…−60)/35 = 7.619…, not of 66.67
    assert [found[code].total for code in "ABCD"] == [2857, 4000, 0, 762]
    assert [found[code].lines[0].value for code in "ABCD"] == [8500, 9500, 6000, 6667]
    assert [found[code].place for code in "ABCD"] == [2, 1, 4, 3]


def test_a_line_is_rounded_once_and_half_up():
    found = by_code(sheet_of(card(line(SHARE, 1, 0, 100)), shares(A=(1, 200), B=(3, 200), C=(1, 400))))
    assert [found[code].total for code in "ABC"] == [1, 2, 0]  # 0.5 → 1, 1.5 → 2, 0.25 → 0 hundredths


@pytest.mark.mechanism("M62", "M83")
def test_a_share_that_is_better_lower_and_a_bonus_on_top_that_is_capped():
    tallies = [
        *shares(A=(19, 20), B=(19, 20)),
        Tally("A", "late", "dust", 2, 20),
        Tally("B", "late", "dust", 1, 20),
        Tally("A", "found", "dust", 25, 0),
        Tally("B", "found", "", 5, 0),
    ]
    a, b = sheet_of(USUAL, tallies).scores
    assert [each.points for each in a.lines] == [6000, 3000, 300]  # 10 %: 40 × 30/40; 25 of 10 is capped at 3
    assert [each.points for each in b.lines] == [6000, 3500, 150]
    assert (a.total, a.bonus, b.total, b.place) == (9300, 300, 9650, 1)


def test_a_line_of_too_few_is_left_out_and_the_total_is_scaled():
    of = card(line(SHARE, 60, 0, 100, min_n=10), line(LATE, 40, 100, 0))
    tallies = [*shares(A=(4, 5), B=(8, 10)), Tally("A", "late", "x", 1, 4), Tally("B", "late", "x", 1, 4)]
    a, b = sheet_of(of, tallies).scores
    assert (a.lines[0].left_out, a.lines[0].points) == ("few", 0)
    assert a.thin and a.place is None  # 40 of 100 is under half of the weight
    assert (b.total, b.place, b.of) == (4800 + 3000, 1, 1)
    half = card(line(SHARE, 50, 0, 100, min_n=10), line(LATE, 50, 100, 0))
    a, b = sheet_of(half, tallies).scores
    assert (a.thin, a.total, a.place, a.tied) == (False, 7500, 2, False)  # 37.50 of 50, scaled to 100
    assert b.total == 4000 + 3750


def test_without_a_case_a_rate_is_nothing_and_a_count_is_none():
    named = [Subject(code, "", ("XA", "WY", code)) for code in "AB"]
    a, b = sheet_of(USUAL, shares(A=(19, 20)), named).scores
    assert (b.lines[0].left_out, b.lines[2].left_out, b.lines[2].value) == ("nothing", "", 0)
    assert b.thin and not a.thin and (a.place, b.place) == (1, None)


def test_a_rate_is_standardised_to_the_mix_of_the_peers():
    tallies = [
        Tally("A", "on-time", "dust", 9, 10),
        Tally("A", "on-time", "water", 15, 30),
        Tally("B", "on-time", "dust", 45, 50),
        Tally("B", "on-time", "water", 5, 10),
    ]
    a, b = sheet_of(card(line(SHARE, 100, 0, 100)), tallies).scores
    assert a.total == b.total == 7400  # 0.9 × 60/100 + 0.5 × 40/100, not 24/40 and 50/60
    assert [(each.group, each.mix) for each in a.lines[0].groups] == [("dust", 60), ("water", 40)]
    assert (a.place, a.tied, b.place, b.tied) == (1, True, 1, True)


@pytest.mark.mechanism("M56")
def test_peers_are_compared_among_themselves_only():
    named = [Subject("A", "street", ("XA", "WY", "A")), Subject("B", "committee", ("XA", "WY", "B"))]
    a, b = sheet_of(card(line(SHARE, 100, 0, 100)), shares(A=(1, 2), B=(1, 4)), named).scores
    assert (a.place, b.place, a.of, b.of) == (1, 1, 1, 1)


def test_a_sheet_names_its_pack_its_form_and_its_instant():
    sheet = sheet_of(USUAL, shares(A=(1, 1)))
    assert (sheet.form, sheet.pack, sheet.card, sheet.year, sheet.period) == (1, "p", "C", 2026, "quarter")
    assert (sheet.since, sheet.until, sheet.as_of) == (20260701, 20260930, 0)


# ---- what follows -------------------------------------------------------------------------------------------


def proposals(when: str, totals: dict[str, int], before: dict[str, int] | None = None) -> list[Proposal]:
    """What a condition proposes for subjects that had these points of 100, each named by its district and number."""
    of = card(line(SHARE, 100, 0, 100), consequences=(ConsequenceRow("C", when, "letter"),))
    paths = {code: ("XA", code[0], code) for code in totals}

    def made(points: dict[str, int]) -> Sheet:
        named = [Subject(code, "", paths[code]) for code in points]
        return sheet_of(of, shares(**{code: (value, 100) for code, value in points.items()}), named)

    return propose(of, made(totals), paths, made(before) if before else None)


def told(found: list[Proposal]) -> list[tuple[str, int, bool]]:
    return [(each.subject, each.place, each.tied) for each in found]


SEVEN = {f"W{k}": 10 * k for k in range(1, 8)}


@pytest.mark.mechanism("M84")
def test_the_last_three_are_proposed_where_more_than_six_have_a_place():
    assert told(proposals("last:3", SEVEN)) == [("W3", 5, False), ("W2", 6, False), ("W1", 7, False)]
    assert proposals("last:3", {code: SEVEN[code] for code in list(SEVEN)[1:]}) == []
    assert told(proposals("first:2", SEVEN)) == [("W7", 1, False), ("W6", 2, False)]
    assert told(proposals("below:20", SEVEN)) == [("W1", 7, False)]


@pytest.mark.mechanism("M93")
def test_within_each_district_they_are_the_last_of_that_district():
    found = proposals("last:1@2", SEVEN | {"N1": 90, "N2": 91, "N3": 92, "E1": 1, "E2": 2})
    assert [(each.subject, each.within, each.of) for each in found] == [("N1", "N", 3), ("W1", "W", 7)]


def test_a_tie_across_the_cut_is_proposed_whole_and_marked():
    tied = SEVEN | {"W4": 30}
    assert told(proposals("last:3", tied)) == [("W3", 4, True), ("W4", 4, True), ("W2", 6, False), ("W1", 7, False)]
    within = SEVEN | {"W2": 10}
    assert not any(each.tied for each in proposals("last:3", within))  # equal ones on one side of the cut


def test_where_all_are_equal_nobody_is_last_and_nobody_first():
    equal = dict.fromkeys(SEVEN, 80)
    assert proposals("last:3", equal) == proposals("first:3", equal) == []
    most = equal | {"W1": 10}
    assert told(proposals("last:3", most)) == [("W1", 7, False)]  # the six at the top share the first place


def test_twice_running_asks_for_the_period_before():
    assert told(proposals("twice:last:1", SEVEN, SEVEN)) == [("W1", 7, False)]
    assert proposals("twice:last:1", SEVEN, SEVEN | {"W1": 99}) == []
    assert proposals("twice:last:1", SEVEN) == []


@pytest.mark.parametrize(
    "text", ["", "last", "last:0", "last:3@0", "first:x", "below:", "below:1@2", "twice:", "后三名"]
)
def test_what_is_no_condition_is_none(text: str):
    assert parse_when(text) is None


# ---- of any sheet -------------------------------------------------------------------------------------------

CODES = [f"S{k}" for k in range(6)]
SIDES = st.integers(1, 40).flatmap(lambda below: st.tuples(st.integers(0, below), st.just(below)))
TALLIES = st.fixed_dictionaries({(code, group): SIDES for code in CODES for group in ("dust", "water")})


def rates(sides: dict[tuple[str, str], tuple[int, int]]) -> list[Tally]:
    return [Tally(code, "on-time", group, *both) for (code, group), both in sides.items()]


@pytest.mark.mechanism("M83")
@given(TALLIES)
def test_totals_are_bounded_and_places_are_counted_from_the_best(sides):
    sheet = sheet_of(card(line(SHARE, 100, 20, 90)), rates(sides))
    totals = [each.total for each in sheet.scores]
    assert all(0 <= total <= 10_000 for total in totals)
    for each in sheet.scores:
        assert each.place == 1 + sum(total > each.total for total in totals)
        assert each.tied == (totals.count(each.total) > 1)


@given(TALLIES, st.sampled_from(CODES), st.sampled_from(["dust", "water"]))
def test_one_case_more_above_the_line_never_lowers_a_total_nor_the_others_raise_by_it(sides, code, group):
    of = card(line(SHARE, 100, 20, 90))
    above, below = sides[code, group]
    before = by_code(sheet_of(of, rates(sides)))
    after = by_code(sheet_of(of, rates(sides | {(code, group): (min(above + 1, below), below)})))
    assert after[code].total >= before[code].total
    assert (after[code].place or 0) <= (before[code].place or 0)
    assert all(after[other].total == before[other].total for other in CODES if other != code)


@given(TALLIES, st.permutations(CODES))
def test_permuting_names_permutes_ranks(sides, renamed):
    of = card(line(SHARE, 100, 20, 90), consequences=(ConsequenceRow("C", "last:2", "letter"),))
    names, paths = dict(zip(CODES, renamed, strict=True)), {code: ("XA", "WY", code) for code in CODES}
    first = sheet_of(of, rates(sides))
    second = sheet_of(of, rates({(names[code], group): both for (code, group), both in sides.items()}))
    moved = {names[each.subject]: (each.total, each.place, each.tied) for each in first.scores}
    assert moved == {each.subject: (each.total, each.place, each.tied) for each in second.scores}
    proposed = Counter((names[each.subject], each.place) for each in propose(of, first, paths, None))
    assert proposed == Counter((each.subject, each.place) for each in propose(of, second, paths, None))


@given(TALLIES, st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_equal_rates_per_group_score_equally_whatever_the_mix_and_the_order(sides, dust, water, random):
    for group, times in (("dust", dust), ("water", water)):
        above, below = sides["S0", group]
        sides["S1", group] = (above * times, below * times)
    tallies = rates(sides)
    random.shuffle(tallies)
    found = by_code(sheet_of(card(line(SHARE, 100, 20, 90)), tallies))
    assert found["S0"].total == found["S1"].total and found["S0"].place == found["S1"].place
    assert sheet_of(card(line(SHARE, 100, 20, 90)), rates(sides)) == structs.replace(
        sheet_of(card(line(SHARE, 100, 20, 90)), tallies)
    )


# ---- what an indicator adds up ------------------------------------------------------------------------------


@pytest.mark.mechanism("M87")
def test_an_indicator_counts_by_who_found_the_problem():
    rows = [
        Counted("WY01", "dust", "on_time", "WY-12345", False, 5),
        Counted("WY01", "dust", "overdue", "WY-12345", False, 2),
        Counted("WY01", "dust", "on_time", "WY01-01-MEMBER", False, 7),
        Counted("WY01", "dust", "on_time", "WY01-01-MEMBER", True, 11),
        Counted("WY01", "dust", "on_time", "GONE", False, 100),
        Counted("WY01", "dust", "rejected", "WY-12345", False, 3),
    ]
    own = own_posts(shipped(), "grid", "WY01")
    assert "WY01-01-MEMBER" in own and "WY01-CHIEF" in own and not own & {"WY-CHIEF", "WY-12345", "WY02-CHIEF"}

    def sides(found: Any) -> Sides:
        sides_of = {"numerator": ("on_time", "-rejected"), "denominator": ("closable", "rejected")}
        of = structs.replace(SHARE, found=found, **sides_of)
        known = shipped().posts
        is_own = lambda key, by: by in own or by not in known  # noqa: E731
        added = add_up(of, weights_of(of, DEFINITIONS["incident"]), rows, is_own)
        return added.get(("WY01", "dust"), Sides())

    assert sides("others") == (2, 10)
    assert sides("own") == (118, 118)
    assert sides("confirmed") == (107, 107)
    assert sides("") == (120, 128)


def test_what_is_expected_counts_grids_and_periods_whoever_is_there():
    policy = shipped()
    found = expected(policy, 3, 20260302, 20260308)
    leaves = sum(1 for grid in policy.pack.grids if grid.parent == "WY01")
    patrols, contacts, visits = 7 * leaves, leaves, leaves  # a week from Monday
    assert found["WY01"] == patrols + contacts + visits
    vacant = tuple(structs.replace(post, vacant=True) for post in policy.pack.posts)
    gone = tuple(post for post in policy.pack.posts if not post.grid.startswith("WY01-"))
    for posts in (vacant, gone):  # nobody's coverage rises by losing a post
        assert expected(changed(policy, posts=posts), 3, 20260302, 20260308) == found
    month = expected(policy, 3, 20260301, 20260331)
    # four weeks end in it and one on its first day: 31 patrols and 5 × 2 of each leaf, 2 half-months and 1 month
    assert month["WY01"] == leaves * (31 + 5 * 2) + 2 + 1
    ended = tuple(structs.replace(g, valid_to=20260304) if g.code == "WY01-01" else g for g in policy.pack.grids)
    assert expected(changed(policy, grids=ended), 3, 20260302, 20260308)["WY01"] == found["WY01"] - 4


def test_what_is_owed_in_key_areas_alone_is_expected_where_and_while_they_are_listed():
    policy = shipped()
    listed = (*policy.pack.duties, DutyRow("KEY", "重点巡查", "member", "day", (4,), listed=True))
    more, day = changed(policy, duties=listed), policy.clock_of_days.day_start
    usual = expected(policy, 3, 20260302, 20260308)
    assert expected(more, 3, 20260302, 20260308) == usual
    leaf = Listing("WY01-01", "a", since=day(20260303), until=day(20260305))  # at the beginnings of three days
    street = Listing("WY02", "b", since=day(20260304) + 1, until=day(20260305) - 1)  # after one, before the next
    found = expected(more, 3, 20260302, 20260308, [leaf, street])
    assert found["WY01"] == usual["WY01"] + 3
    assert {grid: found[grid] - usual[grid] for grid in found} == {grid: 3 * (grid == "WY01") for grid in found}


@pytest.mark.mechanism("M78")
def test_a_card_goes_on_until_one_of_a_later_year_replaces_it():
    rows = tuple(ScorecardRow("C", year, "year", "grid", 3, "on-time", 10, 0, 100) for year in (2024, 2026))
    pack = changed(indicators=(SHARE,), scorecards=rows).pack
    assert [found.year if (found := card_of(pack, "C", year)) else None for year in (2023, 2024, 2025, 2026, 2030)] == [
        None,
        2024,
        2024,
        2026,
        2026,
    ]
