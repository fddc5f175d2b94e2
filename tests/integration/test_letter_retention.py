"""How long, and how many, bytes of dead letters are kept: the oldest go, the letters stay and say so.

In: letters of two principals, kept at instants of one's own. Out: which of them still have their bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engine import admission
from engine.clock import Reading, boot_ms, now_ms
from engine.metrics import gauges
from engine.operations import erasure, retention
from engine.operations.resubmission import NotReplayable, read, resubmission
from engine.operations.retention import LetterRetention
from engine.principals import Operator, Principals
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import dead_letters
from gridpatrol.run.wiring import chores
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import report
from tests.integration.test_erasure import NAME, bodies
from tests.integration.test_migrations import to
from tests.support.builders import DAY, event, subject
from tests.support.serving import prepared, tell

NO = Refusal(Reason.INVALID, "type", "no")
CASE = subject("WY01", 1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with prepared(database_url) as made:
        yield made


def keep(engine: Engine, name: str, principal: str = "app", size: int = 100, *, kept_at: int = 0, at: int = 0) -> None:
    """A letter of so many bytes; the same name has the same bytes."""
    raw = msgspec.json.encode({"id": name, "subject": CASE, "note": "尘"})
    letter = admission.letter(raw + b" " * (size - len(raw)), NO, principal, at or now_ms(), name)
    with engine.database.begin() as connection:
        dead_letters.write(connection, [letter])
        if kept_at:
            connection.exec_driver_sql(f"UPDATE dead_letters SET kept_at = {kept_at} WHERE id = '{name}'")


def left(engine: Engine) -> dict[str, int]:
    """Bytes by letter, as the letter says and as they are."""
    with engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT id, size FROM dead_letters")
        found = {str(id_): int(size) for id_, size in rows}
        for name, size in found.items():
            assert len((dead_letters.read_sealed(connection, f"letter:{name}") or "").encode()) == size
        return found


def emptied(engine: Engine, **settings: int) -> int:
    return LetterRetention(Settings(**settings)).empty(engine.database, now_ms())  # type: ignore[arg-type]


def test_after_its_days_a_letter_stays_without_its_bytes_and_says_that_it_cannot_be_replayed(engine: Engine) -> None:
    keep(engine, "old", kept_at=now_ms() - 181 * DAY)
    keep(engine, "young", kept_at=now_ms() - 179 * DAY)
    assert emptied(engine) == 1
    assert left(engine) == {"old": 0, "young": 100}
    found = read(engine, "old")
    assert found is not None and (found[0].reason, found[0].case_id) == ("invalid", CASE)
    with pytest.raises(NotReplayable, match="no longer be replayed"):
        resubmission(*found, engine.count, Principals())
    keep(engine, "old")
    assert left(engine) == {"old": 0, "young": 100}, "sent again, it brings nothing back"
    assert emptied(engine) == 0


def test_letters_of_a_history_that_was_replayed_count_from_when_they_were_kept(engine: Engine) -> None:
    keep(engine, "of-2015", at=now_ms() - 4000 * DAY)
    assert emptied(engine) == 0


def test_who_has_more_bytes_than_one_may_loses_his_oldest_and_nobody_elses(engine: Engine) -> None:
    for number in range(5):
        keep(engine, f"f{number}", "flood", kept_at=now_ms() - DAY + number)
    keep(engine, "n", "neighbour", kept_at=now_ms() - 2 * DAY)
    assert emptied(engine, letter_bytes_each=250) == 3
    assert left(engine) == {"f0": 0, "f1": 0, "f2": 0, "f3": 100, "f4": 100, "n": 100}


def test_where_all_have_more_than_is_kept_the_oldest_go(engine: Engine) -> None:
    for number, principal in enumerate(("a", "b", "a", "b")):
        keep(engine, f"l{number}", principal, kept_at=now_ms() - DAY + number)
    assert emptied(engine, letter_bytes=250, letter_bytes_each=1000) == 2
    assert left(engine) == {"l0": 0, "l1": 0, "l2": 100, "l3": 100}


def test_no_more_goes_at_once_than_one_transaction_takes_and_the_rest_soon(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        keep(engine, f"l{number}", kept_at=1 + number)
    monkeypatch.setattr(retention, "MOST", 2)
    chore = LetterRetention(Settings())
    counts = []
    for _ in range(4):
        chore(engine.database)
        counts.append(sum(size > 0 for size in left(engine).values()))
    assert counts == [3, 1, 0, 0]
    keep(engine, "late", kept_at=1)
    chore(engine.database)
    assert left(engine)["late"] == 100, "it is looked at now and then only"
    monkeypatch.setattr(retention, "MOST", 500)
    monkeypatch.setattr(retention, "MOST_BYTES", 150)
    for number in range(6, 9):
        keep(engine, f"l{number}", kept_at=1)
    assert [emptied(engine) for _ in range(3)] == [2, 2, 0], "the second passes the bound"


def test_erased_bytes_do_not_count_any_more(engine: Engine) -> None:
    keep(engine, "a")
    erasure.erase(engine, CASE, Operator("somebody", "cli"))
    assert left(engine) == {"a": 0}


def test_a_metric_says_how_many_bytes_are_kept(engine: Engine) -> None:
    keep(engine, "a")
    keep(engine, "b", size=150)
    gauges.register(engine.counters.registry, engine.database)
    page = generate_latest(engine.counters.registry).decode()
    [found] = [f for f in text_string_to_metric_families(page) if f.name == "gridpatrol_dead_letter_bytes"]
    assert found.samples[0].value == 250


def test_whoever_looks_after_the_database_looks_after_its_letters(engine: Engine) -> None:
    keep(engine, "old", kept_at=1)
    engine.chores = chores(engine.counters, engine.settings, engine.wall)
    engine.look_after()
    assert left(engine) == {"old": 0}


def test_a_clock_that_jumps_a_year_ahead_empties_no_letter(engine: Engine) -> None:
    ahead = 0
    engine.wall.read = lambda: Reading(now_ms() + ahead, boot_ms())
    engine.now()
    keep(engine, "of today", kept_at=now_ms())
    ahead = 400 * DAY
    engine.chores = chores(engine.counters, engine.settings, engine.wall)
    engine.look_after()
    assert left(engine) == {"of today": 100}


def test_letters_of_an_older_release_learn_their_size_and_count_from_the_upgrade(empty_database_url: str) -> None:
    with prepared(empty_database_url) as engine:
        keep(engine, "a", size=300)
        keep(engine, "gone", kept_at=1)
        assert emptied(engine) == 1
        before = left(engine)
        to(engine.database, "0007")
        engine.database.upgrade()
        engine.database.check_schema()
        assert left(engine) == before == {"a": 300, "gone": 0}
        assert emptied(engine) == 0
        with engine.database.read() as connection:
            [kept_at] = connection.exec_driver_sql("SELECT kept_at FROM dead_letters WHERE id = 'a'").scalars()
        assert abs(kept_at / 1000 - time.time()) < 100


def test_the_oldest_are_found_along_an_index(sqlite_url: str) -> None:
    """However many were emptied before them."""
    with prepared(sqlite_url) as engine, engine.database.read() as connection:
        for condition, name in (
            ("kept_at < 5", "dead_letters_kept"),
            ("principal = 'a'", "dead_letters_kept_of"),
            ("1 = 1", "dead_letters_kept"),
        ):
            sql = f"SELECT id, size FROM dead_letters WHERE size > 0 AND {condition} ORDER BY kept_at, id LIMIT 5"
            [row] = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
            assert f"INDEX {name} " in row[3] + " " and "TEMP" not in row[3]


def test_the_words_of_a_refused_event_go_with_its_letter_and_those_of_a_case_stay(engine: Engine) -> None:
    """And whoever sends the event again, after it can be taken, is heard."""
    case = report(CASE, now_ms(), reporter_name=NAME)
    assert tell(engine, case, now_ms()) == "done"
    said = event("incident.accepted", "NOBODY", now_ms(), case=CASE, id="refused", note=NAME)
    assert tell(engine, said, now_ms()) == "refused"
    raw = msgspec.json.encode(case | {"id": "forged"})
    with engine.database.begin() as connection:
        dead_letters.write(connection, [admission.letter(raw, NO, "app", now_ms(), "door-1")])
        connection.exec_driver_sql("UPDATE dead_letters SET kept_at = 1")
    assert sum(NAME in body for body in bodies(engine).values()) == 3
    assert emptied(engine) == 2
    assert [NAME in body for body in bodies(engine).values() if body] == [True], "of the case"
    assert tell(engine, said, now_ms()) == "duplicate"
    assert sum(NAME in body for body in bodies(engine).values()) == 2
