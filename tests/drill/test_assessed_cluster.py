"""A sheet that is computed over Kafka is the sheet that one process computes of the same events, to its hash.

Enters: a quarter of seven streets, said to one process, and its records laid on a topic with their stamps. Leaves: the
sheets of both, stored by their hashes; of two gateways with an assessor one has spoken.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.assessing.loop import AssessorLoop
from consumers.performance import consume
from engine.cluster.gateway import Gateway
from engine.store import clocks, incident_queries, sheets
from gridpatrol.run.assessing import assess_all
from schemas.kinds.assessment import Assessment
from tests.integration.test_assessor import AFTER, CASE, STREETS, TOWN, moved, town
from tests.simulation.cluster import cluster_on
from tests.support.serving import wait_until
from workflows.case import decode


@pytest.mark.mechanism("M57", "M82")
def test_a_sheet_over_kafka_is_that_of_one_process(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path
) -> None:
    with town(f"sqlite:///{tmp_path / 'town.db'}", partitions=2) as line:
        homes = {line.engine.partition(f"{home}.x"): home for home in (*STREETS, "WY12", "XA")}
        moved(line, AFTER, *homes.values())
        with line.engine.database.read() as connection:
            log = [row for p in line.engine.rows for row in line.engine.inbox.read_all(connection, p)]
        assert assess_all(line.engine) == 3
        with line.engine.database.read() as connection:
            alone = {row.hash: row.body for row in sheets.read_sheets(connection)}
    assert len(alone) == 3

    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2) as cluster:
        cluster.take_stamps()
        cluster.gateway.keep_pack(TOWN.pack)
        cluster.lay(sorted((row for row in log if row.kind != "tick"), key=lambda row: (row.partition, row.position)))
        cluster.worker(ticking=False)
        cluster.settle()
        while consume.consume(cluster.database):
            pass
        with cluster.database.begin() as connection:
            clocks.note_replayed(connection, "a test")  # its time is that of the test
        gateways = [Gateway(cluster.gateway) for _ in range(2)]
        loops = [AssessorLoop(gateway, leased=True) for gateway in gateways]

        def found() -> dict[str, str]:
            with cluster.database.read() as connection:
                return {row.hash: row.body for row in sheets.read_sheets(connection)}

        def current() -> str:
            with cluster.database.read() as connection:
                body = incident_queries.read_case(connection, CASE)
            own = decode(body).own if body is not None else None
            return own.hash if isinstance(own, Assessment) else ""

        try:
            for each in (*gateways, *loops):
                each.start()
            wait_until(lambda: len(found()) == 3)
            cluster.turn(lambda: current() in alone)
            assert found() == alone
            assert sorted(loop.lease is None for loop in loops) == [False, True]
        finally:
            for each in (*loops, *gateways):
                each.stop()
