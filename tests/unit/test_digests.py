"""Two sendings of one event have a digest in common, however a phone wrote it down and a relay stamped it; other events
have none."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import admission
from schemas.digests import all_of, as_sent, completed, meaning
from schemas.envelope import Envelope, decode_envelope, decode_record
from schemas.examples import DATA as EXAMPLES
from tests.support.builders import DUST, LEAF, MEMBER, at, event
from tests.support.rewriting import rewritings, written_down

NINE = at("03-02 09:00")
KINDS = st.sampled_from(sorted(EXAMPLES))


def report(**data: Any) -> dict[str, Any]:
    return event("report.submitted", MEMBER, NINE, category=DUST, source="patrol", grid=LEAF, **data)


def sent(raw: bytes | dict[str, Any]) -> list[str]:
    """The digests that the log keeps of an event."""
    received = admission.receive(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), "door", 1)
    assert isinstance(received, tuple), received
    return all_of(decode_record(received[0].body))


def same(a: bytes | dict[str, Any], b: bytes | dict[str, Any]) -> bool:
    return not set(sent(a)).isdisjoint(sent(b))


def meant(said: dict[str, Any]) -> str:
    envelope = decode_envelope(json.dumps(said).encode())
    assert isinstance(envelope, Envelope), envelope
    return meaning(envelope, said["data"])


# ---- one event ----------------------------------------------------------------------------------------------


@given(KINDS, st.data())
def test_however_an_event_is_written_down_and_stamped_it_means_the_same(kind, data):
    said = event(kind, MEMBER, NINE, **EXAMPLES[kind])
    assert same(said, data.draw(rewritings(said)))


@pytest.mark.parametrize(
    "again",
    [
        {**report(), "knativearrivaltime": "2026-03-02T09:00:01Z"},
        {**report(), "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "tracestate": "a=b"},
        {**report(), "recordedtime": "2026-03-02T09:00:05+08:00", "dataschema": "https://schemas.example/report"},
        {**report(), "datacontenttype": "application/json; charset=utf-8", "partitionkey": "WY01"},
        {**report(), "time": "2026-03-02T01:00:00Z"},
        {**report(), "time": "2026-03-02T09:00:00.0004+08:00"},
        report(position=None, unit=None, reporter_name=None, note=None),
    ],
    ids=["a relay's stamp", "tracing", "recorded", "its type", "another offset", "less than a millisecond", "nulls"],
)
def test_the_same_report_again(again):
    assert same(report(), again)


def test_instants_numbers_and_nulls_inside_the_data_are_compared_by_what_they_say():
    place = {"lon": 108.0, "lat": -0.0}
    photo = {"url": "https://x.example/1", "sha256": "ab" * 32, "kind": "near", "taken_at": "2026-03-02T08:59:00+08:00"}
    said = report(position=place, evidence=[photo], deadline="2026-03-09T18:00:00+08:00")
    again: dict[str, Any] = {"accuracy_m": None, "lat": 0, "lon": 108}
    late = {**photo, "taken_at": "2026-03-02T00:59:00.000Z", "position": None}
    assert same(said, report(position=again, evidence=[late], deadline="2026-03-09T10:00:00Z"))
    raw = json.dumps(said).replace("108.0", "1.08e2").encode()
    assert b"1.08e2" in raw and same(said, raw)


def test_an_event_that_a_release_took_without_reading_its_base64_is_recognised():
    """f28de43 sealed `data_base64` as a member that nobody knows, and the digest went over it."""
    said = {name: value for name, value in report().items() if name != "data"}
    said["data_base64"] = base64.b64encode(json.dumps(report()["data"]).encode()).decode()
    assert as_sent(said) in sent(said) and as_sent(report()) in sent(said)
    assert same(said, report())


# ---- other events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        report(note="x"),
        report(touches=[]),  # no default is filled in
        report(deadline=None),  # null says that there is none, a missing deadline that the pack knows it
        report(weather="dust"),
        report(weather=None),
        {**report(), "time": "2026-03-02T09:00:00.001+08:00"},
        {**report(), "actor": "WY01-01-CHIEF"},
        {**report(), "subject": report()["subject"][:-1] + "2"},
        {**report(), "type": "gridpatrol.comment.added.v1", "data": {}},
    ],
)
def test_what_means_something_else_is_told_apart(other):
    assert not same(report(), other)


def test_what_nobody_knows_counts_as_it_stands():
    assert not same(report(seen="2026-03-02T09:00:00+08:00"), report(seen="2026-03-02T01:00:00Z"))
    assert not same(report(more={"a": None}), report(more={}))
    assert same(report(more={"a": 1, "b": [2]}), report(more={"b": [2.0], "a": 1e0}))


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, "1"), (0.1, 0.10000000000000002), ([], {}), ([None], []), ("a", ["a"])],
)
def test_values_of_different_kinds_are_different(one, other):
    assert meant(report(more=one)) != meant(report(more=other))


SIMPLE = st.sampled_from([None, True, False, "", "1", 0, -0.0, 1, 1.0, 1.5, 2**53]) | st.floats(-1e9, 1e9)
VALUES = SIMPLE | st.lists(SIMPLE, max_size=2) | st.dictionaries(st.sampled_from("ab"), SIMPLE, max_size=2)


def plain(value: Any) -> Any:
    """A value as it compares in Python, where 1 is True and -0 is 0."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return ("number", float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)


@given(VALUES, VALUES)
def test_equal_meanings_are_equal_values(a, b):
    assert (meant(report(more=a)) == meant(report(more=b))) is (plain(a) == plain(b))


# ---- forms --------------------------------------------------------------------------------------------------


def test_form_1_is_what_it_was():
    """Rows and records of f28de43 hold it, and the tokens of sealed texts are made of it."""
    said = report(position={"lon": 1.5, "lat": 2.5})
    assert as_sent(said) == "1f15a65f140a6097bb7961bbe10eda50ebf2450e549b259b2c6aded2b493cacb"
    stamped = {**said, "recordedtime": said["time"], "traceparent": "x", "datacontenttype": "application/json"}
    assert as_sent(dict(reversed(stamped.items()))) == as_sent(said)
    assert as_sent({**said, "weather": "dust"}) != as_sent(said)


def test_a_form_has_its_name_and_an_event_one_digest_in_each():
    one, two = sent(report())
    assert len(one) == 64 and ":" not in one
    assert two.startswith("2:") and len(two) == 66


def test_of_a_form_that_is_known_no_other_digest_is_kept():
    """Or a relay's stamps would make a row grow with every resend."""
    assert completed("a", ["b", "2:c", "2:d", "3:e"]) == "a 2:c 3:e"


@given(VALUES)
def test_the_meaning_survives_the_decoder(value):
    said = report(more=value)
    assert meant(said) == meant(msgspec.json.decode(written_down(said)))
