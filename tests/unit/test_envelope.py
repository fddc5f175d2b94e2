"""The decoder: a malformed event is refused with a reason and the member at fault, a good one decodes."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.admission import receive
from schemas.envelope import (
    BOM,
    MAX_EVENT_BYTES,
    Envelope,
    Record,
    decode_data,
    decode_envelope,
    decode_record,
    decode_sent,
    encode_record,
    to_ms,
)
from schemas.events import EVENT_TYPES, trigger_of
from schemas.kinds.incident import ReportSubmitted
from schemas.refusals import Reason, Refusal
from tests.support.builders import DUST, HOTLINE, LEAF, MEMBER, at, event, subject

NINE = at("03-02 09:00")
REPORT = event("report.submitted", MEMBER, NINE, category=DUST, source="patrol", grid=LEAF)
PROOF = {"url": "https://files.example/1.jpg", "sha256": "ab" * 32, "kind": "near"}
PHOTO = {**PROOF, "sha256": "AB"}  # in capitals
COMMENT = event("comment.added", MEMBER, NINE, text="@")


def raw(said: dict[str, Any], here: str = '"@"', spelled: str = "") -> bytes:
    """The event as bytes; `here` is replaced by a spelling that no encoder would write."""
    text = json.dumps(said, ensure_ascii=False)
    assert not spelled or here in text
    return (text.replace(here, spelled) if spelled else text).encode()


def refusal(body: bytes) -> Refusal:
    """What the decoder says of an event that it must not take."""
    envelope = decode_envelope(body)
    found = envelope if isinstance(envelope, Refusal) else decode_sent(envelope)
    assert isinstance(found, Refusal), found
    assert found.detail
    return found


def report(**data: Any) -> dict[str, Any]:
    return {**REPORT, "data": {**REPORT["data"], **data}}


def without(said: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != name}


# ---- what is taken ----------------------------------------------------------------------------------------


def test_an_event_decodes_into_envelope_and_data():
    envelope = decode_envelope(raw(REPORT))
    assert isinstance(envelope, Envelope)
    data = decode_data(envelope)
    assert isinstance(data, ReportSubmitted)
    assert (envelope.actor, to_ms(envelope.time), data.category, data.grid) == (MEMBER, NINE, DUST, LEAF)


def test_extension_attributes_and_members_nobody_knows_do_not_disturb():
    said = {**REPORT, "weather": "dust", "data": {**REPORT["data"], "colour": {"of": ["smoke"]}}}
    assert isinstance(decode_envelope(raw(said)), Envelope)


def test_an_event_without_data_members_needs_no_data():
    envelope = decode_envelope(raw(without(event("incident.accepted", MEMBER, NINE), "data")))
    assert isinstance(envelope, Envelope)
    assert not isinstance(decode_data(envelope), Refusal)


@pytest.mark.parametrize(
    "name", ["datacontenttype", "dataschema", "partitionkey", "recordedtime", "tracestate", "data"]
)
def test_an_attribute_that_is_null_is_absent(name):
    """SDKs write null for what they do not know, and CloudEvents has it mean just that."""
    said = event("incident.accepted", MEMBER, NINE)
    received = [receive(raw(each), "local", 32) for each in (said, {**said, name: None}, without(said, name))]
    digests = set()
    for each in received:
        assert not isinstance(each, Refusal), each
        digests.add(decode_record(each[0].body).digests[0])
    assert len(digests) == 1, "they mean the same"


def test_a_byte_order_mark_is_no_part_of_an_event():
    marked = receive(BOM + raw(REPORT), "local", 32)
    assert not isinstance(marked, Refusal)
    assert marked == receive(raw(REPORT), "local", 32)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (gzip.compress(raw(REPORT)), "compressed with gzip"),
        (b"\n [" + raw(REPORT) + b"]", "application/cloudevents-batch+json"),
        (raw({**REPORT, "time": "2026-03-02T09:00+08:00"}), "it has no seconds, write 2026-03-02T09:00:00+08:00"),
        (raw({**REPORT, "time": "2026-03-02 09:00"}), "it has no seconds"),
        (raw(report(deadline="2026-03-02T09:00Z")), "it has no seconds"),
        (raw(report(evidence=[{**PROOF, "taken_at": "2026-03-02T09:00Z"}])), "it has no seconds"),
    ],
)
def test_a_refusal_says_what_is_the_matter(said, words):
    refused = receive(said, "local", 32)
    assert isinstance(refused, Refusal)
    assert words in refused.detail


@pytest.mark.parametrize("said", ["application/json", "application/json; charset=utf-8"])
def test_json_may_name_its_character_set(said):
    assert isinstance(decode_envelope(raw({**REPORT, "datacontenttype": said})), Envelope)


def test_escaped_pairs_of_surrogates_are_a_character():
    envelope = decode_envelope(raw(COMMENT, spelled='"\\ud83d\\ude37"'))
    assert isinstance(envelope, Envelope)
    assert decode_data(envelope).text == "😷"  # type: ignore[union-attr]


def test_long_digits_inside_text_and_fractions_are_no_numbers_out_of_range():
    said = {**COMMENT, "data": {"text": "1" * 40, "share": 0.12345678901234567890, "most": 2**63 - 1}}
    assert isinstance(decode_envelope(raw(said)), Envelope)


def test_a_record_of_the_log_keeps_event_and_token():
    envelope = decode_envelope(raw(REPORT))
    assert isinstance(envelope, Envelope)
    record = Record(event=envelope, digest="d", token="t")
    again = decode_record(encode_record(record))
    assert (again.token, again.event.id) == ("t", REPORT["id"])
    assert decode_data(again.event) == decode_data(envelope)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_milliseconds_are_those_of_utc_cut_not_rounded(wall, minutes):
    moment = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert to_ms(moment) == exact // 1000


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_trigger_is_the_type_without_prefix_and_version(name):
    assert f"gridpatrol.{trigger_of(name)}.v1" == name


# ---- what is refused --------------------------------------------------------------------------------------

MALFORMED = [
    # what was sent, reason, member
    (b"", Reason.UNDECODABLE, ""),
    (b"overdue", Reason.UNDECODABLE, ""),
    (raw(REPORT)[:-1], Reason.UNDECODABLE, ""),
    (raw(REPORT) + b"{}", Reason.UNDECODABLE, ""),
    (b"\xef\xbb\xbf" + raw(REPORT), Reason.UNDECODABLE, ""),  # a byte order mark
    (raw(REPORT).decode().encode("utf-16"), Reason.UNDECODABLE, ""),
    (raw({**COMMENT, "data": {"text": "烟"}}).decode().encode("gb18030"), Reason.UNDECODABLE, ""),
    (b"[]", Reason.INVALID, ""),
    (raw(COMMENT, spelled="NaN"), Reason.UNDECODABLE, ""),
    (raw(COMMENT, spelled="Infinity"), Reason.UNDECODABLE, ""),
    (raw(COMMENT, spelled="01"), Reason.UNDECODABLE, ""),
    (raw(COMMENT, spelled='"\x01"'), Reason.UNDECODABLE, ""),
    (raw(COMMENT, spelled="[" * 100_000 + "]" * 100_000), Reason.UNDECODABLE, ""),
    # texts that no store takes, also in members that nobody knows
    (raw(COMMENT, spelled='"a\\u0000b"'), Reason.INVALID, "data.text"),
    (raw(COMMENT, '"text": "@"', '"te\\u0000xt": 1'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far": [{"a": ["", "\\u0000"]}]'), Reason.INVALID, "data"),
    (raw(COMMENT, '"e1"', '"e\\u0000"'), Reason.INVALID, "id"),
    (raw(COMMENT, spelled='"\\ud83d"'), Reason.INVALID, "data.text"),
    (raw(COMMENT, spelled='"\\uDE37\\uD83D"'), Reason.INVALID, "data.text"),
    (raw(COMMENT, '"text": "@"', '"far": "\\ud83d away"'), Reason.INVALID, "data"),
    (raw(COMMENT).replace(b'"@"', b'"\xed\xa0\xbd"'), Reason.UNDECODABLE, ""),
    (raw(COMMENT).replace(b'"text": "@"', b'"far": "\xff"'), Reason.UNDECODABLE, ""),
    # numbers that no store takes
    (raw(COMMENT, '"text": "@"', '"far": 1e400'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far": [-1E+999]'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far":1.5e0400'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far":\n\t-12e400'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far": [1,2e400]'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far": {2**63}'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far": {-(2**63) - 1}'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far": [1,{2**63}]'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', '"far": [0,12.5e0400]'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far":\t{"9" * 400}.5'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far": {"9" * 10_000}'), Reason.INVALID, "data"),
    (raw(COMMENT, '"text": "@"', f'"far": {"9" * 400}.0'), Reason.INVALID, "data"),
    # attributes
    (raw({**REPORT, "specversion": "0.3"}), Reason.INVALID, "specversion"),
    (raw({**REPORT, "id": ""}), Reason.INVALID, "id"),
    (raw({**REPORT, "id": 7}), Reason.INVALID, "id"),
    (raw({**REPORT, "source": "s" * 201}), Reason.INVALID, "source"),
    (raw({**REPORT, "time": "2026-03-02T09:00:00"}), Reason.INVALID, "time"),  # whose nine o'clock?
    (raw({**REPORT, "time": "2026-03-02"}), Reason.INVALID, "time"),
    (raw({**REPORT, "time": 1772413200}), Reason.INVALID, "time"),
    (raw({**REPORT, "actor": "WY01 CHIEF"}), Reason.INVALID, "actor"),
    (raw({**REPORT, "actor": "WY01-CHIEF\n"}), Reason.INVALID, "actor"),
    (raw({**REPORT, "traceparent": "00-1-2-3"}), Reason.INVALID, "traceparent"),
    (raw({**REPORT, "datacontenttype": "text/xml"}), Reason.INVALID, "datacontenttype"),
    (raw({**REPORT, "subject": "WY01"}), Reason.INVALID, "subject"),
    (raw({**REPORT, "subject": subject(number=10).upper()}), Reason.INVALID, "subject"),
    (raw({**REPORT, "subject": subject().replace("-7000-", "-4000-")}), Reason.INVALID, "subject"),  # UUIDv4
    (raw({**REPORT, "subject": subject() + "\n"}), Reason.INVALID, "subject"),
    (raw({**REPORT, "subject": "W/Y" + subject()}), Reason.INVALID, "subject"),
    # data
    (raw({**REPORT, "data": None}), Reason.INVALID, "data.category"),  # null is absent
    (b"[" + raw(REPORT) + b"]", Reason.INVALID, ""),
    (gzip.compress(raw(REPORT)), Reason.UNDECODABLE, ""),
    (raw({**REPORT, "data": "dust"}), Reason.INVALID, "data"),
    (raw({**REPORT, "data": {"source": "patrol"}}), Reason.INVALID, "data.category"),
    (raw(report(source="gossip")), Reason.INVALID, "data.source"),
    (raw(report(deadline="2026-03-02T09:00:00")), Reason.INVALID, "data.deadline"),
    (raw(report(touches=["a b"])), Reason.INVALID, "data.touches[0]"),
    (raw(report(position={"lon": 181, "lat": 0})), Reason.INVALID, "data.position.lon"),
    (raw(report(position={"lon": 1})), Reason.INVALID, "data.position.lat"),
    (raw(report(position={"lon": "@", "lat": 0}), spelled="1e400"), Reason.INVALID, "data.position.lon"),
    (raw(event("rectification.ordered", "P", NINE, stage="@"), spelled="1.5"), Reason.INVALID, "data.stage"),
    (raw(event("evidence.added", MEMBER, NINE, evidence=[])), Reason.INVALID, "data.evidence"),
    (raw(event("evidence.added", MEMBER, NINE, evidence=[PHOTO])), Reason.INVALID, "data.evidence[0].sha256"),
    (raw(report(evidence=[PROOF, {**PROOF, "url": "javascript:alert(1)"}])), Reason.INVALID, "data.evidence[1].url"),
    (raw({**REPORT, "dataschema": "javascript:alert(1)"}), Reason.INVALID, "dataschema"),
    (raw(report(description="尘" * 20_001)), Reason.INVALID, "data.description"),
    (raw(report(reporter_contact={"phone": "1"})), Reason.INVALID, "data.reporter_contact"),
    (raw({**COMMENT, "data": {"text": ["@"]}}), Reason.INVALID, "data.text"),
    # types
    (raw({**REPORT, "type": "gridpatrol.report.submitted.v2"}), Reason.UNKNOWN_VERSION, "type"),
    (raw({**REPORT, "type": "gridpatrol.incident.accepted.v17"}), Reason.UNKNOWN_VERSION, "type"),
    (raw({**REPORT, "type": "gridpatrol.incident.acepted.v1"}), Reason.UNKNOWN_TYPE, "type"),
    (raw({**REPORT, "type": "com.example.thing"}), Reason.UNKNOWN_TYPE, "type"),
    (raw({**REPORT, "type": ""}), Reason.INVALID, "type"),
]


@pytest.mark.parametrize(("body", "reason", "field"), MALFORMED)
def test_a_malformed_event_is_refused_with_reason_and_member(body, reason, field):
    found = refusal(body)
    assert (found.reason, found.field) == (reason, field)


@pytest.mark.parametrize("name", without(REPORT, "data"))
def test_a_missing_attribute_is_named(name):
    found = refusal(raw(without(REPORT, name)))
    assert (found.reason, found.field) == (Reason.INVALID, name)


@pytest.mark.parametrize(
    "told",
    [
        "incident.moved",
        "incident.handled",
        "incident.parked",
        "incident.quarantined",
        "clock.started",
        "clock.due",
        "alert.raised",
        "alert.told",
        "step",
        "pack.activated",
        "deadletter",
        "figure",
    ],
)
def test_what_only_the_engine_tells_is_refused_from_outside(told):
    for name in (f"gridpatrol.{told}.v1", f"gridpatrol.{told}"):
        assert refusal(raw({**REPORT, "type": name})).reason is Reason.ENGINE_ONLY


@pytest.mark.parametrize("name", ["街角小吃店", "Corner Shop", "示例工地", "a\n", "", "U" * 65])
def test_a_responsible_unit_is_a_code_and_never_a_name(name):
    """It stays in the log, and a sole trader's name is that of a person."""
    for said in (report(unit=name), event("rectification.ordered", MEMBER, NINE, unit=name)):
        found = refusal(raw(said))
        assert (found.reason, found.field) == (Reason.INVALID, "data.unit")
    assert not isinstance(decode_data(decode_envelope(raw(report(unit="U" * 64)))), Refusal)  # type: ignore[arg-type]


DATED = [
    # the member, how an event carries an instant there
    ("time", lambda text: {**REPORT, "time": text}),
    ("recordedtime", lambda text: {**REPORT, "recordedtime": text}),
    ("data.deadline", lambda text: report(deadline=text)),
    ("data.evidence[1].taken_at", lambda text: report(evidence=[PROOF, {**PROOF, "taken_at": text}])),
    ("data.due", lambda text: event("deadline.ordered", MEMBER, NINE, due=text)),
    ("data.due", lambda text: event("rectification.ordered", MEMBER, NINE, due=text)),
    ("data.until", lambda text: event("incident.suspended", MEMBER, NINE, reason="season", until=text)),
]


@pytest.mark.parametrize(("field", "dated"), DATED)
@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00+00:01", "2200-01-01T00:00:00.001Z"],
)
def test_an_instant_outside_the_years_that_count_is_refused_and_named(field, dated, text):
    found = refusal(raw(dated(text)))
    assert (found.reason, found.field) == (Reason.INVALID, field)
    assert "1970-01-01 to 2200-01-01" in found.detail


@pytest.mark.parametrize(("field", "dated"), DATED)
@pytest.mark.parametrize("text", ["1970-01-01T08:00:00+08:00", "2199-12-31T19:00:00-05:00"])
def test_the_first_and_the_last_instant_of_these_years_are_taken(field, dated, text):
    envelope = decode_envelope(raw(dated(text)))
    assert isinstance(envelope, Envelope), field
    assert not isinstance(decode_data(envelope), Refusal), field


def test_an_event_as_large_as_allowed_is_taken_and_one_byte_more_refused():
    room = MAX_EVENT_BYTES - len(raw({**COMMENT, "data": {"far": ""}}))
    assert isinstance(decode_envelope(raw({**COMMENT, "data": {"far": "x" * room}})), Envelope)
    found = refusal(raw({**COMMENT, "data": {"far": "x" * (room + 1)}}))
    assert found.reason is Reason.TOO_LARGE
    assert str(MAX_EVENT_BYTES) in found.detail


def test_refusals_name_the_remedy():
    assert "Z for UTC" in refusal(raw({**REPORT, "time": "2026-03-02T09:00:00"})).detail
    assert "gridpatrol.report.submitted.v1" in refusal(raw({**REPORT, "type": "gridpatrol.report.submitted.v9"})).detail
    assert "remove it" in refusal(raw(COMMENT, spelled='"\\u0000"')).detail


SECRET = "13800000000"


@pytest.mark.parametrize(
    "said",
    [
        report(description=SECRET * 2000),
        report(description={"of": SECRET}),
        report(evidence=[{**PROOF, "url": f"tel:{SECRET}"}]),
        report(source=SECRET),
        report(source=f"{SECRET} - at `$.data"),
        report(grid=f"{SECRET} x"),
        {**REPORT, "dataschema": f"tel:{SECRET}"},
        {**REPORT, "specversion": SECRET},
        {**REPORT, "time": SECRET},
    ],
)
def test_a_refusal_never_quotes_what_it_refuses_and_says_what_to_do(said):
    found = refusal(raw(said))
    assert found.field and ":" in found.detail
    assert SECRET not in found.detail + found.field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from([*REPORT, "note", "far"]), JSON),
    st.dictionaries(st.text(max_size=9), JSON),
)
def test_no_json_whatever_makes_the_decoder_fail(attributes, data):
    """Refused or taken: never an exception, and what is taken goes into any store as UTF-8 without U+0000."""
    said = {**REPORT, **attributes, "data": {**REPORT["data"], **data}}
    body = json.dumps(said).encode()
    envelope = decode_envelope(body)
    if isinstance(envelope, Refusal):
        assert envelope.detail
        return
    decode_data(envelope)
    kept = msgspec.json.decode(body)
    assert "\x00" not in str(kept)
    str(kept).encode()


@given(st.binary(max_size=300))
def test_no_bytes_whatever_make_the_decoder_fail(body):
    found = decode_envelope(body)
    assert isinstance(found, Refusal)


def test_hotline_and_member_send_alike():
    """The actor is a post's code, whoever it is: rights are the rules' business, not the decoder's."""
    assert isinstance(decode_envelope(raw({**REPORT, "actor": HOTLINE})), Envelope)
