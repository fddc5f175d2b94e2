"""How far a gateway goes ahead of the workers: by what they decide in a moment, whoever sends how much.

In: appends and looks at a clock that the tests turn; workers that decide so many records a second. Out: how many
records lie undecided, and how long a neighbour's event takes while another principal floods its gateway.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pytest

from engine.cluster.backlog import AHEAD_S, FAR, FEWEST, STILL_S, Backlog
from engine.fair_queue import FairQueue
from engine.store.rows import InboxRow

MOST = 500
STEP_S = 0.01
ANY = 2**40


def rows(partition: int, first: int, count: int) -> list[InboxRow]:
    return [InboxRow(partition, first + k, 0, "event", "app", "{}") for k in range(count)]


def filled(count: int = MOST, most: int = MOST) -> Backlog:
    """So many records of partition 0, appended at 0."""
    backlog = Backlog(most)
    backlog.add(rows(0, 0, count), 0.0)
    return backlog


# ---- how much may lie there -------------------------------------------------------------------------------------


def test_there_is_room_for_as_many_records_as_are_decided_meanwhile() -> None:
    backlog = filled(200)
    assert (backlog.undecided(), backlog.room()) == (200, 300)
    backlog.add(rows(1, 0, 300), 0.0)
    assert (backlog.undecided(), backlog.room()) == (500, 0)
    backlog.look({0: 150, 1: 0}, 0.1)
    assert (backlog.undecided(), backlog.room()) == (350, 150), "an append may be decided in pieces"
    backlog.look({0: 200, 1: 300}, 0.15)
    assert (backlog.undecided(), backlog.room()) == (0, MOST)


def test_records_of_other_gateways_are_for_them_to_count() -> None:
    backlog = filled(10)
    backlog.add(rows(0, 5000, 10), 0.0)
    assert backlog.undecided() == 20
    backlog.look({0: 4000}, 0.1)
    assert backlog.undecided() == 10
    backlog.look({0: 5004}, 0.1)
    assert backlog.undecided() == 6


def test_of_slow_workers_no_more_is_asked_than_they_decide_in_a_moment() -> None:
    backlog = filled()
    backlog.look({0: MOST}, 2 * AHEAD_S)
    assert backlog.room() == MOST // 2
    backlog.add(rows(0, MOST, backlog.room()), 1.0)
    backlog.look({0: 2 * MOST}, 1.0 + 10 * AHEAD_S)
    assert backlog.room() == FEWEST, "a few always find room"


def test_no_more_lies_there_than_a_slice_takes_however_few_that_are() -> None:
    backlog = filled(FEWEST, most=20)
    backlog.look({0: FEWEST}, AHEAD_S)
    assert backlog.room() == 20


def test_the_slowest_partition_counts_and_quick_ones_give_room_bit_by_bit() -> None:
    backlog = Backlog(MOST)
    backlog.add(rows(0, 0, 250), 0.0)
    backlog.add(rows(1, 0, 250), AHEAD_S)
    backlog.look({0: 250, 1: 250}, 2 * AHEAD_S)
    assert backlog.at_once == 125, "250 took twice as long as they may"
    for look in range(1, 21):
        first, now_s = 250 + 1000 * look, 10.0 * look
        backlog.add(rows(1, first, backlog.room()), now_s)
        before = backlog.at_once
        backlog.look({1: first + before}, now_s + 0.001)
        assert before < backlog.at_once <= max(before + 1, int(before * 1.1)) or before == backlog.at_once == MOST
    assert backlog.at_once == MOST


def test_a_few_records_say_nothing_about_how_many_can_be_decided() -> None:
    backlog = filled(FEWEST - 1)
    backlog.look({0: MOST}, STILL_S)
    assert backlog.room() == MOST


# ---- where nothing is held back ---------------------------------------------------------------------------------


def test_a_partition_that_nobody_decides_holds_nothing_back_and_the_others_go_on_as_ever() -> None:
    backlog = filled(400)
    backlog.add(rows(1, 0, 100), 0.0)
    backlog.look({0: 0, 1: 10}, STILL_S)
    assert backlog.room() == 10 and not backlog.stands()
    backlog.look({0: 0, 1: 20}, STILL_S + 0.1)
    assert backlog.stands() and (backlog.undecided(), backlog.room()) == (80, 420)
    backlog.add(rows(0, 400, 5000), STILL_S + 0.2)
    assert backlog.room() == 420, "the log takes what comes for it"
    backlog.add(rows(1, 100, 420), STILL_S + 0.2)
    assert backlog.room() == 0, "partition 1 is decided, and its neighbours have their turns"


def test_a_partition_that_goes_on_counts_again() -> None:
    backlog = filled()
    backlog.look({}, 3.0)  # not even the database knows
    assert backlog.stands()
    backlog.look({0: 1}, 4.0)
    assert not backlog.stands() and backlog.undecided() == 0
    backlog.add(rows(0, 500, 200), 4.0)
    assert backlog.undecided() == 200


def test_one_that_was_idle_does_not_stand_still_because_of_that() -> None:
    backlog = filled(10)
    backlog.look({0: 10}, 0.1)
    backlog.add(rows(0, 10, 10), 1000.0)
    backlog.look({0: 10}, 1000.1)
    assert not backlog.stands() and backlog.undecided() == 10


def test_behind_the_records_of_an_outage_nothing_is_held_back() -> None:
    backlog = Backlog(MOST)
    backlog.add(rows(0, FAR + 100, MOST), 0.0)
    assert backlog.room() == 0
    backlog.look({0: 100}, 0.1)
    assert backlog.room() == MOST
    backlog.add(rows(0, FAR + 600, MOST), 0.2)
    backlog.look({0: 5000}, 0.3)
    assert backlog.room() == 0, "not many are left: now the turns matter"


# ---- a flood ------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A neighbour's events in order: seconds until each was decided. And how many records lay undecided at most."""

    took: list[float]
    most: int


def flooded(pace: float, gateways: int, seconds: float = 10.0, away_s: float = 0.0) -> Told:
    """One principal sends through each gateway what finds a place, up to its quota; another one an event each tenth of
    a second through the last. Workers decide so many records a second, first come, first served; first they are away.
    """
    log, decided, done, most, took = deque[tuple[str, float]](), 0, 0.0, 0, list[float]()
    queues = [FairQueue[tuple[str, float]](6000) for _ in range(gateways)]
    backlogs, credit, end = [Backlog(MOST) for _ in range(gateways)], [20_000.0] * gateways, 0
    for step in range(int((away_s + seconds) / STEP_S)):
        now_s = step * STEP_S
        if step % 10 == 0:
            queues[-1].put("neighbour", ("neighbour", now_s))
        for k, (queue, backlog) in enumerate(zip(queues, backlogs, strict=True)):
            sent = min(3000 - len(queue), int(credit[k]))
            credit[k] += 200 * STEP_S - max(0, sent)
            for _ in range(sent):
                queue.put("flood", ("flood", now_s))
            backlog.look({0: decided}, now_s)
            taken = queue.take(min(1000, backlog.room()), ANY)
            if taken:
                backlog.add(rows(0, end, len(taken)), now_s)
            log.extend(taken)
            end += len(taken)
        most = max(most, len(log))
        done = min(done + pace * STEP_S, float(len(log))) if now_s >= away_s else 0.0
        while done >= 1:
            name, sent_s = log.popleft()
            decided, done = decided + 1, done - 1
            if name == "neighbour":
                took.append(now_s - sent_s)
    return Told(took, most)


@pytest.mark.parametrize(("pace", "gateways"), [(400, 1), (2000, 1), (2000, 3)])
def test_under_a_flood_a_neighbour_is_decided_within_a_second(pace: float, gateways: int) -> None:
    told = flooded(pace, gateways)
    assert told.most <= gateways * MOST, "so many records are before it at most"
    assert len(told.took) > 90
    assert max(told.took[30:]) < 1, "in three seconds the gateway knows how slow the workers are"


def test_a_worker_that_comes_back_late_is_felt_until_it_has_caught_up_and_no_longer() -> None:
    told = flooded(4000, 1, away_s=5.0)
    assert told.most > 20_000, "meanwhile the log takes everything"
    assert told.took[0] >= 5
    assert len(told.took) > 140
    assert max(told.took[100:]) < 1


def test_a_flood_through_a_gateway_keeps_the_workers_busy() -> None:
    backlog, log, decided, end = Backlog(MOST), 0, 0, 0
    for step in range(1000):
        backlog.look({0: decided}, step * STEP_S)
        room = backlog.room()
        backlog.add(rows(0, end, room), step * STEP_S)
        end, log = end + room, log + room
        did = min(log, 20)
        log, decided = log - did, decided + did
    assert decided == 20 * 1000, "as much as they can"
