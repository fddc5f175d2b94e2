"""The task (任务): given downward, claimed, reported done, checked, sent back, settled; its clocks and figures.

In: what posts of the sample pack say, in March 2026. Out: states, hands, clocks, what is kept and what is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.kinds.task import Task, TaskProgressed, TaskReported
from schemas.refusals import Reason
from tests.support.builders import CITY, DAY, DISTRICT, HOUR, LEAF_CHIEF, STREET, Story, at
from tests.unit.test_supervision import counts_of
from workflows.case import Clock, Owner, decode, encode
from workflows.definitions import held_by
from workflows.definitions.task import RATIOS, SUMS, TASK
from workflows.figures import derived, with_sums

OFFICE, EPB, OTHER_STREET = "WY-OFFICE", "WY-EPB-H", "WY02-CHIEF"
ITEMS = ["人员", "场所", "设备", "车辆", "执法设备"]
END = at("03-20 23:59") + 59_999


class Given(Story):
    """A task and what is said to it."""

    def given(self, by: str = OFFICE, **data: Any) -> Given:
        said = {"grid": "WY01"} if "department" not in data and "grid" not in data else {}
        said |= {"code": "ready", "goal": "五到位", "quantity": "5", "counted_in": "项", "due": "2026-03-20"}
        self.done("task.assigned", by, **{**said, **data})
        return self

    @property
    def own(self) -> Task:
        assert isinstance(self.case.own, Task)
        return self.case.own

    def another_round(self, due: str, when: int) -> Given:
        """Reported done and sent back, until a day."""
        self.done("task.reported", STREET, when)
        self.done("task.checked", OFFICE, outcome="returned", due=due)
        return self

    def clock(self, name: str) -> Clock:
        """A clock that runs."""
        found = self.case.clock(name)
        assert found is not None, f"{name} does not run"
        return found


def counted(*stories: Story) -> Counter[str]:
    """measure -> value, of all that was counted."""
    found = Counter[str]()
    for story in stories:
        for (_, measure, _), value in counts_of(story).items():
            found[measure] += value
    return found


# ---- from the giving to the settling ----------------------------------------------------------------------


@pytest.mark.mechanism("M23", "M38", "M130")
def test_a_task_goes_down_to_its_owner_and_back_to_who_gave_it():
    task = Given().given(items=ITEMS, assisting=["WY-EPB"])
    assert (task.case.state, task.case.category, task.case.path) == ("handed_down", "ready", ("XA", "WY", "WY01"))
    assert task.case.owner == Owner("WY01", 3) and held_by(task.case).grid == "WY01"
    assert task.case.assisting == ("WY-EPB",)
    assert (task.clock("claim").limit, task.clock("complete").due) == ("3工作日", END)
    task.done("task.claimed", STREET)
    assert task.case.clock("claim") is None and task.clock("complete").due == END
    task.done("task.progressed", STREET, done="3", items=ITEMS[:3])
    assert (task.own.done, task.own.done_items, task.own.progress) == ("3", tuple(ITEMS[:3]), 1)
    task.done("task.reported", STREET)
    assert (task.case.state, task.case.owner, task.own.done) == ("reported", Owner("WY", 2), "5")
    assert task.clock("acceptance").limit == "10工作日"
    task.done("task.checked", OFFICE, outcome="passed")
    task.done("task.ended", OFFICE)
    assert (task.case.state, task.case.closed is not None) == ("settled", True)
    stopped = [(fact.clock, fact.result) for fact in task.history(facts.ClockStopped)]
    assert sorted(stopped) == sorted(
        [("claim", "on_time"), ("complete", "on_time"), ("acceptance", "on_time"), ("total", "without_deadline")]
    )


@pytest.mark.mechanism("M38", "M96")
def test_a_department_is_an_owner_in_its_own_home():
    task = Given(home="XA").given(CITY, department="WY-EPB")
    assert task.case.owner == Owner("WY", 2, "WY-EPB")
    task.refused(Reason.FORBIDDEN, "task.claimed", STREET)
    task.done("task.claimed", EPB)
    task.done("task.progressed", EPB, done="0.5")
    task.done("task.reported", EPB)
    assert task.case.owner == Owner("XA", 1)


def test_a_department_of_the_home_above_is_refused_with_the_right_home():
    refusal = Given().refused(
        Reason.MISROUTED,
        "task.assigned",
        CITY,
        department="WY-EPB",
        code="c",
        goal="g",
        quantity="1",
        counted_in="项",
        due="2026-03-20",
    )
    assert "mint XA.<UUIDv7>" in refusal.detail


@pytest.mark.mechanism("M107")
@pytest.mark.parametrize(
    ("by", "why", "data", "field"),
    [
        (STREET, Reason.FORBIDDEN, {}, "data.grid"),  # to itself
        (OTHER_STREET, Reason.FORBIDDEN, {}, "actor"),  # to a neighbour
        (LEAF_CHIEF, Reason.FORBIDDEN, {}, "actor"),  # upwards
        (OFFICE, Reason.UNKNOWN_CODE, {"lead": "nobody"}, "data.lead"),
        (OFFICE, Reason.UNKNOWN_CODE, {"assisting": ["WY-EPB", "nobody"]}, "data.assisting"),
        (OFFICE, Reason.UNKNOWN_CODE, {"department": "nobody"}, "data.department"),
        (OFFICE, Reason.INVALID, {"department": "WY-EPB", "grid": "WY01"}, "data.grid"),
        (OFFICE, Reason.INVALID, {"due": "2026-02-30"}, "data.due"),
        (OFFICE, Reason.INVALID, {"due": "2026-03-01"}, "data.due"),  # its day is over
    ],
)
def test_what_cannot_be_a_task_is_refused_and_the_field_is_named(
    by: str, why: Reason, data: dict[str, Any], field: str
):
    said = {"code": "c", "goal": "g", "quantity": "1", "counted_in": "项", "due": "2026-03-20"} | data
    if "department" not in data:
        said["grid"] = "WY01"
    assert Given().refused(why, "task.assigned", by, **said).field == field


# ---- its deadline -----------------------------------------------------------------------------------------


def test_the_last_millisecond_of_its_day_is_in_time_and_the_next_one_is_late():
    in_time = Given().given()
    in_time.done("task.reported", STREET, END)
    assert not in_time.one(TaskReported).late
    late = Given(number=2).given()
    late.until(END + 1)
    assert {told.kind for told in late.history(facts.AlertRaised)} >= {"due"}
    late.done("task.reported", STREET, END + 1)
    assert late.one(TaskReported).late
    found = counted(in_time, late)
    shown, rates = derived(with_sums(found), SUMS, RATIOS)
    assert {name: shown[name] for name in ("given", "done", "done_in_time", "late", "settled")} == {
        "given": 2,
        "done": 2,
        "done_in_time": 1,
        "late": 1,
        "settled": 0,
    }
    assert (rates["done_in_time_rate"].numerator, rates["done_in_time_rate"].denominator) == (1, 2)


def test_what_is_not_enough_goes_back_until_its_day_or_another_one():
    task = Given().given().another_round("2026-03-20", at("03-10 09:00"))
    assert (task.case.state, task.case.owner, task.own.sent_back) == ("sent_back", Owner("WY01", 3), 1)
    assert task.clock("complete").due == END
    task.done("task.reported", STREET, END)
    refusal = task.refused(Reason.INVALID, "task.checked", OFFICE, END + HOUR, outcome="returned")
    assert refusal.field == "data.due"
    task.done("task.checked", OFFICE, outcome="returned", due="2026-03-25")
    assert task.own.due == 20260325 and task.clock("complete").due == END + 5 * DAY
    task.done("task.reported", STREET)
    assert not task.one(TaskReported).late
    assert counted(task)["breach:complete"] == 0


def test_a_day_is_missed_once_however_often_the_task_comes_back():
    task = Given().given()
    task.until(END + 1)
    task.done("task.reported", STREET, END + HOUR)
    task.done("task.checked", OFFICE, outcome="returned", due="2026-03-25")
    task.done("task.reported", STREET)
    task.done("task.checked", OFFICE, outcome="passed")
    task.done("task.ended", OFFICE)
    found = counted(task)
    assert (found["breach:complete"], found["tasks_returned"], found["tasks_reported_late"]) == (1, 1, 1)


def test_the_owner_moves_neither_its_deadline_nor_the_task():
    task = Given().given()
    task.refused(Reason.FORBIDDEN, "deadline.ordered", STREET, clock="complete", limit="5工作日")
    task.refused(Reason.FORBIDDEN, "task.withdrawn", STREET, reason="other")
    task.done("task.reported", STREET)
    task.refused(Reason.FORBIDDEN, "task.checked", STREET, outcome="passed")
    task.done("task.withdrawn", CITY, reason="settled")
    assert task.case.state == "withdrawn"


# ---- progress ---------------------------------------------------------------------------------------------


def test_what_was_so_last_counts_whichever_came_last():
    task = Given().given(items=ITEMS)
    now = at("03-05 10:00")
    task.done("task.progressed", STREET, now, done="4", items=ITEMS[:2])
    task.done("task.progressed", STREET, now + HOUR, occurred=now - HOUR, done="1.5", items=ITEMS[4:])
    assert (task.own.done, task.own.done_items, task.own.progress) == ("4", tuple(ITEMS[:2]), 2)
    task.done("task.progressed", STREET, now + 2 * HOUR, done="3")  # a word that takes something back
    assert (task.own.done, task.own.done_items) == ("3", tuple(ITEMS[:2]))
    assert [fact.done for fact in task.history(TaskProgressed)] == ["4", "1.5", "3"]


@pytest.mark.mechanism("M41")
def test_progress_is_said_by_the_owner_of_items_that_the_task_has():
    task = Given().given(items=ITEMS)
    assert task.refused(Reason.INVALID, "task.progressed", STREET, done="1", items=["别的"]).field == "data.items"
    assert task.refused(Reason.FORBIDDEN, "task.progressed", OTHER_STREET, done="1").field == "actor"
    task.done("task.reported", STREET, done="4")
    assert task.one(TaskReported).short
    assert task.refused(Reason.IMPOSSIBLE, "task.progressed", STREET, done="5").field == "type"  # the office has it


def test_one_that_comes_before_the_task_waits_for_it():
    task = Given()
    task.parked("task.progressed", STREET, done="1")
    task.given()
    assert task.own.done == "1"


# ---- random lives -----------------------------------------------------------------------------------------

SAID: list[tuple[str, str, dict[str, Any]]] = [
    ("task.claimed", STREET, {}),
    ("task.progressed", STREET, {"done": "2"}),
    ("task.reported", STREET, {}),
    ("task.reported", STREET, {"done": "1"}),
    ("task.checked", OFFICE, {"outcome": "passed"}),
    ("task.checked", OFFICE, {"outcome": "returned"}),
    ("task.checked", OFFICE, {"outcome": "returned", "due": "2026-04-20"}),
    ("task.ended", OFFICE, {}),
    ("task.withdrawn", OFFICE, {"reason": "other"}),
    ("case.urged", DISTRICT, {}),
    ("deadline.ordered", OFFICE, {"clock": "complete", "limit": "5工作日"}),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SAID), st.integers(1, 9 * DAY)), max_size=9))
def test_in_every_life_who_must_act_has_the_clock_and_what_is_over_runs_none(life: list[tuple[Any, int]]):
    task = Given().given()
    for (kind, actor, data), later in life:
        task.say(kind, actor, task.now + later, **data)
        assert decode(encode(task.case)) == task.case
        state = TASK.states[task.case.state]
        if state.terminal:
            assert task.case.clocks == () and task.case.closed is not None
            continue
        with_owner = task.case.state in ("handed_down", "taken_on", "sent_back")
        assert task.case.owner.grid == ("WY01" if with_owner else "WY")
        assert (task.case.clock("complete") is not None) is with_owner
        assert (task.case.clock("claim") is not None) is (task.case.state == "handed_down")
        assert (task.case.clock("acceptance") is not None) is (task.case.state == "reported")
        assert {c.level for c in task.case.clocks if c.name != "total"} <= {task.case.owner.level}
    found = counted(task)
    assert found["tasks"] == 1 and found["tasks_reported"] >= found["tasks_reported_late"]
