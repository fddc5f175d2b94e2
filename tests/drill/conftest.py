"""What several drills stand on: the city's record and its replay, and a month whose steps nobody has folded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import URL, make_url

from consumers.alerts import fold
from lab import runs
from lab.parts.postgres import fresh_database
from tests.city.conftest import cases, whole
from tests.integration.test_stream import MONTH, PARTITIONS

__all__ = ["cases", "whole"]


@pytest.fixture(scope="session")
def month_template(postgres_server: URL, postgres_template: str) -> Iterator[str]:
    """The name of a PostgreSQL database that holds the month that `Stage` replays, to be copied."""
    with fresh_database(postgres_server, postgres_template) as url:
        with runs.engine_on(url, PARTITIONS, consumers=[fold.consume]) as engine:
            runs.replayed(engine, runs.month(MONTH))
        yield str(make_url(url).database)


@pytest.fixture
def month_url(postgres_server: URL, month_template: str) -> Iterator[str]:
    """The URL of a copy of it, dropped after the test."""
    with fresh_database(postgres_server, month_template) as url:
        yield url
