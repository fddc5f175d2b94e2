"""The answer to a petition, for who has its code: how far it is, and what was answered. Nothing else is told.

A code has the short number of the petition and 104 random bits. The log has a digest of it, which says nothing of it
where these bits are not known.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable

import msgspec
from msgspec import Struct

from engine.store import incident_queries, words
from engine.store.database import Connection
from schemas.kinds.petition import PETITION, Petition
from schemas.short_numbers import DIGITS, short_number
from workflows import case as cases
from workflows.definitions import DEFINITIONS

SECRET_BYTES = 13
"""Random bytes in a code."""
GROUP = 5
SCHEME = "gridpatrol.code.1"


class PetitionAnswer(Struct, frozen=True):
    """How far a petition is, as the pack's people say it, and what was answered last; empty: nothing yet, or erased."""

    state: str
    state_zh: str
    answer: str


class AnswerCode(Struct, frozen=True):
    """A code, which nobody can be told again."""

    code: str


def new_code(case: str, random: Callable[[int], bytes] = secrets.token_bytes) -> tuple[AnswerCode, str]:
    """A code for who asked, and the digest of it for the log. `random`: so many random bytes."""
    secret = base64.b32encode(random(SECRET_BYTES)).decode().rstrip("=")
    groups = [secret[at : at + GROUP] for at in range(0, len(secret), GROUP)]
    return AnswerCode("-".join((short_number(case), *groups))), digest_of(case, secret)


def digest_of(case: str, secret: str) -> str:
    """The digest of the secret part of a code, which belongs to one petition."""
    return hashlib.sha256(f"{SCHEME}|{case}|{secret}".encode()).hexdigest()


def find_answer(connection: Connection, code: str) -> PetitionAnswer | None:
    """The answer that a code opens; None: it opens none."""
    plain = "".join(character for character in code.upper() if character.isascii() and character.isalnum())
    number, secret = plain[:DIGITS], plain[DIGITS:]
    for body in incident_queries.read_numbered(connection, number, PETITION.name):
        case = cases.decode(body)
        kept = case.own
        if isinstance(kept, Petition) and kept.code and hmac.compare_digest(kept.code, digest_of(case.id, secret)):
            said = words.read_words(connection, [kept.answer]).get(kept.answer) if kept.answer else None
            sealed = msgspec.json.decode(said.body) if said is not None and said.body else {}
            text = sealed.get("data", {}).get("answer", "")
            state = DEFINITIONS[case.definition].states[case.state]
            return PetitionAnswer(case.state, state.zh, text)
    return None
