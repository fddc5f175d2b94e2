"""How pages write instants, spans of time and rates, and in which of two languages they say a word."""

from datetime import datetime
from typing import Any, Literal

from markupsafe import Markup

from engine.console.catalogue import WORDS
from engine.views.local_times import duration, duration_zh, minute
from engine.views.names import CategoryNamed, HolderNamed, OwnerNamed
from engine.views.performance import PerformancePage
from schemas.line_words import ALERT_ENDS, MOVES, RESULTS, RUNGS
from schemas.value_words import SOURCES
from schemas.value_words import WORDS as VALUES
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.figure_words import meaning_of
from workflows.figures import SHARES

Language = Literal["zh", "en"]
DURATIONS = ("median_ms", "p90_ms", "consumed_median_ms", "consumed_p90_ms")
TERMS: dict[str, tuple[str, str]] = {**VALUES, **SOURCES, **RESULTS, **MOVES, **ALERT_ENDS, **RUNGS, **CLOCKS}
"""What names of the contract are called: clocks, rungs, moves, results, and values that events name."""


class Words:
    """The words of the pages in one language: `t.desk`, `t("desk_first", n=3)`. KeyError where there is none."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, **given: Any) -> str:
        zh, en = WORDS[key]
        text = Markup(zh if self.language == "zh" else en)
        return text.format(**given) if given else text

    def __getitem__(self, key: str) -> str:
        return self(key)

    def __getattr__(self, key: str) -> str:
        if key not in WORDS:
            raise AttributeError(key)
        return self(key)

    def of(self, name: str) -> str:
        """A name of the contract; one without words stands for itself."""
        zh, en = TERMS.get(name, (name, name))
        return zh if self.language == "zh" else en

    def member(self, name: str) -> str:
        """A member of an event as the label of its field; one without words stands for itself."""
        key = f"member_{name}"
        return self(key) if key in WORDS else name

    def because(self, reason: str) -> str:
        """Why something was refused; nothing where the page has no words for the reason."""
        key = f"because_{reason}"
        return self(key) if key in WORDS else ""

    def figure(self, name: str, found: PerformancePage) -> str:
        """A figure that may be chosen: by the words of the answer, or of figures in general."""
        meaning = meaning_of(DEFINITIONS[found.definition], name, found.clock)
        return self.pick(meaning.zh, meaning.en)

    def pick(self, zh: str, en: str) -> str:
        """One of two; where there is no English the Chinese."""
        return zh if self.language == "zh" else en or zh

    def span(self, ms: int | None) -> str:
        """`3 天 4 小时`: the two largest units of a span of time, without a sign."""
        return "" if ms is None else (duration_zh if self.language == "zh" else duration)(abs(ms))

    def category_of(self, category: CategoryNamed | None) -> str:
        """A category; a dash of a case whose report is awaited."""
        return "—" if category is None else self.pick(category.name_zh, category.name_en)

    def state_of(self, zh: str, name: str) -> str:
        """A state of a case."""
        return self.pick(zh, name.replace("_", " "))

    def value_of(self, measure: str, value: int | None) -> str:
        """A figure: a share in per cent, a duration as a span, anything else as a number."""
        if value is None:
            return "—"
        if measure in DURATIONS:
            return self.span(value)
        return f"{value / 100:.1f}%" if measure.endswith("_rate") or measure in SHARES else str(value)

    def change_of(self, measure: str, value: int | None) -> str:
        """By how much a figure has changed, with its sign."""
        if not value:
            return ""
        sign = "+" if value > 0 else "−"
        if measure in DURATIONS:
            return f"{sign}{self.span(value)}"
        return (
            f"{sign}{abs(value) / 100:.1f}" if measure.endswith("_rate") or measure in SHARES else f"{sign}{abs(value)}"
        )


def unit(named: HolderNamed | OwnerNamed | None) -> str:
    """Who must act, by the shortest name that tells it: a post, a department, or a grid."""
    if named is None:
        return "—"
    post = named.post if isinstance(named, HolderNamed) else None
    return (post or named.department or named.grid).name


def short(name: str) -> Markup:
    """A name without what stands in brackets at its end, which the element tells whoever points at it."""
    cut = name.partition("（")[0]
    return Markup('<span title="{}">{}</span>').format(name, cut) if cut and cut != name else Markup("{}").format(name)


def between(first: str, then: str) -> int:
    """Milliseconds from an instant to another one, both as pages are given them (RFC 3339)."""
    return round((datetime.fromisoformat(then) - datetime.fromisoformat(first)).total_seconds() * 1000)


def instant(text: str | None, beside: str | None = None) -> Markup:
    """An instant to the minute as an element `time`, with its year where that of another instant is another one."""
    if not text:
        return Markup("")
    shown = minute(text)
    if beside and shown[:4] == beside[:4]:
        shown = shown[5:]
    return Markup('<time datetime="{}">{}</time>').format(text, shown)
