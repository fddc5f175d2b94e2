"""Lints who answers for what (责任清单): bodies and their duties, leads that overlap, and owners without a pair.

Every owner of cases has a party and a government body whose posts sign (党政同责, M112).
"""

from collections import defaultdict

from workflows.policy.lint.context import LintContext, one_of, overlap
from workflows.policy.lint.register import lint_dates
from workflows.policy.model import OWES_NOTHING
from workflows.policy.registers import BODY_KINDS, PAIR, Body, ResponsibilityRow

BODIES, RESPONSIBILITIES = "bodies.csv", "responsibilities.csv"
HEADQUARTERS, GROUP = "headquarters", "group"


def signing(context: LintContext, body: Body) -> tuple[str, ...]:
    """The occupied posts that stand on the day and sign for a body: those that it names, else those of its
    department."""
    return tuple(
        post.code
        for post in context.pack.posts
        if (post.code in body.posts if body.posts else bool(body.department) and post.department == body.department)
        and not (post.vacant or post.machine or post.role in OWES_NOTHING)
        and context.stands(post)
    )


def covered(context: LintContext, row: ResponsibilityRow) -> tuple[str, ...]:
    """The categories that a row names, by themselves or by their groups."""
    return tuple(c.code for c in context.pack.categories if c.code in row.categories or c.group in row.categories)


def lint_bodies(context: LintContext) -> None:
    """Every body is of a known kind, stands at a grid, and somebody signs for it; a special group has its headquarters
    (M96)."""
    bodies = {body.code: body for body in reversed(context.pack.bodies)}
    posts = {post.code for post in context.pack.posts}
    answering = {row.body for row in context.pack.responsibilities}
    for index, body in enumerate(context.pack.bodies):
        lint_dates(context, BODIES, index, body.valid_from, body.valid_to)
        if body.kind not in BODY_KINDS:
            context.error(BODIES, index, "kind", f"{body.kind!r} is no kind of body", one_of(tuple(BODY_KINDS)))
        if body.grid not in context.grids:
            context.error(BODIES, index, "grid", f"{body.grid!r} is no grid", "name the grid for which it answers")
        if body.department and body.department not in context.departments:
            text = f"{body.department!r} is no department"
            context.error(BODIES, index, "department", text, "correct it, or add it to departments.csv")
        for code in body.posts:
            if code not in posts:
                text = f"{code!r} is no post"
                context.error(BODIES, index, "posts", text, "correct it, or add it to posts.csv")
        above = bodies.get(body.part_of)
        if (body.kind == GROUP) != bool(body.part_of) or (above is not None and above.kind != HEADQUARTERS):
            text = f"{body.code!r}: a special group, and nothing else, is part of a headquarters"
            context.error(BODIES, index, "part_of", text, "name its headquarters, or leave it empty")
        elif body.part_of and above is None:
            text = f"{body.part_of!r} is no body"
            context.error(BODIES, index, "part_of", text, "add the headquarters as a row of its own")
        if body.code in answering and not signing(context, body):
            text = f"nobody signs for {body.code!r}"
            context.warning(BODIES, index, "posts", text, "name occupied posts that do, or a department that has some")


def lint_responsibilities(context: LintContext) -> None:
    """Every duty has a body, known categories, a basis, and days within those of its body."""
    bodies = {body.code: body for body in reversed(context.pack.bodies)}
    for index, row in enumerate(context.pack.responsibilities):
        lint_dates(context, RESPONSIBILITIES, index, row.valid_from, row.valid_to)
        body = bodies.get(row.body)
        if body is None:
            context.error(RESPONSIBILITIES, index, "body", f"{row.body!r} is no body", "add it to bodies.csv")
        elif not overlap(row.valid_from, row.valid_to, body.valid_from, body.valid_to):
            text = f"{row.code!r} holds on no day on which {row.body!r} stands"
            context.warning(RESPONSIBILITIES, index, "valid_from", text, "correct the days of one of them")
        for code in row.categories:
            if code not in context.categories and code not in context.groups:
                text = f"{row.code!r}: {code!r} is no category, and no group"
                remedy = "use codes or groups of categories.csv, or leave it empty for all"
                context.error(RESPONSIBILITIES, index, "categories", text, remedy)
        if not row.basis:
            remedy = "say where the duty comes from, or write: ours"
            context.warning(RESPONSIBILITIES, index, "basis", "does not say where the duty comes from", remedy)


def lint_leads(context: LintContext) -> None:
    """Of one problem in one grid one body leads at a time, beside the party (党政同责): two leads are none."""
    bodies = {body.code: body for body in reversed(context.pack.bodies)}
    leads = defaultdict[tuple[str, str, bool], list[int]](list)
    for index, row in enumerate(context.pack.responsibilities):
        body = bodies.get(row.body)
        if row.part != "lead" or body is None:
            continue
        told = set[int]()
        for category in covered(context, row):
            same = leads[body.grid, category, body.kind == PAIR[0]]
            for other in same:
                first = context.pack.responsibilities[other]
                days = (row.valid_from, row.valid_to, first.valid_from, first.valid_to)
                if first.body != row.body and other not in told and overlap(*days):
                    told.add(other)
                    text = f"{row.body!r} and {first.body!r} (row {context.row(RESPONSIBILITIES, other)}) both lead"
                    remedy = "let one of them assist, or part them by their days or categories"
                    context.warning(RESPONSIBILITIES, index, "part", f"{text} for {category} at {body.grid}", remedy)
            same.append(index)


def owner_levels(context: LintContext) -> set[int]:
    """The levels that come to own cases: by the catalogue, by default, and after a failed check."""
    options = context.pack.options
    delegated = {row.level for row in context.pack.authority_rows}
    return {c.level for c in context.pack.categories} | delegated | {options.default_level, options.rework_level}


def lint_pairs(context: LintContext) -> None:
    """Every owner names a party and a government post (党政同责, M112), where the pack has bodies at all."""
    if not context.pack.bodies:
        return
    levels = owner_levels(context)
    owners = [grid.code for grid in context.pack.grids if grid.level in levels and context.stands(grid)]
    for kind in PAIR:
        lacking = [code for code in owners if not paired(context, code, kind)]
        if lacking:
            more = " …" if len(lacking) > 3 else ""
            text = f"{len(lacking)} of {len(owners)} grids that own cases have no {kind} post that answers: "
            remedy = f"add a body of the kind {kind} for each to bodies.csv, with an occupied post (党政同责)"
            context.problems.warning(BODIES, 0, "kind", text + ", ".join(lacking[:3]) + more, remedy)


def paired(context: LintContext, grid: str, kind: str) -> list[str]:
    """The posts that sign at a grid for a body of a kind that stands on the day."""
    return [
        code
        for body in context.pack.bodies
        if (body.grid, body.kind) == (grid, kind)
        and (not body.valid_to or context.day <= body.valid_to)
        and (not context.day or body.valid_from <= context.day)
        for code in signing(context, body)
    ]
