"""Incidents, alerts and figures for people at a terminal: plain lines that can be piped, read aloud and pasted.

In: rows of the store and the active register. Out: text on stdout. Chinese stands beside English, since the field's
terms are Chinese. Columns are counted as a terminal counts them, two for a Chinese character.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click
import msgspec
from rich.cells import cell_len

from engine.policies import Policies
from engine.store.incident_queries import Connection
from engine.store.rows import StepRow
from engine.views.incident_detail import ClockSheet, IncidentDetail
from engine.views.incident_list import Head, Line
from engine.views.names import Names, active_names
from gridpatrol.render.terms import ALERT_ENDS, CLOCKS, RESULTS, RUNGS, SOURCES, WORDS, both
from schemas import facts as f
from workflows.definitions import DEFINITIONS

EVIDENCE = "证据 evidence:"


class LocalClock:
    """Instants on the wall clock of the active pack."""

    def __init__(self, words: Names) -> None:
        self._local = words.register.clock_of_days.local

    def instant(self, ms: int) -> str:
        """RFC 3339 with its offset."""
        return self._local(ms)

    def minute(self, ms: int | None) -> str:
        """`2026-03-02 09:00`; nothing for no instant."""
        return "" if ms is None else self._local(ms)[:16].replace("T", " ")

    def short(self, ms: int) -> str:
        """`03-02 09:00`: for a story whose year is known."""
        return self.minute(ms)[5:]


def clock_of(connection: Connection) -> LocalClock:
    """The wall clock of the pack that is active."""
    return LocalClock(active_names(connection, Policies()))


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> None:
    """Columns as wide as their widest cell; `right` are those of numbers."""
    cells = [list(heads), *([("" if v is None else str(v)) for v in row] for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        padded = [_padded(text, width, i in right) for i, (text, width) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(padded).rstrip())


def _padded(text: str, width: int, right: bool = False) -> str:
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


# ---- the desk -----------------------------------------------------------------------------------------------


def desk(lines: Sequence[Line], as_of: str, more: bool) -> None:
    """Incidents in brief."""
    rows = [
        (
            item.id,
            f"{item.state_zh} {item.state}",
            item.category.code if item.category else "",
            _owner(item),
            _at(item.opened_at),
            _at(item.due_at),
            _late(item),
        )
        for item in lines
    ]
    table(("incident", "state", "category", "owner", "reported", "due", "late"), rows)
    rest = "; there are more: --limit, or --grid to look closer" if more else ""
    click.echo(f"{len(rows)} incidents as of {as_of}{rest}.")


def _at(instant: str | None) -> str:
    return (instant or "")[:16].replace("T", " ")


def _owner(item: Head) -> str:
    if item.owner is None:
        return ""
    department = f" · {item.owner.department.name}" if item.owner.department else ""
    return f"{item.owner.grid.name}{department}"


def _late(item: Line) -> str:
    return lasted(item.overdue_ms) if item.overdue else ""


def lasted(ms: int) -> str:
    """`3 d 4 h`, `25 min`: the two largest units."""
    minutes = ms // 60_000
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (rest, "min")) if n]
    return " ".join(parts[:2]) or "0 min"


# ---- one incident -------------------------------------------------------------------------------------------


def incident(shown: IncidentDetail, steps: Sequence[StepRow], words: Names) -> None:
    """One incident: what it is, where it stands, and its story, one line per step."""
    known = shown.category
    click.echo(f"{shown.id}  {shown.state_zh} {shown.state}" + (f", cycle {shown.cycle + 1}" if shown.cycle else ""))
    if known:
        click.echo(f"  {known.code} {known.name_zh} {known.name_en}".rstrip())
    if shown.path:
        click.echo("  " + " / ".join(grid.name for grid in shown.path))
    if shown.owner and shown.open:
        click.echo(f"  with {_owner(shown)}")
    for clock in shown.clocks:
        click.echo("  " + _sheet(clock))
    if shown.open and shown.allowed:
        click.echo("  next: " + ", ".join(item.trigger for item in shown.allowed))
    click.echo("")
    for text in story(steps, words):
        click.echo(text)


def _sheet(clock: ClockSheet) -> str:
    """A clock that runs or is paused."""
    name = both(CLOCKS, clock.name)
    if clock.due_at is None:
        return f"{name}: no deadline, since {_at(clock.started_at)}"
    left = f" ({clock.remaining.zh}, {clock.remaining.en})" if clock.remaining else ""
    stands = " paused" if clock.paused else ""
    limit = f"{clock.limit_zh} " if clock.limit_zh else ""
    return f"{name}: {limit}until {_at(clock.due_at)}{stands}{left}"


def story(steps: Sequence[StepRow], words: Names) -> Iterator[str]:
    """One line per step: when, state, who, what. The year stands in the first line only."""
    clock, state = LocalClock(words), ""
    lines = []
    for step in steps:
        told = _Told(step, words, clock)
        state = told.state or state
        lines.append((clock.short(told.instant), _state(told.state, told.definition), told.who, "; ".join(told.said)))
    widths = [max((cell_len(line[i]) for line in lines), default=0) for i in range(3)]
    year = clock.minute(steps[0].at)[:5] if steps else ""
    for number, (when, stood, who, said) in enumerate(lines):
        begin = year if number == 0 else " " * len(year)
        padded = [_padded(text, width) for text, width in zip((when, stood, who), widths, strict=True)]
        yield f"{begin}{'  '.join(padded)}  {said}".rstrip()


def _state(name: str, definition: str) -> str:
    """`处置 handling`; nothing where the step moved nothing."""
    if not name:
        return ""
    states = DEFINITIONS[definition or "incident"].states
    return f"{states[name].zh} {name}" if name in states else name


class _Told:
    """A step put into words."""

    definition = "incident"

    def __init__(self, step: StepRow, words: Names, clock: LocalClock) -> None:
        self.words, self.clock = words, clock
        self.cause = f.decode_cause(step.cause)
        self.instant = step.at
        self.state = ""
        self.said = list[str]()
        for fact in f.decode_facts(step.body):
            self._tell(fact)
        self.who = words.post(self.cause.actor).name if self.cause.actor else "时钟 clock"
        late = step.at - self.instant
        if self.cause.actor and late >= 60_000:
            self.said.append(f"arrived {lasted(late)} later")

    def _tell(self, fact: f.Fact) -> None:
        if isinstance(fact, f.Reported):
            self.definition = fact.definition
        if isinstance(fact, f.Moved):
            self.state, self.instant = fact.state, fact.judged
        elif isinstance(fact, f.ClockRung):
            self.instant = fact.due_at
        speak = _SPEAK.get(type(fact))
        said = speak(fact, self) if speak else ""
        if isinstance(fact, f.Evidenced) and self.said and self.said[-1].startswith(EVIDENCE):
            self.said[-1] += f", {fact.kind}"
        elif said:
            self.said.append(said)

    def grid(self, code: str, department: str = "") -> str:
        """A grid, and perhaps a department of it, by name."""
        name = self.words.grid(code).name
        return f"{name} · {self.words.department(department).name}" if department else name

    def unit(self, code: str) -> str:
        """A department, or a grid, by name."""
        known = self.words.register.departments
        return (self.words.department(code) if code in known else self.words.grid(code)).name

    def posts(self, codes: Iterable[str]) -> str:
        """Posts by their titles."""
        return ", ".join(self.words.post(code).name for code in codes)


def _clock_name(fact: f.ClockFact) -> str:
    return both(CLOCKS, fact.clock)


def _reported(fact: f.Reported, told: _Told) -> str:
    return both(SOURCES, fact.source)


def _assigned(fact: f.Assigned, told: _Told) -> str:
    return f"→ {told.grid(fact.grid, fact.department)}"


def _copied(fact: f.Copied, told: _Told) -> str:
    names = [told.words.post(code).name for code in fact.posts]
    names += [told.words.department(code).name for code in fact.departments]
    return f"抄送 copy to {', '.join(names)}" if names else ""


def _handled(fact: f.Handled, told: _Told) -> str:
    levels = ", ".join(f"L{level}" for level in fact.checks)
    return f"已处置 handled by L{fact.level}" + (f", on-site checks by {levels}" if levels else "")


def _checked(fact: f.Checked, told: _Told) -> str:
    decides = " (决定 decides)" if fact.decides else ""
    return f"现场核查 L{fact.level} checked: {both(WORDS, fact.outcome)}{decides}"


def _reworked(fact: f.Reworked, told: _Told) -> str:
    return f"第{fact.cycle + 1}轮 cycle {fact.cycle + 1} begins" + (" (反复 loop)" if fact.looped else "")


def _started(fact: f.ClockStarted, told: _Told) -> str:
    if fact.due is None:
        return ""
    return f"{_clock_name(fact)} {fact.limit or '按令 by order'} until {told.clock.short(fact.due)}"


def _stopped(fact: f.ClockStopped, told: _Told) -> str:
    if fact.result == "without_deadline":
        return ""
    return f"{_clock_name(fact)} {both(RESULTS, fact.result)} after {lasted(fact.elapsed)}"


def _rung(fact: f.ClockRung, told: _Told) -> str:
    return f"{_clock_name(fact)}: {both(RUNGS, fact.rung)}" + (f" #{fact.repeat + 1}" if fact.repeat else "")


def _paused(fact: f.ClockPaused, told: _Told) -> str:
    return f"{_clock_name(fact)} 暂停 paused"


def _resumed(fact: f.ClockResumed, told: _Told) -> str:
    until = f" until {told.clock.short(fact.due)}" if fact.due is not None else ""
    return f"{_clock_name(fact)} 继续 resumed{until}"


def _retargeted(fact: f.ClockRetargeted, told: _Told) -> str:
    until = told.clock.short(fact.due) if fact.due is not None else "无时限 no deadline"
    return f"{_clock_name(fact)} now {until}"


def _alerted(fact: f.AlertRaised, told: _Told) -> str:
    later = f" at {told.clock.short(fact.not_before)}" if fact.not_before is not None else ""
    return f"告警 tells {told.posts(fact.to)}{later}" if fact.to else ""


def _alert_ended(fact: f.AlertEnded, told: _Told) -> str:
    return f"告警{both(ALERT_ENDS, fact.how)}"


_SPEAK: dict[type[f.Fact], Callable[[Any, _Told], str]] = {
    f.Reported: _reported,
    f.Assigned: _assigned,
    f.Copied: _copied,
    f.Assisting: lambda fact, told: f"协助 assisting: {', '.join(told.unit(code) for code in fact.units)}",
    f.Dissuaded: lambda fact, told: both(WORDS, fact.outcome),
    f.Escalated: lambda fact, told: f"上报上级 escalated L{fact.was_level} → L{fact.level}: {both(WORDS, fact.reason)}",
    f.Returned: lambda fact, told: f"退回 returned: {both(WORDS, fact.reason)}",
    f.Arrived: lambda fact, told: f"到场 on site: {told.words.department(fact.department).name}",
    f.Ordered: lambda fact, told: f"责令整改 ordered to rectify, stage {fact.stage} {fact.unit}".rstrip(),
    f.Rectified: lambda fact, told: f"整改完成 stage {fact.stage} rectified",
    f.Handled: _handled,
    f.Checked: _checked,
    f.Reworked: _reworked,
    f.Suspended: lambda fact, told: (
        f"挂账 suspended: {both(WORDS, fact.reason)}"
        + (f" until {told.clock.short(fact.until)}" if fact.until is not None else "")
    ),
    f.Resumed: lambda fact, told: "恢复 resumed",
    f.Linked: lambda fact, told: f"并入 merged into {fact.into}",
    f.Similar: lambda fact, told: f"疑似重复 perhaps the same as {', '.join(fact.cases)}",
    f.Evidenced: lambda fact, told: f"{EVIDENCE} {fact.kind}",
    f.Noted: lambda fact, told: f"{fact.what} {fact.reason}".rstrip(),
    f.Acknowledged: lambda fact, told: "知悉 acknowledged",
    f.Urged: lambda fact, told: "催办 urged",
    f.Parked: lambda fact, told: f"早到待处理 came early and waits: {short_type(fact.type)}",
    f.Unparked: lambda fact, told: f"早到事件 the early event: {both(WORDS, fact.why)}",
    f.Quarantined: lambda fact, told: "隔离 its clocks stand still" if fact.on else "解除隔离 its clocks run again",
    f.ClockStarted: _started,
    f.ClockStopped: _stopped,
    f.ClockRung: _rung,
    f.ClockPaused: _paused,
    f.ClockResumed: _resumed,
    f.ClockRetargeted: _retargeted,
    f.ClockContradicted: lambda fact, told: f"{_clock_name(fact)}: 实际按期 was done in time after all",
    f.AlertRaised: _alerted,
    f.AlertEnded: _alert_ended,
}
"""What a fact sounds like. Facts that say nothing to a reader of the story are missing."""


def short_type(name: str) -> str:
    """`gridpatrol.incident.accepted.v1` -> `incident.accepted`."""
    return name.removeprefix("gridpatrol.").rsplit(".v", 1)[0]


def alerts(rows: Iterable[Any], words: Names) -> None:
    """Alerts, the latest first."""
    clock = LocalClock(words)
    lines = [
        (
            clock.minute(row.raised_at),
            both_clock(row.clock, row.kind),
            f"L{row.level}" if row.level else "",
            row.case_id,
            both(ALERT_ENDS, row.status),
            ", ".join(words.post(code).name for code in msgspec.json.decode(row.recipients)),
        )
        for row in rows
    ]
    table(("raised", "alert", "level", "incident", "status", "told"), lines)


def both_clock(clock: str, kind: str) -> str:
    """`处置 handle: 到期 due`."""
    return f"{both(CLOCKS, clock)}: {both(RUNGS, kind)}" if clock else both(RUNGS, kind)


def both_end(status: str) -> str:
    """`已解除 resolved`."""
    return both(ALERT_ENDS, status)
