"""`gridpatrol channel` at a terminal: what it checks, lists, tests and retries, and what it never prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consumers.channels.outcome import Outcome
from engine.operations.subscriptions import SubscriptionWanted, make
from engine.principals import LOCAL
from gridpatrol.cli import main
from tests.support.builders import at
from tests.support.channel_feed import (
    CHIEF,
    SECRET,
    Receiver,
    alert,
    channel_file,
    database_with_pack,
    feed,
    one_channel,
)
from tests.support.receivers import HttpReceiver, http_receiver
from workflows.selection import Selection

MORNING, MINUTE = at("03-02 09:00"), 60_000
pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture(scope="module")
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


def run(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="gridpatrol")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert SECRET not in result.output and "hush" not in result.output
    return result


def webhook(folder: Path, receiver: HttpReceiver, private: str = "true") -> Path:
    text = f"""
        [channel.hook]
        kind = "webhook"
        url = "{receiver.url}/hush"
        secret_file = "secret"
        private = {private}
        [[route]]
        name = "all"
        channels = ["hook"]
        """
    return channel_file(folder, text)


def test_a_file_is_checked_as_a_server_reads_it(tmp_path, receiver):
    file = webhook(tmp_path, receiver)
    good = run("channel", "check", "--channels", file)
    assert good.exit_code == 0 and "1 channel, 1 route: the file can be used." in good.output
    assert "travels in plain" not in good.output  # it leads to this machine
    away = channel_file(tmp_path, file.read_text(encoding="utf-8").replace(receiver.url, "http://hook.example"))
    assert "travels in plain" in run("channel", "check", "--channels", away).output
    bad = run("channel", "check", "--channels", channel_file(tmp_path, "[channel.hook]\nkind = 'wecom'"))
    assert bad.exit_code == 1 and "channel.hook.url" in bad.output
    assert "GRIDPATROL_CHANNELS" in run("channel", "check").output


def test_a_test_message_is_sent_and_the_answer_is_told(tmp_path, receiver):
    file = webhook(tmp_path, receiver)
    receiver.answer = (200, {}, b'{"welcome": 1}')
    sent = run("channel", "test", "hook", "--channels", file)
    assert sent.exit_code == 0 and 'it says: {"welcome": 1}' in sent.output and "sent: taken (200)" in sent.output
    assert "测试消息" in json.loads(receiver.next().body)["data"]["subject"]["zh"]
    receiver.answer = (429, {"Retry-After": "30"}, b"")
    refused = run("channel", "test", "hook", "--channels", file)
    assert refused.exit_code == 1
    assert "not sent: it has had too many messages (429); it asks for 30 s of silence" in refused.output
    assert "private = true" in run("channel", "test", "hook", "--channels", webhook(tmp_path, receiver, "false")).output
    assert "there are: hook" in run("channel", "test", "nobody", "--channels", file).output


def test_what_was_told_is_listed_and_what_was_given_up_is_tried_anew(sqlite_url, tmp_path, receiver):
    file = webhook(tmp_path, receiver)
    before = run("channel", "list", "--channels", file, "--database", sqlite_url)
    assert before.output.split("\n")[1].split()[:3] == ["hook", "webhook", "127.0.0.1"]
    with database_with_pack(sqlite_url) as database:
        hook = Receiver(database, one_channel(tmp_path), at=MORNING)
        file = webhook(tmp_path, receiver)
        hook.until()
        feed(database, MORNING, alert(1, due=MORNING))
        hook.answers = [Outcome("refused", "no such mailbox", whole=False)]
        hook.until(MORNING + MINUTE)
        feed(database, MORNING + MINUTE, alert(2, case=2, due=MORNING))
        hook.until(MORNING + 2 * MINUTE)
    asked = ("--database", sqlite_url, "--json")
    [state] = json.loads(run("channel", "list", "--channels", file, *asked).output)
    assert (state["sent"], state["given_up"], state["routes"]) == (1, 1, ["all"])
    assert json.loads(run("channel", "deliveries", "--channel", "hook", "--status", "sent", *asked).output)[0][
        "post"
    ] == {"code": CHIEF, "name": "街道办事处主任"}
    [lost] = json.loads(run("channel", "deliveries", "--status", "given_up", "--post", CHIEF, *asked).output)
    assert (lost["reply"], lost["route"], lost["tries"]) == ("no such mailbox", "route 1", 1)
    table = run("channel", "deliveries", "--database", sqlite_url).output
    assert "no such mailbox" in table and "街道办事处主任" in table
    assert "1 message of hook is tried anew" in run("channel", "retry", "hook", "--database", sqlite_url).output
    audit = json.loads(run("audit", "list", *asked).output)
    assert audit[0]["act"] == "channel.retried"
    [state] = json.loads(run("channel", "list", "--channels", file, *asked).output)
    assert (state["sending"], state["given_up"]) == (1, 0)


def test_subscriptions_are_listed_below_the_channels_without_secret_and_address(sqlite_url, tmp_path):
    with database_with_pack(sqlite_url) as database:
        wanted = SubscriptionWanted(name="my desk", url="https://desk.example/hush")
        row = make(database, LOCAL, wanted, Selection(), MORNING)
        make(database, LOCAL, SubscriptionWanted(name="my stream"), Selection(), MORNING)
        feed(database, MORNING, alert(1, due=MORNING))
    table = run("channel", "list", "--database", sqlite_url).output
    assert "desk.example" in table and "local: my desk" in table and row.secret not in table
    hook, stream = json.loads(run("channel", "list", "--database", sqlite_url, "--json").output)
    assert (hook["channel"], hook["leads_to"], hook["principal"], hook["behind"]) == (
        row.id,
        "desk.example",
        "local",
        1,
    )
    assert (stream["kind"], stream["leads_to"]) == ("subscribed stream", None)
    assert "0 messages of" in run("channel", "retry", row.id, "--database", sqlite_url).output
