"""Exactly-once effects of the workers: wherever one fails, is stopped, fenced or cut off, each record counts once.

In: events in a topic of a real broker, workers on PostgreSQL that fail in every way. Out: steps without gap or
repetition, and an exported log that gives the same when it is replayed embedded.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.future import Future
from kafka.structs import MemberState, OffsetAndMetadata

from consumers.alerts import fold
from engine import failpoints
from engine.clock import now_ms
from engine.cluster import kafka_quirks, partition_consumer
from engine.cluster.worker import Worker
from engine.errors import Fenced, Stalled
from engine.failpoints import Interrupted
from engine.operations.settlements import Settled, settle
from engine.operations.tries import Wanted, ask
from engine.replay import replay_log
from engine.store import archives
from engine.store.rows import InboxRow, SettlementRow
from gridpatrol.run import closed_years
from gridpatrol.run.following import follow
from lab import runs
from lab.runs import engine_on, pack_of
from schemas import asyncapi, facts
from tests.integration.test_isolation import refuse
from tests.integration.test_standing import broken
from tests.simulation.cluster import Cluster, cluster_on
from tests.simulation.line import Line
from tests.support.builders import DAY, OPERATOR, instant, subject

HOUR = 3_600_000
HOMES = tuple(f"WY{number:02}" for number in range(1, 13))


def report(cluster: Cluster, first: int, count: int, due: int | None = None) -> Line:
    """Reports of now, spread over the homes."""
    line, now = Line(cluster.gateway), now_ms()
    line.sent = first
    for number in range(first, first + count):
        home = HOMES[number % len(HOMES)]
        line.report(number, now, due, home, id=f"r{number}")
    return line


def check_once(cluster: Cluster, count: int, published_after: dict[int, int] | None = None) -> None:
    """Every report has one outcome and one effect; numbers and positions have no gap, and all is published in order."""
    result = cluster.result()
    with result.database.read() as connection:
        seen = connection.exec_driver_sql("SELECT id, outcome FROM seen WHERE id LIKE 'r%%'").all()
    assert sorted(row[0] for row in seen) == sorted(f"r{number}" for number in range(1, count + 1))
    assert {row[1] for row in seen} == {"done"}
    causes = [row.cause for row in runs.steps(result) if '"id":"r' in row.cause]
    assert len(causes) == len(set(causes)) == count
    told = runs.numbers(result)
    assert all(told.get(row.partition, []) == list(range(1, row.n + 1)) for row in result.rows.values())
    assert cluster.ends() == {p: row.position for p, row in result.rows.items()}
    cluster.check_published(published_after)


def consumer_of(worker: Worker) -> Any:
    """The library's own object."""
    assert worker.inbox._consumer is not None
    return worker.inbox._consumer


def membership(worker: Worker) -> Any:
    """Group, generation, member and state."""
    return consumer_of(worker).group_metadata()


# ---- where to go on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [0, 10_000])
def test_the_group_may_say_what_it_likes_the_database_says_where_to_go_on(cluster: Cluster, told: int) -> None:
    report(cluster, 1, 20)
    first = cluster.worker()
    cluster.settle()
    cluster.end(first)
    time.sleep(cluster.settings.kafka_session_ms / 1000 + 0.5)
    tell_group(cluster, told)
    report(cluster, 21, 20)
    cluster.worker("another")
    cluster.settle()
    check_once(cluster, 40)


def tell_group(cluster: Cluster, offset: int) -> None:
    """Let the group's offsets say something else than the database."""
    consumer = KafkaConsumer(
        bootstrap_servers=cluster.settings.kafka, group_id=cluster.topics.group("worker"), enable_auto_commit=False
    )
    places = [TopicPartition(cluster.topics.inbox, p) for p in range(2)]
    consumer.assign(places)
    consumer.commit({place: OffsetAndMetadata(offset, "", -1) for place in places})
    consumer.close()


ROLLBACKS = ["slice.after_lock", "slice.before_write", "slice.before_commit", "slice.after_commit"]


@pytest.mark.parametrize("name", ROLLBACKS)
def test_after_every_rollback_and_every_commit_of_unknown_outcome_it_goes_on_from_the_database(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    report(cluster, 1, 30)
    worker = cluster.worker()
    failed = 0
    for count in (1, 3, 2):
        failpoints.arm(f"{name}:raise@{count}")
        with pytest.raises(Interrupted):
            cluster.turn(lambda: False)
        failed += 1
    failpoints.arm("")
    cluster.settle()
    assert failed == 3 and not worker.away
    check_once(cluster, 30)
    cluster.check_export(tmp_path)


def test_a_connection_that_breaks_in_mid_slice_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    report(cluster, 1, 30)
    cluster.worker()
    failpoints.arm("slice.before_commit:sleep=100")
    stop = threading.Event()
    killer = threading.Thread(target=cut_sessions, args=(cluster, stop))
    killer.start()
    try:
        cluster.turn(lambda: not killer.is_alive())
    finally:
        stop.set()
        killer.join()
    failpoints.arm("")
    cluster.settle()
    check_once(cluster, 30)
    assert not Line(cluster.result()).letters()
    cluster.check_export(tmp_path)


def cut_sessions(cluster: Cluster, stop: threading.Event) -> None:
    """End three sessions in mid-transaction."""
    database, cut = cluster.open(), 0
    sql = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' "
        "AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    while cut < 3 and not stop.is_set():
        with database.begin() as connection:
            cut += len(connection.exec_driver_sql(sql).all())
        time.sleep(0.05)
    database.close()


# ---- zombies ------------------------------------------------------------------------------------------------


def test_the_older_of_two_processes_of_one_name_ends(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_consumer, "LOOK_S", 0.2)
    older, newer = cluster.worker("same"), cluster.worker("same")
    cluster.settle(older)
    with pytest.raises(Fenced, match="runs as 'same'"):
        for number in range(1, 1000):
            report(cluster, number, 1)
            newer.try_once()
            older.try_once()
    cluster.end(older)
    cluster.settle(newer)
    check_once(cluster, number)


def test_a_change_of_the_group_is_through_at_once_and_not_begun_again_and_again(cluster: Cluster) -> None:
    one = cluster.worker("one")
    cluster.settle()
    before = membership(one).generation_id
    two = cluster.worker("two")
    cluster.turn(lambda: len(one.inbox.heads) == len(two.inbox.heads) == 1)
    cluster.settle()
    assert membership(one).generation_id == membership(two).generation_id <= before + 2


def test_a_worker_waits_for_company_only_while_records_keep_coming(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = cluster.worker()
    cluster.settle()
    waits, fetch = list[int](), kafka_quirks.fetch_together

    def heard(consumer: Any, wait_ms: int) -> None:
        waits.append(wait_ms)
        fetch(consumer, wait_ms)

    monkeypatch.setattr(kafka_quirks, "fetch_together", heard)
    worker.decide_batch()
    report(cluster, 1, 1)
    cluster.settle()
    while waits[-1]:  # until one finds nothing
        worker.decide_batch()
    assert waits[0] == waits[-1] == 0, "what comes after silence is fetched at once"
    assert set(waits) == {0, partition_consumer.SINGLE_MS} and partition_consumer.SINGLE_MS <= 25
    for came in (2, 99, 100):
        worker.inbox.wait_for_company(came)
    assert waits[-3:] == [partition_consumer.COMPANY_MS, partition_consumer.COMPANY_MS, 0]
    assert partition_consumer.COMPANY_MS <= 50


def test_a_worker_with_records_at_hand_does_not_wait_for_more(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = cluster.worker()
    cluster.settle()
    monkeypatch.setattr("engine.cluster.worker.POLL_S", 0.0)  # one slice of five records to a batch
    report(cluster, 1, 20)
    waits, poll = list[tuple[bool, int]](), worker.inbox.poll

    def heard(timeout_ms: int, *more: Any) -> int:
        waits.append((bool(worker.engine.backlog()), timeout_ms))
        return poll(timeout_ms, *more)

    monkeypatch.setattr(worker.inbox, "poll", heard)
    while not cluster.is_settled():
        worker.decide_batch()
    assert set(waits) == {(False, kafka_quirks.MIN_POLL_MS), (True, partition_consumer.GLANCE_MS)}


# ---- ticks and stamps ---------------------------------------------------------------------------------------


@pytest.fixture
def lone(postgres_url: str, kafka_server: str, kafka_prefix: str) -> Iterator[Cluster]:
    """One partition, whose stamps a test chooses."""
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 1, slice_records=5) as made:
        made.take_stamps()
        made.lay_pack()
        yield made


def ticks(cluster: Cluster) -> list[int]:
    """The offsets of ticks in the log of the first partition; they look as the contract says."""
    found = [(m.offset, dict(m.headers)) for m in cluster.messages(cluster.topics.inbox)]
    ticked = {offset: headers for offset, headers in found if headers["kind"] == b"tick"}
    [shown] = json.loads(asyncapi.document())["components"]["messages"]["inbox.tick"]["examples"]
    assert all(headers == {k: v.encode() for k, v in shown["headers"].items()} for headers in ticked.values())
    return list(ticked)


def row(cluster: Cluster, line: Line, kind: str, by: str, stamp: int, **rest: Any) -> InboxRow:
    """An event as a record with a stamp, for `lay`."""
    said = line.submission(kind, by, stamp, **rest)
    return InboxRow(said.partition, 0, stamp, said.kind, said.principal, said.body)


def reported(cluster: Cluster, line: Line, number: int, stamp: int, due: int) -> InboxRow:
    return row(
        cluster,
        line,
        "report.submitted",
        "WY-12345",
        stamp,
        case=subject("WY01", number),
        category="D3-04",
        source="hotline",
        grid="WY01-01",
        definition="service_request",
        deadline=instant(due),
    )


def test_what_is_due_waits_for_an_older_record_that_is_still_unread(
    lone: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "ENOUGH", 1)
    line, now = Line(lone.gateway), now_ms()
    due = now - 5_000
    worker = lone.worker()
    lone.lay([reported(lone, line, 1, due - 60_000, due)])
    worker.engine.ticked[0] = (0, 2**62)
    lone.settle()
    assert worker.engine.partitions.next_due[0] is not None and worker.engine.partitions.next_due[0] <= due
    noise = [reported(lone, line, number, due - 50_000, now + HOUR) for number in range(2, 22)]
    closing = row(lone, line, "incident.closed", "WY-DISPATCH", due - 1, case=subject("WY01", 1))
    lone.lay([*noise, closing])
    worker.engine.ticked.clear()
    lone.turn(lambda: worker.engine.rows[0].position >= 20)
    lone.settle()
    assert not line.breaches(1)
    assert [s.result for s in line.of(facts.ClockStopped, 1) if s.clock == "total"] == ["on_time"]
    assert all(offset > 22 for offset in ticks(lone))
    lone.check_export(tmp_path)


def test_a_due_instant_in_a_silent_log_is_ticked_by_its_owner_and_by_nobody_else(
    cluster: Cluster, tmp_path: Path
) -> None:
    due = now_ms() + 1500
    line = report(cluster, 1, 12, due)
    one, two = cluster.worker("one"), cluster.worker("two")
    cluster.turn(lambda: len(one.inbox.heads) == len(two.inbox.heads) == 1)
    cluster.turn(lambda: len(breached(cluster)) == 12)
    cluster.settle()
    assert {rung.due for rung in breached(cluster)} == {due}
    assert one.engine.ticked.keys().isdisjoint(two.engine.ticked)
    assert 2 <= len(ticks(cluster)) <= 6
    assert line.letters() == []
    cluster.check_export(tmp_path)


def breached(cluster: Cluster) -> list[facts.ClockRung]:
    found = [fact for step in runs.steps(cluster.result()) for fact in facts.decode_facts(step.body)]
    return [fact for fact in found if isinstance(fact, facts.ClockRung) and fact.breach and fact.clock == "total"]


def test_while_the_brokers_clock_is_behind_ticks_do_not_spin_and_nothing_fires_early(
    postgres_url: str, kafka_server: str, kafka_prefix: str
) -> None:
    ahead = 5_000  # of the worker's clock before the brokers'
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 1) as lone:
        lone.install()
        due = now_ms() + 4_000
        report(lone, 1, 1, due)
        check_ticks(lone, lone.worker(), due, ahead)


def check_ticks(lone: Cluster, worker: Worker, due: int, ahead: int) -> None:
    """A worker whose clock is ahead by so much ticks now and then until the brokers' clock has reached what is due."""
    lone.settle()
    until = time.monotonic() + 20
    while not breached(lone) and time.monotonic() < until:
        worker.inbox.poll(100, worker.engine.rows)
        while worker.engine.work(None) is not None:
            pass
        worker.engine.tick(now_ms() + ahead)
    [rung] = breached(lone)
    assert rung.due == due and now_ms() > due
    assert len(ticks(lone)) <= 4


def test_stamps_that_go_back_arrive_when_the_clock_of_their_partition_stands(lone: Cluster, tmp_path: Path) -> None:
    line, now = Line(lone.gateway), now_ms()
    lone.worker(ticking=False)
    stamps = [now - 1000, now - 6000, now - 5000, now - 500]
    lone.lay([reported(lone, line, n, stamp, now + HOUR) for n, stamp in enumerate(stamps, 1)])
    lone.settle()
    assert [line.steps(n)[0].at for n in (1, 2, 3, 4)] == [now - 1000] * 3 + [now - 500]
    lone.check_export(tmp_path)


@pytest.mark.parametrize("verdict", ["stamp", "skip"])
def test_a_stamp_an_hour_ahead_halts_its_partition_visibly_until_it_is_settled_and_the_others_go_on(
    cluster: Cluster, tmp_path: Path, verdict: str
) -> None:
    cluster.take_stamps()
    line, now = Line(cluster.gateway), now_ms()
    sick = cluster.gateway.partition(subject("WY01"))
    worker = cluster.worker(ticking=False)
    stamps = [now, now + HOUR, now + 1]
    cluster.lay([reported(cluster, line, n, stamp, now + 2 * HOUR) for n, stamp in enumerate(stamps, 1)])
    cluster.turn(lambda: bool(worker.engine.rows[sick].halted))
    position = worker.engine.rows[sick].position
    assert "ahead of this worker's clock" in cluster.result().rows[sick].halted
    assert gauges(worker)["gridpatrol_partitions_halted", ""] == 1
    assert gauges(worker)["gridpatrol_inbox_lag_records", str(sick)] == 2
    others = [home for home in HOMES if cluster.gateway.partition(subject(home)) != sick]
    said = line.submission(
        "report.submitted",
        "WY-12345",
        now,
        case=subject(others[0], 9),
        category="D3-04",
        source="hotline",
        grid=f"{others[0]}-01",
    )
    cluster.gateway.append([said], now)
    cluster.turn(lambda: bool(line.facts(9, others[0])))
    word = "skip" if verdict == "skip" else f"stamp:{now + 2}"
    settle(cluster.result(), Settled(sick, position, word, "an operator"), OPERATOR)
    cluster.turn(lambda: bool(line.facts(3)))
    cluster.settle()
    assert not cluster.result().rows[sick].halted and not worker.ready()
    assert bool(line.facts(2)) == (verdict == "stamp")
    cluster.check_export(tmp_path)


def gauges(worker: Worker) -> dict[tuple[str, str], float]:
    """A worker's gauges, by name and partition."""
    found = worker.engine.counters.registry.collect()
    return {(s.name, s.labels.get("partition", "")): s.value for family in found for s in family.samples}


# ---- what is missing ----------------------------------------------------------------------------------------


def test_records_that_the_log_lost_halt_their_partition_and_raise_an_alarm_and_are_never_jumped_over(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "LOOK_S", 0.3)
    report(cluster, 1, 24)
    first = cluster.worker()
    cluster.settle()
    cluster.end(first)
    line = report(cluster, 25, 24)
    place = TopicPartition(cluster.topics.inbox, 0)
    stands = cluster.result().rows[0].position
    with cluster.admin() as admin:
        admin.delete_records({place: stands + 3})
    worker = cluster.worker("another")
    cluster.turn(lambda: all_decided_of(cluster, 1) and bool(worker.engine.rows[0].halted))
    assert "3 records are missing" in cluster.result().rows[0].halted
    assert gauges(worker)["gridpatrol_inbox_gap_records", "0"] == 3
    assert gauges(worker)["gridpatrol_inbox_gap_records", "1"] == 0
    for _ in range(10):
        worker.try_once()
    assert cluster.result().rows[0].position == stands
    assert not worker.ready()  # the other one goes on
    assert line.letters() == []


def all_decided_of(cluster: Cluster, partition: int) -> bool:
    return cluster.result().rows[partition].position == cluster.ends()[partition]


def test_records_lost_under_a_running_worker_halt_it_as_well(lone: Cluster) -> None:
    report(lone, 1, 5)
    worker = lone.worker()
    lone.settle()
    for _ in range(8):  # until no fetch is under way any more
        worker.inbox.poll(100, worker.engine.rows, fetch=False)
    report(lone, 6, 5)
    with lone.admin() as admin:
        admin.delete_records({TopicPartition(lone.topics.inbox, 0): lone.result().inbox.end(0) - 1})
    lone.turn(lambda: bool(worker.engine.rows[0].halted))
    assert "4 records are missing" in worker.engine.rows[0].halted
    assert "4 records are missing" in worker.ready()
    assert lone.result().rows[0].position == 6


# ---- watchdogs ----------------------------------------------------------------------------------------------


def test_a_member_that_missed_its_own_rejoin_joins_anew(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = missing_a_rejoin(cluster, monkeypatch, forget_partitions)
    assert not worker.inbox.heads
    report(cluster, 11, 10)
    cluster.settle()
    check_once(cluster, 20)


def test_a_member_that_waits_for_an_answer_that_has_come_joins_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = missing_a_rejoin(cluster, monkeypatch, wait_for_ever)
    cluster.turn(lambda: worker.inbox._consumer is None, within_s=10)
    report(cluster, 11, 10)
    cluster.settle()
    check_once(cluster, 20)


def missing_a_rejoin(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, miss: Callable[[Worker], None]) -> Worker:
    """A worker after a turn in which the library has lost its way in a change of the group."""
    monkeypatch.setattr(kafka_quirks, "REJOIN_S", 0.5)
    monkeypatch.setattr(partition_consumer, "JOIN_S", 0.2)
    report(cluster, 1, 10)
    worker = cluster.worker()
    cluster.settle()
    miss(worker)
    worker.try_once()
    return worker


def wait_for_ever(worker: Worker) -> None:
    """As after an answer that got lost: rejoining, with the partitions that it had, and nothing ever comes."""
    coordinator = consumer_of(worker)._coordinator
    coordinator.state, coordinator.rejoin_needed, coordinator.rejoining = MemberState.REBALANCING, True, True
    coordinator._join_task = Future()


def forget_partitions(worker: Worker) -> None:
    """Bring the library into the state in which its own defect leaves it: rejoining, and nobody does it."""
    coordinator = consumer_of(worker)._coordinator
    coordinator._subscription.assign_from_subscribed([])
    coordinator.state = MemberState.REBALANCING
    worker.inbox._listener.changed = True


def test_a_member_that_gets_no_partitions_however_often_it_joins_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = cluster.worker()
    cluster.settle()
    monkeypatch.setattr(kafka_quirks, "REJOIN_S", 0.1)
    monkeypatch.setattr(partition_consumer, "JOIN_S", 0.0)
    monkeypatch.setattr(kafka_quirks, "is_member", lambda consumer: False)  # no change of the group ever ends
    with pytest.raises(Stalled, match="no place"):
        for _ in range(100):
            worker.try_once()


def test_a_fetch_that_stands_still_while_the_log_grows_ends_the_process(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "LOOK_S", 0.2)
    monkeypatch.setattr(partition_consumer, "STALLED_S", 1.0)
    worker = cluster.worker()
    cluster.settle()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        worker.try_once()  # a quiet log is no stall
    report(cluster, 1, 10)
    with pytest.raises(Stalled, match="none has come"):
        for _ in range(100):
            numb(worker)
            worker.try_once()


def numb(worker: Worker) -> None:
    """As a fetch whose answer never comes: nothing of this member's partitions may be asked for."""
    for state in consumer_of(worker)._subscription.assignment.values():
        state.mark_pending_revocation()


# ---- poison -------------------------------------------------------------------------------------------------


def test_poison_and_what_the_database_refuses_is_isolated_and_its_neighbours_go_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    refuse(cluster.database, "facts", 'NEW.cause LIKE \'%"id":"r7"%\'')
    line = report(cluster, 1, 12)
    cluster.lay_raw(1, [b"", b"\xff\xfe\x00", b"[]", b'{"event": 1}'])
    report(cluster, 13, 8)
    cluster.worker()
    cluster.settle()
    letters = sorted(letter[0] for letter in line.letters())
    assert letters == ["failed", *["undecodable"] * 4]
    result = cluster.result()
    causes = [step.cause for step in runs.steps(result) if '"id":"r' in step.cause]
    assert len(causes) == len(set(causes)) == 19
    cluster.check_export(tmp_path)


# ---- much at once -------------------------------------------------------------------------------------------


def test_cases_that_stand_are_tried_again_by_an_operator_s_word_and_by_whoever_takes_their_partition_over(
    cluster: Cluster, tmp_path: Path
) -> None:
    def stand() -> int:
        return sum(row.standing for row in cluster.result().rows.values())

    def comment(*ids: str) -> None:
        for number, id_ in enumerate(ids, 1):
            home = HOMES[number]
            line.say("comment.added", f"{home}-01-MEMBER", now_ms(), case=subject(home, number), id=id_)

    line = report(cluster, 1, 8)
    worker = cluster.worker()
    cluster.settle()
    with broken("comment.added"):
        comment("a1", "a2")
        cluster.settle()
        assert stand() == 2 and not worker.ready() and "cases of partition" in worker.remark()
    assert ask(cluster.result(), Wanted(), OPERATOR).cases == 2  # the owner hears of it
    cluster.turn(lambda: stand() == 0)
    with broken("comment.added"):
        comment("b1", "b2")
        cluster.settle()
        assert stand() == 2
    cluster.end(worker)
    time.sleep(cluster.settings.kafka_session_ms / 1000 + 0.5)
    cluster.worker("another")  # perhaps of another release
    cluster.turn(lambda: stand() == 0)
    cluster.settle()
    check_once(cluster, 8)
    with engine_on(f"sqlite:///{tmp_path / 'clean.db'}", 2) as clean:
        replay_log(clean, cluster.export())
        assert runs.facts(clean) == runs.facts(cluster.result())
        assert runs.answers(clean, shapes=False) == runs.answers(cluster.result(), shapes=False)


@pytest.mark.parametrize(("limit", "most_at_hand"), [("ENOUGH", 100), ("HEAVY", 200)])
def test_a_large_backlog_is_fetched_as_there_is_room(
    postgres_url: str,
    kafka_server: str,
    kafka_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most_at_hand: int,
) -> None:
    monkeypatch.setattr(partition_consumer, limit, most_at_hand)  # a hundred of the records below
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 8, slice_records=50) as cluster:
        cluster.install()
        sick = cluster.gateway.partition(subject("WY01"))
        cluster.lay_raw(sick, [b"{}"] * 6000)
        report(cluster, 1, 120)
        worker = cluster.worker()
        most = 0
        while not (settled := cluster.is_settled()):
            worker.try_once()
            most = max(most, sum(map(len, worker.inbox._tails.values())))
        assert settled and most <= 100 + 2000
        with cluster.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM dead_letters").scalar_one() == 6000


def test_a_partition_that_stands_still_takes_no_room_from_the_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "ENOUGH", 20)
    worker = cluster.worker()
    cluster.settle()
    sick = cluster.gateway.partition(subject("WY01"))
    worker.engine.partitions.halt(sick, "for a test")
    report(cluster, 1, 300)
    cluster.turn(lambda: all_decided_of(cluster, 1 - sick))
    assert gauges(worker)["gridpatrol_inbox_lag_records", str(1 - sick)] == 0
    worker.engine.partitions.settle(SettlementRow(sick, 10**6, "skip", ""))
    cluster.settle()
    check_once(cluster, 300)


def test_a_closed_year_is_archived_through_the_topic_and_leaves_beside_a_worker(lone: Cluster, tmp_path: Path) -> None:
    line, now = Line(lone.gateway), now_ms()
    then = now - 200 * DAY
    lone.worker()
    closing = row(lone, line, "incident.closed", "WY-DISPATCH", then + 1, case=subject("WY01", 1))
    lone.lay([*(reported(lone, line, number, then, then + HOUR) for number in (1, 2)), closing])
    lone.settle()
    lone.gateway.archive(now - 100 * DAY, now)
    lone.settle()
    lone.check_export(tmp_path)
    database = lone.result().database
    while follow(database):
        pass
    fold.tell(database, now)

    def all_read() -> bool:
        with database.read() as connection:
            return archives.read_floor(connection, 0) == lone.result().rows[0].n

    lone.turn(all_read)  # the publisher writes its mark once a second
    settings = msgspec.structs.replace(lone.settings, archives=str(tmp_path / "archives"))
    assert closed_years.write(settings, database, OPERATOR, lambda done: None).cases == 1
    both = [{"case": subject("WY01", number), "text": "…"} for number in (1, 2)]
    lone.lay([row(lone, line, "case.commented", "WY-DISPATCH", now, **said) for said in both])
    lone.settle()
    assert [letter[:2] for letter in line.letters()] == [("archived", subject("WY01", 1))]


# ---- growing up ---------------------------------------------------------------------------------------------


def test_what_a_table_held_undecided_is_decided_before_what_the_topic_holds(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path
) -> None:
    with engine_on(postgres_url, 2) as engine:
        runs.install(engine, pack_of("weiyang"))
        line = Line(engine)
        for number in range(1, 31):
            line.report(number, now_ms(), None, HOMES[number % 12], id=f"r{number}")
        engine.work(None)
        line.sent = 30
        for number in range(31, 51):
            line.report(number, now_ms(), None, HOMES[number % 12], id=f"r{number}")
        assert engine.backlog()
        told = {p: row.n for p, row in engine.rows.items()}
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, slice_records=7) as cluster:
        assert all(base > 10 for base in cluster.origin().bases)
        report(cluster, 51, 30)
        cluster.worker()
        cluster.settle()
        check_once(cluster, 80, told)
        cluster.check_export(tmp_path)
