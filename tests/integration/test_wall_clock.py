"""A door on a machine whose wall clock cannot be trusted, in one process: the clocks are the test's.

Enters: jumps, sleep, partitions that are ahead. Leaves: what a sender, a probe and an operator see, and what is dated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest

from engine.clock import Reading, boot_ms, now_ms
from engine.errors import ClockDoubted
from engine.inbox import Submission
from engine.operations.clocks import ClockSettlement, ClockState, settle
from engine.runtime import Engine
from engine.store import alerts, clocks, inbox_table
from engine.store.meta import read_meta, write_meta
from engine.wall_clock import DAY_MS, EVEN_MS, JUMP_MS, WallClock
from tests.support.builders import BARE, HOTLINE, OPERATOR, event, subject
from tests.support.serving import Served, prepared, served, tell, wait_until

HOUR = 3_600_000


class Machine:
    """A machine whose wall is `shifted` and which has `slept`, in ms."""

    def __init__(self) -> None:
        self.shifted = self.slept = 0

    def read(self) -> Reading:
        return Reading(now_ms() + self.shifted + self.slept, boot_ms() + self.slept)

    def wall(self) -> int:
        return self.read().wall


def report(number: int, at: int, home: str = "WY01", **more: Any) -> dict[str, Any]:
    case = subject(home, number)
    data = {"category": BARE, "source": "hotline", "grid": f"{home}-01"} | more
    return event("report.submitted", HOTLINE, at, case=case, id=case, **data)


@contextmanager
def engine_of(url: str, machine: Machine, **settings: Any) -> Iterator[Engine]:
    """An engine that is live: something came in this very moment."""
    with prepared(url, **settings) as engine:
        engine.wall = WallClock(engine.database, machine.read)
        assert tell(engine, report(1, machine.wall()), machine.wall()) == "done"
        with engine.database.begin() as connection:
            clocks.note_replayed(connection, "")
        yield engine


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def door(sqlite_url: str, machine: Machine) -> Iterator[Served]:
    with engine_of(sqlite_url, machine) as engine, served(engine) as running:
        # The first reading is believed: a clock that is set before it has not jumped.
        wait_until(lambda: engine.wall.belief.last != (0, 0) and running.client.get("/readyz").status_code == 200)
        yield running


def is_ready(door: Served) -> bool:
    return door.client.get("/readyz").status_code == 200


def doubted(door: Served) -> dict[str, Any]:
    """What a sender and a probe are told while nothing is taken; both the same."""
    told: list[httpx.Response] = [door.client.get("/readyz"), door.post(report(99, now_ms()))]
    for answer in told:
        assert answer.status_code == 503, answer.text
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    first, second = (answer.json() for answer in told)
    assert first["reason"] == second["reason"] == "clock" and first["remedy"]
    metric = door.engine.counters.registry.get_sample_value("gridpatrol_clock_doubted")
    assert metric == 1
    return first


def arrivals(engine: Engine) -> list[int]:
    """When the records of all partitions were stamped, after the pack's."""
    with engine.database.read() as connection:
        return [row.stamp for p in engine.rows for row in inbox_table.read_all(connection, p) if row.kind != "pack"]


# ---- a jump while serving -------------------------------------------------------------------------------------


def test_a_clock_that_jumps_four_hundred_days_for_a_moment_dates_nothing_and_tells_nobody(
    door: Served, machine: Machine
) -> None:
    open_ = door.get("/v1/incidents")["incidents"][0]
    machine.shifted = 400 * DAY_MS + JUMP_MS  # two clocks are read one after the other: a moment apart
    wait_until(lambda: not is_ready(door))
    said = doubted(door)
    assert "400 d later than a moment before" in said["detail"] and "gridpatrol clock settle" in said["remedy"]
    time.sleep(0.3)  # ticks, if there were any
    assert door.get("/v1/incidents")["incidents"][0] == open_, "what is there can be read, and no deadline has passed"
    machine.shifted = 0
    wait_until(lambda: "evenly" in door.client.get("/readyz").json()["remedy"])
    machine.slept += EVEN_MS
    wait_until(lambda: is_ready(door))
    assert door.post(report(2, machine.wall()), Prefer="wait=10").json()["outcome"] == "done"
    assert all(abs(stamp - now_ms()) < HOUR for stamp in arrivals(door.engine))
    assert all(row.clock < now_ms() + HOUR for row in door.engine.rows.values())
    assert door.get("/v1/alerts")["alerts"] == []


def test_a_clock_that_was_set_right_by_an_hour_goes_on_by_itself(door: Served, machine: Machine) -> None:
    machine.shifted = HOUR
    wait_until(lambda: not is_ready(door))
    assert "evenly" in doubted(door)["remedy"]
    machine.slept += EVEN_MS
    wait_until(lambda: is_ready(door))
    assert door.post(report(2, machine.wall()), Prefer="wait=10").json()["outcome"] == "done"


def test_a_machine_that_sleeps_for_eight_hours_is_well_afterwards(door: Served, machine: Machine) -> None:
    machine.slept = 8 * HOUR
    assert door.post(report(2, machine.wall()), Prefer="wait=10").json()["outcome"] == "done"
    assert max(arrivals(door.engine)) > now_ms() + 7 * HOUR


def test_what_stands_in_the_log_is_decided_although_the_clock_went_back_an_hour(
    sqlite_url: str, machine: Machine
) -> None:
    """By that clock the record would be stamped an hour ahead, and would halt its partition."""
    with engine_of(sqlite_url, machine) as engine:
        engine.now()
        engine.append([Submission(0, "tick", "owner", "")], machine.wall())
        machine.shifted = -HOUR
        result = engine.work(engine.now())
        assert engine.wall.doubt() is not None
        assert result is not None and result.taken == {0: 1}
        assert not any(row.halted for row in engine.rows.values())


def test_nothing_ticks_while_the_clock_is_doubted(sqlite_url: str, machine: Machine) -> None:
    with engine_of(sqlite_url, machine) as engine:
        engine.now()
        machine.shifted = 400 * DAY_MS
        assert engine.tick(engine.now()) == 0 and engine.tick(machine.wall()) == 0
        machine.shifted = 0
        engine.now()
        machine.slept = 10 * DAY_MS  # the street has an hour to accept
        assert engine.tick(engine.now()) == 0
        engine.wall.look_again()  # as it does every second
        assert engine.tick(engine.now()) == 1


def test_quiet_hours_do_not_end_by_a_clock_that_is_doubted(sqlite_url: str, machine: Machine) -> None:
    with engine_of(sqlite_url, machine) as engine:
        engine.now()
        machine.shifted = 400 * DAY_MS
        assert engine.wall.known_instant() == pytest.approx(now_ms(), abs=5_000)
        fresh = WallClock(engine.database, machine.read)
        fresh.look(engine.rows, engine.heads)
        latest = max(row.clock for row in engine.rows.values())
        assert fresh.known_instant() == latest, "from a start on, only the log is known"


def test_an_instant_that_a_clock_ahead_has_left_to_the_alerts_goes_back_with_an_operators_word(
    sqlite_url: str, machine: Machine
) -> None:
    """It says up to when all alerts are told. In the future it would end all quiet hours at once until then."""
    with engine_of(sqlite_url, machine) as engine:
        with engine.database.begin() as connection:
            write_meta(connection, alerts.TOLD, str(now_ms() + 400 * DAY_MS))
        settle(engine, ClockSettlement("it was ahead"), OPERATOR)
        with engine.database.read() as connection:
            assert int(read_meta(connection, alerts.TOLD) or 0) == pytest.approx(now_ms(), abs=5_000)


def test_an_operator_is_refused_a_pack_and_a_letter_while_the_clock_is_doubted(door: Served, machine: Machine) -> None:
    machine.shifted = 400 * DAY_MS
    wait_until(lambda: not is_ready(door))
    pack = door.engine.active()
    assert pack is not None
    answer = door.client.post("/v1/operator/packs", content=msgspec.json.encode(pack.pack))
    assert (answer.status_code, answer.json()["reason"]) == (503, "clock")
    replayed = door.client.post("/v1/operator/letters/none/replays")
    assert replayed.status_code == 404, "what appends nothing is answered as ever"
    assert len(arrivals(door.engine)) == 1 and len(door.engine.activations(0)) == 1


# ---- a start --------------------------------------------------------------------------------------------------


def test_a_server_that_was_off_for_eight_days_is_told_with_one_command_that_its_clock_is_right(
    database_url: str, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with engine_of(database_url, machine) as engine:
        machine.slept = 8 * DAY_MS
        engine.wall = WallClock(engine.database, machine.read)
        with pytest.raises(ClockDoubted, match=r"8 d later than what this database knows.*`gridpatrol clock settle`"):
            engine.stamp(engine.rows)
        with served(engine) as door, caplog.at_level(logging.WARNING):
            wait_until(lambda: not is_ready(door))
            assert "gridpatrol clock settle" in doubted(door)["remedy"]
            shown = msgspec.convert(door.get("/v1/operator/clock"), ClockState)
            assert shown.doubt and shown.remedy and not shown.words
            said = door.client.post("/v1/operator/clock", json={"why": "off over the holidays"})
            assert said.status_code == 200 and said.json()["doubt"] == ""
            assert door.post(report(2, machine.wall()), Prefer="wait=10").json()["outcome"] == "done"
            assert any(getattr(line, "why", "") == "off over the holidays" for line in caplog.records)
        fresh = WallClock(engine.database, machine.read)
        fresh.look(engine.rows, engine.heads)
        assert fresh.doubt() is None, "it is not asked again"
        with engine.database.read() as connection:
            [word] = clocks.read_words(connection)
        assert (word.by, word.why, word.still) == ("local", "off over the holidays", {})


def test_another_process_hears_the_word_and_believes_its_own_clock_if_it_agrees(
    sqlite_url: str, machine: Machine
) -> None:
    with engine_of(sqlite_url, machine) as engine:
        machine.slept = 8 * DAY_MS
        wrong = Machine()
        wrong.slept, wrong.shifted = machine.slept, 400 * DAY_MS
        right_one, wrong_one = (WallClock(engine.database, each.read) for each in (machine, wrong))
        with engine.database.begin() as connection:
            for one in (right_one, wrong_one):
                one.look(engine.rows, ())
                assert one.doubt() is not None
            clocks.add_word(connection, clocks.ClockWord(machine.wall()))
        for each, one in ((machine, right_one), (wrong, wrong_one)):
            each.slept += EVEN_MS
            one.look_again()
            one.look(engine.rows, ())
        assert right_one.doubt() is None and wrong_one.doubt() is not None


def test_a_database_of_a_replayed_file_is_not_asked_until_an_event_comes_by_itself(
    sqlite_url: str, machine: Machine
) -> None:
    with prepared(sqlite_url) as engine:
        engine.wall = WallClock(engine.database, machine.read)
        assert tell(engine, report(1, now_ms() - 90 * DAY_MS), now_ms() - 90 * DAY_MS) == "done"
        with served(engine) as door:
            wait_until(lambda: is_ready(door))
            assert door.get("/v1/operator/clock")["replayed"]
            assert door.post(report(2, now_ms()), Prefer="wait=10").json()["outcome"] == "done"
            assert not door.get("/v1/operator/clock")["replayed"]


# ---- partitions that are ahead --------------------------------------------------------------------------------


def test_a_partition_that_is_a_moment_ahead_is_waited_for(sqlite_url: str, machine: Machine) -> None:
    with engine_of(sqlite_url, machine) as engine:
        ahead = now_ms() + 1200
        assert tell(engine, report(2, now_ms()), ahead) == "done"
        with served(engine) as door:
            batch = door.batch([report(3, now_ms()), report(4, now_ms())], Prefer="wait=10").json()
            assert [item["outcome"] for item in batch["results"]] == ["done", "done"]
        assert sorted(arrivals(engine))[-2] > ahead


def test_a_partition_that_is_an_hour_ahead_is_refused_alone_until_an_operator_accepts_it(
    sqlite_url: str, machine: Machine
) -> None:
    with engine_of(sqlite_url, machine) as engine:
        assert tell(engine, report(2, now_ms()), now_ms() + HOUR) == "done"
        [partition] = [p for p, row in engine.rows.items() if row.clock > now_ms() + JUMP_MS]
        clock = engine.rows[partition].clock
        elsewhere = next(f"WY{n:02d}" for n in range(2, 13) if engine.partition(subject(f"WY{n:02d}", 1)) != partition)
        with served(engine) as door:
            wait_until(lambda: is_ready(door) and door.get("/readyz")["halted"])
            [halted] = door.get("/readyz")["halted"]
            assert halted["partition"] == partition and "59 min" in halted["why"]
            answer = door.post(report(3, now_ms()))
            assert (answer.status_code, answer.json()["reason"]) == (503, "clock")
            assert f"partition {partition}" in answer.json()["detail"]
            assert door.post(report(4, now_ms(), elsewhere), Prefer="wait=10").json()["outcome"] == "done"
            sample = engine.counters.registry.get_sample_value
            assert (sample("gridpatrol_partitions_ahead"), sample("gridpatrol_clock_doubted")) == (1, 0)
            for stand_still, stands in ((False, "refused"), (True, "still")):
                state = door.client.post("/v1/operator/clock", json={"stand_still": stand_still}).json()
                assert [row["stands"] for row in state["partitions"] if row["stands"]] == [stands]
            assert door.post(report(3, now_ms()), Prefer="wait=10").json()["outcome"] == "done"
            assert door.get("/readyz")["halted"] == [] and sample("gridpatrol_partitions_ahead") == 0
            assert engine.rows[partition].clock == clock, "its time stands still"
