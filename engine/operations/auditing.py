"""Acts that are audited around what they do, and the reading of what is sealed.

An act that cannot be audited is not done: its row comes first.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from engine.errors import GridpatrolError
from engine.principals import Operator
from engine.store import audit, dead_letters
from engine.store.audit import Act
from engine.store.database import FAILURES, Database, unusable
from engine.store.dead_letters import Letter


class NotAudited(GridpatrolError):
    """What is sealed is not shown where its reading cannot be audited."""

    remedy = "Let this account write to the database."


@contextmanager
def audited(database: Database, operator: Operator, act: Act, object_: str) -> Iterator[None]:
    """An act in transactions of its own, with its row: it is there before the act begins, and says afterwards whether
    it was done. What fails, failed."""
    with database.begin() as connection:
        row = audit.write(connection, operator, act, object_, audit.BEGUN)
    try:
        yield
    except BaseException:
        with suppress(*FAILURES), database.begin() as connection:  # where that fails too, it stays begun
            audit.end(connection, row, "failed")
        raise
    with database.begin() as connection:
        audit.end(connection, row)


def read_sealed(database: Database, letter: Letter, operator: Operator) -> str | None:
    """The sealed bytes of a letter, for an operator to look at; None: they are gone. The row is in the audit before
    anybody sees them, and whoever cannot write it sees nothing."""
    try:
        with database.begin() as connection:
            body = dead_letters.read_sealed(connection, letter.token)
            audit.write(connection, operator, Act.SEALED_READ, letter.id, "gone" if body is None else audit.DONE)
    except FAILURES as error:
        known = unusable(error)
        why = known.message if known else "the database refuses the row"
        raise NotAudited(
            f"the bytes of letter {letter.id} are not shown, for nobody could see who read them: {why}"
        ) from error
    return body


def audit_violations(database: Database, reader: Operator, grid: str, acts: int) -> None:
    """Audit that a bank reads the feed of violations of a grid, before it sees any. NotAudited."""
    try:
        with database.begin() as connection:
            audit.write(connection, reader, Act.VIOLATIONS_READ, grid, f"{acts} acts")
    except FAILURES as error:
        known = unusable(error)
        why = known.message if known else "the database refuses the row"
        raise NotAudited(f"the feed of {grid} is not shown, for nobody could see who read it: {why}") from error


def audit_inspection(database: Database, reader: Operator, grid: str, what: str) -> None:
    """Audit that inspection reads the feed of a grid, before it sees any. NotAudited."""
    try:
        with database.begin() as connection:
            audit.write(connection, reader, Act.AUDIT_READ, grid, what)
    except FAILURES as error:
        known = unusable(error)
        why = known.message if known else "the database refuses the row"
        raise NotAudited(f"the feed of {grid} is not shown, for nobody could see who read it: {why}") from error


def audit_report(database: Database, reader: Operator, name: str, object_: str) -> None:
    """Audit that somebody reads a report in which more stands than figures: the words of a letter's case, or the
    negative list of a grid, before anybody sees it. NotAudited."""
    if name == "letter":
        return audit_words(database, reader, object_, contact=False)
    try:
        with database.begin() as connection:
            audit.write(connection, reader, Act.NEGATIVE_READ, object_, audit.DONE)
    except FAILURES as error:
        known = unusable(error)
        why = known.message if known else "the database refuses the row"
        raise NotAudited(f"the report of {object_} is not shown, for nobody could see who read it: {why}") from error


def audit_words(database: Database, reader: Operator, case: str, *, contact: bool) -> None:
    """Audit that somebody reads the words of a case, before anybody sees them. NotAudited."""
    try:
        with database.begin() as connection:
            audit.write(connection, reader, Act.WORDS_READ, case, "with contact" if contact else "without contact")
    except FAILURES as error:
        known = unusable(error)
        why = known.message if known else "the database refuses the row"
        raise NotAudited(f"the words of {case} are not shown, for nobody could see who read them: {why}") from error
