"""The AsyncAPI document as other people's software reads it: valid, fresh, and true of what is sent and taken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from engine.cluster import topics
from engine.settings import Settings
from schemas import binary, examples, facts, messages
from schemas.asyncapi import FOLDER, NAME, document, write
from schemas.channels import TOPICS
from schemas.envelope import decode_data, decode_envelope, decode_record
from schemas.events import EVENT_TYPES, trigger_of
from schemas.refusals import Refusal
from schemas.topics import Topics

OFFICIAL = Path(__file__).parents[1] / "vendor" / "asyncapi-3.0.0.json.gz"
DECODERS = {
    "step": facts.decode_step,
    "alert": messages.decode_alert,
    "deadletter": messages.decode_letter,
    "figure": messages.decode_cell,
}
SENT = {"step": examples.STEP, "alert": examples.LINE, "deadletter": examples.LETTER, "figure": examples.CELL}


@cache
def told() -> dict[str, Any]:
    """The document as it is read."""
    return json.loads(document())


MESSAGES = told()["components"]["messages"]


def judge(schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    """A schema of the document, with what it refers to. AsyncAPI's schemas are those of draft 7."""
    return jsonschema.Draft7Validator({"components": told()["components"], "allOf": [schema]})


def sent(name: str) -> tuple[dict[str, str], bytes]:
    """Headers and value of a message's example."""
    [example] = MESSAGES[name]["examples"]
    return example["headers"], msgspec.json.encode(example["payload"])


def references(value: Any) -> Iterator[str]:
    """Every reference inside a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def found(reference: str) -> Any:
    """What a reference leads to."""
    value = told()
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


# ---- the document -------------------------------------------------------------------------------------------


def test_the_shipped_document_is_the_one_that_the_code_gives():
    assert (FOLDER / NAME).read_bytes() == document(), "run: gridpatrol schema --write"
    assert [path.name for path in FOLDER.iterdir()] == [NAME]


def test_it_is_written_where_it_is_wanted(tmp_path):
    assert write(tmp_path / "new").read_bytes() == document()


def test_it_keeps_the_official_schema_of_asyncapi():
    official = json.loads(gzip.decompress(OFFICIAL.read_bytes()))
    judge_of_documents = jsonschema.Draft7Validator(official)
    judge_of_documents.validate(told())
    # The official schema does refuse: else the line above would say nothing.
    assert not judge_of_documents.is_valid(told() | {"asyncapi": "2.6.0"})
    wrong = told() | {"operations": {"receive": {"action": "listen", "channel": {"$ref": "#/channels/facts"}}}}
    assert not judge_of_documents.is_valid(wrong)


def test_every_reference_leads_somewhere_and_every_schema_and_message_is_used():
    used = set(references(told()))
    for reference in used:
        assert found(reference), reference
    parts = told()["components"]
    named = {f"#/components/{kind}/{name}" for kind in ("schemas", "messages") for name in parts[kind]}
    assert named <= used


def test_an_operation_tells_the_messages_of_its_channel():
    for name, operation in told()["operations"].items():
        channel = operation["channel"]["$ref"]
        assert {reference.rpartition("/messages/")[0] for reference in references(operation["messages"])} == {channel}
        assert name.startswith(operation["action"])


def test_every_fact_has_a_schema():
    tags = {f"fact.{fact.__struct_config__.tag}" for fact in get_args(facts.AnyFact)}
    schemas = told()["components"]["schemas"]
    assert tags == {name for name in schemas if name.startswith("fact.")}
    told_in_a_step = {ref.rpartition("/")[2] for ref in references(schemas["Step"])}
    assert tags <= told_in_a_step


def test_the_scheme_of_the_wire_is_scram_over_tls():
    assert told()["components"]["securitySchemes"]["scram"]["type"] == "scramSha512"
    assert told()["servers"]["cluster"]["protocol"] == "kafka-secure"
    assert list(references(told()["servers"]["cluster"]["security"])) == ["#/components/securitySchemes/scram"]


# ---- topics -------------------------------------------------------------------------------------------------


def test_topics_are_described_as_they_are_created():
    created = topics.wanted(Settings(), 32, 3, ["hotline"])
    addresses = {TOPICS[name].address.replace("{system}", "hotline"): name for name in TOPICS}
    assert set(addresses) == set(created)
    for address, plan in created.items():
        bound = told()["channels"][addresses[address]]["bindings"]["kafka"]
        assert bound.get("partitions", plan["num_partitions"]) == plan["num_partitions"]
        said = {name: ",".join(v) if isinstance(v, list) else str(v) for name, v in bound["topicConfiguration"].items()}
        # Without a word of it the brokers delete; which copies are safe is the installation's matter.
        configs = {"cleanup.policy": "delete"} | plan["configs"]
        for own in ("min.insync.replicas", "unclean.leader.election.enable"):
            configs.pop(own)
        assert said == configs


def test_topics_have_the_names_that_the_engine_uses():
    names = Topics()
    addresses = {name: channel["address"] for name, channel in told()["channels"].items()}
    assert addresses.pop("intake").replace("{system}", "hotline") == names.intake("hotline")
    assert addresses == {name: getattr(names, name) for name in addresses}


def test_a_topic_says_key_order_time_writers_and_readers():
    for channel in told()["channels"].values():
        for rule in ("**Key**: ", "**Order**: ", "**Kept**: ", "**Written by**: ", "**Read by**: "):
            assert rule in channel["description"]


# ---- messages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_keeps_the_schema_of_its_message(name):
    [example] = MESSAGES[name]["examples"]
    judge(MESSAGES[name]["payload"]).validate(example["payload"])
    judge(MESSAGES[name]["headers"]).validate(example["headers"])
    key = MESSAGES[name]["bindings"]["kafka"]["key"]
    judge(key).validate(key["examples"][0])


def test_every_event_type_is_taken_in_both_modes_with_an_example():
    kinds = {trigger_of(name) for name in EVENT_TYPES}
    assert kinds == set(examples.DATA)
    assert set(told()["channels"]["intake"]["messages"]) == {f"{k}{mode}" for k in kinds for mode in ("", ".binary")}


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_an_example_of_an_event_is_decoded_and_is_the_same_in_both_modes(type_):
    kind = trigger_of(type_)
    whole = binary.structured(*sent(kind))
    joined = binary.structured(*sent(f"{kind}.binary"))
    assert isinstance(whole, bytes)
    assert isinstance(joined, bytes)
    assert json.loads(joined) == json.loads(whole) | {"datacontenttype": "application/json"}
    event = decode_envelope(joined)
    assert not isinstance(event, Refusal), event
    assert event.type == type_
    assert not isinstance(decode_data(event), Refusal)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_schema_and_decoder_refuse_the_same_headers(type_):
    kind = trigger_of(type_)
    headers, content = sent(f"{kind}.binary")
    schema = judge(MESSAGES[f"{kind}.binary"]["headers"])
    for name in headers:
        if name == "content-type":
            continue
        less = {other: value for other, value in headers.items() if other != name}
        assert not schema.is_valid(less), name
        made = binary.structured(less, content)
        assert isinstance(made, Refusal) or isinstance(decode_envelope(made), Refusal), name
    for change in ({"ce_specversion": "0.3"}, {"ce_actor": "two words"}, {"content-type": "text/plain"}):
        assert not schema.is_valid(headers | change)
        made = binary.structured(headers | change, content)
        assert isinstance(made, Refusal) or isinstance(decode_envelope(made), Refusal), change
    assert not schema.is_valid(headers | {"ce_type": "gridpatrol.nothing.v1"})


@pytest.mark.parametrize("name", DECODERS)
def test_an_example_of_what_is_sent_is_decoded_to_what_it_was(name):
    headers, value = sent(name)
    assert DECODERS[name](value) == SENT[name]
    assert headers["ce_type"] == MESSAGES[name]["name"]
    made = binary.structured(headers, value)
    assert isinstance(made, bytes)
    assert json.loads(made)["data"] == json.loads(value)


def test_an_example_of_a_record_is_decoded():
    headers, value = sent("inbox.event")
    assert decode_record(value) == examples.record()
    assert headers == {"kind": "event", "principal": "app"}


def test_schemas_of_what_is_sent_refuse_what_the_decoders_refuse():
    for name, decode in DECODERS.items():
        _, value = sent(name)
        for member in json.loads(value):
            less = {other: v for other, v in json.loads(value).items() if other != member}
            try:
                decode(msgspec.json.encode(less))
                taken = True
            except msgspec.ValidationError:
                taken = False
            assert judge(MESSAGES[name]["payload"]).is_valid(less) == taken, (name, member)


def test_the_key_of_a_figure_tells_cells_apart():
    key = messages.cell_key(examples.CELL)
    assert json.loads(key) == [
        "on_time",
        20260302,
        "/XA/WY/WY01/WY01-01/",
        "",
        "D3-01",
        "dust",
        "WY01-CHIEF",
        "incident",
    ]
    assert " " not in key
    again = msgspec.structs.replace(examples.CELL, value=13)
    assert messages.cell_key(again) == key
    moved = msgspec.structs.replace(examples.CELL, department="WY01-CHIEF", post="")
    assert messages.cell_key(moved) != key
    other = msgspec.structs.replace(examples.CELL, definition="service_request")
    assert messages.cell_key(other) != key
    of_before = msgspec.structs.replace(examples.CELL, definition="")
    assert json.loads(messages.cell_key(of_before)) == json.loads(key)[:-1]
