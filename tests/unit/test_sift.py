"""Which messages are folded: each step once, in its order, and none over a gap.

Enters: where a consumer stands, messages as they may come. Leaves: steps to fold, what is missing between them, counts.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.performance.consume import select_new
from consumers.performance.faust_app import decode
from engine.store.steps import Positions, StepRange
from schemas import facts


def step(partition: int, n: int) -> facts.Step:
    return facts.Step(
        partition=partition,
        n=n,
        case=f"case-{n}",
        seq=1,
        at=0,
        day=20260302,
        policy="",
        definition="",
        path="/",
        category="",
        group="",
        department="",
        post="",
        cause=facts.Cause("tick"),
        facts=(),
    )


def stands(last: int = 5, end: int = 20) -> Positions:
    """One consumer, in partition 0 after `last` of `end`, in partition 1 at the beginning."""
    return Positions({0: last, 1: 0}, {0: end, 1: end})


@pytest.mark.parametrize(
    ("numbers", "fresh", "gaps", "skipped", "unknown"),
    [
        ([6, 7, 8], [6, 7, 8], [], 0, 0),
        # Published again under new offsets, in the middle of what is new and before it.
        ([4, 5, 6], [6], [], 2, 0),
        ([6, 7, 6, 7, 8], [6, 7, 8], [], 2, 0),
        # A jump: what lies between is read; if it comes after all, it was folded before.
        ([6, 9, 10], [6, 9, 10], [(6, 8)], 0, 0),
        ([7, 9, 8], [7, 9], [(5, 6), (7, 8)], 1, 0),
        # Numbers that the store has not given out, or never would.
        ([21, 10**12, 0, -3], [], [], 0, 4),
        ([6, 21, 7], [6, 7], [], 0, 1),
        ([20], [20], [(5, 19)], 0, 0),
        ([], [], [], 0, 0),
    ],
)
def test_a_step_is_folded_once_and_what_is_missing_before_it_is_named(
    numbers: list[int], fresh: list[int], gaps: list[tuple[int, int]], skipped: int, unknown: int
) -> None:
    found = select_new(stands(), [step(0, n) for n in numbers])
    assert [s.n for s in found.fresh] == fresh
    assert found.gaps == [StepRange(0, after, upto) for after, upto in gaps]
    assert (found.skipped, found.unknown) == (skipped, unknown)
    assert found.missing == sum(upto - after for after, upto in gaps)


def test_partitions_are_counted_each_for_itself_and_one_without_steps_is_unknown() -> None:
    found = select_new(stands(), [step(0, 6), step(1, 1), step(9, 1), step(1, 3), step(0, 7)])
    assert [(s.partition, s.n) for s in found.fresh] == [(0, 6), (1, 1), (1, 3), (0, 7)]
    assert found.gaps == [StepRange(1, 1, 2)]
    assert found.unknown == 1


@given(st.integers(0, 20), st.lists(st.integers(-2, 30), max_size=40))
def test_fresh_steps_and_gaps_are_everything_up_to_the_last_step_that_came(last: int, numbers: list[int]) -> None:
    before = stands(last)
    found = select_new(before, [step(0, n) for n in numbers])
    read_between = [n for gap in found.gaps for n in range(gap.after + 1, gap.upto + 1)]
    taken = sorted([s.n for s in found.fresh] + read_between)
    upto = max([last, *(n for n in numbers if n <= 20)])
    assert taken == list(range(last + 1, upto + 1))
    assert len(found.fresh) + found.skipped + found.unknown == len(numbers)
    assert before == stands(last), "where it stands is not its own to change"


def test_a_message_that_is_no_step_of_its_partition_is_passed_over_and_counted() -> None:
    good = facts.encode_step(step(3, 1))
    deep = b'{"partition":' + b"[" * 100_000
    of_before = good.replace(b'"definition":"",', b"")  # by a release that told no kind: its row in the store has it
    assert of_before != good
    bad = [b"", of_before, b"\x00\xff", b"null", b"{}", good[:-1], good.replace(b'"n":1', b'"n":"1"'), deep]
    found, counted = decode([(3, k, value) for k, value in enumerate([good, *bad])] + [(4, 0, good)])
    assert found == [step(3, 1)]
    assert counted == len(bad) + 1
