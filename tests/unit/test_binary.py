"""Binary mode and structured mode are two spellings of one event: what is read from headers is what stands in JSON."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import admission
from schemas import binary
from schemas.envelope import MAX_EVENT_BYTES, Record, decode_envelope, decode_record
from schemas.refusals import Reason, Refusal
from tests.support.builders import MEMBER, at, event

JSON = [("Content-Type", "application/json")]


def sent(**change: Any) -> dict[str, Any]:
    """A structured event without its data's type, as an app sends it."""
    return event("dissuasion.recorded", MEMBER, at("03-02 09:00"), outcome="effective") | change


def http(said: dict[str, Any]) -> list[tuple[str, str]]:
    """Its attributes as a client writes them into HTTP headers."""
    safe = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
    return [(f"Ce-{name}", quote(value, safe=safe)) for name, value in said.items() if name != "data"]


def kafka(said: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Its attributes as a producer writes them into Kafka headers."""
    return [(f"ce_{name}", value.encode()) for name, value in said.items() if name != "data"]


def body(said: dict[str, Any]) -> bytes:
    return msgspec.json.encode(said["data"])


def refusal(headers: binary.Headers, content: bytes = b"{}") -> Refusal:
    found = binary.structured(headers, content)
    assert isinstance(found, Refusal), found
    return found


def digest(raw: bytes | Refusal) -> str:
    """The digest that the log keeps of an event that is taken."""
    assert isinstance(raw, bytes), raw
    received = admission.receive(raw, "local", 32)
    assert not isinstance(received, Refusal), received
    return str(json.loads(received[0].body)["digest"])


# ---- the same event -----------------------------------------------------------------------------------------

# Attributes may hold no control characters, and a store takes no surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50)
MEMBERS = st.dictionaries(TEXT, st.recursive(TEXT | st.booleans() | st.integers(-(2**53), 2**53), st.lists), max_size=4)


@given(id_=TEXT, source=TEXT, unknown=TEXT, more=MEMBERS)
def test_an_event_in_binary_mode_has_the_digest_of_its_structured_twin(id_, source, unknown, more):
    said = sent(id=id_, source=source, weather=unknown)
    said["data"] = more | said["data"]
    twin = digest(msgspec.json.encode(said | {"datacontenttype": "application/json"}))
    assert digest(binary.structured([*http(said), *JSON], body(said))) == twin
    assert digest(binary.structured([*kafka(said), ("content-type", b"application/json")], body(said))) == twin


def test_without_a_content_type_the_twin_names_none_either():
    said = sent()
    assert digest(binary.structured(kafka(said), body(said))) == digest(msgspec.json.encode(said))


def test_every_attribute_arrives_whatever_its_header_is_spelled_like():
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    said = sent(partitionkey="WY01", recordedtime="2026-03-02T09:00:01+08:00", traceparent=trace)
    upper = {name.upper(): value for name, value in http(said)}
    made = binary.structured(upper | {"CONTENT-TYPE": "application/json; charset=utf-8"}, body(said))
    assert isinstance(made, bytes)
    assert json.loads(made) == said | {"datacontenttype": "application/json; charset=utf-8"}
    assert not isinstance(decode_envelope(made), Refusal)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the example of the standard
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%41%2541", "A%41"),  # once, not twice
        ('"quoted \\"by\\" an older client"', 'quoted "by" an older client'),
        ("a+b c", "a+b c"),  # a plus is no blank here
    ],
)
def test_values_of_http_are_decoded_once(value, meant):
    made = binary.structured([*http(sent()), ("ce-weather", value)], b"{}")
    assert isinstance(made, bytes)
    assert json.loads(made)["weather"] == meant


def test_values_of_kafka_are_taken_as_they_are():
    made = binary.structured([*kafka(sent()), ("ce_weather", "100%20 €".encode())], b"{}")
    assert isinstance(made, bytes)
    assert json.loads(made)["weather"] == "100%20 €"


def test_a_message_of_kafka_without_value_is_an_event_without_data():
    made = binary.structured([*kafka(sent()), ("ce_note", None), ("other", b"\xff")], b"")
    assert isinstance(made, bytes)
    assert json.loads(made) == {name: value for name, value in sent().items() if name != "data"}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        JSON,
        [("content-type", "application/cloudevents+json; charset=utf-8")],
        # The standard lets senders repeat attributes beside a structured event: the body counts.
        [("content-type", b"application/cloudevents+json"), ("ce_id", b"other"), ("ce_id", b"\xff")],
    ],
)
def test_a_structured_event_passes_byte_by_byte(headers):
    raw = b' {"specversion": "1.0", "id": "\xff"'
    assert binary.structured(headers, raw) is raw
    assert binary.as_sent(headers, raw) is raw
    assert not binary.is_binary(headers)


# ---- data in Base64 -----------------------------------------------------------------------------------------


def encoded(said: dict[str, Any], content: bytes | None = None) -> bytes:
    """The event as official SDKs send it when its data are given as bytes."""
    content = body(said) if content is None else content
    rest = {name: value for name, value in said.items() if name != "data"}
    return msgspec.json.encode(rest | {"data_base64": base64.b64encode(content).decode()})


def twin(raw: bytes) -> tuple[Any, Record]:
    """What is sealed of an event, and its record, but for the digest that an older release took of other bytes."""
    received = admission.receive(raw, "local", 32)
    assert not isinstance(received, Refusal), received
    record = decode_record(received[0].body)
    meaning, *older = record.digests
    assert meaning.startswith("2:") and (len(older) == 1) is ("data_base64" in msgspec.json.decode(raw))
    return received[0].sealed, msgspec.structs.replace(record, digests=(meaning,))


@given(more=MEMBERS, kind=st.sampled_from([{}, {"datacontenttype": "application/json"}]))
def test_data_in_base64_make_the_same_record_as_their_twin(more, kind):
    said = sent(**kind)
    said["data"] = more | said["data"] | {"note": "烟"}
    wanted = twin(msgspec.json.encode(said))
    assert twin(encoded(said)) == wanted
    spaced = json.dumps(said["data"], indent=2, ensure_ascii=False).encode()
    assert twin(encoded(said, spaced)) == wanted
    assert twin(encoded(said).replace(b'"data_base64"', b'"data\\u005fbase64"')) == wanted


def test_the_department_of_an_event_in_base64_is_heard():
    said = event("incident.reported_up", MEMBER, at("03-02 09:00"), to_department="WY-BUILD")
    received = admission.receive(encoded(said | {"datacontenttype": "application/json"}), "local", 32)
    assert not isinstance(received, Refusal)
    assert json.loads(bytes(received[1].data)) == {"to_department": "WY-BUILD"}


def test_base64_that_is_null_is_not_there():
    said = sent()
    assert twin(msgspec.json.encode(said | {"data_base64": None})) == twin(msgspec.json.encode(said))


OUTCOME = base64.b64encode(b'{"outcome": "effective"}').decode()


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"data_base64": "%%%"}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": "烟"}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": OUTCOME[:-1]}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": OUTCOME[:20] + "\r\n" + OUTCOME[20:]}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": ""}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": base64.b64encode(b"outcome=effective").decode()}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": base64.b64encode(b'{"a": "\xff"}').decode()}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": base64.b64encode(b'{}, "actor": "XA-CHIEF"').decode()}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": base64.b64encode(b"[" * 100_000).decode()}, Reason.UNDECODABLE, "data_base64"),
        ({"data_base64": 7}, Reason.INVALID, "data_base64"),
        ({"data_base64": {"outcome": "effective"}}, Reason.INVALID, "data_base64"),
        ({"data_base64": OUTCOME, "data": {"outcome": "effective"}}, Reason.INVALID, "data_base64"),
        ({"data_base64": OUTCOME, "data": None}, Reason.INVALID, "data_base64"),
        ({"data_base64": OUTCOME, "datacontenttype": "text/plain"}, Reason.INVALID, "datacontenttype"),
        # the data themselves are judged as ever
        ({"data_base64": base64.b64encode(b"{}").decode()}, Reason.INVALID, "data.outcome"),
        ({"data_base64": base64.b64encode(b'{"note": "\\u0000"}').decode()}, Reason.INVALID, "data.note"),
        ({"data_base64": base64.b64encode(b'"{}"').decode()}, Reason.INVALID, "data"),
    ],
)
def test_base64_that_is_no_data_is_refused_by_name(change, reason, field):
    said = {name: value for name, value in sent().items() if name != "data"} | change
    refused = admission.receive(msgspec.json.encode(said), "local", 32)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == (reason, field)
    assert refused.detail


# ---- what is no event ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ([("ce-id", "again")], "id"),
        ([("ce-data", "{}")], "data"),
        ([("ce-datacontenttype", "application/json")], "datacontenttype"),
        ([("ce-", "x")], ""),
        ([("ce-two_words", "x")], ""),  # what a sender calls its header may be personal: it is not named
        ([("ce-weather", "100%")], ""),
        ([("ce-weather", "%C0%A0")], ""),  # an overlong blank, refused by the standard
        ([("ce-weather", "\u00e9")], ""),  # Latin-1 or half of UTF-8: nobody can tell
        ([("ce_weather", "x")], ""),  # one binding or the other
        ([("content-type", "application/xml")], "datacontenttype"),
        ([("content-type", "")], "datacontenttype"),
        ([("content-type", "application/json"), ("content-type", "application/json")], "content-type"),
    ],
)
def test_headers_that_are_no_event_are_refused_by_field(more, field):
    refused = refusal([*http(sent()), *more])
    assert (refused.reason, refused.field) == (Reason.INVALID, field)
    assert refused.detail


def test_a_header_of_kafka_that_is_no_text_is_refused():
    refused = refusal([*kafka(sent()), ("ce_weather", b"\xff")])
    assert (refused.reason, refused.field) == (Reason.INVALID, "")


@pytest.mark.parametrize("version", [None, "0.3", "1.0.2", "2.0", ""])
def test_attributes_without_a_known_version_are_half_an_event(version):
    said = {name: value for name, value in sent().items() if name != "specversion"}
    if version is not None:
        said["specversion"] = version
    for headers in (http(said), kafka(said)):
        refused = refusal(headers)
        assert (refused.reason, refused.field) == (Reason.INVALID, "specversion")
        assert "1.0" in refused.detail


@pytest.mark.parametrize("content", [b"outcome=effective", b"\xff", b'{"a": "\xff"}', b'{}, "actor": "XA-CHIEF"', b"["])
def test_a_body_that_is_no_json_is_refused_and_cannot_become_an_attribute(content):
    refused = refusal([*http(sent()), *JSON], content)
    assert (refused.reason, refused.field) == (Reason.UNDECODABLE, "data")


def test_a_body_nested_beyond_reading_is_refused():
    assert refusal(http(sent()), b"[" * 100_000).reason is Reason.UNDECODABLE


@pytest.mark.parametrize("kind", ["application/cloudevents+avro", "application/cloudevents-batch+json", "text/plain"])
def test_another_format_of_a_structured_event_is_refused(kind):
    refused = refusal([("Content-Type", kind)])
    assert refused.reason is Reason.UNDECODABLE
    assert binary.STRUCTURED in refused.detail


def test_what_the_contract_forbids_is_left_to_the_one_decoder():
    unstorable = binary.structured(http(sent()), b'{"outcome": "effective", "note": "\\u0000"}')
    assert isinstance(unstorable, bytes)
    refused = decode_envelope(unstorable)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.field) == (Reason.INVALID, "data.note")
    nowhere = binary.structured(http(sent(subject="nowhere-" + "x" * 40)), b"{}")
    assert isinstance(nowhere, bytes)
    assert decode_envelope(nowhere) == decode_envelope(msgspec.json.encode(sent(subject="nowhere-" + "x" * 40)))


def test_the_size_of_an_event_is_that_of_its_structured_twin():
    empty = binary.structured(http(sent()), b'{"note":""}')
    assert isinstance(empty, bytes)
    room = MAX_EVENT_BYTES - len(empty)
    fits = binary.structured(http(sent()), b'{"note":"%s"}' % (b"x" * room))
    assert isinstance(fits, bytes)
    assert len(fits) == MAX_EVENT_BYTES
    assert not isinstance(decode_envelope(fits), Refusal)
    above = binary.structured(http(sent()), b'{"note":"%s"}' % (b"x" * (room + 1)))
    assert isinstance(above, bytes)
    refused = decode_envelope(above)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOO_LARGE
    assert refusal(http(sent()), b" " * (MAX_EVENT_BYTES + 1)).reason is Reason.TOO_LARGE


def test_what_is_refused_is_kept_readable_and_never_becomes_an_event():
    headers = [*http(sent()), ("ce-weather", "100%"), *JSON]
    kept = json.loads(binary.as_sent(headers, b'{"outcome": "\xff"}'))
    assert kept["id"] == "e1"
    assert kept["weather"] == "100%"
    assert kept["datacontenttype"] == "application/json"
    assert kept["data"] == '{"outcome": "\\xff"}'
    again = admission.receive(binary.as_sent(headers, b"{}"), "local", 32)
    assert isinstance(again, Refusal)
    assert again.field == "data"


# ---- what goes out ------------------------------------------------------------------------------------------


def test_what_is_published_says_what_it_is():
    made = dict(binary.headers(type="gridpatrol.step.v1", id="3.17", subject="网格.1", at_ms=1_772_413_200_005))
    assert made == {
        "ce_specversion": b"1.0",
        "ce_type": b"gridpatrol.step.v1",
        "ce_source": b"/gridpatrol",
        "ce_id": b"3.17",
        "ce_subject": "网格.1".encode(),
        "ce_time": b"2026-03-02T01:00:00.005Z",
        "content-type": b"application/json",
    }


def test_an_attribute_that_says_nothing_is_left_out():
    made = binary.headers(type="t", id="i", subject="", at_ms=0, source="/city")
    assert "ce_subject" not in dict(made)
    assert dict(made)["ce_time"] == b"1970-01-01T00:00:00.000Z"


def test_what_is_published_can_be_read_by_the_same_rules():
    made = binary.structured(binary.headers(type="t", id="i", subject="s", at_ms=0), b'{"n":1}')
    assert isinstance(made, bytes)
    assert json.loads(made)["data"] == {"n": 1}
