"""Lints what may be applied for (审批事项): its days, its calendar, and that no promise exceeds the law."""

from schemas.kinds.approval import EMERGENCY
from workflows.clocks.limits import limit_text
from workflows.definitions import OF_APPROVALS
from workflows.definitions.approval import PROMISE, STATUTE
from workflows.policy.lint.context import LintContext, one_of, overlap

APPROVALS, LIMITS = "approvals.csv", "limits.csv"


def lint_approvals(context: LintContext) -> None:
    """Each ends after it begins, has a code of its own and a calendar that there is, and says where it comes from."""
    calendars = {calendar.code for calendar in context.pack.calendars}
    others = {*context.categories, *(action.action for action in context.pack.actions)}
    for index, row in enumerate(context.pack.approvals):
        if row.valid_to and row.valid_to < row.valid_from:
            text = f"{row.code!r} ends before it begins"
            context.error(APPROVALS, index, "until", text, "write its last day, or leave it empty")
        if row.calendar and row.calendar not in calendars:
            text = f"{row.code!r}: there is no calendar {row.calendar!r}"
            context.error(APPROVALS, index, "calendar", text, one_of(calendars))
        if row.calendar and not row.same_day:
            text = f"{row.code!r}: only what is done the same day has a calendar of its own"
            context.error(APPROVALS, index, "calendar", text, "write yes as same_day, or leave it empty")
        if row.code in others:
            text = f"{row.code!r} is a category or an action, too: a row that names it would mean both"
            context.error(APPROVALS, index, "code", text, "give it another code")
        if not row.basis:
            remedy = "say where it comes from, or write: ours"
            context.warning(APPROVALS, index, "basis", "does not say where it comes from", remedy)


def lint_times(context: LintContext) -> None:
    """Limits of approvals name what may be applied for, and a lane; and nobody promises more than the law gives."""
    codes = tuple(row.code for row in context.pack.approvals)
    rows = [(n, row) for n, row in enumerate(context.pack.limits) if row.definition in OF_APPROVALS]
    for index, row in rows:
        if row.category and row.category not in codes:
            text = f"{row.category!r} is nothing that may be applied for"
            context.error(LIMITS, index, "category", text, one_of(codes) if codes else "add it to approvals.csv")
        if row.group not in ("", EMERGENCY):
            text = f"{row.group!r} is no lane of approvals"
            context.error(LIMITS, index, "group", text, f"write {EMERGENCY}, or leave it empty")
        if row.clock != PROMISE:
            continue
        for _, law in rows:
            same = law.clock == STATUTE and law.category == row.category and law.group in ("", row.group)
            days = overlap(row.valid_from, row.valid_to, law.valid_from, law.valid_to)
            if same and days and law.limit.kind is row.limit.kind and law.limit < row.limit:
                text = f"{limit_text(row.limit)} is promised, and the law gives {limit_text(law.limit)}"
                context.warning(LIMITS, index, "limit", text, "promise no more than the law gives")
