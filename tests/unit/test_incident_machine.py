"""The tables of incident and service request: validated by `transitions`, asked through a dictionary.

Both must agree for every state, trigger and answer of the guards.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from transitions import MachineError

from schemas import facts
from schemas.events import EVENT_TYPES, OF_ANY_CASE, canonical, trigger_of
from schemas.exemptions import EXEMPTIONS
from schemas.kinds import KINDS
from schemas.kinds.incident import Accepted
from schemas.members import EventData, EventType, Fact, Kind
from workflows import effects
from workflows.case import AWAITED, TOTAL, Case
from workflows.define import check_rows, define
from workflows.definitions import DEFINITIONS, agree
from workflows.definitions.incident import INCIDENT
from workflows.figures import Measure
from workflows.machine import (
    Alias,
    Bears,
    Birth,
    Definition,
    NamedClock,
    Speaker,
    State,
    Transition,
    mermaid,
)

TRIGGERS = sorted(
    {canonical(trigger_of(name)) for name in EVENT_TYPES} | {"verification.checked", "verification.lapsed"}
)
SPOKEN_TO = [name for name, definition in DEFINITIONS.items() if definition.table]
NOBODY = Speaker("", "", 0, "", 4)
DOOR = Kind("door", {"go": EventType(EventData, "去", {}), "stay": EventType(EventData, "留", {})})


class OfAnother(Fact, frozen=True, tag="of.another"):
    """A fact that another kind tells."""


BEGINS = Birth(lambda *_: None, lambda *_: None)
"""A birth that tells nothing."""


class Model:
    """Anything with a state that answers the guards as it was told to."""

    def __init__(self, state: str, answers: dict[str, bool]) -> None:
        self.state = state
        for name, answer in answers.items():
            setattr(self, name, lambda *_, answer=answer: answer)


def by_machine(definition: Definition, state: str, trigger: str, answers: dict[str, bool]) -> str | None:
    """Where `transitions` itself leads; None if it refuses."""
    event = definition.machine.events.get(trigger)
    if event is None:
        return None
    model = Model(state, answers)
    try:
        moved = event.trigger(model)
    except MachineError:
        return None
    return model.state if moved else None


def by_table(definition: Definition, state: str, trigger: str, answers: dict[str, bool]) -> str | None:
    """Where the compiled table leads, with the same answers."""
    named = {guard: name for name, guard in definition.guards.items()}
    for dest, guards in definition.table.get((trigger, state), ()):
        if all(answers[named[guard]] is wanted for guard, wanted in guards):
            return state if dest == "=" else dest
    return None


@st.composite
def questions(draw: Any) -> tuple[Definition, str, str, dict[str, bool]]:
    definition = draw(st.sampled_from(list(DEFINITIONS.values())))
    answers = {name: draw(st.booleans()) for name in definition.guards}
    return (
        definition,
        draw(st.sampled_from(list(definition.states))),
        draw(st.sampled_from(TRIGGERS)),
        answers,
    )


@given(questions())
def test_the_compiled_table_says_what_the_machine_says(question):
    assert by_table(*question) == by_machine(*question)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_they_agree_on_every_state_and_trigger_with_all_answers_alike(name):
    definition = DEFINITIONS[name]
    for state, trigger, answer in product(definition.states, TRIGGERS, (True, False)):
        answers = dict.fromkeys(definition.guards, answer)
        assert by_table(definition, state, trigger, answers) == by_machine(definition, state, trigger, answers)


def test_the_table_is_asked_with_the_guards_themselves():
    """`dest` calls the guards on the case and on what is said; without a row it is None."""
    calls = []

    def ready(case: Case, said: Any, at: Speaker) -> bool:
        calls.append((case.id, said, at))
        return case.cycle > 0

    states = (State(AWAITED, "待到", 1), State("open", "开", 2), State("shut", "关", 3, terminal=True))
    rows = (
        Transition("go", (AWAITED,), "open", ("ready",)),
        Transition("go", (AWAITED,), "shut", ("not ready",)),
        Transition("stay", ("open",), "="),
    )
    definition = define(DOOR, "门", states, rows, (ready,), births={"go": BEGINS}, effects={})
    case = Case(id="a")
    assert definition.destination("go", case, Accepted(), NOBODY) == "shut"
    case.cycle = 1
    assert definition.destination("go", case, Accepted(), NOBODY) == "open"
    assert definition.destination("stay", case, Accepted(), NOBODY) is None
    assert calls[0] == ("a", Accepted(), NOBODY)


@pytest.mark.parametrize(
    ("row", "at_fault"),
    [
        (Transition("go", (AWAITED,), "open", ("redy",)), "redy"),
        (Transition("go", (AWAITED,), "opne"), "opne"),
        (Transition("go", ("nowhere",), "open"), "nowhere"),
    ],
)
def test_a_row_that_names_what_is_not_there_is_refused(row, at_fault):
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    with pytest.raises(ValueError, match=at_fault):
        define(DOOR, "门", states, (row,), (), births={"go": BEGINS}, effects={})


@pytest.mark.parametrize(
    ("more", "at_fault"),
    [
        ({"births": {}}, "'go' has a row from 'awaited' or a birth, and not both"),
        ({"births": {"go": BEGINS, "come": BEGINS}}, "'come' has a row"),
        ({"effects": {"knock": effects.take_up}}, "the effect of 'knock', which no row takes"),
        ({"aliases": {"knock": Alias("go", lambda *_: True)}}, "the alias of 'knock'"),
        ({"escalates": "knock"}, "the side line of 'knock'"),
        ({"resumes": "knock"}, "the side line of 'knock'"),
    ],
)
def test_what_a_definition_says_of_a_trigger_that_no_row_takes_is_refused(more: dict[str, Any], at_fault: str) -> None:
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    rows = (Transition("go", (AWAITED,), "open"), Transition("stay", ("open",), "="))
    rest: dict[str, Any] = {"births": {"go": BEGINS}, "effects": {}}
    assert define(DOOR, "门", states, rows, (), **rest)
    with pytest.raises(ValueError, match=at_fault):
        define(DOOR, "门", states, rows, (), **rest | more)


class Knocked(Fact, frozen=True, tag="door.knocked"):
    """Somebody is there."""

    times: int = 1
    who: str = ""


HOUSE = Kind(
    "house",
    {"go": EventType(EventData, "去", {}), "stay": EventType(EventData, "留", {})},
    facts=(Knocked,),
)
WELL: dict[str, Any] = {
    "zh": "屋",
    "states": (State(AWAITED, "待到", 1), State("open", "开", 2, ("wait",)), State("shut", "关", 3, terminal=True)),
    "rows": (Transition("go", (AWAITED,), "open"), Transition("stay", ("open",), "shut")),
    "guards": (),
    "births": {"go": BEGINS},
    "effects": {},
    "clocks": (NamedClock("wait", "等", "wait"),),
    "measures": (Measure("knocked", Knocked, per="who", zh="敲门", en="knocks"),),
    "sentences": {Knocked: "敲门 knocked {times} times"},
    "fulfils": {"stay": ("wait", TOTAL)},
}
"""A definition with nothing wrong."""


@pytest.mark.parametrize(
    ("change", "at_fault"),
    [
        ({"clocks": ()}, "'wait' is not one of the clocks"),
        ({"fulfils": {"stay": ("hurry",)}}, "'hurry' is not one of the clocks"),
        (
            {"clocks": (NamedClock("wait", "等", "wait"), NamedClock("idle", "闲", "idle"))},
            "no state runs the clock 'idle'",
        ),
        ({"clocks": (NamedClock("wait", "等", "wait"), NamedClock("total", "全", "all"))}, "'total' is not one of"),
        ({"clocks": (NamedClock("wait", "等", ""),)}, "the clock 'wait' has no words"),
        ({"zh": ""}, "it has no words"),
        ({"states": (*WELL["states"], State("ajar", ""))}, "the state 'ajar' has no words"),
        ({"sentences": {}}, "the fact Knocked has no words"),
        ({"sentences": {Knocked: "x", facts.Urged: "y"}}, "Urged, which is no fact of its own"),
        ({"sentences": {Knocked: "敲门 {whom}"}}, "the sentence of Knocked names 'whom'"),
        ({"measures": (Measure("x", OfAnother),)}, "measure 'x' counts OfAnother, which is no fact of it"),
        ({"measures": (Measure("x", Knocked, zh="敲"),)}, "the measure 'x' has no words"),
        ({"measures": (Measure("x", Knocked, per="whom"),)}, "measure 'x' asks Knocked for 'whom'"),
        ({"measures": (Measure("x", Knocked, per="times"),)}, "measure 'x' asks Knocked for 'times'"),
        ({"measures": (Measure("closed", Knocked),)}, "'closed' is the measure of an ending"),
        ({"measures": (Measure("x", Knocked), Measure("x", Knocked, per="who"))}, "measure 'x' is declared twice"),
    ],
)
def test_what_a_definition_leaves_open_is_refused_by_name(change: dict[str, Any], at_fault: str) -> None:
    assert define(HOUSE, **WELL).endings == {"stay": "closed"}
    with pytest.raises(ValueError, match=re.escape(at_fault)):
        define(HOUSE, **WELL | change)


def test_an_event_without_a_chinese_title_is_refused() -> None:
    silent = structs.replace(HOUSE, events=HOUSE.events | {"stay": EventType(EventData, "", {})})
    with pytest.raises(ValueError, match="the event 'stay' has no words"):
        define(silent, **WELL)


@pytest.mark.parametrize(
    ("other", "at_fault"),
    [
        ({"clocks": (NamedClock("wait", "候", "wait"),)}, "'wait'"),
        ({"measures": (Measure("knocked", Knocked, zh="敲", en="knocks"),)}, "'knocked'"),
        ({"fulfils": {"stay": ("wait",)}}, "'stay'"),
    ],
)
def test_two_kinds_do_not_mean_different_things_by_a_name_that_they_share(other: dict[str, Any], at_fault: str) -> None:
    house, other_house = define(HOUSE, **WELL), define(structs.replace(HOUSE, name="barn"), **WELL | other)
    agree([house, define(structs.replace(HOUSE, name="barn"), **WELL)])
    with pytest.raises(ValueError, match=f"barn: {at_fault} means something else"):
        agree([house, other_house])


def test_rows_and_events_of_a_kind_are_the_same_triggers() -> None:
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    born, stays = Transition("go", (AWAITED,), "open"), Transition("stay", ("open",), "=")
    with pytest.raises(ValueError, match="the event of 'stay', which no row takes"):
        define(DOOR, "门", states, (born,), (), births={"go": BEGINS}, effects={})
    with pytest.raises(ValueError, match="row 'knock' is no event of this kind"):
        knocks = Transition("knock", ("open",), "=")
        define(DOOR, "门", states, (born, stays, knocks), (), births={"go": BEGINS}, effects={})


def test_what_only_cases_say_has_a_row_too_and_is_said_by_nobody_else() -> None:
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    rows = (Transition("go", (AWAITED,), "open"), Transition("stay", ("open",), "="))
    with pytest.raises(ValueError, match="the send of 'case\\.pushed', which no row takes"):
        pushed = structs.replace(DOOR, sends={"case.pushed": EventData})
        define(pushed, "门", states, rows, (), births={"go": BEGINS}, effects={})
    with pytest.raises(ValueError, match="'case\\.urged' is said by people as well as by cases"):
        urged = structs.replace(DOOR, sends={"case.urged": EventData})
        define(urged, "门", states, rows, (), births={"go": BEGINS}, effects={})


def test_what_time_bears_has_rows_for_its_birth_and_its_end() -> None:
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    rows = (Transition("go", (AWAITED,), "open"), Transition("stay", ("open",), "="))
    for born, ended in (("knock", "stay"), ("go", "knock")):
        bears = Bears(lambda *_: (), lambda *_: True, lambda *_: EventData(), EventData, born, ended)
        with pytest.raises(ValueError, match="the bearing of 'knock', which no row takes"):
            define(DOOR, "门", states, rows, (), births={"go": BEGINS}, effects={}, bears=bears)
    with pytest.raises(ValueError, match="the side line of 'knock', which no row takes"):
        define(DOOR, "门", states, rows, (), births={"go": BEGINS}, effects={}, wakes="knock")


def test_a_kind_that_reads_the_case_of_its_home_has_something_to_read_it_with() -> None:
    home = structs.replace(DOOR, name="yard", events={})
    states = (State(AWAITED, "待到", 1), State("open", "开", 2))
    assert not define(home, "院", states, (), (), births={}, effects={}).reads_home
    with pytest.raises(ValueError, match="yard: it is to read the case of its home, and no effect and no birth"):
        define(home, "院", states, (), (), births={}, effects={}, reads_home=True)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_no_state_can_be_jumped_to(name):
    definition = DEFINITIONS[name]
    assert set(definition.machine.events) <= {*TRIGGERS, *definition.unspoken}
    assert not [event for event in definition.machine.events if event.startswith("to_")]


TAKEN_UP = {
    ("service_request", "closed"): {"case.reopened"},
    ("assessment", "announced"): {"assessment.computed"},
    ("petition", "settled"): {"case.reopened", "petition.rewarded"},
}
"""By what a case that is over is taken up again."""


@pytest.mark.parametrize("name", SPOKEN_TO)
def test_every_state_can_be_reached_and_every_open_one_left(name):
    definition = DEFINITIONS[name]
    edges = {(s, dest) for (_, s), targets in definition.table.items() for dest, _ in targets if dest != "="}
    reached, frontier = {AWAITED}, {AWAITED}
    while frontier:
        frontier = {dest for s, dest in edges if s in frontier} - reached
        reached |= frontier
    assert reached == set(definition.states)
    for state in definition.states.values():
        leads_on = any(source == state.name and not definition.states[dest].terminal for source, dest in edges)
        # A duty that was missed may be excused: over it stays. What is closed is taken up again where the kind says so.
        assert (state.terminal and leads_on) is ((name, state.name) in TAKEN_UP)
        assert state.terminal or not definition.ends or any(source == state.name for source, _ in edges)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_what_has_ended_moves_no_more_but_still_takes_evidence_and_comments(name):
    definition = DEFINITIONS[name]
    for state in definition.states.values():
        if state.terminal:
            still = {"duty.recorded", "duty.excused"} if name == "duty" else {*EXEMPTIONS}
            still |= {"measurement.recorded"} if name == "target" else set()
            if name == "approval":  # money and what came of referrals come after the decision
                still |= {"approval.line_entered", "approval.line_reversed", "approval.referral_answered"}
            still |= {"petition.code_given"} if name == "petition" else set()
            still |= {"signal.worsened", "signal.ended"} if name == "signal" else set()  # a device goes on to tell
            still |= TAKEN_UP.get((name, state.name), set())
            still |= {"petition.released"} if name == "petition" else set()
            if (name, state.name) == ("supervision", "cleared"):  # whether it stands is asked when its ground has gone
                still = {"supervision.contested", "supervision.upheld", "supervision.revoked"}
            assert set(definition.triggers(state.name)) <= {"case.commented", "case.evidence_added", *still}
        if state.name == "merged":  # all else that is said of it belongs to the case that goes on
            assert definition.triggers(state.name) == sorted(EXEMPTIONS)
        elif state.terminal and name in ("incident", "service_request"):
            assert definition.triggers(state.name) == sorted({"case.commented", "case.evidence_added", *still})


def test_every_event_type_has_a_row_in_some_definition():
    rows = {trigger for definition in DEFINITIONS.values() for trigger, _ in definition.table}
    assert {canonical(trigger_of(name)) for name in EVENT_TYPES} <= rows
    assert set(OF_ANY_CASE) <= {trigger for trigger, _ in INCIDENT.table}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_verified_and_closed_are_two_acts(name):
    """`直至问题最终解决，方可办理结案手续` (M36): solving and closing are not one step."""
    definition = DEFINITIONS[name]
    into = {
        (trigger, source) for (trigger, source), ts in definition.table.items() for dest, _ in ts if dest == "closed"
    }
    assert {trigger for trigger, _ in into} <= {"incident.closed"}
    if name == "incident":
        assert into == {("incident.closed", "verified")}


def test_after_a_return_nobody_goes_straight_on_to_handled():
    """退回: the receiver decides anew who handles; it cannot hand on to the next stage."""
    assert ("handling.completed", "returned") not in INCIDENT.table
    assert ("incident.accepted", "returned") not in INCIDENT.table
    assert {
        "incident.dispatched",
        "incident.escalated",
        "incident.reported_up",
        "incident.reassigned",
    } <= set(INCIDENT.triggers("returned"))


# ---- what may come early ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "trigger", "early"),
    [
        ("discovered", "incident.accepted", True),
        ("dissuading", "handling.completed", True),
        ("reported", "verification.recorded", True),
        ("feedback", "verification.recorded", True),  # the last check came before the ones above it
        ("verifying", "incident.closed", True),
        ("suspended", "handling.completed", True),
        ("returned", "incident.accepted", True),
        ("reported", "dissuasion.recorded", False),  # the case has left that behind
        ("verifying", "incident.accepted", False),  # only another cycle takes it
        ("verified", "handling.completed", False),
        ("reported", "incident.resumed", False),  # nothing on the main line leads into a suspension
        ("closed", "verification.recorded", False),
        ("withdrawn", "incident.accepted", False),
    ],
)
def test_an_event_is_early_if_a_later_state_of_this_cycle_takes_it(state, trigger, early):
    assert (trigger, state) not in INCIDENT.table
    assert (trigger in INCIDENT.ahead[state]) is early


# ---- the picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_picture_shows_every_state_and_every_move(name):
    definition = DEFINITIONS[name]
    lines = [line.strip() for line in mermaid(definition).splitlines()]
    assert lines[:2] == ["stateDiagram-v2", "[*] --> awaited"]
    for state in definition.states.values():
        assert f"{state.name} : {state.name} {state.zh}" in lines
        assert (f"{state.name} --> [*]" in lines) is state.terminal
    for (trigger, source), targets in definition.table.items():
        for dest, _ in targets:
            if dest not in ("=", source):
                starts = (f"{source} --> {dest} : ", f"open --> {dest} : ")
                drawn = [x.partition(" : ")[2].split(" / ") for x in lines if x.startswith(starts)]
                assert any(trigger in names for names in drawn)


def moves_of(definition: Definition) -> list[tuple[str, str, str]]:
    """Each trigger with a state that takes it and the one to which it leads."""
    return [(name, source, dest) for (name, source), found in definition.table.items() for dest, _ in found]


@pytest.mark.parametrize("name", SPOKEN_TO)
def test_only_what_every_open_state_takes_leaves_the_frame(name):
    definition = DEFINITIONS[name]
    inside = [s.name for s in definition.states.values() if s.name != "awaited" and not s.terminal]
    framed = [line.strip() for line in mermaid(definition).splitlines() if line.strip().startswith("open --> ")]
    moves = [(name, source) for name, source, dest in moves_of(definition) if dest not in ("=", source)]
    moving = [{name for name, source in moves if source == state} for state in inside]
    assert framed or not moving or not set.intersection(*moving)  # what every state takes, if there is such a thing
    for line in framed:
        for trigger in line.partition(" : ")[2].split(" / "):
            assert all((trigger, state) in definition.table for state in inside)


def test_no_kind_takes_up_a_case_that_is_over_since_it_would_be_closed_twice():
    kind, rows = (
        next(k for k in KINDS if k.name == "incident"),
        (*INCIDENT.rows, Transition("incident.accepted", ("closed",), "accepted")),
    )
    with pytest.raises(ValueError, match=r"incident\.accepted takes up a case that is over"):
        check_rows(kind, INCIDENT.states, rows, INCIDENT.guards, set(INCIDENT.births), set(INCIDENT.aliases))
    merged = (*INCIDENT.rows, Transition("incident.closed", ("closed",), "merged"))  # another word for an ending
    check_rows(kind, INCIDENT.states, merged, INCIDENT.guards, set(INCIDENT.births), set(INCIDENT.aliases))
