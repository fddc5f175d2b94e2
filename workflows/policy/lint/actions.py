"""Lints what a pack says of supervision (督办): its actions, who decides each, and the rows that select them."""

from schemas.kinds.supervision import DECIDED, MOST_COUNTED
from workflows.definitions import DEFINITIONS, OF_ACTIONS, OF_APPROVALS
from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.model import BEAR, MOST_FEN, ActionRow

ACTIONS, LIMITS, ROLES_FILE = "actions.csv", "limits.csv", "roles.csv"
RUNGS, NOTICES, DUTIES = "rungs.csv", "notices.csv", "duties.csv"


def lint_actions(context: LintContext) -> None:
    """Every action says where it comes from, what it charges whom for, and has somebody who decides it."""
    decided = decided_somewhere(context)
    for index, action in enumerate(context.pack.actions):
        lint_amount(context, index, action)
        if not action.basis:
            remedy = "say where the action comes from, or write: ours"
            context.warning(ACTIONS, index, "basis", "does not say where the action comes from", remedy)
        if action.action not in decided:
            text = f"{action.action!r}: nobody may decide it, so nobody can propose it"
            context.warning(ACTIONS, index, "action", text, f"allow {DECIDED} to a role in roles.csv")
        if action.action in context.categories:
            text = f"{action.action!r} is a category of categories.csv, too: a row that names it would mean both"
            context.error(ACTIONS, index, "action", text, "give the action another code")


def decided_somewhere(context: LintContext) -> set[str]:
    """The actions that a post may decide which stands."""
    staffed = {
        (post.role, context.grids[post.grid].level)
        for post in context.pack.posts
        if post.grid in context.grids and context.stands(post) and not (post.vacant or post.department)
    }
    rules = [row for row in context.pack.roles if row.trigger == DECIDED]
    return {
        action.action
        for action in context.pack.actions
        for row in rules
        if (not row.categories or action.action in row.categories)
        and any(role == row.role and (not row.levels or level in row.levels) for role, level in staffed)
    }


def lint_called_for(context: LintContext) -> None:
    """What a rung calls for is an action that somebody may decide, about a case that is no supervision itself, and of a
    deadline that has passed."""
    actions, decided = tuple(action.action for action in context.pack.actions), decided_somewhere(context)
    for index, rung in enumerate(context.pack.rungs):
        wanted = rung.calls_for
        if rung.act.startswith(BEAR) and wanted not in actions:
            text = f"{wanted!r} is no action"
            context.error(RUNGS, index, "act", text, one_of(actions) if actions else "add it to actions.csv")
        elif wanted and wanted not in decided:
            text = f"{wanted!r}: nobody may decide it, so this rung proposes it to nobody"
            context.error(RUNGS, index, "act", text, f"allow {DECIDED} to a role in roles.csv")
        if wanted and rung.definition in OF_ACTIONS:
            text = "nothing is called for about a supervision: one that is late is raised a level"
            context.error(RUNGS, index, "act", text, "empty the cell, or name another kind of case in definition")
        if wanted and rung.offset == "before":
            text = "nothing is called for before a deadline has passed"
            context.error(RUNGS, index, "act", text, "write at or after as offset, or empty the cell")


def lint_listed(context: LintContext) -> None:
    """Rows for listed grids stand where an action lists some, and limits among them are of what is reported."""
    lists = any(action.lists for action in context.pack.actions)
    limits = [(LIMITS, index) for index, row in enumerate(context.pack.limits) if row.listed]
    for file, index in (*limits, *((DUTIES, index) for index, row in enumerate(context.pack.duties) if row.listed)):
        if not lists:
            text = f"no action of {ACTIONS} lists a grid: this row never holds"
            context.error(file, index, "listed", text, "let an action list (lists), or empty the cell")
    for _, index in limits:
        definition = DEFINITIONS.get(context.pack.limits[index].definition)
        if definition is not None and (definition.of_actions or not definition.reads_home):
            text = f"of {definition.name} nobody asks whether its grid is listed: it is not reported"
            context.error(LIMITS, index, "listed", text, "name a kind of case that is reported, or empty the cell")


def lint_amount(context: LintContext, index: int, action: ActionRow) -> None:
    """An amount is charged to somebody, for something of which there may be many."""
    given = {"amount_fen": action.amount_fen, "per": action.per, "charged": action.charged}
    missing = [column for column, value in given.items() if not value]
    if missing and len(missing) < len(given):
        text = f"{action.action!r} says {', '.join(c for c in given if c not in missing)} and not {', '.join(missing)}"
        context.error(ACTIONS, index, missing[0], text, "fill in all of amount_fen, per and charged, or none")
    if action.amount_fen * MOST_COUNTED > MOST_FEN:
        text = (
            f"{action.action!r} charges {action.amount_fen} fen each: {MOST_COUNTED:,} of them are no number any more"
        )
        context.error(ACTIONS, index, "amount_fen", text, f"write at most {MOST_FEN // MOST_COUNTED}, in fen")


def lint_selected(context: LintContext) -> None:
    """Rows that select cases name categories of the catalogue, or, of kinds that have actions, those."""
    actions = tuple(action.action for action in context.pack.actions)
    matters = tuple(row.code for row in context.pack.approvals)
    pack, either = context.pack, "use a code of categories.csv, or one of actions.csv for supervision"
    limits = [(LIMITS, index, row.definition, row.category) for index, row in enumerate(pack.limits)]
    told = [(RUNGS, index, rung.definition, rung.category) for index, rung in enumerate(pack.rungs)]
    told += [(NOTICES, index, notice.definition, notice.category) for index, notice in enumerate(pack.notices)]
    for file, index, definition, category in (*limits, *told):
        if category and definition in OF_ACTIONS and category not in actions:
            text = f"{category!r} is no action"
            context.error(file, index, "category", text, one_of(actions) + ", or leave it empty for any")
    for file, index, definition, category in told:  # without a kind of case it may be either
        known = category in context.categories or (category in actions and not definition)
        known = known or (category in matters and definition in ("", *OF_APPROVALS))
        if category and definition not in OF_ACTIONS and not known:
            text = f"{category!r} is no category" + ("" if definition else ", and no action")
            context.error(file, index, "category", text, f"{either}, or leave it empty for all")
    for index, role in enumerate(context.pack.roles):
        for code in role.categories:
            if code not in context.categories and code not in (*actions, *matters):
                text = f"rule {role.rule!r}: {code!r} is no category, and no action"
                context.error(ROLES_FILE, index, "categories", text, "use codes of categories.csv or of actions.csv")
