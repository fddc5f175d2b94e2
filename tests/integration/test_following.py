"""Figures and alerts that follow a slice together, from the steps at hand, are those of two that read the store apart.

In: storms that are decided in slices of any size, with followers that are killed, parted and reset on the way. Out:
derived tables row by row, statements by number, and what is left of one follower where the other fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from consumers.alerts import fold
from consumers.performance import consume
from consumers.verify import verify
from engine import failpoints, writer
from engine.clock import now_ms
from engine.failpoints import Interrupted
from engine.runtime import Engine
from engine.store import alerts, recording, steps
from engine.store.database import Connection, Database
from engine.store.meta import remove_meta
from engine.store.rows import StepRow
from engine.writer import Writer
from gridpatrol.run.following import follow
from lab import runs
from schemas import facts
from tests.integration.test_alone import life, received, turn
from tests.support.builders import weiyang

LATER = 4_000_000_000_000
"""An instant after all storms: whatever waits is told."""
DERIVED = ("figures", "contributions", "outcomes", "alerts", "notices")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with runs.engine_on(database_url, 4, slice_records=7, slice_steps=60) as engine:
        yield engine


@pytest.fixture
def at_work(database_url: str) -> Iterator[Writer]:
    """The writer of an installation with figures and alerts, which a test turns by hand."""
    with runs.engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        engine.install(weiyang().pack, now_ms() - 1000)
        engine.drain(now_ms())
        found = Writer(engine)
        found.write_batch()  # looks at the clock once, and enters homes
        yield found


def derived(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All that was derived from the steps; lines of the feed without their numbers, which follow the passes."""
    with db.read() as connection:
        tables = {name: f"SELECT * FROM {name}" for name in DERIVED}
        tables["notices"] = "SELECT id, case_id, move, recipients, raised_at, not_before, daily FROM notices"
        tables["figures"] += " WHERE value <> 0"
        tables["lines"] = "SELECT alert, what, recipients FROM deliveries"
        return {name: sorted(map(tuple, connection.exec_driver_sql(sql)), key=repr) for name, sql in tables.items()}


def numbers(db: Database) -> list[int]:
    """The numbers of the feed."""
    with db.read() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT number FROM deliveries ORDER BY number")]


def begin_anew(db: Database) -> None:
    """Forget all that was derived."""
    consume.rebuild(db)
    with db.begin() as connection:
        steps.forget(connection, fold.NAME)
        for table in ("alerts", "notices", "deliveries"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        for name in (alerts.TOLD, alerts.TOLD_AMID):
            remove_meta(connection, name)


class Unsteady:
    """A follower that is killed before and after its commit, parted and reset, by chance."""

    def __init__(self, seed: int) -> None:
        self.rng, self.at_hand = Random(seed), 0

    def __call__(self, db: Database, at_hand: Sequence[StepRow]) -> int:
        self.at_hand += len(at_hand)
        what = self.rng.randrange(7)
        if what < 2:
            failpoints.arm(f"{('fold.before_commit', 'alerts.after_commit')[what]}:raise")
            try:
                done = follow(db, at_hand, now=LATER)
            except Interrupted:
                done = 0
            finally:
                failpoints.arm("")
            return done or follow(db, at_hand, now=LATER) or len(at_hand)
        if what == 2:
            fold.consume(db, at_hand, limit=3, now=LATER)
        elif what == 3:
            consume.consume(db, at_hand[:5], limit=2)
        elif what == 4 and self.rng.randrange(4) == 0:
            consume.rebuild(db)
        return follow(db, at_hand if self.rng.randrange(3) else at_hand[1:], now=LATER)


@pytest.mark.parametrize("seed", [1, 2])
def test_they_derive_what_two_derive_that_read_the_store_apart(engine: Engine, seed: int) -> None:
    unsteady = Unsteady(seed)
    engine.consumers = [unsteady]
    runs.replayed(engine, runs.storm(seed, 16))
    db = engine.database
    while follow(db, now=LATER):
        pass
    together = derived(db)
    assert unsteady.at_hand and all(together[name] for name in ("figures", "outcomes", "alerts", "notices", "lines"))
    assert verify(db) == [] and numbers(db) == list(range(1, len(together["lines"]) + 1))
    begin_anew(db)
    while consume.consume(db, limit=11):
        pass
    while fold.consume(db, limit=7, now=LATER):
        pass
    assert derived(db) == together


# ---- statements ---------------------------------------------------------------------------------------------


def test_steps_that_a_slice_has_made_are_not_read_again(engine: Engine) -> None:
    engine.consumers = [follow]
    recorder = recording.Recorder(engine.database)
    runs.replayed(engine, runs.storm(3, 16))
    passes = [one for one in recorder.transactions if any("INTO positions" in each.text for each in one.statements)]
    reading = [one for one in passes if any("CROSS JOIN facts s" in each.text for each in one.statements)]
    assert len(reading) <= 1 + engine.count, "once at the start, and once in each partition before it has a position"
    assert len(passes) > 4 * len(reading)


MOST = {
    "report.submitted": 6,  # positions twice, figures, the place in the feed, a notice and its line
    "dissuasion.recorded": 5,  # no notice: positions twice, what the case contributes, its alerts, the outcome
    "incident.reported_up": 8,
    "incident.accepted": 6,  # a notice for the line of the day
}
"""Statements with which figures and alerts follow an event that comes alone."""


def test_what_follows_an_event_that_comes_alone_takes_few_statements(at_work: Writer) -> None:
    recorder = recording.Recorder(at_work.engine.database)
    for said in life(1):  # afterwards the partition is known to both
        turn(at_work, said)
    for said in life(2):
        recorder.transactions.clear()
        turn(at_work, said)
        followed, name = recorder.transactions[-1].statements, said["type"].removeprefix("gridpatrol.")
        locked = at_work.engine.database.dialect == "postgresql"  # there the place is locked before it is read
        assert len(followed) <= MOST[name.removesuffix(".v1")] + locked, name
        texts = [each.text for each in followed]
        assert len(set(texts)) == len(texts), "each table is written once, and read once"


# ---- company ------------------------------------------------------------------------------------------------


class Hands:
    """A clock that a test sets, in place of the module `time`."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


def commits(recorder: recording.Recorder) -> list[str]:
    """What each transaction that wrote was: a slice, or what follows it."""
    wrote = [" ".join(each.text for each in one.statements) for one in recorder.transactions if one.write]
    return ["follow" if "INTO positions" in text else "slice" for text in wrote]


def test_while_events_keep_coming_figures_and_alerts_follow_several_at_once(
    at_work: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands()
    monkeypatch.setattr(writer, "time", hands)
    reports = iter([received(at_work.engine, life(number)[0]) for number in range(1, 13)])
    turn(at_work, life(20)[0])
    recorder = recording.Recorder(at_work.engine.database)

    def send() -> None:
        """A sender that sends as soon as it is answered."""
        if (report := next(reports, None)) is not None:
            at_work.submit(report).durable.add_done_callback(lambda _: send())

    send()
    for _ in range(12):
        at_work.write_batch()
        hands.now_s += 0.01
    found = commits(recorder)
    assert found.count("slice") == 12 and found[-1] == "follow", "an idle process follows at once"
    rounds = " ".join(found).split("follow")
    assert 2 <= len(rounds) - 1 <= 4 and max(each.count("slice") for each in rounds) <= 6, "50 ms, of turns of 10 ms"
    with at_work.engine.database.read() as connection:
        assert steps.read_behind(connection, fold.NAME) == steps.read_behind(connection, consume.NAME) == {}


# ---- failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [consume, fold])
def test_where_one_fails_the_other_goes_on(engine: Engine, broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.replayed(engine, runs.storm(5, 4))

    def fail(connection: Connection, news: Sequence[facts.Step], *_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "take_in", fail)
    with engine.database.read() as connection:
        there = sum(steps.read_ends(connection).values())
    with pytest.raises(ZeroDivisionError):
        follow(engine.database, limit=there, now=LATER)
    other = fold if broken is consume else consume
    with engine.database.read() as connection:
        assert steps.read_behind(connection, other.NAME) == {}, "it has taken in all steps"
        assert sum(steps.read_behind(connection, broken.NAME).values()) == 0
    monkeypatch.undo()
    while follow(engine.database, now=LATER):
        pass
    assert verify(engine.database) == []
    with engine.database.read() as connection:
        assert steps.read_behind(connection, broken.NAME) == {}
