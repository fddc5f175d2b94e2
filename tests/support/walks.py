"""A kind of case of the tests' own that time bears: a walk, owed by the members of leaf grids.

Every day by each, and every week, half-month and year by those whose post ends on 1. A walk is due in the last
millisecond of its period and is over a day later at the latest; what is said to it in time keeps it. Patched into the
definitions for as long as a test runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from schemas import kinds
from schemas.members import BirthData, EventData, Kind
from tests.support.builders import changed, weiyang
from workflows import birth, definitions, effects, homes
from workflows.case import AWAITED, TOTAL
from workflows.define import define
from workflows.definitions import DEFINITIONS
from workflows.machine import Bears, Definition, Owed, State, Transition
from workflows.periods import Period, last_instant
from workflows.policy.index import Policy
from workflows.policy.model import Pack


class WalkOwed(BirthData, frozen=True, kw_only=True):
    """Bears a walk."""

    post: str


WALK = Kind(name="walk", events={}, sends={"walk.owed": WalkOwed, "walk.void": EventData})


def owes(policy: Policy, home: str) -> Sequence[Owed]:
    """The members of the leaf grids of a home, in the order of their codes."""
    found = []
    for post in policy.pack.posts:
        if post.role == "member" and not post.vacant and policy.home(post.grid) == home:
            found.append(Owed("PATROL", post.code, "day"))
            if post.grid.endswith("01"):
                found += [Owed(period.upper(), post.code, period) for period in ("week", "half_month", "year")]
    return found


def stands(policy: Policy, owed: Owed, day: int) -> bool:
    """Whether post and grid stand on a day."""
    post, at = policy.posts.get(owed.post), policy.clock_of_days.day_start(day)
    return post is not None and policy.stands(post, at) and policy.stands(policy.grids[post.grid], at)


def ends(policy: Policy, owed: Owed) -> int:
    """The last day of post and grid, if the pack says one."""
    post = policy.posts[owed.post]
    return min((entry.valid_to for entry in (post, policy.grids[post.grid]) if entry.valid_to), default=0)


def born(policy: Policy, owed: Owed, period: Period) -> EventData:
    due = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=last_instant(period, policy.clock_of_days))
    return WalkOwed(post=owed.post, grid=policy.posts[owed.post].grid, deadline=due, reference=owed.row)


def walk() -> Definition:
    """The definition."""
    return define(
        WALK,
        "巡查",
        (
            State(AWAITED, "待到", 1),
            State("owed", "待办", 2),
            State("kept", "已办", 3, terminal=True),
            State("void", "作废", terminal=True),
        ),
        (
            Transition("walk.owed", (AWAITED,), "owed"),
            Transition("case.evidence_added", ("owed",), "kept"),
            Transition("walk.void", ("owed",), "void"),
        ),
        (),
        births={"walk.owed": birth.plain("walk")},
        effects={"case.evidence_added": effects.add_evidence},
        fulfils={"case.evidence_added": (TOTAL,)},
        bears=Bears(owes, stands, born, EventData, "walk.owed", "walk.void", ends),
        listed="asked",
    )


def forget() -> None:
    """Nothing is known any more of what packs owe."""
    homes.OWED.clear()
    homes.lost.cache_clear()
    homes.expected.cache_clear()


@contextmanager
def walks() -> Iterator[None]:
    """With such a kind."""
    definition = walk()
    assert definition.bears is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFINITIONS, "walk", definition)
        patch.setattr(homes, "BEARING", (("walk", definition.bears),))
        for trigger, measure in definition.endings.items():
            patch.setitem(definitions.ENDINGS, trigger, measure)
        for trigger, data in WALK.sends.items():
            patch.setitem(kinds.SENDS, trigger, data)
        forget()
        yield
    forget()


def street(*leaves: str, vacant: str = "", ended: str = "", last: int = 0) -> Pack:
    """The sample pack in which the members of these leaf grids alone walk. The post of one may be vacant; the grid of
    one may have ended, on a local day."""
    pack = weiyang().pack
    posts = [post for post in pack.posts if post.role != "member" or post.grid in leaves]
    posts = [replace(post, vacant=True) if post.grid == vacant and post.role == "member" else post for post in posts]
    grids = [replace(grid, valid_to=last) if grid.code == ended else grid for grid in pack.grids]
    return changed(posts=tuple(posts), grids=tuple(grids)).pack
