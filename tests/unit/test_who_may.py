"""The table of who may say what is true: the rules of a case take what stands in it, and refuse what does not.

Every cell of docs/who-may.md is said to a real case, in a state that takes it. What stands there is never refused for
who says it; all else is refused for that.
"""

from __future__ import annotations

import copy
from functools import cache

import msgspec
import pytest

from gridpatrol.render import readme
from gridpatrol.render.permissions import WAYS, Situation, leaf_under, situations, triggers_of
from schemas.events import EVENTS
from schemas.kinds.approval import Approval, Line
from schemas.kinds.assessment import COMPUTED, SAMPLE, Assessment
from schemas.kinds.draw import Draw
from schemas.kinds.duty import Duty
from schemas.kinds.part import Part
from schemas.kinds.petition import Petition
from schemas.kinds.signal import Began, Signal
from schemas.kinds.supervision import Supervision
from schemas.kinds.target import Signed, Target
from schemas.kinds.task import Task
from schemas.kinds.visit import Visit
from schemas.refusals import Reason
from tests.support.builders import DAY, arrived, at, changed, event, instant, shipped, subject
from workflows.case import AWAITED, Case, Ended
from workflows.decide import take
from workflows.definitions import DEFINITIONS
from workflows.machine import Definition
from workflows.policy.model import Post
from workflows.policy.registers import Body
from workflows.responsibility import list_hash

KINDS = [kind for kind in DEFINITIONS.values() if kind.listed != "never"]
NOW = at("03-02 09:00")


@cache
def printed() -> dict[tuple[str, str, str, str], tuple[frozenset[str], tuple[str, ...]]]:
    """The table as it is printed: (kind, role, level, way) -> triggers, and what is read."""
    text = readme.block((readme.DOCS / "who-may.md").read_text(encoding="utf-8"), "who_may")
    found, kind = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            kind = line.split()[-1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[1].isdigit():
            role, level, way, said, *read = cells
            found[kind, role, level, way] = frozenset(said.split(", ")) - {"—"}, tuple(read)
    return found


def lines_of(kind: Definition) -> list[tuple[Situation, frozenset[str]]]:
    """Each situation of a kind, with the triggers that stand in its line."""
    return [
        (each, printed()[kind.name, each.post.role, str(each.level), WAYS[each.stands]][0])
        for each in situations(shipped(), kind)
    ]


def in_a_state(kind: Definition, case: Case, trigger: str, post: Post) -> Case:
    """The case in a state that takes a trigger."""
    found = copy.copy(case)
    names = {trigger, *(older for older in kind.heard if kind.event_of(older) == trigger)}
    states = sorted(kind.states, key=kind.concealed.__contains__)  # what all may say, and not only insiders
    found.state = next(state for state in states if any((name, state) in kind.table for name in names))
    if found.state == AWAITED:
        return Case(id=case.id)
    found.category, found.group, found.source = "D3-04", "dust", "hotline"
    found.judged = NOW
    if kind.states[found.state].terminal:
        found.closed, found.ended = NOW, Ended("", None, False, ((NOW, NOW),))
    if kind.posts_hold:
        found.own = Duty("PATROL", 20260302, NOW + DAY)
    if kind.name == "draw":
        found.own = Draw(share=5, since=0, before=1, of="incident", seed="00" * 32, known_at=NOW)
    if kind.name == "visit":
        found.own, found.about = Visit(draw=subject("WY01", 5)), subject("WY01", 1)
    if kind.name == "signal":
        found.own = Signal(device="DEMO-DUST-1", rule="yard-pm10", place="DEMO-YARD", since=1)
    if kind.of_actions:  # in the hands of an office at which, or above which, the post stands
        found.category, found.own = (
            "letter",
            Supervision(unit=found.owner.grid, office=leaf_under(shipped(), post.grid)[-1], answer=False),
        )
    if kind.name == "task":
        office = leaf_under(shipped(), post.grid)[-1]
        found.own = Task(code="c", goal="g", quantity="1", counted_in="项", due=20260601, office=office)
    if kind.name == "part":
        found.own = Part(lead=subject("WY01", 1), place="WY01-01", lead_grid="WY01")
    if kind.name == "target":
        found.own = Target(
            code="good-days",
            year=2026,
            method="mean",
            comparison="<=",
            bound="",
            unit="%",
            per="month",
            ends=NOW + DAY,
        )
    if kind.of_approvals:
        found.category = "eia-form"
        found.own = Approval(grid=found.path[-1], lines=(Line(purpose="fee", amount_fen=1, day=20260302),))
        if trigger == "approval.referral_answered":
            found.own = Approval(grid=found.path[-1], referrals=("police_desk",))
        if trigger == "approval.resumed":
            found.own = Approval(grid=found.path[-1], pauses=("papers",))
    if kind.name == "petition":
        found.own = Petition(channel="phone", reception=found.path[-1], place=found.path[-1], unit=found.path[-1])
    if kind.name == "assessment":
        found.own = Assessment(card="TOWN-QUARTER", period="2026-Q1", as_of=NOW, hash=SAMPLE)
    return found


def sources_of(role: str) -> list[str]:
    """The sources from which a role may report, one of them at least."""
    rows = [row for row in shipped().pack.roles if row.trigger == "report.submitted" and row.role == role]
    return [source for row in rows for source in row.sources] or ["patrol"]


def refusals(kind: Definition, situation: Situation, trigger: str) -> list[tuple[str, str]]:
    """Reason and field of each refusal of a trigger, said by the post of a situation in every way in which its role may
    claim it; taken: none."""
    case = in_a_state(kind, situation.case, trigger, situation.post)
    data = dict(EVENTS[trigger].example)
    variants = [data]
    if trigger in kind.births:
        grid = situation.case.path[-1]
        variants = [
            {"category": "D3-04", "source": source, "grid": grid, "definition": kind.name}
            for source in sources_of(situation.post.role)
        ]
        if kind.name == "draw":
            past = {"since": instant(NOW - 2 * DAY), "before": instant(NOW - DAY)}
            variants = [{"share": 5, "grid": grid, **past}]
        if kind.of_approvals:
            variants, case.id = [{"matter": "eia-form", "grid": grid}], subject("XA", 1)
        if kind.of_actions:
            variants = [{"action": "letter", "grid": grid}]
        if trigger == COMPUTED:
            variants = [data | {"grid": grid}]
        if kind.name == "signal":
            variants = [{"device": "DEMO-DUST-1", "rule": "yard-pm10", "since": instant(NOW - DAY)}]
            case.id = kind.births[trigger].subject(msgspec.convert(variants[0], Began), shipped())
        if kind.name == "task":
            variants = [{**data, "grid": grid, "items": []}]
        if kind.name == "petition":
            variants = [{"category": "D3-04", "channel": "phone", "grid": grid}]
        if kind.name == "target":
            variants = [{"target": "good-days", "year": 2026, "grid": "WY"}]
            case.id = kind.births[trigger].subject(Signed(target="good-days", year=2026, grid="WY"), shipped())
    register = shipped()
    if kind.needs == "responsibilities":  # of a body for which the post signs
        body = Body("BODY", "某单位", "mass", situation.case.path[-1], posts=(situation.post.code,))
        register = changed(register, bodies=(body,))
        variants = [{"body": body.code, "list": list_hash(register, body)}]
    found = list[tuple[str, str]]()
    for number, variant in enumerate(variants):
        said = event(trigger, situation.post.code, NOW, case=case.id, id=f"{trigger}{number}", **variant)
        result = take(case, arrived(said, NOW), register, register)
        refusal = result.outcomes[0].refusal
        if refusal is not None:
            found.append((refusal.reason, refusal.field))
        else:
            return []
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_rules_take_what_stands_in_the_table_and_refuse_the_rest(kind: Definition) -> None:
    forbidden, wrong, taken = (Reason.FORBIDDEN.value, "actor"), list[tuple[str, ...]](), 0
    triggers = triggers_of(kind)
    for situation, said in lines_of(kind):
        assert said <= set(triggers)
        for trigger in triggers:
            if trigger in (COMPUTED, "draw.hit"):  # who begins a case has reported it; the door takes a hit from nobody
                continue
            found = refusals(kind, situation, trigger)
            by_table = bool(found) and all((str(reason), field) == forbidden for reason, field in found)
            taken += not found
            if by_table is (trigger in said):
                wrong.append((situation.post.role, str(situation.level), situation.stands, trigger, str(found)))
    assert not wrong, "\n".join(map(str, wrong[:20])) + f"\n{len(wrong)}"
    assert taken > (50 if kind.listed == "always" or kind.of_actions else 5)


def test_every_line_is_of_another_situation() -> None:
    for kind in KINDS:
        named = [(each.post.role, each.level, each.stands) for each in situations(shipped(), kind)]
        assert len(named) == len(set(named))
    roles = {post.role for post in shipped().posts.values()}
    assert {role for _, role, _, _ in printed()} == roles, "every role of the pack has its lines"
