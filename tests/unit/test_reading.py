"""Who reads which case, and which of its words: by reach, by post, by role."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SettingsError
from engine.principals import as_written, reads_of
from schemas.facts import Unit
from tests.support.builders import CITY, DISTRICT, HOTLINE, LEAF_CHIEF, MEMBER, STREET, weiyang
from workflows.case import Case, Holding, Owner
from workflows.definitions import shown_path
from workflows.reading import (
    EVERYTHING,
    NOTHING,
    Reach,
    Reads,
    Units,
    on_the_way,
    reads_subtree,
    resolve,
    word_rights,
)

PATH = ("XA", "WY", "WY01", "WY01-01")
URBAN, GREEN, EPB = "WY-URBAN-H", "WY-GREEN-H", "WY-EPB-H"
CASE = Case(
    id="a",
    definition="incident",
    path=PATH,
    by=HOTLINE,
    owner=Owner("WY01", 3, "WY-URBAN"),
    trail=(Owner("WY01", 3), Owner("WY", 2)),
    assisting=("WY-GREEN",),
    checks=(4,),
    holdings=(Holding(1, Unit("/XA/WY/", "WY-EPB")), Holding(2, Unit("/XA/WY/WY01/", "WY-URBAN"))),
)
DUTY = Case(id="d", definition="duty", path=PATH, post=MEMBER, owner=Owner("WY01-01", 4))


def reads(post: str, case: Case, reach: Reach, **kinds: Reach) -> bool:
    """Whether a principal with one post and this reach reads a case."""
    register = weiyang()
    given = Reads(reach, tuple(sorted(kinds.items())))
    return resolve("p", given, [register.posts[post]], register, 0).reads_case(case)


def test_a_case_has_to_do_with_everybody_on_its_way():
    assert on_the_way(CASE) == Units(
        frozenset((HOTLINE,)),
        frozenset(("WY-URBAN", "WY-EPB", "WY-GREEN")),
        frozenset(("WY01", "WY", "WY01-01", "WY-GREEN")),  # a unit that assists may be a grid
    )
    assert on_the_way(DUTY) == Units(frozenset((MEMBER,)))


@pytest.mark.parametrize(
    ("post", "case", "is_read"),
    [
        (HOTLINE, CASE, True),  # reported it
        (STREET, CASE, True),  # its grid owns it
        (DISTRICT, CASE, True),  # its grid owned it
        (URBAN, CASE, True),  # its department leads
        (GREEN, CASE, True),  # assists
        (EPB, CASE, True),  # held it
        (MEMBER, CASE, True),  # owes a check
        (CITY, CASE, False),  # above, and has no part
        ("WY01-02-MEMBER", CASE, False),
        ("WY-BUILD-H", CASE, False),
        (MEMBER, DUTY, True),
        (LEAF_CHIEF, DUTY, False),  # the duty of another post of the same grid
    ],
)
def test_own_is_what_the_post_has_to_do_with(post: str, case: Case, is_read: bool):
    assert reads(post, case, Reach(own=True)) is is_read


@pytest.mark.parametrize(
    ("reach", "is_read"),
    [
        (NOTHING, False),
        (EVERYTHING, True),
        (Reach(grids=("WY01",)), True),
        (Reach(grids=("XA",)), True),
        (Reach(grids=("WY01-01", "WY07")), True),
        (Reach(grids=("WY07",)), False),
        (Reach(grids=("WY0",)), False),  # a code that begins like it is another grid
        (Reach(grids=("gone",)), False),
    ],
)
def test_a_reach_of_grids_is_their_subtrees(reach: Reach, is_read: bool):
    assert reads("WY07-CHIEF", CASE, reach) is is_read


def test_a_case_that_is_only_awaited_is_in_no_subtree():
    awaited = Case(id="a")
    assert shown_path(awaited) == "/"
    assert not reads(STREET, awaited, Reach(own=True, grids=("XA",))) and reads(STREET, awaited, EVERYTHING)


def test_a_kind_may_have_a_reach_of_its_own():
    assert reads(CITY, DUTY, NOTHING, duty=EVERYTHING) and not reads(CITY, CASE, NOTHING, duty=EVERYTHING)
    assert not reads(CITY, DUTY, EVERYTHING, duty=NOTHING) and reads(CITY, CASE, EVERYTHING, duty=NOTHING)


def test_chiefs_and_those_who_supervise_or_direct_read_the_subtree_of_their_grid():
    register = weiyang()
    subtree = {(p.role, register.grids[p.grid].level) for p in register.posts.values() if reads_subtree(p, register)}
    assert subtree == {
        *(("chief", level) for level in (1, 2, 3, 4)),
        *(("office", level) for level in (1, 2)),
        ("dispatcher", 2),  # it directs
        ("supervisor", 2),
        *(("sponsor", level) for level in (3, 4)),
    }
    role = Reach(own=True, supervised=True)
    assert reads(CITY, CASE, role) and not reads("WY01-02-MEMBER", CASE, role) and not reads("WY02-CHIEF", CASE, role)


@pytest.mark.parametrize(
    ("post", "rights"),
    [
        (HOTLINE, (True, False)),
        (STREET, (True, True)),  # owner
        (URBAN, (True, True)),  # leads
        (GREEN, (True, False)),
        (EPB, (True, False)),
        (MEMBER, (True, False)),
        (LEAF_CHIEF, (True, False)),  # a chief below the holder supervises nobody here
        (DISTRICT, (True, True)),  # from above
        (CITY, (True, True)),
        ("WY-SUPERVISOR", (True, True)),
        ("WY01-SPONSOR", (True, True)),
        ("WY02-CHIEF", (False, False)),
        ("WY-DISPATCH", (True, False)),  # its grid owned it
        ("XA-INSPECTION", (False, False)),
    ],
)
def test_words_are_read_on_the_way_and_contact_by_owner_handler_and_supervisor(post: str, rights: tuple[bool, bool]):
    register = weiyang()
    assert word_rights(register.posts[post], CASE, register, 0) == rights


@pytest.mark.parametrize(
    ("written", "reach"),
    [
        (False, Reads()),
        (True, Reads(EVERYTHING)),
        ("own", Reads(Reach(own=True))),
        (["WY03", "own", "WY01"], Reads(Reach(own=True, grids=("WY01", "WY03")))),
        ({"default": False, "duty": "own", "incident": ["WY"]}, None),
    ],
)
def test_what_is_written_is_what_is_shown(written: Any, reach: Reads | None):
    found = reads_of(written, "reads")
    assert reach is None or found == reach
    shown = as_written(found)
    assert reads_of(shown, "reads") == found and isinstance(shown, type(written))
    assert bool(found) is (written is not False)


def test_a_reach_that_is_none_is_refused_with_its_place():
    wrong: list[tuple[Any, str]] = [("WY03", "x is true"), ({"homes": True}, r"x\.homes"), (["a b"], "x: 'a b'")]
    for written, shown in wrong:
        with pytest.raises(SettingsError, match=shown):
            reads_of(written, "x")
