"""Erasing personal data: sealed bodies of a case or of a letter go, everything that was decided stays.

Log, facts and figures carry tokens only, so none of them changes. A body is stored before its event is in the log. If
the event never gets there (a crash, brokers that were away), the sealed row waits for the resend; no token leads to it,
and it is erased with the rest of its case.
"""

import logging
from collections.abc import Collection

import msgspec
from msgspec import Struct

from engine.errors import GridpatrolError
from engine.principals import Operator
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import audit, dead_letters, sealed, sent_files
from engine.store.audit import Act
from engine.store.database import FAILURES, Database
from engine.uploads.opening import open_store

log = logging.getLogger(__name__)

HELD_S = 0.5
"""How long an erasure waits for readers of the database: meanwhile nothing is written."""
HELD = "a reader holds the journal of the database, where it still lies: it goes when that reader ends"
KEPT = "the rows that are dead now could not be vacuumed: PostgreSQL does so by itself later"


class Erasure(Struct, frozen=True):
    """An operator's request. `by`: the account on this machine that asks."""

    by: str


class Erased(Struct, frozen=True, omit_defaults=True):
    """How many sealed bodies were erased, of a case's events and of dead letters, and how many files; none that were
    erased before.

    `left` says where something of it still lies in the database; absent: nowhere.
    """

    incident: str
    events: int
    letters: int
    left: str = ""
    files: int = 0


class UnknownIncident(GridpatrolError):
    """Nothing of this case has ever come in."""

    remedy = "See `gridpatrol incident list --all` and `gridpatrol deadletter list` for what there is."


class UnknownLetter(GridpatrolError):
    """There is no such dead letter."""

    remedy = "See `gridpatrol deadletter list`."


def erase(engine: Engine, incident: str, operator: Operator) -> Erased:
    """Blank what was sealed of every event of a case, also of refused ones, and remove the files to which no other case
    refers. Later events are sealed anew. UnknownIncident for a case of which nothing has come in; StoreAway: nothing is
    erased then."""
    with engine.database.begin() as connection:
        if not sealed.knows(connection, incident):
            raise UnknownIncident("no event of this incident has come in")
        gone = sent_files.erase_case(connection, incident)
        left = remove_files(engine.settings, gone) if gone else ""
        erased = Erased(incident, *sealed.blank_case(connection, incident), left, len(gone))
        audit.write(connection, operator, Act.INCIDENT_ERASED, incident, _counted(erased))
    return _logged(erased, operator)


def remove_files(settings: Settings, digests: Collection[str]) -> str:
    """Remove the bytes of files; what is left of them, empty: nothing. StoreAway."""
    store = open_store(settings)
    lost = [sha256 for sha256 in digests if store is None or store.size(sha256) is None]
    if store is not None:
        for sha256 in digests:
            store.remove(sha256)
    if not lost:
        return ""
    return f"{len(lost)} files are not where the setting `files` says: look for {', '.join(lost[:3])}"


def erase_letter(engine: Engine, id_: str, operator: Operator) -> Erased:
    """Blank the bytes of a dead letter, and what was sealed of its event unless a step of its case has taken that.
    UnknownLetter where there is none."""
    with engine.database.begin() as connection:
        letter = dead_letters.read(connection, id_)
        if letter is None:
            raise UnknownLetter("there is no such dead letter")
        words = sealed.untaken(connection, [id_])
        erased = Erased(
            letter.case_id, sealed.blank(connection, words), sealed.blank(connection, {letter.token} - {""})
        )
        audit.write(connection, operator, Act.LETTER_ERASED, id_, _counted(erased))
    return _logged(erased, operator)


def forget(database: Database, erased: Erased) -> Erased:
    """Take what was erased out of the journal of SQLite, and out of the dead rows of PostgreSQL. It may take a while,
    and no act waits for it: what could not be done at once is said."""
    left = HELD
    try:
        if database.forget_erased(sealed.TABLE, HELD_S):
            left = ""
    except FAILURES as error:
        log.warning("what was erased is still in the database: %s", error)
        left = KEPT
    return msgspec.structs.replace(erased, left="; ".join(filter(None, (erased.left, left))))


def _counted(erased: Erased) -> str:
    files = f", {erased.files} files" if erased.files else ""
    return f"{erased.events} events, {erased.letters} letters{files}"


def _logged(erased: Erased, operator: Operator) -> Erased:
    # A warning, so that the line is there at every level at which an installation would log.
    extra = {"incident": erased.incident, "by": operator.who, "events": erased.events, "letters": erased.letters}
    extra |= {"files": erased.files} if erased.files else {}
    log.warning("sealed.erased", extra=extra)
    return erased
