"""Exactly-once effects of the workers: wherever one fails, is stopped, fenced or cut off, each record counts once.

In: events in a topic of a real broker, workers on PostgreSQL that fail in every way. Out: steps without gap or
repetition, and an exported log that gives the same when it is replayed embedded.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.future import Future
from kafka.structs import MemberState, OffsetAndMetadata

from engine import failpoints
from engine.clock import now_ms
from engine.cluster import kafka_quirks, partition_consumer, topics
from engine.cluster.worker import Worker
from engine.errors import Fenced, LogMismatch, StaleWriter, Stalled
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.operations.settlements import Settled, settle
from engine.store.rows import InboxRow, SettlementRow
from lab import runs
from lab.installation import Role
from lab.parts.kafka import Broker, running_broker
from lab.parts.postgres import fresh_database, own_server
from lab.parts.processes import freeze
from lab.parts.shifted_clock import Clock, ClockUnavailable
from lab.runs import engine_on, pack_of
from schemas import asyncapi
from schemas import facts as f
from tests.conftest import IN_CI
from tests.integration.test_isolation import refuse
from tests.simulation.cluster import Cluster, cluster_on
from tests.simulation.line import Line
from tests.support.builders import instant, subject

HOUR = 3_600_000
HOMES = tuple(f"WY{number:02}" for number in range(1, 13))


@pytest.fixture
def cluster(postgres_url: str, kafka_server: str, kafka_prefix: str) -> Iterator[Cluster]:
    """Two partitions, small slices, a pack."""
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, slice_records=5) as made:
        made.install()
        yield made


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    failpoints.arm("")


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


def test_a_process_stopped_in_mid_slice_loses_its_locks_and_its_slice_and_goes_on_as_a_good_member(
    cluster: Cluster, tmp_path: Path
) -> None:
    report(cluster, 1, 40)
    sleeper = Role("sleeper", "worker", environment(cluster), tmp_path)
    sleeper.start(GRIDPATROL_FAILPOINT="slice.before_commit:sleep=400")
    try:
        await_open_slice(cluster)
        assert sleeper.process is not None
        os.kill(sleeper.process.pid, signal.SIGSTOP)
        cluster.worker("other")
        cluster.settle()
        report(cluster, 41, 20)
        cluster.settle()
        os.kill(sleeper.process.pid, signal.SIGCONT)
        cluster.turn(lambda: len(cluster.workers[0].inbox.heads) == 1)  # the sleeper has its share again
        report(cluster, 61, 20)
        cluster.turn(lambda: all_decided(cluster))
        sleeper.await_ready(10)
        assert "trying again" in sleeper.said() or "memory is read again" in sleeper.said()
        assert sleeper.stop() == 0
    finally:
        sleeper.kill()
    cluster.settle()
    check_once(cluster, 80)
    cluster.check_export(tmp_path)


def environment(cluster: Cluster) -> dict[str, str]:
    """What a process of this cluster is told."""
    names = ("database", "kafka", "kafka_prefix", "partitions", "slice_records", "kafka_session_ms")
    told = {f"GRIDPATROL_{name.upper()}": str(getattr(cluster.settings, name)) for name in names}
    return os.environ | told | {"PYTHONPATH": str(Path(__file__).parents[2])}


def await_open_slice(cluster: Cluster, within_s: float = 20) -> None:
    """Until somebody is in the middle of a slice, late enough to be stopped there."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database() "
        "AND state_change < clock_timestamp() - interval '100 ms'"
    )
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with cluster.database.begin() as connection:
            if connection.exec_driver_sql(f"{sql} AND pid <> pg_backend_pid()").scalar_one():
                return
        time.sleep(0.02)
    raise AssertionError("nobody began a slice")


def all_decided(cluster: Cluster) -> bool:
    return cluster.ends() == {p: row.position for p, row in cluster.result().rows.items()}


def test_who_does_not_fetch_for_too_long_is_refused_by_the_fence_and_its_late_messages_harm_nobody(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "AWAY_MS", 1500)
    late, other = cluster.worker("late"), cluster.worker("other")
    cluster.settle(late)
    report(cluster, 1, 30)
    fetched = 0
    while fetched < 30:
        fetched += late.inbox.poll(100, late.engine.rows)
    decided = late.engine.work(now_ms())  # committed, not published
    assert decided is not None and decided.steps and late.engine.backlog()
    cluster.settle(other)
    with pytest.raises(StaleWriter):
        late.engine.work(now_ms())
    late.relay.take(decided.steps)
    late.relay.finish()
    report(cluster, 31, 10)
    cluster.settle()
    assert len(late.inbox.heads) == len(other.inbox.heads) == 1
    check_once(cluster, 40)


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


def is_at_work(worker: Worker) -> bool:
    return bool(worker.inbox.heads) and not worker.inbox.taken_over


def test_workers_that_come_and_go_under_load_count_everything_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker("one")
    for round_ in range(4):
        report(cluster, 1 + 25 * round_, 25)
        guest = cluster.worker(f"guest-{round_ % 2}")
        cluster.turn(partial(is_at_work, guest))
        report(cluster, 101 + 5 * round_, 5)
        guest.try_once()
        cluster.end(guest)
    cluster.settle()
    check_once(cluster, 120)
    cluster.check_export(tmp_path)


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
    assert worker.engine.next_due[0] is not None and worker.engine.next_due[0] <= due
    noise = [reported(lone, line, number, due - 50_000, now + HOUR) for number in range(2, 22)]
    closing = row(lone, line, "incident.closed", "WY-DISPATCH", due - 1, case=subject("WY01", 1))
    lone.lay([*noise, closing])
    worker.engine.ticked.clear()
    lone.turn(lambda: worker.engine.rows[0].position >= 20)
    lone.settle()
    assert not line.breaches(1)
    assert [s.result for s in line.of(f.ClockStopped, 1) if s.clock == "total"] == ["on_time"]
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


def breached(cluster: Cluster) -> list[f.ClockRung]:
    facts = [fact for step in runs.steps(cluster.result()) for fact in f.decode_facts(step.body)]
    return [fact for fact in facts if isinstance(fact, f.ClockRung) and fact.breach and fact.clock == "total"]


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
    settle(cluster.result(), Settled(sick, position, word, "an operator"))
    cluster.turn(lambda: bool(line.facts(3)))
    cluster.settle()
    assert not cluster.result().rows[sick].halted and not worker.ready()
    assert bool(line.facts(2)) == (verdict == "stamp")
    cluster.check_export(tmp_path)


def test_a_broker_whose_clock_goes_back_five_seconds_and_then_ahead_an_hour(
    postgres_url: str, kafka_parts: object, tmp_path: Path
) -> None:
    clock = clock_of(tmp_path)
    with (
        running_broker(environment=clock.environment) as broker,
        cluster_on(postgres_url, broker.bootstrap, "", 1) as cluster,
    ):
        cluster.install()
        worker = cluster.worker()
        line = report(cluster, 1, 5)
        cluster.settle()
        stands = worker.engine.rows[0].clock
        clock.shift(-5)
        due = now_ms() + 500
        report(cluster, 6, 1, due)
        cluster.settle()
        assert worker.engine.rows[0].clock == stands  # arrival never goes back
        cluster.turn(lambda: bool(breached(cluster)))
        assert [rung.due for rung in breached(cluster)] == [due] and now_ms() > due + 4_000
        assert len(ticks(cluster)) <= 7

        clock.shift(3600)
        report(cluster, 7, 3)
        cluster.turn(lambda: bool(worker.engine.rows[0].halted))
        clock.shift(0)
        report(cluster, 10, 1)
        first = worker.engine.rows[0].position
        assert first == cluster.ends()[0] - 4
        settle(cluster.result(), Settled(0, first, f"stamp:{now_ms()}", "the clock was ahead", first + 2))
        cluster.settle()
        assert line.letters() == []
        check_once(cluster, 10)
        cluster.check_export(tmp_path)


def clock_of(folder: Path) -> Clock:
    try:
        return Clock(folder)
    except ClockUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no clock to set: {reason}")


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


def test_a_topic_that_was_made_anew_is_refused_at_start_and_halts_a_running_worker(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "LOOK_S", 0.3)
    report(cluster, 1, 24)
    worker = cluster.worker()
    cluster.settle()
    positions = {p: r.position for p, r in cluster.result().rows.items()}
    with cluster.admin() as admin:
        admin.delete_topics([cluster.topics.inbox])
        time.sleep(0.5)
        admin.create_topics(
            {cluster.topics.inbox: {"num_partitions": 2, "replication_factor": 1, "configs": {}}},
            wait_for_metadata=True,
        )
    with pytest.raises(LogMismatch, match="decided records of"):
        topics.open_inbox(cluster.settings, cluster.database)
    cluster.turn(lambda: all(r.halted for r in cluster.result().rows.values()), within_s=60)
    report(cluster, 25, 60)  # what the new one holds is none of this database's
    for _ in range(20):
        worker.try_once()
    assert {p: r.position for p, r in cluster.result().rows.items()} == positions


# ---- what is away -------------------------------------------------------------------------------------------


def test_while_the_database_is_away_a_worker_keeps_its_place_in_the_group_and_goes_on_afterwards(
    kafka_server: str, kafka_prefix: str, tmp_path: Path
) -> None:
    with (
        own_server() as server,
        fresh_database(server.url) as url,
        cluster_on(url, kafka_server, kafka_prefix, 2, slice_records=5) as cluster,
    ):
        cluster.install()
        report(cluster, 1, 10)
        worker = cluster.worker()
        cluster.settle()
        before = membership(worker)
        said = [report_of(cluster, number) for number in range(11, 31)]
        server.kill()
        cluster.gateway.append(said, now_ms())
        until = time.monotonic() + 2 * cluster.settings.kafka_session_ms / 1000
        while time.monotonic() < until:
            worker.try_once()
        assert "database" in worker.ready()
        assert gauges(worker)["gridpatrol_backpressure", ""] == 1
        server.start()
        cluster.database.close()
        cluster.settle()
        assert membership(worker)[:3] == before[:3]
        assert gauges(worker)["gridpatrol_backpressure", ""] == 0 and not worker.ready()
        check_once(cluster, 30)


def report_of(cluster: Cluster, number: int) -> Submission:
    """A report with nothing to seal: a gateway needs no database for it."""
    said = Line(cluster.gateway).submission(
        "report.submitted",
        "WY-12345",
        now_ms(),
        id=f"r{number}",
        category="D3-04",
        case=subject("WY01", number),
        source="hotline",
        grid="WY01-01",
    )
    return Submission(said.partition, said.kind, said.principal, said.body)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_while_the_broker_is_away_nothing_is_lost_and_all_goes_on_afterwards(
    postgres_url: str, kafka_parts: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(partition_consumer, "LOOK_S", 0.5)
    monkeypatch.setattr(partition_consumer, "ANSWER_MS", 1000)
    with running_broker() as broker, cluster_on(postgres_url, broker.bootstrap, "", 2, slice_records=5) as cluster:
        cluster.install()
        report(cluster, 1, 20)
        worker = cluster.worker()
        failpoints.arm("slice.after_commit:raise@3")
        with pytest.raises(Interrupted):
            cluster.turn(lambda: False)
        take_away(broker, how)
        cluster.turn(lambda: "broker" in worker.ready())
        assert gauges(worker)["gridpatrol_backpressure", ""] == 1
        bring_back(broker, how)
        cluster.settle(within_s=60)
        report(cluster, 21, 10)
        cluster.settle()
        check_once(cluster, 30)
        cluster.check_export(tmp_path)


def take_away(broker: Broker, how: str) -> None:
    if how == "killed":
        broker.kill()
    else:
        freeze(broker.pid)


def bring_back(broker: Broker, how: str) -> None:
    if how == "killed":
        broker.start()
    else:
        os.kill(broker.pid, signal.SIGCONT)


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


def test_more_workers_than_partitions_leave_the_group_in_peace(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_quirks, "REJOIN_S", 0.3)
    one, two, spare = (cluster.worker(name) for name in ("one", "two", "three"))
    cluster.turn(lambda: sum(bool(w.inbox.heads) for w in (one, two, spare)) == 2 and not one.inbox.taken_over)
    cluster.settle()
    generation = membership(one).generation_id
    until = time.monotonic() + 2
    cluster.turn(lambda: time.monotonic() > until)
    assert membership(one).generation_id == generation
    assert sorted(w.ready() for w in (one, two, spare)) == ["", "", "no partitions yet"]


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


@pytest.mark.parametrize(("limit", "most_at_hand"), [("ENOUGH", 100), ("HEAVY", 200)])
def test_a_large_backlog_is_fetched_as_there_is_room_and_no_partition_waits_for_another(
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
        most, done = 0, 0.0
        while not (settled := cluster.is_settled()):
            worker.try_once()
            most = max(most, sum(map(len, worker.inbox._tails.values())))
            small = [row for p, row in worker.engine.rows.items() if p != sick]
            if not done and sum(row.position for row in small) >= 7 + 110 - 12:
                done = worker.engine.rows[sick].position / 6000
        assert settled and most <= 100 + 2000
        assert done < 0.8
        with cluster.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM dead_letters").scalar_one() == 6000


def test_a_partition_that_stands_still_takes_no_room_from_the_others(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_consumer, "ENOUGH", 20)
    worker = cluster.worker()
    cluster.settle()
    sick = cluster.gateway.partition(subject("WY01"))
    worker.engine.halt(sick, "for a test")
    report(cluster, 1, 300)
    cluster.turn(lambda: all_decided_of(cluster, 1 - sick))
    assert gauges(worker)["gridpatrol_inbox_lag_records", str(1 - sick)] == 0
    worker.engine.settle(SettlementRow(sick, 10**6, "skip", ""))
    cluster.settle()
    check_once(cluster, 300)


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
