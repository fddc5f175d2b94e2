"""The database of a role: when it goes away and nobody waits for it, the role ends with a sentence; a defect shows.
While roles work, nobody has it alone, also when it was restarted under them.

Enters: a PostgreSQL that is killed, one that ends sessions under each role. Leaves: the error that the command shows;
the locks that the roles hold.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import exc

from engine.cluster import clients
from engine.errors import DatabaseUnusable, LeaseTaken
from engine.lease import WRITER, Lease
from engine.settings import Settings
from engine.store.database import Database, open_database
from gridpatrol.run import roles
from lab.installation import town
from lab.parts.postgres import fresh_database, own_server
from lab.parts.processes import eventually


@pytest.mark.usefixtures("postgres_parts")
def test_a_database_that_goes_away_is_told_in_a_sentence_and_a_wrong_statement_as_a_defect() -> None:
    with own_server() as server, fresh_database(server.url) as url:
        database = open_database(url)
        database.upgrade()
        database.close()
        settings = Settings(database=url)
        with pytest.raises(DatabaseUnusable, match="went away"), roles.store(settings) as (database, _):
            server.kill()
            with database.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        server.start()
        with pytest.raises(exc.ProgrammingError), roles.store(settings) as (database, _), database.read() as connection:
            connection.exec_driver_sql("SELEC 1")


def test_what_a_silent_role_has_locked_is_free_again_soon(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SILENCE_MS", 700)
    change = "INSERT INTO meta (name, value) VALUES ('a test', '') ON CONFLICT DO NOTHING"
    with closing(open_database(postgres_url)) as other:
        other.upgrade()
        with roles.store(Settings(database=postgres_url)) as (database, _):
            with pytest.raises(exc.DBAPIError), database.begin() as frozen:
                frozen.exec_driver_sql(change)
                with other.begin() as connection:
                    connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
                    connection.exec_driver_sql(change)  # waits for the one that says nothing
                frozen.exec_driver_sql("SELECT 1")
            with database.begin() as connection:
                connection.exec_driver_sql(change)


def test_roles_have_the_writers_lease_again_after_the_database_has_forgotten_it(
    tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str
) -> None:
    names = ("gateway-1", "worker-1", "performance-1", "alerts-1")
    with (
        town(tmp_path, kafka_server, postgres_url, prefix=kafka_prefix, partitions=2) as place,
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
