"""The lease: one process writes, a second is refused; a lock that the database forgot is taken again, or given up."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy.engine import URL

from engine import lease as leases
from engine.errors import DatabaseUnusable, LeaseTaken
from engine.lease import TELLER, WRITER, Lease
from engine.store.database import Database, open_database
from tests.support.source_files import project_files


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database of each kind."""
    with closing(open_database(database_url)) as opened:
        yield opened


@pytest.fixture
def server(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An open PostgreSQL, whose lease is looked at every time."""
    monkeypatch.setattr(leases, "KEEP_S", 0.0)
    with closing(open_database(postgres_url)) as opened:
        yield opened


def test_a_second_process_is_refused_until_the_first_has_ended(database: Database) -> None:
    with closing(Lease(database)), pytest.raises(LeaseTaken, match="Stop it, or send the command"):
        Lease(database)
    Lease(database).close()


def _forget(server: Database) -> None:
    """End every session that holds an advisory lock, as a restart of the server would."""
    with server.begin() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")


def test_a_lock_that_the_server_forgot_is_taken_again(server: Database) -> None:
    with closing(Lease(server)) as held:
        _forget(server)
        held.keep(server)
        with pytest.raises(LeaseTaken):
            Lease(server)


def test_who_lost_it_to_another_process_is_told(server: Database) -> None:
    with closing(Lease(server)) as held:
        _forget(server)
        with closing(Lease(server)), pytest.raises(LeaseTaken):
            held.keep(server)


def test_a_lock_that_was_forgotten_while_nobody_could_connect_is_taken_when_they_can(
    server: Database, postgres_server: URL
) -> None:
    with closing(Lease(server)) as held, closing(open_database(_text(postgres_server))) as operator:
        with operator.begin() as connection:
            name = server.url.database
            connection.exec_driver_sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            assert connection.exec_driver_sql(ended).all()
        for _ in range(3):
            with pytest.raises(DatabaseUnusable, match="the database is away"):
                held.keep(server)
        with operator.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        held.keep(server)
        with pytest.raises(LeaseTaken):
            Lease(server, linger_s=0)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def test_one_process_writes_and_another_may_tell(database: Database) -> None:
    with closing(Lease(database, WRITER)), closing(Lease(database, TELLER)):
        with pytest.raises(LeaseTaken, match="tells the alerts of"):
            Lease(database, TELLER, linger_s=0)
        with pytest.raises(LeaseTaken, match="writes to"):
            Lease(database, WRITER, linger_s=0)


def test_several_may_share_it_and_then_nobody_has_it_alone(database: Database) -> None:
    with closing(Lease(database, shared=True)) as first:
        with closing(Lease(database, shared=True)), pytest.raises(LeaseTaken):
            Lease(database, linger_s=0)
        with pytest.raises(LeaseTaken):
            Lease(database, linger_s=0)
        first.close()
        with closing(Lease(database)), pytest.raises(LeaseTaken):
            Lease(database, linger_s=0, shared=True)


def test_no_two_tasks_have_the_same_lock() -> None:
    """On PostgreSQL a lock is a number: the process of one task would keep that of the other from its work."""
    named = re.compile(r'LeaseName\(\s*"[^"]*",\s*"([^"]+)",\s*(0x[0-9A-Fa-f]+)')
    whole = "\n".join(
        path.read_text() for path in project_files() if path.suffix == ".py" and "tests" not in path.parts
    )
    found = named.findall(whole)
    assert len(found) > 6
    for column in zip(*found, strict=True):
        assert len(set(column)) == len(column), sorted(column)
