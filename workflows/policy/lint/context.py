"""A compiled pack laid out for linting, and the words that its tables may use.

`error` and `warning` take the index of an entry, and name its spreadsheet row where it is known.
"""

from collections.abc import Mapping, Sequence

from schemas.events import EVENT_TYPES, trigger_of
from schemas.members import Source
from workflows.definitions import CLOCKS as WORDS_OF_CLOCKS
from workflows.machine import Definition
from workflows.policy.model import BANK, Category, Department, Grid, Pack, Post
from workflows.policy.problems import Problems

CLOCKS = tuple(WORDS_OF_CLOCKS)
ROLES = (
    "chief",
    "member",
    "sponsor",
    "handler",
    "dispatcher",
    "supervisor",
    "office",
    "intake",
    "inspection",
    "secretary",
    "bank",
    "lot",
    "cashier",
)
READS = ("inspection", BANK)
"""The roles that read and say nothing."""
TELL = (
    "holder",
    "holder_chief",
    "owner",
    "owner_chief",
    "reporter",
    "sponsor",
    "upper_chief",
    "handler",
    "supervisor",
    "office",
)
TELL_OF_MOVES = (*TELL, "copied", "assisting", "checkers", "neighbour", "signers", BANK)
"""Whom a notice may tell: also those of the case who are told of no deadline."""
TRIGGERS = tuple(trigger_of(event_type) for event_type in EVENT_TYPES)
_MEMBERS = {trigger_of(event_type): set(data.__struct_fields__) for event_type, data in EVENT_TYPES.items()}
CLAIM_SOURCES = tuple(trigger for trigger, members in _MEMBERS.items() if "source" in members)
"""Triggers that claim where a problem comes from."""
CLAIM_DEADLINES = tuple(t for t, members in _MEMBERS.items() if "deadline" in members or {"clock", "due"} <= members)
"""Triggers that order a deadline of a clock."""
SOURCES = tuple(Source)


class LintContext:
    """One pack to check, and the findings on it. A code that stands twice keeps its first entry here."""

    def __init__(self, pack: Pack, rows: Mapping[str, Sequence[int]] | None = None, day: int = 0) -> None:
        self.pack = pack
        self.day = day  # local, YYYYMMDD; 0: nothing that depends on a day is asked
        self.problems = Problems()
        self._rows = rows or {}
        self.levels = {level.level for level in pack.levels}
        self.leaf_level = max(self.levels, default=0)
        self.grids: dict[str, Grid] = {grid.code: grid for grid in reversed(pack.grids)}
        self.departments: dict[str, Department] = {d.code: d for d in reversed(pack.departments)}
        self.categories: dict[str, Category] = {c.code: c for c in reversed(pack.categories)}
        self.groups = {category.group for category in pack.categories}

    def has_none_of(self, kind: Definition) -> bool:
        """Whether a pack has no case of a kind, so that it says nothing of it: nothing that is owed, no action, no part
        of it that the kind needs, or nobody who may begin one, of a kind that lists show where it is asked for."""
        if kind.bears is not None or kind.of_actions:
            return not (self.pack.duties if kind.bears is not None else self.pack.actions)
        if kind.needs:
            return not getattr(self.pack, kind.needs)
        begun = any(row.trigger in kind.births for row in self.pack.roles)
        return kind.listed == "never" or (kind.listed == "asked" and not begun)

    def row(self, file: str, index: int) -> int:
        """The spreadsheet row of an entry; without known rows, counted from the header."""
        known = self._rows.get(file)
        return known[index] if known else index + 2

    def error(self, file: str, index: int, column: str, text: str, remedy: str) -> None:
        """Add a finding that keeps the pack from being activated."""
        self.problems.error(file, self.row(file, index), column, text, remedy)

    def warning(self, file: str, index: int, column: str, text: str, remedy: str) -> None:
        """Add a finding that the office should look at."""
        self.problems.warning(file, self.row(file, index), column, text, remedy)

    def stands(self, entry: Grid | Post) -> bool:
        """Whether a grid or a post exists on the day; without a day, whether it has no end."""
        if not self.day:
            return not entry.valid_to
        return entry.valid_from <= self.day and (not entry.valid_to or self.day <= entry.valid_to)

    def path(self, code: str) -> tuple[str, ...]:
        """Codes from the root to a grid; shorter where a parent is missing or the parents form a circle."""
        path: list[str] = []
        while code in self.grids and code not in path:
            path.append(code)
            code = self.grids[code].parent
        return tuple(reversed(path))


def one_of(words: Sequence[str] | set[str] | dict[str, object], most: int = 12) -> str:
    """A remedy that lists the known words, at most `most` of them."""
    listed = list(words) if isinstance(words, Sequence) else sorted(words)
    return "use one of: " + ", ".join(listed[:most]) + (" …" if len(listed) > most else "")


def overlap(from_a: int, to_a: int, from_b: int, to_b: int) -> bool:
    """Whether two spans of days share one; a `to` of 0 is open-ended."""
    return (not to_a or from_b <= to_a) and (not to_b or from_a <= to_b)
