"""A kind of case of the tests' own, which only other cases bear: an errand, owed by the home of a street.

An urged case says `errand.owed` to the errands in its own `reference` numbers; what an errand takes is to be done, or
to be told on to another one. Patched into the definitions for as long as a test runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas import facts, kinds
from schemas.members import BirthData, EventData, Kind
from schemas.refusals import Reason, Refusal
from workflows import birth, effects
from workflows.case import AWAITED, TOTAL
from workflows.decision import Decision
from workflows.define import define
from workflows.definitions import DEFINITIONS
from workflows.machine import Definition, Speaker, State, Transition


class Owed(BirthData, frozen=True, kw_only=True):
    """Bears an errand."""


class Passed(EventData, frozen=True, kw_only=True):
    """Tells an errand that its word is to be passed to these others."""

    to: tuple[str, ...] = ()
    wrong: bool = False


ERRAND = Kind(name="errand", events={}, sends={"errand.owed": Owed, "errand.passed": Passed})


def pass_on(d: Decision, data: Passed, speaker: Speaker) -> Refusal | None:
    """Tell that the word has come, and pass it on."""
    if data.wrong:
        return Refusal(Reason.INVALID, "data.wrong", "not like this")
    d.tell(facts.Noted(what="passed"))
    if data.to:
        d.send(data.to[0], "errand.passed", Passed(to=data.to[1:]))
    return None


def errand() -> Definition:
    """The definition."""
    states = (State(AWAITED, "待到", 1), State("owed", "待办", 2), State("done", "已办", 3, terminal=True))
    rows = (
        Transition("errand.owed", (AWAITED,), "owed"),
        Transition("errand.passed", ("owed",), "="),
        Transition("case.evidence_added", ("owed",), "done"),
        Transition("case.commented", ("owed",), "="),
    )
    return define(
        ERRAND,
        "差事",
        states,
        rows,
        (),
        births={"errand.owed": birth.plain("errand")},
        effects={"errand.passed": pass_on, "case.commented": effects.note("comment")},
        fulfils={"case.evidence_added": (TOTAL,)},
    )


@contextmanager
def errands(says: Any = None) -> Iterator[None]:
    """With such a kind. `says(decision)` is what a case does besides where it is urged."""

    def urge(d: Decision, data: Any, speaker: Speaker) -> Refusal | None:
        if says is not None:
            says(d)
        return effects.urge(d, data, speaker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFINITIONS, "errand", errand())
        for trigger, data in ERRAND.sends.items():
            patch.setitem(kinds.SENDS, trigger, data)
        for each in ("incident", "service_request"):
            patch.setitem(DEFINITIONS[each].effects, "case.urged", urge)
        yield
