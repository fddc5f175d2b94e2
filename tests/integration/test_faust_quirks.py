"""The workarounds for Faust: what they rest on is there, and they do what they say.

A failure here after an update is good news or bad: verify the workaround anew, delete it if Faust no longer needs it,
and put the new version into `faust_quirks`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import faust
import pytest
from faust.sensors.monitor import Monitor

from consumers.performance import faust_quirks


def test_the_workarounds_were_verified_with_the_installed_versions() -> None:
    installed = {name: version(name) for name in faust_quirks.VERIFIED}
    assert installed == faust_quirks.VERIFIED, "verify each workaround again, then change VERIFIED"


def test_another_version_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(faust_quirks.VERIFIED, "aiokafka", "0.13.0")
    faust_quirks.check_versions()
    assert "workarounds for 0.13.0 have to be verified again" in caplog.text


def test_what_the_quiet_monitor_leaves_out_is_counted_by_faust() -> None:
    silenced = [name for name in vars(faust_quirks.QuietMonitor) if name.startswith("on_")]
    assert len(silenced) == 4 and all(hasattr(Monitor, name) for name in silenced)


def test_faust_takes_the_options_of_a_reader() -> None:
    app = faust.App("test", **faust_quirks.NO_TABLES)
    assert not app.conf.topic_allow_declare and app.conf.topic_disable_leader and not app.conf.web_enabled


class App:
    """An application that ends or hangs, as a test says."""

    def __init__(self, hangs: bool = False, reason: Exception | None = None) -> None:
        self.hangs, self.crash_reason = hangs, reason
        self.crashed = self.should_stop = reason is not None

    async def stop(self) -> None:
        while self.hangs:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)


@pytest.mark.parametrize("hangs", [False, True])
def test_an_application_that_does_not_stop_is_left(hangs: bool) -> None:
    app: Any = App(hangs)

    async def stopped() -> bool:
        done = await faust_quirks.stop(app, 0.05)
        app.hangs = False
        return done

    assert asyncio.run(stopped()) is not hangs


def test_what_ends_an_application_is_raised() -> None:
    reason = ValueError("the brokers are gone")

    async def look(app: Any, error: Exception | None) -> None:
        starting = asyncio.get_running_loop().create_future()
        if error is not None:
            starting.set_exception(error)
        faust_quirks.raise_if_ended(app, starting)

    asyncio.run(look(App(), None))
    for app, error in ((App(reason=reason), None), (App(), reason)):
        with pytest.raises(ValueError, match="the brokers are gone"):
            asyncio.run(look(app, error))
