"""Whatever somebody sends, and wherever in an event it stands, no refusal quotes it.

A marker takes the place of each member of each type of event, in text and in other shapes, and of the name of a member.
What is refused is refused by field, rule and remedy, and its letter shows no more than the contract knows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import admission
from engine.principals import Principal, check
from engine.store.dead_letters import dead_letter
from schemas import binary, sealing
from schemas.envelope import MEMBERS, Envelope, decode_data, decode_envelope, is_known_type
from schemas.events import EVENT_TYPES
from schemas.examples import DATA
from schemas.facts import Unit
from schemas.refusals import Reason, Refusal
from tests.support.builders import (
    HOTLINE,
    MEMBER,
    STREET,
    Story,
    arrived,
    at,
    event,
    subject,
)
from tests.unit.test_duty import Round
from workflows.case import Exemption, Missed
from workflows.decide import take
from workflows.definitions import DEFINITIONS

MARKER = "somebody-13800000000"
BUILD = "WY-BUILD"
NINE = at("03-02 09:00")
KEYS = ("source", "id")
"""The event's own name in its sender's books: it is told to whoever asks for that event, and stands in facts."""
ODD = (
    MARKER,
    [MARKER],
    {MARKER: MARKER},
    {"crs": MARKER, "lon": MARKER},
    [{"url": MARKER}],
    MARKER * 14_000,
    f"{MARKER}\x00",
    f"{MARKER}\ud800",
    13_800_000_000 << 40,
    f"https://{MARKER}@host/",
    f"2026-03-02T09:00:00+08:{MARKER}",
)
"""A marker as text and in every other shape; with what no database stores, and as an address or an instant."""


def places(value: Any) -> Iterator[list[Any]]:
    """The way to each member and item of a JSON value."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield [key]
        yield from ([key, *rest] for rest in places(value[key]))


def put(said: dict[str, Any], place: list[Any], value: Any) -> dict[str, Any]:
    """The event with another value at a place."""
    changed = copy.deepcopy(said)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


def events_with_markers(kind: str) -> Iterator[dict[str, Any]]:
    """An event of a kind with the marker in each place of it, and beside each member that is known."""
    said = event(kind, MEMBER, NINE, **DATA[kind]) | {"dataschema": "https://a.example/", "tracestate": "a=b"}
    for place in places(said):
        for odd in ODD if place not in ([name] for name in KEYS) else ():
            yield put(said, place, odd)
        if isinstance(place[-1], str):
            yield put(said, [*place[:-1], MARKER], f"{MARKER}\x00")
            yield put(said, [*place[:-1], f"{MARKER}\ud800"], 1)
    for name in EVENT_TYPES[said["type"]].__struct_fields__:
        yield from (put(said, ["data", name], odd) for odd in ODD)


def check_refusal(refusal: Refusal) -> None:
    """A refusal names a field of the contract, a rule and what to do, and quotes nothing."""
    assert MARKER not in f"{refusal.field} {refusal.detail}"
    assert "13800000000" not in refusal.detail
    names = refusal.field.replace("[", ".").replace("]", "").split(".") if refusal.field else []
    assert all(name in MEMBERS or name.isdigit() or name == binary.BASE64 for name in names), refusal
    assert refusal.detail and len(refusal.detail) < 500


@pytest.mark.parametrize("kind", DATA)
def test_an_event_that_breaks_the_contract_is_refused_without_its_words(kind: str) -> None:
    refused = 0
    for said in events_with_markers(kind):
        raw = json.dumps(said).encode()
        received = admission.receive(raw, "app", 4)
        if not isinstance(received, Refusal):
            assert MARKER not in str(sealing.unknown(said["type"], {})), "the names of members are for the sender"
            continue
        refused += 1
        check_refusal(received)
        row = admission.letter(raw, received, "app", NINE, "a").row
        assert MARKER not in str(row), said
    assert refused > 50


@given(st.binary(max_size=40), st.integers(0, 40))
def test_bytes_that_are_no_event_are_refused_without_any_of_them(junk: bytes, cut: int) -> None:
    raw = json.dumps({MARKER: MARKER}).encode()
    for sent in (junk + raw, raw[:cut] + junk, raw[:cut] + b"\xff" + junk + raw):
        received = admission.receive(sent, "app", 4)
        assert isinstance(received, Refusal)
        check_refusal(received)
        assert MARKER not in str(admission.letter(sent, received, "app", NINE, "a").row)


HEADERS = [
    # headers of an event in binary mode, each with something that may be a name
    {"ce-specversion": MARKER},
    {"ce-specversion": "1.0", "content-type": f"text/{MARKER}"},
    {"content-type": f"text/{MARKER}"},
    {"ce-specversion": "1.0", f"ce-{MARKER}": "x"},
    {"ce-specversion": "1.0", "ce-actor": f"{MARKER}%GG"},
    {"ce-specversion": "1.0", "ce-somebody13800000000": "%GG"},
    {"ce-specversion": "1.0", "ce-actor": "%FF%FE"},
]


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_are_not_quoted_either(headers: dict[str, str]) -> None:
    for sent in (headers, [*headers.items(), *headers.items()]):
        refusal = binary.structured(sent, b"{}")
        assert isinstance(refusal, Refusal)
        assert "13800000000" not in f"{refusal.field} {refusal.detail}"


def test_data_in_base64_are_not_quoted_either() -> None:
    for text in (MARKER, f"{MARKER}=", "c29tZWJvZHkx", MARKER * 9, [MARKER]):
        refusal = admission.receive(
            json.dumps({**event("incident.urged", STREET, NINE), "data_base64": text}).encode(), "a", 4
        )
        assert isinstance(refusal, Refusal)
        check_refusal(refusal)


def test_a_principal_that_may_not_speak_for_a_post_is_told_its_own_name_only() -> None:
    envelope = decode_envelope(msgspec.json.encode(event("incident.urged", MARKER, NINE)))
    assert isinstance(envelope, Envelope)
    refusal = check(Principal("app", frozenset({"X"})), envelope)
    assert refusal is not None and "principal app may not speak" in refusal.detail
    check_refusal(refusal)


# ---- refused by the rules -----------------------------------------------------------------------------------


CODES = ("category", "grid", "touches", "department", "to_department", "to_grid", "lead", "assisting", "limit", "clock")
"""Members that the rules look up."""


def under_way() -> Story:
    """A case that is handled, with an owner, a department, clocks of every kind, and more time that is asked for."""
    story = Story()
    story.done("report.submitted", HOTLINE, NINE, category="D3-04", source="hotline", grid="WY01-01")
    story.done("incident.accepted", STREET)
    story.done("incident.dispatched", STREET, lead=BUILD)
    story.done("rectification.ordered", STREET, stage=2, limit="7工作日")
    story.done("extension.requested", f"{BUILD}-H", reason="weather", limit="30工作日")
    street, refused = Unit("/XA/WY/WY01/"), Exemption("refused", STREET, "outage", "WY", NINE + 86_400_000)
    asked = Exemption("requested", STREET, "outage")
    story.case.lapses = tuple(
        Missed(clock, 3, 0, 0, NINE, street, exemption)
        for clock, exemption in (("handle", None), ("accept", asked), ("total", refused))
    )
    return story


def texts_with_markers(kind: str) -> Iterator[dict[str, Any]]:
    """The data of a kind with the marker wherever the contract takes it."""
    names = EVENT_TYPES[f"gridpatrol.{kind}.v1"].__struct_fields__
    wide = {"grid": "WY01-01", "touches": ["WY01-02"], "department": BUILD, "to_grid": "WY02", "limit": "4工作时"}
    data = {name: value for name, value in wide.items() if name in names} | DATA[kind]
    data.pop("deadline", None)  # few may order one
    if "limit" in data:
        data.pop("due", None)
    for place in places(data):
        for text in (MARKER, f"4{MARKER}"):
            yield put(data, place, text)
    if "to_department" in names:
        yield {"to_department": MARKER}


@pytest.mark.parametrize("kind", DATA)
def test_what_the_rules_refuse_is_refused_without_the_words_of_the_event(kind: str) -> None:
    """In every state, said by every role of every level: a code that nobody knows may be a name. Each member that
    names a code is refused by its own name, so whoever may say it was among those who did."""
    story = under_way()
    fields = set[str]()
    grids = {code: grid.level for code, grid in story.register.grids.items() if code in story.case.path}
    posts = [post for post in story.register.posts.values() if post.grid in grids and not post.vacant]
    actors = [*{(post.role, grids[post.grid], post.department == BUILD): post.code for post in posts}.values(), MARKER]
    said = [event(kind, actor, NINE + 600_000, **data) for data in texts_with_markers(kind) for actor in actors]
    said += [event(kind, MARKER, NINE + 600_000, **DATA[kind])]
    taken = []
    for one in said:
        envelope = decode_envelope(msgspec.json.encode(one))
        assert isinstance(envelope, Envelope)
        if not isinstance(decode_data(envelope), Refusal):
            taken.append(arrived(one, NINE + 600_000))
    cases = [msgspec.structs.replace(story.case, state=state) for state in DEFINITIONS["incident"].states]
    patrol, asked = Round(), Story(number=3)
    asked.done("petition.submitted", "WY-12345", NINE, category="D3-01", channel="phone", grid="WY01-01")
    for case in (*cases, Story(number=2).case, patrol.case, asked.case):
        for incoming in taken:
            [own, *_] = take(case, incoming, patrol.rules, patrol.register).outcomes
            if own.refusal is not None:
                fields.add(own.refusal.field)
                check_refusal(own.refusal)
    assert {
        "actor",
        *(f"data.{name}" for name in CODES if name in EVENT_TYPES[f"gridpatrol.{kind}.v1"].__struct_fields__),
    } <= fields


# ---- what a letter shows ------------------------------------------------------------------------------------


def shown(**names: str) -> tuple[str, str, str, str]:
    row = dead_letter("a", 1, Refusal(Reason.INVALID, "", ""), "app", "{}", partition=0, position=0, **names).row
    return row.source, row.event_id, row.type, row.case_id


def test_a_letter_shows_the_names_that_keep_the_contract_and_no_other() -> None:
    case = subject("WY01", 1)
    assert shown(source="app/1", event_id="17", type_="gridpatrol.report.submitted.v1", case_id=case) == (
        "app/1",
        "17",
        "gridpatrol.report.submitted.v1",
        case,
    )
    long = "x" * 201
    assert shown(source=long, event_id=long, type_=MARKER, case_id=MARKER) == ("", "", "", "")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gridpatrol.report.submitted.v1", True),
        ("gridpatrol.report.submitted.v12", True),
        ("gridpatrol.deadletter.v1", True),
        ("gridpatrol.clock.due", True),
        (f"gridpatrol.{MARKER}.v1", False),
        (f"gridpatrol.report.submitted.v{MARKER}", False),
        ("gridpatrol.report.submitted.v1380", False),
        ("com.example.complaint", False),
        ("", False),
    ],
)
def test_a_type_is_shown_if_the_contract_knows_it_in_some_version(name: str, known: bool) -> None:
    assert is_known_type(name) is known
