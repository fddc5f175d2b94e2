"""How a process is asked to end."""

import signal
import threading

import pytest

from gridpatrol.run.endings import stopped_by_signals

WAIT_S = 20.0


class Watched(threading.Event):
    """Knows which thread set it."""

    by: threading.Thread | None = None

    def set(self) -> None:
        self.by = threading.current_thread()
        super().set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event_from_another_thread_than_the_one_that_it_interrupts(number: signal.Signals) -> None:
    stop, before = Watched(), signal.getsignal(number)
    with stopped_by_signals(stop):
        assert not stop.is_set()
        signal.raise_signal(number)
        signal.raise_signal(number)  # who is impatient asks again
        assert stop.wait(WAIT_S)
    assert stop.by is not None and stop.by is not threading.current_thread()
    assert signal.getsignal(number) is before


def test_what_no_signal_ended_is_not_asked_to_end_afterwards() -> None:
    stop = threading.Event()
    with stopped_by_signals(stop):
        pass
    for thread in threading.enumerate():
        if thread.name == "gridpatrol-signals":
            thread.join(WAIT_S)
    assert not stop.is_set()
