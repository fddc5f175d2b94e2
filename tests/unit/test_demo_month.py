"""The demo's month against the rules themselves: what its author expects is what the engine's rules say.

Months end at awkward instants. Every event is decided as the log would decide it, each case's due instants fired in
between.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.packs import folder_of
from gridpatrol.demo.incident_script import MAIN_LINE
from gridpatrol.demo.month import write_month
from schemas.digests import as_sent
from schemas.envelope import Record, decode_data, decode_envelope, encode_record, to_ms
from schemas.events import EVENT_TYPES, canonical, trigger_of
from schemas.exemptions import EXEMPTIONS
from schemas.joint import JOINT
from schemas.kinds import KINDS
from schemas.kinds.incident import INCIDENT
from schemas.kinds.service_request import SERVICE_REQUEST
from schemas.refusals import Refusal
from schemas.sealing import split
from tests.support.builders import weiyang
from workflows.case import Case
from workflows.decide import IncomingEvent, fire, take
from workflows.definitions import DEFINITIONS
from workflows.policy.index import Policy
from workflows.turn import Others

ENDS = {
    "a working morning": "2026-10-16T10:00:00+08:00",
    "the middle of the night": "2026-07-08T03:17:00+08:00",
    "the last day of a week of holidays": "2026-10-07T21:30:00+08:00",
    "a Sunday": "2026-06-14T12:00:00+08:00",
}
MINUTE = 60_000


class Decided(NamedTuple):
    """A month as the rules took it."""

    events: list[dict[str, Any]]
    cases: dict[str, Case]
    answers: dict[tuple[str, str], str]  # done, parked, duplicate, or a reason


class Known(Others):
    """The cases of the month, each after everything that was due before an instant."""

    def __init__(self, cases: dict[str, Case], until: int, answers: dict[tuple[str, str], str]) -> None:
        self.cases, self.until, self.answers = cases, until, answers

    def find(self, id_: str) -> Case | None:
        """A case, if anything has been said to it."""
        if id_ in self.cases:
            self.cases[id_] = _fired(self.cases[id_], self.until, self.answers)
        return self.cases.get(id_)

    def rules(self, case: Case, register: Policy) -> Policy:
        """All have the same pack."""
        return register


def month(folder: Path, end: str, seed: int = 1, incidents: int = 200) -> list[dict[str, Any]]:
    path = folder / "month.jsonl"
    count = write_month(path, folder_of("weiyang"), datetime.fromisoformat(end), seed, incidents, rounds=False)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert count == len(lines)
    return [json.loads(line) for line in lines]


def arrival(event: dict[str, Any]) -> int:
    return to_ms(datetime.fromisoformat(event.get("recordedtime", event["time"])))


def decided(events: list[dict[str, Any]], end: str) -> Decided:
    """Every event decided at its arrival."""
    cases: dict[str, Case] = {}
    answers: dict[tuple[str, str], str] = {}
    digests: dict[tuple[str, str], str] = {}
    for event in events:
        key = event["source"], event["id"]
        if digests.setdefault(key, as_sent(event)) != as_sent(event):
            answers[key] = "conflict"
        elif key not in answers:
            answers[key] = _outcome(cases, event, answers)
    for subject, case in cases.items():
        cases[subject] = _fired(case, to_ms(datetime.fromisoformat(end)), answers)
    return Decided(events, cases, answers)


def _outcome(cases: dict[str, Case], event: dict[str, Any], answers: dict[tuple[str, str], str]) -> str:
    kept, _ = split(event)
    envelope = decode_envelope(json.dumps(kept).encode())
    if isinstance(envelope, Refusal):
        return str(envelope.reason)
    data = decode_data(envelope)
    if isinstance(data, Refusal):
        return str(data.reason)
    record = Record(event=envelope, digest=as_sent(event), digests=("2:of this release",))
    others = Known(cases, arrival(event), answers)
    case = others.find(envelope.subject) or Case(id=envelope.subject)
    incoming = IncomingEvent(record, data, arrival(event), encode_record(record))
    result = take(case, incoming, weiyang(), weiyang(), others=others)
    cases |= {step.case.id: step.case for step in result.steps}
    for settled in result.outcomes:
        refused = f"{settled.refusal.reason}: {settled.refusal.detail}" if settled.refusal else ""
        answers[settled.source, settled.id] = refused or settled.outcome
    return answers[envelope.source, envelope.id]


def _fired(case: Case, until: int, answers: dict[tuple[str, str], str]) -> Case:
    """The case after everything that was due before an instant."""
    while case.next_at is not None and case.next_at < until:
        result = fire(case, until, weiyang(), weiyang())
        case = result.case
        answers.update({(s.source, s.id): str(s.refusal.reason) for s in result.outcomes if s.refusal})
    return case


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Decided:
    """As many incidents as the demo has."""
    end = ENDS["a working morning"]
    return decided(month(tmp_path_factory.mktemp("month"), end, incidents=600), end)


@pytest.fixture(scope="module", params=list(ENDS))
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Decided, int]:
    """A month and its end (ms)."""
    end = ENDS[request.param]
    if request.param == "a working morning":
        found: Decided = request.getfixturevalue("whole")
    else:
        found = decided(month(tmp_path_factory.mktemp("month"), end), end)
    return found, to_ms(datetime.fromisoformat(end))


def test_what_people_say_is_taken_and_what_a_faulty_app_sends_is_not(standing: tuple[Decided, int]) -> None:
    answers = standing[0].answers
    refused = {key: answer for key, answer in answers.items() if answer not in ("done", "parked")}
    assert {key: answer for key, answer in refused.items() if key[0] != "/demo/faulty"} == {}
    faulty = {key for key in answers if key[0] == "/demo/faulty"}
    assert faulty and faulty == set(refused)
    reasons = {answer.partition(":")[0] for answer in refused.values()}
    assert reasons == {"unknown_code", "forbidden", "impossible", "misrouted", "invalid"}


def test_at_the_end_an_incident_stands_in_every_state_of_the_main_line(standing: tuple[Decided, int]) -> None:
    states = Counter(case.state for case in standing[0].cases.values())
    assert all(states[state] >= 2 for state in (*MAIN_LINE, "suspended", "returned")), states
    assert states["closed"] > 50


def test_at_the_end_some_are_overdue_and_most_are_not(standing: tuple[Decided, int]) -> None:
    cases, end = standing[0].cases, standing[1]
    running = [case for case in cases.values() if case.due_at is not None]
    late = [case for case in running if (case.due_at or 0) < end]
    assert 5 <= len(late) < 0.7 * len(running)


def test_events_stand_in_order_of_arrival_and_none_comes_after_the_end(standing: tuple[Decided, int]) -> None:
    arrivals = [arrival(event) for event in standing[0].events]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] <= standing[1]
    assert arrivals[0] >= standing[1] - 32 * 24 * 60 * MINUTE


def test_some_come_late_some_twice_and_some_before_what_they_follow(standing: tuple[Decided, int]) -> None:
    events = standing[0].events
    late = [e for e in events if arrival(e) - to_ms(datetime.fromisoformat(e["time"])) > 20 * MINUTE]
    assert late
    assert all(arrival(e) - to_ms(datetime.fromisoformat(e["time"])) < 72 * 60 * MINUTE for e in late)
    keys = Counter((e["source"], e["id"]) for e in events)
    assert max(keys.values()) == 2
    assert _overtaken(events) > 0


def _overtaken(events: list[dict[str, Any]]) -> int:
    """How often an event arrived although an earlier one of the same incident was still under way."""
    latest: dict[str, datetime] = {}
    count, seen = 0, set()
    for event in events:
        key, time = (event["source"], event["id"]), datetime.fromisoformat(event["time"])
        if key not in seen:
            count += time < latest.get(event["subject"], time)
            latest[event["subject"]] = max(time, latest.get(event["subject"], time))
        seen.add(key)
    return count


def test_the_same_seed_and_end_give_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    end = ENDS["a working morning"]
    first = month(tmp_path, end, incidents=40)
    assert month(tmp_path, end, incidents=40) == first
    assert month(tmp_path, end, seed=2, incidents=40) != first


def test_a_whole_month_says_everything_that_can_be_said(whole: Decided) -> None:
    # What time bears, what is done about it, and what offices give each other to do is not said of a month's problems.
    others = [kind for kind in KINDS if DEFINITIONS[kind.name].listed != "always"]
    borne = {trigger for kind in others for trigger in kind.events} - INCIDENT.events.keys()
    elsewhere = {trigger for trigger in SERVICE_REQUEST.events if trigger not in INCIDENT.events}  # it has incidents
    # Exemptions are asked for when a month is over.
    names = {canonical(trigger_of(name)) for name in EVENT_TYPES} - borne - elsewhere - EXEMPTIONS.keys() - JOINT.keys()
    assert {canonical(trigger_of(e["type"])) for e in whole.events} == names
    assert 50 <= sum(case.due_at is not None for case in whole.cases.values()) <= 170
    states = {case.state for case in whole.cases.values()}
    assert {"rejected", "withdrawn", "merged", "force_closed"} <= states
    assert any(case.cycle >= 2 for case in whole.cases.values())
    assert len({case.path[-1] for case in whole.cases.values() if case.path}) > 100
    assert any(case.by.endswith("-SPONSOR") for case in whole.cases.values()), "leaders find something"
    unnamed = sum(case.category.endswith("-99") for case in whole.cases.values())
    assert 10 < unnamed < 0.12 * len(whole.cases)


def test_an_end_without_a_zone_is_no_instant(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zone"):
        write_month(tmp_path / "month.jsonl", folder_of("weiyang"), datetime(2026, 10, 16), 1)
