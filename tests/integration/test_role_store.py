"""The database of a role: when it goes away and nobody waits for it, the role ends with a sentence; a defect shows.

Enters: a PostgreSQL that is killed. Leaves: the error that the command shows.
"""

from __future__ import annotations

import pytest
from sqlalchemy import exc

from engine.errors import DatabaseUnusable
from engine.settings import Settings
from engine.store.database import open_database
from gridpatrol import roles
from tests.postgres import fresh_database, own_server


@pytest.mark.usefixtures("postgres_parts")
def test_a_database_that_goes_away_is_told_in_a_sentence_and_a_wrong_statement_as_a_defect() -> None:
    with own_server() as server, fresh_database(server.url) as url:
        database = open_database(url)
        database.upgrade()
        database.close()
        settings = Settings(database=url)
        with pytest.raises(DatabaseUnusable, match="went away"), roles.store(settings) as database:
            server.kill()
            with database.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        server.start()
        with pytest.raises(exc.ProgrammingError), roles.store(settings) as database, database.read() as connection:
            connection.exec_driver_sql("SELEC 1")
