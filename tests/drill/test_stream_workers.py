"""Workers of the performance role come, go, are killed, and lose their brokers and database: the figures stay exact."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from consumers.performance import faust_app
from lab.installation import Installation, Role
from lab.parts import kafka
from lab.parts.processes import eventually, stat
from lab.parts.proxy import Proxy
from tests.integration.test_stream import PARTITIONS, Stage, in_two

LOOKED_S = 2 * faust_app.LOOK_S + 5
"""By then the store has been looked at twice."""


@pytest.fixture
def stage(tmp_path: Path, kafka_server: str, kafka_prefix: str, month_url: str) -> Iterator[Stage]:
    made = Stage(tmp_path, kafka_server, kafka_prefix, month_url)
    yield made
    made.close()


def test_steps_that_nobody_published_are_found_in_the_store(stage: Stage) -> None:
    first, second = in_two(stage.rows)
    worker = stage.worker("performance-1")
    stage.send(first)
    eventually(lambda: stage.folded() >= len(first), "the first half")
    stage.await_all(LOOKED_S)
    eventually(lambda: stage.counted(worker)["filled"] == len(second), "all of them counted")
    stage.check()


def test_the_figures_go_on_when_the_topic_is_deleted(stage: Stage) -> None:
    first, _ = in_two(stage.rows)
    one, two = stage.worker("performance-1"), stage.worker("performance-2")
    admin = KafkaAdminClient(bootstrap_servers=stage.settings.kafka)
    admin.delete_topics([stage.names.facts])
    admin.close()
    stage.await_all(LOOKED_S)
    assert one.running and two.running
    # Steps are counted after their commit, so a moment later.
    eventually(lambda: stage.counted(one, two)["filled"] == len(stage.rows), "all of them counted")
    assert stage.counted(one, two)["folded"] == 0 and len(first) > 0
    stage.check()


def test_workers_join_and_leave_and_are_killed_while_steps_arrive(stage: Stage) -> None:
    def trickle() -> None:
        for at in range(0, len(stage.rows), 25):
            stage.send(stage.rows[at : at + 25])
            stage.send(stage.rows[at : at + 3])
            time.sleep(0.15)

    stage.worker("performance-1")
    sender = threading.Thread(target=trickle)
    sender.start()
    stage.worker("performance-2")
    time.sleep(2)
    assert stage.installation["performance-2"].stop() == 0
    stage.worker("performance-3")
    stage.installation["performance-1"].kill()
    stage.worker("performance-1")
    sender.join()
    stage.await_all()
    stage.await_told()
    assert stage.published() == stage.figures()
    for name in ("performance-1", "performance-3"):
        assert stage.installation[name].stop() == 0
    stage.check()


@pytest.mark.parametrize("place", ["fold.before_commit", "fold.after_commit"])
def test_a_worker_killed_around_its_commit_loses_nothing_and_counts_nothing_twice(stage: Stage, place: str) -> None:
    stage.send(stage.rows)
    worker = stage.worker("performance-1", GRIDPATROL_FAILPOINT=f"{place}:kill@1")
    eventually(lambda: not worker.running, "the worker is killed")
    folded = stage.folded()
    assert (folded > 0) == (place == "fold.after_commit")
    worker = stage.worker("performance-1")
    stage.await_all()
    eventually(lambda: stage.counted(worker).get("skipped", 0) >= folded, "what was folded comes again")
    stage.check()


def test_a_lost_database_session_ends_the_process_and_its_next_one_goes_on(stage: Stage) -> None:
    first, second = in_two(stage.rows)
    worker = stage.worker("performance-1")
    stage.send(first)
    eventually(lambda: stage.folded() >= len(first), "the first half")
    with stage.database.begin() as connection:
        connection.exec_driver_sql("SELECT n FROM positions WHERE consumer = 'performance' FOR UPDATE").all()
        stage.send(second)
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        eventually(lambda: stage.asked(f"SELECT count(*) {waiting}"), "the worker waits for the positions")
        assert stage.asked(f"SELECT pg_terminate_backend(pid) {waiting}")
    assert eventually(lambda: worker.process and worker.process.poll(), "the worker ends") == faust_app.ENDED
    assert "terminating connection" in worker.said()
    stage.worker("performance-1")
    stage.await_all()
    stage.check()


def test_sigterm_ends_a_worker_within_seconds_in_the_middle_of_a_backlog(stage: Stage) -> None:
    stage.send(stage.rows)
    worker = stage.worker("performance-1")
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 10 * faust_app.STOP_S  # a worker that hangs, not a machine that is busy
    stage.worker("performance-1")
    stage.await_all()
    stage.check()


def test_sigterm_ends_a_worker_within_seconds_after_its_brokers_have_gone(
    tmp_path: Path, kafka_parts: object, month_url: str
) -> None:
    with kafka.running_broker() as broker:
        stage = Stage(tmp_path, broker.bootstrap, "", month_url)
        try:
            worker = stage.worker("performance-1")
            stage.send(stage.rows)
            stage.await_all()
            broker.kill()
            time.sleep(5)  # the group is lost to it by now, and Faust is busy with that
            began = time.monotonic()
            assert worker.stop() == 0
            assert time.monotonic() - began < 10 * faust_app.STOP_S
        finally:
            stage.close()


@pytest.mark.parametrize("place", ["figures.before_flush", "figures.after_flush"])
def test_the_last_value_of_every_figure_is_published_whenever_a_worker_dies(stage: Stage, place: str) -> None:
    first, second = in_two(stage.rows)
    stage.send(first)
    worker = stage.worker("performance-1", GRIDPATROL_FAILPOINT=f"{place}:kill@1")
    eventually(lambda: not worker.running, "the worker is killed")
    stage.send(second)
    stage.worker("performance-1")
    stage.await_all()
    stage.await_told()
    figures = stage.figures()
    assert len(figures) > 200
    assert stage.published() == figures


def test_rebuilding_while_workers_work_gives_the_same_figures_and_publishes_them_again(stage: Stage) -> None:
    first, second = in_two(stage.rows)
    worker = stage.worker("performance-1")
    stage.send(first)
    eventually(lambda: stage.folded() >= len(first), "the first half")
    with stage.database.begin() as connection:  # what a defect might have left behind
        connection.exec_driver_sql("UPDATE figures SET value = value + 7 WHERE measure = 'handled'")
        connection.exec_driver_sql(
            "INSERT INTO figures (definition, measure, day, path, department, category, grp, post, value)"
            " VALUES ('incident', 'invented', 20260301, '/', '', '', '', '', 5)"
        )
    sender = threading.Thread(target=stage.send, args=(second,))
    sender.start()
    said = stage.installation.command("performance", "rebuild")
    sender.join()
    assert f"follow from its {len(stage.rows)} steps" in said
    stage.await_all()
    stage.await_told()
    assert worker.running
    published = stage.published()
    assert published.pop('["invented",20260301,"/","","","",""]', 0) == 0
    assert published == stage.figures()
    stage.check()


@pytest.fixture
def wire(kafka_server: str) -> Iterator[Proxy]:
    """A wire to the broker, for the first greeting: after that a client goes where the broker says it is."""
    [port] = kafka.free_ports(1)
    proxy = Proxy(port, kafka_server)
    proxy.open()
    yield proxy
    proxy.close()


@pytest.fixture
def starting(wire: Proxy, tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str) -> Iterator[Role]:
    """A worker on the wire that has found everything there, and sleeps before Faust starts."""
    installation = Installation(tmp_path, kafka_server, postgres_url, kafka_prefix, PARTITIONS)
    installation.set_up()
    installation.start("performance-1", GRIDPATROL_KAFKA=wire.address, GRIDPATROL_FAILPOINT="stream.before_start:stop")
    worker = installation["performance-1"]
    process = worker.process
    assert process is not None
    eventually(lambda: not worker.running or stat(process.pid)[:1] == ["T"], "it sleeps")
    assert worker.running, worker.said()
    yield worker
    installation.kill()


@pytest.mark.parametrize("gone", [Proxy.cut, Proxy.stall])
def test_brokers_that_go_away_before_faust_has_found_them_are_told_in_a_sentence(
    starting: Role, wire: Proxy, gone: Callable[[Proxy], None]
) -> None:
    gone(wire)
    assert starting.process is not None
    starting.process.send_signal(signal.SIGCONT)
    assert starting.process.wait(60) == 75
    assert f"no broker answers any more at {wire.address}. Check GRIDPATROL_KAFKA" in starting.said()
    assert "Traceback" not in starting.said()


def test_sigterm_ends_a_worker_that_waits_for_silent_brokers_at_its_start(starting: Role, wire: Proxy) -> None:
    wire.stall()
    assert starting.process is not None
    starting.process.send_signal(signal.SIGCONT)
    time.sleep(1)
    assert starting.stop() == 0, starting.said()
