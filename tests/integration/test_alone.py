"""What comes alone is decided as it is appended, in one transaction; its facts are those of any other way.

In: a writer that a test turns by hand, or an engine that takes groups of events in. Out: commits up to the answer and
in all, what is left where a slice fails, and facts, answers and an export that are the same whatever came together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from engine import admission, failpoints, runtime
from engine.clock import now_ms
from engine.errors import DatabaseUnusable, StaleWriter
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import recording
from engine.writer import Ask, Writer
from lab import runs
from lab.runs import engine_on
from lab.storm import Storm
from schemas.refusals import Refusal
from tests.integration.test_isolation import POISON, refuse
from tests.simulation.line import NOW, Line, check_export, line_on
from tests.support.builders import event, subject, weiyang

STATEMENTS = 16


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An installation at work, with figures and alerts; nothing is due in it."""
    database = runs.open_at_this_release(database_url)
    try:
        found = Engine(database, Settings(database=database_url, partitions=4), runs.consumers())
        found.install(weiyang().pack, now_ms() - 1000)
        found.drain(now_ms())
        Writer(found).write_batch()  # looks at the clock once, and enters homes
        yield found
    finally:
        database.close()


def received(engine: Engine, said: dict[str, Any]) -> Submission:
    found = admission.receive(msgspec.json.encode(said), "app", engine.count)
    assert not isinstance(found, Refusal), found
    return found[0]


def life(number: int) -> list[dict[str, Any]]:
    """An incident that is found on patrol and goes up, with words that are sealed."""
    by, case, words = "WY09-01-MEMBER", subject("WY09", number), {"description": "rubble beside the road"}
    data = {"category": "D3-01", "source": "patrol", "grid": "WY09-01"} | words
    return [
        event("report.submitted", by, now_ms(), case=case, id=f"r{number}", **data),
        event("dissuasion.recorded", by, now_ms(), case=case, id=f"d{number}", outcome="ineffective"),
        event("incident.reported_up", by, now_ms(), case=case, id=f"u{number}"),
        event("incident.accepted", "WY09-CHIEF", now_ms(), case=case, id=f"a{number}"),
    ]


def turn(writer: Writer, said: dict[str, Any]) -> Ask:
    """Submit an event, and let the writer turn once."""
    ask = writer.submit(received(writer.engine, said), wait=True)
    writer.write_batch()
    return ask


# ---- commits ------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Transactions up to the moments when an event was durable and decided, and those of the whole turn."""

    durable: int
    decided: int
    whole: list[recording.Transaction]


def cost_of(said: dict[str, Any], writer: Writer, recorder: recording.Recorder) -> Cost:
    """A turn with one event, which is done."""
    recorder.transactions.clear()
    ask, upto = writer.submit(received(writer.engine, said), wait=True), list[int]()
    assert ask.outcome is not None
    for moment in (ask.durable, ask.outcome):
        moment.add_done_callback(lambda _: upto.append(len(recorder.transactions)))
    writer.write_batch()
    assert ask.outcome.result(0).outcome == "done"
    durable, decided = upto
    return Cost(durable, decided, recorder.transactions[:])


def test_an_event_that_comes_alone_is_answered_after_one_commit_and_costs_two(engine: Engine) -> None:
    writer, recorder = Writer(engine), recording.Recorder(engine.database)
    for said in [*life(1), *life(2)]:
        cost = cost_of(said, writer, recorder)
        assert (cost.durable, cost.decided) == (1, 1), "durable and decided by the same commit"
        assert [each.write for each in cost.whole] == [True, True], "the slice, and what follows it"
    runs.check_whole(engine)


def test_an_event_that_comes_alone_takes_sixteen_statements_at_most(engine: Engine) -> None:
    """From its append to figures and alerts; `BEGIN` and `COMMIT` are not counted. The first event of a partition also
    begins the positions of its consumers."""
    writer, recorder = Writer(engine), recording.Recorder(engine.database)
    turn(writer, life(9)[0])
    for said in [*life(1), *life(2)]:
        statements = [each.text for part in cost_of(said, writer, recorder).whole for each in part.statements]
        assert len(statements) <= STATEMENTS, "\n".join(statements)


@pytest.mark.parametrize("count", [2, runtime.AT_ONCE])
def test_a_few_events_that_come_together_share_the_two_commits(engine: Engine, count: int) -> None:
    writer, recorder = Writer(engine), recording.Recorder(engine.database)
    asks = [writer.submit(received(engine, life(number)[0]), wait=True) for number in range(1, count + 1)]
    writer.write_batch()
    assert {ask.outcome.result(0).outcome for ask in asks if ask.outcome is not None} == {"done"}
    assert len(recorder.transactions) == 2


def test_more_events_are_durable_before_they_are_decided(engine: Engine) -> None:
    writer, recorder = Writer(engine), recording.Recorder(engine.database)
    asks = [writer.submit(received(engine, life(number)[0])) for number in range(1, runtime.AT_ONCE + 2)]
    upto = list[int]()
    asks[-1].durable.add_done_callback(lambda _: upto.append(len(recorder.transactions)))
    writer.write_batch()
    assert (upto, len(recorder.transactions)) == ([1], 3)


def test_what_comes_behind_undecided_records_is_decided_in_its_turn(engine: Engine) -> None:
    first, second = (received(engine, said) for said in life(1)[:2])
    engine.append([first], now_ms())
    _, decided = engine.append_and_decide([second], now_ms())
    assert decided is None and engine.undecided() == 2
    result = engine.work(now_ms())
    assert result is not None and [answer.outcome for answer in result.answers] == ["done", "done"]


# ---- where a slice fails ------------------------------------------------------------------------------------


def test_an_event_whose_facts_the_database_refuses_is_kept_and_its_neighbours_are_decided(
    database_url: str, tmp_path: Path
) -> None:
    with line_on(database_url) as line:
        refuse(line.engine.database, "facts", f"NEW.body LIKE '%{POISON}%'")
        group = [reported(line, number, POISON if number == 2 else "fine") for number in (1, 2, 3)]
        rows, decided = line.engine.append_and_decide(group, NOW)
        assert decided is None and line.engine.heads[0] == rows[-1].position + 1, "all of it is in the log"
        line.engine.drain()
        assert [letter[:3] for letter in line.letters()] == [("failed", subject("WY01", 2), "e2")]
        assert line.facts(1) and line.facts(3) and not line.facts(2)
        runs.check_whole(line.engine)
        check_export(line, tmp_path)


def reported(line: Line, number: int, reference: str = "fine", time: int = NOW) -> Submission:
    """A service request."""
    data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "definition": "service_request"}
    return line.submission(
        "report.submitted", "WY-12345", time, case=subject("WY01", number), reference=reference, **data
    )


def test_an_event_on_which_a_rule_fails_is_in_the_log_and_its_case_stands(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    writer = Writer(engine)
    turn(writer, life(1)[0])
    monkeypatch.setattr("workflows.decide.take", fails)
    ask = turn(writer, life(1)[1])
    assert ask.outcome is not None and ask.outcome.result(0).outcome == "pending"
    assert sum(row.standing for row in engine.rows.values()) == 1
    runs.check_whole(engine)


def test_while_the_database_is_away_nothing_is_accepted_and_a_resend_is_decided_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnusable("the disk of the database is full", remedy="make room")

    writer, before = Writer(engine), dict(engine.heads)
    with monkeypatch.context() as full:
        full.setattr("engine.store.slices.write_partitions", away)
        ask = writer.submit(received(engine, life(1)[0]), wait=True)
        writer.try_once()
        assert isinstance(ask.durable.exception(0), DatabaseUnusable)
    assert engine.heads == before and writer.unable()
    again = turn(writer, life(1)[0])
    assert again.outcome is not None and again.outcome.result(0).outcome == "done"
    runs.check_whole(engine)


def test_an_owner_that_another_process_has_moved_on_appends_what_came_and_decides_it_then(engine: Engine) -> None:
    row = received(engine, life(1)[0])
    with engine.database.begin() as connection:
        connection.exec_driver_sql("UPDATE partitions SET version = version + 1")
    rows, decided = engine.append_and_decide([row], now_ms())
    assert decided is None
    result = engine.work(now_ms())
    assert result is not None and [(a.position, a.outcome) for a in result.answers] == [(rows[0].position, "done")]


def test_an_event_whose_decision_breaks_off_is_in_the_log_once_and_decided_once(engine: Engine) -> None:
    """Wherever it breaks off: where nothing was committed it is appended by itself, else it is there already."""
    points = [name for name in failpoints.NAMES if name.startswith(("slice.", "append."))]
    assert len(points) == 7
    for number, point in enumerate(points, 1):
        row, heads = received(engine, life(number)[0]), sum(engine.heads.values())
        failpoints.arm(f"{point}:raise")
        try:
            engine.append_and_decide([row], now_ms())
        except (Interrupted, StaleWriter):
            assert point.endswith("after_commit")
            engine.reload()
        finally:
            failpoints.arm("")
        assert sum(engine.heads.values()) == heads + 1
        engine.drain(now_ms())
        assert len(runs.facts(engine)[subject("WY09", number)]) == 1
    runs.check_whole(engine)


# ---- the same facts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_gives_the_same_facts_whatever_comes_together(seed: int, database_url: str, tmp_path: Path) -> None:
    """Some of it is decided as it is appended, some is appended first; the log of it, decided one by one, is the
    judge."""
    chance, partitions = Random(seed), seed**2
    sent, place, at_once = sorted(Storm(seed, 15).sent, key=lambda each: each[:2]), 0, 0
    with engine_on(database_url, partitions, consumers=runs.consumers()) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        while place < len(sent):
            size, waits = chance.choice((1, 1, 1, 2, 2, 5, 5, runtime.AT_ONCE + 1)), chance.random() < 0.2
            chunk, place = sent[place : place + size], place + size
            now = chunk[-1][0]
            if chance.random() < 0.7:  # the owner has been attentive
                engine.tick(now)
                engine.drain(now)
            if waits:
                engine.append([received(engine, chunk[0][2])], now)
                chunk = chunk[1:]
            if chunk:
                _, decided = engine.append_and_decide([received(engine, said) for _, _, said in chunk], now)
                at_once += sum(decided.taken.values()) if decided is not None else 0
            engine.drain(now)
        engine.drain()
        assert 20 < at_once < len(sent) - 20, "both ways were taken"
        runs.check_whole(engine)
        with engine_on(f"sqlite:///{tmp_path / 'again.db'}", partitions, 1, 1, consumers=runs.consumers()) as again:
            replay_log(again, export_log(engine))
            assert runs.steps(again) == runs.steps(engine)
            assert runs.answers(again) == runs.answers(engine)
            assert runs.derived(again) == runs.derived(engine)
