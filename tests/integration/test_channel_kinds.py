"""Each kind of channel against a server of its kind, which judges bytes and signatures by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from consumers.channels import signatures
from consumers.channels.http_request import ask, retry_after_s
from consumers.channels.kinds import send
from consumers.channels.message import Message, MessageLine
from consumers.channels.outcome import Outcome
from consumers.channels.settings import Channel, Secret
from engine.addresses import AddressRefused, is_public
from lab.parts.certificates import Certificate, make_certificate
from schemas.messages import Words
from tests.support.channel_feed import SECRET
from tests.support.receivers import HttpReceiver, MailReceiver, http_receiver

NOW = 1_772_413_200_123


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "door")


@pytest.fixture(scope="module")
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture(autouse=True)
def as_new(receiver: HttpReceiver) -> None:
    receiver.answer = (200, {}, b"{}")
    while not receiver.had.empty():
        receiver.next()


def message(cases: int = 2, recipient: str = "") -> Message:
    lines = [
        MessageLine(
            text=Words(f"事件「扬尘」{number}：处置到期。", f"Incident {number}: handle: due."),
            ids={"WY03-CHIEF": f"case-{number}|firing|WY03-CHIEF"},
            what="firing",
            alert=f"case-{number}",
            case=f"case-{number}",
            number="482913605",
            definition="incident",
            kind="due",
            clock="handle",
            level=3,
            path="/XA/WY/WY03/",
            due_at=NOW,
            due=NOW,
            link=f"https://grid.example/c/{number}",
        )
        for number in range(1, cases + 1)
    ]
    subject = Words("三号街道：处置 2 件今日 16:00 到期", "Street 3: handle, 2 due today 16:00")
    posts = {"WY03-CHIEF": "街道办事处主任"}
    return Message("msg_1f", "one", recipient, NOW, subject, posts, lines, cases, "https://grid.example")


def channel(kind: str, url: str = "", **more: Any) -> Channel:
    return Channel(name="one", kind=kind, url=Secret(url), private=True, timeout_s=10, **more)


def sent(found: Channel, receiver: HttpReceiver, body: bytes = b"{}", status: int = 200) -> Outcome:
    receiver.answer = (status, {}, body)
    return send(found, message(), NOW)


# ---- signatures -------------------------------------------------------------------------------------------------


def test_the_signature_of_a_webhook_is_that_of_the_published_vector():
    # From the tests of the reference libraries of Standard Webhooks.
    body = b'{"test": 2432232314}'
    signed = signatures.standard_webhook(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_old_secret_signs_beside_the_new_one():
    fresh = "whsec_" + base64.b64encode(b"n" * 32).decode()
    one, two = signatures.standard_webhook(f"{fresh}\n{SECRET}", "id", 1, b"x").split(" ")
    assert two == signatures.standard_webhook(SECRET, "id", 1, b"x")
    assert one != two


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_????", "whsec_" + base64.b64encode(b"short").decode()])
def test_what_is_no_secret_of_a_webhook_is_none(text):
    assert signatures.keys_of(text) == []


# ---- webhook ----------------------------------------------------------------------------------------------------


def test_a_webhook_has_all_lines_with_codes_and_words_and_is_signed(receiver):
    outcome = sent(
        channel("webhook", f"{receiver.url}/hook?x=1", secret=Secret(SECRET)), receiver, status=204, body=b""
    )
    assert outcome.result == "sent"
    had = receiver.next()
    assert (had.method, had.path, had.headers["webhook-id"]) == ("POST", "/hook?x=1", "msg_1f")
    assert had.headers["webhook-timestamp"] == str(NOW // 1000)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b"msg_1f." + str(NOW // 1000).encode() + b"." + had.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert had.headers["webhook-signature"] == f"v1,{expected}"
    said = msgspec.json.decode(had.body)
    assert (said["type"], said["timestamp"]) == ("gridpatrol.alerts.told", "2026-03-02T01:00:00.123Z")
    assert said["data"]["subject"]["zh"] == "三号街道：处置 2 件今日 16:00 到期"
    first = said["data"]["lines"][0]
    assert (first["case"], first["clock"], first["due"]) == ("case-1", "handle", "2026-03-02T01:00:00.123Z")
    assert first["ids"] == {"WY03-CHIEF": "case-1|firing|WY03-CHIEF"}


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        (302, "again", "not followed"),
        (401, "again", "check the secret"),
        (410, "refused", "no more messages"),
        (413, "refused", "too long"),
        (418, "again", "it answered 418"),
        (503, "again", "just now"),
    ],
)
def test_a_status_is_told_in_plain_words(receiver, status, result, words):
    receiver.answer = (status, {"Location": f"{receiver.url}/elsewhere"}, b"")
    outcome = send(channel("webhook", receiver.url, secret=Secret(SECRET)), message(), NOW)
    assert outcome.result == result and words in outcome.words
    assert receiver.next().path == "/"
    assert receiver.had.empty()  # nothing went elsewhere


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": formatdate(NOW / 1000 + 300, usegmt=True)}, 299.877),
        ({"retry-after": formatdate(NOW / 1000 - 300, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"x-ogw-ratelimit-reset": "52"}, 52.0),
        ({}, None),
    ],
)
def test_how_long_it_wants_to_be_left_alone(said, wait_s):
    found = retry_after_s(said, NOW)
    assert found == (wait_s if wait_s is None else pytest.approx(wait_s))


def test_https_trusts_whom_the_channel_says(certified):
    with http_receiver((certified.certificate, certified.key)) as receiver:
        trusting = channel("webhook", receiver.url, secret=Secret(SECRET), ca=str(certified.ca))
        assert send(trusting, message(), NOW).result == "sent"
        assert receiver.next().headers["host"] == f"localhost:{receiver.port}"
        outcome = send(channel("webhook", receiver.url, secret=Secret(SECRET)), message(), NOW)
        assert outcome.result == "again" and "is not trusted" in outcome.words


# ---- robots -----------------------------------------------------------------------------------------------------


def test_wecom_takes_markdown_with_the_key_in_its_address(receiver):
    url = f"{receiver.url}/cgi-bin/webhook/send?key=k"
    assert sent(channel("wecom", url), receiver, b'{"errcode":0,"errmsg":"ok"}').result == "sent"
    had = receiver.next()
    assert had.path == "/cgi-bin/webhook/send?key=k"
    said = msgspec.json.decode(had.body)
    assert said["msgtype"] == "markdown"
    lines = said["markdown"]["content"].split("\n")
    assert lines[0] == "**三号街道：处置 2 件今日 16:00 到期**"
    assert lines[2] == "- [482 913 605 事件「扬尘」1：处置到期。 → 街道办事处主任](https://grid.example/c/1)"


def test_dingtalk_signs_in_the_query(receiver):
    secret, url = "SEC000", f"{receiver.url}/robot/send?access_token=t"
    outcome = sent(channel("dingtalk", url, secret=Secret(secret)), receiver, b'{"errcode":0,"errmsg":"ok"}')
    assert outcome.result == "sent"
    had = receiver.next()
    query = parse_qs(urlsplit(had.path).query)
    expected = hmac.new(secret.encode(), f"{NOW}\n{secret}".encode(), hashlib.sha256).digest()
    assert query == {
        "access_token": ["t"],
        "timestamp": [str(NOW)],
        "sign": [base64.b64encode(expected).decode()],
    }
    assert had.headers["content-type"] == "application/json; charset=utf-8"
    said = msgspec.json.decode(had.body)
    assert said["msgtype"] == "markdown"
    assert said["markdown"]["title"] == "三号街道：处置 2 件今日 16:00 到期"


def test_feishu_signs_in_the_body(receiver):
    secret = "s"
    found = channel("feishu", f"{receiver.url}/open-apis/bot/v2/hook/x", secret=Secret(secret), language="zh+en")
    assert sent(found, receiver, b'{"code":0,"msg":"success","data":{}}').result == "sent"
    said = msgspec.json.decode(receiver.next().body)
    at = str(NOW // 1000)
    expected = hmac.new(f"{at}\n{secret}".encode(), b"", hashlib.sha256).digest()
    assert (said["timestamp"], said["sign"]) == (at, base64.b64encode(expected).decode())
    post = said["content"]["post"]["zh_cn"]
    assert said["msg_type"] == "post"
    assert post["title"] == "三号街道：处置 2 件今日 16:00 到期 / Street 3: handle, 2 due today 16:00"
    assert post["content"][0][1] == {"tag": "a", "text": " ↗", "href": "https://grid.example/c/1"}


@pytest.mark.parametrize(
    ("kind", "answer", "words", "wait_s"),
    [
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, "too many messages", 60.0),
        ("wecom", {"errcode": 40058, "errmsg": "x"}, "too long", None),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, "too many messages", 600.0),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, "check secret", None),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, "the signature does not match", None),
        ("feishu", {"code": 11232, "msg": "x"}, "too many messages", 60.0),
        ("feishu", {"StatusMessage": "success"}, "its answer has no code", None),
    ],
)
def test_a_code_inside_a_200_counts(receiver, kind, answer, words, wait_s):
    outcome = sent(channel(kind, receiver.url, secret=Secret("s")), receiver, msgspec.json.encode(answer))
    receiver.next()
    assert outcome.result == "again" and words in outcome.words
    assert outcome.wait_s == wait_s


@pytest.mark.parametrize(("kind", "most"), [("wecom", 4096), ("dingtalk", 20_000), ("feishu", 20_480)])
def test_a_message_of_a_robot_fits_and_says_how_much_it_leaves_out(receiver, kind, most):
    receiver.answer = (200, {}, b'{"errcode":0,"code":0}')
    send(channel(kind, receiver.url, secret=Secret("s")), message(cases=400), NOW)
    body = receiver.next().body
    said = msgspec.json.decode(body)
    text = said["markdown"].get("content") or said["markdown"]["text"] if "markdown" in said else body.decode()
    assert most / 2 < len(text.encode()) <= most
    assert "另有 " in text and " 件未列出" in text


# ---- mail -------------------------------------------------------------------------------------------------------


def test_a_mail_goes_over_tls_after_a_login_and_has_the_same_id_each_time(certified):
    server = MailReceiver((certified.certificate, certified.key))
    try:
        found = Channel(
            name="mail",
            kind="smtp",
            host="localhost",
            port=server.port,
            user="grid",
            secret=Secret("hush"),
            sender="网格 <grid@city.example>",
            to={"WY03-CHIEF": ("chief@city.example", "deputy@city.example")},
            private=True,
            ca=str(certified.ca),
        )
        for _ in range(2):
            assert send(found, message(recipient="WY03-CHIEF"), NOW).words == "taken by the mail server"
        one, two = server.mails.get(), server.mails.get()
        assert one.tls and base64.b64decode(one.login) == b"\0grid\0hush"
        assert one.sender.startswith("mail FROM:<grid@city.example>")
        assert [part.split(":")[1] for part in one.recipients] == ["<chief@city.example>", "<deputy@city.example>"]
        mail = message_from_bytes(one.data, policy=policy.default)
        assert mail["Subject"] == "三号街道：处置 2 件今日 16:00 到期"
        assert mail["Message-ID"] == "<msg_1f@city.example>" and one.data == two.data
        text = mail.get_content().replace("\r\n", "\n")
        assert text.startswith("482 913 605 事件「扬尘」1：处置到期。\n  https://grid.example/c/1\n")
        server.refuses = "550 no such user"
        outcome = send(found, message(recipient="WY03-CHIEF"), NOW)
        assert (outcome.result, outcome.whole) == ("refused", False) and "(550)" in outcome.words
        server.refuses = "451 later"
        assert send(found, message(recipient="WY03-CHIEF"), NOW).result == "again"
        stranger = msgspec.structs.replace(found, ca="")
        assert "is not trusted" in send(stranger, message(recipient="WY03-CHIEF"), NOW).words
        nobody = msgspec.structs.replace(found, to={})
        assert send(nobody, message(recipient="WY03-CHIEF"), NOW).result == "refused"
    finally:
        server.close()


# ---- a templated request ----------------------------------------------------------------------------------------


def test_a_template_is_filled_in_as_each_place_needs(receiver):
    found = channel(
        "http",
        f"{receiver.url}/sms/{{to}}?note={{subject}}",
        secret=Secret('k"1'),
        to={"WY03-CHIEF": ("+86 29",)},
        headers={"X-Key": "{secret}", "X-Id": "{id}", "X-Title": "题 {subject}"},
        body='{"key": "{secret}", "text": "{subject}", "more": {"lines": "{text}"}}',
        success={"result.code": "OK", "count": "1"},
    )
    receiver.answer = (200, {}, b'{"result": {"code": "OK"}, "count": 1}')
    assert send(found, message(recipient="WY03-CHIEF"), NOW).result == "sent"
    had = receiver.next()
    path, _, query = had.path.partition("?")
    assert path == "/sms/%2B86%2029"
    assert parse_qs(query) == {"note": ["三号街道：处置 2 件今日 16:00 到期"]}
    assert (had.headers["x-key"], had.headers["x-id"]) == ('k"1', "msg_1f")
    assert had.headers["x-title"].encode("latin-1").decode() == "题 三号街道：处置 2 件今日 16:00 到期"
    said = msgspec.json.decode(had.body)
    assert (said["key"], said["text"]) == ('k"1', "三号街道：处置 2 件今日 16:00 到期")
    assert said["more"]["lines"].startswith("482 913 605 事件")
    receiver.answer = (200, {}, b'{"result": {"code": "isv.BUSY"}, "count": 1}')
    outcome = send(found, message(recipient="WY03-CHIEF"), NOW)
    assert outcome.result == "again" and "result.code" in outcome.words and "BUSY" not in outcome.words
    assert send(found, message(recipient="XA-CHIEF"), NOW).result == "refused"


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        ("a={subject}&b=1", {}, b"a=%3C%26%22%3E%20x&b=1"),
        ("<a>{subject}</a>", {"Content-Type": "text/xml"}, b'<a>&lt;&amp;"&gt; x</a>'),
        ('["{subject}"]', {}, b'["<&\\"> x"]'),
    ],
)
def test_what_is_filled_in_is_escaped_once(receiver, body, headers, said):
    found = channel("http", receiver.url, body=body, headers=headers)
    odd = msgspec.structs.replace(message(), subject=Words('<&"> x', ""))
    assert send(found, odd, NOW).result == "sent"
    assert receiver.next().body == said


# ---- where it may connect to --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_of_ones_own_are_not_public(address):
    assert not is_public(address)


def test_addresses_of_the_internet_are_public():
    assert is_public("101.89.47.18") and is_public("2400:3200::1") and is_public("64:ff9b::6559:2f12")


def test_an_own_address_is_refused_unless_the_channel_allows_it(receiver):
    found = msgspec.structs.replace(channel("webhook", receiver.url, secret=Secret(SECRET)), private=False)
    outcome = send(found, message(), NOW)
    assert outcome.result == "again" and "private = true" in outcome.words
    with pytest.raises(AddressRefused):
        ask("POST", f"http://localhost:{receiver.port}", {}, b"")
    assert receiver.had.empty()


def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(receiver, monkeypatch):
    asked: list[str] = []

    def answers(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "101.89.47.18" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    reached: list[tuple[str, int]] = []

    def connects(address: tuple[str, int], timeout: float) -> socket.socket:
        reached.append(address)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    monkeypatch.setattr(socket, "create_connection", connects)
    found = channel("webhook", "http://rebinds.example:81/", secret=Secret(SECRET))
    outcome = send(msgspec.structs.replace(found, private=False), message(), NOW)
    assert outcome.result == "again" and "took too long" in outcome.words
    assert (asked, reached) == (["rebinds.example"], [("101.89.47.18", 81)])


def test_nothing_that_is_kept_of_a_failure_has_a_secret_or_a_path():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for kind in ("webhook", "wecom", "dingtalk", "feishu", "http"):
        found = channel(kind, f"http://127.0.0.1:{port}/key-in-path?key=hush", secret=Secret("hush"))
        outcome = send(found, message(), NOW)
        assert outcome.result == "again" and "hush" not in outcome.words and "path" not in outcome.words
    assert "hush" not in repr(found)
