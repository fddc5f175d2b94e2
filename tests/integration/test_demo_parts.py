"""What the live demo has beside its traffic, by its parts: pictures, a receiver of messages, tokens, a phone."""

from __future__ import annotations

import hashlib
import json
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from consumers.channels.kinds import webhook
from consumers.channels.message import Message, MessageLine
from consumers.channels.settings import read_channels
from engine.clock import now_ms
from engine.operations import tokens
from engine.packs import folder_of
from engine.principals import digest_of
from engine.runtime import Engine
from engine.store import people
from engine.uploads.media import media_type
from gridpatrol.cli import main
from gridpatrol.client import Refused, Server
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.next_step import advance, open_deadline, revive
from gridpatrol.demo.phone import ENOUGH, Phone
from gridpatrol.demo.photos import EVERY_S, Photos
from gridpatrol.demo.pictures import HEIGHT, WIDTH, picture
from gridpatrol.run.demo_inbox import Inbox
from gridpatrol.run.demo_people import give_tokens, people_of, token_file
from schemas.messages import Words
from tests.support.builders import OPERATOR, weiyang
from tests.support.serving import Served, prepared, served, wait_until

NOW = 1_774_000_000_000
LOCALITY = Locality(folder_of("weiyang"))


# ---- pictures ------------------------------------------------------------------------------------------------


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG, each with its check sum checked."""
    place = 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + body)
        yield kind, body
        place += 12 + length


def test_a_picture_is_a_whole_png_that_only_its_numbers_make() -> None:
    content = picture(Random(1))
    assert media_type(content[:16]) == "image/png" and len(content) < 4096
    found = dict(chunks(content))
    assert list(found) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", found[b"IHDR"]) == (WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    assert len(zlib.decompress(found[b"IDAT"])) == HEIGHT * (1 + 3 * WIDTH)
    assert picture(Random(1)) == content != picture(Random(2))


# ---- messages ------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "demo", "Asia/Shanghai")) as opened:
        yield opened


def message(count: int = 1) -> Message:
    """A message of so many cases."""
    line = MessageLine(
        text=Words("处置到期", "handle is due"),
        ids={"WY01-CHIEF": "a"},
        what="firing",
        alert="a",
        case="WY01.1",
        number="482913605",
        definition="incident",
        kind="due",
        clock="handle",
        level=3,
        path="/XA/WY/WY01/",
        due_at=NOW,
        link="http://127.0.0.1/v1/incidents/WY01.1",
    )
    subject = Words("一号街道：处置 1 件", "Street 1: handle, 1")
    return Message("msg_1", "desk", "", NOW, subject, {"WY01-CHIEF": "街道办事处主任"}, [line] * count, count)


def test_a_signed_message_is_written_for_people_in_both_languages(inbox: Inbox) -> None:
    config = read_channels(str(inbox.write_channels("http://127.0.0.1:8420", ["WY01-CHIEF"], ["WY-SUPERVISOR"])))
    assert config.base_url == "http://127.0.0.1:8420" and config.remarks == ()
    assert all(channel.private and channel.where == "127.0.0.1" for channel in config.channels.values())
    at_once, digests = config.routes
    assert (at_once.posts, at_once.digest) == (("WY01-CHIEF",), False)
    assert (digests.posts, digests.digest, len(digests.digest_at)) == (("WY-SUPERVISOR",), True, 144)
    assert webhook.send(config.channels["desk"], message(), NOW).result == "sent"
    text = inbox.messages.read_text(encoding="utf-8")
    for said in (
        "街道办事处主任",
        "一号街道：处置 1 件",
        "Street 1: handle, 1",
        "482 913 605  处置到期",
        "handle is due",
    ):
        assert said in text
    assert "03-20 17:46:40" in text  # on the wall clock of the pack
    assert webhook.send(config.channels["digest"], message(20), NOW).result == "sent"
    assert inbox.messages.read_text(encoding="utf-8").endswith("另 8 件 8 more\n\n")


def test_what_our_server_has_not_signed_is_not_written(inbox: Inbox) -> None:
    headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(inbox.url, b"{}", headers), timeout=20)
    assert refused.value.code == 401
    assert inbox.messages.read_text(encoding="utf-8") == ""


def test_the_command_for_channels_tries_the_demo_s(inbox: Inbox) -> None:
    file = inbox.write_channels("http://127.0.0.1:8420", ["WY01-CHIEF"], [])
    done = CliRunner().invoke(main, ["channel", "test", "desk", "--channels", str(file)])
    assert done.exit_code == 0, done.output
    assert "这是一条测试消息" in inbox.messages.read_text(encoding="utf-8")


# ---- people --------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine with the sample pack; its door asks for no token."""
    with prepared(sqlite_url) as opened:
        yield opened


def held(engine: Engine, post: str) -> set[str]:
    """The digests of the tokens of a post that count."""
    with engine.database.read() as connection:
        return {row.digest for row in people.of_post(connection, post, now_ms())}


def test_tokens_stay_over_starts_and_are_given_anew_where_they_have_ended(engine: Engine, tmp_path: Path) -> None:
    persons = people_of(weiyang())
    assert [(one.name, one.post.code, one.reads) for one in persons] == [
        ("member", "WY01-01-MEMBER", None),
        ("chief", "WY01-CHIEF", None),
        ("supervisor", "WY-SUPERVISOR", ["WY"]),
    ]
    give_tokens(engine, persons, tmp_path)
    files = [token_file(tmp_path, one) for one in persons]
    first = [file.read_text().strip() for file in files]
    assert [held(engine, one.post.code) for one in persons] == [{digest_of(token)} for token in first]
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    give_tokens(engine, persons, tmp_path)
    assert [file.read_text().strip() for file in files] == first
    tokens.withdraw(engine, "WY01-01-MEMBER", OPERATOR)
    tokens.rotate(engine, "WY01-CHIEF", tokens.TokenWanted(), OPERATOR)
    give_tokens(engine, persons, tmp_path)
    again = [file.read_text().strip() for file in files]
    assert again[0] != first[0] and again[1] != first[1] and again[2] == first[2]
    assert [held(engine, one.post.code) for one in persons] == [{digest_of(token)} for token in again]


# ---- the phone -----------------------------------------------------------------------------------------------


@pytest.fixture
def phone(engine: Engine, tmp_path: Path) -> Iterator[tuple[Served, Phone]]:
    """A member's phone, and the door to which it speaks."""
    member = people_of(weiyang())[0]
    give_tokens(engine, [member], tmp_path)
    with served(engine) as door:
        token = token_file(tmp_path, member).read_text().strip()
        server = Server(str(door.client.base_url), token=token)
        seconds = iter(range(0, 10_000, 10))
        wait_until(lambda: door.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200)
        yield door, Phone(server, LOCALITY, Random(3), lambda: now_ms() / 1000, lambda: next(seconds))


def test_a_phone_keeps_work_for_whoever_tries_the_demo_and_does_the_rest(phone: tuple[Served, Phone]) -> None:
    door, mobile = phone
    for _ in range(ENOUGH):
        mobile.look()
    tasks = [task for task in door.get("/v1/tasks", post="WY01-01-MEMBER")["tasks"] if not task["duty"]]
    assert {task["id"] for task in tasks} == mobile.busy_with and len(tasks) == ENOUGH
    [case, *_] = (door.get(f"/v1/incidents/{task['id']}") for task in tasks)
    [near, far] = case["files"]
    assert (near["state"], far["state"]) == ("here", "here")
    assert media_type(door.client.get(f"/v1/files/{near['sha256']}").content[:16]) == "image/png"
    words = door.client.get(f"/v1/incidents/{case['id']}/words", params={"post": "WY01-01-MEMBER"}).json()
    assert "description" in json.dumps(words)
    mobile.report()
    before = {task["id"]: task["task"]["code"] for task in door.get("/v1/tasks", post="WY01-01-MEMBER")["tasks"]}
    mobile.look()  # there is more than enough now: it does one
    after = {task["id"]: task["task"]["code"] for task in door.get("/v1/tasks", post="WY01-01-MEMBER")["tasks"]}
    assert before != after


def test_what_is_asked_for_above_is_decided_there_by_the_traffic(phone: tuple[Served, Phone]) -> None:
    """Asked by the department that leads, and granted or refused by who may; the rules take both."""
    door, mobile = phone
    mobile.look()
    [case] = mobile.busy_with
    people_rng, asked = Random(5), False
    for number in range(60):
        answer = door.get(f"/v1/incidents/{case}")
        if not answer["open"]:
            break
        script = revive(LOCALITY, people_rng, answer)
        assert script is not None
        if script.department and not asked and script.state in ("accepted", "handling"):
            due = open_deadline(answer)
            assert due is not None
            script.ask("extension", clock="total", due=(due + timedelta(days=1)).isoformat(), reason="weather")
            asked = True
        else:
            pending = answer["proposals"]
            advance(script, answer)
            if pending:
                assert script.events[-1].trigger in ("extension.granted", "extension.refused")
        event: dict[str, Any] = mobile.writer.event(script.events[-1], case, f"step-{number}", now_ms())
        told = door.post(event, Prefer="wait=20").json()
        assert told["outcome"] == "done", (event, told)
        if asked and not door.get(f"/v1/incidents/{case}")["proposals"]:
            return
    pytest.fail("nothing was asked for and decided")


# ---- photos --------------------------------------------------------------------------------------------------

PLANNED = {"url": "https://files.example/1.jpg", "sha256": "0" * 64, "kind": "near"}


class KeepsNoFiles(Server):
    """A door of a cluster without a place for files."""

    def put(self, path: str, body: bytes) -> Any:
        raise Refused(501, "this installation keeps no files")


def test_a_photo_is_sent_under_its_address_at_most_one_in_some_seconds(engine: Engine) -> None:
    clock = iter([0.0, 0.0, 0.0, EVERY_S - 1])
    event: dict[str, Any] = {"data": {"evidence": [dict(PLANNED), dict(PLANNED)]}}
    with served(engine) as door:
        Photos(Server(str(door.client.base_url)), Random(1), lambda: next(clock)).take(event)
        first, second = event["data"]["evidence"]
        content = door.client.get(f"/v1/files/{first['sha256']}").content
    assert first == {"sha256": hashlib.sha256(content).hexdigest(), "kind": "near"}
    assert second == PLANNED


def test_where_no_files_are_kept_evidence_stays_as_it_was_planned() -> None:
    clock = iter([0.0, 0.0, 1e9])
    photos = Photos(KeepsNoFiles("http://127.0.0.1:9"), Random(1), lambda: next(clock))
    for _ in range(2):
        event: dict[str, Any] = {"data": {"evidence": [dict(PLANNED)]}}
        photos.take(event)
        assert event["data"]["evidence"] == [PLANNED]
    assert next(clock, None) is None
