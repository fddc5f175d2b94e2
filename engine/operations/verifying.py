"""A verification is recorded, whatever comes of it: how the installation is says when it was held against itself."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from engine.clock import now_ms
from engine.principals import Operator
from engine.store import verifications
from engine.store.database import FAILURES, Database


class Run(Struct):
    """A run that is under way. `counts`: findings by what they are of; None: it has not got so far."""

    counts: dict[str, int] | None = None


@contextmanager
def recorded(database: Database, command: str, operator: Operator) -> Iterator[Run]:
    """Keep a run of a command when it has ended; one that ends in an error failed."""
    run, began = Run(), now_ms()
    try:
        yield run
    except BaseException:
        with suppress(*FAILURES), database.begin() as connection:  # the database may be what is wrong
            verifications.write(connection, command, operator.who, began, now_ms(), None)
        raise
    with database.begin() as connection:
        verifications.write(connection, command, operator.who, began, now_ms(), run.counts)
