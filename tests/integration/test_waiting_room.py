"""The waiting room of a home through the engine: how much of it a principal may take up, and what its neighbours have.

Senders with quotas send early events. The exported log of each run gives the same steps and answers in slices of one,
and `gridpatrol verify` counts what waits as the engine does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from consumers.verify import mismatches, replayed
from engine import admission
from engine.operations import resubmission
from engine.principals import Principal, Principals
from engine.quotas import Quota
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.store import dead_letters
from schemas.refusals import Reason
from tests.simulation.line import NOW, Line, check_export, line_on, sample
from tests.support.builders import DAY, DUST, LEAF, MEMBER, event, subject
from tests.support.rewriting import written_down

FEW = Principal("few", patterns=("*",), quota=Quota(parked=2))
ANY = Principal("any", patterns=("*",), quota=Quota(parked=0))
NEIGHBOUR = Principal("neighbour", patterns=("*",), quota=Quota(parked=2))
EARLY = "comment.added"


@pytest.fixture
def line(sqlite_url: str) -> Iterator[Line]:
    with small(sqlite_url) as found:
        yield found


@pytest.fixture
def anywhere(database_url: str) -> Iterator[Line]:
    with small(database_url) as found:
        yield found


def small(url: str) -> AbstractContextManager[Line]:
    """A home in which few cases may wait for their reports, and with each of them few events, for a day."""
    return line_on(url, pack=sample(unborn_cap=8, parked_cap=6, parked_ms=DAY))


def send(line: Line, by: Principal, *said: dict[str, Any], time: int = NOW) -> list[Answer]:
    """What becomes of events that a door has taken for a principal."""
    submissions = []
    for each in said:
        received = admission.admit(written_down(each), by, line.engine.count)
        assert isinstance(received, tuple), received
        submissions.append(received[0])
    line.engine.append(submissions, time)
    answers = list[Answer]()
    while (result := line.engine.work(None)) is not None:
        answers += result.answers
    return answers[-len(said) :]


def early(number: int, id_: str = "", home: str = "WY01", kind: str = EARLY) -> dict[str, Any]:
    """An event that comes before the report of its case."""
    return event(kind, f"{home}-01-MEMBER", NOW, case=subject(home, number), id=id_ or f"k{number}")


def report(number: int) -> dict[str, Any]:
    return event(
        "report.submitted", MEMBER, NOW, case=subject("WY01", number), id=f"r{number}", category=DUST, source="patrol",
        grid=LEAF,
    )  # fmt: skip


def told(answers: list[Answer]) -> list[str]:
    """The outcome of each, or the reason of its refusal."""
    return [str(answer.refusal.reason) if answer.refusal else answer.outcome for answer in answers]


def waiting(line: Line) -> dict[str, int]:
    """How many events wait, by principal."""
    with line.engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT principal, sum(number) FROM parked GROUP BY principal").all()
        return {principal: int(number) for principal, number in rows}


def check(line: Line, tmp_path: Path) -> None:
    """All that is stored agrees, and the log gives it again."""
    with line.engine.database.read() as connection:
        assert [str(each) for each in mismatches(connection, live=True)] == []
    check_export(line, tmp_path)


# ---- the neighbour ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "places"), [(FEW, 2), (ANY, 4)], ids=["its quota", "half, without a quota"])
def test_whatever_one_sender_floods_a_neighbour_can_still_park_in_the_same_home(
    anywhere: Line, tmp_path: Path, by: Principal, places: int
) -> None:
    flood = [early(number) for number in range(1, 40)]
    assert Counter(told(send(anywhere, by, *flood))) == {"parked": places, "over_limit": 39 - places}
    assert told(send(anywhere, NEIGHBOUR, early(51), early(52))) == ["parked", "parked"]
    assert waiting(anywhere) == {by.name: places, "neighbour": 2}
    check(anywhere, tmp_path)


def test_whatever_one_sender_says_early_of_a_case_a_neighbour_can_still_say_something(
    line: Line, tmp_path: Path
) -> None:
    flood = [early(1, f"k{number}") for number in range(20)]
    assert Counter(told(send(line, ANY, *flood))) == {"parked": 3, "over_limit": 17}
    assert told(send(line, NEIGHBOUR, early(1, "n1"), early(1, "n2"))) == ["parked", "parked"]
    assert told(send(line, NEIGHBOUR, report(1))) == ["done"]
    assert waiting(line) == {}
    check(line, tmp_path)


def test_a_sender_has_its_quota_in_each_home(line: Line, tmp_path: Path) -> None:
    for home in ("WY01", "WY02"):
        sent = [early(number, f"{home}.{number}", home) for number in (1, 2, 3)]
        assert told(send(line, FEW, *sent)) == ["parked", "parked", "over_limit"]
    check(line, tmp_path)


# ---- honest work --------------------------------------------------------------------------------------------


def test_with_nothing_left_to_wait_in_what_can_be_decided_is_decided(line: Line, tmp_path: Path) -> None:
    assert told(send(line, FEW, early(1), early(2), early(3))) == ["parked", "parked", "over_limit"]
    assert told(send(line, FEW, report(9), early(9, "on time"))) == ["done", "done"]
    refusal = send(line, FEW, early(9, "early", kind="incident.closed"))[0].refusal
    assert refusal is not None and (refusal.reason, refusal.field) == (Reason.OVER_LIMIT, "subject")
    assert (
        refusal.detail
        == "2 events of its principal are waiting in WY01 already: send what they wait for, then this one again"
    )
    check(line, tmp_path)


def test_events_that_wait_with_reported_cases_count_as_well(line: Line, tmp_path: Path) -> None:
    sent = [early(1, id_, kind="incident.closed") for id_ in ("a", "b")]
    assert told(send(line, FEW, report(1), *sent, early(2))) == ["done", "parked", "parked", "over_limit"]
    check(line, tmp_path)


def test_what_waits_is_answered_as_parked_when_it_comes_again(line: Line, tmp_path: Path) -> None:
    send(line, FEW, early(1), early(2))
    [again] = send(line, FEW, early(1))
    assert (again.outcome, again.first, again.refusal) == ("duplicate", "parked", None)
    assert again.wait is not None and again.wait.waits_for == ("gridpatrol.report.submitted.v1",)
    check(line, tmp_path)


def test_what_found_no_place_is_taken_when_it_comes_again_and_there_is_one(anywhere: Line, tmp_path: Path) -> None:
    assert told(send(anywhere, FEW, early(1), early(2), early(3))) == ["parked", "parked", "over_limit"]
    assert told(send(anywhere, FEW, early(3))) == ["over_limit"], "there is still none"
    assert told(send(anywhere, FEW, report(1), early(3))) == ["done", "parked"]
    assert told(send(anywhere, FEW, report(3), early(4), early(4))) == ["done", "parked", "duplicate"]
    assert waiting(anywhere) == {"few": 2}
    check(anywhere, tmp_path)


def test_there_is_room_again_for_who_waited_in_vain_also_after_a_restart(anywhere: Line, tmp_path: Path) -> None:
    send(anywhere, FEW, early(1), early(2))
    anywhere.engine = Engine(anywhere.engine.database, anywhere.engine.settings)
    assert told(send(anywhere, FEW, early(3))) == ["over_limit"]
    later = send(anywhere, FEW, *map(early, (3, 4, 5)), time=NOW + DAY + 2)
    assert told(later) == ["parked", "parked", "over_limit"]
    assert waiting(anywhere) == {"few": 2}
    assert [letter[0] for letter in anywhere.letters()].count("expired") == 2
    check(anywhere, tmp_path)


def test_a_letter_of_what_waited_in_vain_is_its_sender_s(line: Line) -> None:
    send(line, FEW, early(1))
    send(line, NEIGHBOUR, early(2), time=NOW + DAY + 2)
    with line.engine.database.read() as connection:
        [letter] = dead_letters.listed(connection)
    assert (letter.reason, letter.principal) == ("expired", "few")


def test_an_operator_may_let_wait_what_its_sender_may_not(line: Line, tmp_path: Path) -> None:
    send(line, FEW, early(1), early(2), early(3))
    with line.engine.database.read() as connection:
        [letter] = dead_letters.listed(connection)
        body = dead_letters.read_sealed(connection, letter.token)
    line.engine.append([resubmission.resubmission(letter, body, letter.at, 1, Principals())], NOW)
    line.engine.drain()
    assert told(send(line, FEW, early(3))) == ["duplicate"]
    assert waiting(line) == {"few": 2}
    check(line, tmp_path)


def test_what_an_older_release_let_wait_is_nobody_s(line: Line, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        line.say(EARLY, MEMBER, NOW, case=subject("WY01", number), id=f"old{number}")
    line.engine.drain()
    assert told(send(line, FEW, early(4), early(5), early(6))) == ["parked", "parked", "over_limit"]
    assert told(send(line, FEW, report(1))) == ["done"]
    assert waiting(line) == {"few": 2}
    check(line, tmp_path)


# ---- what verify sees ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE parked SET number = 9",
        "UPDATE parked SET home = 'WY02'",
        "DELETE FROM parked",
        f"INSERT INTO parked VALUES ('{subject('WY01', 7)}', 'few', 'WY01', 0, 1)",
    ],
)
def test_a_count_that_was_changed_is_seen(sqlite_url: str, tmp_path: Path, edit: str) -> None:
    with line_on(sqlite_url, pack=sample()) as line:
        send(line, FEW, early(1))
        with line.engine.database.begin() as connection:
            connection.exec_driver_sql(edit)
        with line.engine.database.read() as connection:
            assert {each.what for each in mismatches(connection, live=True)} == {"parked"}
        assert {each.what for each in replayed.replayed_beside(line.engine, tmp_path)} == {"parked"}
