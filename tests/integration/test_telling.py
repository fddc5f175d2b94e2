"""The role that tells: every line of the feed and every dead letter reaches its topic, whatever fails meanwhile.

In: runs whose steps nobody has folded yet; publishers that fail, processes that are killed. Out: what the topics have,
compared with what the database says was told.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import pytest

from consumers.alerts import publish
from consumers.alerts.fold import consume as consume_alerts
from consumers.alerts.fold import epoch, tell
from consumers.alerts.publish import APART_S, COMPANY_S, AlertPublisher
from engine import lease as leases
from engine.cluster.publisher import Header, Publisher
from engine.errors import BrokerAway, LeaseTaken, StaleWriter
from engine.failpoints import Interrupted, arm
from engine.lease import TELLER, Lease
from engine.metrics.counters import Counters
from engine.settings import Settings
from engine.store import dead_letters, outbox, slices, tables, writes
from engine.store.database import Database, open_database
from engine.store.dead_letters import DeadLetter
from engine.store.positions import read_positions
from engine.store.rows import LETTER_TEXTS, LetterRow, StepRow
from engine.store.sql import execute
from lab.runs import engine_on, replayed, storm
from schemas import messages
from schemas.topics import Topics
from tests.integration.test_alerts import at_night, feed_rows, put, waiting
from tests.support.builders import at
from tests.support.forks import begun, ended
from tests.support.stored_texts import of_texts

TOPICS = Topics("test.")


class Message(msgspec.Struct):
    topic: str
    key: str
    value: str
    headers: dict[str, str]


class Wire(Publisher):
    """A topic in memory that can fail. `had` is what the brokers have, in their order; `most` on their way at once."""

    def __init__(self) -> None:
        self.had: list[Message] = []
        self.most = 0
        self.fails: Callable[[list[Message]], int | None] = lambda sent: None
        self._sent: list[Message] = []

    def send(
        self, topic: str, key: str, value: bytes, headers: Sequence[Header] = (), partition: int | None = None
    ) -> None:
        self._sent.append(Message(topic, key, value.decode(), {name: text.decode() for name, text in headers}))
        self.most = max(self.most, len(self._sent))

    def flush(self) -> None:
        """All of it arrives; or the first so many, and then it fails."""
        sent, self._sent = self._sent, []
        arrived = self.fails(sent)
        self.had += sent[:arrived]
        if arrived is not None:
            raise BrokerAway("no broker answers")

    def close(self) -> None:
        self._sent = []


class FileWire(Wire):
    """Another that outlives its process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab", buffering=0)

    def flush(self) -> None:
        sent, self._sent = self._sent, []
        self._file.write(b"".join(msgspec.json.encode(message) + b"\n" for message in sent))


def role(database: Database, wire: Publisher, tell: Callable[[Database], object] = lambda _: None) -> AlertPublisher:
    """The role, with its real consumer."""
    return AlertPublisher(database, wire, TOPICS, Counters(), consume_alerts, tell)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A run that nobody has folded yet."""
    with engine_on(database_url, 4) as engine:
        replayed(engine, storm(5, 40))
        epoch(engine.database)
        yield engine.database


def exhaust(telling_: AlertPublisher) -> None:
    """Turn until there is nothing to do."""
    for _ in range(10_000):
        if not telling_.publish_batch():
            return
    raise AssertionError("it never ends")


def lines(had: Sequence[Message]) -> list[messages.PublishedAlert]:
    return [messages.decode_alert(message.value) for message in had if message.topic == TOPICS.alerts]


def letter_ids(had: Sequence[Message]) -> list[str]:
    return [message.key for message in had if message.topic == TOPICS.deadletter]


def first_of_each(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def check_whole(database: Database, had: Sequence[Message], *, once: bool) -> None:
    """The topics have all that the database has, in order; `once`: and nothing twice."""
    feed = feed_rows(database)
    numbers, ids = [line.number for line in lines(had)], letter_ids(had)
    with database.read() as connection:
        stored = sorted(letter.id for letter in dead_letters.listed(connection, limit=1_000_000))
        assert not any(outbox.read_backlog(connection, "alerts"))
        assert read_positions(connection, outbox.FEED) == {0: feed[-1].number}
    assert len(feed) > 50
    assert len(stored) > 5
    assert first_of_each(numbers) == [row.number for row in feed] == list(range(1, len(feed) + 1))
    assert sorted(set(ids)) == stored
    if once:
        assert len(numbers) == len(feed)
        assert len(ids) == len(stored)


# ---- what is published --------------------------------------------------------------------------------------


def test_every_line_and_letter_is_published_once_and_in_order(database: Database) -> None:
    wire = Wire()
    exhaust(role(database, wire))
    check_whole(database, wire.had, once=True)
    with database.read() as connection:
        assert letter_ids(wire.had) == [letter.id for letter in dead_letters.listed(connection, limit=1_000_000)][::-1]
    assert not role(database, wire).publish_batch()


def test_an_alert_that_comes_alone_waits_for_fifty_milliseconds_at_most_and_a_backlog_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "BATCH", 20)
    telling_ = role(database, Wire())
    telling_.clock = lambda: telling_.began_s
    rests = list[float]()
    while not rests or rests[-1] != APART_S:
        rests.append(telling_.run_once())
    telling_.release()
    assert rests[0] == 0.0, "there is a backlog"
    assert rests[-2:] == [COMPANY_S, APART_S], "the last few, and then nothing"
    assert APART_S <= 0.05 and COMPANY_S <= 0.1


def test_a_line_says_its_place_in_the_feed_and_has_the_id_of_its_event(database: Database) -> None:
    wire = Wire()
    exhaust(role(database, wire))
    feed, begun = feed_rows(database), epoch(database)
    had = [message for message in wire.had if message.topic == TOPICS.alerts]
    for row, message in zip(feed, had, strict=True):
        told = messages.decode_alert(message.value)
        assert (told.number, told.epoch, told.told_at, told.why) == (row.number, begun, row.told_at, row.reason)
        assert json.loads(row.body).items() <= json.loads(message.value).items()
        assert messages.decode_line(message.value) == messages.decode_line(row.body)
        assert message.key == told.case == message.headers["ce_subject"]
        assert (message.headers["ce_id"], message.headers["ce_type"]) == (told.id, messages.LINE)


def test_a_letter_is_published_without_its_bytes_and_their_token(database: Database) -> None:
    wire = Wire()
    exhaust(role(database, wire))
    had = {message.key: message for message in wire.had if message.topic == TOPICS.deadletter}
    with database.read() as connection:
        stored = dead_letters.listed(connection, limit=1_000_000)
    for row in stored:
        told = messages.decode_letter(had[row.id].value)
        assert (told.id, told.at, told.reason, told.field, told.detail) == (
            row.id,
            row.at,
            row.reason,
            row.field,
            row.detail,
        )
        assert (told.partition, told.position, told.case) == (row.partition, row.position, row.case_id)
        assert had[row.id].headers["ce_id"] == row.id
        assert not row.token or row.token not in had[row.id].value.replace(row.id, "")


def test_letters_of_an_older_release_fit_into_a_message_whatever_they_call_themselves(database: Database) -> None:
    long = "\x01" * 4_000_000
    texts = {name: long for name in LETTER_TEXTS}
    with database.begin() as connection:
        writes.insert(connection, tables.dead_letters, [msgspec.structs.replace(late_letter(), **texts)])
    wire = Wire()
    exhaust(role(database, wire))
    assert not outbox_news(database).letters
    [message] = [message for message in wire.had if message.key == "late"]
    assert len(message.value) < 20_000  # a batch of them is no burden either
    told = messages.decode_letter(message.value)
    assert (told.detail, told.case) == (long[: LETTER_TEXTS["detail"]], long[: LETTER_TEXTS["case_id"]])


def test_what_waited_for_the_morning_is_published_then(database_url: str) -> None:
    with engine_on(database_url, 4) as engine:
        replayed(engine, [])
        database, teller, wire, now = engine.database, at_night(), Wire(), [at("03-03 23:31")]
        packs = engine.rows[0].packs
        put(database, teller)
        with database.begin() as connection:  # names come from the active pack
            execute(connection, "UPDATE partitions SET packs = ?", packs)
        night = AlertPublisher(
            database,
            wire,
            TOPICS,
            Counters(),
            lambda db: consume_alerts(db, now=now[0]),
            lambda db: tell(db, now[0]),
        )
        exhaust(night)
        assert waiting(teller) not in {line.alert for line in lines(wire.had)}
        now[0] = at("03-04 07:00")
        exhaust(night)
        assert [line.what for line in lines(wire.had) if line.alert == waiting(teller)] == ["firing"]


def test_a_large_backlog_passes_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH", 7)
    wire = Wire()
    exhaust(role(database, wire))
    check_whole(database, wire.had, once=True)
    assert wire.most == 7


# ---- what fails ---------------------------------------------------------------------------------------------


def test_what_the_brokers_did_not_acknowledge_is_sent_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "BATCH", 20)
    wire, count = Wire(), iter(range(1_000_000))
    wire.fails = lambda sent: len(sent) // 2 if next(count) % 3 else None
    telling_ = role(database, wire)
    for _ in range(10_000):
        with suppress(BrokerAway):
            if not telling_.publish_batch():
                break
    check_whole(database, wire.had, once=False)
    assert len(wire.had) > len(set(map(msgspec.json.encode, wire.had)))


@pytest.mark.parametrize("name", ["alerts.before_publish", "alerts.after_publish"])
def test_a_batch_that_was_cut_off_is_sent_again_and_only_that(
    name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "BATCH", 10)
    wire = Wire()
    arm(f"{name}:raise@3")
    with pytest.raises(Interrupted):
        exhaust(role(database, wire))
    exhaust(role(database, wire))
    check_whole(database, wire.had, once=name == "alerts.before_publish")
    again = len(wire.had) - len({(message.topic, message.value) for message in wire.had})
    assert again == (10 if name == "alerts.after_publish" else 0)


def test_who_finds_the_mark_moved_by_another_process_marks_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "BATCH", 10)
    fast, slow = Wire(), Wire()

    def overtaken(sent: list[Message]) -> None:
        slow.fails = lambda sent: None
        exhaust(role(database, fast))

    slow.fails = overtaken
    while not feed_rows(database):
        consume_alerts(database)
    with pytest.raises(StaleWriter, match="beyond line 0 by another process"):
        role(database, slow).publish_batch()
    check_whole(database, fast.had, once=True)


def test_a_missing_step_holds_the_alerts_back_but_not_what_is_told_already(database: Database) -> None:
    names = ", ".join(StepRow.__struct_fields__)
    with database.begin() as connection:
        where = "WHERE partition = 0 AND n = 3"
        sql = of_texts(database.dialect, f"SELECT {names} FROM facts {where}")
        gone = tuple(connection.exec_driver_sql(sql).one())
        connection.exec_driver_sql(f"DELETE FROM facts {where}")
    wire = Wire()
    with running(database, wire) as telling_:
        await_(lambda: "step 3 of partition 0 is missing" in telling_.away)
        await_(lambda: not outbox_news(database).letters)
        assert lines(wire.had) == []
        with database.begin() as connection:
            slices.write_steps(connection, [StepRow(*gone)])
        await_(lambda: not telling_.away and not any(outbox_news(database)))
    check_whole(database, wire.had, once=True)


# ---- the thread ---------------------------------------------------------------------------------------------


def await_(reached: Callable[[], bool], within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def outbox_news(database: Database) -> outbox.Backlog:
    with database.read() as connection:
        return outbox.read_backlog(connection, "alerts")


@contextmanager
def running(database: Database, wire: Publisher) -> Iterator[AlertPublisher]:
    """The role in its thread."""
    telling_ = role(database, wire)
    telling_.start()
    try:
        yield telling_
    finally:
        telling_.stop()
    assert telling_.failure is None


def test_steps_are_told_while_they_are_made(database_url: str) -> None:
    with engine_on(database_url, 4) as engine:
        epoch(engine.database)
        wire = Wire()
        with running(engine.database, wire):
            replayed(engine, storm(5, 40))
            await_(lambda: not any(outbox_news(engine.database)))
        check_whole(engine.database, wire.had, once=True)


def test_an_outage_of_the_brokers_is_waited_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlertPublisher, "away_s", 0.01)
    wire, away = Wire(), threading.Event()
    away.set()
    wire.fails = lambda sent: len(sent) // 2 if away.is_set() else None
    with running(database, wire) as telling_:
        await_(lambda: "no broker answers" in telling_.away)
        away.clear()
        await_(lambda: not telling_.away and not any(outbox_news(database)))
    check_whole(database, wire.had, once=False)


def test_an_outage_of_the_database_is_waited_out(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "KEEP_S", 0.0)
    with engine_on(postgres_url, 4) as engine, closing(open_database(postgres_url)) as own:
        epoch(engine.database)
        wire = Wire()
        with running(own, wire) as telling_:
            await_(lambda: telling_.is_alive() and not telling_.standby)
            replayed(engine, storm(5, 40))
            for _ in range(5):
                with engine.database.begin() as connection:
                    connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                time.sleep(0.2)
            await_(lambda: not telling_.away and not any(outbox_news(engine.database)))
            with pytest.raises(LeaseTaken):
                Lease(engine.database, TELLER, linger_s=0)
        check_whole(engine.database, wire.had, once=False)


def test_a_defect_ends_it_and_is_kept_for_whoever_started_it(database: Database) -> None:
    def broken(_: Database) -> None:
        raise ZeroDivisionError

    telling_ = role(database, Wire(), broken)
    telling_.start()
    telling_.join(10)
    assert isinstance(telling_.failure, ZeroDivisionError)
    Lease(database, TELLER).close()


# ---- one tells, others stand by -----------------------------------------------------------------------------


def test_a_second_one_stands_by_until_the_first_stops(database: Database) -> None:
    first, second = Wire(), Wire()
    with closing(open_database(database.url.render_as_string(hide_password=False))) as other:
        with running(database, first):
            await_(lambda: not any(outbox_news(database)))
            with running(other, second) as standing:
                await_(lambda: standing.standby)
                time.sleep(0.3)
                assert second.had == []
        with running(other, second) as standing:
            await_(lambda: standing.is_alive() and not standing.standby, within_s=2)
        check_whole(database, [*first.had, *second.had], once=True)


@contextmanager
def process(url: str, where: Path | str, failpoint: str = "", server: str = "") -> Iterator[BaseProcess]:
    """The role as a process of its own."""
    started = begun(tell_until_killed, failpoint, url, str(where), server)
    try:
        yield started
    finally:
        started.kill()
        ended(started)


def had(*files: Path) -> list[Message]:
    """What several processes wrote, one after the other; a torn last line was never acknowledged."""
    return [
        msgspec.json.decode(line, type=Message)
        for file in files
        if file.exists()
        for line in file.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def test_a_standby_takes_over_within_a_second_of_a_kill(database: Database, tmp_path: Path) -> None:
    url, wire = database.url.render_as_string(hide_password=False), Wire()
    with process(url, tmp_path / "first.jsonl") as first:
        await_(lambda: not any(outbox_news(database)), 60)
        with closing(open_database(url)) as own, running(own, wire) as standing:
            await_(lambda: standing.standby)
            first.kill()
            killed_s = time.monotonic()
            with database.begin() as connection:
                dead_letters.write(connection, [DeadLetter(late_letter(), None)])
            await_(lambda: letter_ids(wire.had) == ["late"])
            assert time.monotonic() - killed_s < 1.5
    check_whole(database, [*had(tmp_path / "first.jsonl"), *wire.had], once=True)


def late_letter() -> LetterRow:
    at_ms = 4_000_000_000_000
    return LetterRow("late", at_ms, None, None, "undecodable", "", "not JSON", "", "", "", "", "app", "letter:late")


def tell_until_killed(failpoint: str, url: str, where: str, server: str) -> None:
    """Tell to a file; or to the brokers of `server`, where a prefix of topics is given instead of one."""
    arm(failpoint)
    publish.BATCH = 10
    with closing(open_database(url)) as database:
        if server:
            settings = Settings(kafka=server, kafka_prefix=where)
            wire: Publisher = Publisher(settings, "alerts")
            topics = Topics(where)
        else:
            wire, topics = FileWire(Path(where)), TOPICS
        fold = partial(consume_alerts, limit=20)
        AlertPublisher(database, wire, topics, Counters(), fold, lambda _: None).run()
