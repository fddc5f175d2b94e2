"""Erasing what is sealed of a case, on each database: it is gone for good, and no fact or figure has changed.

People were named in events that were taken, repeated and refused.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from consumers import verify
from consumers.alerts.publish import letter_of
from consumers.performance import consume
from engine import admission
from engine.clock import now_ms
from engine.operations import erasure
from engine.operations.erasure import Erased, UnknownLetter
from engine.operations.resubmission import NotReplayable, read, resubmission
from engine.principals import Principals
from engine.runtime import Engine
from engine.store import dead_letters, outbox, writes
from engine.store.database import open_database
from engine.store.exports import steps_of
from engine.store.sealed import GONE
from engine.store.tables import metadata, sealed
from gridpatrol.run.wiring import chores
from lab.runs import facts
from schemas.facts import decode_cause
from schemas.messages import encode_letter
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import report
from tests.support.builders import DAY, HOTLINE, HOUR, OPERATOR, STREET, changed, event, subject, weiyang
from tests.support.serving import prepared, served, tell

CASE, OTHER = subject("WY01", 1), subject("WY01", 11)
NAME = "somebody-10000000000"
BAD = {"category": "D3-04", "source": "rumour", "reporter_name": NAME}


def name_people(engine: Engine) -> tuple[dict[str, Any], int]:
    """Two cases with named reporters; of the first one also a remark, a refused event, a conflict and bad bytes.

    Out: the remark as it was sent, and the instant at which the last event of all came.
    """
    engine.consumers = [consume.consume, *engine.consumers]
    then = now_ms() - 2 * DAY
    for case in (CASE, OTHER):
        assert tell(engine, report(case, then, reporter_name=NAME), then) == "done"
    remark = event("comment.added", STREET, then + HOUR, case=CASE, id="remark", text=NAME)
    assert tell(engine, remark, then + HOUR) == "done"
    stranger = event("incident.accepted", "NOBODY", then + HOUR, case=CASE, id="stranger", note=NAME)
    assert tell(engine, stranger, then + 2 * HOUR) == "refused"
    last = then + 3 * HOUR
    assert tell(engine, remark | {"data": {"text": f"{NAME}!"}}, last) == "conflict"
    keep_bad(engine)
    return remark, last


def keep_bad(engine: Engine) -> None:
    """Bytes that break the contract, as the door keeps them."""
    raw = msgspec.json.encode(report(CASE, now_ms()) | {"id": "bad", "time": "2026-03-02T09:00:00Z", "data": BAD})
    refusal = admission.receive(raw, "local", engine.count)
    assert isinstance(refusal, Refusal)
    with engine.database.begin() as connection:
        dead_letters.write(connection, [admission.letter(raw, refusal, "local", now_ms(), "door-bad")])


def bodies(engine: Engine) -> dict[str, str]:
    """Everything that is sealed, by its token."""
    with engine.database.read() as connection:
        return dict(connection.exec_driver_sql("SELECT token, body FROM sealed").all())


def test_what_is_sealed_of_a_case_is_erased_and_a_resend_brings_nothing_back(database_url: str) -> None:
    with prepared(database_url) as engine:
        remark, last = name_people(engine)
        before, sealed_before = facts(engine), bodies(engine)
        erased = erasure.erase(engine, CASE, OPERATOR)
        assert (erased.events, erased.letters) == (4, 3)
        left = bodies(engine)
        assert left.keys() == sealed_before.keys()
        assert [NAME in body for body in left.values() if body] == [True]  # of the other case

        # No later than the others: once a working day has begun, clocks would say more of both cases.
        assert tell(engine, remark, last) == "duplicate"
        keep_bad(engine)
        assert bodies(engine) == left, "a resend has brought something back"
        assert erasure.erase(engine, CASE, OPERATOR) == Erased(CASE, 0, 0)
        assert facts(engine) == before
        assert verify.verify(engine.database) == []


def test_nothing_is_searched_in_a_log_that_may_lie_in_a_topic(database_url: str) -> None:
    """Also what was sealed of an event that never reached the log goes: the process ended in between."""
    with prepared(database_url) as engine:
        name_people(engine)
        late = admission.receive(
            msgspec.json.encode(report(CASE, now_ms(), reporter_name=NAME) | {"id": "late"}), "p", 4
        )
        assert not isinstance(late, Refusal) and late[0].sealed is not None
        with engine.database.begin() as connection:
            writes.insert_missing(connection, sealed, [late[0].sealed])
            connection.exec_driver_sql("DELETE FROM inbox")
        erased = erasure.erase(engine, CASE, OPERATOR)
        assert (erased.events, erased.letters) == (5, 3)
        assert [NAME in body for body in bodies(engine).values() if body] == [True]  # of the other case


def test_dead_letters_of_an_erased_case_stay_and_say_why_they_cannot_be_replayed(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        erasure.erase(engine, CASE, OPERATOR)
        found = read(engine, "door-bad")
        assert found is not None and found[1] is None
        assert found[0].replayed == GONE, "nobody has to look at it any more"
        with pytest.raises(NotReplayable, match="can no longer be replayed"):
            resubmission(*found, engine.count, Principals())


def test_what_was_sent_again_under_the_right_subject_is_erased_with_its_letter_that_named_no_case(
    database_url: str,
) -> None:
    """The subject was somebody's name at first. Other letters without a case stay: nothing says whose they are."""
    with prepared(database_url) as engine:
        right = report(CASE, now_ms(), reporter_name=NAME) | {"id": "again"}
        for id_, said in (("a", right), ("b", right | {"source": "app/other"}), ("c", right | {"id": "another"})):
            raw = msgspec.json.encode(said | {"subject": NAME})
            refusal = admission.receive(raw, "app", engine.count)
            assert isinstance(refusal, Refusal)
            with engine.database.begin() as connection:
                dead_letters.write(connection, [admission.letter(raw, refusal, "app", now_ms(), id_)])
        assert tell(engine, right, now_ms()) == "done"
        assert erasure.erase(engine, CASE, OPERATOR) == Erased(CASE, 1, 1)
        assert {token for token, body in bodies(engine).items() if body} == {"letter:b", "letter:c"}
        assert erasure.erase(engine, CASE, OPERATOR) == Erased(CASE, 0, 0)


def test_a_replayed_letter_finds_its_words_again(database_url: str) -> None:
    """Of a record of the log, and of bytes that the door refused: the step that takes it leads to what was said."""
    with prepared(database_url) as engine:
        said = report(CASE, now_ms(), reporter_name=NAME) | {"id": "early"}
        said["data"]["category"] = "D9-99"
        assert tell(engine, said, now_ms()) == "refused"
        other = msgspec.json.encode(report(OTHER, now_ms(), reporter_name=NAME) | {"id": "forged"})
        forbidden = admission.letter(other, Refusal(Reason.FORBIDDEN, "actor", ""), "app", now_ms(), "door-1")
        with engine.database.begin() as connection:
            dead_letters.write(connection, [forbidden])
            ids = [letter.id for letter in dead_letters.listed(connection)]
        category = msgspec.structs.replace(weiyang().categories["D3-04"], code="D9-99")
        engine.install(changed(categories=(*weiyang().pack.categories, category)).pack, now_ms())
        engine.drain(now_ms())
        for id_ in ids:
            found = read(engine, id_)
            assert found is not None
            engine.append([resubmission(*found, engine.count, Principals())], now_ms())
        engine.drain(now_ms())
        with engine.database.read() as connection:
            for case in (CASE, OTHER):
                cause = decode_cause(steps_of(connection, case)[0].cause)
                assert NAME in str(dead_letters.read_sealed(connection, cause.token))


def test_an_erasure_says_in_the_log_who_asked_for_which_case_and_never_what_it_was(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with prepared(sqlite_url) as engine:
        name_people(engine)
        erasure.erase(engine, CASE, OPERATOR)
    [line] = [line for line in caplog.records if line.message == "sealed.erased"]
    extra = vars(line)
    assert (extra["incident"], extra["by"], extra["events"], extra["letters"]) == (CASE, "local:somebody", 4, 3)
    assert NAME not in str(extra)


def test_on_sqlite_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    with prepared(f"sqlite:///{tmp_path / 'erased.db'}") as engine:
        name_people(engine)
        for case in (CASE, OTHER):
            erasure.erase(engine, case, OPERATOR)
    assert all(NAME.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def in_files(folder: Path) -> set[str]:
    """The files of a database in which the name stands."""
    return {file.name for file in folder.iterdir() if NAME.encode() in file.read_bytes()}


def test_while_a_database_is_open_nothing_is_left_in_its_pages_nor_in_its_journal(tmp_path: Path) -> None:
    """Short texts and long ones, in pages that were split and given back while others came in between."""
    with prepared(f"sqlite:///{tmp_path / 'open.db'}") as engine:
        cases = [subject("WY01", number) for number in range(1, 80)]
        for number, case in enumerate(cases):
            long = f"{NAME} " * (number * 7 + 1)
            assert tell(engine, report(case, now_ms(), reporter_name=NAME, description=long), now_ms()) == "done"
            if number % 9 == 8:
                erasure.erase(engine, cases[number - 4], OPERATOR)
        assert in_files(tmp_path) == {"open.db", "open.db-wal"} or in_files(tmp_path) == {"open.db-wal"}
        last = Erased("", 0, 0)
        for case in cases:
            last = erasure.erase(engine, case, OPERATOR)
        assert erasure.forget(engine.database, last).left == ""
        assert in_files(tmp_path) == set()
        assert (tmp_path / "open.db-wal").stat().st_size == 0


def test_a_reader_that_holds_the_journal_is_said_and_what_it_holds_goes_when_it_ends(tmp_path: Path) -> None:
    with prepared(f"sqlite:///{tmp_path / 'held.db'}") as engine:
        database = engine.database
        name_people(engine)
        with database.read() as reader:
            reader.exec_driver_sql("SELECT count(*) FROM sealed").scalar_one()
            for case in (CASE, OTHER):
                erased = erasure.forget(database, erasure.erase(engine, case, OPERATOR))
            assert erased.left == erasure.HELD and database.holds_erased
            assert in_files(tmp_path) != set()
            assert NAME in str(reader.exec_driver_sql("SELECT body FROM sealed").all()), "its own snapshot"
        look_after, _ = chores(engine.counters, engine.settings, engine.wall)
        look_after(database)
        assert in_files(tmp_path) == set() and not database.holds_erased


def test_what_a_process_that_was_killed_had_erased_goes_when_the_next_one_serves(tmp_path: Path) -> None:
    """It was killed between the erasure and the emptying of the journal."""
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    with prepared(url) as engine:
        name_people(engine)
        for case in (CASE, OTHER):
            erasure.erase(engine, case, OPERATOR)
        assert in_files(tmp_path) == {"killed.db-wal"}
        with closing(open_database(url)) as next_one:
            chores(engine.counters, engine.settings, engine.wall)[0](next_one)
            assert in_files(tmp_path) == set()


def test_on_postgresql_the_dead_rows_are_vacuumed_at_once(postgres_url: str) -> None:
    with prepared(postgres_url) as engine:
        name_people(engine)
        assert erasure.forget(engine.database, erasure.erase(engine, CASE, OPERATOR)).left == ""
        with engine.database.read() as connection:
            vacuumed = "SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'sealed'"
            assert connection.exec_driver_sql(vacuumed).scalar_one()


def test_on_postgresql_a_table_that_somebody_holds_is_said(postgres_url: str) -> None:
    with prepared(postgres_url) as engine:
        name_people(engine)
        erased = erasure.erase(engine, CASE, OPERATOR)
        with engine.database.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE sealed IN SHARE UPDATE EXCLUSIVE MODE")
            assert erasure.forget(engine.database, erased).left == erasure.KEPT
        assert erasure.forget(engine.database, erased).left == ""


def words_of(engine: Engine) -> dict[str, str]:
    """Everything that is stored, by table, but what is sealed and the log itself, which holds codes as they came."""
    with engine.database.read() as connection:
        return {
            table.name: str(connection.execute(select(table)).all())
            for table in metadata.sorted_tables
            if table.name not in ("sealed", "inbox")
        }


def test_of_what_is_refused_no_word_stands_outside_of_the_seal(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In no table, answer, list, message, metric or line of the log; by whatever way it came. Source, id and actor are
    the key by which an event is known again."""
    good = report(CASE, now_ms())
    bad = [
        good | {"id": "1", "data": good["data"] | {"category": NAME, "reporter_name": NAME}},
        good | {"id": "2", "data": good["data"] | {"grid": NAME, "note": NAME}},
        good | {"id": "4", "subject": NAME},
        good | {"id": "5", "type": NAME},
        good | {"id": "6", "data": good["data"] | {"source": NAME, NAME: NAME}},
        good | {"id": "7", "data": {NAME: f"{NAME}\x00"}},
        good | {"id": "8", "partitionkey": NAME},
        good | {"id": "9", "time": NAME},
        good | {"id": "10", "data": good["data"] | {"department": NAME}},
    ]
    headers = {"content-type": "application/json", "ce-specversion": NAME, f"ce-{NAME}": NAME}
    with prepared(database_url) as engine, served(engine) as door:
        answers = [door.post(said, Prefer="wait=5").text for said in bad]
        answers.append(door.batch(bad, Prefer="wait=5").text)
        answers.append(door.client.post("/v1/events", content=NAME, headers=headers).text)
        answers.append(door.client.post("/v1/events", content=NAME, headers={"content-type": NAME}).text)
        assert all("refused" in answer or '"reason"' in answer for answer in answers)
        answers.append(door.client.get("/metrics").text)
        with engine.database.read() as connection:
            answers += [encode_letter(letter_of(row)).decode() for row in outbox.read_letters(connection, 100)]
        stored = words_of(engine)
    assert stored["dead_letters"].count("'letter:") == len(bad) + 1, "each is kept once"
    assert NAME not in caplog.text
    assert [text for text in (*answers, *stored.values()) if NAME in text] == []


def test_a_letter_is_erased_with_the_words_that_no_case_has_taken(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        with engine.database.read() as connection:
            stranger = next(row for row in dead_letters.listed(connection) if row.event_id == "stranger")
        assert erasure.erase_letter(engine, stranger.id, OPERATOR) == Erased(CASE, 1, 1)
        assert erasure.erase_letter(engine, "door-bad", OPERATOR) == Erased(CASE, 0, 1)
        assert erasure.erase_letter(engine, "door-bad", OPERATOR) == Erased(CASE, 0, 0)
        # Left are two reports, a remark and what contradicts it.
        assert sum(NAME in body for body in bodies(engine).values()) == 4
        with pytest.raises(UnknownLetter):
            erasure.erase_letter(engine, "door-none", OPERATOR)


def test_the_words_of_a_case_stay_when_the_letter_of_the_event_that_it_took_goes(database_url: str) -> None:
    """The event was refused at first, and taken when its letter was replayed."""
    with prepared(database_url) as engine:
        said = report(CASE, now_ms(), reporter_name=NAME) | {"actor": "NOBODY"}
        assert tell(engine, said, now_ms()) == "refused"
        with engine.database.read() as connection:
            [letter] = dead_letters.listed(connection)
        hotline = weiyang().posts[HOTLINE]
        posts = (*weiyang().pack.posts, msgspec.structs.replace(hotline, code="NOBODY"))
        engine.install(changed(posts=posts).pack, now_ms())
        engine.drain(now_ms())
        found = read(engine, letter.id)
        assert found is not None
        engine.append([resubmission(*found, engine.count, Principals())], now_ms())
        engine.drain(now_ms())
        assert len(facts(engine)) > 0
        assert erasure.erase_letter(engine, letter.id, OPERATOR) == Erased(CASE, 0, 1)
        assert [NAME in body for body in bodies(engine).values() if body] == [True]


def test_a_running_server_erases_and_a_case_that_nobody_knows_is_told_so(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        with served(engine) as door:
            answer = door.client.post(f"/v1/operator/incidents/{CASE}/erasures", json={"by": "somebody"})
            assert answer.json() == {"incident": CASE, "events": 4, "letters": 3}
            unknown = door.client.post(f"/v1/operator/incidents/{subject('WY09', 9)}/erasures", json={"by": "somebody"})
            assert unknown.status_code == 400 and "no event of" in unknown.json()["detail"]
