"""The ids of cases that nobody mints: those that time bears, those that a rung calls for, the case of each home, and
its docket.

Two who derive one get the same. So a birth twice is one case, and an offline phone knows the subject of a duty whose
birth it has not seen. The id has the shape of a UUIDv7: 48 bits of milliseconds, then the beginning of a SHA-256, with
version and variant set.
`docs/derived-ids.md` describes it for other languages, with test vectors.
"""

from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from schemas.partition import home_of

SCHEME = "gridpatrol.derived.1"
"""Stands at the beginning of what is hashed. Another way of deriving would get another one."""
NO_INSTANT = "00000000-0000-"
"""How an id begins whose milliseconds are 0."""
HOME = "home"
"""The definition of the case of a home."""


def derived_subject(
    home: str, definition: str, row: str, post: str, first_day: int, begins: int, site: str = ""
) -> str:
    """`<home>.<UUIDv7>` of what a post owes under a row of the pack, in the period that begins on a local day: of each
    `site`, where the row asks for each one.

    `first_day` is YYYYMMDD; `begins` its first instant where the pack is, in milliseconds since 1970 UTC. ValueError
    for an instant before 1970 or beyond what 48 bits hold.
    """
    named = "|".join((SCHEME, home, definition, row, post, str(first_day), *filter(None, (site,))))
    return f"{home}.{_uuid(named, begins)}"


def drawn_subject(draw: str, case: str, seed: str) -> str:
    """`<home>.<UUIDv7>` of the visit to a case on which the lot of a draw fell: of the home of the case, with the
    milliseconds of the draw's id. The draw's bytes (hex) are in it, so that nobody who reads of one visit finds the
    others by trying."""
    home = case.rpartition(".")[0]
    return f"{home}.{_uuid('|'.join((SCHEME, home, 'visit', draw, case, seed)), instant_of(draw))}"


@lru_cache(maxsize=65_536)
def home_subject(home: str) -> str:
    """The id of the case of a home itself. It has no row, no post, no day and no instant."""
    return f"{home}.{_uuid('|'.join((SCHEME, home, HOME, '', '', '')), 0)}"


@lru_cache(maxsize=65_536)
def docket_subject(home: str) -> str:
    """The id of the docket of a home (`schemas.kinds.docket`). It has no row, no post, no day and no instant."""
    return f"{home}.{_uuid('|'.join((SCHEME, home, 'docket', '', '', '')), 0)}"


def called_subject(case: str, definition: str, clock: str, level: int, cycle: int, target: int, action: str) -> str:
    """The id of the case of a kind that the rungs of a clock call for about a case, for one target of that clock. Its
    milliseconds are those of that case, so that repeats of a rung name the same one."""
    named = "|".join((SCHEME, case, definition, f"{clock}.{level}", str(cycle), str(target), action))
    return f"{home_of(case)}.{_uuid(named, instant_of(case))}"


def part_subject(home: str, lead: str, owner: str, count: int) -> str:
    """`<home>.<UUIDv7>` of the part that an incident entrusts to an owner, in the home of that owner: of the incident,
    the owner's code and how many parts the incident had before, with the milliseconds of the incident's id."""
    return f"{home}.{_uuid('|'.join((SCHEME, home, 'part', lead, owner, str(count))), instant_of(lead))}"


def asked_subject(home_case: str, body: str, hash_: str) -> str:
    """The id of the case by which the home of a body asks that its list be signed as of a hash: the same whenever that
    list becomes active. Its milliseconds are those of the case of the home."""
    named = "|".join((SCHEME, home_case, "responsibility", body, hash_))
    return f"{home_of(home_case)}.{_uuid(named, instant_of(home_case))}"


def form_subject(home: str, event: str, begins: int) -> str:
    """`<home>.<UUIDv7>` of what a form of the public asks for, by the id of the event that the form becomes. It begins
    with the instant (ms) from which the same form is the same request."""
    return f"{home}.{_uuid('|'.join((SCHEME, home, 'form', event)), begins)}"


def petitioned_subject(petition: str, home: str) -> str:
    """The id of the incident that a petition bears, in the home of the place. Its milliseconds are those of the
    petition."""
    return f"{home}.{_uuid('|'.join((SCHEME, home, 'incident', petition)), instant_of(petition))}"


def instant_of(subject: str) -> int:
    """The milliseconds in the id of a subject."""
    return int(subject[-36:-28] + subject[-27:-23], 16)


def has_no_instant(subject: str) -> bool:
    """Whether the milliseconds in an id are none, as in those of what each home has one of: its own case, its docket.
    No more than that is asked of almost any id."""
    return subject[-36:-22] == NO_INSTANT


def _uuid(named: str, ms: int) -> UUID:
    if not 0 <= ms < 1 << 48:
        raise ValueError(f"{ms} ms since 1970 do not fit into the 48 bits of an id")
    made = bytearray(ms.to_bytes(6, "big") + sha256(named.encode()).digest()[:10])
    made[6] = made[6] & 0x0F | 0x70
    made[8] = made[8] & 0x3F | 0x80
    return UUID(bytes=bytes(made))
