"""People get tokens of their own, new ones, and none any more: an operator's acts, each with its row in the audit.

A token is shown once. The table has its digest only, so nobody can be told it again.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.clock import now_ms
from engine.errors import GridpatrolError, SettingsError
from engine.people import PREFIX
from engine.principals import Operator, Written, digest_of, new_token, reads_of
from engine.runtime import Engine
from engine.store import audit, people, subscriptions
from engine.store.audit import Act
from engine.store.database import Connection
from engine.store.people import REVOKED, ROTATED, PersonRow

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
MOST_DAYS = 3660


class PersonWanted(Struct, frozen=True, omit_defaults=True):
    """A person who is to speak for a post. `reads` as in the file of principals; left out, what the post has to do
    with, and as a chief or a supervisor the subtree of its grid. `days`: how long the token is good; left out, as the
    settings say."""

    post: str
    reads: Written | None = None
    days: int | None = None


class TokenWanted(Struct, frozen=True, omit_defaults=True):
    """A new token for a person. `at_once` ends the old one, which else goes on for the hours of the settings."""

    at_once: bool = False
    days: int | None = None


class Issued(Struct, frozen=True, omit_defaults=True):
    """A token, shown once, and until when it is good. `old_until`: when the one before it ends."""

    principal: str
    post: str
    token: str
    expires_at: int  # ms UTC
    old_until: int | None = None


class Withdrawn(Struct, frozen=True):
    """How many tokens of a post ended just now."""

    principal: str
    post: str
    tokens: int


class PersonRefused(GridpatrolError):
    """No token can be given, or there is none."""


class UnknownPost(PersonRefused):
    """The active pack has no post of this code."""


def add(engine: Engine, wanted: PersonWanted, operator: Operator) -> Issued:
    """A first token for a post. PersonRefused for a post that the active pack does not have, for a machine's, and for
    one that has a token already."""
    active = engine.active()
    post = active.posts.get(wanted.post) if active is not None else None
    if post is None:
        raise UnknownPost("the active pack has no post of this code", remedy="see posts.csv of the pack")
    if post.machine:
        remedy = "name the system in the file of principals"
        raise PersonRefused("this post is a machine's, and the table is for people", remedy=remedy)
    if wanted.reads is not None:
        try:
            reads_of(wanted.reads, "reads")
        except SettingsError as error:
            raise PersonRefused(error.message) from error
        for grid in wanted.reads if isinstance(wanted.reads, list) else ():
            if active is not None and grid not in (*active.grids, "own"):
                raise PersonRefused("reads: the active pack has no grid of one of these codes")
    reads = "" if wanted.reads is None else msgspec.json.encode(wanted.reads).decode()
    with engine.database.begin() as connection:
        change, now = people.lock(connection), now_ms()
        if people.of_post(connection, wanted.post, now):
            remedy = "rotate it, or withdraw it first"
            raise PersonRefused("somebody has a token for this post already", remedy=remedy)
        subscriptions.end_of(connection, PREFIX + wanted.post, now, "its principal's token had ended")
        issued, row = issue(engine, wanted.post, reads, wanted.days, now)
        people.write(connection, change, [row])
        audit.write(connection, operator, Act.PRINCIPAL_ADDED, row.name)
    return issued


def rotate(engine: Engine, post: str, wanted: TokenWanted, operator: Operator) -> Issued:
    """Another token for the person of a post. The old one goes on for a while, or ends at once. PersonRefused where
    there is none."""
    with engine.database.begin() as connection:
        change, now = people.lock(connection), now_ms()
        before = held(connection, post, now)
        issued, row = issue(engine, post, before[-1].reads, wanted.days, now)
        until = now if wanted.at_once else now + engine.settings.token_grace_hours * HOUR_MS
        old = [replace(each, expires_at=min(each.expires_at, until), ended=ROTATED) for each in before]
        people.write(connection, change, [*old, row])
        how = "at once" if until == now else f"old until {max(each.expires_at for each in old)}"
        audit.write(connection, operator, Act.PRINCIPAL_ROTATED, row.name, how)
    return replace(issued, old_until=max(each.expires_at for each in old))


def withdraw(engine: Engine, post: str, operator: Operator) -> Withdrawn:
    """End all tokens of a post. PersonRefused where there is none."""
    with engine.database.begin() as connection:
        change, now = people.lock(connection), now_ms()
        rows = [replace(each, expires_at=now, ended=REVOKED) for each in held(connection, post, now)]
        people.write(connection, change, rows)
        subscriptions.end_of(connection, rows[0].name, now, "its principal's token was withdrawn")
        audit.write(connection, operator, Act.PRINCIPAL_WITHDRAWN, rows[0].name)
    return Withdrawn(rows[0].name, post, len(rows))


def held(connection: Connection, post: str, now: int) -> list[PersonRow]:
    """The tokens of a post, the earliest first. PersonRefused where there is none."""
    rows = people.of_post(connection, post, now)
    if not rows:
        raise PersonRefused("nobody has a token for this post", remedy="give one with `gridpatrol principal add POST`")
    return rows


def issue(engine: Engine, post: str, reads: str, days: int | None, now: int) -> tuple[Issued, PersonRow]:
    """A fresh token and its row."""
    days = engine.settings.token_days if days is None else days
    if not 1 <= days <= MOST_DAYS:
        raise PersonRefused(f"days: a token is good for 1 to {MOST_DAYS} days")
    token, name, until = new_token(), PREFIX + post, now + days * DAY_MS
    return Issued(name, post, token, until), PersonRow(digest_of(token), name, post, reads, now, until)
