"""What never enters the log: identity, contact, free text, and whatever the contract does not know."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import admission
from schemas import jsonschema
from schemas.envelope import Envelope, decode_data, decode_envelope, decode_record
from schemas.events import EVENT_TYPES
from schemas.examples import DATA as EXAMPLES
from schemas.refusals import Refusal
from schemas.sealing import LONGEST_PATH, MOST_UNKNOWN, split, unknown, words_of
from tests.support.builders import DUST, LEAF, MEMBER, at, event

SECRET = "某人 10000000000"
NINE = at("03-02 09:00")


def recombined(kept: Any, sealed: Any) -> Any:
    """Both halves put together again."""
    if isinstance(sealed, dict) and isinstance(kept, dict):
        return {**kept, **{name: recombined(kept.get(name), value) for name, value in sealed.items()}}
    if isinstance(sealed, list) and isinstance(kept, list):
        return [recombined(a, b) for a, b in zip(kept, sealed, strict=True)]
    return kept if sealed is None else sealed


def report(**data: Any) -> dict[str, Any]:
    return event("report.submitted", MEMBER, NINE, category=DUST, source="patrol", grid=LEAF, **data)


HIDDEN = [
    # a secret somewhere in an event, and why it must not stay
    (report(description=SECRET), "free text"),
    (report(reporter_name=SECRET), "identity"),
    (report(reporter_contact=SECRET), "contact"),
    (report(note=SECRET), "the note of any event"),
    (report(phone=SECRET), "nobody knows this member"),
    (report(reporter={"name": SECRET}), "nor what lies in it"),
    (report(position={"lon": 1.0, "lat": 2.0, "address": SECRET}), "inside a member that stays"),
    (report(evidence=[{"url": "u", "sha256": "ab" * 32, "kind": "near", "by": SECRET}]), "inside an array"),
    (report(evidence=[{"position": {"lon": 1.0, "lat": 2.0, "who": {"is": SECRET}}}]), "and deeper"),
    (report(evidence=[{}, {"taken_by": SECRET}]), "in the second item only"),
    (event("comment.added", MEMBER, NINE, text=SECRET), "a comment's text"),
    (event("rectification.ordered", MEMBER, NINE, requirement=SECRET), "an order's text"),
    ({**report(), "reporter": SECRET}, "an extension attribute"),
    ({**report(), "person": {"name": [SECRET]}}, "an extension attribute, nested"),
]


@pytest.mark.parametrize(("said", "why"), HIDDEN)
def test_what_is_personal_or_unknown_leaves_the_event(said, why):
    kept, sealed = split(said)
    assert SECRET not in json.dumps(kept, ensure_ascii=False), why
    assert SECRET in json.dumps(sealed, ensure_ascii=False)
    assert recombined(kept, sealed) == said


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_the_rules_need_stays(kind):
    """An event that hides nothing passes whole; one that does decodes to the same, less what is sealed."""
    said = event(kind, MEMBER, NINE, **EXAMPLES[kind])
    kept, sealed = split(said)
    whole, part = decode_envelope(msgspec.json.encode(said)), decode_envelope(msgspec.json.encode(kept))
    assert isinstance(whole, Envelope) and isinstance(part, Envelope)
    hidden = dict.fromkeys(sealed.get("data", {}))
    assert decode_data(part) == msgspec.structs.replace(decode_data(whole), **hidden)
    assert set(hidden) <= {
        "note",
        "description",
        "reporter_name",
        "reporter_contact",
        "applicant",
        "project",
        "text",
        "requirement",
        "ground",
        "answer",
        "address",
        "name",
        "contact",
    }


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_the_note_of_every_event_is_sealed(name):
    kept, sealed = split({**report(), "type": name, "data": {"note": SECRET}})
    assert (kept["data"], sealed["data"]) == ({}, {"note": SECRET})


def test_data_of_a_type_that_nobody_knows_is_sealed_whole():
    kept, sealed = split({**report(), "type": "com.example.complaint", "data": {"who": SECRET}})
    assert kept["data"] == {}
    assert sealed["data"] == {"who": SECRET}


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"text": SECRET}, None])
def test_sealed_members_leave_whatever_their_shape(value):
    kept, _ = split(report(description=value))
    assert "description" not in kept["data"]


@pytest.mark.parametrize("data", [SECRET, [SECRET], {"category": {"name": SECRET}}, {"evidence": SECRET}])
def test_wrong_shapes_that_stay_are_refused_by_the_decoder_so_they_never_reach_the_log(data):
    kept, _ = split({**report(), "data": data})
    envelope = decode_envelope(msgspec.json.encode(kept))
    assert isinstance(envelope, Envelope)
    assert isinstance(decode_data(envelope), Refusal)


def test_an_event_that_hides_nothing_seals_nothing():
    assert split(report()) == (report(), {})


def test_splitting_again_changes_nothing():
    kept, _ = split(report(description=SECRET, phone=SECRET))
    assert split(kept) == (kept, {})


MEMBERS = st.dictionaries(
    st.sampled_from(["category", "grid", "evidence", "position", "note", "phone", "who", "touches"]),
    st.recursive(
        st.text(max_size=5) | st.integers() | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["url", "lon", "position", "who"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
)


@given(MEMBERS)
def test_both_halves_together_are_what_was_sent(data):
    said = {**report(), "data": data}
    kept, sealed = split(said)
    assert recombined(kept, sealed) == said


# ---- what the contract does not know ------------------------------------------------------------------------


def named(said: dict[str, Any]) -> list[str]:
    return unknown(said["type"], split(said)[1])


@pytest.mark.parametrize(
    ("said", "paths"),
    [
        (report(photo="x"), ["data.photo"]),
        (event("comment.added", MEMBER, NINE, txet=SECRET), ["data.txet"]),
        (report(description=SECRET, reporter_name=SECRET, note=SECRET), []),
        (report(position={"lon": 1.0, "lat": 2.0, "address": SECRET}), ["data.position.address"]),
        (
            report(evidence=[{}, {"by": SECRET, "position": {"alt": 1}}]),
            ["data.evidence[1].by", "data.evidence[1].position.alt"],
        ),
        (report(reporter={"name": SECRET}), ["data.reporter"]),
        (report(photo=None, note=None), ["data.photo"]),
        ({**report(photo="x"), "recordedTime": "x"}, ["recordedTime", "data.photo"]),
        (event("incident.closed", MEMBER, NINE, grid=LEAF), ["data.grid"]),
        (report(**{"": 1}), ["data."]),
        (report(), []),
    ],
)
def test_a_member_of_misspelt_name_is_named_and_a_sealed_one_is_not(said, paths):
    assert sorted(named(said)) == sorted(paths)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_no_member_of_the_contract_is_unknown(kind):
    assert named(event(kind, MEMBER, NINE, **EXAMPLES[kind])) == []


def test_of_very_many_unknown_members_the_first_are_named_and_of_long_names_the_beginning():
    said = report(**{f"{n}" + "x" * 300: 1 for n in range(50)})
    assert len(named(said)) == MOST_UNKNOWN
    assert {len(path) for path in named(said)} == {LONGEST_PATH}


def test_attributes_that_are_null_leave_the_record_of_an_event_without_them() -> None:
    """Some phones write down every attribute, null where they have nothing to say."""
    optional = ("datacontenttype", "dataschema", "recordedtime", "partitionkey", "traceparent", "tracestate")
    plain = {name: value for name, value in report(description=SECRET).items() if name not in optional}
    records = []
    for sent in (plain, plain | dict.fromkeys(optional)):
        received = admission.receive(json.dumps(sent).encode(), "local", 32)
        assert not isinstance(received, Refusal)
        records.append(decode_record(received[0].body).event)
    assert msgspec.json.encode(records[0]) == msgspec.json.encode(records[1])
    assert b"null" not in msgspec.json.encode(records[1])


# ---- the words again --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            report(description="dust", note="soon", reporter_name=SECRET, reporter_contact=SECRET),
            [
                ("description", "dust", False),
                ("note", "soon", False),
                ("reporter_name", SECRET, True),
                ("reporter_contact", SECRET, True),
            ],
        ),
        (event("comment.added", MEMBER, NINE, text="seen"), [("text", "seen", False)]),
        (
            event("rectification.ordered", MEMBER, NINE, requirement="cover it", stage=1),
            [("requirement", "cover it", False)],
        ),
        # what the contract does not know may be either, and counts as contact
        (report(reporter={"name": SECRET}), [("reporter", json.dumps({"name": SECRET}, ensure_ascii=False), True)]),
        (report(evidence=[{}, {"by": SECRET}]), [("evidence[1].by", SECRET, True)]),
        ({**report(description="dust"), "extra": 7}, [("description", "dust", False), ("extra", "7", True)]),
        (report(description=None), []),
        (report(), []),
    ],
)
def test_what_was_sealed_is_read_again_member_by_member(said, words):
    found = words_of(said["type"], split(said)[1])
    assert [(word.member, word.text.replace('":"', '": "'), word.contact) for word in found] == words


def test_contact_is_marked_in_the_contract_and_published() -> None:
    schema = json.loads(jsonschema.documents()["gridpatrol.report.submitted.v1.json"])
    members = schema["$defs"]["ReportSubmitted"]["properties"]
    marked = {name for name, shape in members.items() if "x-contact" in json.dumps(shape)}
    assert marked == {"reporter_name", "reporter_contact"}
    assert all("x-sealed" in json.dumps(members[name]) for name in marked)
