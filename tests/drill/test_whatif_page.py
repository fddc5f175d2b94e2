"""The page of 假如: history under a pack that was uploaded, beside what was, computed by the command itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from engine.store import clocks
from gridpatrol.run.comparing import CommandComparer
from lab import runs
from tests.integration.test_console import HTML, Browser, browser, close_browsers, get, send
from tests.integration.test_console_operator import files_of, upload
from tests.integration.test_whatif import span
from tests.support.serving import Served, served, wait_until

__all__ = ["close_browsers"]
LONGER = "accept,3,,,1工作时 => accept,3,,,0.1工作时"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door over a small month, whose time is that of the month."""
    url = f"sqlite:///{tmp_path_factory.mktemp('whatif') / 'month.db'}"
    with runs.engine_on(url, 2, consumers=runs.consumers()) as engine:
        runs.replayed(engine, runs.month(25))
        with engine.database.begin() as connection:
            clocks.note_replayed(connection, "a test")
        with served(engine, comparer=CommandComparer(engine.settings)) as running:
            yield running


def compared(door: Served, client: Browser, digest: str) -> str:
    """The page of a comparison over all of the history, once it has its answer."""
    first, last = (datetime.fromtimestamp(each / 1000, UTC).date().isoformat() for each in span(door.engine))
    form = get(client, "/whatif").form("/whatif")
    there = send(client, "/whatif", form | {"digest": digest, "first": first, "last": last}).headers["location"]
    wait_until(lambda: "hx-trigger" not in get(client, there).text, 180)
    return get(client, there).text


def test_history_under_another_pack_stands_beside_what_was(door: Served) -> None:
    active = door.engine.active()
    with browser(door) as client:
        stored = re.findall(r'<option value="([0-9a-f]{64})"', get(client, "/whatif").text)
        assert active is not None and active.hash in stored
        assert "每一案都一样" in compared(door, client, active.hash)
        answer = upload(client, list(files_of(limits=LONGER).items())).text
        (digest,) = set(re.findall(r'name="digest" value="([0-9a-f]{64})"', answer))
        assert digest not in stored, "it was checked, and is not stored"
        other = compared(door, client, digest)
        count = re.search(r"(\d+) 件不同", other)
        assert count is not None and int(count[1]) and other.count('href="/cases/') == min(int(count[1]), 20)
        assert "受理超期" in other
    assert door.engine.active() == active, "nothing was written"


def test_what_cannot_be_compared_is_told(door: Served) -> None:
    with browser(door) as client:
        form = get(client, "/whatif").form("/whatif")
        days = {"first": "2026-03-01", "last": "2026-03-31"}
        assert send(client, "/whatif", form | days | {"digest": "0" * 64}).status_code == 409
        active = door.engine.active()
        assert active is not None
        late = form | {"digest": active.hash, "first": "2026-03-31", "last": "2026-03-01"}
        assert send(client, "/whatif", late).status_code == 400
        assert send(client, "/whatif", late | {"first": "x"}).status_code == 400
        assert client.get("/whatif?key=no", headers=HTML).status_code == 404
