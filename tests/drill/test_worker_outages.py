"""Workers that lose their brokers, database or clock, that are stopped for longer than their session, that come and go.

Exactly-once effects all the while: each record counts once, and the exported log gives the same when it is replayed.
"""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from consumers.verify import verify
from engine import failpoints
from engine.clock import Reading, boot_ms, now_ms
from engine.cluster import clients, kafka_quirks, partition_consumer, topics
from engine.cluster.worker import Worker
from engine.errors import LogMismatch, StaleWriter
from engine.failpoints import Interrupted
from engine.inbox import Submission
from engine.operations import clocks
from engine.operations.clocks import ClockSettlement
from engine.operations.settlements import Settled, settle
from engine.wall_clock import DAY_MS, EVEN_MS
from lab.installation import Role
from lab.parts.kafka import Broker, running_broker
from lab.parts.postgres import fresh_database, own_server
from lab.parts.processes import freeze
from lab.parts.shifted_clock import Clock, ClockUnavailable
from tests.conftest import IN_CI
from tests.integration.test_worker import (
    HOMES,
    all_decided_of,
    breached,
    check_once,
    gauges,
    membership,
    report,
    ticks,
)
from tests.simulation.cluster import Cluster, cluster_on
from tests.simulation.line import Line
from tests.support.builders import OPERATOR, shipped, subject
from tests.support.walks import forget
from workflows import homes


def test_who_fell_far_behind_does_not_keep_the_other_partitions_waiting(
    postgres_url: str, kafka_server: str, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library hands out the rest of a fetch, a poll at a time, before what has come meanwhile for others."""
    consumer = clients.consumer
    monkeypatch.setattr(clients, "consumer", lambda *where, **how: consumer(*where, max_poll_records=200, **how))
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 4) as cluster:
        cluster.install()
        line = report(cluster, 1, 1)
        prompt = next(p for p, end in cluster.ends().items() if end > 1)
        cluster.worker()
        cluster.turn(lambda: all_decided_of(cluster, prompt))

        def decided() -> int:
            return sum(row.position for row in cluster.result().rows.values())

        for partition in set(range(4)) - {prompt}:
            cluster.lay_raw(partition, [b"{}"] * 4_000)  # less than one fetch may have, far more than a poll
        cluster.turn(lambda: decided() > 1_000)  # the rest of those fetches is at hand now
        line.report(2, now_ms(), None, HOMES[1], id="r2")
        cluster.turn(lambda: all_decided_of(cluster, prompt))
        assert decided() < 6_000


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
        settle(cluster.result(), Settled(0, first, f"stamp:{now_ms()}", "the clock was ahead", first + 2), OPERATOR)
        cluster.settle()
        assert line.letters() == []
        check_once(cluster, 10)
        cluster.check_export(tmp_path)


def test_a_worker_on_a_machine_whose_clock_is_wrong_takes_over_decides_and_lets_nothing_fall_due(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The broker's clock is right. When the worker's is set right, and by an operator's word, deadlines fire."""
    first = cluster.worker("one")
    due = now_ms() + 8_000
    report(cluster, 1, 4, due)
    cluster.settle()
    cluster.end(first)
    ticked = ticks(cluster)
    shifted, slept = [400 * DAY_MS], [0]
    second = cluster.worker("two")
    second.engine.wall.read = lambda: Reading(now_ms() + shifted[0] + slept[0], boot_ms() + slept[0])
    report(cluster, 5, 4)
    cluster.settle()
    said = second.ready()
    assert "400 d later than what this database knows" in said and "`gridpatrol clock settle`" in said
    cluster.turn(lambda: now_ms() > due + 500)
    assert breached(cluster) == [] and ticks(cluster) == ticked
    clocks.settle(cluster.result(), ClockSettlement("the gateway's clock is right"), OPERATOR)
    slept[0] += EVEN_MS
    second.engine.wall.look_again()
    cluster.turn(lambda: now_ms() > due + 1_000)
    assert "400 d later" in second.ready(), "its own clock is as wrong as before"
    shifted[0] = 0
    second.try_once()
    slept[0] += EVEN_MS
    second.engine.wall.look_again()
    cluster.turn(lambda: bool(breached(cluster)))
    assert second.ready() == ""
    check_once(cluster, 8)
    cluster.check_export(tmp_path)


def clock_of(folder: Path) -> Clock:
    try:
        return Clock(folder)
    except ClockUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no clock to set: {reason}")


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


# ---- homes of an installation that is older than homes ---------------------------------------------------------


@pytest.mark.parametrize("point", ["append.before_commit", "append.after_commit"])
def test_after_an_upgrade_homes_are_entered_once_by_whichever_worker_lives(
    postgres_url: str, kafka_server: str, kafka_prefix: str, point: str
) -> None:
    """An earlier release has activated a pack under which posts owe something; the first worker that is to append its
    activation dies before or after the broker has it."""
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, slice_records=5) as cluster:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(homes, "BEARING", ())
            forget()
            cluster.install(pack=shipped().pack)
            report(cluster, 1, 4)
            first = cluster.worker("old")
            cluster.settle()
            cluster.end(first)
        forget()
        assert [len(cluster.result().activations(p)) for p in (0, 1)] == [1, 1] and not homes_of(cluster)
        failpoints.arm(f"{point}:raise")
        dying = cluster.worker("dies")
        with pytest.raises(Interrupted):
            cluster.turn(lambda: False)
        failpoints.arm("")
        cluster.end(dying)
        one, two = cluster.worker("one"), cluster.worker("two")
        cluster.turn(lambda: len(homes_of(cluster)) == 12 and cluster.is_settled(one, two), one, two)
        for worker in (one, two):
            cluster.end(worker)
        third = cluster.worker("three")
        cluster.settle(third)
        for _ in range(3):
            cluster.turn(lambda: True, third)
            third.try_once()
        packs = [m.partition for m in cluster.messages(cluster.topics.inbox) if dict(m.headers)["kind"] == b"pack"]
        assert packs == [0, 0, 1, 1]
        assert [len(cluster.result().activations(p)) for p in (0, 1)] == [2, 2]
        assert [m for m in verify(cluster.database, live=True) if m.what not in ("alert", "outcome", "figure")] == []
        cluster.check_published()


def homes_of(cluster: Cluster) -> list[str]:
    """The homes that have been entered, and have come up."""
    with cluster.database.read() as connection:
        sql = "SELECT id FROM cases WHERE definition = 'home' AND state = 'entered' ORDER BY id"
        return list(connection.exec_driver_sql(sql).scalars())
