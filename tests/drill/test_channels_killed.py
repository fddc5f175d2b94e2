"""A server is killed between the sending of a message and its record: what comes again is the same message.

And in a cluster one of two alerts roles sends; the other one takes over when it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from consumers.channels.signatures import standard_webhook
from engine.clock import now_ms
from engine.operations.subscriptions import SubscriptionWanted, make
from engine.principals import LOCAL, digest_of, new_token
from engine.store import channels
from engine.store.database import Database, open_database
from engine.store.subscriptions import SubscriptionRow
from lab.installation import installation
from lab.parts.processes import eventually
from tests.support.builders import subject
from tests.support.channel_feed import alert, channel_file, database_with_pack, feed, notice
from tests.support.receivers import HttpReceiver, http_receiver
from tests.support.serving import wait_until
from tests.support.settings_files import put_file
from workflows.selection import Selection

WITHIN_S = 60


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as found:
        yield found


@contextmanager
def serving(url: str, folder: Path, failpoint: str = "", **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server with the channels of a folder; it does not outlive the block."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}
    file = folder / "channels.toml"
    settings = {"DATABASE": url, "CHANNELS": str(file) if file.exists() else "", "LISTEN": "127.0.0.1:0"} | more
    ours = {f"GRIDPATROL_{name}": value for name, value in (settings | {"FAILPOINT": failpoint}).items()}
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gridpatrol", "serve"], env=plain | ours, cwd=folder, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def statuses(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(told.line.status for told in channels.listed(connection))


def hook(folder: Path, receiver: HttpReceiver) -> Path:
    """A webhook that leads to the receiver, at any hour."""
    return channel_file(
        folder,
        f"""
        [channel.hook]
        kind = "webhook"
        url = "{receiver.url}"
        secret_file = "secret"
        private = true
        wait_s = 0
        [[route]]
        channels = ["hook"]
        quiet = ""
        """,
    )


@pytest.mark.parametrize("point", ["channel.before_send", "channel.after_send"])
def test_killed_around_sending_it_sends_the_same_message_at_most_once_more(
    database_url: str, tmp_path: Path, receiver: HttpReceiver, point: str
) -> None:
    hook(tmp_path, receiver)
    with database_with_pack(database_url) as database:
        with database.begin() as connection:
            channels.begin(connection, "hook")
        feed(database, now_ms(), alert(1, due=now_ms()), notice(2, case=2))
        with serving(database_url, tmp_path, f"{point}:kill") as process:
            assert process.wait(WITHIN_S) == -signal.SIGKILL, (tmp_path / "log.txt").read_text()
        assert statuses(database) == ["grouped", "grouped"]
        with serving(database_url, tmp_path):
            wait_until(lambda: statuses(database) == ["sent", "sent"])
    had = [receiver.next() for _ in range(receiver.had.qsize())]
    assert len(had) == (2 if point == "channel.after_send" else 1)
    assert len({(each.headers["webhook-id"], each.body) for each in had}) == 1
    assert len(msgspec.json.decode(had[0].body)["data"]["lines"]) == 2


def subscribed(database: Database, url: str) -> SubscriptionRow:
    """A subscription of who asks for no token, with a webhook that leads to the receiver."""
    wanted = SubscriptionWanted(name="mine", url=url, wait_s=0)
    return make(database, LOCAL, wanted, Selection(), now_ms())


@pytest.mark.parametrize("point", ["channel.before_send", "channel.after_send"])
def test_killed_around_sending_to_a_subscription_it_sends_the_same_message_at_most_once_more(
    database_url: str, tmp_path: Path, receiver: HttpReceiver, point: str
) -> None:
    with database_with_pack(database_url) as database:
        row = subscribed(database, receiver.url)
        feed(database, now_ms(), alert(1, due=now_ms()), notice(2, case=2))
        with serving(database_url, tmp_path, f"{point}:kill", WEBHOOK_PRIVATE="true") as process:
            assert process.wait(WITHIN_S) == -signal.SIGKILL, (tmp_path / "log.txt").read_text()
        assert statuses(database) == ["grouped", "grouped"]
        with serving(database_url, tmp_path, WEBHOOK_PRIVATE="true"):
            wait_until(lambda: statuses(database) == ["sent", "sent"])
    had = [receiver.next() for _ in range(receiver.had.qsize())]
    assert len(had) == (2 if point == "channel.after_send" else 1)
    assert len({(each.headers["webhook-id"], each.body) for each in had}) == 1
    for each in had:
        id_, at_s = each.headers["webhook-id"], int(each.headers["webhook-timestamp"])
        assert each.headers["webhook-signature"] == standard_webhook(row.secret, id_, at_s, each.body)


def test_a_subscription_does_not_lead_into_ones_own_network_unless_it_is_allowed(
    sqlite_url: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    with database_with_pack(sqlite_url) as database:
        row = subscribed(database, receiver.url)
        feed(database, now_ms(), alert(1, due=now_ms()))

        def reply() -> str:
            with database.read() as connection:
                [state] = channels.states_of(connection, [row.id])
            return state.reply

        with serving(sqlite_url, tmp_path):
            assert "an address of this machine or of a private network" in wait_until(reply)
    assert receiver.had.empty()


def test_in_a_cluster_the_alerts_role_tells_what_was_subscribed_to_at_a_gateway(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    """It knows within two seconds of a subscription that a gateway took, and of its end."""
    token = new_token()
    principals = put_file(
        tmp_path / "principals.toml", f'[principal.app]\nreads = true\ntokens = ["{digest_of(token)}"]\n'
    )
    may = {"Authorization": f"Bearer {token}"}
    with installation(tmp_path, kafka_server, postgres_url, prefix=kafka_prefix, partitions=2) as place:
        known = {"GRIDPATROL_PRINCIPALS": str(principals), "GRIDPATROL_WEBHOOK_PRIVATE": "true"}
        place.start("gateway-1", "worker-1", "alerts-1", **known)
        place.await_ready()
        with closing(open_database(postgres_url)) as database:
            asked = {"name": "mine", "url": receiver.url, "wait_s": 0}
            made = httpx.post(f"{place['gateway-1'].url}/v1/subscriptions", json=asked, headers=may)
            assert made.status_code == 201, made.text
            id_ = made.json()["subscription"]["id"]
            feed(database, now_ms(), alert(1, due=now_ms()))
            assert msgspec.json.decode(receiver.next().body)["data"]["channel"] == id_
            eventually(lambda: statuses(database) == ["sent"], "what was told is recorded", WITHIN_S)
            ended = httpx.delete(f"{place['gateway-1'].url}/v1/subscriptions/{id_}", headers=may)
            assert ended.json()["why"] == "it was deleted"
            feed(database, now_ms(), alert(2, case=2, due=now_ms()))
            again = httpx.post(f"{place['gateway-1'].url}/v1/subscriptions", json=asked, headers=may)
            feed(database, now_ms(), alert(3, case=3, due=now_ms()))
            told = msgspec.json.decode(receiver.next().body)["data"]
            assert told["channel"] == again.json()["subscription"]["id"]
            assert [line["case"] for line in told["lines"]] == [subject("WY03", 3)]


def test_in_a_cluster_one_alerts_role_sends_and_the_other_takes_over(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path, receiver: HttpReceiver
) -> None:
    file = hook(tmp_path, receiver)
    folder = tmp_path / "roles"
    folder.mkdir()
    with installation(folder, kafka_server, postgres_url, prefix=kafka_prefix, partitions=2) as place:
        place.start("gateway-1", "worker-1", "alerts-1", "alerts-2", GRIDPATROL_CHANNELS=str(file))
        place.await_ready()
        with closing(open_database(postgres_url)) as database:

            def has_place() -> bool:
                with database.read() as connection:
                    return channels.names(connection) == ["hook"]

            eventually(has_place, "the channel has a place in the feed", WITHIN_S)
            feed(database, now_ms(), alert(1, due=now_ms()))
            first = receiver.next()
            [sends] = [name for name in ("alerts-1", "alerts-2") if "sends by the channels" in place[name].said()]
            place[sends].kill()
            feed(database, now_ms(), alert(2, case=2, due=now_ms()))
            second = receiver.next()
            while (said := msgspec.json.decode(second.body)["data"]["lines"][0]["case"]) != subject("WY03", 2):
                assert second.headers["webhook-id"] == first.headers["webhook-id"], said  # its record was not written
                second = receiver.next()
