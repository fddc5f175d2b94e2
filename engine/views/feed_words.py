"""What an alert, a notice or a line of the feed says in words: names of its codes, and a sentence in both languages.

Words come from the definition of the case (its kind, its clocks) and from the active pack (grids, categories,
departments, titles of posts), so there is no personal data. They are made when a line is read, so that lines of earlier
releases have them too.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from engine.views.names import Names
from schemas.line_words import ALERT_ENDS, MOVES, RUNGS
from schemas.messages import LineNames, Words
from workflows.definitions import CLOCKS, DEFINITIONS, ORDERED


class AlertWords(Protocol):
    """What a sentence is made of: an alert, or a line of the feed."""

    @property
    def kind(self) -> str: ...
    @property
    def clock(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def definition(self) -> str: ...
    @property
    def due(self) -> int | None: ...
    @property
    def department(self) -> str: ...


class NoticeWords(NamedTuple):
    """What the sentence of a notice is made of, which is of no clock."""

    path: str
    category: str
    definition: str
    kind: str = "notice"
    clock: str = ""
    level: int = 0
    due: int | None = None
    department: str = ""


def names_of(about: AlertWords, recipients: Iterable[str], by: str, names: Names) -> LineNames:
    """The names of a line's codes, under the members that have the codes. A code that the active pack no longer knows
    is its own name."""
    return LineNames(
        path=[names.grid(code).name for code in codes_of(about.path)],
        category=category_words(about.category, names) if about.category else None,
        department=names.department(about.department).name if about.department else "",
        recipients={code: names.post(code).name for code in recipients},
        by=names.post(by).name if by else "",
    )


def codes_of(path: str) -> list[str]:
    """The codes of a path, from the root down."""
    return [code for code in path.split("/") if code]


def category_words(code: str, names: Names) -> Words:
    """A category in both languages; one of which there is no English name is called by the Chinese one."""
    zh, en = names.titles(code)
    return Words(zh, en or zh)


def sentence(about: AlertWords, what: str, by: str, names: Names, *, on: str = "", cases: int = 0) -> Words:
    """What a line says. `on` is the move of a notice, `cases` the number of cases of a daily line."""
    codes, definition = codes_of(about.path), DEFINITIONS.get(about.definition)
    kind = Words(definition.zh if definition else "", about.definition.replace("_", " ").capitalize())
    zh_place, en_place = (
        (f"（{names.grid(codes[-1]).name}）", f" ({names.grid(codes[-1]).name})") if codes else ("", "")
    )
    if cases:
        subject = Words(f"{kind.zh} {cases} 件", f"{kind.en}, {cases} cases")
    elif about.category:
        title = category_words(about.category, names)
        subject = Words(f"{kind.zh}「{title.zh}」", f'{kind.en} "{title.en}"')
    else:
        subject = kind
    said = moved(on) if on else fell_due(about, codes, names)
    end = became(about, what, names.post(by).name if by else "", names)
    return Words(f"{subject.zh}{zh_place}：{said.zh}{end.zh}。", f"{subject.en}{en_place}: {said.en}{end.en}.")


def moved(on: str) -> Words:
    """What a notice tells of."""
    return Words(*MOVES.get(on, (on, on)))


def fell_due(about: AlertWords, codes: list[str], names: Names) -> Words:
    """Which clock is or was due, and of whom: of a department that must act, else of the grid of the clock's level.

    The level of a clock that an order started is the stage that was ordered, and no grid's.
    """
    rung = Words(*RUNGS.get(about.kind, (about.kind, about.kind)))
    if not about.clock:
        return rung
    clock = Words(*CLOCKS.get(about.clock, (about.clock, about.clock)))
    staged, level = about.clock in ORDERED, about.level
    if staged:
        clock = Words(f"{clock.zh}（第{level}阶段）", f"{clock.en} (stage {level})")
    unit = names.grid(codes[level - 1]).name if 0 < level <= len(codes) and not staged else ""
    unit = names.department(about.department).name if about.department else unit
    return Words(f"{unit}{clock.zh}{rung.zh}", f"{clock.en} of {unit}: {rung.en}" if unit else f"{clock.en}: {rung.en}")


def became(about: AlertWords, what: str, who: str, names: Names) -> Words:
    """What became of an alert, and by whom; of one that fires its deadline."""
    if what in ("firing", "told"):
        if about.due is None:
            return Words("", "")
        due = names.instant(about.due)[:16].replace("T", " ")
        return Words(f"，时限 {due}", f"; deadline {due}")
    zh, en = ALERT_ENDS.get(what, (what, what))
    if what == "acknowledged":
        return Words(f"，{who}{zh}", f"; {en} by {who}")
    ended = Words(f"，告警{zh}", f"; the alert is {en}")
    return Words(f"{ended.zh}（{who}）", f"{ended.en} by {who}") if who else ended
