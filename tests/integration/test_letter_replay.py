"""Replayed letters: what becomes of each is told as it is, also where it cannot be replayed or is not decided yet."""

from __future__ import annotations

from typing import Any

import pytest

from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.operations import resubmission
from engine.runtime import Engine
from engine.store import dead_letters
from gridpatrol.client import Server
from gridpatrol.commands import deadletter
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import new
from tests.support.builders import OPERATOR
from tests.support.serving import Served, prepared, served, tell


def letters(engine: Engine) -> dict[str, str]:
    """The letters by reason."""
    with engine.database.read() as connection:
        return {str(letter.reason): letter.id for letter in dead_letters.listed(connection)}


def halt(engine: Engine) -> None:
    """Something has to be settled first, everywhere."""
    with engine.database.begin() as connection:
        connection.exec_driver_sql("UPDATE partitions SET halted = 'for this test'")
    engine.reload()


def refused(door: Served) -> dict[str, str]:
    """A letter of a conflict, which nobody can replay, and one of an actor that nobody knows."""
    said: list[dict[str, Any]] = [new(1), new(1) | {"actor": "WY03-CHIEF"}, new(2) | {"actor": "WY03-01-NEW"}]
    said.append(new(1) | {"time": "2026-03-02T09:00:00Z"})
    door.batch(said, Prefer="wait=10")
    return letters(door.engine)


def test_of_several_letters_one_that_cannot_be_replayed_keeps_none_of_the_others(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        raise LeaseTaken("the server has it")

    with prepared(sqlite_url) as engine, served(engine) as door:
        found = refused(door)
        monkeypatch.setattr(deadletter, "writing", taken)
        monkeypatch.setattr(deadletter, "writer_of", lambda _: Server(str(door.client.base_url)))
        ids = found["conflict"], "99.99", found["unknown_code"]
        done = list(deadletter.each_replayed(engine.settings, ids))
    assert [(each.letter, each.outcome) for each in done] == [
        (ids[0], "not_replayable"),
        (ids[1], "not_replayable"),
        (ids[2], "refused"),
    ]
    assert "has the source and id of another event" in deadletter.line_of(done[0])


def test_what_a_partition_that_stands_still_has_not_decided_is_pending(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        tell(engine, new(1) | {"actor": "WY03-01-NEW"}, now_ms())
        halt(engine)
        outcome = resubmission.replay(engine, letters(engine)["unknown_code"], OPERATOR)
    assert (outcome.outcome, outcome.detail) == ("pending", resubmission.WAITS)


def test_a_firing_in_a_partition_that_stands_still_is_not_released_yet(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        tell(engine, new(1), now_ms())
        firing = dead_letters.dead_letter(
            "0.n1", now_ms(), Refusal(Reason.FAILED, "", ""), "owner", None, case_id=new(1)["subject"]
        )
        with engine.database.begin() as connection:
            dead_letters.write(connection, [firing])
        assert resubmission.replay(engine, "0.n1", OPERATOR).outcome == "released"
        halt(engine)
        assert resubmission.replay(engine, "0.n1", OPERATOR).outcome == "pending"


def test_the_door_says_at_once_what_a_partition_that_stands_still_has_not_decided(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        letter = refused(door)["unknown_code"]
        door.writer.call(halt).result(10)
        answer = door.client.post(f"/v1/operator/letters/{letter}/replays").json()
        assert (answer["outcome"], answer["detail"]) == ("pending", resubmission.WAITS)
