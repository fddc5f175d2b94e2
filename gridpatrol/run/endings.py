"""When a process ends: at a signal, or after so many seconds."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event at SIGINT and SIGTERM.

    A handler interrupts the main thread anywhere, also where that holds the lock of the event, and would wait for
    itself for ever. So it only puts something into a queue, which a handler may; a thread sets the event.
    """
    asked = SimpleQueue[bool]()

    def set_when_asked() -> None:
        if asked.get():
            stop.set()

    threading.Thread(target=set_when_asked, name="gridpatrol-signals", daemon=True).start()
    before = {number: signal.signal(number, lambda *_: asked.put(True)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        asked.put(False)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as SIGINT does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopped_after(seconds: float | None, stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` after so many seconds, unless the block ends before; None: never."""
    timer = threading.Timer(seconds or 0, stop)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
