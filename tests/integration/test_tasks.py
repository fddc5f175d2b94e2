"""What waits for a post, on each database: by deadline, page by page, with what may be said, and to whom it is shown.

Enters: events of the sample pack, decided by an engine. Leaves: pages of tasks, and what became of what they allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_events

from consumers.verify import verify
from engine.clock import now_ms
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.slice.as_rows import case_row, shared_rows
from engine.store import slices, tasks
from engine.store.tasks import FIRST
from engine.views.questions import BadQuestion
from engine.views.tasks import TaskPage, TaskQuestion, task_page
from schemas.derived_ids import derived_subject
from schemas.samples import PHOTO
from tests.integration.test_migrations import to
from tests.support.builders import (
    BARE,
    DAY,
    DISTRICT,
    HOTLINE,
    HOUR,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    METRO,
    STREET,
    Story,
    event,
    shipped,
    subject,
)
from tests.support.serving import prepared, served, tell
from tests.support.settings_files import read_at_once
from workflows.definitions import comes_up

CENTRE, SPONSOR, DEPARTMENT = "WY-DISPATCH", "WY01-SPONSOR", "WY-URBAN-H"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database, with the sample pack."""
    with prepared(database_url) as opened:
        yield opened


def ask(engine: Engine, post: str, now: int = 0, limit: int = 50, cursor: str = "") -> TaskPage:
    """A page of what waits for a post."""
    with engine.database.read() as connection:
        question = TaskQuestion(post=post, limit=limit, cursor=cursor)
        return task_page(connection, Policies(), question, now or now_ms())


def waiting(engine: Engine, post: str, now: int = 0) -> list[tuple[int, str, bool]]:
    """Numbers of cases, what is to be done, and whether it is overdue."""
    return [(int(t.id[-12:], 16), t.task.code, t.overdue) for t in ask(engine, post, now).tasks]


class Teller:
    """Says things to an engine, a minute apart."""

    def __init__(self, engine: Engine, now: int) -> None:
        self.engine, self.now, self.count = engine, now, 0

    def done(self, kind: str, actor: str, number: int = 1, home: str = "WY01", **data: Any) -> None:
        self.now, self.count = self.now + 60_000, self.count + 1
        said = event(kind, actor, self.now, case=subject(home, number), id=f"e{self.count}", **data)
        assert tell(self.engine, said, self.now) == "done"

    def reported(self, number: int = 1, category: str = BARE, grid: str = LEAF) -> None:
        home = grid.partition("-")[0]
        self.done("report.submitted", HOTLINE, number, home, category=category, source="hotline", grid=grid)


def test_a_case_waits_for_whoever_must_act_and_for_nobody_else(engine: Engine) -> None:
    """Along the whole way, from the finder to the end; posts that only look on have no task."""
    teller = Teller(engine, now_ms() - 2 * HOUR)
    everybody = (MEMBER, LEAF_CHIEF, STREET, DISTRICT, CENTRE, SPONSOR, DEPARTMENT, "WY02-CHIEF")

    def whose() -> dict[str, str]:
        found = {post: [t.task.code for t in ask(engine, post, teller.now).tasks] for post in everybody}
        return {post: codes[0] for post, codes in found.items() if codes}

    teller.done("report.submitted", MEMBER, category="D3-01", source="patrol", grid=LEAF)
    assert whose() == {MEMBER: "dissuade", LEAF_CHIEF: "dissuade"}
    teller.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    assert whose() == {MEMBER: "report", LEAF_CHIEF: "report"}
    teller.done("incident.reported_up", MEMBER)
    assert whose() == {STREET: "accept"}
    teller.done("incident.escalated", STREET, reason="coordination")
    assert whose() == {DISTRICT: "accept", CENTRE: "accept"}  # the centre may dispatch it
    teller.done("incident.dispatched", CENTRE, lead="WY-URBAN")
    assert whose() == {DEPARTMENT: "handle"}
    teller.done("handling.completed", DEPARTMENT)
    assert whose() == {STREET: "verify"}
    teller.done("verification.recorded", STREET, outcome="solved", evidence=[PHOTO])
    assert whose() == {MEMBER: "verify", LEAF_CHIEF: "verify"}
    teller.done("verification.recorded", MEMBER, outcome="solved", evidence=[PHOTO])
    assert whose() == {MEMBER: "close", LEAF_CHIEF: "close"}
    teller.done("incident.closed", MEMBER)
    assert whose() == {}


def test_a_check_whose_turn_has_passed_is_owed_until_closing_with_its_own_deadline(engine: Engine) -> None:
    teller = Teller(engine, now_ms() - 20 * DAY)
    teller.reported(category=METRO)
    teller.done("incident.accepted", DISTRICT)
    teller.done("handling.completed", DISTRICT)
    assert waiting(engine, STREET, teller.now) == [(1, "verify", False)]
    teller.now += 4 * DAY
    teller.reported(2)  # time goes on
    assert waiting(engine, STREET, teller.now) == [(1, "verify", True), (2, "accept", False)]
    owed, _ = ask(engine, STREET, teller.now).tasks
    assert owed.owed and owed.clock is not None and (owed.clock.name, owed.clock.level) == ("verify", 3)
    assert owed.clock.remaining is not None and owed.clock.remaining.ms < 0
    (own,) = ask(engine, MEMBER, teller.now).tasks
    assert not own.owed and own.clock is not None and own.clock.level == 4 and own.due_at != owed.due_at
    assert "verification.recorded" in {each.trigger for each in owed.allowed if each.works}
    teller.done("verification.recorded", MEMBER, outcome="solved", evidence=[PHOTO])
    assert [t.task.code for t in ask(engine, MEMBER, teller.now).tasks] == ["close"]
    assert [t.owed for t in ask(engine, STREET, teller.now).tasks] == [True, False]
    assert verify(engine.database, live=True) == []
    to(engine.database, "0024")  # a database of an earlier release is filled in as if it had always been of this one
    engine.database.upgrade()
    assert verify(engine.database, live=True) == []
    assert [t.owed for t in ask(engine, STREET, teller.now).tasks] == [True, False]
    teller.done("verification.recorded", STREET, outcome="solved", evidence=[PHOTO])
    assert [t.task.code for t in ask(engine, STREET, teller.now).tasks] == ["accept"]
    teller.done("incident.closed", MEMBER)
    with engine.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM shared_work").scalar_one() == 0


def test_tasks_come_by_deadline_and_pages_put_together_are_all_of_them(engine: Engine) -> None:
    teller = Teller(engine, now_ms() - DAY)
    for number, category in enumerate((BARE, "D3-08", "D3-01", BARE, "D3-11"), 1):
        teller.reported(number, category)
    teller.done("incident.suspended", STREET, 4, reason="season")
    whole = ask(engine, STREET).tasks
    assert len(whole) == 5 and whole[-1].task.code in ("suspended", "accept")
    dues = [task.due_at for task in whole if task.due_at is not None]
    assert dues == sorted(dues)
    for limit in (1, 2, 4):
        found, cursor = list[str](), ""
        while True:
            page = ask(engine, STREET, limit=limit, cursor=cursor)
            found += [task.id for task in page.tasks]
            if page.next is None:
                break
            cursor = page.next
        assert found == [task.id for task in whole]


def test_a_page_looks_at_no_more_cases_than_it_may_and_goes_on_where_it_stopped(engine: Engine) -> None:
    """A post of the street that only looks on pages through the work of others, and finds nothing."""
    teller = Teller(engine, now_ms() - DAY)
    for number in range(1, 13):
        teller.reported(number)
    cursor, turns = str(ask(engine, SPONSOR, limit=1).next), 1
    while cursor != "None":
        page = ask(engine, SPONSOR, limit=1, cursor=cursor)
        assert page.tasks == []
        cursor, turns = str(page.next), turns + 1
    assert turns == 2  # ten of the twelve, then the rest


def test_a_duty_waits_for_its_post_alone_with_what_is_left_of_it(engine: Engine) -> None:
    pack, days = shipped(), shipped().clock_of_days
    now = now_ms() - 3 * DAY
    engine.install(pack.pack, now - 2 * DAY)
    engine.drain()
    tell(engine, event("report.submitted", HOTLINE, now, category=BARE, source="hotline", grid=LEAF), now)
    day = days.local_day(now)
    patrol = derived_subject("WY01", "duty", "PATROL", MEMBER, day, days.day_start(day))
    found = {task.id: task for task in ask(engine, MEMBER, now).tasks if task.definition == "duty"}
    task = found[patrol]
    assert task.task.zh == "履职" and task.duty is not None and task.due_at is not None
    assert (task.duty.duty.code, task.duty.quota, task.duty.left) == ("PATROL", 1, 1)
    assert [each.trigger for each in task.allowed if each.works] == ["duty.recorded"]
    assert [task for task in ask(engine, LEAF_CHIEF, now).tasks if task.definition == "duty"] == []
    assert tell(engine, event("duty.recorded", MEMBER, now, case=patrol, id="p"), now + 1) == "done"
    assert patrol not in {task.id for task in ask(engine, MEMBER, now).tasks}


def test_nobody_asks_for_a_post_that_there_is_not(engine: Engine) -> None:
    wrong: dict[str, Any]
    for wrong in ({"post": "nobody"}, {"post": STREET, "limit": 0}, {"post": STREET, "cursor": "x"}):
        with pytest.raises(BadQuestion):
            ask(engine, **wrong)


def test_each_part_of_a_page_goes_along_an_index(engine: Engine) -> None:
    stories = [Story(number=n).reported() for n in range(1, 4)]
    with engine.database.begin() as connection:
        slices.write_cases(connection, [case_row(s.case, 0, comes_up(s.case)) for s in stories])
        slices.write_shared_work(connection, {s.case.id: shared_rows(s.case) for s in stories})
    asked = list[tuple[str, Any]]()
    with engine.database.read() as connection:

        def note(_: Any, cursor: Any, statement: str, values: Any, *rest: Any) -> None:
            asked.append((statement, values))

        sql_events.listen(connection, "before_cursor_execute", note)
        rows = tasks.read(connection, ("WY01", STREET), "WY-URBAN", ("WY01",), FIRST, 10)
        sql_events.remove(connection, "before_cursor_execute", note)
        assert [row.key.id for row in rows] == [s.case.id for s in stories]
        word = "EXPLAIN QUERY PLAN" if engine.database.dialect == "sqlite" else "EXPLAIN"
        if word == "EXPLAIN":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        for statement, values in asked:
            plan = str(connection.exec_driver_sql(f"{word} {statement}", values).all())
            assert any(name in plan for name in ("cases_held", "shared_work_of")), plan
            assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


# ---- who asks -----------------------------------------------------------------------------------------------

TOKENS = {name: new_token() for name in ("phone", "reader", "other")}
FILE = f"""
[principal.phone]
actors = ["{STREET}"]
tokens = ["{digest_of(TOKENS["phone"])}"]
[principal.reader]
reads = true
tokens = ["{digest_of(TOKENS["reader"])}"]
[principal.other]
actors = ["WY02-*"]
tokens = ["{digest_of(TOKENS["other"])}"]
"""


def test_a_post_s_work_is_told_to_who_may_speak_for_it_and_to_readers_and_what_is_allowed_is_taken(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_at_once(monkeypatch)
    file = tmp_path / "principals.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    with prepared(sqlite_url, principals=str(file)) as engine:
        now = now_ms()
        for number in (1, 2):
            said = event(
                "report.submitted", HOTLINE if number == 1 else STREET, now - HOUR, case=subject("WY01", number),
                id=f"r{number}", category=BARE, source="hotline" if number == 1 else "inspection", grid=LEAF,
            )  # fmt: skip
            assert tell(engine, said, now - HOUR) == "done"
        with served(engine) as door:

            def get(path: str, name: str, **query: Any) -> Any:
                header = {"Authorization": f"Bearer {TOKENS[name]}"}
                return door.client.get(path, params=query, headers=header)

            for path, asks in (("/v1/tasks", "post"), ("/v1/incidents", "reporter")):
                assert get(path, "phone", **{asks: STREET}).status_code == 200
                assert get(path, "reader", **{asks: STREET}).status_code == 200
                refused = get(path, "other", **{asks: STREET})
                assert refused.status_code == 403 and refused.json()["right"] == "reads", refused.text
            assert get("/v1/incidents", "phone").status_code == 403  # nothing but what it reported
            assert get("/v1/tasks", "phone").status_code == 400
            mine = get("/v1/incidents", "phone", reporter=STREET).json()["incidents"]
            assert [case["id"] for case in mine] == [subject("WY01", 2)]
            tasks_ = {task["id"]: task for task in get("/v1/tasks", "phone", post=STREET).json()["tasks"]}
            task = tasks_[subject("WY01", 1)]
            assert task["task"]["code"] == "accept" and task["category"]["code"] == BARE
            accept = next(each for each in task["allowed"] if each["trigger"] == "incident.accepted")
            assert accept == {
                "trigger": "incident.accepted",
                "type": "gridpatrol.incident.accepted.v1",
                "zh": accept["zh"],
                "works": True,
            }
            said = event("incident.accepted", STREET, now_ms(), case=task["id"], id="a")
            header = {"Authorization": f"Bearer {TOKENS['phone']}", "Prefer": "wait=20"}
            assert door.post(said, **header).json()["outcome"] == "done"
            csv = door.client.get(
                "/v1/tasks", params={"post": STREET}, headers={**header, "Accept": "text/csv"}
            )  # a spreadsheet for an office
            assert csv.status_code == 200 and "task_code" in csv.text.splitlines()[0]
