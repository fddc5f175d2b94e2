"""Lints what becomes of the work of grids that end (网格调整): each names a successor that can go on with it.

A case stays in its home and partition whatever becomes of its place. So the successor may lie in another home; what is
reported from then on belongs to that one, and cases of two homes are neither proposed as the same nor merged.
"""

from datetime import timedelta

from workflows.figures import to_date, to_day
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.register import DEPARTMENTS, GRIDS
from workflows.policy.model import Grid


def lint_successors(context: LintContext) -> None:
    """A successor stands where its grid stood, from the day after its last one on; who ends leaves nobody behind."""
    for index, grid in enumerate(context.pack.grids):
        if grid.successor:
            lint_named(context, index, grid)
        elif grid.valid_to and (parent := context.grids.get(grid.parent)) is not None and parent.successor:
            text = f"names none, though its parent {parent.code!r} does: its open cases stay where they are"
            context.warning(GRIDS, index, "successor", text, "name the grid that goes on with them")
        if grid.valid_to:
            lint_left(context, index, grid)


def lint_named(context: LintContext, index: int, grid: Grid) -> None:
    """The grid that is named exists on the same level, and goes on without a gap."""
    other, chain = context.grids.get(grid.successor), [grid.code]
    while chain[-1] in context.grids and (further := context.grids[chain[-1]].successor) and further not in chain:
        chain.append(further)
    if other is None:
        remedy = "correct it, or add the grid as a row of its own"
        return context.error(GRIDS, index, "successor", f"{grid.successor!r} is no grid", remedy)
    if chain[-1] in context.grids and context.grids[chain[-1]].successor == grid.code:
        text = f"its successors go round in a circle ({' > '.join([*chain, grid.code])})"
        return context.error(GRIDS, index, "successor", text, "let the last of them stand, without a successor")
    if other.level != grid.level:
        text = f"{other.code!r} stands on level {other.level}, this grid on level {grid.level}"
        return context.error(GRIDS, index, "successor", text, "name a grid of the same level")
    if not grid.valid_to:
        text = f"names the successor {other.code!r} and no last day"
        return context.error(GRIDS, index, "valid_to", text, "write its last day, or leave successor empty")
    following = to_day(to_date(grid.valid_to) + timedelta(days=1))
    if other.valid_to and other.valid_to <= grid.valid_to:
        text = f"{other.code!r} ends on {other.valid_to}, no later than this grid"
        return context.error(GRIDS, index, "successor", text, "name the grid that goes on after both")
    if other.valid_from > following:
        text = f"{other.code!r} begins on {other.valid_from}, and nobody goes on from {following} until then"
        return context.error(GRIDS, index, "successor", text, f"begin it on {following}, or end this grid later")
    level = context.pack.options.partition_level
    own, theirs = (context.path(code)[level - 1 : level] for code in (grid.code, other.code))
    if own != theirs:
        text = (
            f"{other.code!r} lies in another home: open cases keep their ids, and are not merged with newer ones there"
        )
        context.warning(GRIDS, index, "successor", text, "leave it so if the place changes hands")


def lint_left(context: LintContext, index: int, grid: Grid) -> None:
    """Nobody is left behind in a grid that ends."""
    posts = [p.code for p in context.pack.posts if p.grid == grid.code and not (p.valid_to or p.vacant)]
    if posts:
        more = " …" if len(posts) > 3 else ""
        goes_on = f"{grid.successor!r} goes on" if grid.successor else "nobody goes on with its open cases"
        text = f"ends on {grid.valid_to} and {goes_on}, but it keeps posts: {', '.join(posts[:3])}{more}"
        remedy = "give them a valid_to, some days later for what phones still hold, or another grid"
        context.warning(GRIDS, index, "valid_to", text, remedy)
    for at, department in enumerate(context.pack.departments):
        if department.grid == grid.code:
            text = f"{department.code!r} serves {grid.code!r}, which ends on {grid.valid_to}"
            context.warning(DEPARTMENTS, at, "grid", text, "name the grid that it serves from then on")
