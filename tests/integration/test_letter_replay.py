"""Replayed letters: what becomes of each is told as it is, also where it cannot be replayed or is not decided yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import admission
from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.operations import resubmission
from engine.principals import Principals
from engine.runtime import Engine
from engine.store import dead_letters
from gridpatrol.client import Server
from gridpatrol.commands import deadletter
from schemas import facts
from schemas.envelope import decode_record
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import new
from tests.simulation.line import NOW, Line, check_export, line_on, sample
from tests.support.builders import DAY, HOUR, OPERATOR, event
from tests.support.serving import Served, prepared, served, tell
from workflows.policy.model import Pack


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


# ---- a letter keeps its own instants ------------------------------------------------------------------------

MINUTE = 60_000
CHIEF, MEMBER = "WY01-CHIEF", "WY01-01-MEMBER"


def without(*posts: str) -> Pack:
    """The sample pack in which nobody has these posts yet."""
    pack = sample()
    vacant = (msgspec.structs.replace(post, vacant=True) if post.code in posts else post for post in pack.posts)
    return msgspec.structs.replace(pack, posts=tuple(vacant))


def reported(line: Line) -> None:
    """A report that the street has to accept within a working hour, on a Monday at nine."""
    line.say("report.submitted", "WY-12345", NOW, category="D3-04", source="hotline", grid="WY01-01")


def replay_at(line: Line, reason: str, at: int) -> None:
    """Replay the letter of a reason at an instant, under the pack that is mended by then."""
    line.engine.install(sample(), at)
    found = resubmission.read(line.engine, letters(line.engine)[reason])
    assert found is not None
    line.engine.append([resubmission.resubmission(*found, line.engine.count, Principals())], at)
    line.engine.drain()


def stopped(line: Line, clock: str) -> list[tuple[str, int]]:
    """How a clock ended, and the instant at which it was judged."""
    return [(fact.result, fact.judged - NOW) for fact in line.of(facts.ClockStopped) if fact.clock == clock]


def test_a_letter_that_is_replayed_a_day_later_was_accepted_when_it_came(sqlite_url: str, tmp_path: Path) -> None:
    with line_on(sqlite_url, pack=without(CHIEF)) as line:
        reported(line)
        line.say("incident.accepted", CHIEF, NOW + 10 * MINUTE)
        line.operate("tick", "", NOW + 5 * HOUR)
        line.engine.drain()
        assert [fact.clock for fact in line.of(facts.ClockRung) if fact.breach] == ["accept"]
        replay_at(line, "unknown_code", NOW + DAY)
        assert stopped(line, "accept") == [("on_time", 10 * MINUTE)]
        [against] = line.of(facts.ClockContradicted)
        assert against.clock == "accept"
        assert line.steps()[-1].at == NOW + DAY  # it is known since then
        check_export(line, tmp_path)


def test_who_replays_a_letter_moves_no_desk_before_the_arrival_of_its_event(sqlite_url: str) -> None:
    """A desk that came late stays late, whatever its event says of its time."""
    with line_on(sqlite_url, pack=without(CHIEF)) as line:
        reported(line)
        said = event("incident.accepted", CHIEF, NOW + 10 * MINUTE, id="late")
        received = admission.receive(msgspec.json.encode(said), "door", 1)
        assert not isinstance(received, Refusal)
        line.engine.append([received[0]], NOW + 3 * HOUR)
        line.engine.drain()
        replay_at(line, "unknown_code", NOW + DAY)
        assert stopped(line, "accept") == [("overdue", 3 * HOUR)]


@pytest.mark.parametrize(("came", "judged"), [(70 * HOUR, 10 * MINUTE), (80 * HOUR, 80 * HOUR)])
def test_a_phone_is_believed_within_the_allowance_of_the_first_arrival_not_of_the_replay(
    sqlite_url: str, came: int, judged: int
) -> None:
    with line_on(sqlite_url, pack=without(MEMBER)) as line:
        said = event("report.submitted", MEMBER, NOW + 10 * MINUTE, category="D3-04", source="patrol", grid="WY01-01")
        received = admission.receive(msgspec.json.encode(said), "door", 1)
        assert not isinstance(received, Refusal)
        line.engine.append([received[0]], NOW + came)
        line.engine.drain()
        replay_at(line, "unknown_code", NOW + 160 * HOUR)
        assert {fact.judged - NOW for fact in line.of(facts.ClockStarted) if fact.clock == "total"} == {judged}


def test_what_waited_in_vain_came_when_it_came_and_a_letter_of_a_letter_too(sqlite_url: str) -> None:
    with line_on(sqlite_url, pack=sample(parked_ms=DAY)) as line:
        line.say("incident.accepted", CHIEF, NOW)  # of a case that is reported two days later
        line.operate("tick", "", NOW + 2 * DAY)
        line.engine.drain()
        found = resubmission.read(line.engine, letters(line.engine)["expired"])
        assert found is not None
        assert found[0].at > NOW + DAY and found[2] == NOW
        first = resubmission.resubmission(*found, 1, Principals())
        again = resubmission.resubmission(found[0], first.body, NOW + 9 * DAY, 1, Principals())
        assert [decode_record(each.body).came for each in (first, again)] == [NOW, NOW]


def test_bytes_that_the_door_refused_came_when_it_refused_them(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        said = event("incident.accepted", CHIEF, NOW, id="k")
        letter = admission.letter(msgspec.json.encode(said), Refusal(Reason.FORBIDDEN, "", ""), "a", NOW + HOUR, "d")
        with line.engine.database.begin() as connection:
            dead_letters.write(connection, [letter])
        found = resubmission.read(line.engine, "d")
        assert found is not None
        record = decode_record(resubmission.resubmission(*found, 1, Principals()).body)
        assert (record.letter, record.came) == ("d", NOW + HOUR)


def test_no_sender_says_when_its_event_came(sqlite_url: str) -> None:
    """The member of the record is the store's: what an event says of it is unknown, and stays sealed."""
    said = event("incident.accepted", CHIEF, NOW, id="k") | {"came": 1, "letter": "0.1"}
    received = admission.receive(msgspec.json.encode(said), "door", 1)
    assert not isinstance(received, Refusal)
    record = decode_record(received[0].body)
    assert (record.came, record.letter) == (0, "")
