"""The log as a topic: the same log gives the same facts, whether a table or Kafka held it.

In: a storm and a month, through a topic of a real broker into PostgreSQL. Out: facts, answers and exported logs.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.replay import export_log
from engine.store.rows import InboxRow
from tests.simulation import runs
from tests.simulation.cluster import cluster_on
from tests.simulation.runs import engine_on, replayed, storm


def log_of(folder: Path, lines: tuple[bytes, ...], partitions: int) -> tuple[list[InboxRow], object]:
    """The log of a run on a table, ticks and packs included, and what came of it."""
    with engine_on(f"sqlite:///{folder / 'table.db'}", partitions) as engine:
        replayed(engine, lines)
        rows = [msgspec.json.decode(line)["record"] for line in export_log(engine) if line.startswith(b'{"record"')]
        told = runs.facts(engine), runs.answers(engine, shapes=False)
        return [msgspec.convert(row, InboxRow) for row in rows], told


@pytest.mark.parametrize(("partitions", "records", "steps"), [(1, 1, 1), (8, 500, 1000), (8, 7, 3), (1, 500, 1000)])
def test_a_storm_gives_the_same_facts_from_a_topic_as_from_a_table(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path, partitions: int, records: int, steps: int
) -> None:
    rows, told = log_of(tmp_path, storm(), partitions)
    limits = {"slice_records": records, "slice_steps": steps}
    with cluster_on(postgres_url, kafka_server, kafka_prefix, partitions, **limits) as cluster:
        cluster.take_stamps()
        cluster.gateway.keep_pack(runs.pack_of("weiyang"))
        cluster.lay(rows)
        cluster.worker(ticking=False)
        cluster.settle()
        result = cluster.result()
        assert (runs.facts(result), runs.answers(result, shapes=False)) == told
        cluster.check_export(tmp_path)
        cluster.check_published()
