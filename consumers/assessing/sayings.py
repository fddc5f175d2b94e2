"""What the assessor says, as events with derived ids: the same thing said twice is a duplicate."""

from collections.abc import Callable
from typing import Any

import msgspec

from consumers.assessing.cards import Assessed
from schemas.derived_ids import derived_subject
from schemas.instants import written
from schemas.kinds.assessment import COMPUTED
from workflows.assessment.consequences import Proposal
from workflows.policy.index import Policy
from workflows.policy.model import Post

SOURCE = "gridpatrol/assessor"
PRINCIPAL = "assessor"


Say = Callable[[bytes], object]
"""Puts an event into the log, durably. What becomes of it is read from the store."""


def voice_of(register: Policy) -> Post | None:
    """The post by which the assessor speaks: a machine's at the root, which roles.csv lets say that a sheet was
    computed; the first one by its code. None: the pack has none."""
    level = register.grids[register.root].level
    machines = (post for code, post in sorted(register.posts.items()) if post.machine and post.grid == register.root)
    return next((post for post in machines if register.role_rows_at(level, COMPUTED, post.role)), None)


def event(trigger: str, subject: str, id_: str, post: Post, at: int, data: dict[str, Any]) -> bytes:
    """An event as it enters the log. `at` (ms UTC) is an instant of the log, so that it is the same whenever it is
    said."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "type": f"gridpatrol.{trigger}.v1",
            "source": SOURCE,
            "id": id_,
            "subject": subject,
            "time": written(at),
            "actor": post.code,
            "data": data,
        }
    )


def rule_of(each: Proposal) -> str:
    """A rule of consequences.csv by what it says: two rows may have one condition, and each another action."""
    return f"{each.rule}:{each.action}"


def proposal_subject(register: Policy, of: Assessed, subjects: str, rule: str, unit: str, again: int = 0) -> str:
    """The id of the supervision that a rule of a card proposes for a unit in a period: in the home of the unit's grid,
    of a department's in the root's. `again`: how many cases stand under the ids before it,
    withdrawn ones and those of others."""
    home = register.root if subjects == "department" else register.home(grid_of(register, subjects, unit))
    row = "/".join((of.card, rule, *([str(again)] if again else [])))
    return derived_subject(home, "supervision", row, unit, of.since, register.clock_of_days.day_start(of.since))


def grid_of(register: Policy, subjects: str, unit: str) -> str:
    """The grid of a unit that a card assesses."""
    if subjects == "department":
        return register.departments[unit].grid
    return register.posts[unit].grid if subjects == "post" else unit


def proposed_data(register: Policy, of: Assessed, subjects: str, each: Proposal) -> dict[str, Any]:
    """The data of a proposal: about the grid or the department; of a post about its grid, with the post's code in the
    reference."""
    reference = f"{of.card} {of.period} {each.subject}"[:80]
    about = {"department": each.subject} if subjects == "department" else {}
    about = about or {"grid": grid_of(register, subjects, each.subject)}
    return {"action": each.action, "reference": reference, **about}
