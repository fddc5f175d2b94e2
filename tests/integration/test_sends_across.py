"""Cases talk to cases of other homes through the log: in order, once, whatever the partitions, and whoever fails.

Enters: events in several homes, with a kind of case that only other cases bear. Leaves: facts, records of the log, and
what is still on its way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine import failpoints
from engine.clock import now_ms
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.operations import resubmission
from engine.pack_plan import PlannedPack
from engine.people import PrincipalsAndPeople
from engine.replay import export_log, replay_events, replay_log
from engine.store import inbox_table, sends, standing
from engine.store.rows import InboxRow
from engine.writer import Writer
from lab import runs
from lab.runs import engine_on
from schemas import facts
from tests.integration.test_isolation import refuse, relent
from tests.integration.test_standing import broken, restarted
from tests.simulation.line import NOW, Line
from tests.support.builders import DAY, changed, event, instant, subject
from tests.support.errands import Owed, Passed, errands
from workflows import sla
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.policy import model
from workflows.turn import decode_sent

HOMES = ("WY01", "WY02", "WY03", "WY04")
LATER, MINUTE = 1_000, 60_000
REPORT = {"category": "D3-04", "source": "hotline", "definition": "service_request", "grid": "WY01-01"}


@pytest.fixture(params=[1, 2, 32])
def line(database_url: str, request: pytest.FixtureRequest) -> Iterator[Line]:
    with line_of(database_url, request.param) as found:
        yield found


@contextmanager
def line_of(url: str, *limits: int) -> Iterator[Line]:
    with engine_on(url, *limits) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        yield Line(engine)


def settle(line: Line, now: int) -> int:
    """Decide, append what was said to other homes, and so on until all is heard. How much was appended."""
    total = 0
    while True:
        while line.engine.work(None) is not None:
            pass
        if not (sent := line.engine.forward(now)):
            line.engine.feed()
            return total
        total += sent


def urge(line: Line, time: int, number: int = 1) -> None:
    line.say("case.urged", "WY-SUPERVISOR", time, case=subject("WY01", number))


def bear(*homes: str) -> Any:
    """What an urged case says: it bears the errand 4 in each of these homes."""

    def says(d: Decision) -> None:
        for home in homes:
            d.send(subject(home, 4), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")

    return says


def pass_on(first: str, *homes: str) -> Any:
    """A word that goes from errand to errand."""
    to = tuple(subject(home, 4) for home in homes)
    return lambda d: d.send(subject(first, 4), "errand.passed", Passed(to=to))


def records(line: Line) -> list[InboxRow]:
    """What was said from home to home, as the log has it."""
    with line.engine.database.read() as connection:
        rows = [row for p in line.engine.rows for row in inbox_table.read_all(connection, p) if row.kind == "sent"]
    return sorted(rows, key=lambda row: (row.stamp, row.partition, row.position))


def on_their_way(line: Line) -> int:
    with line.engine.database.read() as connection:
        return sum(sends.count_outgoing(connection).values())


def said_by(line: Line, case: str) -> list[str]:
    """The numbers of what a case has said to other homes, as the log has it."""
    causes = [json.loads(row.body)["cause"] for row in records(line)]
    return [cause["id"] for cause in causes if cause["source"] == case]


def noted(line: Line, home: str) -> int:
    return sum(isinstance(fact, facts.Noted) for fact in line.facts(4, home))


def sound(line: Line, tmp_path: Path) -> None:
    """All that is stored follows from the facts, these from the log, and the log holds all that was said."""
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    (folder := tmp_path / "beside").mkdir()
    assert [str(m) for m in replayed_beside(line.engine, folder)] == []
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", line.engine.count, 1, 1) as again:
        replay_log(again, export_log(line.engine))
        assert runs.facts(again) == runs.facts(line.engine)
        assert on_their_way(Line(again)) == on_their_way(line)


def test_a_case_bears_others_in_other_homes_through_the_log(line: Line, tmp_path: Path) -> None:
    with errands(bear(*HOMES)):
        line.report(1, due=None)
        urge(line, NOW + 1)
        assert settle(line, NOW + 5) == 3  # the first one lies in the home itself
        own = line.steps(4, "WY01")[0]
        assert own.at == NOW + 1
        for k, home in enumerate(HOMES[1:], 2):
            [born] = line.steps(4, home)
            path = f"/XA/WY/{home}/{home}-01/"
            assert (born.definition, born.path, born.at, born.post) == ("errand", path, NOW + 5, "")
            cause = {"type": "gridpatrol.case.sent", "source": subject("WY01", 1), "id": f"2.{k}", "occurred": NOW + 1}
            assert json.loads(born.cause) == cause
        assert [(row.principal, row.stamp) for row in records(line)] == [("owner", NOW + 5)] * 3
        sound(line, tmp_path)


@pytest.mark.parametrize("line", [2], indirect=True)
def test_a_word_goes_over_three_homes_and_back(line: Line, tmp_path: Path) -> None:
    with errands(bear("WY02", "WY03", "WY04")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02", "WY03", "WY04", "WY02")):
        urge(line, NOW + 10)
        assert settle(line, NOW + 20) == 4
        assert [noted(line, home) for home in HOMES] == [0, 2, 1, 1]
        sound(line, tmp_path)


@pytest.mark.parametrize("line", [1], indirect=True)
def test_what_comes_again_is_taken_once_also_after_a_hundred_days(line: Line, tmp_path: Path) -> None:
    with errands(bear("WY02")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02")):
        urge(line, NOW + 10)
        settle(line, NOW + 20)
        found = records(line)
        for row in found:
            line.engine.append([Submission(row.partition, "sent", "owner", row.body)], NOW + 100 * DAY)
        assert settle(line, NOW + 100 * DAY) == 0
        assert noted(line, "WY02") == 1 and len(line.of(facts.Born, 4, "WY02")) == 1
        assert len(records(line)) == 2 * len(found) == 4
        sound(line, tmp_path)


POINTS = ["sends.before_append", "append.before_commit", "sends.before_mark", "append.after_commit", "sends.after_mark"]


@pytest.mark.parametrize("point", [*POINTS, "slice.after_commit", "slice.before_commit"])
def test_interrupted_anywhere_it_is_heard_once_and_in_order(sqlite_url: str, tmp_path: Path, point: str) -> None:
    """On both databases real kills say the same: tests/drill/test_sends_killed.py."""
    with line_of(sqlite_url, 3) as line:
        interrupt(line, tmp_path, point)


def interrupt(line: Line, tmp_path: Path, point: str) -> None:
    """Let it fail at a point again and again."""
    with errands(bear("WY02", "WY03")):
        line.report(1, due=None)
        urge(line, NOW + 1)
        settle(line, NOW + 5)
    with errands(pass_on("WY02", "WY03", "WY02")):
        urge(line, NOW + 10)
        urge(line, NOW + 11)
        for count in range(1, 5):
            failpoints.arm(f"{point}:raise@{count}")
            try:
                settle(line, NOW + 20)
            except Interrupted:
                line = restarted(line)
            finally:
                failpoints.arm("")
        settle(line, NOW + 20)
        assert (noted(line, "WY02"), noted(line, "WY03"), on_their_way(line)) == (4, 2, 0)
        said = said_by(line, subject("WY01", 1))
        assert [id_ for id_ in said if not id_.startswith("2.")] == ["3.1", "4.1"]
        sound(line, tmp_path)


# ---- a replay of events --------------------------------------------------------------------------------------


def lively(seed: int) -> list[bytes]:
    """What is said in four homes within a minute, and at instants at which what was said before arrives."""
    random, said, now = Random(seed), list[bytes](), NOW
    data: dict[str, Any] = {"category": "D3-04", "source": "hotline", "definition": "service_request"}
    for number in range(120):
        home, one = random.choice(HOMES), random.randint(1, 3)
        now += random.choice([0, 0, 1, 500, LATER, LATER, 2 * LATER, 20 * LATER])
        due = {"deadline": instant(now + random.choice([1, 999, LATER, 30 * LATER]))}
        choices: list[tuple[str, str, dict[str, Any]]] = [
            ("report.submitted", "WY-12345", data | due | {"grid": f"{home}-01"}),
            ("case.urged", "WY-SUPERVISOR", {}),
            ("case.commented", f"{home}-01-MEMBER", {}),
        ]
        trigger, by, rest = random.choices(choices, [3, 5, 2])[0]
        case = subject(home, one + 3 if trigger == "case.commented" else one)  # of an errand, perhaps before its birth
        said.append(json.dumps(event(trigger, by, now, case=case, id=f"e{number}", **rest)).encode())
    return said


def talk(d: Decision) -> None:
    """An urged case bears errands in two homes, and sends a word round them all."""
    own = HOMES.index(d.case.id[:4])
    others = HOMES[own + 1 :] + HOMES[: own + 1]
    number = int(d.case.id[-12:], 16) + 3
    for home in others[:2]:
        d.send(subject(home, number), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")
    to = tuple(subject(home, number) for home in others)
    d.send(to[0], "errand.passed", Passed(to=to[1:]))


@contextmanager
def talking() -> Iterator[None]:
    """Where what is urged talks, and what falls due as well."""
    ring = sla.ring

    def rings(d: Decision, clock: Any) -> Any:
        found = ring(d, clock)
        talk(d)
        return found

    with errands(talk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sla, "ring", rings)
        yield


LIMITS = [(1, 500, 1000), (2, 20, 30), (32, 500, 1000), (32, 1, 1)]


@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_replay_slices_and_partitions_change_no_fact(tmp_path: Path, seed: int) -> None:
    found = []
    with talking():
        for limits in LIMITS:
            with line_of(f"sqlite:///{tmp_path / '-'.join(map(str, limits))}.db", *limits) as line:
                replay_events(line.engine, lively(seed), "lively", NOW + 10 * MINUTE)
                runs.check_whole(line.engine)
                assert on_their_way(line) == 0
                found.append((runs.facts(line.engine), runs.answers(line.engine)))
                if limits == (32, 500, 1000):
                    check_arrivals(line)
                    sound(line, tmp_path)
    assert all(each == found[0] for each in found[1:])


def check_arrivals(line: Line) -> None:
    """What was said arrives a second later, after packs and before events of that instant, by sender, step and send."""
    said = {(row.case_id, row.seq): row.at for row in runs.steps(line.engine)}
    with line.engine.database.read() as connection:
        for partition in line.engine.rows:
            rows = [row for row in inbox_table.read_all(connection, partition) if row.kind in ("event", "sent")]
            keys = [(row.stamp, row.kind != "sent", *key_of(row)) for row in rows]
            assert keys == sorted(keys, key=lambda key: key[:5] if not key[1] else key[:2])
            of_steps = [row for row in rows if row.kind == "sent" and key_of(row)[2] > 0]
            assert all(row.stamp == said[key_of(row)[:2]] + LATER for row in of_steps)


def key_of(row: InboxRow) -> tuple[str, int, int]:
    return decode_sent(row.body).key if row.kind == "sent" else ("", 0, 0)


@pytest.mark.parametrize("point", ["replay.before_commit", "replay.after_commit"])
def test_a_replay_that_is_interrupted_goes_on_with_what_was_on_its_way(tmp_path: Path, point: str) -> None:
    with talking():
        with line_of(f"sqlite:///{tmp_path / 'whole.db'}", 32) as whole:
            replay_events(whole.engine, lively(4), "lively", NOW + 10 * MINUTE)
            told = runs.facts(whole.engine)
        with line_of(f"sqlite:///{tmp_path / 'parts.db'}", 32, 20, 30) as line:
            for count in (3, 1, 7, 2, 12):
                failpoints.arm(f"{point}:raise@{count}")
                with pytest.raises(Interrupted):
                    replay_events(line.engine, lively(4), "lively", NOW + 10 * MINUTE)
                failpoints.arm("")
                line.engine.reload()
            replay_events(line.engine, lively(4), "lively", NOW + 10 * MINUTE)
            assert runs.facts(line.engine) == told


def test_at_one_instant_a_pack_comes_first_then_what_was_said_then_an_event(tmp_path: Path) -> None:
    pack = changed(options={"parked_ms": 3 * DAY}).pack
    plan = [PlannedPack(NOW + 2 * LATER, model.digest(pack), pack)]
    said = [
        event("report.submitted", "WY-12345", NOW, case=subject("WY01", 1), id="a", **REPORT),
        event("case.urged", "WY-SUPERVISOR", NOW + LATER, case=subject("WY01", 1), id="b"),
        event("case.commented", "WY02-01-MEMBER", NOW + 2 * LATER, case=ERRAND, id="c"),
    ]
    with errands(bear("WY02")), line_of(f"sqlite:///{tmp_path / 'a.db'}", 3) as line:
        line.engine.keep_pack(pack)
        replay_events(line.engine, [json.dumps(each).encode() for each in said], "three", plan=plan)
        with line.engine.database.read() as connection:
            found = [*inbox_table.read_all(connection, line.engine.partition(ERRAND))]
        assert [row.kind for row in found if row.stamp == NOW + 2 * LATER] == ["pack", "sent", "event"]
        assert [fact.what for fact in line.of(facts.Noted, 4, "WY02")] == ["comment"] and not line.letters()
        assert line.steps(4, "WY02")[0].policy == model.digest(pack)


# ---- targets that do not take it -----------------------------------------------------------------------------


@pytest.fixture
def two(database_url: str) -> Iterator[Line]:
    """A line of two partitions, with the errand 4 in the home WY02, borne by the first case of WY01."""
    with errands(bear("WY02")), line_of(database_url, 3) as found:
        found.report(1, due=None)
        urge(found, NOW + 1)
        settle(found, NOW + 5)
        yield found


ERRAND, NOBODY = subject("WY02", 4), subject("WY02", 5)


def unserved(line: Line, number: int = 4, home: str = "WY02") -> list[tuple[str, str, str]]:
    return [(fact.trigger, fact.why, fact.case) for fact in line.of(facts.Unserved, number, home)]


def test_what_a_target_can_no_longer_do_or_never_could_is_said_back_to_the_sender(two: Line, tmp_path: Path) -> None:
    """One that has ended has a fact of it; for one that is archived, or was never there, a letter stands."""
    photo = {"url": "https://a.example/1", "sha256": "ab" * 32, "kind": "near"}
    two.say("case.evidence_added", "WY02-01-MEMBER", NOW + 6, case=ERRAND, evidence=[photo])
    gone = NOW + 400 * DAY

    def says(d: Decision) -> None:
        if d.arrival > gone + DAY:
            return d.send(NOBODY, "errand.owed", Owed(grid="WY02-01"), bears="errand")
        d.send(ERRAND if d.arrival < gone + 2 else NOBODY, "errand.passed", Passed())

    with errands(says):
        urge(two, NOW + 10)
        settle(two, NOW + 20)
        assert unserved(two) == [("errand.passed", "impossible", "")]
        assert unserved(two, 1, "WY01") == [("errand.passed", "impossible", ERRAND)]
        two.operate("archive", json.dumps({"before": NOW + 30 * DAY}), gone, "WY02")
        for number in range(3):
            urge(two, gone + number)
        settle(two, gone + 3)
        said = [sent for row in records(two) for sent in (decode_sent(row.body),) if row.stamp >= gone]
        asked, answers = ([sent for sent in said if (sent.key[2] < 0) is back] for back in (False, True))
        assert [(reason, case, id_) for reason, case, id_, _ in two.letters()] == [
            ("archived", ERRAND, asked[0].cause.id),
            ("archived", ERRAND, asked[1].cause.id),
            ("impossible", NOBODY, asked[2].cause.id),
        ]
        assert unserved(two, 1, "WY01")[1:] == [
            ("errand.passed", "archived", ERRAND),
            ("errand.passed", "archived", ERRAND),
            ("errand.passed", "impossible", NOBODY),
        ]
        assert [sent.cause.id for sent in answers] == [sent.cause.id.replace(".", ".-") for sent in asked]
        row = next(row for row in records(two) if decode_sent(row.body) == asked[0])
        two.engine.append([Submission(row.partition, "sent", "owner", row.body)], gone + DAY)
        assert settle(two, gone + DAY) == 0 and len(two.letters()) == 3
        replay_letters(two)
        sound(two, tmp_path)


def replay_letters(line: Line) -> None:
    """An operator replays what was said to one that was not there then, once, and what will not be done for good."""
    engine, names, gone_by, outcomes = line.engine, letter_names(line), NOW + 402 * DAY, list[str]()
    urge(line, gone_by)
    settle(line, gone_by)
    who = PrincipalsAndPeople(engine.settings.principals, engine.database)
    for number in (2, 2, 0):
        found = resubmission.read(engine, names[number])
        assert found is not None
        engine.append([resubmission.resubmission(*found, engine.count, who)], gone_by)
        result = engine.work(None)
        outcomes += [answer.outcome for answer in result.answers] if result is not None else []
    assert outcomes == ["done", "duplicate", "refused"]
    assert [fact.what for fact in line.of(facts.Noted, 5, "WY02")] == ["passed"]
    settle(line, gone_by)
    assert len(letter_names(line)) == 4 and len(line.of(facts.Unserved, 1, "WY01")) == 4


def letter_names(line: Line) -> list[str]:
    """All letters, as they came."""
    with line.engine.database.read() as connection:
        return [*connection.exec_driver_sql("SELECT id FROM dead_letters ORDER BY position").scalars()]


def test_a_target_that_stands_hears_in_order_when_it_goes_on(two: Line, tmp_path: Path) -> None:
    with errands(pass_on("WY02")), broken("errand.passed"):
        urge(two, NOW + 10)
        settle(two, NOW + 20)
        two.say("case.commented", "WY02-01-MEMBER", NOW + 21, case=ERRAND)
        two.report(9, NOW + 21, None, "WY02")
        urge(two, NOW + 22)
        settle(two, NOW + 23)
        assert noted(two, "WY02") == 0 and on_their_way(two) == 0
        assert two.facts(9, "WY02")  # others go on
        assert [str(m) for m in verify(two.engine.database, live=True)] == []
        for row in records(two)[1:]:
            two.engine.append([Submission(row.partition, "sent", "owner", row.body)], NOW + 30)
        settle(two, NOW + 30)
    with errands(pass_on("WY02")):
        two = restarted(two)
        settle(two, NOW + 40)
        told = [fact.what for fact in two.of(facts.Noted, 4, "WY02")]
        assert told == ["passed", "comment", "passed"]
        with two.engine.database.read() as connection:
            assert not any(standing.read_ids(connection, p) for p in two.engine.rows)
        (folder := tmp_path / "beside").mkdir()
        assert [str(m) for m in replayed_beside(two.engine, folder)] == []
        assert [str(m) for m in verify(two.engine.database, live=True)] == []


def test_a_target_that_the_database_refuses_is_quarantined_and_the_sender_goes_on(two: Line, tmp_path: Path) -> None:
    refuse(two.engine.database, "facts", f"NEW.case_id = '{ERRAND}' AND NEW.body LIKE '%passed%'")
    with errands(pass_on("WY02")):
        urge(two, NOW + 10)
        two.report(9, NOW + 12, None, "WY02")
        settle(two, NOW + 20)
        assert [fact.on for fact in two.of(facts.Quarantined, 4, "WY02")] == [True]
        assert two.facts(9, "WY02") and [letter[:2] for letter in two.letters()] == [("failed", ERRAND)]
        relent(two.engine.database, "facts")
        sound(two, tmp_path)


def test_a_partition_that_stands_still_holds_up_only_what_it_is_to_hear(two: Line, tmp_path: Path) -> None:
    target = two.engine.partition(ERRAND)
    assert target != two.engine.partition(subject("WY01", 1))
    two.engine.partitions.halt(target, "an operator says so")
    with errands(pass_on("WY02")):
        for number in range(3):
            urge(two, NOW + 10 + number)
            assert settle(two, NOW + 20) == 1
        assert noted(two, "WY02") == 0 and len(two.steps(1)) == 5
        two.engine.partitions._mark(target, "", lambda connection: None)
        settle(two, NOW + 30)
        assert noted(two, "WY02") == 3
        sound(two, tmp_path)


def test_a_target_whose_clock_is_ahead_is_waited_for_in_order(two: Line) -> None:
    two.operate("tick", "", NOW + 20 * LATER, "WY02")
    with errands(pass_on("WY02")):
        urge(two, NOW + 10)
        assert settle(two, NOW + 20) == 0 and on_their_way(two) == 1
        with two.engine.database.read() as connection:
            assert sends.read_oldest_outgoing(connection) == NOW + 10
        assert settle(two, NOW + 20 * LATER) == 1 and noted(two, "WY02") == 1


# ---- what no owner has written -------------------------------------------------------------------------------


def test_what_is_no_send_or_lies_elsewhere_is_a_letter(two: Line, tmp_path: Path) -> None:
    there, body = two.engine.partition(ERRAND), records(two)[0].body
    texts = ("", "{}", '{"to":1}', body.replace("errand.", "no."))
    wanted = [Submission(there, "sent", "owner", text) for text in texts]
    wanted.append(Submission(there - 1, "sent", "owner", body.replace('"id":"2.1"', '"id":"2.9"')))
    two.engine.append(wanted, NOW + 10)
    settle(two, NOW + 20)
    assert sorted(letter[0] for letter in two.letters()) == ["misrouted"] + ["undecodable"] * 4
    assert [str(m) for m in verify(two.engine.database, live=True)] == []


def test_a_word_that_goes_round_for_ever_is_a_defect_of_the_one_that_says_it_once_too_often(two: Line) -> None:
    def again(d: Decision, data: Any, speaker: Any) -> None:
        d.tell(facts.Noted(what="passed"))
        d.send(subject("WY02" if d.case.id < ERRAND else "WY01", 4), "errand.passed", Passed())

    with errands(bear("WY01")):
        urge(two, NOW + 2)
        settle(two, NOW + 6)
    with errands(pass_on("WY02")), pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFINITIONS["errand"].effects, "errand.passed", again)
        urge(two, NOW + 10)
        settle(two, NOW + 20)
        assert noted(two, "WY01") + noted(two, "WY02") == 63
        with two.engine.database.read() as connection:
            assert sum(len(standing.read_ids(connection, p)) for p in two.engine.rows) == 1


# ---- from an exported log ------------------------------------------------------------------------------------


def test_a_database_from_an_exported_log_says_from_its_first_step_what_the_log_does_not_hold(
    two: Line, tmp_path: Path
) -> None:
    with errands(pass_on("WY02", "WY01", "WY02")):
        urge(two, NOW + 10)
        settle(two, NOW + 20)
        urge(two, NOW + 11)
        while two.engine.work(None) is not None:
            pass
        log = list(export_log(two.engine))
        assert on_their_way(two) == 1
        settle(two, NOW + 30)
        with engine_on(f"sqlite:///{tmp_path / 'live.db'}", 3) as engine:
            replay_log(engine, log)
            live = Line(engine)
            assert on_their_way(live) == 1
            settle(live, NOW + 30)
            assert runs.facts(engine) == runs.facts(two.engine)
            assert list(export_log(engine)) == list(export_log(two.engine))


# ---- what verification finds ---------------------------------------------------------------------------------


EDITS = {
    "UPDATE heard SET position = position + 1": "heard",
    "DELETE FROM heard": "heard",
    "UPDATE outgoing SET seq = seq + 1": "outgoing",
    "DELETE FROM outgoing": "outgoing",
}


@pytest.mark.parametrize("edit", EDITS)
def test_verification_finds_what_was_lost_on_the_way(two: Line, tmp_path: Path, edit: str) -> None:
    with errands(pass_on("WY02")):
        urge(two, NOW + 10)
        while two.engine.work(None) is not None:
            pass
        two.engine.append([Submission(two.engine.partition(ERRAND), "tick", "owner", "")], NOW + 11)
        assert [str(m) for m in replayed_beside(two.engine, tmp_path)] == []
        with two.engine.database.begin() as connection:
            assert connection.exec_driver_sql(edit).rowcount == 1
        (folder := tmp_path / "edited").mkdir()
        found = [*verify(two.engine.database, live=True), *replayed_beside(two.engine, folder)]
        assert {each.what for each in found} == {EDITS[edit]}


# ---- the server's own loop -----------------------------------------------------------------------------------


def test_a_server_carries_a_word_from_home_to_home_and_starves_no_event(database_url: str) -> None:
    def says(d: Decision) -> None:
        bear(*HOMES[1:])(d)
        for _ in range(15):
            d.send(subject("WY02", 4), "errand.passed", Passed(to=tuple(subject(home, 4) for home in HOMES[2:])))

    with errands(says), engine_on(database_url, 32, 20) as engine:
        runs.install(engine, runs.pack_of("weiyang"))
        line, writer, now = Line(engine), Writer(engine), now_ms()
        line.report(1, now, None)
        urged = [
            writer.submit(line.submission("case.urged", "WY-SUPERVISOR", now, case=subject("WY01", 1))) for _ in "ab"
        ]
        writer.write_batch()
        writer.write_batch()
        assert all(each.durable.done() for each in urged) and on_their_way(line) > 0
        data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "definition": "service_request"}
        other = line.submission("report.submitted", "WY-12345", now, case=subject("WY01", 2), deadline=None, **data)
        neighbour = writer.submit(other, wait=True)
        writer.write_batch()
        writer.write_batch()
        assert neighbour.outcome is not None and neighbour.outcome.result(0).outcome == "done"
        while writer.write_batch():
            assert engine.undecided() <= 20
        assert [noted(line, home) for home in HOMES[1:]] == [30, 30, 30] and on_their_way(line) == 0
