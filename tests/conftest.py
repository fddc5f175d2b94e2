"""What every test may ask for: fresh databases, and hypothesis settings that hold on a busy machine.

- `database_url`: the test runs twice, with the URL of an empty database on SQLite and on PostgreSQL.
- `sqlite_url`, `postgres_url`: one of them, for what only one database can show.
- `postgres_server`: the server behind it, started once per test process.
- `kafka_server`, `kafka_prefix`: a broker, started once per test process, and a prefix for the test's own topics.
- `kafka_parts`, `postgres_parts`: what a broker or a server is run from, for tests that kill one of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import URL

from lab.parts import kafka, kafka_jars
from lab.parts.postgres import PostgresUnavailable, fresh_database, require_own, running_server

IN_CI = os.environ.get("CI") == "true"

# Two test processes share two cores, so a slow example says nothing about the code. In CI the examples are
# the same each time: a run that turns red was turned red by the change.
settings.register_profile("gridpatrol", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gridpatrol")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server; without one the test is skipped with the reason, but fails where CI=true."""
    try:
        with running_server() as url:
            yield url
    except PostgresUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture(scope="session")
def postgres_parts() -> None:
    """What a PostgreSQL of one's own is run from, for tests that kill it; skipped or failed like `postgres_server`."""
    try:
        require_own()
    except PostgresUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database, dropped after the test."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'gridpatrol.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of an empty database, once on SQLite and once on PostgreSQL."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


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
def kafka_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bootstrap servers of a broker that all tests of this process share; skipped or failed like `kafka_parts`."""
    if not os.environ.get("GRIDPATROL_TEST_KAFKA"):
        request.getfixturevalue("kafka_parts")
    try:
        with kafka.running_server() as bootstrap:
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
