"""Resends through the engine: one event has one effect and one answer, other meanings are conflicts, and nobody uses up
another's ids. Over an upgrade too, and the exported log of each run gives the same steps and answers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine import admission
from engine.operations import resubmission
from engine.policies import Policies
from engine.principals import Principals
from engine.slice.types import Answer
from engine.store import dead_letters
from engine.views.event_status import AmbiguousEvent, AskedEvent, event_status
from lab import runs
from lab.runs import engine_on
from schemas import facts
from schemas.digests import as_sent
from schemas.envelope import decode_record, encode_record
from schemas.partition import home_of
from schemas.samples import PHOTO
from tests.simulation.line import NOW, Line, check_export, line_on, sample
from tests.support.builders import DAY, HOTLINE, LEAF_CHIEF, MEMBER, STREET, event, subject
from tests.support.examples import examples
from tests.support.rewriting import rewritings, written_down

OTHER_STREET = "WY02-01-MEMBER"


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with line_on(database_url) as found:
        yield found


def send(line: Line, said: dict[str, Any] | bytes, time: int = NOW, older: bool = False) -> Answer:
    """Append an event and decide it. `older`: as a release would have written it that knew no second form."""
    received = admission.receive(said if isinstance(said, bytes) else written_down(said), "door", line.engine.count)
    assert isinstance(received, tuple), received
    submission = received[0]
    if older:
        record = structs.replace(decode_record(submission.body), digests=())
        submission = structs.replace(submission, body=encode_record(record).decode())
    line.engine.append([submission], time)
    answers = list[Answer]()
    while (result := line.engine.work(None)) is not None:
        answers += result.answers
    return answers[-1]


def outcome(answer: Answer) -> tuple[str, str]:
    return answer.outcome, answer.first


def rows(line: Line, id_: str) -> list[tuple[Any, ...]]:
    """Home, actor and outcome of what is known under an id."""
    with line.engine.database.read() as connection:
        sql = f"SELECT home, actor, outcome FROM seen WHERE id = '{id_}' ORDER BY home, actor"
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def comment(by: str, id_: str, case: str = "", time: int = NOW, **data: Any) -> dict[str, Any]:
    return event("comment.added", by, time, case=case, id=id_, **data)


# ---- whose id it is -----------------------------------------------------------------------------------------


def test_nobody_uses_up_another_actors_ids(line: Line, tmp_path: Path) -> None:
    line.report()
    assert outcome(send(line, comment(STREET, "k"))) == ("done", "")
    assert outcome(send(line, comment(MEMBER, "k"))) == ("done", "")
    assert outcome(send(line, comment(MEMBER, "k"))) == ("duplicate", "done")
    assert outcome(send(line, comment(STREET, "k", text="…"))) == ("conflict", "")
    assert rows(line, "k") == [("WY01", MEMBER, "done"), ("WY01", STREET, "done")]
    check_export(line, tmp_path)


def test_the_ids_of_two_homes_are_apart_in_one_partition_as_in_two(line: Line) -> None:
    said = [
        event(
            "report.submitted", HOTLINE, NOW, case=subject(home), id="r", category="D3-04", source="hotline", grid=home
        )
        for home in ("WY01", "WY02")
    ]
    assert [outcome(send(line, each)) for each in said] == [("done", ""), ("done", "")]


def test_a_file_of_events_gives_the_same_facts_in_1_and_in_32_partitions(tmp_path: Path) -> None:
    """Homes and actors that use one source and id, resends of each among them."""
    lines = list[bytes]()
    for home in ("WY01", "WY02", "WY03"):
        case = subject(home)
        report = {"category": "D3-04", "source": "hotline", "grid": f"{home}-01"}
        lines.append(written_down(event("report.submitted", HOTLINE, NOW, case=case, id="one", **report)))
        for actor in (f"{home}-CHIEF", f"{home}-01-MEMBER", f"{home}-CHIEF"):
            lines.append(written_down(comment(actor, "one", case, NOW + 1)))
    found = {}
    for partitions in (1, 32):
        with engine_on(f"sqlite:///{tmp_path / str(partitions)}.db", partitions) as engine:
            result = runs.replayed(engine, lines)
            found[partitions] = runs.facts(engine)
            assert result.outcomes == {"done": 9, "duplicate": 3}
    assert found[1] == found[32]


def test_the_status_of_an_event_that_several_actors_named_alike_wants_the_actor(line: Line) -> None:
    line.report()
    for actor in (STREET, MEMBER):
        send(line, comment(actor, "k"))
    with line.engine.database.read() as connection:
        with pytest.raises(AmbiguousEvent) as raised:
            event_status(connection, Policies(), AskedEvent("app/test", "k", subject()))
        assert raised.value.field == "actor"
        found = event_status(connection, Policies(), AskedEvent("app/test", "k", subject(), MEMBER))
        assert (found.outcome, found.position) == ("done", line.engine.heads[0] - 1)


# ---- any sequence of resends --------------------------------------------------------------------------------


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_sequence_of_resends_has_one_effect_for_each_actor(line: Line, data: st.DataObject) -> None:
    """Restamped and written down anew is `duplicate`, another meaning is `conflict`, someone else's is its own."""
    if line.sent == 0:
        line.report()
        line.engine.drain()
    id_, first = f"x{line.engine.heads[0]}", dict[str, int]()
    for step in range(data.draw(st.integers(2, 5))):
        actor = data.draw(st.sampled_from([MEMBER, STREET]))
        meaning = data.draw(st.integers(0, 1))
        photos = [PHOTO | {"kind": "after"}, PHOTO][: 1 + meaning]
        said = event("evidence.added", actor, NOW, id=id_, evidence=photos, seen=[1, 0.5, None, "2026-03-02T09:00:00Z"])
        answer = send(line, data.draw(rewritings(said)), NOW + step)
        if actor not in first:
            first[actor] = meaning
            assert outcome(answer) == ("done", "")
        elif meaning == first[actor]:
            assert outcome(answer) == ("duplicate", "done")
        else:
            assert (answer.outcome, answer.refusal and answer.refusal.reason) == ("conflict", "conflict")
    causes = [facts.decode_cause(step.cause) for step in line.steps()]
    assert sorted(cause.actor for cause in causes if cause.id == id_) == sorted(first)


# ---- over an upgrade ----------------------------------------------------------------------------------------


def test_a_phone_that_retries_over_an_upgrade_gets_its_first_answer(line: Line, tmp_path: Path) -> None:
    """The older release kept form 1 and no actor. The first resend in the same words teaches the row form 2."""
    line.report()
    said = comment(MEMBER, "k", text="…")
    assert outcome(send(line, said, older=True)) == ("done", "")
    assert rows(line, "k") == [("", "", "done")]
    assert outcome(send(line, said)) == ("duplicate", "done")
    assert outcome(send(line, said | {"knativearrivaltime": "2026-03-02T09:00:01Z"})) == ("duplicate", "done")
    assert outcome(send(line, comment(MEMBER, "k", text="….")))[0] == "conflict"
    assert rows(line, "k") == [("", "", "done")]
    check_export(line, tmp_path)


def test_a_restamped_retry_over_an_upgrade_is_no_second_fact(line: Line) -> None:
    """Nothing says that it is the same, nor that it is not: it is kept, as the older release would have kept it."""
    line.report()
    said = comment(MEMBER, "k")
    send(line, said, older=True)
    assert outcome(send(line, said | {"sequence": "1"}))[0] == "conflict"
    assert len(line.of(facts.Noted)) == 1


def test_what_an_older_release_took_is_nobody_elses_case(line: Line, tmp_path: Path) -> None:
    """Its row knows no actor, so it answers for its own case only."""
    line.report()
    line.report(2)
    send(line, comment(STREET, "k"), older=True)
    assert outcome(send(line, comment(MEMBER, "k", subject("WY01", 2)))) == ("done", "")
    assert outcome(send(line, comment(MEMBER, "k", subject("WY01", 2)))) == ("duplicate", "done")
    assert outcome(send(line, comment(STREET, "k"))) == ("duplicate", "done")
    check_export(line, tmp_path)


def test_records_of_an_older_release_are_answered_as_it_answered_them(line: Line, tmp_path: Path) -> None:
    """An exported log of before gives the same facts: the first actor's id is everybody's there."""
    line.report()
    line.report(2)
    said = [comment(STREET, "k"), comment(MEMBER, "k", subject("WY01", 2)), comment(STREET, "k", sequence=1)]
    assert [outcome(send(line, each, older=True))[0] for each in said] == ["done", "conflict", "conflict"]
    assert outcome(send(line, said[0], older=True)) == ("duplicate", "done")
    check_export(line, tmp_path)


def test_a_record_of_an_older_gateway_behind_one_of_a_newer_is_its_duplicate(line: Line) -> None:
    line.report()
    assert outcome(send(line, comment(MEMBER, "k"))) == ("done", "")
    assert outcome(send(line, comment(MEMBER, "k"), older=True)) == ("duplicate", "done")
    assert rows(line, "k") == [("WY01", MEMBER, "done")]


def test_what_an_older_release_took_without_reading_its_base64_is_a_duplicate_now(line: Line) -> None:
    said = event("report.submitted", HOTLINE, NOW, category="D3-04", source="hotline", grid="WY01-01")
    line.engine.append([line.submission("report.submitted", HOTLINE, NOW, id="r", **said["data"])], NOW)
    line.engine.drain()
    plain = comment(STREET, "k", text="…")
    bytes_ = {name: value for name, value in plain.items() if name != "data"}
    bytes_["data_base64"] = base64.b64encode(json.dumps(plain["data"]).encode()).decode()
    # That release sealed the member as one that nobody knows: the record has no data, and the digest goes over it.
    received = admission.receive(written_down(plain | {"data": {}}), "door", 1)
    assert isinstance(received, tuple)
    record = structs.replace(decode_record(received[0].body), digest=as_sent(bytes_), digests=())
    line.engine.append([structs.replace(received[0], body=encode_record(record).decode())], NOW)
    line.engine.drain()
    assert outcome(send(line, bytes_)) == ("duplicate", "done")
    assert outcome(send(line, plain)) == ("duplicate", "done"), "taught form 2 by the one before"
    assert len(line.of(facts.Noted)) == 1


# ---- the waiting room ---------------------------------------------------------------------------------------


def test_a_released_event_is_known_under_its_own_key_whoever_else_waits_under_its_id(
    line: Line, tmp_path: Path
) -> None:
    for actor in (MEMBER, LEAF_CHIEF):
        assert outcome(send(line, event("evidence.added", actor, NOW, id="k", evidence=[PHOTO]))) == ("parked", "")
    line.report(time=NOW + 1)
    line.engine.drain()
    assert rows(line, "k") == [("WY01", LEAF_CHIEF, "done"), ("WY01", MEMBER, "done")]
    assert sorted(fact.by for fact in line.of(facts.Evidenced)) == sorted([MEMBER, LEAF_CHIEF])
    assert [fact.actor for fact in line.of(facts.Unparked)] == [MEMBER, ""]
    check_export(line, tmp_path)


def test_an_event_that_waited_in_vain_is_replayed_and_its_sender_told_so(database_url: str, tmp_path: Path) -> None:
    with line_on(database_url, pack=sample(parked_ms=DAY)) as line:
        said = comment(MEMBER, "k")
        send(line, said)
        line.report(time=NOW + 2 * DAY, due=None)
        line.engine.drain()
        assert outcome(send(line, said, NOW + 2 * DAY)) == ("duplicate", "refused")
        with line.engine.database.read() as connection:
            [letter] = dead_letters.listed(connection)
            body = dead_letters.read_sealed(connection, letter.token)
        again = resubmission.resubmission(letter, body, letter.at, 1, Principals())
        line.engine.append([again], NOW + 2 * DAY)
        line.engine.drain()
        assert rows(line, "k") == [("WY01", MEMBER, "done")]
        stamped = said | {"sequence": "1"}
        assert outcome(send(line, stamped, NOW + 2 * DAY)) == ("duplicate", "done")
        check_export(line, tmp_path)


def test_a_resend_of_a_parked_event_says_what_it_waits_for(line: Line) -> None:
    first, again = (send(line, event("incident.closed", "WY-DISPATCH", NOW, id="k")) for _ in range(2))
    assert (outcome(first), outcome(again)) == (("parked", ""), ("duplicate", "parked"))
    assert first.wait == again.wait is not None
    assert first.wait is not None and first.wait.waits_for == ("gridpatrol.report.submitted.v1",)
    with line.engine.database.read() as connection:
        status = event_status(connection, Policies(), AskedEvent("app/test", "k"))
    assert (status.outcome, status.waits_for, status.until) == (
        "parked",
        ["gridpatrol.report.submitted.v1"],
        "2026-03-09T01:00:00.000Z",
    )


@pytest.mark.parametrize("records", [1, 500])
def test_the_unborn_cases_of_a_home_that_hold_events_are_counted_over_slices(
    database_url: str, tmp_path: Path, records: int
) -> None:
    """The same with slices of one as of all, beside another home, and anew once a report has come or patience ended."""
    with line_on(database_url, records, pack=sample(unborn_cap=2, parked_ms=DAY)) as line:
        for number in range(1, 5):
            line.say("comment.added", MEMBER, NOW, case=subject("WY01", number), id=f"k{number}")
        line.say("comment.added", MEMBER, NOW, case=subject("WY01", 1), id="second")
        line.say("comment.added", OTHER_STREET, NOW, case=subject("WY02", 1), id="elsewhere")
        line.report(1, NOW + 1)
        line.say("comment.added", MEMBER, NOW + 2, case=subject("WY01", 3), id="now")
        line.say("comment.added", MEMBER, NOW + 2, case=subject("WY01", 4), id="not yet")
        line.say("comment.added", MEMBER, NOW + 2 * DAY, case=subject("WY01", 4), id="at last")
        line.engine.drain()
        found = {id_: rows(line, id_)[0][2] for id_ in ("k1", "second", "elsewhere", "k3", "k4", "now", "not yet")}
        assert found == {
            "k1": "done",
            "second": "done",
            "elsewhere": "refused",  # by then its patience has ended
            "k3": "refused",
            "k4": "refused",
            "now": "refused",
            "not yet": "refused",
        }
        reasons = {letter[2]: letter[0] for letter in line.letters()}
        assert {id_: reasons[id_] for id_ in ("k3", "k4", "now", "not yet")} == {
            "k3": "over_limit",
            "k4": "over_limit",
            "now": "expired",
            "not yet": "over_limit",
        }
        assert rows(line, "at last") == [("WY01", MEMBER, "parked")]
        assert {home_of(letter[1]) for letter in line.letters() if letter[0] == "over_limit"} == {"WY01"}
        check_export(line, tmp_path)
