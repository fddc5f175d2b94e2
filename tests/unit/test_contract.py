"""The contract as others see it: shipped JSON Schemas are fresh, and judge events as the decoder does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas import facts
from schemas.envelope import Envelope, decode_data, decode_envelope, decode_sent
from schemas.events import EVENT_TYPES
from schemas.examples import DATA as EXAMPLES
from schemas.jsonschema import DIALECT, FOLDER, STEP, documents, write
from schemas.refusals import Refusal
from tests.support.builders import DUST, HOUR, MEMBER, STREET, Story, at, event


@cache
def made() -> dict[str, Any]:
    """The schemas that the code gives, by the name of their type."""
    return {name.removesuffix(".json"): json.loads(body) for name, body in documents().items()}


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(made()[name])
    return jsonschema.Draft202012Validator(made()[name])


def example(kind: str) -> dict[str, Any]:
    return event(kind, MEMBER, at("03-02 09:00"), **EXAMPLES[kind])


def decodes(said: dict[str, Any]) -> bool:
    envelope = decode_envelope(msgspec.json.encode(said))
    return not isinstance(envelope, Refusal) and not isinstance(decode_sent(envelope), Refusal)


def test_there_is_an_example_of_every_event_type():
    assert {f"gridpatrol.{kind}.v1" for kind in EXAMPLES} == set(EVENT_TYPES)


def test_the_shipped_schemas_are_the_ones_that_the_code_gives():
    shipped = {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
    assert shipped == documents(), "run: gridpatrol schema --write"


def test_schemas_are_written_anew_and_stale_ones_removed(tmp_path):
    (tmp_path / "gridpatrol.gone.v1.json").write_text("{}")
    written = write(tmp_path)
    assert sorted(tmp_path.iterdir()) == written
    assert [path.name for path in written] == list(documents())


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_satisfies_schema_and_decoder(kind):
    said = example(kind)
    validator(said["type"]).validate(said)
    assert decodes(said)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_schema_and_decoder_refuse_the_same_events(kind):
    said = example(kind)
    schema = validator(said["type"])
    wrong = [
        {**said, "specversion": "0.3"},
        {**said, "actor": "two words"},
        {**said, "subject": "WY01.not-a-uuid-but-as-long-as-one-would-be"},
        {**said, "data": []},
        {**said, "data": {**said["data"], "note": 7}},
        {name: value for name, value in said.items() if name != "time"},
    ]
    for name, value in said["data"].items():
        if isinstance(value, str) and name not in ("note", "text", "description", "requirement"):
            wrong.append({**said, "data": {**said["data"], name: 5}})
    for bad in wrong:
        assert not decodes(bad), bad
        assert not schema.is_valid(bad), bad


SEALED = [
    (kind, member)
    for kind in EXAMPLES
    for member, part in made()[f"gridpatrol.{kind}.v1"]["$defs"][EVENT_TYPES[f"gridpatrol.{kind}.v1"].__name__][
        "properties"
    ].items()
    if any(choice.get("x-sealed") for choice in part.get("anyOf", [part]))
]
"""Every member of every type of event whose words are sealed."""


WORDS: tuple[tuple[Any, bool], ...] = (
    (None, True),
    ("", True),
    ("尘" * 20_000, True),
    ("😷" * 20_000, True),  # characters count, not their halves
    ("尘" * 20_001, False),
    ("😷" * 20_001, False),
    (7, False),
    (True, False),
    (["尘"], False),
    ({"text": "尘"}, False),
)
"""What a sealed member may be told, and what not."""


@pytest.mark.parametrize(("kind", "member"), SEALED)
def test_words_that_are_sealed_keep_the_contract_like_all_others(kind, member):
    said = example(kind)
    for value, good in WORDS:
        told = said | {"data": said["data"] | {member: value}}
        assert validator(said["type"]).is_valid(told) is decodes(told) is good, (type(value), str(value)[:20])


def test_what_is_sealed_is_found_in_every_type():
    assert {kind for kind, _ in SEALED} == set(EXAMPLES)
    assert {member for _, member in SEALED} >= {"note", "description", "reporter_name", "reporter_contact", "text"}


LINKS = [
    ("https://files.example/1.jpg", True),
    ("HTTP://files.example", True),
    ("https://文件.example:8443?photo=近景 1", True),
    ("http://[2001:db8::1]:80/1.jpg", True),
    ("http://127.0.0.1#near", True),
    ("javascript:alert(1)", False),
    ("JavaScript://files.example/%0aalert(1)", False),
    ("data:image/png;base64,AAAA", False),
    ("file:///etc/passwd", False),
    ("ftp://files.example/1.jpg", False),
    (" https://files.example/1.jpg", False),
    ("https://", False),
    ("https:///1.jpg", False),
    ("https://files.example\n", False),
    ("https://files.example\\@other.example/", False),
    ("https://who:secret@files.example/1.jpg", False),
    ("https:files.example", False),
    ("//files.example/1.jpg", False),
    ("1.jpg", False),
    ("", False),
    ("https://files.example/" + "a" * 1979, False),
]


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if "evidence" in EXAMPLES[kind]])
@pytest.mark.parametrize(("url", "good"), LINKS)
def test_the_address_of_a_photo_is_one_that_a_browser_may_open(kind, url, good):
    said = example(kind)
    photo = {"url": url, "sha256": "ab" * 32, "kind": "near"}
    said["data"] = said["data"] | {"evidence": [{**photo, "url": "https://files.example/0.jpg"}, photo]}
    assert validator(said["type"]).is_valid(said) is decodes(said) is good


@pytest.mark.parametrize(
    ("into", "good"),
    [
        ("WY01.019ca8f8-5a00-7000-8000-000000000002", True),
        ("the same heap as yesterday, see 13800000000", False),
        ("WY01.019ca8f8-5a00-4000-8000-000000000002", False),
        ("WY/01.019ca8f8-5a00-7000-8000-000000000002", False),
        ("WY01.019CA8F8-5A00-7000-8000-000000000002", False),
        ("WY01.019ca8f8-5a00-7000-8000-000000000002\n", False),
    ],
)
def test_a_case_is_merged_into_an_id_and_no_free_text(into, good):
    said = example("incident.merged")
    said["data"] = said["data"] | {"into": into}
    assert validator(said["type"]).is_valid(said) is decodes(said) is good


def test_every_type_that_takes_photos_is_asked_for_their_addresses():
    asked = {f"gridpatrol.{kind}.v1" for kind in EXAMPLES if "evidence" in EXAMPLES[kind]}
    holding = {name for name, schema in made().items() if '"url"' in json.dumps(schema)}
    assert holding - {STEP} == asked


@pytest.mark.parametrize(
    ("address", "good"),
    [*LINKS[:-1], ("urn:gridpatrol:schema:gridpatrol.incident.accepted.v1", True), (None, True), ("a" * 401, False)],
)
def test_the_address_of_a_schema_is_one_that_may_be_opened_or_a_urn(address, good):
    said = example("incident.accepted") | {"dataschema": address}
    assert validator(said["type"]).is_valid(said) is decodes(said) is good


def test_the_log_of_earlier_releases_may_hold_other_addresses():
    said = example("evidence.added")
    said["data"]["evidence"] = [{"url": "javascript:alert(1)", "sha256": "ab" * 32, "kind": "near"}]
    envelope = decode_envelope(msgspec.json.encode(said))
    assert isinstance(envelope, Envelope)
    assert not isinstance(decode_data(envelope), Refusal)


def listed(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[tuple[Any, list[str]]]:
    """A value with a word that is not listed, for each list of words below a part of a schema; and the list."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if "enum" in part:
        yield "unheard of", part["enum"]
    for inner in (*part.get("anyOf", ()), *part.get("allOf", ())):
        yield from listed(schema, inner)
    for wrong, words in listed(schema, part["items"]) if "items" in part else ():
        yield [wrong], words
    for name, member in part.get("properties", {}).items():
        for wrong, words in listed(schema, member):
            yield {name: wrong}, words


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_word_that_is_not_listed_is_answered_with_those_that_are(kind):
    name = f"gridpatrol.{kind}.v1"
    schema = made()[name]
    for wrong, words in listed(schema, schema["properties"]["data"]):
        envelope = decode_envelope(msgspec.json.encode(example(kind) | {"data": wrong}))
        assert isinstance(envelope, Envelope)
        refusal = decode_data(envelope)
        assert isinstance(refusal, Refusal)
        said = refusal.detail.removeprefix("must be one of: ")
        assert sorted(said.split(", ")) == sorted(words) and "unheard" not in refusal.detail, wrong


def test_most_types_have_a_list_of_words():
    schemas = [made()[f"gridpatrol.{kind}.v1"] for kind in EXAMPLES]
    assert sum(any(True for _ in listed(schema, schema["properties"]["data"])) for schema in schemas) > 8


def test_members_beyond_the_contract_are_allowed():
    said = example("incident.accepted") | {"weather": "dust", "data": {"colour": "red"}}
    validator(said["type"]).validate(said)
    assert decodes(said)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_schema_says_what_it_is_and_which_members_are_sealed(name):
    schema = made()[name]
    assert schema["$schema"] == DIALECT
    assert schema["properties"]["type"]["const"] == name
    assert schema["description"]
    assert all(part["description"] for member, part in schema["properties"].items() if member != "data")
    note = schema["$defs"][EVENT_TYPES[name].__name__]["properties"]["note"]
    assert note["anyOf"][0]["x-sealed"] is True


def test_a_step_as_it_is_published_satisfies_its_schema():
    story = Story().found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.done("incident.accepted", STREET)
    story.until(story.now + 90 * 24 * HOUR)
    schema = validator(STEP)
    for n, told in enumerate(story.steps, start=1):
        step = facts.Step(
            partition=3,
            n=n,
            case=story.case.id,
            seq=n,
            at=story.now,
            day=20260302,
            policy=story.rules.hash,
            definition="incident",
            path="/XA/WY/WY01/WY01-01/",
            category=DUST,
            group="dust",
            department="",
            post=MEMBER,
            cause=told.cause,
            facts=told.facts,
        )
        assert facts.decode_step(facts.encode_step(step)) == step
        schema.validate(json.loads(facts.encode_step(step)))
