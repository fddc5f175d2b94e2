"""What a peer may send and how long it may take, without sockets: instants are numbers."""

from __future__ import annotations

import logging
import resource

import pytest

from engine import logs
from engine.http import limits
from engine.http.limits import Cut, Gate, Meter, OverLimit, answer, on_the_wire, peer_of
from engine.metrics.counters import Counters
from engine.settings import Settings

SETTINGS = Settings(
    head_bytes=1000,
    head_lines=4,
    url_bytes=100,
    head_ms=10_000,
    body_bytes_per_s=100,
    connections=5,
    connections_per_peer=3,
    bodies_bytes=1000,
)


def meter() -> Meter:
    return Meter(SETTINGS, 0.0)


def begun() -> Meter:
    """The meter of a request that has begun to come."""
    made = meter()
    made.receive(3, 0.0)
    made.begin(0.0)
    return made


def test_who_says_nothing_is_late_and_who_says_something_is_slow() -> None:
    silent, slow = meter(), begun()
    assert (silent.late(9.9, reading=True), slow.late(9.9, reading=True)) == (None, None)
    assert (silent.late(10.0, reading=True), slow.late(10.0, reading=True)) == (Cut.SILENT, Cut.HEAD_SLOW)


def test_a_byte_now_and_then_gives_a_head_no_more_time() -> None:
    slow = begun()
    for second in range(1, 10):
        slow.receive(1, float(second))
        assert slow.late(float(second), reading=True) is None
    assert slow.late(10.0, reading=True) is Cut.HEAD_SLOW


def test_blank_lines_between_two_requests_have_the_time_of_a_head() -> None:
    made = begun()
    made.body(1.0)
    made.complete(1.0)
    assert made.late(1000.0, reading=True) is None
    made.receive(2, 1000.0)
    assert made.late(1009.0, reading=True) is None
    assert made.late(1010.0, reading=True) is Cut.HEAD_SLOW


@pytest.mark.parametrize(("a_second", "why"), [(99, Cut.BODY_SLOW), (100, None)])
def test_a_body_has_to_come_at_its_rate(a_second: int, why: Cut | None) -> None:
    made = begun()
    made.body(0.0)
    for second in range(1, 11):
        made.receive(a_second, float(second))
    assert made.late(10.0, reading=True) is why


def test_what_came_fast_at_first_does_not_count_for_later() -> None:
    made = begun()
    made.body(0.0)
    made.receive(1_000_000, 1.0)
    assert made.late(10.0, reading=True) is None
    assert made.late(20.0, reading=True) is Cut.BODY_SLOW


def test_nobody_is_late_while_the_door_does_not_read() -> None:
    for made in (begun(), begun()):
        made.body(0.0)
        assert made.late(60.0, reading=False) is None
        assert made.late(69.0, reading=True) is None
        assert made.late(70.0, reading=True) is Cut.BODY_SLOW


def test_head_and_url_are_measured_by_the_byte_and_the_line() -> None:
    made = begun()
    made.address(100)
    for _ in range(3):
        made.line(300)
    with pytest.raises(OverLimit) as over:
        made.line(1)
    assert over.value.why is Cut.HEAD_BYTES
    made.begin(0.0)
    for _ in range(4):
        made.line(10)
    with pytest.raises(OverLimit) as over:
        made.line(10)
    assert over.value.why is Cut.HEAD_LINES
    made.begin(0.0)
    with pytest.raises(OverLimit) as over:
        made.address(101)
    assert over.value.why is Cut.URL_BYTES


def test_a_line_that_does_not_end_is_measured_as_it_comes() -> None:
    made = begun()
    made.receive(997, 0.0)
    made.check()
    made.receive(1, 0.0)
    with pytest.raises(OverLimit):
        made.check()


def test_headers_behind_a_body_count_with_those_before_it() -> None:
    made = begun()
    made.line(900)
    made.body(0.0)
    made.parsed()
    with pytest.raises(OverLimit):
        made.line(101)


# ---- the gate -----------------------------------------------------------------------------------------------


def test_one_address_has_its_share_of_the_connections_and_no_more() -> None:
    counters = Counters()
    gate = Gate(SETTINGS, counters)
    assert [gate.enter("a") for _ in range(4)] == [None, None, None, Cut.PEER]
    assert [gate.enter("b") for _ in range(3)] == [None, None, Cut.CONNECTIONS]
    assert counters.registry.get_sample_value("gridpatrol_connections_open") == 5
    gate.leave("a")
    assert gate.enter("b") is None
    for peer in "aabbb":
        gate.leave(peer)
    assert not gate.peers and counters.registry.get_sample_value("gridpatrol_connections_open") == 0


def test_bodies_share_the_memory_and_one_address_has_half_of_it() -> None:
    gate = Gate(SETTINGS, Counters())
    assert gate.hold("a", 500) and not gate.hold("a", 1)
    assert gate.hold("b", 400) and gate.hold("c", 100) and not gate.hold("c", 1)
    gate.release("a", 500)
    assert gate.hold("c", 400)
    gate.release("b", 400)
    gate.release("c", 500)
    assert not gate.bodies


def test_a_flood_is_counted_in_full_and_logged_in_a_line(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    counters = Counters()
    gate = Gate(SETTINGS, counters)
    with caplog.at_level(logging.WARNING):
        for _ in range(500):
            gate.count(Cut.MALFORMED, "192.0.2.1")
        assert len(caplog.records) == 1
        monkeypatch.setattr(logs, "TALLY_S", 0.0)
        gate.count(Cut.MALFORMED, "192.0.2.2")
    told = [(record.__dict__["times"], record.__dict__["peer"]) for record in caplog.records]
    assert told == [(1, "192.0.2.1"), (500, "192.0.2.2")]
    assert counters.registry.get_sample_value("gridpatrol_connections_cut_total", {"why": "malformed"}) == 501


def test_the_metric_has_a_line_for_every_reason_and_no_other() -> None:
    counters = Counters()
    Gate(SETTINGS, counters)
    samples = [
        s for m in counters.registry.collect() for s in m.samples if s.name == "gridpatrol_connections_cut_total"
    ]
    assert {sample.labels["why"] for sample in samples} == {why.value for why in Cut}


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # a socket of IPv6 that takes IPv4 too
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_who_shares_a_limit(address: object, peer: str) -> None:
    assert peer_of(address) == peer


def test_a_process_asks_for_the_files_that_its_connections_need(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: asked.append(both))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert limits.room_for(800) == 800 and asked == []
    assert limits.room_for(1000) == 1000 and asked == [(1200, 4096)]
    assert limits.room_for(5000) == 4096 - limits.OTHER_FILES and "connections.fewer" in caplog.text


# ---- what is answered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", list(Cut))
def test_an_answer_is_a_problem_that_says_what_to_do(why: Cut) -> None:
    problem = answer(why, SETTINGS)
    if problem is None:
        assert why in (Cut.HANDSHAKE, Cut.SILENT, Cut.PIPELINED, Cut.UNREAD, Cut.READER_SLOW)
        return
    head, _, body = on_the_wire(problem).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % problem.status) and b"Connection: close" in head
    assert b"Content-Length: %d" % len(body) in head and len(body) < 1000
    assert problem.body()["detail"] and problem.body()["remedy"]
    assert (b"Retry-After: 1" in head) == (problem.status == 503)
