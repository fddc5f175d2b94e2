"""Who asks: the posts that a principal may speak for, with their names in the active pack, and what else it may do."""

from bisect import bisect_right
from functools import lru_cache

from msgspec import Struct

from engine.policies import Policies
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.names import Named, Names, active_names
from engine.views.questions import BadQuestion, check_limit
from workflows.definitions import REFERENCE
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import Reach

MOST = 500
"""Posts of a page at most."""
MOST_UNKNOWN = 20
"""Codes that the pack does not know which are told at most."""


class SpeakingPost(Struct, frozen=True, kw_only=True):
    """A post that a principal may speak for. `home` begins the subjects that it mints: `<home>.<UUIDv7>`. `speaks`:
    false of a vacant one and of one that does not stand today, whose events are refused."""

    code: str
    title: str
    role: str
    grid: Named
    level: int
    department: Named | None
    home: str
    speaks: bool


class ActivePack(Struct, frozen=True, kw_only=True):
    """The pack by which is decided what arrives now. `main_definition` is the kind of case that figures speak of unless
    asked; `crs` is meant by positions that say none; `partition_level` is the level of homes."""

    hash: str
    code: str
    title_zh: str
    title_en: str
    zone: str
    main_definition: str
    crs: str
    partition_level: int


class ReadsOfKind(Struct, frozen=True):
    """What is read of one kind of case: everything, what its own posts have to do with, the subtrees of some grids, or
    nothing of these. `supervised`: the subtrees of those of its posts that are chiefs, or supervise by their roles."""

    everything: bool
    own: bool
    supervised: bool
    grids: list[str]


class PrincipalReads(ReadsOfKind, frozen=True):
    """What a principal may read beside what every speaker may; of single kinds of case something else (`kinds`)."""

    kinds: dict[str, ReadsOfKind]


class Me(Struct, frozen=True, kw_only=True):
    """Who asks. `actors` are the codes and patterns as the file of principals has them; `post_count` says for how many
    posts of the active pack it may speak, of which `posts` is a page, in order of codes, and `next` continues it.
    `unknown` are some of the codes that the active pack does not have. `as_of` is now, as this server has it: a phone
    whose clock says otherwise should set it right, for events say when they happened."""

    principal: str
    asks_token: bool
    rights: list[str]
    reads: PrincipalReads
    actors: list[str]
    post_count: int
    posts: list[SpeakingPost]
    next: str | None
    unknown: list[str]
    pack: ActivePack
    as_of: str


def me(
    connection: Connection,
    policies: Policies,
    principal: Principal,
    now: int,
    *,
    asks_token: bool,
    limit: int = 50,
    cursor: str = "",
) -> Me:
    """Who a principal is under the active pack. Raises Unanswerable."""
    check_limit(limit, MOST)
    names = active_names(connection, policies)
    register, pack = names.register, names.register.pack
    codes = posts_of(register, principal)
    begin = bisect_right(codes, read_cursor(cursor, tuple[str])[0]) if cursor else 0
    page = codes[begin : begin + limit]
    unknown = sorted(principal.codes - register.posts.keys())
    return Me(
        principal=principal.name,
        asks_token=asks_token,
        rights=[right for right in ("actors", "reads", "operator") if principal.has(right)],
        reads=principal_reads(principal),
        actors=[*sorted(principal.codes), *principal.patterns],
        post_count=len(codes),
        posts=[speaking_post(names, register.posts[code], now) for code in page],
        next=write_cursor(page[-1]) if begin + limit < len(codes) else None,
        unknown=unknown[:MOST_UNKNOWN],
        pack=ActivePack(
            hash=register.hash,
            code=pack.code,
            title_zh=pack.title_zh,
            title_en=pack.title_en,
            zone=pack.zone,
            main_definition=pack.options.main_definition or REFERENCE,
            crs=pack.options.crs or "WGS84",
            partition_level=pack.options.partition_level,
        ),
        as_of=names.instant(now),
    )


def principal_reads(principal: Principal) -> PrincipalReads:
    """What a principal was given to read."""
    kinds = {kind: ReadsOfKind(*_members(reach)) for kind, reach in principal.reads.kinds}
    return PrincipalReads(*_members(principal.reads.usual), kinds)


def _members(reach: Reach) -> tuple[bool, bool, bool, list[str]]:
    return reach.everything, reach.own, reach.supervised, list(reach.grids)


def speaking_post(names: Names, post: Post, now: int) -> SpeakingPost:
    """A post with its names."""
    register = names.register
    grid = register.grids.get(register.standing(post.grid, now))
    return SpeakingPost(
        code=post.code,
        title=post.title,
        role=post.role,
        grid=names.grid(grid.code if grid else post.grid),
        level=grid.level if grid else 0,
        department=names.department(post.department) if post.department else None,
        home=register.home(grid.code) if grid else register.root,
        speaks=not post.vacant and register.stands(post, now),
    )


def posts_of(register: Policy, principal: Principal) -> tuple[str, ...]:
    """The codes of the posts of a pack for which a principal may speak, in order."""
    return _posts_of(register, principal.codes, principal.patterns)


@lru_cache(maxsize=256)
def _posts_of(register: Policy, codes: frozenset[str], patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        return tuple(sorted(codes & register.posts.keys()))
    asked = Principal("", codes, patterns)
    return tuple(sorted(code for code in register.posts if asked.may_speak(code)))


def only_post(register: Policy, principal: Principal) -> str:
    """The post of a principal that may speak for one alone; empty for any other."""
    codes = posts_of(register, principal)
    return codes[0] if len(codes) == 1 else ""


def check_post(register: Policy, code: str) -> None:
    """Raise BadQuestion for a post that the active pack does not have."""
    if code and code not in register.posts:
        raise BadQuestion("post", "the active pack has no post of this code", "ask /v1/me for yours")
