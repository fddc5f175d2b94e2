"""Principals subscribe to the alert feed for themselves: by a webhook, or as a stream with a durable place.

1. Each subscription has a place in the feed from the moment it is made, so that nothing told since is missed.
2. The secret with which a webhook is signed is shown once. A new one signs beside the old one for the hours that a
   person's old token has.
3. Whoever lets alerts be sent elsewhere leaves a row in the audit.
"""

import secrets
from base64 import b64encode
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from engine.addresses import is_public, is_web_address
from engine.errors import GridpatrolError
from engine.principals import Operator, Principal
from engine.settings import Settings
from engine.store import audit, channels, subscriptions
from engine.store.audit import Act
from engine.store.database import Connection, Database
from engine.store.subscriptions import SubscriptionRow
from engine.views.questions import BadQuestion, check_definition, check_text
from engine.views.readers import touches
from workflows.definitions import DEFINITIONS
from workflows.policy.index import Policy
from workflows.reading import Readable
from workflows.selection import MOVES_TOLD, Selection, is_pattern, kinds_asked

MOST_SUBSCRIPTIONS = 1000
"""Of all principals together."""
MOST_CODES = 200
HOUR_MS = 3_600_000
WAIT_S = 10
"""How long a line waits for others that go in the same message, unless a subscription says otherwise."""

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Codes = Annotated[list[Code], Meta(max_length=MOST_CODES)]


class SubscriptionWanted(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subscription for oneself. With `url` a webhook, without one a stream. `posts`: codes or patterns of posts that
    one may speak for or read; `grids`: each with all below it. What is left out is not asked for. `wait_s`: how long a
    line waits for others that go in the same message."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    url: Annotated[str, Meta(max_length=2000)] = ""
    posts: Codes = []
    grids: Codes = []
    definitions: Codes = []
    kinds: list[Literal["alert", "notice"]] = []
    moves: Codes = []
    severities: list[Literal["soon", "due", "overdue"]] = []
    wait_s: Annotated[int, Meta(ge=0, le=3600)] = WAIT_S


class SecretWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A new secret. `at_once`: the old one signs no more; else both sign for the hours of `token_grace_hours`."""

    at_once: bool = False


class SubscriptionRefused(GridpatrolError):
    """No such subscription can be made: `reason` is one word for programs, `field` what is wrong."""

    def __init__(self, reason: str, message: str, remedy: str, field: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.reason, self.field = reason, field


def new_secret() -> str:
    """A fresh secret of Standard Webhooks: 256 random bits."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def selection_of(wanted: SubscriptionWanted, principal: Principal, readable: Readable, register: Policy) -> Selection:
    """What a subscription asks for. BadQuestion for a code that the active pack does not have, and for one that the
    principal neither may speak for nor reads."""
    for name in (*wanted.definitions, *wanted.moves, *wanted.posts, *wanted.grids):
        check_text(name, "")
    for definition in wanted.definitions:
        check_definition(definition)
    if not set(wanted.moves) <= set(MOVES_TOLD):
        raise BadQuestion("moves", "there is no such move", f"choose of: {', '.join(MOVES_TOLD)}")
    selection = Selection(
        posts=tuple(dict.fromkeys(wanted.posts)),
        grids=tuple(dict.fromkeys(wanted.grids)),
        definitions=tuple(dict.fromkeys(wanted.definitions)),
        kinds=kinds_asked(tuple(wanted.kinds), tuple(wanted.moves), tuple(wanted.severities)),
        moves=tuple(dict.fromkeys(wanted.moves)),
        severities=tuple(dict.fromkeys(wanted.severities)),
    )
    kinds = selection.definitions or tuple(DEFINITIONS)
    sights = [readable.of(kind) for kind in kinds]
    for grid in selection.grids:
        if grid not in register.grids:
            raise BadQuestion("grids", "the active pack has no grid of one of these codes", "see grids.csv of the pack")
        prefix = "".join(f"/{code}" for code in register.path(grid)) + "/"
        seen = any(sight.everything or sight.own.posts or touches(sight.prefixes, prefix) for sight in sights)
        if not seen and not principal.has("actors"):  # what its posts are told may lie anywhere
            raise BadQuestion("grids", "nothing of one of these grids is read", "ask for grids that you read")
    for asked in selection.posts:
        found = [code for code in register.posts if fnmatchcase(code, asked)] if is_pattern(asked) else [asked]
        if not any(code in register.posts for code in found):
            raise BadQuestion("posts", "the active pack has no post of one of these codes", "see posts.csv of the pack")
        if not any(may_ask(code, principal, readable, register, kinds) for code in found):
            remedy = "ask for posts that you may speak for, or that lie in what you read"
            raise BadQuestion("posts", "one of these posts is neither spoken for nor read", remedy)
    return selection


def may_ask(
    post: str, principal: Principal, readable: Readable, register: Policy, kinds: tuple[str, ...] = tuple(DEFINITIONS)
) -> bool:
    """Whether a principal may ask for what a post is told: it speaks for it, or reads where the post is."""
    known = register.posts.get(post)
    if known is None or known.grid not in register.grids:
        return False
    path = "".join(f"/{code}" for code in register.path(known.grid)) + "/"
    speaks = principal.may_speak(post)
    return any(readable.may_be_told(kind, path, (post,), post, speaks) for kind in kinds)


def check_address(url: str, settings: Settings) -> None:
    """BadQuestion for an address to which no webhook may lead. A name is looked up by whoever sends, each time."""
    if not is_web_address(url):
        raise BadQuestion("url", "this is no address of HTTPS", "send https:// and a host, without a user")
    if settings.webhook_private:
        return
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    try:
        private = not is_public(host)
    except ValueError:  # a name
        private = host == "localhost" or host.endswith(".localhost")
    if private:
        remedy = "use an address of the internet, or ask whoever operates this server for `webhook_private`"
        raise BadQuestion("url", "this is an address of this machine or of a private network", remedy)
    if parts.scheme != "https":
        raise BadQuestion("url", "what is sent would travel in plain", "use https://")


def make(
    database: Database, principal: Principal, wanted: SubscriptionWanted, selection: Selection, now: int
) -> SubscriptionRow:
    """A new subscription, which begins with the next line of the feed. SubscriptionRefused where a principal has one of
    this name, or as many as it may have."""
    row = SubscriptionRow(
        id=channels.SUBSCRIPTION + secrets.token_hex(12),
        principal=principal.name,
        name=wanted.name,
        kind="webhook" if wanted.url else "stream",
        url=wanted.url,
        secret=new_secret() if wanted.url else "",
        asks=msgspec.json.encode(selection).decode(),
        wait_s=wanted.wait_s,
        made_at=now,
    )
    with database.begin() as connection:
        change = subscriptions.lock(connection)
        own = subscriptions.listed(connection, principal.name)
        if any(each.name == wanted.name for each in own):
            remedy = "take another name, or delete that one; of a lost secret make a new one"
            raise SubscriptionRefused("exists", "there is a subscription of this name already", remedy, "name")
        most = principal.quota.subscriptions
        if most and len(own) >= most:
            message = f"principal {principal.name} has {most} subscriptions, and may have no more"
            raise SubscriptionRefused("too_many", message, "delete one that nobody needs")
        if sum(subscriptions.counts(connection).values()) >= MOST_SUBSCRIPTIONS:
            message = f"there are {MOST_SUBSCRIPTIONS} subscriptions already"
            raise SubscriptionRefused("too_many", message, "ask whoever operates this server to end some")
        subscriptions.write(connection, change, [row])
        channels.begin(connection, row.id)
        where = urlsplit(row.url).hostname or "a stream"
        audit.write(connection, Operator(principal.name, "http"), Act.SUBSCRIPTION_MADE, row.id, where)
    return row


def rotate(database: Database, row: SubscriptionRow, at_once: bool, by: Operator, until: int) -> SubscriptionRow:
    """Another secret; the old one signs along until an instant, or no more. SubscriptionRefused for a stream."""
    if row.kind != "webhook":
        raise SubscriptionRefused("no_secret", "a stream has no secret", "it is read with the token of its principal")
    with database.begin() as connection:
        change = subscriptions.lock(connection)
        row = standing(connection, row.id)
        row.old_secret, row.old_until = ("", 0) if at_once else (row.secret, until)
        row.secret = new_secret()
        subscriptions.write(connection, change, [row])
        audit.write(connection, by, Act.SUBSCRIPTION_ROTATED, row.id)
    return row


def end(database: Database, row: SubscriptionRow, by: Operator, now: int, why: str) -> None:
    """End a subscription: what waited is told no more, and its address and secrets are forgotten."""
    with database.begin() as connection:
        change = subscriptions.lock(connection)
        subscriptions.end(connection, change, [standing(connection, row.id)], now, why)
        audit.write(connection, by, Act.SUBSCRIPTION_ENDED, row.id, row.principal)


def standing(connection: Connection, id_: str) -> SubscriptionRow:
    """A subscription that stands. SubscriptionRefused where it has ended meanwhile."""
    row = subscriptions.of_id(connection, id_)
    if row is None or row.ended_at:
        raise SubscriptionRefused("ended", "this subscription has ended", "make another one")
    return row


def move_to(database: Database, row: SubscriptionRow, number: int) -> None:
    """Keep that all lines up to a number have been received. It never goes back."""
    with database.begin() as connection:
        standing(connection, row.id)
        channels.pass_over(connection, [row.id], number)
