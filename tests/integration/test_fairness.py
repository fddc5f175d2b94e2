"""A flood of one principal, turn by turn of the writer: counts, not times.

In: a writer that a test turns by hand, with thousands of events and letters of one principal before it; a gateway, and
a worker that is turned as well, or is not there. Out: after how many turns a neighbour's event is decided and a due
alert is told, how much a turn does at most, and how much lies before a neighbour's event in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any

import msgspec
import pytest

from engine import admission, writer
from engine.clock import now_ms
from engine.cluster import backlog
from engine.cluster import gateway as gateways
from engine.cluster.gateway import Gateway
from engine.fair_queue import Full
from engine.inbox import Submission
from engine.principals import LOCAL
from engine.runtime import Engine
from engine.store import dead_letters, recording
from engine.store.dead_letters import DeadLetter
from engine.store.rows import InboxRow
from engine.writer import Ask, Writer
from schemas.refusals import Reason, Refusal
from tests.integration.test_door import new, problem, report
from tests.simulation.cluster import Cluster, cluster_on
from tests.support.builders import DAY, STREET, event, subject
from tests.support.serving import prepared, served, tell, wait_until

TURN, SLICE, LETTERS = 40, 20, 10
"""Events that a turn appends, records that it decides, letters that it keeps."""


def submission(engine: Engine, said: dict[str, Any], principal: str) -> Submission:
    received = admission.receive(msgspec.json.encode(said), principal, engine.count)
    assert not isinstance(received, Refusal), received
    return received[0]


def refused_by_the_rules(number: int) -> dict[str, Any]:
    """Of good shape, and of a category that nobody knows: a letter each."""
    case, data = subject("WY09", number), {"category": "no-such", "source": "patrol", "grid": "WY09-01"}
    return event("report.submitted", STREET, now_ms(), case=case, id=f"f{number}", **data)


def letter(number: int, principal: str = "flood") -> DeadLetter:
    raw = msgspec.json.encode({"id": f"bad {number}"})
    id_ = admission.letter_id(raw, principal)
    return admission.letter(raw, Refusal(Reason.INVALID, "type", "no"), principal, now_ms(), id_)


def stored(engine: Engine, table: str) -> int:
    with engine.database.read() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def count_kept(engine: Engine) -> int:
    """Letters that the door has kept."""
    with engine.database.read() as connection:
        return sum(not one.id[0].isdigit() for one in dead_letters.listed(connection, limit=10_000))


def hanging(writer: Writer) -> tuple[Future[Any], threading.Event]:
    """Let a writer hang until it may go on."""
    began, go_on = threading.Event(), threading.Event()

    def hang(_: Engine) -> None:
        began.set()
        go_on.wait(20)

    future = writer.call(hang)
    assert began.wait(10)
    return future, go_on


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LETTERS_A_TURN", LETTERS)


def test_under_a_flood_of_refused_events_a_neighbour_is_decided_and_an_alert_is_told_within_two_turns(
    database_url: str,
) -> None:
    with prepared(database_url, append_batch=TURN, slice_records=SLICE) as engine:
        late, then = subject("WY01", 1), now_ms() - 20 * DAY
        assert tell(engine, report(late, then), then) == "done"  # deadlines have passed, and nothing has moved its time
        assert stored(engine, "alerts") == engine.undecided() == 0
        turned = Writer(engine)
        flood = [turned.submit(submission(engine, refused_by_the_rules(n), "flood")) for n in range(10 * TURN)]
        letters = [turned.keep(letter(n)) for n in range(100)]
        neighbour = turned.submit(submission(engine, new(1), "neighbour"), wait=True)
        for done in (1, 2):
            turned.write_batch()
            assert count_kept(engine) == done * LETTERS
            assert engine.undecided() <= SLICE, "what is decided later waits in the queue, where turns are fair"
        assert neighbour.outcome is not None and neighbour.outcome.result(0).outcome == "done"
        assert stored(engine, "alerts") > 0
        assert not flood[-1].durable.done() and not letters[-1].kept.done()
        while not flood[-1].durable.done() or not letters[-1].kept.done():
            turned.write_batch()
        engine.drain(now_ms())
        assert count_kept(engine) == 100 and stored(engine, "dead_letters") == 100 + len(flood)


# ---- at a gateway -----------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(
    postgres_url: str, kafka_server: str, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """Two partitions; nothing becomes late there by the clock of the machine that tests."""
    monkeypatch.setattr(backlog, "STILL_S", 1e9)
    monkeypatch.setattr(gateways, "HELD_S", 1e9)
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, slice_records=SLICE) as made:
        yield made


def flooded(cluster: Cluster) -> tuple[Gateway, list[Ask]]:
    """A gateway with ten turns of one principal's events before it."""
    turned = Gateway(cluster.gateway)
    bad = [submission(cluster.gateway, refused_by_the_rules(number), "flood") for number in range(10 * SLICE)]
    return turned, [turned.submit(one) for one in bad]


def durable(asks: list[Ask]) -> int:
    return sum(ask.durable.done() for ask in asks)


def test_at_a_gateway_a_neighbours_event_enters_the_log_behind_one_turn_of_anothers_flood(cluster: Cluster) -> None:
    cluster.install()
    worker = cluster.worker()
    cluster.settle()
    turned, flood = flooded(cluster)
    turned.write_batch()
    assert durable(flood) == SLICE
    neighbour = turned.submit(submission(cluster.gateway, new(1), "neighbour"), wait=True)
    for _ in range(5):
        turned.write_batch()
    assert durable(flood) == SLICE and not neighbour.durable.done(), "nothing of it is decided, and nothing is added"
    cluster.settle()
    for _ in range(2):  # it hears of that, and appends
        turned.write_batch()
    assert neighbour.durable.done() and durable(flood) < 2 * SLICE
    while turned.write_batch() or durable(flood) != len(flood):
        worker.try_once()
        assert turned.backlog.undecided() <= SLICE
    cluster.settle()
    assert neighbour.outcome is not None and neighbour.outcome.result(0).outcome == "done"
    assert stored(cluster.gateway, "dead_letters") == len(flood)


def test_a_gateway_appends_what_comes_alone_at_once_and_what_follows_it_together(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.install()
    turned = Gateway(cluster.gateway)
    turned.clock = lambda: turned.began_s
    assert turned.run_once() == 0.0, "after silence nothing is rested"
    first = turned.submit(submission(cluster.gateway, new(1), "one"))
    assert turned.run_once() == gateways.APART_S <= 0.05 and first.durable.done()
    messages, append = list[int](), cluster.gateway.inbox.append

    def counted(wanted: Sequence[Submission], now: int, also_write: Any = None) -> list[InboxRow]:
        messages.append(len(wanted))
        return append(wanted, now, also_write)

    monkeypatch.setattr(cluster.gateway.inbox, "append", counted)
    asks = [turned.submit(submission(cluster.gateway, new(number), "one")) for number in range(2, 12)]
    turned.run_once()
    assert messages == [10] and durable(asks) == 10, "one message to the brokers for all that came meanwhile"


def test_events_wait_for_company_at_a_gateway_while_several_come_together(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.install()
    cluster.worker()
    cluster.settle()
    turned, numbers, names = Gateway(cluster.gateway), count(1), ("RECENT_S", "APART_S", "COMPANY_S")
    assert gateways.COMPANY_S <= 0.05

    def came(*bounds: float) -> Ask:
        """One that came when these were the bounds."""
        for name, bound in zip(names, bounds, strict=True):
            monkeypatch.setattr(gateways, name, bound)
        ask = turned.submit(submission(cluster.gateway, new(next(numbers)), "one"))
        turned.run_once()
        return ask

    ever = (1e9, 1e9, 1e9)
    for _ in range(3):
        assert came(*ever).durable.done(), "one that is sent after another waits for nothing"
    for bounds in ((0.0, 1e9, 1e9), (1e9, 0.0, 1e9), (1e9, 1e9, 0.0)):
        turned.append([submission(cluster.gateway, new(next(numbers)), "one") for _ in range(2)], turned.engine.stamp())
        assert not (first := came(*ever)).durable.done(), "two came together, so there may be more"
        assert came(*bounds).durable.done() and first.durable.done(), "no more comes, or it has waited for long enough"
        cluster.settle()
    monkeypatch.setattr(gateways, "ENOUGH", 3)
    asks = [came(*ever) for _ in range(2)]
    assert not any(ask.durable.done() for ask in asks)
    asks.append(came(*ever))
    assert all(ask.durable.done() for ask in asks), "three are enough"
    last = came(*ever)
    assert not last.durable.done()
    turned.stop_asked.set()
    turned.run_once()
    assert last.durable.done()


def test_a_gateway_asks_once_for_the_outcomes_of_all_whose_senders_wait(cluster: Cluster) -> None:
    cluster.install()
    cluster.worker()
    cluster.settle()
    turned = Gateway(cluster.gateway)
    asks = [turned.submit(submission(cluster.gateway, new(number), "one"), wait=True) for number in range(1, 11)]
    asks.append(turned.submit(asks[0].submission, wait=True))
    turned.write_batch()
    cluster.settle()
    recorder = recording.Recorder(cluster.gateway.database)
    assert turned.look()
    outcomes = [ask.outcome.result(0).outcome for ask in asks if ask.outcome is not None]
    assert outcomes == ["done"] * 10 + ["duplicate"]
    [transaction] = recorder.transactions
    assert len(transaction.statements) == 3, (
        "how far they are, what is known of all, whether there is a letter of the repetition"
    )


@pytest.mark.parametrize("why", ["nobody decides", "held back for too long", "it is to stop"])
def test_a_gateway_holds_nothing_back_for_ever(why: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    turned, flood = flooded(cluster)
    for _ in range(3):
        turned.write_batch()
    assert durable(flood) == SLICE
    if why == "nobody decides":
        monkeypatch.setattr(backlog, "STILL_S", 0)
    elif why == "held back for too long":
        monkeypatch.setattr(gateways, "HELD_S", 0)
    else:
        turned.stop_asked.set()
    for _ in range(11):
        turned.write_batch()
    assert durable(flood) == len(flood)
    assert turned.backlog.stands() == (why == "nobody decides")


# ---- letters, and the ends of a queue ---------------------------------------------------------------------------


def test_one_letter_that_the_database_refuses_holds_up_none_of_its_group(database_url: str) -> None:
    with prepared(database_url) as engine:
        turned = Writer(engine)
        good, other = turned.keep(letter(1)), turned.keep(letter(2, "neighbour"))
        row, sealed, *_ = letter(3)
        bad = turned.keep(DeadLetter(msgspec.structs.replace(row, at=None), sealed))
        turned.write_batch()
        assert bad.kept.exception(0) is not None
        assert good.kept.exception(0) is None and other.kept.exception(0) is None
        assert stored(engine, "dead_letters") == 2


def test_the_same_letter_twice_in_a_group_is_kept_once(database_url: str) -> None:
    with prepared(database_url) as engine:
        turned = Writer(engine)
        both = [turned.keep(letter(1)) for _ in range(2)]
        turned.write_batch()
        assert [one.kept.exception(0) for one in both] == [None, None]
        assert stored(engine, "dead_letters") == 1


def test_a_writer_that_stops_has_kept_what_was_queued(sqlite_url: str) -> None:
    with prepared(sqlite_url, append_batch=TURN) as engine:
        turned = Writer(engine)
        queued: list[Future[Any]] = [turned.keep(letter(n)).kept for n in range(3 * LETTERS)]
        queued += [turned.submit(submission(engine, new(n), "app")).durable for n in range(3 * TURN)]
        turned.start()
        turned.stop()
        assert all(future.exception(0) is None for future in queued)


def test_a_principal_that_fills_the_queue_is_told_to_come_again_and_no_other_is(sqlite_url: str) -> None:
    with prepared(sqlite_url, queue=10) as engine:
        turned = Writer(engine)
        with pytest.raises(Full):
            for number in range(10):
                turned.submit(submission(engine, new(number), "flood"))
        turned.submit(submission(engine, new(10), LOCAL.name))


def test_the_door_is_not_ready_while_an_event_waits_too_long_to_be_written(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        hangs, go_on = hanging(door.writer)
        waits = door.writer.submit(submission(engine, new(1), "app"))
        assert door.client.get("/readyz").status_code == 200
        monkeypatch.setattr(writer, "OLDEST_S", 0.05)
        wait_until(lambda: door.client.get("/readyz").status_code == 503)
        assert "has been waiting" in problem(door.client.get("/readyz"), 503)["detail"]
        page = door.client.get("/metrics").text
        assert "gridpatrol_queue_events 1.0" in page
        [oldest] = [line for line in page.splitlines() if line.startswith("gridpatrol_queue_oldest_seconds ")]
        assert float(oldest.split()[1]) >= 0.05
        go_on.set()
        waits.durable.result(10)
        hangs.result(10)
        assert door.client.get("/readyz").status_code == 200
