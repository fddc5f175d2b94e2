"""A failure that no retry cures is isolated to one record or one firing; its neighbours go on, in a replay as well.

A trigger of the database refuses steps, or a calendar begins too late for a firing. Each leaves one dead letter, or one
case whose clocks stand still, both in the exported log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.clock import now_ms
from engine.errors import DatabaseUnusable
from engine.failures import is_defect, is_permanent
from engine.inbox import Submission
from engine.replay import export_log, replay_log
from engine.store.database import Database
from lab import runs
from lab.runs import engine_on, replayed, storm
from schemas import facts
from tests.simulation.line import DUE, NOW, Line, check_export, line_on, sample
from tests.support.builders import DAY, subject
from tests.support.stored_texts import of_texts
from workflows.policy.model import Pack

POISON = "POISON-1"


def refuse(database: Database, table: str, condition: str) -> None:
    """Make the database refuse rows of a table, as a limit of its own would."""
    with database.begin() as connection:
        if database.dialect == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER refused BEFORE INSERT ON {table} WHEN {of_texts('sqlite', condition)} "
                "BEGIN SELECT RAISE(ABORT, 'not storable here'); END"
            )
        else:
            plain = condition.replace("NEW.", "").replace("%", "%%")
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (NOT ({plain})) NOT VALID")


def relent(database: Database, table: str) -> None:
    """Take that back."""
    with database.begin() as connection:
        if database.dialect == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER refused")
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT refused")


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with line_on(database_url) as found:
        yield found


def tick(line: Line, time: int) -> None:
    line.engine.append([Submission(0, "tick", "owner", "")], time)
    line.engine.drain()


# ---- records ------------------------------------------------------------------------------------------------


def test_a_record_that_the_database_refuses_becomes_one_dead_letter_and_its_neighbours_go_on(
    line: Line, tmp_path: Path
) -> None:
    refuse(line.engine.database, "facts", f"NEW.body LIKE '%{POISON}%'")
    for number in range(1, 41):
        line.report(number, NOW + number, reference=POISON if number == 23 else "fine")
    answers = []
    while (result := line.engine.work(None)) is not None:
        answers += result.answers
    assert [answer.outcome for answer in sorted(answers, key=lambda a: a.position)] == [
        "refused" if number == 23 else "done" for number in range(1, 41)
    ]
    assert [letter[:3] for letter in line.letters()] == [("failed", subject("WY01", 23), "e23")]
    assert len(runs.facts(line.engine)) == 39
    runs.check_whole(line.engine)
    check_export(line, tmp_path)  # there the database takes it, but it was settled: the same facts


def test_several_poisoned_records_in_several_partitions_are_found_one_by_one(database_url: str) -> None:
    with engine_on(database_url, 8) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        line = Line(engine)
        refuse(engine.database, "facts", f"NEW.body LIKE '%{POISON}%'")
        for number in range(1, 61):
            line.report(number, home=f"WY{number % 12 + 1:02}", reference=POISON if number % 17 == 0 else "fine")
        engine.drain()
        assert sorted(letter[2] for letter in line.letters()) == ["e17", "e34", "e51"]
        assert len(runs.facts(engine)) == 57
        runs.check_whole(engine)


def test_after_a_poisoned_record_the_case_takes_what_comes_later(line: Line) -> None:
    line.report(1)
    line.engine.drain()
    refuse(line.engine.database, "facts", "NEW.body LIKE '%incident.accepted%' OR NEW.cause LIKE '%incident.accepted%'")
    line.say("incident.accepted", "WY01-CHIEF", NOW + 1)
    line.close(1, NOW + 2)
    line.engine.drain()
    assert [letter[2] for letter in line.letters()] == ["e2"]
    assert line.of(facts.ClockStopped)[-1].result == "on_time"


def damage(line: Line, number: int, was: str, becomes: str) -> None:
    """Change the stored body of a case, as nothing of ours would."""
    mark = "?" if line.engine.database.dialect == "sqlite" else "%s"
    with line.engine.database.begin() as connection:
        changed = connection.exec_driver_sql(
            f"UPDATE cases SET body = replace(body, {mark}, {mark}) WHERE id = {mark} AND body LIKE {mark}",
            (was, becomes, subject("WY01", number), f"%{was}%"),
        )
        assert changed.rowcount == 1


def test_a_case_that_cannot_be_read_costs_its_own_records_only(line: Line) -> None:
    line.report(1, due=None)
    line.report(2, due=None)
    line.engine.drain()
    damage(line, 1, "{", "[")
    for number in range(1, 8):
        line.close(1 if number == 4 else 2, NOW + number)
    line.engine.drain()
    assert line.engine.rows[0].standing == 1 and subject() not in [letter[1] for letter in line.letters()]
    assert [s for s in line.of(facts.ClockStopped, 2) if s.clock == "total"]


# ---- firings ------------------------------------------------------------------------------------------------


def test_a_firing_that_the_database_refuses_stands_its_case_still_until_it_is_released(
    line: Line, tmp_path: Path
) -> None:
    for number in range(1, 21):
        line.report(number)
    line.engine.drain()
    sick = subject("WY01", 11)
    refuse(line.engine.database, "facts", f"NEW.case_id = '{sick}' AND NEW.body LIKE '%\"breach\":true%'")
    tick(line, DUE + 1)
    [stands] = [fact for fact in line.of(facts.Quarantined, 11)]
    assert stands.on and not line.breaches(11)
    assert [letter[:2] for letter in line.letters()] == [("failed", sick)]
    assert all(line.breaches(number) for number in range(1, 21) if number != 11)
    tick(line, DUE + 2)
    assert len(line.of(facts.Quarantined, 11)) == 1  # it is not tried again by itself

    relent(line.engine.database, "facts")
    line.operate("release", sick, DUE + 10)
    tick(line, DUE + 11)
    assert [fact.on for fact in line.of(facts.Quarantined, 11)] == [True, False]
    assert [(rung.due_at, rung.due) for rung in line.breaches(11)] == [(DUE, DUE)]
    runs.check_whole(line.engine)
    check_export(line, tmp_path)


def test_a_refused_firing_does_not_cost_the_record_that_released_it(line: Line, tmp_path: Path) -> None:
    line.report(1)
    line.report(2)
    line.engine.drain()
    refuse(line.engine.database, "facts", f"NEW.case_id = '{subject()}' AND NEW.body LIKE '%\"breach\":true%'")
    line.close(2, DUE + DAY)
    line.report(3, DUE + DAY, due=None)
    line.engine.drain()
    assert line.of(facts.Quarantined) and line.of(facts.ClockStopped, 2)[-1].result == "overdue"
    assert line.facts(3)
    assert [letter[1] for letter in line.letters()] == [subject()]
    check_export(line, tmp_path)


def test_where_not_even_the_standstill_can_be_stored_the_line_stops_with_the_error(line: Line) -> None:
    line.report(1)
    line.engine.drain()
    refuse(line.engine.database, "facts", f"NEW.case_id = '{subject()}'")
    line.engine.append([Submission(0, "tick", "owner", "")], DUE + 1)
    for _ in range(2):
        with pytest.raises(Exception, match=r"not storable|refused"):
            line.engine.work(None)
    assert line.engine.rows[0].position == line.engine.heads[0] - 1
    relent(line.engine.database, "facts")
    line.engine.drain()
    assert line.of(facts.Quarantined)[0].on  # it was settled; an operator lets it go on


def late_calendars(pack: Pack) -> Pack:
    """A pack whose calendars begin after the deadlines of these tests: rungs relative to those cannot be computed."""
    return msgspec.structs.replace(
        pack, calendars=tuple(msgspec.structs.replace(c, first_day=20260401) for c in pack.calendars)
    )


def test_a_firing_that_fails_in_deciding_stands_its_case_still_and_a_release_lets_it_go_on(
    database_url: str, tmp_path: Path
) -> None:
    still = sample(deadlines_move="never")
    with line_on(database_url, pack=still) as line:
        line.report(1)
        line.report(2, due=DUE)
        line.engine.drain()
        line.engine.install(late_calendars(still), NOW + 1)
        tick(line, DUE + 1)
        assert [fact.on for fact in line.of(facts.Quarantined)] == [True]
        assert {letter[0] for letter in line.letters()} == {"failed"}
        line.operate("release", subject(), DUE + 2)
        tick(line, DUE + 3)
        assert [fact.on for fact in line.of(facts.Quarantined)] == [True, False, True]  # the cause is still there
        line.engine.install(still, DUE + 4)
        line.operate("release", subject(), DUE + 5)
        line.operate("release", subject("WY01", 7), DUE + 5)  # nothing to release: nothing happens
        tick(line, DUE + 6)
        assert [fact.on for fact in line.of(facts.Quarantined)] == [True, False, True, False]
        assert [rung.due_at for rung in line.breaches()] == [DUE]
        runs.check_whole(line.engine)
        check_export(line, tmp_path)


# ---- in a replay --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [(500, 1000), (3, 2)])
def test_in_a_replay_poison_is_isolated_as_well_and_the_exported_log_agrees(
    database_url: str, tmp_path: Path, limits: tuple[int, int]
) -> None:
    with engine_on(database_url, 4, *limits) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        sick = "NEW.case_id LIKE '%07' AND NEW.body LIKE '%\"breach\":true%'"
        refuse(engine.database, "facts", f'NEW.cause LIKE \'%"id":"0013-%\' OR ({sick})')
        replayed(engine, storm(2, 20))
        runs.check_whole(engine)
        poisoned = runs.facts(engine)
        with engine.database.read() as connection:
            failed = connection.exec_driver_sql("SELECT case_id FROM dead_letters WHERE reason = 'failed'").scalars()
            assert {case[-2:] for case in failed} == {"07", "13"}
        assert not any(row for case, rows in poisoned.items() if case.endswith("0013") for row in rows)
        with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 4, 1, 1) as again:
            replay_log(again, export_log(engine))
            assert runs.steps(again) == runs.steps(engine)
    with engine_on(f"sqlite:///{tmp_path / 'plain.db'}", 4) as plain:
        replayed(plain, storm(2, 20))
        others = {case: rows for case, rows in runs.facts(plain).items() if not case.endswith(("0013", "0007"))}
        assert {case: rows for case, rows in poisoned.items() if case in others} == others


def test_a_database_that_is_away_is_no_poison(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        line.report(1)
        with line.engine.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE facts RENAME TO elsewhere")
        with pytest.raises(DatabaseUnusable):
            line.engine.work(now_ms())
        with line.engine.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO facts")
        line.engine.reload()
        line.engine.drain()
        assert line.facts() and not line.letters()


@pytest.mark.parametrize(
    "error", [NameError("x"), AttributeError("x"), ImportError("x"), ValueError("x"), KeyError("x")]
)
def test_a_defect_of_the_engine_is_no_poison(error: Exception) -> None:
    assert not is_permanent(error) and is_defect(error)


@pytest.mark.parametrize("error", [OverflowError("x"), UnicodeEncodeError("utf-8", "x", 0, 1, "x")])
def test_a_value_that_a_driver_cannot_hand_over_is_poison(error: Exception) -> None:
    assert is_permanent(error)


def test_a_full_memory_is_neither(sqlite_url: str) -> None:
    assert not is_permanent(MemoryError()) and not is_defect(MemoryError())


def test_what_is_settled_quotes_nothing_of_the_rows(line: Line) -> None:
    refuse(line.engine.database, "facts", f"NEW.body LIKE '%{POISON}%'")
    line.report(1, reference=POISON)
    line.engine.drain()
    with line.engine.database.read() as connection:
        [detail] = connection.exec_driver_sql("SELECT detail FROM settlements").scalars()
    assert detail in ("IntegrityError SQLITE_CONSTRAINT_TRIGGER", "CheckViolation 23514")
