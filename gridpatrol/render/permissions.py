"""The table of who may say and read what: role × level × where it stands × triggers × reading, of the sample pack.

Each line is one situation: a post of a role at a level, and a case to which it stands in one way. What it may say
follows from the roles table (`workflows.permissions`), what it reads from its reach as a person (`workflows.reading`).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.people import BY_ROLE
from schemas.events import EVENTS
from workflows.case import Case, Owner
from workflows.definitions import DEFINITIONS
from workflows.machine import Definition
from workflows.permissions import forbid
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import resolve, word_rights

ID = "{home}.01900000-0000-7000-8000-{number:012x}"
WAYS = {
    "reporter": "报送 reported it",
    "owner": "主办 owns it",
    "assists": "协办 assists",
    "place": "属地 holds the place, owned above",
    "above": "上级 owned below",
    "own": "本岗 owes it",
    "elsewhere": "无关 has no part",
}
"""Where a post stands to a case."""


class Situation(NamedTuple):
    """A post, and a case to which it stands in one way."""

    post: Post
    level: int
    stands: str
    case: Case


def samples(register: Policy) -> list[tuple[Post, int]]:
    """One post of each role and level, as posts.csv has them first, by role and level."""
    found = dict[tuple[str, int], Post]()
    for post in register.pack.posts:
        if not post.vacant:
            found.setdefault((post.role, register.grids[post.grid].level), post)
    return [(post, level) for (_, level), post in sorted(found.items())]


def leaf_under(register: Policy, grid: str) -> tuple[str, ...]:
    """The path of the first leaf in a grid."""
    leaves = (register.path(code) for code in register.grids if _is_leaf(register, code))
    return next(path for path in leaves if grid in path)


def _is_leaf(register: Policy, code: str) -> bool:
    return register.grids[code].level == register.leaf_level


def situations(register: Policy, kind: Definition) -> Iterator[Situation]:
    """Every situation of a kind of case, each with a case of its own."""
    number = 0
    for post, level in samples(register):
        for stands, make in _ways(register, kind, post, level).items():
            case = make()
            if case is not None:
                number += 1
                home = register.home(case.path[-1])
                case.id = ID.format(home=home, number=number)
                yield Situation(post, level, stands, case)


def _ways(register: Policy, kind: Definition, post: Post, level: int) -> dict[str, Callable[[], Case | None]]:
    """By where the post stands, the case; None: nobody of this role can stand there."""
    path, far = leaf_under(register, post.grid), elsewhere(register, post.grid)
    there = Owner(far[2], 3) if far else None

    def case(path: tuple[str, ...], owner: Owner | None, **more: object) -> Case | None:
        if not path or owner is None:
            return None
        given: dict[str, object] = dict(definition=kind.name, policy=register.hash, path=path, owner=owner, opened=1)
        return Case(id="", **(given | more))  # type: ignore[arg-type]

    if kind.posts_hold:
        other = next((p.code for p in register.pack.posts if p.grid == path[-1] and p is not post), "")
        return {
            "own": lambda: case(register.path(post.grid), Owner(post.grid, level), post=post.code),
            "place": lambda: case(path, Owner(path[-1], 4), post=other),
            "elsewhere": lambda: case(far, Owner(far[-1], 4) if far else None, post="nobody"),
        }
    below = Owner(path[level], level + 1) if level < len(path) else None
    above = Owner(path[level - 2], level - 1) if level > 1 else None
    of_department = bool(post.department)
    return {
        "reporter": lambda: case(far or path, there or below, by=post.code),
        "owner": lambda: case(path, Owner(post.grid, level, post.department)),
        "assists": lambda: case(far or path, there or below, assisting=(post.department,)) if of_department else None,
        "place": lambda: case(path, above),
        "above": lambda: case(path, below),
        "elsewhere": lambda: case(far, there),
    }


def elsewhere(register: Policy, grid: str) -> tuple[str, ...]:
    """The path of a leaf on no line with a grid; empty: every leaf lies below it."""
    leaves = [register.path(code) for code in reversed(register.grids) if _is_leaf(register, code)]
    return next((path for path in leaves if grid not in path), ())


def triggers_of(kind: Definition) -> list[str]:
    """What people may say to a kind of case."""
    return sorted((kind.heard | kind.births.keys()) & EVENTS.keys())


def may_say(situation: Situation, kind: Definition, register: Policy) -> list[str]:
    """The triggers that the post may pull on the case, by the roles table."""
    found, ends = list[str](), kind.endings.keys() | kind.fulfils.keys()
    for trigger in triggers_of(kind):
        case = situation.case
        if trigger in kind.births:  # of what is not born only the place is known
            case = Case(id=case.id, definition=kind.name, path=case.path)
        elif case.post and (trigger in kind.fulfils) != (case.post == situation.post.code) and trigger in ends:
            continue  # what one post owes it keeps itself, and others excuse
        if forbid(situation.post, trigger, case, register, register) is None:
            found.append(trigger)
    return found


def reading(situation: Situation, register: Policy) -> tuple[bool, bool, bool]:
    """Whether the post, as a person, reads the case, its words, and contact among them."""
    post, case = situation.post, situation.case
    reads = resolve(post.code, BY_ROLE, [post], register, 0).reads_case(case)
    rights = word_rights(post, case, register, 0)
    return reads, reads and rights.words, reads and rights.contact


def lines(kind: Definition, register: Policy) -> list[tuple[str, ...]]:
    """The cells of the table, line by line."""
    found = []
    for situation in situations(register, kind):
        said = ", ".join(may_say(situation, kind, register)) or "—"
        yes = ["✓" if each else "—" for each in reading(situation, register)]
        found.append((situation.post.role, str(situation.level), WAYS[situation.stands], said, *yes))
    return found


HEAD = ("role", "level", "stands", "may say", "case", "words", "contact")


def table_of(register: Policy, kind: Definition) -> str:
    """The table of a kind of case."""
    rows = [HEAD, tuple("---" for _ in HEAD), *lines(kind, register)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def tables(register: Policy) -> str:
    """The block of docs/who-may.md: a table for each kind of case that lists show."""
    kinds = [kind for kind in DEFINITIONS.values() if kind.listed != "never"]
    return "\n\n".join(f"## {kind.zh} {kind.name}\n\n{table_of(register, kind)}" for kind in kinds)
