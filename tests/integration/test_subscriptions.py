"""Subscriptions: who subscribes to what, what each is told and when it ends, and that none delays another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.channels import signatures
from consumers.channels.message import Message
from consumers.channels.outcome import Outcome
from consumers.channels.settings import Channel, ChannelFile
from consumers.channels.subscriptions import THREADS, SubscriptionSenders
from engine.metrics.counters import Counters
from engine.operations import subscriptions as making
from engine.operations import tokens
from engine.operations.principal_changes import PrincipalChanges
from engine.operations.subscriptions import SubscriptionWanted
from engine.operations.tokens import PersonWanted
from engine.policies import Policies
from engine.principals import LOCAL, Operator, Principal, Principals, digest_of, new_token
from engine.runtime import Engine
from engine.store import channels, subscriptions
from engine.store.database import Database
from engine.store.subscriptions import SubscriptionRow
from engine.subscribers import Subscribers
from engine.views.names import active_names
from engine.views.readers import readable_by
from lab.parts.postgres import fresh_database
from tests.support.builders import HOUR, at, subject
from tests.support.channel_feed import CHIEF, SPONSOR, alert, feed, notice
from tests.support.serving import prepared, wait_until
from tests.support.settings_files import put_file, read_at_once

MORNING = at("03-02 09:00")
SECOND, MINUTE = 1000, 60_000
OTHER = "WY04-CHIEF"
THERE = "/XA/WY/WY04/WY04-01/"
APP, STREET = new_token(), new_token()


def principals(reads: str = '["WY03"]', more: str = "") -> str:
    """An app that speaks for the third street's chief and reads nothing, and one that reads a street."""
    return f"""
        [principal.app]
        actors = ["{CHIEF}"]
        tokens = ["{digest_of(APP)}"]
        [principal.street]
        reads = {reads}
        subscriptions = 3
        tokens = ["{digest_of(STREET)}"]
        {more}
        """


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def one_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for all of these tests: to make one takes longer than any of them."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('subscriptions') / 'gridpatrol.db'}"
        else:
            server, template = (request.getfixturevalue(f"postgres_{name}") for name in ("server", "template"))
            url = stack.enter_context(fresh_database(server, template))
        yield stack.enter_context(prepared(url))


TABLES = ("deliveries", "channel_lines", "channel_messages", "positions", "subscriptions", "people")


@pytest.fixture
def engine(one_engine: Engine) -> Iterator[Engine]:
    yield one_engine
    with one_engine.database.begin() as connection:
        for table in TABLES:
            connection.exec_driver_sql(f"DELETE FROM {table}")


class Others:
    """The other sides of all webhooks, a clock that stands, and the senders."""

    def __init__(self, engine: Engine, file: Path) -> None:
        self.engine, self.file, self.now = engine, file, MORNING
        self.sent: list[tuple[str, Message]] = []
        self.signed: list[str] = []
        self.answers: dict[str, list[Outcome]] = {}  # by subscription
        self.hangs: dict[str, threading.Event] = {}
        self.threads = set[str]()
        self.begin()

    def begin(self) -> None:
        """Another process takes over."""
        self.senders = SubscriptionSenders(
            self.engine.database, ChannelFile(), Subscribers(str(self.file)), Counters(), lambda: self.now, self._send
        )

    def _send(self, channel: Channel, message: Message, now: int) -> Outcome:
        self.threads.add(threading.current_thread().name)
        if channel.name in self.hangs:
            self.hangs[channel.name].wait(60)
        outcome = answers.pop(0) if (answers := self.answers.get(channel.name)) else Outcome("sent", "taken")
        if outcome.result == "sent":
            self.sent.append((channel.name, message))
            self.signed.append(signatures.standard_webhook(channel.secret.reveal(), "id", 1, b"body"))
        return outcome

    def until(self, instant: int | None = None) -> list[tuple[str, Message]]:
        """Let them do all that there is to do at an instant; what was taken by it."""
        self.now = max(self.now, instant or 0)
        before = len(self.sent)
        self.senders._asked_s = float("-inf")
        while not self.senders.run_once() or self.senders._flying:
            pass
        return self.sent[before:]

    def principal(self, name: str) -> Principal:
        found = Principals(str(self.file)).named(name)
        assert found is not None
        return found

    def subscribe(self, who: str = "app", by: Principal | None = None, **wanted: Any) -> SubscriptionRow:
        """A new subscription of a principal, with a webhook."""
        usual = {"name": "mine", "url": f"https://{who}.example/x", "wait_s": 0}
        asked = msgspec.convert(usual | wanted, SubscriptionWanted)
        return subscribe(self.engine.database, by or self.principal(who), asked, self.now)

    def rows(self) -> list[SubscriptionRow]:
        with self.engine.database.read() as connection:
            return subscriptions.listed(connection, ended=True)

    def statuses(self, id_: str) -> list[str]:
        with self.engine.database.read() as connection:
            found = channels.listed(connection, channel=id_, limit=10_000)
        return [told.line.status for told in sorted(found, key=lambda told: (told.line.number, told.line.id))]


def subscribe(database: Database, principal: Principal, wanted: SubscriptionWanted, now: int) -> SubscriptionRow:
    with database.read() as connection:
        register = active_names(connection, Policies()).register
        readable = readable_by(connection, Policies(), principal, now)
    return making.make(database, principal, wanted, making.selection_of(wanted, principal, readable, register), now)


@pytest.fixture
def others(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    read_at_once(monkeypatch)
    found = Others(engine, put_file(tmp_path / "principals.toml", principals()))
    yield found
    for hang in found.hangs.values():
        hang.set()
    found.senders.release()


def cases(told: list[tuple[str, Message]]) -> list[tuple[str, list[str]]]:
    """Who was told which posts of which cases, of each message."""
    return sorted((id_, [f"{line.case[-1]}:{'+'.join(sorted(line.ids))}" for line in m.lines]) for id_, m in told)


# ---- who is told what ------------------------------------------------------------------------------------------


def test_who_speaks_is_told_what_its_posts_are_and_who_reads_what_lies_there(others: Others) -> None:
    speaks, reads = others.subscribe("app"), others.subscribe("street")
    feed(
        others.engine.database,
        MORNING,
        alert(1, case=1, to=(CHIEF, SPONSOR)),
        alert(2, case=2, to=(OTHER,), path=THERE),
        alert(3, case=3, to=(CHIEF,), path=THERE),
        notice(4, case=4, to=(SPONSOR,)),
    )
    assert cases(others.until()) == sorted(
        [
            (speaks.id, [f"1:{CHIEF}", f"3:{CHIEF}"]),
            (reads.id, [f"1:{CHIEF}+{SPONSOR}", f"4:{SPONSOR}"]),
        ]
    )
    assert others.until(MORNING + HOUR) == []
    with others.engine.database.read() as connection:
        assert channels.places(connection) == {speaks.id: 4, reads.id: 4}
        assert channels.names(connection) == [], "a subscription is no channel of the file"


def test_a_subscription_asks_for_posts_kinds_grids_and_severities(others: Others) -> None:
    asked = [
        others.subscribe("street", posts=["WY03-CHIEF"], name="post"),
        others.subscribe("street", grids=["WY03-02"], kinds=["alert"], name="grid"),
        others.subscribe("street", severities=["overdue"], name="late"),
    ]
    feed(
        others.engine.database,
        MORNING,
        alert(1, case=1, due=MORNING),
        alert(2, case=2, to=(SPONSOR,), path="/XA/WY/WY03/WY03-02/"),
        alert(3, case=3, rung="overdue", due=MORNING - HOUR, due_at=MORNING, to=(SPONSOR,)),
        notice(4, case=4, to=(SPONSOR,)),
    )
    told = dict(cases(others.until()))
    assert told == {asked[0].id: [f"1:{CHIEF}"], asked[1].id: [f"2:{SPONSOR}"], asked[2].id: [f"3:{SPONSOR}"]}


def test_what_may_be_read_is_asked_when_it_is_told(others: Others) -> None:
    row = others.subscribe("street", wait_s=600)
    feed(others.engine.database, MORNING, alert(1, case=1), alert(2, case=2, path="/XA/WY/WY03/WY03-02/"))
    assert others.until() == [] and others.statuses(row.id) == ["waiting", "waiting"]
    put_file(others.file, principals('["WY03-02"]'))
    assert cases(others.until(MORNING + HOUR)) == [(row.id, [f"2:{CHIEF}"])]
    assert others.statuses(row.id) == ["overtaken", "sent"]


def test_a_message_that_failed_is_composed_anew_without_what_may_not_be_read_any_more(others: Others) -> None:
    row = others.subscribe("street")
    others.answers[row.id] = [Outcome("again", "away")]
    feed(others.engine.database, MORNING, alert(1, case=1), alert(2, case=2, path="/XA/WY/WY03/WY03-02/"))
    assert others.until() == [] and others.statuses(row.id) == ["grouped", "grouped"]
    put_file(others.file, principals('["WY03-02"]'))
    assert others.until(MORNING + MINUTE) == [], "it is composed anew"
    assert cases(others.until(MORNING + MINUTE + SECOND)) == [(row.id, [f"2:{CHIEF}"])]
    assert others.statuses(row.id) == ["overtaken", "sent"]
    with others.engine.database.begin() as connection:
        assert channels.try_again(connection, row.id, others.now) == 0, "it would tell what was withheld"


def test_the_end_of_an_alert_is_told_to_who_heard_of_it(others: Others) -> None:
    row = others.subscribe("app")
    feed(others.engine.database, MORNING, alert(1, case=1))
    assert len(others.until()) == 1
    feed(others.engine.database, MORNING + SECOND, alert(2, "resolved", case=1), alert(3, "resolved", case=2))
    [(_, message)] = others.until(MORNING + MINUTE)
    assert [(line.what, line.case) for line in message.lines] == [("resolved", subject("WY03", 1))]
    waits = others.subscribe("app", name="later", wait_s=60)
    feed(others.engine.database, others.now, alert(4, case=3), alert(5, "acknowledged", case=3, by=CHIEF))
    others.until(others.now + HOUR)
    assert others.statuses(waits.id) == ["overtaken"] and len(others.statuses(row.id)) == 3


# ---- one delays none -------------------------------------------------------------------------------------------


def test_a_webhook_that_is_down_delays_its_own_alone_and_is_told_together_afterwards(others: Others) -> None:
    down, up = others.subscribe("app", name="down"), others.subscribe("app", name="up")
    others.answers[down.id] = [Outcome("again", "away"), Outcome("again", "busy", wait_s=900)]
    feed(others.engine.database, MORNING, alert(1, case=1))
    assert [id_ for id_, _ in others.until()] == [up.id]
    feed(others.engine.database, MORNING + SECOND, alert(2, case=2))
    assert [id_ for id_, _ in others.until(MORNING + SECOND)] == [up.id]
    assert others.until(MORNING + MINUTE) == [], "it asked for a quarter of an hour"
    told = others.until(MORNING + MINUTE + 900 * SECOND)
    assert [id_ for id_, _ in told] == [down.id, down.id]
    with others.engine.database.read() as connection:
        [state] = channels.states_of(connection, [down.id])
    assert (state.sent, state.reply, state.behind, state.waiting) == (2, "taken", 0, 0)


def test_those_that_hang_keep_no_other_waiting_and_the_threads_are_few(others: Others) -> None:
    rows = [others.subscribe("app", name=f"n{number}") for number in range(20)]
    slow = {row.id for row in rows[: THREADS - 2]}
    for id_ in slow:
        others.answers[id_] = [Outcome("again", "away")]
    feed(others.engine.database, MORNING, alert(1, case=1))
    assert len(others.until()) == 20 - len(slow)
    others.hangs = {id_: threading.Event() for id_ in slow}  # from now on these do not answer
    feed(others.engine.database, MORNING + MINUTE, alert(2, case=2))
    others.now = MORNING + MINUTE
    wait_until(lambda: (others.senders.run_once(), len(others.sent) >= 2 * (20 - len(slow)))[1])
    heard = [id_ for id_, message in others.sent if message.lines[0].case == subject("WY03", 2)]
    assert sorted(heard) == sorted({row.id for row in rows} - slow)
    assert len(others.threads) <= THREADS
    for hang in others.hangs.values():
        hang.set()
    wait_until(lambda: (others.senders.run_once(), len(others.sent) == 40)[1])


# ---- how it ends ------------------------------------------------------------------------------------------------


def test_what_was_composed_and_not_recorded_is_sent_again_as_the_same_message(others: Others) -> None:
    row = others.subscribe("app")
    others.answers[row.id] = [Outcome("again", "away")]
    feed(others.engine.database, MORNING, alert(1, case=1))
    others.until()
    with others.engine.database.read() as connection:
        first = channels.next_message(connection, row.id)
    others.begin()
    [(_, message)] = others.until(MORNING + HOUR)
    assert first is not None and message.id == first.id


def test_it_ends_when_it_is_deleted_and_nothing_of_it_is_left_but_its_record(others: Others) -> None:
    row = others.subscribe("app")
    others.answers[row.id] = [Outcome("again", "away")]
    feed(others.engine.database, MORNING, alert(1, case=1))
    others.until()
    making.end(others.engine.database, row, Operator("app", "http"), others.now, "it was deleted")
    assert others.until(MORNING + HOUR) == [] and others.statuses(row.id) == ["given_up"]
    [left] = others.rows()
    assert (left.url, left.secret, left.why, left.ended_at) == ("", "", "it was deleted", MORNING)
    with others.engine.database.read() as connection:
        assert channels.places(connection) == {}


def test_a_principal_that_is_not_known_is_told_nothing_and_one_that_was_removed_has_no_more(others: Others) -> None:
    row, other = others.subscribe("street"), others.subscribe("app")
    PrincipalChanges(Principals(str(others.file)))(others.engine.database)
    withdrawn = principals().replace(f'tokens = ["{digest_of(STREET)}"]', "tokens = []")
    put_file(others.file, withdrawn)
    feed(others.engine.database, MORNING, alert(1, case=1))
    assert [id_ for id_, _ in others.until()] == [other.id], "it has no token any more"
    put_file(others.file, principals())
    assert [id_ for id_, _ in others.until(MORNING + MINUTE)] == [row.id], "it has one again"
    put_file(others.file, f'[principal.app]\nactors = ["{CHIEF}"]\ntokens = ["{digest_of(APP)}"]\n')
    PrincipalChanges(Principals(str(others.file)))(others.engine.database)
    assert {each.id: each.why for each in others.rows()} == {row.id: "its principal was removed", other.id: ""}


def test_a_process_without_the_file_of_principals_tells_no_system_and_ends_nothing(others: Others) -> None:
    row = others.subscribe("app")
    local = others.subscribe("local", by=LOCAL)
    others.file = Path()
    others.senders.release()
    others.senders = SubscriptionSenders(
        others.engine.database, ChannelFile(), Subscribers(""), Counters(), lambda: others.now, others._send
    )
    feed(others.engine.database, MORNING, alert(1, case=1))
    assert [id_ for id_, _ in others.until()] == [local.id]
    assert {each.id: each.ended_at for each in others.rows()} == {row.id: 0, local.id: 0}


def test_a_person_s_subscriptions_end_with_its_token(others: Others) -> None:
    operator = Operator("ops", "cli")
    tokens.add(others.engine, PersonWanted(CHIEF), operator)
    person = Principal(f"post:{CHIEF}", frozenset((CHIEF,)))
    row = others.subscribe("chief", by=person)
    feed(others.engine.database, MORNING, alert(1, case=1))
    others.senders.who.people._looked_s = float("inf")  # it has not looked since: the token is known elsewhere alone
    assert others.until() == [] and [each.ended_at for each in others.rows()] == [0]
    others.senders.who.people._looked_s = float("-inf")
    assert [id_ for id_, _ in others.until(MORNING + SECOND)] == [row.id]
    tokens.withdraw(others.engine, CHIEF, operator)
    [ended] = others.rows()
    assert (ended.why, ended.url) == ("its principal's token was withdrawn", "")
    tokens.add(others.engine, PersonWanted(CHIEF), operator)
    again = others.subscribe("chief", by=person)
    with others.engine.database.begin() as connection:
        connection.exec_driver_sql("UPDATE people SET expires_at = 1, change = change + 1")
        connection.exec_driver_sql("UPDATE meta SET value = '99' WHERE name = 'people'")
        connection.exec_driver_sql("UPDATE people SET change = 99")
    feed(others.engine.database, MORNING, alert(2, case=2))
    others.senders.who.people._looked_s = float("-inf")
    assert others.until(MORNING + MINUTE) == []
    assert {each.why for each in others.rows() if each.id == again.id} == {"its principal's token has ended"}


# ---- secrets ----------------------------------------------------------------------------------------------------


def test_both_secrets_sign_until_the_old_one_ends(others: Others) -> None:
    row = others.subscribe("app")
    old = row.secret
    fresh = making.rotate(others.engine.database, row, False, Operator("app", "http"), MORNING + HOUR)
    assert fresh.secret != old and old.startswith("whsec_")
    both = signatures.standard_webhook(f"{fresh.secret}\n{old}", "id", 1, b"body")
    feed(others.engine.database, MORNING, alert(1, case=1))
    others.until()
    feed(others.engine.database, MORNING, alert(2, case=2))
    others.until(MORNING + 2 * HOUR)
    assert others.signed == [both, signatures.standard_webhook(fresh.secret, "id", 1, b"body")]
    at_once = making.rotate(others.engine.database, fresh, True, Operator("app", "http"), 0)
    assert (at_once.old_secret, at_once.old_until) == ("", 0)


def test_no_secret_and_no_address_is_in_what_is_kept_of_deliveries(others: Others) -> None:
    row = others.subscribe("app")
    feed(others.engine.database, MORNING, alert(1, case=1))
    others.until()
    with others.engine.database.read() as connection:
        for table in ("channel_lines", "channel_messages", "positions", "audit"):
            text = msgspec.json.encode([tuple(each) for each in connection.exec_driver_sql(f"SELECT * FROM {table}")])
            assert row.secret.encode() not in text and b"app.example/x" not in text
