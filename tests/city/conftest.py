"""The city's record, and one replay of it that several tests look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gridpatrol.importers.boston311 import SHIPPED
from lab.runs import engine_on, facts
from tests.city import judge
from tests.city.outcomes import EXPORT, Run, cases_of, record, replay_city


@pytest.fixture(scope="session")
def cases() -> list[judge.Case]:
    """The record as the judge reads it."""
    return judge.load(SHIPPED)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole record with the city's own targets, replayed up to the day of its export: SQLite, 32 partitions."""
    with engine_on(f"sqlite:///{tmp_path_factory.mktemp('city') / 'whole.db'}") as engine:
        result = replay_city(engine, record(), EXPORT)
        yield Run(engine, result, cases_of(engine), facts(engine))
