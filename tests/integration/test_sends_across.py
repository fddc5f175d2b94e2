"""Cases talk to cases of other homes through the log: in order, once, whatever the partitions, and whoever fails.

Enters: events in several homes, with a kind of case that only other cases bear. Leaves: facts, records of the log, and
what is still on its way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine import failpoints
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.replay import export_log, replay_log
from engine.store import inbox_table, sends
from engine.store.rows import InboxRow
from lab import runs
from lab.runs import engine_on
from schemas import facts
from tests.integration.test_standing import restarted
from tests.simulation.line import NOW, Line
from tests.support.builders import DAY, subject
from tests.support.errands import Owed, Passed, errands
from workflows.decision import Decision

HOMES = ("WY01", "WY02", "WY03", "WY04")
LATER = 1_000


@pytest.fixture(params=[1, 2, 32])
def line(database_url: str, request: pytest.FixtureRequest) -> Iterator[Line]:
    with line_of(database_url, request.param) as found:
        yield found


@contextmanager
def line_of(url: str, *limits: int) -> Iterator[Line]:
    with engine_on(url, *limits) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        yield Line(engine)


def settle(line: Line, now: int) -> int:
    """Decide, append what was said to other homes, and so on until all is heard. How much was appended."""
    total = 0
    while True:
        while line.engine.work(None) is not None:
            pass
        if not (sent := line.engine.forward(now)):
            line.engine.feed()
            return total
        total += sent


def urge(line: Line, time: int, number: int = 1) -> None:
    line.say("case.urged", "WY-SUPERVISOR", time, case=subject("WY01", number))


def bear(*homes: str) -> Any:
    """What an urged case says: it bears the errand 4 in each of these homes."""

    def says(d: Decision) -> None:
        for home in homes:
            d.send(subject(home, 4), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")

    return says


def pass_on(first: str, *homes: str) -> Any:
    """A word that goes from errand to errand."""
    to = tuple(subject(home, 4) for home in homes)
    return lambda d: d.send(subject(first, 4), "errand.passed", Passed(to=to))


def records(line: Line) -> list[InboxRow]:
    """What was said from home to home, as the log has it."""
    with line.engine.database.read() as connection:
        rows = [row for p in line.engine.rows for row in inbox_table.read_all(connection, p) if row.kind == "sent"]
    return sorted(rows, key=lambda row: (row.stamp, row.partition, row.position))


def on_their_way(line: Line) -> int:
    with line.engine.database.read() as connection:
        return sum(sends.count_outgoing(connection).values())


def said_by(line: Line, case: str) -> list[str]:
    """The numbers of what a case has said to other homes, as the log has it."""
    causes = [json.loads(row.body)["cause"] for row in records(line)]
    return [cause["id"] for cause in causes if cause["source"] == case]


def noted(line: Line, home: str) -> int:
    return sum(isinstance(fact, facts.Noted) for fact in line.facts(4, home))


def sound(line: Line, tmp_path: Path) -> None:
    """All that is stored follows from the facts, these from the log, and the log holds all that was said."""
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    (folder := tmp_path / "beside").mkdir()
    assert [str(m) for m in replayed_beside(line.engine, folder)] == []
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", line.engine.count, 1, 1) as again:
        replay_log(again, export_log(line.engine))
        assert runs.facts(again) == runs.facts(line.engine)
        assert on_their_way(Line(again)) == on_their_way(line)


def test_a_case_bears_others_in_other_homes_through_the_log(line: Line, tmp_path: Path) -> None:
    with errands(bear(*HOMES)):
        line.report(1, due=None)
        urge(line, NOW + 1)
        assert settle(line, NOW + 5) == 3  # the first one lies in the home itself
        own = line.steps(4, "WY01")[0]
        assert own.at == NOW + 1
        for k, home in enumerate(HOMES[1:], 2):
            [born] = line.steps(4, home)
            path = f"/XA/WY/{home}/{home}-01/"
            assert (born.definition, born.path, born.at, born.post) == ("errand", path, NOW + 5, "")
            cause = {"type": "gridpatrol.case.sent", "source": subject("WY01", 1), "id": f"2.{k}", "occurred": NOW + 1}
            assert json.loads(born.cause) == cause
        assert [(row.principal, row.stamp) for row in records(line)] == [("owner", NOW + 5)] * 3
        sound(line, tmp_path)


def test_a_word_goes_over_three_homes_and_back(line: Line, tmp_path: Path) -> None:
    with errands(bear("WY02", "WY03", "WY04")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02", "WY03", "WY04", "WY02")):
        urge(line, NOW + 10)
        assert settle(line, NOW + 20) == 4
        assert [noted(line, home) for home in HOMES] == [0, 2, 1, 1]
        sound(line, tmp_path)


def test_what_comes_again_is_taken_once_also_after_a_hundred_days(line: Line, tmp_path: Path) -> None:
    with errands(bear("WY02")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02")):
        urge(line, NOW + 10)
        settle(line, NOW + 20)
        found = records(line)
        for row in found:
            line.engine.append([Submission(row.partition, "sent", "owner", row.body)], NOW + 100 * DAY)
        assert settle(line, NOW + 100 * DAY) == 0
        assert noted(line, "WY02") == 1 and len(line.of(facts.Born, 4, "WY02")) == 1
        assert len(records(line)) == 2 * len(found) == 4
        sound(line, tmp_path)


POINTS = ["sends.before_append", "append.before_commit", "sends.before_mark", "append.after_commit", "sends.after_mark"]


@pytest.mark.parametrize("point", [*POINTS, "slice.after_commit", "slice.before_commit"])
def test_interrupted_anywhere_it_is_heard_once_and_in_order(line: Line, tmp_path: Path, point: str) -> None:
    with errands(bear("WY02", "WY03")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02", "WY03", "WY02")):
        urge(line, NOW + 10)
        urge(line, NOW + 11)
        for count in range(1, 5):
            failpoints.arm(f"{point}:raise@{count}")
            try:
                settle(line, NOW + 20)
            except Interrupted:
                line = restarted(line)
            finally:
                failpoints.arm("")
        settle(line, NOW + 20)
        assert (noted(line, "WY02"), noted(line, "WY03"), on_their_way(line)) == (4, 2, 0)
        said = said_by(line, subject("WY01", 1))
        assert [id_ for id_ in said if not id_.startswith("2.")] == ["3.1", "4.1"]
        sound(line, tmp_path)
