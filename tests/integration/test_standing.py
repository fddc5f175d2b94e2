"""A defect empties no log: a case on which a rule fails stands, and once it is mended it has the facts that it should.

Rules are broken here as a bad release would have them, for all cases or for one value. Mended means the same code
without the break, in an engine of its own, as a process that starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumers.verify import mismatches, verify
from consumers.verify.replayed import replayed_beside
from engine import failpoints, partitions
from engine.clock import now_ms
from engine.errors import PartitionHalted, StaleWriter
from engine.failpoints import Interrupted
from engine.operations.tries import Wanted, ask
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from engine.slice import decisions, partition
from engine.store import standing
from lab import runs
from lab.runs import engine_on, pack_of, replayed, storm
from schemas import facts
from schemas.events import canonical
from schemas.members import Fact
from tests.integration.test_isolation import damage, refuse, relent, tick
from tests.simulation.line import DUE, NOW, Line, line_on, sample
from tests.support.builders import BARE, DAY, HOTLINE, HOUR, LEAF, MEMBER, OPERATOR, event, subject
from tests.support.examples import examples
from tests.support.recorded import gridpatrol
from tests.support.serving import prepared, served, wait_until
from workflows import birth, sla
from workflows.definitions import DEFINITIONS

SECRET = "text of an exception"


class Break:
    """What a bad release does to a rule: an error, for the cases that are chosen."""

    def __init__(self, error: Exception, chosen: Callable[[str], bool] = lambda id_: True) -> None:
        self.error = error
        self.chosen = chosen

    def around(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        def broken(d: Any, *rest: Any) -> Any:
            if self.chosen(d.case.id):
                raise type(self.error)(*self.error.args)
            return rule(d, *rest)

        return broken


@contextmanager
def broken(*triggers: str, rung: bool = False, error: Exception | None = None, **chosen: Any) -> Iterator[None]:
    """The effects of these triggers fail, and perhaps the rungs."""
    fault = Break(error or NameError(SECRET), **chosen)
    with pytest.MonkeyPatch.context() as patch:
        for trigger in map(canonical, triggers):
            effects = [each.effects for each in DEFINITIONS.values() if trigger in each.effects]
            assert effects, trigger
            for each in effects:
                patch.setitem(each, trigger, fault.around(each[trigger]))
        if rung:
            patch.setattr(sla, "ring", fault.around(sla.ring))
        yield


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    with line_on(database_url) as found:
        yield found


def restarted(line: Line) -> Line:
    """Another process on the same database, which may be another release."""
    engine = Engine(line.engine.database, line.engine.settings)
    again = Line(engine)
    again.sent = line.sent
    return again


def work(line: Line) -> list[str]:
    """Decide what is there; the outcomes of the events, in order."""
    found = []
    while (result := line.engine.work(None)) is not None:
        found += [answer.outcome for answer in result.answers]
    return found


def standing_cases(line: Line) -> list[str]:
    with line.engine.database.read() as connection:
        return standing.read_ids(connection, 0)


def clean(line: Line, tmp_path: Path, name: str = "clean.db") -> tuple[dict[str, list[bytes]], list[Any]]:
    """Facts and answers of a release without the defect that decides the exported log."""
    with engine_on(f"sqlite:///{tmp_path / name}", line.engine.count) as again:
        replay_log(again, export_log(line.engine))
        assert not any(row.standing for row in again.rows.values())
        return runs.facts(again), runs.answers(again)


def check_as_clean(line: Line, tmp_path: Path) -> None:
    """Facts and answers are those of a log that was decided without the defect, and all that is stored agrees."""
    assert (runs.facts(line.engine), runs.answers(line.engine)) == clean(line, tmp_path)
    runs.check_whole(line.engine)
    assert [str(m) for m in verify(line.engine.database, live=True)] == []
    with line.engine.database.read() as connection:
        for table in ("standing", "waiting", "arrivals"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0, table


def check_beside(line: Line, folder: Path) -> None:
    """`gridpatrol verify --replay` finds nothing by a release without the defect."""
    folder.mkdir()
    assert [str(m) for m in replayed_beside(line.engine, folder)] == []


# ---- a case stands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", ["body = replace(body, 'WY01-01', 'WY01-02')", "kind = 'release'", "principal = 'x'"])
def test_a_record_that_waits_and_is_not_as_the_log_has_it_is_found(line: Line, edit: str) -> None:
    line.report(1)
    with broken("case.commented"):
        line.say("case.commented", "WY01-01-MEMBER", NOW + 1, case=subject())
        assert work(line) == ["done", "pending"]
    with line.engine.database.begin() as connection:
        assert [str(m) for m in mismatches(connection, live=True)] == []
        assert connection.exec_driver_sql(f"UPDATE waiting SET {edit}").rowcount == 1
        assert [m.what for m in mismatches(connection, live=True)] == ["waiting"]


def test_a_rule_that_fails_costs_nothing_its_cases_wait_and_the_others_go_on(line: Line, tmp_path: Path) -> None:
    line.report(1)
    line.report(2)
    assert work(line) == ["done", "done"]
    with broken("incident.urged", chosen=lambda id_: id_ == subject()):
        line.say("incident.urged", "WY-SUPERVISOR", NOW + 1, id="u", case=subject())
        line.say("incident.urged", "WY-SUPERVISOR", NOW + 2, case=subject("WY01", 2))
        line.close(1, NOW + 3)
        line.say("incident.urged", "WY-SUPERVISOR", NOW + 1, id="u", case=subject())
        assert work(line) == ["pending", "done", "pending", "duplicate"]
        assert line.letters() == [] and standing_cases(line) == [subject()]
        assert [str(m) for m in verify(line.engine.database, live=True)] == []
        assert work(restarted(line)) == []  # it is tried again at every start, and stands on
    check_beside(line, tmp_path / "stands")
    line = restarted(line)
    assert work(line) == ["done", "done"]
    check_beside(line, tmp_path / "went-on")
    assert line.of(facts.ClockStopped)[-1].judged == NOW + 3
    assert standing_cases(line) == [] and line.engine.rows[0].standing == 0
    check_as_clean(line, tmp_path)


def test_the_place_in_the_code_is_told_and_never_the_text_of_the_error(line: Line) -> None:
    line.report(1)
    work(line)
    with broken("incident.urged", error=ValueError(SECRET)):
        line.say("incident.urged", "WY-SUPERVISOR", NOW + 1, case=subject())
        work(line)
    with broken(rung=True, error=ValueError(SECRET)):
        line.report(2)
        work(line)
        tick(line, DUE + 1)
    with line.engine.database.read() as connection:
        found = {row.place.rpartition(":")[0]: row.kind for row, _ in standing.listed(connection, 9)}
        assert found == {"workflows.decide:_pull": "ValueError", "workflows.decide:_ring": "ValueError"}
        for table in line.engine.database.db.dialect.get_table_names(connection):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert SECRET not in repr(rows), table


def test_what_is_due_of_a_case_that_stands_fires_when_it_goes_on_as_of_then(line: Line, tmp_path: Path) -> None:
    line.report(1)
    line.report(2)
    work(line)
    with broken(rung=True, chosen=lambda id_: id_ == subject()):
        line.say("comment.added", "WY01-01-MEMBER", DUE - 1, case=subject("WY01", 2))
        tick(line, DUE + 1)
        line.close(2, DUE + HOUR)
        line.close(1, DUE + HOUR)
        work(line)
        assert line.engine.tick(DUE + 2 * HOUR) == 0  # nothing else is due: no tick is wasted on what is hidden
        assert not line.breaches() and line.breaches(2) and standing_cases(line) == [subject()]
    line = restarted(line)
    work(line)
    assert [(rung.due_at, rung.due) for rung in line.breaches()] == [(DUE, DUE)]
    [fired] = [step for step in line.steps() if '"breach":true' in step.body and '"clock":"total"' in step.body]
    assert fired.at == DUE + 1  # by the tick that would have released it
    check_as_clean(line, tmp_path)


def test_a_report_that_fails_is_born_later_with_what_came_after_it(line: Line, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(birth, "total_clock", Break(KeyError(SECRET)).around(birth.total_clock))
        line.report(1)
        line.close(1, NOW + 1)
        line.report(2, NOW + 2)
        assert work(line) == ["pending"] * 3
        assert runs.facts(line.engine) == {}
        assert standing_cases(line) == [subject(), subject("WY01", 2)]
    line = restarted(line)
    assert work(line) == ["done"] * 3
    check_as_clean(line, tmp_path)


def test_a_case_that_cannot_be_read_stands_until_it_is_put_right(line: Line, tmp_path: Path) -> None:
    for number in (1, 2):
        line.report(number)
    work(line)
    damage(line, 1, '{"id"', '["id"')
    line.close(1, NOW + 1)
    line.close(2, NOW + 1)
    tick(line, DUE + 1)
    assert standing_cases(line) == [subject()] and line.of(facts.ClockStopped, 2)
    damage(line, 1, '["id"', '{"id"')
    line = restarted(line)
    work(line)
    check_as_clean(line, tmp_path)


@pytest.mark.parametrize("move", ["always", "provisional", "never"])
def test_packs_that_became_active_meanwhile_count_from_their_own_instant(
    database_url: str, tmp_path: Path, move: str
) -> None:
    packs = [sample(deadlines_move=move, days_off=days, last_day=20260310) for days in ([], [20260303], [20260304])]
    with line_on(database_url, pack=packs[0]) as line:
        for number in (1, 2, 3):
            line.say(
                "report.submitted", "WY-12345", NOW, case=subject("WY01", number), category="D3-04", source="hotline",
                grid="WY01-01", definition="service_request",
            )  # fmt: skip
        work(line)
        with broken("incident.urged", chosen=lambda id_: id_ == subject()):
            line.say("incident.urged", "WY-SUPERVISOR", NOW + 1, case=subject())
            line.engine.install(packs[1], NOW + HOUR)
            line.say("comment.added", "WY01-01-MEMBER", NOW + HOUR, case=subject())
            line.engine.install(packs[2], NOW + 2 * HOUR)
            line.engine.install(packs[1], NOW + 2 * HOUR)
            line.say("comment.added", "WY01-01-MEMBER", NOW + 3 * HOUR, case=subject())
            work(line)
            tick(line, NOW + 9 * DAY)
        line = restarted(line)
        work(line)
        assert len(line.of(facts.ClockRecalculated)) == len(line.of(facts.ClockRecalculated, 2))
        check_as_clean(line, tmp_path)


def test_a_resend_of_what_waits_hears_so_and_later_what_became_of_it(line: Line, tmp_path: Path) -> None:
    line.report(1)
    work(line)

    def send(time: int) -> None:
        line.say("incident.urged", "WY-12345", time, id="u", case=subject())  # whose role may not

    with broken("comment.added"):
        line.say("comment.added", "WY01-01-MEMBER", NOW + 1, case=subject())
        send(NOW + 2)
        send(NOW + 2)
        assert work(line) == ["pending", "pending", "duplicate"]
    line = restarted(line)
    assert work(line) == ["done", "refused"]
    send(NOW + 2)
    result = line.engine.work(None)
    assert result is not None
    [answer] = result.answers
    assert (answer.outcome, answer.first) == ("duplicate", "refused") and answer.refusal is not None
    assert [letter[:3] for letter in line.letters()] == [("forbidden", subject(), "u")]
    check_as_clean(line, tmp_path)


def test_in_a_replay_of_events_cases_stand_as_well_and_it_says_so(sqlite_url: str, tmp_path: Path) -> None:
    with engine_on(sqlite_url, 4) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "VOICES", 10**6)
        with broken("comment.added", rung=True, chosen=lambda id_: hash_of(id_) % 3 == 0):
            assert replayed(engine, storm(3, 20)).standing > 3
        line = restarted(Line(engine))
        work(line)
        told, answers = clean(line, tmp_path)
        assert without_proposals(runs.facts(line.engine)) == without_proposals(told)
        assert runs.answers(line.engine) == answers


# ---- a partition halts --------------------------------------------------------------------------------------


def test_where_three_who_speak_fail_at_one_line_the_partition_halts_and_nothing_is_lost(
    line: Line, tmp_path: Path
) -> None:
    for number in range(1, 6):
        line.report(number)
    work(line)
    with broken("comment.added"):
        for number, principal in ((1, "app"), (2, "app"), (3, "hotline"), (4, "phone"), (5, "other")):
            said = line.submission("comment.added", "WY01-01-MEMBER", NOW + 1, case=subject("WY01", number))
            line.engine.append([msgspec.structs.replace(said, principal=principal)], NOW + 1)
        assert work(line) == ["pending"] * 4
        assert "defect at workflows.decide:_pull" in line.engine.rows[0].halted
        assert line.engine.backlog() == [] and line.letters() == []
        with engine_on(f"sqlite:///{tmp_path / 'halted.db'}", 1) as again, pytest.raises(PartitionHalted):
            replay_log(again, export_log(line.engine))
        line = restarted(line)
        assert work(line) == [] and line.engine.rows[0].halted  # the same release: it stands on
        assert ask(line.engine, Wanted(), OPERATOR).cases == 4
        assert work(line) == [] and line.engine.rows[0].halted
    assert ask(line.engine, Wanted(), OPERATOR).cases == 4  # an operator, without a restart
    assert sorted(work(line)) == ["done"] * 5
    assert line.engine.rows[0].halted == ""
    check_as_clean(line, tmp_path)


def test_one_who_speaks_halts_nobody_however_many_of_his_values_fail(line: Line) -> None:
    with broken("comment.added"):
        for number in range(1, 6):
            line.report(number)
            said = line.submission("comment.added", "WY01-01-MEMBER", NOW + 1, case=subject("WY01", number))
            line.engine.append([msgspec.structs.replace(said, principal="app")], NOW + 1)
        work(line)
        assert len(standing_cases(line)) == 5 and line.engine.rows[0].halted == ""


def test_code_that_is_no_case_s_halts_its_partition_before_the_record_and_the_others_go_on(
    database_url: str, tmp_path: Path
) -> None:
    with engine_on(database_url, 8) as engine:
        runs.install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(1, 25):
            line.report(number, home=f"WY{number % 12 + 1:02}")
        sick = engine.partition(subject("WY01"))
        was = partition.PartitionRun.run

        def run(self: partition.PartitionRun) -> bool:
            if self.row.partition == sick:
                raise NameError(SECRET)
            return was(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(partition.PartitionRun, "run", run)
            work(line)
        assert engine.rows[sick].halted.startswith("defect at engine.slice.run:run_slice:")
        assert engine.rows[sick].halted.endswith("(NameError)")
        assert line.letters() == [] and runs.steps(engine)
        assert all(row.position == engine.heads[p] for p, row in engine.rows.items() if p != sick)
        line = restarted(line)
        work(line)
        runs.check_whole(line.engine)
        assert (runs.facts(line.engine), runs.answers(line.engine)) == clean(line, tmp_path)


# ---- another try --------------------------------------------------------------------------------------------


def a_case_that_stands(line: Line, comments: int = 5) -> None:
    """A case of which a rung and some records wait."""
    line.report(1)
    work(line)
    with broken("comment.added", rung=True):
        for number in range(comments):
            line.say("comment.added", "WY01-01-MEMBER", NOW + number, case=subject())
        work(line)
        tick(line, DUE + 1)
        line.close(1, DUE + 2)
        work(line)


@pytest.mark.parametrize("limits", [(500, 1000), (2, 3), (1, 1)])
def test_a_try_goes_on_in_bounded_slices(database_url: str, tmp_path: Path, limits: tuple[int, int]) -> None:
    with line_on(database_url, *limits) as line:
        a_case_that_stands(line)
        line = restarted(line)
        results = []
        while (result := line.engine.work(None)) is not None:
            results.append(result)
        assert all(len(result.steps) <= limits[1] + 1 for result in results)
        assert (len(results) > 3) == (limits[1] < 10)
        check_as_clean(line, tmp_path)


def test_a_try_that_fails_half_way_keeps_what_was_right(line: Line, tmp_path: Path) -> None:
    a_case_that_stands(line)
    line = restarted(line)
    with broken(rung=True, error=TypeError(SECRET)):
        work(line)
        assert 0 < len(line.of(facts.Noted)) < 5 and standing_cases(line) == [subject()]
        with line.engine.database.read() as connection:
            row = standing.read(connection, subject())
        assert row is not None and row.tries == 1 and row.position > 2
        assert [str(m) for m in verify(line.engine.database, live=True)] == []
    line = restarted(line)
    work(line)
    check_as_clean(line, tmp_path)


def test_between_two_slices_of_a_try_another_process_may_take_over(database_url: str, tmp_path: Path) -> None:
    with line_on(database_url, 2, 3) as line:
        a_case_that_stands(line)
        while line.engine.rows[0].standing:
            owner = restarted(line)
            assert owner.engine.work(None) is not None  # one slice, and then it is killed
            line = restarted(owner)
        work(line)
        check_as_clean(line, tmp_path)


def test_a_try_that_is_killed_has_changed_nothing(line: Line, tmp_path: Path) -> None:
    a_case_that_stands(line)
    before = runs.facts(line.engine)
    line = restarted(line)
    failpoints.arm("slice.before_commit:raise")
    with pytest.raises(Interrupted):
        work(line)
    failpoints.arm("")
    assert runs.facts(line.engine) == before and standing_cases(line) == [subject()]
    work(line)  # the same process comes back to it
    check_as_clean(line, tmp_path)


def test_a_process_that_no_longer_owns_the_partition_changes_nothing_with_its_try(line: Line, tmp_path: Path) -> None:
    a_case_that_stands(line)
    zombie, owner = restarted(line), restarted(line)
    work(owner)
    with pytest.raises(StaleWriter):
        work(zombie)
    assert work(zombie) == []
    check_as_clean(owner, tmp_path)


def test_what_the_database_refuses_of_a_try_is_settled_as_ever(line: Line) -> None:
    a_case_that_stands(line, comments=2)
    line = restarted(line)
    refuse(line.engine.database, "facts", "NEW.body LIKE '%\"breach\":true%'")
    assert "done" in work(line)
    assert [fact.on for fact in line.of(facts.Quarantined)] == [True]
    assert line.of(facts.ClockStopped) and standing_cases(line) == []
    relent(line.engine.database, "facts")
    runs.check_whole(line.engine)


def test_only_a_case_that_stands_can_be_asked_for(line: Line) -> None:
    a_case_that_stands(line)
    with pytest.raises(ValueError, match="do not stand"):
        ask(line.engine, Wanted((subject("WY01", 9),)), OPERATOR)
    assert ask(line.engine, Wanted((subject(),)), OPERATOR).cases == 1


# ---- what people see ----------------------------------------------------------------------------------------


def test_senders_operators_and_monitors_hear_of_it(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        case, now = subject("WY01", 5), now_ms()
        report = event("report.submitted", HOTLINE, now, case=case, category=BARE, source="hotline", grid=LEAF, id="r")
        assert door.post(report, Prefer="wait=10").json()["outcome"] == "done"
        with broken("comment.added"):
            said = event("comment.added", MEMBER, now, case=case, id="k")
            answer = door.post(said, Prefer="wait=10")
            assert (answer.status_code, answer.json()["outcome"]) == (202, "pending")
            assert "nothing is lost" in answer.json()["detail"]
            status = door.get(answer.json()["status_url"])
            assert (status["outcome"], status["case"]) == ("pending", case) and "stands" in status["detail"]
            ready = door.get("/readyz")
            assert (ready["status"], ready["standing"]) == ("ready", 1) and "log standing" in ready["remark"]
            page = door.client.get("/metrics").text
            assert 'gridpatrol_defects_total{what="case"} 1.0' in page
            assert sum(float(v) for v in re.findall(r"gridpatrol_cases_standing\{.*\} (.*)", page)) == 1
            refused = door.client.post("/v1/operator/tries", json={"cases": [subject("WY01", 6)]})
            assert refused.status_code == 400 and "do not stand" in refused.text
        assert door.client.post("/v1/operator/tries", json={}).json() == {"cases": 1}
        wait_until(lambda: door.get(answer.json()["status_url"])["outcome"] == "done")
        assert "standing" not in door.get("/readyz")


def test_commands_list_what_stands_and_try_it_again(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        a_case_that_stands(line)
    listed = json.loads(gridpatrol("log", "standing", "--json", "--database", sqlite_url))
    [case] = listed["cases"]
    assert (case["case"], case["kind"], listed["standing"]) == (subject(), "NameError", 1)
    assert case["place"].startswith("workflows.decide:") and case["waiting"] == 6
    assert "1 cases stand." in gridpatrol("log", "standing", "--database", sqlite_url)
    gridpatrol("log", "retry", subject("WY01", 9), "--database", sqlite_url, status=2)
    with broken("comment.added", rung=True):
        assert "stand now: 1" in gridpatrol("log", "retry", "--database", sqlite_url, status=1)
    assert "stand now: 0" in gridpatrol("log", "retry", subject(), "--database", sqlite_url)
    assert "No case stands." in gridpatrol("log", "standing", "--database", sqlite_url)


# ---- any log, any defect ------------------------------------------------------------------------------------

TRIGGERS = ("comment.added", "incident.dispatched", "handling.completed", "verification.recorded", "incident.suspended")


def without_proposals(told: dict[str, list[bytes]]) -> dict[str, list[list[Fact]]]:
    """Facts of each case, less the proposals of similar cases: others see a case that stands as it stands."""
    found = dict[str, list[list[Fact]]]()
    for case, rows in told.items():
        bodies = [msgspec.json.decode(row)["body"] for row in rows]
        found[case] = [[f for f in facts.decode_facts(b) if not isinstance(f, facts.Similar)] for b in bodies]
    return found


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    count=st.sampled_from([1, 4]),
    limits=st.sampled_from([(500, 1000), (7, 3), (1, 1)]),
    breaks=st.lists(
        st.tuples(st.sets(st.sampled_from(TRIGGERS)), st.booleans(), st.integers(1, 4)), min_size=1, max_size=4
    ),
)
@example(  # a try that decides something, and stands again
    seed=0,
    count=1,
    limits=(500, 1000),
    breaks=[({"comment.added", "handling.completed", "incident.dispatched"}, False, 1), (set(), True, 1)],
)
def test_any_defects_in_any_log_leave_the_facts_that_it_should_have(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    count: int,
    limits: tuple[int, int],
    breaks: list[tuple[set[str], bool, int]],
) -> None:
    folder = tmp_path_factory.mktemp("standing")
    with engine_on(f"sqlite:///{folder / 'whole.db'}", count) as whole:
        replayed(whole, storm(seed % 50, 8))
        lines = list(export_log(whole))
        expected = (without_proposals(runs.facts(whole)), runs.answers(whole))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "VOICES", 10**6)
        patch.setattr(partitions, "VOICES", 10**6)
        url = f"sqlite:///{folder / 'broken.db'}"
        for number, (triggers, rung, every) in enumerate(breaks, 1):
            with (
                broken(*triggers, rung=rung, chosen=lambda id_, n=every: hash_of(id_) % n == 0),
                engine_on(url, count, *limits) as engine,
            ):
                replay_log(engine, lines[: 1 + len(lines) * number // len(breaks)], unchecked=True)
                assert [str(m) for m in verify(engine.database, live=True)] == []
        with engine_on(url, count, *limits) as engine:
            replay_log(engine, lines)
            assert (without_proposals(runs.facts(engine)), runs.answers(engine)) == expected
            runs.check_whole(engine)
            assert [str(m) for m in verify(engine.database, live=True)] == []


def hash_of(id_: str) -> int:
    """A number of a case that is the same in every process."""
    return int(id_[-4:], 16)
