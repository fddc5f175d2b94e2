"""Replaying a file of events: up to an instant, again, in pieces, with lines that are no events.

The facts are those of a replay in one go; every line is done, parked, answered or kept.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.failpoints import Interrupted, arm
from engine.replay import replay_events
from engine.runtime import Engine
from engine.store import recording
from lab import runs
from lab.events import MINUTE
from lab.runs import engine_on, install, month, pack_of, replayed, storm
from lab.storm import BURST
from schemas import facts
from schemas.envelope import decode_envelope, to_ms
from schemas.refusals import Refusal
from tests.simulation.line import DUE, NOW, line_on
from tests.support.builders import DAY, HOUR, event, instant, subject
from workflows import decide


def counts(engine: Engine) -> dict[str, int]:
    """How many records of each kind the log holds."""
    with engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT kind, count(*) FROM inbox GROUP BY kind")
        return {kind: number for kind, number in rows}


def arrival(line: bytes) -> int:
    said = decode_envelope(line)
    assert not isinstance(said, Refusal)
    return to_ms(said.recordedtime or said.time)


def test_up_to_an_instant_everything_due_before_it_has_fired_and_nothing_else_is_known(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 4) as engine:
        result = replayed(engine, storm(), until=BURST + 1)
        assert result.end == BURST + 1 and result.beyond > 0
        assert result.beyond + sum(result.outcomes.values()) == result.lines == len(storm())
        rows = runs.steps(engine)
        fired = [x for row in rows for x in facts.decode_facts(row.body) if isinstance(x, facts.ClockRung)]
        assert max(rung.due_at for rung in fired) == BURST
        assert max(row.at for row in rows) <= BURST + 1
        assert all(due is None or due > BURST for due in engine.partitions.next_due.values())


def test_instant_after_instant_gives_the_facts_of_one_go(database_url: str, tmp_path: Path) -> None:
    end = arrival(storm()[-1]) + 40 * DAY
    with engine_on(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        replayed(whole, storm(), until=end)
        with engine_on(database_url, 3, 60) as engine:
            for until in (BURST - DAY, BURST, BURST + 1, BURST + 2, BURST + 3 * DAY, end):
                replayed(engine, storm(), until=until)
            runs.check_whole(engine)
            assert runs.facts(engine) == runs.facts(whole)
            assert runs.answers(engine) == runs.answers(whole)


def test_a_replay_commits_once_for_many_events_and_once_for_what_follows(sqlite_url: str, tmp_path: Path) -> None:
    """Fifteen hundred records and what is sealed of them are one transaction; slices that are set to fewer stay so."""
    said = {"source": "patrol", "category": "D3-04", "description": "rubble beside the road"}
    reports = [
        event("report.submitted", "WY09-01-MEMBER", NOW, case=subject("WY09", k), id=f"e{k}", grid="WY09-01", **said)
        for k in range(1, 1501)
    ]
    with engine_on(sqlite_url, 4, consumers=runs.consumers()) as engine:
        install(engine, pack_of("weiyang"))
        first, *others = (json.dumps(report).encode() for report in reports)
        replay_events(engine, [first], "first")  # what follows finds its place in the store
        recorder, usual = recording.Recorder(engine.database), engine.partitions.limits
        done = replay_events(engine, others, "file")
        assert done.outcomes == {"done": len(others)} and engine.partitions.limits == usual
        texts = ["; ".join(one.text for one in each.statements) for each in recorder.transactions]
        [slice_] = [text for text in texts if "INSERT INTO facts" in text]
        assert all(f"INSERT INTO {name} " in slice_ for name in ("inbox", "sealed", "cases", "positions"))
        assert sum("INSERT INTO figures" in text for text in texts) == 1
        assert not any("INSERT INTO sealed" in text for text in texts if text != slice_)
    with engine_on(f"sqlite:///{tmp_path / 'small.db'}", 4, 50) as engine, engine.partitions.wide():
        assert engine.partitions.limits.records == 50


def test_what_was_replayed_is_not_replayed_again(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 4) as engine:
        replayed(engine, storm())
        before, held = runs.steps(engine), counts(engine)
        again = replayed(engine, storm())
        assert again.skipped == again.lines and not again.outcomes
        assert (runs.steps(engine), counts(engine)) == (before, held)


def test_a_file_that_has_grown_goes_on_with_its_new_lines(sqlite_url: str, tmp_path: Path) -> None:
    with engine_on(sqlite_url, 4) as engine, engine_on(f"sqlite:///{tmp_path / 'b.db'}") as whole:
        replayed(engine, storm()[:200], until=arrival(storm()[200]))
        replayed(engine, storm())
        replayed(whole, storm())
        assert runs.facts(engine) == runs.facts(whole)


@pytest.mark.parametrize("failpoint", ["replay.before_commit", "replay.after_commit", "slice.before_write"])
def test_an_error_in_mid_replay_leaves_a_run_that_goes_on(sqlite_url: str, tmp_path: Path, failpoint: str) -> None:
    with engine_on(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        replayed(whole, month())
        with engine_on(sqlite_url, 32, 50) as engine:
            install(engine, pack_of("weiyang"))
            arm(f"{failpoint}:raise@5")
            try:
                with pytest.raises(Interrupted):
                    replayed(engine, month())
            finally:
                arm("")
            replayed(engine, month())  # with the memory of the same engine
            assert runs.facts(engine) == runs.facts(whole)


def test_lines_that_are_no_events_are_kept_with_their_bytes_and_the_reason(sqlite_url: str) -> None:
    good = storm()[:40]
    bad = [b"no json", b'{"specversion":"1.0"}', b'{"id":"\\u0000"}', b"\xff\xfe", b"[1,2]", b"", b"   "]
    lines = [item for pair in zip(good, [*bad, *good[len(bad) :]], strict=True) for item in pair]
    with engine_on(sqlite_url, 4) as engine:
        result = replayed(engine, lines)
        blank = 2
        assert result.rejected == len(bad) - blank
        assert sum(result.outcomes.values()) + result.rejected + blank == result.lines == len(lines)
        with engine.database.read() as connection:
            kept = connection.exec_driver_sql(
                "SELECT reason, field, body FROM dead_letters d JOIN sealed s ON s.token = d.token "
                "WHERE d.position IS NULL ORDER BY d.id"
            ).all()
        assert len(kept) == result.rejected
        assert {"no json", "[1,2]", "\\xff\\xfe"} <= {body for _, _, body in kept}
        again = replayed(engine, lines)  # once more: nothing is kept twice
        assert again.rejected == result.rejected
        with engine.database.read() as connection:
            assert (
                connection.exec_driver_sql("SELECT count(*) FROM dead_letters WHERE position IS NULL").scalar_one()
                == result.rejected
            )


def test_a_line_that_is_refused_first_of_all_is_dated_as_it_says_itself_and_not_1969(sqlite_url: str) -> None:
    first = json.dumps(event("report.submitted", "WY01-01-MEMBER", NOW, category="No Q", source="patrol")).encode()
    with engine_on(sqlite_url) as engine:
        install(engine, pack_of("weiyang"))
        result = replay_events(engine, [first, b'{"specversion":"1.0"}'], "city", until=NOW + DAY)
        assert result.rejected == 2
        with engine.database.read() as connection:
            letters: dict[str, int] = dict(connection.exec_driver_sql("SELECT event_id, at FROM dead_letters").all())
    assert letters.pop("e1") == NOW
    [undated] = letters.values()
    assert undated > NOW


def test_lines_out_of_order_arrive_when_the_latest_before_them_did(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        said = [
            event("comment.added", "WY01-01-MEMBER", NOW + HOUR, id="a"),
            event("comment.added", "WY01-01-MEMBER", NOW, id="b"),
            event("comment.added", "WY02-01-MEMBER", NOW, id="c", case=subject("WY02")),
        ]
        replay_events(line.engine, [json.dumps(item).encode() for item in said], "order")
        assert [step.at for step in runs.steps(line.engine)] == [NOW + HOUR] * 3


def test_silent_gaps_get_ticks_a_millisecond_after_each_due_instant(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "definition": "service_request"}
        said = [
            event(
                "report.submitted",
                "WY-12345",
                NOW,
                case=subject("WY01", n),
                id=f"r{n}",
                **data,
                deadline=instant(DUE + n),
            )
            for n in (1, 2, 3)
        ]
        replay_events(line.engine, [json.dumps(item).encode() for item in said], "ticks", until=DUE + 4)
        for number in (1, 2, 3):
            assert line.breaches(number)[0].due_at == DUE + number
            [step] = [s for s in line.steps(number) if '"breach":true' in s.body and '"clock":"total"' in s.body]
            assert step.at == DUE + number + 1
        with line.engine.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT stamp FROM inbox WHERE kind = 'tick' ORDER BY position").all()
        assert [stamp for (stamp,) in rows][-3:] == [DUE + 2, DUE + 3, DUE + 4]


def test_a_file_of_the_past_ends_although_the_partition_s_clock_is_far_ahead(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        line.report(1, DUE + 100 * DAY, due=None)  # the clock of the partition stands there afterwards
        data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "deadline": instant(DUE)}
        said = event("report.submitted", "WY-12345", NOW, case=subject("WY01", 2), id="old", **data)
        result = replay_events(line.engine, [json.dumps(said).encode()], "past", until=DUE + 10 * DAY)
        assert result.outcomes == {"done": 1}
        assert line.steps(2)[0].at == DUE + 100 * DAY
        assert any(rung.overdue and rung.due == DUE for rung in line.of(facts.ClockRung, 2))


def test_what_stands_in_the_log_is_decided_before_a_replay(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        line.report(1)
        replay_events(line.engine, [json.dumps(event("incident.closed", "WY-DISPATCH", NOW + 1, id="c")).encode()], "x")
        assert line.of(facts.ClockStopped)[-1].result == "on_time"
        runs.check_whole(line.engine)


def test_the_lines_of_two_files_are_not_mixed_up(sqlite_url: str) -> None:
    with line_on(sqlite_url) as line:
        for name in ("one", "two"):
            said = event("comment.added", "WY01-01-MEMBER", NOW, id=name)
            assert replay_events(line.engine, [json.dumps(said).encode()], name).skipped == 0
        assert len(line.steps()) == 2


def braided() -> list[bytes]:
    """Three cases at a time: one falls due and is armed again, one is closed before it does, one falls due later."""
    said = []
    data = {"category": "D3-04", "source": "hotline", "grid": "WY01-01", "definition": "service_request"}
    for number in range(0, 30, 3):
        start = NOW + number * DAY
        for k, minutes in enumerate((10, 20, 30)):
            due = start + minutes * MINUTE
            said.append(
                (
                    start,
                    event(
                        "report.submitted",
                        "WY-12345",
                        start,
                        case=subject("WY01", number + k),
                        id=f"r{number + k}",
                        **data,
                        deadline=instant(due),
                    ),
                )
            )
            said.append(
                (
                    start,
                    event(
                        "incident.accepted", "WY01-CHIEF", start, case=subject("WY01", number + k), id=f"a{number + k}"
                    ),
                )
            )
        closing = event("incident.closed", "WY-DISPATCH", start + 15 * MINUTE, case=subject("WY01", number + 1))
        said.append((start + 15 * MINUTE, closing | {"id": f"c{number}"}))
    return [json.dumps(item).encode() for _, item in sorted(said, key=lambda pair: pair[0])]


@pytest.mark.parametrize("steps", range(1, 13))
def test_a_slice_that_closes_the_last_case_it_fetched_leaves_the_others_their_own_ticks(
    sqlite_url: str, tmp_path: Path, steps: int
) -> None:
    end = NOW + 90 * DAY
    with engine_on(sqlite_url, 1) as whole, engine_on(f"sqlite:///{tmp_path / 'b.db'}", 1, 500, steps) as engine:
        replayed(whole, braided(), until=end)
        replayed(engine, braided(), until=end)
        assert runs.facts(engine) == runs.facts(whole)
        check_ticks(engine)


def check_ticks(engine: Engine) -> None:
    """Each firing is released a millisecond after its instant; if that was past already, with what armed it."""
    last: dict[str, int] = {}
    for row in runs.steps(engine):
        cause = facts.decode_cause(row.cause)
        if cause.type == decide.DUE:
            assert cause.occurred is not None
            assert row.at == max(cause.occurred + 1, last[row.case_id]), row
        last[row.case_id] = row.at


def test_in_any_slices_each_firing_of_a_storm_is_released_at_once(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2, 9, 4) as engine:
        replayed(engine, storm(8))
        check_ticks(engine)
