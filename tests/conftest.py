"""What every test may ask for: fresh databases, and hypothesis settings that hold on a busy machine.

- `database_url`: the test runs twice, with the URL of a database without a row on SQLite and on PostgreSQL.
- `sqlite_url`, `postgres_url`: one of them, for what only one database can show. PostgreSQL's has the tables of this
  release; SQLite's file is not there yet, and `engine_on` makes it with them.
- `empty_database_url`, `empty_postgres_url`: without tables.
- `postgres_server`: the server behind it, started once per run.
- `kafka_server`, `kafka_prefix`: a broker, started once per run, and a prefix for the test's own topics.
- `kafka_parts`, `postgres_parts`: what a broker or a server is run from, for tests that kill one of their own.
- `cluster`: a small distributed run on both, for what only several workers can show.
- `as_it_was`: nobody's settings, for tests that run commands in this process, and what commands set is set back.

After each test no failpoint is armed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from engine import failpoints
from engine.store.database import open_database
from gridpatrol import collector
from lab.parts import kafka, kafka_jars
from lab.parts.postgres import PostgresUnavailable, binaries_of_the_wheel, fresh_database, running_server
from tests.support import rehearsed  # noqa: F401 (the rules count as tried)
from tests.support.shared import folder_of_run, shared

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

IN_CI = os.environ.get("CI") == "true"

# Two test processes share two cores, so a slow example says nothing about the code. In CI the examples are
# the same each time: a run that turns red was turned red by the change.
PROFILE = settings(deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", PROFILE, max_examples=30)
settings.register_profile("deep", PROFILE, max_examples=100)
settings.load_profile("quick")  # `make drill` asks for the deep one


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector looks at new objects only, as in a role. That is an
    eighth of the time of what computes."""
    collector.spare()


@event.listens_for(Pool, "checkout")
def forget_what_a_power_cut_would_lose(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """SQLite waits for no disk here, as PostgreSQL does not (lab/parts/postgres.py): no test cuts the power."""
    if isinstance(connection, sqlite3.Connection) and "forgetful" not in record.info:
        connection.execute("PRAGMA synchronous=OFF")
        record.info["forgetful"] = True


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    """What a test has armed ends with it."""
    yield
    failpoints.arm("")


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody's settings, and afterwards the logs of the test run as they were."""
    for name in [name for name in os.environ if name.startswith("GRIDPATROL_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A PostgreSQL server; without one the test is skipped with the reason, but fails where CI=true."""
    try:
        with shared(folder_of_run(tmp_path_factory) / "postgres", _server()) as url:
            yield make_url(url)
    except PostgresUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no PostgreSQL: {reason}")


@contextmanager
def _server() -> Iterator[str]:
    with running_server() as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with the tables of this release and no row, to be copied: migrations take longer."""
    with shared(folder_of_run(tmp_path_factory) / "template", _migrated(postgres_server)) as name:
        yield name


@contextmanager
def _migrated(server: URL) -> Iterator[str]:
    with fresh_database(server) as url:
        with closing(open_database(url)) as database:
            database.upgrade()
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def postgres_parts() -> None:
    """What a PostgreSQL of one's own is run from, for tests that kill it; skipped or failed like `postgres_server`."""
    try:
        binaries_of_the_wheel()
    except PostgresUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture
def postgres_url(postgres_server: URL, postgres_template: str) -> Iterator[str]:
    """The SQLAlchemy URL of a PostgreSQL database with the tables of this release, dropped after the test."""
    with fresh_database(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: URL) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database, dropped after the test."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'gridpatrol.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a database without a row, once on SQLite and once on PostgreSQL."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a database without tables, once on SQLite and once on PostgreSQL."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "empty_postgres_url")


@pytest.fixture(scope="session", name="kafka_parts")
def found_kafka_parts(request: pytest.FixtureRequest) -> kafka_jars.Parts:
    """Java and Kafka's jars; where they cannot be had the test is skipped with the reason, but fails where CI=true."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        # It may fetch for a while, and should be seen to.
        with capture.global_and_fixture_disabled():
            return kafka_jars.find_parts()
    except kafka_jars.KafkaUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no Kafka: {reason}")


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker that all tests share; skipped or failed like `kafka_parts`."""
    if not os.environ.get("GRIDPATROL_TEST_KAFKA"):
        request.getfixturevalue("kafka_parts")
    try:
        with shared(folder_of_run(tmp_path_factory) / "kafka", kafka.running_server()) as bootstrap:
            yield bootstrap
    except kafka_jars.KafkaUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no Kafka: {reason}")


@pytest.fixture
def kafka_prefix(kafka_server: str) -> Iterator[str]:
    """A beginning for the names of topics and groups that no other test has; its topics go after the test."""
    with kafka.fresh_prefix(kafka_server) as prefix:
        yield prefix


@pytest.fixture
def cluster(postgres_url: str, kafka_server: str, kafka_prefix: str) -> Iterator[Cluster]:
    """A distributed run of two partitions and small slices, with a pack; its workers are made by the test."""
    from tests.simulation.cluster import cluster_on  # Kafka's client, which most tests do without

    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, slice_records=5) as made:
        made.install()
        yield made
