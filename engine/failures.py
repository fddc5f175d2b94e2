"""Which errors of a slice a retry can cure: those of a database that is away can be, those of a record cannot."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import DatabaseUnusable, GridpatrolError
from engine.failpoints import Interrupted
from engine.store.database import DriverError, StoreError, refuses, unusable

DEFECTS = (NameError, AttributeError, ImportError, AssertionError, MemoryError)
"""No record is to blame for these: the line stops with the error instead of emptying itself into the dead letters."""


def is_permanent(error: Exception) -> bool:
    """Whether the same slice would fail again: the database refuses its rows, or a rule fails. Not if the database is
    away."""
    if isinstance(error, StoreError):
        return refuses(error)
    return not isinstance(error, (GridpatrolError, Interrupted, *DEFECTS))


@contextmanager
def away() -> Iterator[None]:
    """Raise errors of a database that is away, full, locked or damaged as `DatabaseUnusable`, without the rows: those
    are not for logs."""
    try:
        yield
    except DriverError as error:
        if is_permanent(error):
            raise
        raise unusable(error) or DatabaseUnusable(f"the database is away: {error.orig}") from error
