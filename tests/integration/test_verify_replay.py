"""Edits of a real database: each is seen by plain `verify`, by the replay of the log beside, or against a kept log.

The tables below say by which; what plain `verify` does not see is what docs/operations.md says it does not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from consumers import verify
from consumers.verify import Mismatch, replayed
from engine.inbox import Submission
from engine.replay import export_log
from engine.runtime import Engine
from engine.store import checks
from engine.store.database import Connection
from engine.store.rows import SettlementRow
from engine.store.tables import metadata
from lab import runs
from lab.parts.postgres import fresh_database
from lab.runs import BEFORE_ALL, consumers, engine_on, install, open_at_this_release, pack_of, storm
from schemas.events import EVENT_TYPES
from schemas.partition import partition_of
from tests.simulation.line import DUE, NOW, Line
from tests.support.builders import HOUR, subject
from tests.support.stored_texts import of_texts

PARTITIONS = 2
P = partition_of("WY01", PARTITIONS)


def live(engine: Engine) -> list[bytes]:
    """A small life with everything that a log can hold. Its log as it was exported before the last hour."""
    line = Line(engine)
    line.report(1)
    line.report(2, due=None)
    line.say("incident.accepted", "WY01-CHIEF", NOW, case=subject("WY01", 3), id="early")
    line.say("incident.accepted", "WY01-CHIEF", NOW, case=subject("WY01", 4), id="waits")
    line.report(3, NOW + 1)
    line.close(2, NOW + 2, id="closed")
    line.close(2, NOW + 3, id="again")  # impossible
    line.close(1, NOW + 4, id="closed")  # the id of another event
    engine.append([Submission(P, "event", "door", "no json")], NOW + 5)
    skipped = line.report(5, NOW + 6)
    late = line.report(6, NOW + 9 * HOUR, due=None)
    engine.partitions.settle(SettlementRow(P, skipped.position, "skip", "sent by mistake"))
    engine.partitions.settle(SettlementRow(P, late.position, f"stamp:{NOW + 7}", "the clock was ahead"))
    line.operate("tick", "", DUE + HOUR)
    line.report(7, DUE + 2 * HOUR, home="WY02", due=None)
    engine.drain()
    log = list(export_log(engine))
    line.say("comment.added", "WY01-01-MEMBER", DUE + 3 * HOUR, case=subject("WY01", 1), id="last", text="…")
    line.report(8, DUE + 3 * HOUR)
    engine.drain()
    return log


class Place(NamedTuple):
    """A database with that life, its log replayed beside once, and the log of an hour before."""

    engine: Engine
    other: Connection
    decided: replayed.Decided
    log: list[bytes]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("verified")
        url = f"sqlite:///{folder / 'a.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        engine = stack.enter_context(engine_on(url, PARTITIONS, consumers=consumers()))
        install(engine, pack_of("weiyang"))
        log = live(engine)
        with engine.database.read() as connection:
            other, decided = stack.enter_context(
                replayed.again(engine, connection, beside(folder), None, lambda done: None)
            )
        yield Place(engine, other, decided, log)


def beside(folder: Path) -> Path:
    """A folder with the empty database of a replay in it, which spares the migrations."""
    made = folder / f"beside-{len(list(folder.iterdir()))}"
    made.mkdir()
    open_at_this_release(f"sqlite:///{made / 'again.db'}").close()
    return made


class RollBack(Exception):
    """Ends a transaction without a trace."""


def found_after(place: Place, sql: str) -> tuple[list[Mismatch], list[Mismatch]]:
    """What plain `verify` and what the comparison with the replay find of an edit."""
    plain, compared = list[Mismatch](), list[Mismatch]()
    with suppress(RollBack), place.engine.database.begin() as connection:
        changed = connection.exec_driver_sql(of_texts(place.engine.database.dialect, sql)).rowcount
        assert changed == 1, f"not one row was changed by: {sql}"
        plain += verify.mismatches(connection)
        compared += replayed.mismatches(connection, place.other, place.decided, records=False)
        raise RollBack
    return plain, compared


def test_a_database_as_the_engine_left_it_is_clean_and_holds_every_kind_of_row(place: Place) -> None:
    with place.engine.database.read() as connection:
        assert list(verify.mismatches(connection)) == []
        assert list(replayed.mismatches(connection, place.other, place.decided, records=False)) == []
        outcomes = connection.exec_driver_sql("SELECT DISTINCT outcome FROM seen ORDER BY 1").scalars().all()
        reasons = connection.exec_driver_sql("SELECT reason FROM dead_letters ORDER BY 1").scalars().all()
        rung = of_texts(place.engine.database.dialect, "SELECT count(*) FROM facts WHERE body LIKE '%%clock.rung%%'")
        fired = connection.exec_driver_sql(rung).scalar_one()
    assert outcomes == ["done", "parked", "refused"]
    assert reasons == ["conflict", "failed", "impossible", "undecodable"]
    assert fired > 0


def test_every_table_is_compared_or_said_not_to_follow_from_the_log() -> None:
    """A new table gets its line in one of the two."""
    elsewhere = {
        "inbox": "the log itself: compared with a log that was exported before",
        "meta": "of the installation",
        "audit": "who read and who acted: in no log",
        "chains": "made of what is stored, and held against it by `audit verify`",
        "chain_links": "the same, with instants of the wall clock and salts",
        "anchors": "where chains stood, by the wall clock",
        "verifications": "when somebody has looked",
        "sealed": "what people said, which may be erased",
        "standing": "cases on which a rule of a release failed: another release decides them",
        "waiting": "what comes for them",
        "arrivals": "what goes past meanwhile",
        "outgoing": "what cases said to other homes, until the log has it",
        "positions": "recounted: the consumers'",
        "contributions": "recounted from the facts",
        "figures": "recounted from the facts",
        "outcomes": "recounted from the facts",
        "alerts": "recounted from the facts",
        "notices": "recounted from the facts",
        "open_counts": "recounted from the cases, which are compared",
        "shared_work": "recounted from the cases",
        "archives": "files with which rows have left, and when: checked by their SHA-256",
        "archived_cases": "held against the files, whose rows are compared as if they had not left",
        "archived_figures": "recounted with the figures",
        "untold": "what a topic does not have yet",
        "deliveries": "what was told, and when: by the wall clock",
        "channel_lines": "what channels told of it, and when",
        "channel_messages": "what channels sent, and what was answered",
        "alerts_seen": "what posts say that they have seen: no fact",
        "subscriptions": "who wants to be told, and by which way: in no log",
        "watched": "how far devices have come whose values are watched: in no log",
        "devices_seen": "when devices were heard, by the wall clock",
        "watched_sayings": "what is still to be said of devices",
        "people": "who may speak by a token of his own: in no log",
        "files": "photos that were sent beside the log",
        "file_references": "held against the facts by the files' own check",
    }
    compared = {table.table for table in replayed.COMPARED}
    assert compared | set(elsewhere) == set(metadata.tables)


def test_each_step_finds_its_event_by_the_key(place: Place) -> None:
    """Else the time that `verify` takes grows with the square of the log."""
    if place.engine.database.dialect != "sqlite":
        pytest.skip("PostgreSQL plans by statistics")
    asked = list[tuple[str, Any]]()

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    with place.engine.database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        checks.outcomes_unlike_steps(connection, tuple(EVENT_TYPES))
        event.remove(connection, "before_cursor_execute", note)
        [(statement, values)] = asked
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert "SEARCH e USING INDEX sqlite_autoindex_seen_1 (partition=? AND source=? AND id=?)" in plan, plan


class Edit(NamedTuple):
    """An edit of one row, and by which it is seen; the mismatch then speaks of `what`, or one of several."""

    name: str
    table: str
    change: str  # what is set; empty: the row is deleted
    where: str
    what: str
    seen_by: str = "both"

    @property
    def sql(self) -> str:
        verb = f"UPDATE {self.table} SET {self.change}" if self.change else f"DELETE FROM {self.table}"
        return f"{verb} WHERE {self.where}"


PLAIN, REPLAY = "verify", "verify --replay"
HERE = f"partition = {P}"
STEP, RECORD, CASE = f"{HERE} AND n = 1", f"{HERE} AND position = 1", f"id = '{subject('WY01', 1)}'"
E1, CLOSED, AGAIN, EARLY, WAITS = (f"id = '{id_}'" for id_ in ("e1", "closed", "again", "early", "waits"))
REFUSED, CONFLICT, NO_EVENT, PASSED = (
    f"reason = '{reason}'" for reason in ("impossible", "conflict", "undecodable", "failed")
)
OTHER_CHIEF = "body = replace(body, 'WY01-CHIEF', 'WY02-CHIEF')"
OCCURRED = "cause = replace(cause, 'occurred', 'Occurred')"
FORGED_ID = 'body = replace(body, \'"id":"closed"\', \'"id":"forged"\')'

EDITS = [
    # What became of an event.
    Edit("outcome of an event", "seen", "outcome = 'refused'", E1, "seen"),
    Edit("outcome of what was refused", "seen", "outcome = 'done'", AGAIN, "seen"),
    Edit("outcome of what waited", "seen", "outcome = 'parked'", EARLY, "seen"),
    Edit("outcome of what waits", "seen", "outcome = 'done'", WAITS, "seen"),
    Edit("digest of an event", "seen", "digest = 'x'", E1, "seen"),
    Edit("case of an event", "seen", "case_id = 'x'", E1, "seen"),
    Edit("arrival of an event", "seen", "arrival = arrival + 1", E1, "seen"),
    Edit("reason of a refusal", "seen", "reason = 'invalid'", AGAIN, "letter", PLAIN),
    Edit("field of a refusal", "seen", "field = 'another'", AGAIN, "seen", REPLAY),
    Edit("a lost outcome", "seen", "", CLOSED, "seen"),
    Edit("a lost outcome of what was refused", "seen", "", AGAIN, "seen"),
    # Instants of steps.
    Edit("an instant earlier", "facts", "at = at - 1", STEP, "step"),
    Edit("an instant of no record", "facts", "at = at + 8", STEP, "step"),
    Edit("an instant before the step before", "facts", f"at = {NOW + 1}", f"{HERE} AND n = 10", "step"),
    # Facts: what the fold and the recount see, and what only deciding again does.
    Edit("body of a step", "facts", "body = replace(body, 'hotline', 'public')", STEP, "step|case"),
    Edit("cause of a step", "facts", OCCURRED, STEP, "step", REPLAY),
    Edit("a lost step", "facts", "", STEP, "log", PLAIN),
    # Cases.
    Edit("body of a case", "cases", "body = replace(body, 'hotline', 'public')", CASE, "case"),
    Edit("next instant of a case", "cases", "next_at = 5", CASE, "case"),
    # Partitions.
    Edit("clock of a partition", "partitions", "clock = clock + 1", HERE, "partition"),
    Edit("clock put back", "partitions", "clock = clock - 1", HERE, "partition"),
    Edit("position of a partition", "partitions", "position = position - 1", HERE, "partition"),
    Edit("number of the last step", "partitions", "n = n + 1", HERE, "log", PLAIN),
    Edit(
        "since when a pack is active",
        "partitions",
        f"packs = replace(packs, ',{BEFORE_ALL}]', ',2]')",
        HERE,
        "partition",
    ),
    # Dead letters.
    Edit("a lost letter", "dead_letters", "", REFUSED, "letter"),
    Edit("a lost letter of a conflict", "dead_letters", "", CONFLICT, "letter"),
    Edit("a lost letter of no event", "dead_letters", "", NO_EVENT, "letter"),
    Edit("a lost letter of a record passed over", "dead_letters", "", PASSED, "letter"),
    Edit("reason of a letter", "dead_letters", "reason = 'invalid'", REFUSED, "letter"),
    Edit("sender of a letter", "dead_letters", "principal = 'another'", REFUSED, "letter", REPLAY),
    # Packs.
    Edit("body of a pack", "packs", OTHER_CHIEF, "1 = 1", "pack"),
    Edit("name of a pack", "packs", "title = 'another'", "1 = 1", "pack"),
    # Records. The replay that is compared is of the log before the edit: see below.
    Edit("id of a record", "inbox", FORGED_ID, f"{HERE} AND position = 6", "seen", PLAIN),
    Edit("digest of a record", "inbox", 'body = replace(body, \'"digest":"\', \'"digest":"0\')', RECORD, "seen", PLAIN),
    Edit("half of a record", "inbox", "body = substr(body, 1, 40)", RECORD, "letter", PLAIN),
    Edit("stamp of a record", "inbox", "stamp = stamp + 1", RECORD, "seen", PLAIN),
    Edit("a lost record", "inbox", "", RECORD, "inbox", PLAIN),
    Edit("a settled stamp", "settlements", "verdict = 'stamp:1'", "verdict LIKE 'stamp:%%'", "seen", PLAIN),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_is_seen_by_what_the_table_says(place: Place, edit: Edit) -> None:
    plain, compared = found_after(place, edit.sql)
    kinds = {
        PLAIN: {mismatch.what for mismatch in plain},
        REPLAY: {mismatch.what for mismatch in compared},
    }
    for way, found in kinds.items():
        if edit.seen_by in ("both", way):
            assert found & set(edit.what.split("|")), (way, plain, compared)
    if edit.seen_by == REPLAY:
        assert not plain, "plain verify sees it: say so"
    for mismatch in [*plain, *compared]:
        assert mismatch.expected != mismatch.found


# ---- edits of what is replayed ---------------------------------------------------------------------------------

LOGGED = [
    Edit("a deadline within a record", "inbox", "body = replace(body, 'T12:00', 'T13:00')", RECORD, "step"),
    Edit("the place of a problem", "inbox", "body = replace(body, 'WY01-01\"', 'WY01-02\"')", RECORD, "case"),
    Edit("a pack whose rules are others", "packs", OTHER_CHIEF, "1 = 1", "log"),
    Edit("a verdict that was taken back", "settlements", "", "verdict = 'skip'", "letter"),
]


@pytest.mark.parametrize("edit", LOGGED, ids=lambda edit: edit.name)
def test_an_edit_of_the_log_is_seen_by_what_followed_from_it(place: Place, tmp_path: Path, edit: Edit) -> None:
    with edited(place.engine, edit):
        found = replayed.replayed_beside(place.engine, beside(tmp_path))
    assert edit.what in {mismatch.what for mismatch in found}, found
    assert replayed.replayed_beside(place.engine, beside(tmp_path)) == []


@contextmanager
def edited(engine: Engine, edit: Edit) -> Iterator[None]:
    """A database with an edit, which is taken back at the end."""
    kept = f"kept_{edit.table}"
    with engine.database.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {kept} AS SELECT * FROM {edit.table}")
        sql = of_texts(engine.database.dialect, edit.sql)
        assert connection.exec_driver_sql(sql).rowcount == 1, f"not one row was changed by: {edit.sql}"
    try:
        yield
    finally:
        with engine.database.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {edit.table}")
            connection.exec_driver_sql(f"INSERT INTO {edit.table} SELECT * FROM {kept}")
            connection.exec_driver_sql(f"DROP TABLE {kept}")


def test_a_log_that_was_exported_before_shows_edits_that_changed_no_decision(place: Place, tmp_path: Path) -> None:
    assert replayed.replayed_beside(place.engine, beside(tmp_path), place.log) == []
    with edited(place.engine, Edit("", "inbox", "principal = 'nobody'", RECORD, "inbox")):
        assert replayed.replayed_beside(place.engine, beside(tmp_path)) == []
        [found] = replayed.replayed_beside(place.engine, beside(tmp_path), place.log)
    assert (found.what, found.where) == ("inbox", f"{P} 1 principal")


def test_a_log_of_before_and_edits_of_what_it_holds(place: Place, tmp_path: Path) -> None:
    """The hour that followed on it is not held against it; what it decided is."""
    with verify_place(place, tmp_path) as (other, decided):
        assert any(map(decided.ends_early, decided.stored))
        here = place._replace(other=other, decided=decided)
        for edit in (
            Edit("", "facts", OCCURRED, STEP, "step"),
            Edit("", "seen", "field = 'another'", AGAIN, "seen"),
            Edit("", "seen", "outcome = 'refused'", EARLY, "seen"),
            Edit("", "dead_letters", "", CONFLICT, "letter"),
        ):
            assert edit.what in {mismatch.what for mismatch in found_after(here, edit.sql)[1]}, edit
        assert found_after(here, "UPDATE seen SET field = 'another' WHERE id = 'last'")[1] == []


@contextmanager
def verify_place(place: Place, folder: Path) -> Iterator[tuple[Connection, replayed.Decided]]:
    with (
        place.engine.database.read() as connection,
        replayed.again(place.engine, connection, beside(folder), place.log, lambda done: None) as found,
    ):
        yield found


# ---- while the engine works ---------------------------------------------------------------------------------------


def test_a_slice_that_ended_amid_what_falls_due_is_compared_as_it_stands(sqlite_url: str, tmp_path: Path) -> None:
    """A partition's clock has moved on to a record that is not decided, and a part of the firings before it is done."""
    kinds = set[bool]()
    with engine_on(sqlite_url, 1, 50, 3) as engine:
        install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(1, 9):
            line.report(number)
        line.operate("tick", "", DUE + 30 * HOUR)
        while engine.work(None) is not None:
            row, clock = engine.rows[0], engine.rows[0].clock
            amid = row.position < engine.heads[0] and clock == DUE + 30 * HOUR
            if amid in kinds and row.position < engine.heads[0]:
                continue
            kinds.add(amid)
            assert replayed.replayed_beside(engine, beside(tmp_path)) == []
            found = {mismatch.what for mismatch in verify.verify(engine.database, live=True)}
            assert found <= {"figure", "outcome", "contribution", "alert", "delivery"}  # nobody folds here
    assert kinds == {True, False}


def test_cases_that_wait_to_be_looked_at_under_another_pack_are_as_they_should_be(
    sqlite_url: str, tmp_path: Path
) -> None:
    pack = pack_of("weiyang")
    with engine_on(sqlite_url, 1, consumers=consumers()) as engine:
        install(engine, pack)
        Line(engine).report(1)
        engine.drain()
        engine.install(replace(pack, options=replace(pack.options, deadlines_move="always")), NOW + 1000)
        engine.drain()
        assert verify.verify(engine.database) == []
        assert replayed.replayed_beside(engine, beside(tmp_path)) == []


def test_of_two_actors_whose_events_wait_under_one_id_each_has_its_own_outcome(sqlite_url: str, tmp_path: Path) -> None:
    with engine_on(sqlite_url, 1, consumers=consumers()) as engine:
        install(engine, pack_of("weiyang"))
        line, active = Line(engine), engine.active()
        assert active is not None
        for hour, actor in enumerate(("WY01-CHIEF", "WY01-01-MEMBER")):
            line.say("comment.added", actor, NOW + hour * HOUR, case=subject("WY01", 1), id="one")
        line.operate("tick", "", NOW + active.options.parked_ms + 1)  # the first has waited in vain
        engine.drain()
        with engine.database.read() as connection:
            found = connection.exec_driver_sql("SELECT actor, outcome FROM seen ORDER BY actor").all()
        assert [tuple(row) for row in found] == [("WY01-01-MEMBER", "parked"), ("WY01-CHIEF", "refused")]
        assert verify.verify(engine.database) == []
        assert replayed.replayed_beside(engine, beside(tmp_path)) == []


def test_it_works_while_records_come_in_and_are_decided(sqlite_url: str, tmp_path: Path) -> None:
    """The snapshot says how far: what comes later is not held against it."""
    with engine_on(sqlite_url, 4, 5, 5) as engine:
        install(engine, pack_of("weiyang"))
        line, done = Line(engine), threading.Event()

        def work() -> None:
            for number in range(1, 10_000):
                line.report(number, NOW + number, home=f"WY{number % 12 + 1:02}")
                engine.drain()
                if done.is_set():
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            with closing(open_at_this_release(sqlite_url)) as beside_it:
                reader = Engine(beside_it, engine.settings)
                positions = [row.position for row in reader.rows.values()]
                for _ in range(3):
                    assert replayed.replayed_beside(reader, beside(tmp_path)) == []
        finally:
            done.set()
            thread.join()
        assert sum(row.position for row in engine.rows.values()) > sum(positions), "nothing came in meanwhile"


@pytest.mark.parametrize("partitions", [1, 32])
def test_a_storm_is_the_same_again_in_other_slices(sqlite_url: str, tmp_path: Path, partitions: int) -> None:
    with engine_on(sqlite_url, partitions, 40, 30) as engine:
        runs.replayed(engine, storm(5, 20))
        assert replayed.replayed_beside(engine, beside(tmp_path)) == []
