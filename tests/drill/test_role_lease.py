"""While roles work, nobody else has their database alone, also after it has forgotten who held it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import LeaseTaken
from engine.lease import WRITER, Lease
from engine.store.database import Database, open_database
from lab.installation import installation
from lab.parts.processes import eventually


def test_roles_have_the_writers_lease_again_after_the_database_has_forgotten_it(
    tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str
) -> None:
    names = ("gateway-1", "worker-1", "performance-1", "alerts-1")
    with (
        installation(tmp_path, kafka_server, postgres_url, prefix=kafka_prefix, partitions=2) as place,
        closing(open_database(postgres_url)) as database,
    ):
        place.start(*names)
        place.await_ready()
        before = holders(database)
        assert len(before) == len(names)
        with database.begin() as connection:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", (list(before),))
        eventually(lambda: len(holders(database) - before) == len(names), "every role has taken it again")
        with pytest.raises(LeaseTaken):
            Lease(database)
        assert all(place[name].running for name in names)


def holders(database: Database) -> set[int]:
    """The sessions that hold the writer's lease of this database."""
    sql = """
        SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND objid = %s AND datname = current_database()"""
    with database.read() as connection:
        return set(connection.exec_driver_sql(sql, (WRITER.key,)).scalars())
