"""Who answers for what (责任清单): the duties of bodies that hold for a problem in a grid, and the list of each body as
its posts sign it. Pure.

1. A body answers for the subtree of its grid. A duty without categories is for all problems.
2. A list is all duties of a body, with their days. Its hash changes with the list and with nothing else: neither the
   day, nor who signs, nor any other row of the pack.
3. Who signs are the posts that the body names, else those of its department. What a post has signed counts for as long
   as the list has this hash, and the post the days from which it stands: who takes over signs anew.
"""

from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec

from workflows.policy.index import Policy
from workflows.policy.model import OWES_NOTHING
from workflows.policy.registers import Body, ResponsibilityRow


class Answering(NamedTuple):
    """A body that answers for something, and by which duty."""

    body: Body
    row: ResponsibilityRow


def holds_on(entry: Body | ResponsibilityRow, day: int) -> bool:
    """Whether a body or a duty holds on a local day (YYYYMMDD)."""
    return entry.valid_from <= day and (not entry.valid_to or day <= entry.valid_to)


def answering(register: Policy, grid: str, category: str, day: int) -> list[Answering]:
    """The duties that hold for a problem of a category (empty: any) in a grid on a local day: those who lead first,
    then from the grid upwards, then as the pack has them."""
    path, known = register.path(grid), register.categories.get(category)
    of = {category, known.group} if known is not None else set[str]()
    found = [
        Answering(body, row)
        for row in register.pack.responsibilities
        for body in [register.bodies.get(row.body)]
        if body is not None and body.grid in path and holds_on(body, day) and holds_on(row, day)
        if not (category and row.categories) or of & {*row.categories}
    ]
    return sorted(found, key=lambda each: (each.row.part != "lead", -path.index(each.body.grid)))


def duties_of_body(register: Policy, body: str) -> tuple[ResponsibilityRow, ...]:
    """The list of a body, as the pack has it."""
    return tuple(row for row in register.pack.responsibilities if row.body == body)


def list_hash(register: Policy, body: Body) -> str:
    """The hash of the list of a body: SHA-256 of its canonical JSON, in hex."""
    named = (body.code, body.name, body.kind, body.grid)
    return sha256(msgspec.json.encode((named, duties_of_body(register, body.code)))).hexdigest()


def signers(register: Policy, body: Body) -> tuple[str, ...]:
    """The occupied posts that sign the list of a body."""
    posts = body.posts or (tuple(register.posts_of(body.department)) if body.department else ())
    known = (register.posts[code] for code in posts if code in register.posts)
    return tuple(p.code for p in known if not (p.vacant or p.machine or p.role in OWES_NOTHING))


def told_of_change(register: Policy, code: str) -> tuple[str, ...]:
    """Who is told that the list of a body has changed: the posts that sign it, and those that sign for the party and
    the government of its grid (党政同责), apart from the departments of that government."""
    body = register.bodies.get(code)
    if body is None:
        return ()
    owners = (
        each
        for each in register.pack.bodies
        if each.grid == body.grid and each.kind in ("party", "government") and not each.department
    )
    return tuple(dict.fromkeys(post for each in (body, *owners) for post in signers(register, each)))


@lru_cache(maxsize=8)
def changed_lists(old: Policy, new: Policy) -> dict[str, tuple[tuple[str, str], ...]]:
    """By home the bodies whose list is another one under a pack than under the one before, or a new one, with the hash
    of it. A list that is gone asks nothing."""
    found = dict[str, list[tuple[str, str]]]()
    for body in new.pack.bodies if new is not old and new.hash != old.hash else ():
        if not duties_of_body(new, body.code) or body.grid not in new.grids:
            continue
        before, hash_ = old.bodies.get(body.code), list_hash(new, body)
        if before is None or list_hash(old, before) != hash_:
            found.setdefault(new.home(body.grid), []).append((body.code, hash_))
    return {home: tuple(lists) for home, lists in found.items()}
