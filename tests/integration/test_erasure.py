"""Erasing what is sealed of a case, on each database: it is gone for good, and no fact or figure has changed.

People were named in events that were taken, repeated and refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import verify
from consumers.performance import consume
from engine import admission
from engine.clock import now_ms
from engine.operations import erasure
from engine.operations.erasure import Erased
from engine.operations.resubmission import NotReplayable, read, resubmission
from engine.principals import Principals
from engine.runtime import Engine
from engine.store import dead_letters, writes
from engine.store.tables import sealed
from lab.runs import facts
from schemas.refusals import Refusal
from tests.integration.test_door import report
from tests.support.builders import DAY, HOUR, STREET, event, subject
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
        erased = erasure.erase(engine, CASE, "somebody")
        assert (erased.events, erased.letters) == (4, 3)
        left = bodies(engine)
        assert left.keys() == sealed_before.keys()
        assert [NAME in body for body in left.values() if body] == [True]  # of the other case

        # No later than the others: once a working day has begun, clocks would say more of both cases.
        assert tell(engine, remark, last) == "duplicate"
        keep_bad(engine)
        assert bodies(engine) == left, "a resend has brought something back"
        assert erasure.erase(engine, CASE, "somebody") == Erased(CASE, 0, 0)
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
        erased = erasure.erase(engine, CASE, "somebody")
        assert (erased.events, erased.letters) == (5, 3)
        assert [NAME in body for body in bodies(engine).values() if body] == [True]  # of the other case


def test_dead_letters_of_an_erased_case_stay_and_say_why_they_cannot_be_replayed(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        erasure.erase(engine, CASE, "somebody")
        found = read(engine, "door-bad")
        assert found is not None and found[1] is None
        with pytest.raises(NotReplayable, match="erased"):
            resubmission(*found, engine.count, Principals())


def test_an_erasure_says_in_the_log_who_asked_for_which_case_and_never_what_it_was(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with prepared(sqlite_url) as engine:
        name_people(engine)
        erasure.erase(engine, CASE, "somebody")
    [line] = [line for line in caplog.records if line.message == "sealed.erased"]
    extra = vars(line)
    assert (extra["incident"], extra["by"], extra["events"], extra["letters"]) == (CASE, "somebody", 4, 3)
    assert NAME not in str(extra)


def test_on_sqlite_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    with prepared(f"sqlite:///{tmp_path / 'erased.db'}") as engine:
        name_people(engine)
        for case in (CASE, OTHER):
            erasure.erase(engine, case, "somebody")
    assert all(NAME.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_running_server_erases_and_a_case_that_nobody_knows_is_told_so(database_url: str) -> None:
    with prepared(database_url) as engine:
        name_people(engine)
        with served(engine) as door:
            answer = door.client.post(f"/v1/operator/incidents/{CASE}/erasures", json={"by": "somebody"})
            assert answer.json() == {"incident": CASE, "events": 4, "letters": 3}
            unknown = door.client.post(f"/v1/operator/incidents/{subject('WY09', 9)}/erasures", json={"by": "somebody"})
            assert unknown.status_code == 400 and "no event of" in unknown.json()["detail"]
