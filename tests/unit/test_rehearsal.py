"""The rehearsal before a start tries everything once: a rule that raises an error is found before the log is touched.

Beside it a fuzz of the same rules: chains of any event in any state with odd values, late, early and out of order, and
everything that falls due between. It finds no error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect, structs

from engine import rehearsals
from engine.packs import load_pack
from engine.rehearsals import Defective
from schemas import facts
from schemas.envelope import Record, decode_data, decode_envelope, encode_record
from schemas.events import EVENT_TYPES, OF_ANY_CASE, trigger_of
from schemas.refusals import Refusal
from tests.support.builders import DAY, at, changed, event, instant, shipped, subject
from workflows import birth, decide, effects, homes, parking, routing, sla, succession
from workflows.case import Case, encode
from workflows.clocks.limits import DayMeaning, LimitError
from workflows.clocks.timescales import CalendarError
from workflows.definitions import DEFINITIONS
from workflows.permissions import forbid
from workflows.policy import model
from workflows.policy.index import Policy
from workflows.rehearsal import Rehearsed, rehearse

NOW = at("03-02 09:00")


@cache
def packs() -> tuple[Policy, ...]:
    """The shipped packs, and the sample with every option turned."""
    boston = load_pack("boston311")
    ends_of_days = tuple(structs.replace(c, day_meaning=DayMeaning.end_of_day) for c in shipped().pack.calendars)
    turned = changed(
        calendars=ends_of_days,
        options={
            "checks": "last",
            "verifier_differs": True,
            "loop_alarm": 1,
            "parked_cap": 2,
            "parked_ms": DAY,
            "deadlines_move": "always",
            "quiet_from": 1200,
            "quiet_to": 420,
            "similar_radius_m": 300,
            "similar_window_ms": 7 * DAY,
        },
    )
    return shipped(), Policy(boston, model.digest(boston)), turned


# ---- the rehearsal ------------------------------------------------------------------------------------------


@cache
def rehearsed(number: int, now: int) -> Rehearsed:
    """What one of the packs gives about an instant: several tests look at it, and each takes two seconds."""
    return rehearse(packs()[number], now)


def test_every_state_trigger_and_clock_of_every_definition_is_tried_and_no_rule_fails() -> None:
    began = time.process_time()
    done = rehearsed(0, NOW)
    assert time.process_time() - began < 10  # a start waits for it: some 2 s of CPU, whatever else runs
    for name, definition in DEFINITIONS.items():
        assert {state for of, state in done.states if of == name} == set(definition.states)
        tried = {(trigger, state) for of, trigger, state in done.triggers if of == name}
        said = {pair for pair in definition.table if definition.event_of(pair[0]) == pair[0]}
        assert said <= tried
        clocks = {clock for state in definition.states.values() for clock in state.clocks}
        limited = {row.clock for row in shipped().pack.limits}
        assert {clock for of, clock in done.clocks if of == name} >= clocks & limited


@pytest.mark.parametrize(
    ("number", "now"), [(0, 1), (0, NOW), (0, at("2031-06-01 12:00")), (1, 1), (2, at("2031-06-01 12:00"))]
)
def test_no_shipped_pack_and_no_option_makes_a_rule_fail(number: int, now: int) -> None:
    """Each pack, and the sample before, at and after the days that its calendars know."""
    assert rehearsed(number, now).triggers


RULES = (
    (sla, "start stop pause resume retarget arrange ring not_before rung_instant"),
    (birth, "place remark total_clock similar correlation_key assign"),
    (routing, "upward next_above copies checks recipients concerned"),
    (effects, "raise_to assign tell_evidence check_department unknown_code"),
    (decide, "_birth _proceed _move _release _retry _give_up _unpark _ring recalculate succeed quarantine"),
    (succession, "changes take_over tell_again"),
    (parking, "park"),
    (homes, "come_up enter bear end follow call_off turn lost quarantine"),
)
"""What a rehearsal must have called, besides every effect, and every birth of every definition."""


def test_every_effect_and_every_rule_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = set[str]()

    def heard(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
        def call(*rest: Any, **more: Any) -> Any:
            called.add(name)
            return rule(*rest, **more)

        return call

    wanted = set[str]()
    for kind, definition in DEFINITIONS.items():
        for trigger, effect in definition.effects.items():
            monkeypatch.setitem(definition.effects, trigger, heard(trigger, effect))
            wanted.add(trigger)
        for trigger, born in definition.births.items():
            begin, assign = f"{kind} begins by {trigger}", f"{kind} is assigned by {trigger}"
            made = structs.replace(born, begin=heard(begin, born.begin), assign=heard(assign, born.assign))
            monkeypatch.setitem(definition.births, trigger, made)
            wanted |= {begin, assign}
    for module, names in RULES:
        for name in names.split():
            monkeypatch.setattr(module, name, heard(f"{module.__name__}.{name}", getattr(module, name)))
            wanted.add(f"{module.__name__}.{name}")
    rehearse(shipped(), NOW)
    assert wanted - called == set()


def test_what_was_tried_in_this_process_is_not_tried_again_but_another_day_or_pack_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = list[tuple[str, int]]()
    monkeypatch.setattr("workflows.rehearsal.rehearse", lambda policy, at: heard.append((policy.hash, at)))
    monkeypatch.setattr(rehearsals, "tried", set())
    sample, other = packs()[0], packs()[1]
    for policy, at_ms in [(sample, NOW), (sample, NOW + 1), (other, NOW), (sample, NOW + DAY), (sample, NOW)]:
        rehearsals.rehearse(policy, at_ms)
    assert heard == [(sample.hash, NOW), (other.hash, NOW), (sample.hash, NOW + DAY)]


@pytest.mark.parametrize("error", [NameError, AttributeError, KeyError, ValueError])
def test_a_rule_with_a_defect_keeps_a_process_from_starting_and_the_place_is_told(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error("a secret")

    monkeypatch.setitem(DEFINITIONS["incident"].effects, "incident.escalated", broken)
    monkeypatch.setattr(rehearsals, "tried", set())
    with pytest.raises(Defective) as found:
        rehearsals.rehearse(shipped(), NOW)
    assert not rehearsals.tried  # it is tried again, and fails again
    assert "workflows.decide:_pull:" in str(found.value) and error.__name__ in str(found.value)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("name", ["bear", "end"])
def test_a_home_with_a_defect_keeps_a_process_from_starting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise NameError("a secret")

    monkeypatch.setattr(homes, name, broken)
    monkeypatch.setattr(rehearsals, "tried", set())
    with pytest.raises(Defective, match=r"workflows.homes:come_up:\d+ \(NameError\)"):
        rehearsals.rehearse(shipped(), NOW)


@pytest.mark.parametrize("trigger", ["duty.owed", "duty.void"])
def test_a_duty_with_a_defect_keeps_a_process_from_starting(monkeypatch: pytest.MonkeyPatch, trigger: str) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise NameError("a secret")

    monkeypatch.setattr(rehearsals, "tried", set())
    duty = DEFINITIONS["duty"]
    if trigger in duty.effects:
        monkeypatch.setitem(duty.effects, trigger, broken)
    else:
        monkeypatch.setitem(duty.births, trigger, structs.replace(duty.births[trigger], begin=broken))
    with pytest.raises(Defective, match="NameError"):
        rehearsals.rehearse(shipped(), NOW)


def test_a_rehearsal_is_the_same_each_time() -> None:
    assert rehearsed(0, NOW) == rehearse(shipped(), NOW)


# ---- anything ------------------------------------------------------------------------------------------------


class Odd:
    """Values that a contract allows and nobody expects, by the types of the contract."""

    def __init__(self, random: Random, policy: Policy) -> None:
        self.random = random
        pack = policy.pack
        self.codes = [
            *(g.code for g in pack.grids[:40]),
            *(d.code for d in pack.departments[:20]),
            *(c.code for c in pack.categories[:40]),
            "\u200b",
            "𠮷" * 64,
            "null",
            "-1",
            "WY01",
        ]
        self.posts = [*(p.code for p in pack.posts[:60]), "nobody"]
        self.grids = [g.code for g in pack.grids]
        self.categories = [c.code for c in pack.categories]
        self.departments = [d.code for d in pack.departments] or ["none"]

    def data(self, kind: str) -> dict[str, Any]:
        """Members of an event: the required ones, and some of the others."""
        info = inspect.type_info(EVENT_TYPES[kind])
        assert isinstance(info, inspect.StructType)
        chosen = [f for f in info.fields if f.required or self.random.random() < 0.4]
        return {f.encode_name: self.value(f.encode_name, f.type) for f in chosen}

    def value(self, name: str, kind: inspect.Type) -> Any:
        pick = self.random.choice
        match kind:
            case inspect.Metadata(type=inner):
                return self.value(name, inner)
            case inspect.UnionType(types=types):
                return self.value(name, pick(types))
            case inspect.LiteralType(values=values):
                return pick(values)
            case inspect.EnumType(cls=cls):
                return pick(list(cls)).value
            case inspect.VarTupleType(item_type=item):
                return [self.value(name, item) for _ in range(pick([0, 1, 1, 3, 16]))]
            case inspect.StructType(cls=cls, fields=fields):
                chosen = [f for f in fields if f.required or self.random.random() < 0.5]
                return {f.encode_name: self.value(f.encode_name, f.type) for f in chosen}
            case inspect.DateTimeType():
                return instant(self.instant())
            case inspect.IntType(ge=least, le=most):
                return pick([least or 0, most or 2**53, self.random.randint(least or 0, most or 99)])
            case inspect.FloatType(ge=least, le=most):
                return pick([least, most, 0.0, -0.0, 1e-300, 34.3, 108.9])
            case inspect.NoneType():
                return None
        return self.text(name)

    def instant(self) -> int:
        """Around now, or at an end of what is taken."""
        near = NOW + self.random.randint(-90 * DAY, 90 * DAY)
        return self.random.choice([near, near, near, 0, at("2199-12-31 00:00"), NOW, at("2027-10-01 00:00")])

    def text(self, name: str) -> str:
        pick = self.random.choice
        odd = self.random.random() < 0.1
        match name:
            case "sha256":
                return "0" * 64
            case "url":
                return "https://例え.example/%00?x=" + "y" * pick([0, 1900])
            case "limit":
                return pick(
                    [
                        "4工作时",
                        "0.001工作日",
                        "100000工作时",
                        "1.5工作日",
                        "9紧急工作时",
                        "30自然日",
                        "abc",
                        "０工作日",
                        "1e5工作日",
                    ]
                )
            case "clock":
                return pick(["total", "accept", "handle", "rectify", "verify", "\u0301", "x" * 20])
            case "into":
                return pick([subject("WY01", 2), subject("WY02", 3), subject("WY01", 1)])
            case "unit":
                return pick(["U-1", "-", "." * 64])
            case "category":
                return pick(self.categories if not odd else self.codes)
            case "department" | "to_department" | "lead" | "assisting":
                return pick(self.departments if not odd else self.codes)
            case "grid" | "to_grid" | "touches":
                return pick(self.grids if not odd else self.codes)
        return pick(["", "x", "\ufeff\u202e", "é" * 80])


def likely(case: Case, trigger: str, policy: Policy, random: Random, odd: Odd) -> str:
    """A post that may say it, more often than not."""
    if random.random() < 0.2:
        return random.choice(odd.posts)
    near = [p for p in policy.pack.posts if not case.path or p.grid in case.path or p.department]
    may = [p.code for p in near if forbid(p, trigger, case, policy, policy) is None]
    return random.choice(may or odd.posts)


def story(seed: int, length: int) -> Iterator[Any]:
    """Say odd things to a case and let fire what is due; the results. Errors of a rule come out."""
    random = Random(seed)
    policy, register = random.choice(packs()[:1] * 2 + packs()), None
    other = random.choice(packs()) if random.random() < 0.2 else policy
    odd, now = Odd(random, policy), NOW
    case, kinds = Case(id=subject("WY01", 1)), [n for n in EVENT_TYPES if trigger_of(n) not in OF_ANY_CASE]
    for number in range(length):
        register = other if number > length // 2 else policy
        rules = policy
        now += random.choice([0, 1, 60_000, 3_600_000, DAY, 40 * DAY])
        try:
            while case.next_at is not None and case.next_at < now:
                result = decide.fire(case, now, rules, register)
                assert result.case.next_at is None or result.case.next_at >= case.next_at or result.case.seq > case.seq
                yield result, register
                case = result.case
            if random.random() < 0.05 and case.opened and case.closed is None:
                result = decide.recalculate(case, now, rules, register)
                yield result, register
                case = result.case
        except (CalendarError, LimitError):
            result = decide.quarantine(case, now, rules, register)
            yield result, register
            return
        kind = random.choice(kinds)
        if random.random() < 0.7:  # something that the state takes, or a report
            takes = DEFINITIONS[case.definition].triggers(case.state) if case.definition else []
            takes = takes or ["report.submitted"]
            kind = f"gridpatrol.{random.choice(takes).replace('.checked', '.recorded')}.v1"
        occurred = random.choice([now, now, now - 600_000, odd.instant()])
        said = event(
            trigger_of(kind),
            likely(case, trigger_of(kind), policy, random, odd),
            occurred,
            case=case.id,
            id=f"e{number}",
            **odd.data(kind),
        )
        envelope = decode_envelope(msgspec.json.encode(said))
        data = envelope if isinstance(envelope, Refusal) else decode_data(envelope)
        if isinstance(envelope, Refusal) or isinstance(data, Refusal):
            continue
        record = Record(event=envelope, digest="d", digests=("2:d",) if random.random() < 0.8 else ())
        before = encode(case)
        result = decide.take(
            case, decide.IncomingEvent(record, data, now, encode_record(record)), rules, register, (case,)
        )
        assert encode(case) == before
        yield result, register
        case = result.case


@given(seed=st.integers(0, 2**32))
def test_whatever_is_said_to_a_case_in_whatever_state_no_rule_fails(seed: int) -> None:
    for result, register in story(seed, 40):
        for step in result.steps:
            facts.encode_facts(step.facts)
            facts.encode_cause(step.cause)
            assert register.clock_of_days.local_day(step.instant)
        encode(result.case)


def test_the_fuzz_reaches_every_state_and_fires_every_clock() -> None:
    """Within 200 stories; which of them do depends on the sample pack, so no number of them is asked for."""
    states, clocks = set(), set()
    for seed in range(200):
        for result, _ in story(seed, 40):
            states.add((result.case.definition, result.case.state))
            clocks |= {f.clock for step in result.steps for f in step.facts if isinstance(f, facts.ClockRung)}
        if len(states) >= 18 and clocks >= {"total", "accept", "handle", "rectify"}:
            return
    raise AssertionError(f"reached only {sorted(states)} and {sorted(clocks)}")
