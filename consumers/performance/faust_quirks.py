"""Every workaround for Faust, and what goes wrong without it.

All of them were verified against the versions below. Other versions log a warning, and a test fails until each one has
been verified again: `tests/integration/test_faust_quirks.py`. No private attribute of Faust, mode or aiokafka is used.
"""

import asyncio
import logging
from importlib.metadata import version
from typing import Any

import faust
from faust.sensors.monitor import Monitor

log = logging.getLogger(__name__)

VERIFIED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
"""The versions that these workarounds were verified against."""


def check_versions() -> None:
    """Warn where other versions are installed."""
    for name, verified in VERIFIED.items():
        if (installed := version(name)) != verified:
            log.warning("%s is %s: the workarounds for %s have to be verified again", name, installed, verified)


check_versions()

NO_TABLES: dict[str, Any] = {
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "store": "memory://",
    "web_enabled": False,
}
"""Options with which Faust only reads: it creates no topic, serves nothing and keeps nothing. Symptom: the contents of
its tables are wrong after every rebalance, graceful ones too, by up to 95 %. Seen in 0.15.3; no upstream issue
known."""

CONCURRENCY = 1
"""Agents per process. Symptom: with more, gaps in the acknowledged offsets make Faust commit a wrong one. Seen in
0.15.3; https://github.com/faust-streaming/faust/issues/606 (open)."""


class QuietMonitor(Monitor):
    """Faust's statistics without those per message. Symptom: they take a tenth of its time, and nobody reads them. Seen
    in 0.15.3; no upstream issue known."""

    def on_message_in(self, *_: Any) -> None:
        """Count nothing."""

    def on_stream_event_in(self, *_: Any) -> None:
        """Count nothing."""

    def on_stream_event_out(self, *_: Any) -> None:
        """Count nothing."""

    def on_message_out(self, *_: Any) -> None:
        """Count nothing."""


def raise_if_ended(app: faust.App, starting: "asyncio.Future[None]") -> None:
    """Raise what ended an application that is starting or running.

    Symptom: `app.start()` waits for the brokers however long they are away, so it runs as a task beside the rest; and
    an application that crashes later raises nothing to its caller. Seen in 0.15.3; no upstream issue known.
    """
    if starting.done():
        starting.result()
    if app.crashed or app.should_stop:
        raise app.crash_reason or RuntimeError("Faust stopped by itself")


async def stop(app: faust.App, within_s: float) -> bool:
    """Stop an application. False where it does not stop in time: it is left to itself then, and the process has to end.

    Symptom: `app.stop()` can hang, and does not always let itself be cancelled. Seen in 0.15.3;
    https://github.com/robinhood/faust/issues/484 (open).
    """
    stopping = asyncio.ensure_future(app.stop())
    _, left = await asyncio.wait([stopping], timeout=within_s)
    if left:
        return False
    stopping.result()
    return True
