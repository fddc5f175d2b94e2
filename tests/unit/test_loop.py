"""A loop: it rests between batches, waits out what passes, ends with what does not, and stops when it is asked to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from engine.loop import Loop


class Counting(Loop):
    """A loop whose batches do what a test says: an error, or the seconds to rest."""

    away_s = 0.01

    def __init__(
        self,
        *results: float | Exception,
        stop_asked: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("counting", stop_asked, clock)
        self.results = list(results)
        self.batches = 0
        self.released = False

    def run_once(self) -> float:
        self.batches += 1
        result = self.results.pop(0) if self.results else self.end()
        if isinstance(result, Exception):
            raise result
        return result

    def end(self) -> float:
        self.stop_asked.set()
        return 60.0

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, OSError)

    def release(self) -> None:
        self.released = True


def test_a_loop_does_batches_until_it_is_asked_to_stop() -> None:
    loop = Counting(0.0, 0.01, 0.0)
    loop.run()
    assert (loop.batches, loop.released, loop.failure) == (4, True, None)


def test_what_passes_is_waited_out_shown_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = Counting(OSError("away"), OSError("away"), OSError("still away"), 0.0)
    with caplog.at_level(logging.INFO):
        loop.try_once()
        assert loop.away == "away"
        loop.run()
    assert (loop.batches, loop.failure, loop.away) == (5, None, "")
    assert [record.getMessage() for record in caplog.records] == [
        "gridpatrol-counting: away; trying again",
        "gridpatrol-counting: still away; trying again",
        "gridpatrol-counting goes on",
    ]


def test_what_does_not_pass_ends_the_loop_and_stands_in_failure(caplog: pytest.LogCaptureFixture) -> None:
    defect = ValueError("a defect")
    loop = Counting(0.0, defect, 0.0)
    loop.start()
    loop.join(10)
    assert (loop.batches, loop.failure, loop.released) == (2, defect, True)
    assert "gridpatrol-counting stopped" in caplog.text


def test_a_loop_that_rests_is_stopped_at_once() -> None:
    loop = Counting(60.0)
    loop.start()
    while not loop.batches:
        time.sleep(0.001)
    loop.stop(within_s=10)
    assert not loop.is_alive() and loop.batches == 1


def test_loops_may_share_the_event_that_stops_them() -> None:
    stop_asked = threading.Event()
    stop_asked.set()
    loop = Counting(0.0, stop_asked=stop_asked)
    loop.run()
    assert loop.batches == 0 and loop.released


def test_a_loop_that_was_never_started_can_be_stopped() -> None:
    Counting().stop()


def test_batches_that_find_work_begin_apart_so_that_what_comes_meanwhile_has_company() -> None:
    now_s = 100.0
    loop = Counting(0.0, clock=lambda: now_s)
    loop.try_once()
    now_s += 0.004
    assert loop.rest_s(0.01) == pytest.approx(0.006), "the rest of the time from one beginning to the next"
    now_s += 0.02
    assert loop.rest_s(0.01) == 0.0, "a long batch has had company enough"
