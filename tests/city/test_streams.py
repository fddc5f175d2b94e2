"""The badly told streams: they must hold the same events, or the tests that use them prove nothing."""

import csv
import gzip
import json
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gridpatrol.importers.boston311 import SHIPPED, events
from tests.city.judge import rows
from tests.city.streams import OFFLINE_S, delayed, doubled, shuffle_targets


@pytest.fixture(scope="module")
def record() -> list[bytes]:
    return list(events(SHIPPED, {}, lambda _: None))


def seconds_late(event: dict[str, Any]) -> float:
    recorded, occurred = (datetime.fromisoformat(event[name]) for name in ("recordedtime", "time"))
    return (recorded - occurred).total_seconds()


def test_the_doubled_stream_holds_every_event_twice(record: list[bytes]) -> None:
    twice = Counter(doubled(record))
    assert len(twice) == len(record) and set(twice.values()) == {2}


def test_the_delayed_stream_arrives_within_the_allowance_and_out_of_order(record: list[bytes]) -> None:
    late = [json.loads(event) for event in delayed(record, seed=1)]
    arrivals = [datetime.fromisoformat(event["recordedtime"]) for event in late]
    assert arrivals == sorted(arrivals)
    assert all(0 <= seconds_late(event) <= OFFLINE_S for event in late)
    assert max(map(seconds_late, late)) > 0.99 * OFFLINE_S
    assert sum(a["time"] > b["time"] for a, b in pairwise(late)) > 10_000
    for event in late:
        del event["recordedtime"]
    first = sorted(map(json.loads, record), key=lambda event: event["id"])
    assert sorted(late, key=lambda event: event["id"]) == first


def test_the_delayed_stream_is_the_same_for_the_same_seed(record: list[bytes]) -> None:
    some = record[:500]
    assert delayed(some, seed=1) == delayed(some, seed=1) != delayed(some, seed=2)


def test_shuffled_targets_are_the_same_targets_at_other_cases(tmp_path: Path) -> None:
    shuffled, before = rows(shuffle_targets(SHIPPED, tmp_path / "s.csv.gz", seed=1)), rows(SHIPPED)
    assert Counter(row["target_dt"] for row in shuffled) == Counter(row["target_dt"] for row in before)
    assert sum(a["target_dt"] != b["target_dt"] for a, b in zip(shuffled, before, strict=True)) > 13_000
    for row in (*shuffled, *before):
        del row["target_dt"]
    assert shuffled == before
    with gzip.open(SHIPPED, "rt", newline="") as file:
        assert next(csv.reader(file)) == list(rows(tmp_path / "s.csv.gz")[0])
