"""A gateway's intake, turned by hand: it waits for nothing without a limit, and nobody stops what others send.

In: topics of two principals on a real broker, PostgreSQL behind the gateway; a library that has lost its way, brokers
that are gone, a writer that takes nothing. Out: events in the inbox, letters, an intake that ends when it is asked to.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.future import Future
from kafka.structs import MemberState

from engine.clock import Reading, boot_ms, now_ms
from engine.cluster import backlog, kafka_quirks, topics
from engine.cluster.gateway import Gateway
from engine.cluster.intake import Intake
from engine.errors import ClockDoubted
from engine.fair_queue import Full
from engine.inbox import Submission
from engine.principals import Principals
from engine.store import dead_letters
from engine.store.rows import LETTER_TEXTS
from engine.wall_clock import DAY_MS, EVEN_MS, JUMP_MS
from lab.parts.topics import Sent, by_kafka_python
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import report
from tests.simulation.cluster import Cluster, cluster_on
from tests.support.builders import HOTLINE, noise, subject
from tests.support.serving import wait_until

FILE = f'[principal.hotline]\nactors = ["{HOTLINE}"]\n[principal.camera]\nactors = ["{HOTLINE}"]\n'


@pytest.fixture
def cluster(postgres_url: str, kafka_server: str, kafka_prefix: str) -> Iterator[Cluster]:
    """Two partitions, a pack, a topic of the hotline's."""
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2) as made:
        made.install()
        topics.create(made.settings, made.database, 1, ["hotline", "camera"])
        yield made


@pytest.fixture
def intake(cluster: Cluster, tmp_path: Path) -> Iterator[Intake]:
    """The intake of a running gateway, turned by nobody yet."""
    writer = Gateway(cluster.gateway)
    writer.start()
    made = made_by(cluster, tmp_path, writer)
    yield made
    made.release()
    writer.stop()


def made_by(cluster: Cluster, folder: Path, writer: Gateway) -> Intake:
    file = folder / "principals.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    return Intake(cluster.as_("gateway"), writer, Principals(str(file)))


def publish(intake: Intake, *numbers: int, system: str = "hotline") -> None:
    """Reports of a system, into its topic."""
    sent = [Sent(json.dumps(report(subject("WY01", number), now_ms())).encode()) for number in numbers]
    by_kafka_python(intake.settings.kafka, intake.topics.intake(system), sent)


def forwarded(intake: Intake, system: str = "hotline") -> float:
    found = intake.records.labels(system, "forwarded")._value.get()
    assert isinstance(found, float)
    return found


def turn(intake: Intake, done: Callable[[], bool], within_s: float = 20) -> None:
    """Let it take turns until something holds."""
    until = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until, f"not within {within_s} s"
        intake.run_once()


def ends(action: Callable[[], Any], within_s: float = 5) -> bool:
    """Whether an action, in a thread of its own, comes to an end."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(within_s)
    return not thread.is_alive()


def wait_for_ever(intake: Intake) -> None:
    """As after an answer of the group that got lost: rejoining, and nothing ever comes."""
    consumer: Any = intake._consumer
    consumer._coordinator.state = MemberState.REBALANCING
    consumer._coordinator.rejoin_needed = consumer._coordinator.rejoining = True
    consumer._coordinator._join_task = Future()


# ---- its place in the group -----------------------------------------------------------------------------------


def test_who_waits_for_an_answer_that_has_come_joins_anew(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(intake, 1)
    turn(intake, lambda: forwarded(intake) == 1)
    monkeypatch.setattr(kafka_quirks, "REJOIN_S", 0.5)
    wait_for_ever(intake)
    publish(intake, 2)
    turn(intake, lambda: intake._consumer is None, within_s=10)
    monkeypatch.undo()
    turn(intake, lambda: forwarded(intake) == 2)


def test_after_a_time_without_a_pause_a_change_of_the_group_is_waited_for_as_ever(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(intake, lambda: intake._consumer is not None and kafka_quirks.is_member(intake._consumer))
    with monkeypatch.context() as busy:
        busy.setattr(intake, "check_place", lambda consumer: None)
        intake._member_s -= 60  # as if something had been fetched in every turn of a minute
        publish(intake, 1)
        turn(intake, lambda: forwarded(intake) == 1)
    member = intake._consumer
    monkeypatch.setattr(kafka_quirks, "is_member", lambda consumer: False)
    intake.run_once()
    assert intake._consumer is member


def test_two_systems_have_their_turns_by_some_hundred_events_however_many_each_has_published(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "STILL_S", 0)  # nobody decides here
    publish(intake, *range(2000))
    publish(intake, *range(2000), system="camera")
    turn(intake, lambda: max(forwarded(intake), forwarded(intake, "camera")) == 2000)
    assert min(forwarded(intake), forwarded(intake, "camera")) > 1000


# ---- nothing is waited for without a limit ----------------------------------------------------------------------


def test_topics_are_looked_for_as_long_as_brokers_may_take_to_answer(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(intake, lambda: intake._consumer is not None and kafka_quirks.is_member(intake._consumer))
    consumer: Any = intake._consumer
    monkeypatch.setattr(consumer._manager, "least_loaded_node", lambda: None)
    failed: list[Exception] = []

    def look() -> None:
        try:
            kafka_quirks.topics_found(consumer, ["test.of-nobody"], 300)
        except KafkaTimeoutError as error:
            failed.append(error)

    assert ends(look)
    assert failed


def test_an_intake_that_hangs_holds_no_gateway_up(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(intake, "run_once", hangs.wait)
    intake.start()
    try:
        assert ends(lambda: intake.stop(0.2))
    finally:
        hangs.set()
        intake.join(5)


def test_what_no_writer_takes_is_given_up_when_it_is_to_stop(cluster: Cluster, tmp_path: Path) -> None:
    cluster.gateway.settings = cluster.as_("gateway", queue=1)
    intake = made_by(cluster, tmp_path, Gateway(cluster.gateway))
    intake.submit(Submission(0, "event", "hotline", "{}"))

    def submit() -> None:
        with suppress(Full):
            intake.submit(Submission(0, "event", "hotline", "{}"))

    assert not ends(submit, within_s=0.5)
    intake.stop_asked.set()
    assert ends(submit)


def test_a_gateway_that_doubts_its_clock_takes_nothing_and_what_systems_publish_waits(
    intake: Intake, cluster: Cluster
) -> None:
    shifted, slept = [0], [0]
    cluster.gateway.wall.read = lambda: Reading(now_ms() + shifted[0] + slept[0], boot_ms() + slept[0])
    publish(intake, 1)
    turn(intake, lambda: forwarded(intake) == 1)
    shifted[0] = 400 * DAY_MS + JUMP_MS  # two clocks are read one after the other: a moment apart
    publish(intake, 2)
    wait_until(lambda: cluster.gateway.wall.belief.doubt)
    ask = intake.writer.submit(Submission(0, "event", "hotline", "{}"))
    with pytest.raises(ClockDoubted, match="400 d later than a moment before"):
        ask.durable.result(5)
    for _ in range(3):
        intake.try_once()
    assert "not believed" in intake.away and forwarded(intake) == 1
    shifted[0] = 0
    time.sleep(0.2)  # some looks of the gateway: else the machine was asleep when its clock was set right
    slept[0] = EVEN_MS
    wait_until(lambda: not cluster.gateway.wall.belief.doubt)
    turn(intake, lambda: forwarded(intake) == 2)


# ---- what the database does not take ----------------------------------------------------------------------------


def test_a_letter_whose_names_the_database_refuses_is_kept_without_them(
    cluster: Cluster, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LETTER_TEXTS, "case_id", 1_000_000)
    monkeypatch.setattr(dead_letters, "is_subject", lambda text: True)  # else it is not among the letter's names
    raw = json.dumps({"subject": noise(10_000), "id": "x"}).encode()
    place = TopicPartition("any", 3)
    intake.await_kept(intake.keep_letter(raw, Refusal(Reason.INVALID, "subject", "no"), "hotline", place, 7))
    with cluster.database.read() as connection:
        kept = dead_letters.read(connection, "intake-hotline-3-7")
        assert kept is not None
        assert (kept.reason, kept.case_id, kept.event_id, kept.principal) == ("invalid", "", "", "hotline")
        assert dead_letters.read_sealed(connection, kept.token) == raw.decode()
