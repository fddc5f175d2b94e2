"""What each figure is, in Chinese and English, for whoever reads one: from what the kinds of case declare, and of what
any kind of case has. Pure.

`meaning_of` gives a figure its name and a sentence. Measures, sums and rates of one kind have theirs in its definition;
clocks and endings are named by the words of the clock, and of the state in which a case ends.
"""

from msgspec import Struct

from schemas.facts import PASSED_ON, VOID
from workflows.case import TOTAL
from workflows.definitions import CLOCKS
from workflows.figures import AFTER_EXEMPTION, CLOSED, REPORTED, Better, Sum
from workflows.machine import Definition


class FigureMeaning(Struct, frozen=True):
    """A figure in words: its name, what it counts or is made of, and which way it is better (empty: neither)."""

    name: str
    zh: str
    en: str
    says_zh: str
    says_en: str
    better: Better = ""


OF_ANY = {
    each.name: each
    for each in (
        FigureMeaning(REPORTED, "上报", "cases reported", "本期上报的件数", "cases reported in the period"),
        FigureMeaning(
            CLOSED,
            "结案",
            "cases closed",
            "本期结案的件数：按期结案、逾期结案与无时限结案之和",
            "cases closed in the period: on time, late, and without a deadline",
        ),
        FigureMeaning(
            "closable",
            "应结案",
            "closable",
            "应结案件数：有时限、在本期按期结案或在本期到期未结的，每件只计一次",
            "cases with a deadline that were closed on time in the period, or fell due in it unclosed; each once",
        ),
        FigureMeaning(
            "on_time",
            "按期结案",
            "closed on time",
            "本期结案且未超过全程时限的件数",
            "cases closed in the period with no deadline of the whole case missed",
            "higher",
        ),
        FigureMeaning(
            "overdue",
            "逾期",
            "overdue",
            "全程时限在本期届满而未结案的件数，以后结案也不消除",
            "cases whose total deadline passed in the period; closing them later does not take it back",
            "lower",
        ),
        FigureMeaning(
            "overdue_exempted",
            "逾期免责",
            "overdue and exempted",
            "本期逾期而准予免责的件数：该件各次超过的全程时限均已免责（计入逾期之日，逾期照计）",
            "of the cases overdue in the period those of which each missed total deadline is exempted, at the day of "
            "their deadline; they stay overdue",
        ),
        FigureMeaning(
            "overdue_closed",
            "逾期已结",
            "overdue, closed since",
            "本期逾期、至今已结案的件数（计入逾期之日）",
            "of the cases overdue in the period those closed by now, at the day of their deadline",
        ),
        FigureMeaning(
            "closed_late",
            "逾期结案",
            "closed late",
            "本期结案但已超过全程时限的件数（计入结案之日）",
            "cases closed in the period after their total deadline, at the day of closing",
            "lower",
        ),
        FigureMeaning(
            "without_deadline",
            "无时限结案",
            "closed without a deadline",
            "本期结案、从未有全程时限的件数",
            "cases closed in the period that never had a total deadline",
        ),
        FigureMeaning(
            "close_rate",
            "结案率",
            "close rate",
            "应结案中已结案的（按期结案 + 逾期已结）÷ 应结案",
            "closed ones among the closable (closed on time + overdue, closed since) / closable",
            "higher",
        ),
        FigureMeaning(
            "on_time_rate",
            "按期结案率",
            "on-time close rate",
            "按期结案 ÷ 应结案",
            "closed on time / closable",
            "higher",
        ),
        FigureMeaning(
            "rework_rate",
            "返工率",
            "rework rate",
            "认定未解决的决定性核查 ÷ 决定性核查（公布的口径不详，此为本系统口径）",
            "unsolved deciding checks / deciding checks; the published formula is unknown, this one is ours",
            "lower",
        ),
        FigureMeaning(
            "median_ms",
            "办理时长中位数",
            "median duration",
            "本期结案各件从上报到结案的自然时长，由短到长排在第 ⌈n/2⌉ 位的一件（毫秒）",
            "elapsed time from report to closing of the cases closed in the period: the one in place ceil(n/2), in ms",
            "lower",
        ),
        FigureMeaning(
            "p90_ms",
            "办理时长九成位",
            "90th percentile of durations",
            "本期结案各件从上报到结案的自然时长，由短到长排在第 ⌈0.9n⌉ 位的一件（毫秒）",
            "elapsed time from report to closing of the cases closed in the period: the one in place ceil(0.9n), in ms",
            "lower",
        ),
        FigureMeaning(
            "standing.open",
            "在办",
            "open",
            "尚未了结的件数，计在问题所在地",
            "cases that are open, where the problem lies",
        ),
        FigureMeaning(
            "standing.overdue",
            "在办超期",
            "open and overdue",
            "尚未了结、全程时限已过的件数",
            "open cases whose total deadline has passed",
            "lower",
        ),
        FigureMeaning(
            "standing.not_due",
            "在办未到期",
            "open and not due",
            "尚未了结、全程时限未到的件数",
            "open cases whose total deadline is ahead",
        ),
        FigureMeaning(
            "standing.without_deadline",
            "在办无时限",
            "open without a deadline",
            "尚未了结、没有全程时限的件数",
            "open cases that have no total deadline",
        ),
        FigureMeaning("held.open", "经手", "in hand", "此刻由该单位经手的件数", "open cases in the hands of the unit"),
        FigureMeaning(
            "held.overdue",
            "经手超期",
            "in hand and late",
            "此刻由该单位经手、有运行中的时限已过的件数",
            "cases in its hands of which a deadline that runs has passed",
            "lower",
        ),
    )
}
"""The figures that any kind of case may have."""

OF_CLOCK: dict[str, tuple[str, str, str, str, Better]] = {
    "breach": ("超时限", "deadlines missed", "错过时限的次数", "times that its deadline passed", "lower"),
    "exempted": (
        "超时限免责",
        "deadlines missed and exempted",
        "错过时限而准予免责的次数，超时限照计",
        "times that its deadline passed and that was exempted; it stays missed",
        "",
    ),
    "claimed": (
        "凭本人所述按期",
        "on time by the sender's word",
        "晚于时限到达、凭本人所述时间算按期的次数",
        "on time by the sender's word alone: it arrived after the deadline",
        "",
    ),
    PASSED_ON: (
        "移交",
        "passed on",
        "未办完即移交他人的次数，不算按期也不算逾期",
        "ended because somebody else has the case: neither on time nor overdue",
        "",
    ),
    VOID: ("作废", "ended for nothing", "因工作不再需要而作废的次数", "ended because the work has gone", ""),
    "on_time": ("按期", "on time", "在时限内办完的次数", "done by its deadline", "higher"),
    "overdue": ("逾期", "overdue", "办完但超过时限的次数", "done after its deadline", "lower"),
    "without_deadline": ("无时限", "without a deadline", "办完、没有时限的次数", "done, and had no deadline", ""),
}
"""What figures say of one clock, before the colon: name and sentence in both languages, and which way is better. They
count at the unit that is charged with it."""
BY_CLOCK = {
    "on_time_rate": ("按期率", "on-time rate", "按期 ÷（按期 + 逾期）", "on time / (on time + overdue)"),
    AFTER_EXEMPTION: (
        "按期率（免责后）",
        "on-time rate after exemption",
        "按期 ÷（按期 + 逾期 − 逾期中准予免责的）",
        "on time / (on time + overdue - those overdue that are exempted)",
    ),
    "median_ms": ("用时中位数", "median", "从开始到办完的自然时长，第 ⌈n/2⌉ 位", "elapsed, the one in place ceil(n/2)"),
    "p90_ms": (
        "用时九成位",
        "90th percentile",
        "从开始到办完的自然时长，第 ⌈0.9n⌉ 位",
        "elapsed, the one in place ceil(0.9n)",
    ),
    "consumed_median_ms": (
        "耗用中位数",
        "median consumed",
        "按该时限自身计时方式耗用的时间，第 ⌈n/2⌉ 位",
        "consumed in the limit's own kind of time, the one in place ceil(n/2)",
    ),
    "consumed_p90_ms": (
        "耗用九成位",
        "90th percentile consumed",
        "按该时限自身计时方式耗用的时间，第 ⌈0.9n⌉ 位",
        "consumed in the limit's own kind of time, the one in place ceil(0.9n)",
    ),
}
"""Rates and durations where they are asked of one clock."""


def meaning_of(kind: Definition, name: str, clock: str = "") -> FigureMeaning:
    """A figure of a kind of case in words; with a `clock`, of that clock alone. Raises KeyError for a figure that there
    is not."""
    if clock and name in BY_CLOCK:
        zh, en = CLOCKS[clock]
        named = BY_CLOCK[name]
        better: Better = "higher" if name in ("on_time_rate", AFTER_EXEMPTION) else "lower"
        return FigureMeaning(name, f"{zh}{named[0]}", f"{en}: {named[1]}", f"{zh}：{named[2]}", named[3], better)
    for ratio in kind.ratios:
        if ratio.name == name:
            below = summed(ratio.denominator, kind)
            sums = [(each.zh, each.en) for each in kind.sums if each.name == ratio.numerator]
            above = sums[0] if sums else word(kind, ratio.numerator)
            says = f"{above[0]} ÷（{below[0]}）", f"{above[1]} / ({below[1]})"
            return FigureMeaning(name, ratio.zh, ratio.en, *says, ratio.better)
    for total in kind.sums:
        if total.name == name:
            return FigureMeaning(name, total.zh, total.en, *summed(total, kind))
    if name in OF_ANY:
        return OF_ANY[name]
    return _measured(kind, name)


def _measured(kind: Definition, name: str) -> FigureMeaning:
    """A stored measure in words: of a clock, an ending, or what the kind declares."""
    first, _, rest = name.partition(":")
    if rest in (*kind.clocks, TOTAL) and first in OF_CLOCK:
        (zh, en), (of_zh, of_en, says_zh, says_en, better) = CLOCKS[rest], OF_CLOCK[first]
        return FigureMeaning(name, f"{zh}{of_zh}", f"{en}: {of_en}", f"{zh}：{says_zh}", f"{en}: {says_en}", better)
    for measure in kind.measures:
        if measure.name == first and bool(rest) == bool(measure.per):
            of = f"（{rest}）" if rest else "", f": {rest}" if rest else ""
            says = f"本期{measure.zh}{of[0]}", f"{measure.en} in the period{of[1]}"
            return FigureMeaning(name, f"{measure.zh}{of[0]}", f"{measure.en}{of[1]}", *says, measure.better)
    trigger = next((trigger for trigger, ending in kind.endings.items() if ending == name), None)
    if trigger is None:
        raise KeyError(name)
    state = kind.states[next(row.dest for row in kind.rows if row.trigger == trigger and row.dest != "=")]
    en = state.name.replace("_", " ")
    return FigureMeaning(name, state.zh, en, f"本期以“{state.zh}”了结的件数", f"cases that ended as {en} in the period")


def summed(total: Sum, kind: Definition) -> tuple[str, str]:
    """What a sum adds up and takes away, in both languages."""
    named = {each.name: each for each in kind.sums if each is not total}
    texts = []
    for which in (0, 1):
        plus, minus = (
            [
                (named[n].zh, named[n].en)[which] if n in named and n != total.name else word(kind, n)[which]
                for n in names
            ]
            for names in (total.plus, total.minus)
        )
        texts.append(" − ".join([" + ".join(plus), *minus]))
    return texts[0], texts[1]


def word(kind: Definition, name: str) -> tuple[str, str]:
    """The names of a stored measure; those that only sums show are their own."""
    found = OF_ANY.get(name) or _measured(kind, name)
    return found.zh, found.en
