"""The reference client is killed between any two of its lines: what it says happens once, and it learns all of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from examples import phone as example
from examples.phone import Phone
from schemas.samples import PHOTO
from tests.support.builders import LEAF, MEMBER, subject
from tests.support.forks import begun, ended
from tests.support.serving import prepared, served

SAYS: list[tuple[str, dict[str, Any]]] = [
    ("evidence.added", {"evidence": [PHOTO]}),
    ("report.submitted", {"category": "D3-01", "source": "patrol", "grid": LEAF}),
]


TOGETHER = 8


def live(store: str, url: str, case: str) -> None:
    """Say what was not said yet, and sync."""
    phone = Phone(store, url, MEMBER)
    while (said := len(phone.said())) < len(SAYS):
        phone.say(SAYS[said][0], case, SAYS[said][1])
    assert phone.sync(tries=2000, sleep=lambda seconds: time.sleep(0.01))


def live_until(store: str, url: str, case: str, line: str) -> None:
    """The same, killed before a line of the client that is executed: the first one, the second one, ..."""
    left = int(line)

    def trace(frame: FrameType, what: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != example.__file__:
            return None
        if what == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    live(store, url, case)


def test_killed_before_any_line_it_goes_on_and_nothing_is_lost_or_done_twice(sqlite_url: str, tmp_path: Path) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        url = str(door.client.base_url)

        def is_killed(line: int) -> bool:
            """Whether it was killed before this line, and not done before; then it went on as it should."""
            store, case = str(tmp_path / f"{line}.db"), subject("WY01", line)
            status = ended(begun(live_until, store, url, case, str(line)))
            assert status in (0, -signal.SIGKILL)
            live(store, url, case)
            assert [outcome for _, outcome, _ in Phone(store, url, MEMBER).said()] == ["done", "done"]
            found = door.get(f"/v1/incidents/{case}")
            facts = [fact["fact"] for step in found["history"] for fact in step["facts"]]
            assert (facts.count("incident.reported"), facts.count("incident.evidence_added")) == (1, 1), line
            return status != 0

        killed, line = 0, 1
        with ThreadPoolExecutor(TOGETHER) as pool:
            while all(found := list(pool.map(is_killed, range(line, line + TOGETHER)))):
                killed, line = killed + len(found), line + TOGETHER
        assert killed > 50
