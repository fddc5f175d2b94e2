"""What an error of a slice means: the database is away, it refuses rows, or our own code has a defect.

    away                     a retry cures it
    the database refuses     isolated to the record or the firing (`engine.slice.isolation`)
    a defect                 its case stands; outside any case its partition halts

Where a defect lies is said by its place in the code. The text of an exception may quote what people sent, so it goes to
the log with the traceback and nowhere else.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import DatabaseUnusable, GridpatrolError
from engine.failpoints import Interrupted
from engine.store.database import DriverError, StoreError, refuses, unusable

UNSTORABLE = (OverflowError, UnicodeError)
"""Errors of a driver that cannot hand a value to its database. The driver raises them as they are."""
NOBODYS = (GridpatrolError, StoreError, Interrupted, MemoryError)
"""Errors that no rule has raised."""
HALTED = "defect at "
"""How the reason of a standstill begins that a defect has caused."""
PACKAGES = ("schemas.", "workflows.", "engine.", "consumers.", "gridpatrol.")


def is_permanent(error: Exception) -> bool:
    """Whether the database refuses the rows of a slice, and would again. Not if it is away."""
    return refuses(error) if isinstance(error, StoreError) else isinstance(error, UNSTORABLE)


def is_defect(error: Exception) -> bool:
    """Whether our own code failed: nobody else is to blame."""
    return not isinstance(error, NOBODYS)


def place(error: BaseException) -> str:
    """Where in our code an error was raised, `module:function:line` of the innermost frame that is ours."""
    found = "unknown"
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(PACKAGES):
            found = f"{module}:{frame.f_code.co_qualname}:{line}"
    return found


def named(error: BaseException) -> str:
    """An error as it may be told and stored: its place and its class, or what the database calls it."""
    cause = getattr(error, "orig", None)
    if cause is None:
        return f"{place(error)} ({type(error).__name__})"
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return f"{type(cause).__name__} {state}" if state else type(cause).__name__


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
