"""The database of a role: when it goes away and nobody waits for it, the role ends with a sentence; a defect shows.
While roles work, nobody has it alone, also when it was restarted under them.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import exc

from engine.cluster import clients
from engine.errors import DatabaseUnusable
from engine.settings import Settings
from engine.store.database import open_database
from gridpatrol.run import roles
from lab.parts.postgres import fresh_database, own_server


@pytest.mark.usefixtures("postgres_parts")
def test_a_database_that_goes_away_is_told_in_a_sentence_and_a_wrong_statement_as_a_defect() -> None:
    with own_server() as server, fresh_database(server.url) as url:
        database = open_database(url)
        database.upgrade()
        database.close()
        settings = Settings(database=url)
        with pytest.raises(DatabaseUnusable, match="the database is away"), roles.store(settings) as (database, _):
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
