"""The benchmark of the distributed run on a small scale, so that it keeps working; its figures are for people.

Enters: a fifteenth of the events, on a broker, a database and roles of its own. Leaves: figures that hang together.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from lab.parts.kafka_jars import Parts

ROOT = Path(__file__).parents[2]
PROMISED = (
    "cluster.ratio",
    "cluster.ratio_with_publishing",
    "cluster.cpu_ms_per_event",
    "cluster.cpu_ms_per_event_25",
    "cluster.events_per_s",
    "cluster.door_to_alert_p99_s",
    "cluster.recovery_s",
    "faust.ratio",
    "faust.steps_per_s",
)


def test_the_bench_measures_the_distributed_run(postgres_server: URL, kafka_parts: Parts, tmp_path: Path) -> None:
    """The fixtures say whether there is a broker and a database to be had; the command starts its own."""
    command = [sys.executable, "-m", "gridpatrol.cli", "bench", "--cluster", "--scale", "0.03", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-4000:])
    found = json.loads(done.stdout)
    assert all(reduce(getitem, name.split("."), found) > 0 for name in PROMISED)
    _hang_together(found)
    assert list(tmp_path.iterdir()) == []


def _hang_together(found: dict[str, Any]) -> None:
    """The cost of an event is the sum of what each role and its database and broker spend."""
    cluster = found["cluster"]
    parts = [ms for role in cluster["cpu_ms_by_role"].values() for ms in role.values()]
    assert sum(parts) == pytest.approx(cluster["cpu_ms_per_event"], abs=0.001)
    assert cluster["cpu_ms_per_event_25"] == cluster["one_by_one"]["cpu_ms_per_event"]
    assert [row["load_percent"] for row in cluster["latency"]] == [25, 50, 75]
    runs = cluster["door_to_alert_p99_runs_s"]
    assert len(runs) == 5 and cluster["door_to_alert_p99_s"] == sorted(runs)[2]
    for row in (cluster["one_by_one"], *cluster["latency"]):
        assert row["events"] >= row["alerts"] > 0
        assert 0 < row["door_to_fact_p50_s"] <= row["door_to_fact_p99_s"]
        assert 0 < row["door_to_alert_p50_s"] <= row["door_to_alert_p99_s"]
    assert cluster["recovery_s"] == max(cluster["recovery_runs_s"])
    assert cluster["recovery_open_incidents"] >= 10_000
