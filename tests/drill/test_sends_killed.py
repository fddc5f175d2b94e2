"""Killed anywhere between the commit, the append and the mark, what cases say to other homes is heard once, in order.

Enters: processes that die at a failpoint, one after another, on one database. Leaves: facts, and a log that gives them.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from consumers.verify import verify
from engine import failpoints
from engine.replay import export_log, replay_log
from lab import runs
from lab.runs import engine_on
from tests.simulation.line import NOW, Line
from tests.support.builders import subject
from tests.support.errands import Owed, Passed, errands
from tests.support.forks import begun, ended
from workflows.decision import Decision

ROUND = ("WY02", "WY03", "WY04", "WY05", "WY02")
TIMES, LATER = 6, 20_000
POINTS = (
    "slice.before_commit",
    "slice.after_commit",
    "sends.before_append",
    "append.before_commit",
    "sends.before_mark",
    "append.after_commit",
    "sends.after_mark",
)


def says(d: Decision) -> None:
    """An urged case bears an errand in each home, and sends a word from one to the next."""
    for home in ROUND[:4]:
        d.send(subject(home, 4), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")
    d.send(subject(ROUND[0], 4), "errand.passed", Passed(to=tuple(subject(home, 4) for home in ROUND[1:])))


def talk(failpoint: str, url: str) -> None:
    """Decide what is in the log, and carry on what is said, to the end or to the failpoint."""
    failpoints.arm(failpoint)
    with errands(says), engine_on(url, 4, 3, 5) as engine:
        while engine.work(None) is not None or engine.forward(NOW + LATER):
            pass


@pytest.mark.parametrize("point", POINTS)
def test_what_is_said_is_heard_once_and_in_order(database_url: str, tmp_path: Path, point: str) -> None:
    with engine_on(database_url, 4) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        line = Line(engine)
        line.report(1, due=None)
        for number in range(TIMES):
            line.say("case.urged", "WY-SUPERVISOR", NOW + 1 + number, case=subject("WY01", 1))
    killed = 0
    for count in (1, 2, 1, 3, 2, 1, 4, 1):
        code = ended(begun(talk, f"{point}:kill@{count}", database_url))
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
    assert killed >= 4
    assert ended(begun(talk, "", database_url)) == 0
    with errands(says), engine_on(database_url, 4) as engine:
        line = Line(engine)
        for home, times in {"WY02": 2 * TIMES, "WY03": TIMES, "WY04": TIMES, "WY05": TIMES}.items():
            told = [type(fact).__name__ for fact in line.facts(4, home)]
            assert (told.count("Born"), told.count("Noted")) == (1, times)
        heard = [json.loads(step.cause)["id"] for step in line.steps(4, "WY02")]
        assert [id_ for id_ in heard if id_.endswith(".5")] == [f"{2 + number}.5" for number in range(TIMES)]
        engine.drain()
        assert [str(m) for m in verify(engine.database, live=True)] == []
        with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 4, 1, 1) as again:
            replay_log(again, export_log(engine))
            assert runs.facts(again) == runs.facts(engine) and not again.partitions.outgoing
