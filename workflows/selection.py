"""Which lines of the alert feed somebody asks for, for which posts: a route of a channel, or a subscription. Pure.

What a selection leaves out it does not ask for.
"""

from fnmatch import fnmatchcase

from msgspec import Struct

from schemas.messages import Line
from workflows.policy.moves import MOVES

SEVERITIES = ("soon", "due", "overdue")
"""An alert before its deadline, at it, and after it."""
KINDS_OF_LINES = ("alert", "notice")
MOVES_TOLD = (*MOVES, "daily")
"""The moves of which notices tell: those that a pack routes, and the line of the day."""


class Selection(Struct, frozen=True, kw_only=True):
    """Lines of the feed by what they say. `posts` are codes or patterns, a grid stands for all below it; `moves` are of
    notices, `severities` of alerts. Empty: any."""

    posts: tuple[str, ...] = ()
    grids: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS_OF_LINES
    moves: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()


def kinds_asked(kinds: tuple[str, ...], moves: tuple[str, ...], severities: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds of lines that are meant where none is named: who asks for overdue alerts asks for no notice."""
    if not kinds and bool(moves) != bool(severities):
        return ("notice",) if moves else ("alert",)
    return kinds or KINDS_OF_LINES


def severity_of(line: Line) -> str:
    """Whether an alert tells of a deadline that comes (soon), has come (due) or has passed (overdue); empty: of
    none."""
    if line.what == "told":
        return ""
    if line.due is None or line.due_at == line.due:
        return "due"
    return "soon" if line.due_at < line.due else "overdue"


def selects_line(selection: Selection, line: Line) -> bool:
    """Whether a selection asks for a line, whomever it tells."""
    kind, severity = ("notice", "") if line.what == "told" else ("alert", severity_of(line))
    return (
        kind in selection.kinds
        and (not selection.definitions or line.definition in selection.definitions)
        and (not selection.grids or any(f"/{grid}/" in line.path for grid in selection.grids))
        and (kind == "alert" or not selection.moves or line.on in selection.moves)
        and (kind == "notice" or not selection.severities or severity in selection.severities)
    )


def selects_post(selection: Selection, post: str) -> bool:
    """Whether a selection asks for what a post is told."""
    return not selection.posts or any(fnmatchcase(post, pattern) for pattern in selection.posts)


def is_pattern(post: str) -> bool:
    """Whether a code of posts is a pattern of several."""
    return any(sign in post for sign in "*?[")
