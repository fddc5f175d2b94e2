"""The adapter of signals: batches become episodes, and nothing is said twice or lost, wherever a process ends.

In: values of devices of the sample pack, on each database. Out: what is stored, what is said, and the cases of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from consumers.signals.adapter import Adapter
from consumers.signals.loop import SignalLoop
from engine import failpoints
from engine.clock import now_ms
from engine.principals import digest_of, new_token
from engine.store import incident_queries, watched
from engine.store.database import Database
from schemas.device_values import DeviceValue, TakenValues
from schemas.instants import written
from tests.support.builders import HOUR, changed, shipped
from tests.support.serving import Served, prepared, served, wait_until
from tests.support.settings_files import put_file
from workflows import case as cases
from workflows.case import Case

YARD, YARD_2, STACK, PH = "DEMO-DUST-1", "DEMO-DUST-2", "DEMO-STACK-1", "DEMO-SOURCE-1"
MINUTE = 60_000
SENSOR, OTHER = new_token(), new_token()


def value(device: str, at: int, number: str, quantity: str = "pm10") -> DeviceValue:
    """A value of a device."""
    return msgspec.convert({"device": device, "quantity": quantity, "value": number, "at": written(at)}, DeviceValue)


def anybody(post: str) -> bool:
    """A sender that may speak for every post."""
    return True


def take(adapter: Adapter, values: Sequence[DeviceValue], now: int) -> TakenValues:
    return adapter.take(values, anybody, now)


def sayings(database: Database) -> list[dict[str, Any]]:
    """What is still to be said."""
    with database.read() as connection:
        return [msgspec.json.decode(row.body) for row in watched.read_sayings(connection, 10_000)]


def told(database: Database) -> list[str]:
    return [f"{each['id']}" for each in sayings(database)]


def storm(begin: int) -> list[list[DeviceValue]]:
    """Batches in which one device worsens and is back, another one has two episodes, and a third none."""
    batches = []
    for minute in range(0, 100, 5):
        at = begin + minute * MINUTE
        batches.append(
            [
                value(YARD, at, "160" if minute <= 30 else "300" if minute < 60 else "100"),
                value(YARD_2, at, "90" if 20 <= minute < 50 or minute > 80 else "200"),
                value(STACK, at, "10", "so2"),
                value(YARD, at + 1, "5", "noise"),
            ]
        )
    return batches


def expected(database_url: str, begin: int, now: int) -> list[str]:
    with prepared(database_url) as engine:
        adapter = Adapter(engine.database)
        for batch in storm(begin):
            take(adapter, batch, now)
        return told(engine.database)


# ---- one process, and several ------------------------------------------------------------------------------


@pytest.mark.mechanism("M73", "M116")
def test_a_process_that_ends_between_any_two_batches_says_the_same(sqlite_url: str, postgres_url: str) -> None:
    now = now_ms()
    begin = now - 3 * HOUR
    once = expected(sqlite_url, begin, now)
    assert len(once) == len({*once}) == 6
    with prepared(postgres_url) as engine:
        for number, batch in enumerate(storm(begin)):
            adapter = Adapter(engine.database)  # each in a process of its own
            assert take(adapter, batch, now).refused == 0
            if number % 3 == 0:  # whose answer was lost
                take(Adapter(engine.database), batch, now)
        assert told(engine.database) == once


def test_two_processes_that_take_turns_say_the_same(database_url: str, tmp_path: Path) -> None:
    now = now_ms()
    begin = now - 3 * HOUR
    once = expected(f"sqlite:///{tmp_path}/one.db", begin, now)
    with prepared(database_url) as engine:
        several = [Adapter(engine.database) for _ in range(3)]
        for number, batch in enumerate(storm(begin)):
            take(several[number % 3], batch, now)
            take(several[(number + 1) % 3], batch, now)
        assert told(engine.database) == once


def test_what_another_process_changed_meanwhile_is_judged_anew(sqlite_url: str) -> None:
    now = now_ms()
    with prepared(sqlite_url) as engine:
        one, other = Adapter(engine.database), Adapter(engine.database)
        judged = one.judge

        def judge_late(*rest: Any) -> Any:
            made = judged(*rest)
            if one.judge is judge_late:
                one.judge = judged  # type: ignore[method-assign]
                take(other, [value(YARD, now - 30 * MINUTE, "200"), value(YARD, now - 20 * MINUTE, "200")], now)
            return made

        one.judge = judge_late  # type: ignore[method-assign, assignment]
        take(one, [value(YARD, now - 10 * MINUTE, "300")], now)
        assert [each["type"].split(".")[2] for each in sayings(engine.database)] == ["began", "worsened"]


@pytest.mark.parametrize("place", ["signals.stored", "signals.said"])
def test_a_crash_after_storing_or_saying_leaves_one_case_with_one_beginning(sqlite_url: str, place: str) -> None:
    now = now_ms()
    batch = [value(YARD, now - 30 * MINUTE, "200"), value(YARD, now - 20 * MINUTE, "260")]
    with prepared(sqlite_url) as engine, served(engine) as door:
        failpoints.arm(f"{place}:raise")
        try:
            adapter = Adapter(engine.database)
            with pytest.raises(failpoints.Interrupted):
                take(adapter, batch, now)
                SignalLoop(door.writer, adapter, leased=False).say_next()
        finally:
            failpoints.arm("")
        again = Adapter(engine.database)
        take(again, batch, now)
        loop = SignalLoop(door.writer, again, leased=False)
        assert loop.say_next() == 1 and loop.say_next() == 0
        case = signal_of(door, YARD)
        assert case.seq == 1 and case.state == "alarmed"


def signal_of(door: Served, device: str) -> Case:
    """The latest signal of a device, once its event is decided."""

    def found() -> Case | None:
        with door.engine.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT body FROM cases WHERE definition = 'signal'").fetchall()
        of_device = [case for (body,) in rows if (case := cases.decode(body)).reference == device]
        return max(of_device, key=lambda case: case.opened, default=None)

    case = wait_until(found)
    assert isinstance(case, Case)
    return case


# ---- silence, and what the pack has no more ----------------------------------------------------------------


def test_a_device_that_falls_silent_is_an_episode_until_it_is_heard_again(database_url: str) -> None:
    now = now_ms()
    with prepared(database_url) as engine:
        adapter = Adapter(engine.database)
        take(adapter, [value(YARD, now, "20")], now)
        adapter.tick(now, now)
        adapter.tick(now, now + 29 * MINUTE)
        assert told(engine.database) == []
        take(adapter, [value(YARD_2, now + 20 * MINUTE, "20")], now + 20 * MINUTE)
        adapter.tick(now, now + 31 * MINUTE)
        began = sayings(engine.database)
        assert {each["data"]["device"] for each in began} == {*shipped().devices} - {YARD_2}
        assert {each["data"]["rule"] for each in began} == {"silent"}
        take(Adapter(engine.database), [value(YARD, now + HOUR, "20")], now + HOUR)
        assert sayings(engine.database)[-1]["data"] == {"since": written(now + HOUR), "reason": "heard_again"}
        assert len(told(engine.database)) == len(began) + 1


def test_an_outage_of_ours_is_no_silence_of_theirs(sqlite_url: str) -> None:
    now = now_ms()
    with prepared(sqlite_url) as engine:
        take(adapter := Adapter(engine.database), [value(YARD, now - 9 * HOUR, "20")], now - 9 * HOUR)
        adapter.keep_seen()
        Adapter(engine.database).tick(now, now + MINUTE)
        assert told(engine.database) == []


def test_an_episode_whose_device_the_pack_has_no_more_is_over(sqlite_url: str) -> None:
    now = now_ms()
    with prepared(sqlite_url) as engine:
        adapter = Adapter(engine.database)
        take(adapter, [value(YARD, now - 30 * MINUTE, "200"), value(YARD, now - 20 * MINUTE, "260")], now)
        without = tuple(device for device in shipped().pack.devices if device.code != YARD)
        engine.install(changed(devices=without).pack, now)
        engine.drain()
        adapter.tick(now, now)
        assert [each["type"].split(".")[2] for each in sayings(engine.database)] == ["began", "ended"]
        assert sayings(engine.database)[-1]["data"]["reason"] == "retired"


# ---- the door ----------------------------------------------------------------------------------------------


def send(door: Served, values: Any, token: str = SENSOR, **more: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | more
    content = values if isinstance(values, bytes) else msgspec.json.encode(values)
    return door.client.post("/v1/signals/values", content=content, headers=headers)


def principals(folder: Path) -> str:
    lines = []
    for name, token, actors in (("sensors", SENSOR, '"WY-SENSOR"'), ("cameras", OTHER, '"WY-CAMERA"')):
        lines += [f"[principal.{name}]", f"actors = [{actors}]", "reads = true", f'tokens = ["{digest_of(token)}"]']
    return str(put_file(folder / "principals.toml", "\n".join(lines)))


@pytest.mark.mechanism("M52", "M73")
def test_batches_at_the_door_become_a_case_with_its_incident(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url, principals=principals(tmp_path)) as engine:
        adapter = Adapter(engine.database)
        with served(engine, taker=adapter) as door:
            loop = SignalLoop(door.writer, adapter, leased=True)
            loop.start()
            now = now_ms()
            batch = [value(YARD, now - 30 * MINUTE, "200"), value(YARD, now - 19 * MINUTE, "263.50")]
            batch += [value(PH, now - minute * MINUTE, "6.2", "ph") for minute in (40, 29)]
            answer = send(door, batch)
            assert answer.json() == {"taken": 4, "late": 0, "refused": 0, "first_refused": []}
            assert send(door, batch).json()["late"] == 4
            signal = signal_of(door, YARD)
            assert signal.own.value == "263.5" and signal.own.severity == 2  # type: ignore[union-attr]
            incident = wait_until(lambda: read(door, signal.own.incident))  # type: ignore[union-attr]
            assert (incident.state, incident.category, incident.about) == ("reported", "D3-01", signal.id)
            assert signal_of(door, PH).own.severity == 2  # type: ignore[union-attr]
            metrics = wait_until(lambda: said_in(door, "gridpatrol_signal_episodes_open 2.0"))
            assert 'gridpatrol_signal_values_total{outcome="taken"} 4.0' in metrics
            assert "gridpatrol_devices_silent 0.0" in metrics
            loop.stop()


def said_in(door: Served, line: str) -> str:
    text = door.client.get("/metrics").text
    return text if line in text else ""


def read(door: Served, id_: str) -> Case | None:
    with door.engine.database.read() as connection:
        row = incident_queries.read_case(connection, id_)
    return cases.decode(row) if row is not None else None


def test_what_is_refused_is_told_with_its_member_and_the_rest_is_taken(sqlite_url: str, tmp_path: Path) -> None:
    with (
        prepared(sqlite_url, principals=principals(tmp_path)) as engine,
        served(engine, taker=Adapter(engine.database)) as door,
    ):
        now = now_ms()
        good = value(YARD, now, "1")
        bad = [value("NOTHING", now, "1"), value(YARD, now + HOUR, "1"), value(YARD, now - 400 * HOUR, "1")]
        bad += [value("DEMO-VIDEO-1", now, "1", "smoke"), value(YARD, now, "1E+15", "pm25")]
        answer = send(door, [*bad, good]).json()
        assert (answer["taken"], answer["refused"]) == (1, 5)
        fields = [(each["index"], each["field"]) for each in answer["first_refused"]]
        assert fields == [(0, "device"), (1, "at"), (2, "at"), (3, "device"), (4, "value")]
        assert send(door, [value("DEMO-VIDEO-1", now, "0.1", "smoke")], OTHER).json()["taken"] == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"[{", 400, "body"),
        (b'{"device": "x"}', 422, "body"),
        (b'[{"device": "x y", "quantity": "q", "value": 1, "at": "2026-03-02T09:00:00Z"}]', 422, "[0].device"),
        (b'[{"device": "x", "quantity": "q", "value": "much", "at": "2026-03-02T09:00:00Z"}]', 422, "[0].value"),
        (b'[{"device": "x", "quantity": "q", "value": 1, "at": "2026-03-02T09:00:00"}]', 422, "[0].at"),
    ],
)
def test_what_is_no_batch_is_refused_without_quoting_it(
    sqlite_url: str, tmp_path: Path, body: bytes, status: int, field: str
) -> None:
    with (
        prepared(sqlite_url, principals=principals(tmp_path)) as engine,
        served(engine, taker=Adapter(engine.database)) as door,
    ):
        answer = send(door, body)
        assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
        assert "much" not in answer.text and "x y" not in answer.text
