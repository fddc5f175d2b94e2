"""The queue of the writer: everyone has his turn, and nobody can fill it for the others.

In: items of several principals, by hand and in random order. Out: the order in which they are taken, and who is told
that there is no place.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fair_queue import FairQueue, Full

ANY = 2**40


def filled(**numbers: int) -> FairQueue[tuple[str, int]]:
    """A queue with so many items of each principal, one principal after the other."""
    queue: FairQueue[tuple[str, int]] = FairQueue(10_000)
    for principal, number in numbers.items():
        for k in range(number):
            queue.put(principal, (principal, k), 10)
    return queue


def test_who_comes_last_with_one_event_does_not_wait_for_a_thousand_of_another() -> None:
    queue = filled(flood=1000, neighbour=1)
    assert queue.take(2, ANY) == [("flood", 0), ("neighbour", 0)]
    assert len(queue) == 999


def test_the_round_goes_on_where_the_last_turn_ended() -> None:
    queue = filled(a=3, b=3, c=3)
    names = [[name for name, _ in queue.take(2, ANY)] for _ in range(5)]
    assert names == [["a", "b"], ["c", "a"], ["b", "c"], ["a", "b"], ["c"]]
    assert queue.take(2, ANY) == [] and len(queue) == 0


def test_a_turn_ends_when_it_has_its_bytes_and_takes_one_item_whatever_its_size() -> None:
    queue = filled(a=5)
    assert len(queue.take(100, 25)) == 3, "the third passes the bound"
    assert len(queue.take(100, 1)) == 1
    assert queue.take(0, ANY) == [] and queue.take(-3, ANY) == []


def test_nobody_has_more_waiting_than_places_are_free_so_the_next_one_finds_a_place() -> None:
    queue: FairQueue[int] = FairQueue(100)
    held = Counter[str]()
    for name in ("first", "second", "third", "fourth"):
        with pytest.raises(Full):
            while True:
                queue.put(name, 0)
                held[name] += 1
    assert [held[name] for name in ("first", "second", "third", "fourth")] == [50, 25, 13, 6]
    queue.put("neighbour", 0)
    assert len(queue) == 95


def test_a_place_that_was_left_is_free_again() -> None:
    queue: FairQueue[int] = FairQueue(1)
    queue.put("a", 1)
    with pytest.raises(Full):
        queue.put("b", 2)
    assert queue.take(1, ANY) == [1]
    queue.put("b", 2)
    assert queue.take(1, ANY) == [2]


def test_an_empty_queue_is_waited_at_until_something_comes_or_the_time_is_over() -> None:
    queue: FairQueue[int] = FairQueue(10)
    assert queue.take(1, ANY, 0.01) == []
    taken: list[int] = []
    waits = threading.Thread(target=lambda: taken.extend(queue.take(1, ANY, 10)))
    waits.start()
    queue.put("a", 1)
    waits.join(5)
    assert taken == [1]


def test_it_knows_how_long_the_oldest_item_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    queue: FairQueue[int] = FairQueue(10)
    assert queue.oldest_s() == 0
    queue.put("a", 1)
    now[0] = 103.0
    queue.put("b", 2)
    assert queue.oldest_s() == 3 and queue.silent_s() == 0
    queue.take(1, ANY)
    assert queue.oldest_s() == 0
    now[0] = 110.0
    assert queue.oldest_s() == 7 == queue.silent_s()


@given(st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 4)), max_size=80))
def test_between_two_items_of_one_principal_each_other_that_waits_has_one(moves: list[str | int]) -> None:
    """Whatever comes and goes meanwhile, the order of one principal's items is that in which they came."""
    queue: FairQueue[tuple[str, int]] = FairQueue(60)
    put, taken = Counter[str](), list[tuple[str, int]]()
    put_after: dict[str, list[int]] = defaultdict(list)  # how many had been taken when each item came
    turns: dict[str, list[int]] = defaultdict(list)  # how many had been taken before each item was
    for move in moves:
        if isinstance(move, str):
            try:
                queue.put(move, (move, put[move]))
            except Full:
                continue
            put[move] += 1
            put_after[move].append(len(taken))
        else:
            for item in queue.take(move, ANY):
                turns[item[0]].append(len(taken))
                taken.append(item)
    for item in queue.take(ANY, ANY):
        turns[item[0]].append(len(taken))
        taken.append(item)
    for name, items in groupby(sorted(taken), key=lambda item: item[0]):
        in_order = [item for item in taken if item[0] == name]
        assert in_order == list(items) == [(name, k) for k in range(put[name])]
    for name, places in turns.items():
        for (before, after), came in zip(pairwise(places), put_after[name][1:], strict=False):
            if came > before:
                continue  # it did not wait all the time
            others = [other for other, _ in taken[before + 1 : after]]
            assert len(others) == len(set(others)), f"{others} between two of {name}"
