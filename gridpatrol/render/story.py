"""The story of one incident, one line per step: when, the state it led to, who, and a sentence per fact.

Chinese stands beside English, since the field's terms are Chinese. Facts without a sentence say nothing to a reader.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import structs
from rich.cells import cell_len

from engine.store.rows import StepRow
from engine.views.names import Names
from gridpatrol.render.tables import LocalClock, duration, pad
from gridpatrol.render.terms import both
from schemas import facts
from schemas.line_words import ALERT_ENDS, MOVES, RESULTS, RUNGS
from schemas.members import Fact, Ms
from schemas.value_words import SOURCES, WORDS
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.machine import Definition
from workflows.turn import SENT

EVIDENCE = "证据 evidence:"


def story(steps: Sequence[StepRow], names: Names) -> Iterator[str]:
    """One line per step. The year stands in the first line, and wherever it is another one than in the line above."""
    clock = LocalClock(names)
    decoded = [(step, facts.decode_facts(step.body)) for step in steps]
    births = [f for _, known in decoded for f in known if isinstance(f, facts.Reported | facts.Born)]
    definition = DEFINITIONS.get(births[0].definition) if births else None
    lines = [StepText(step, known, definition, names, clock) for step, known in decoded]
    columns = [(clock.minute(line.instant)[5:], line.state, line.speaker) for line in lines]
    widths = [max((cell_len(row[i]) for row in columns), default=0) for i in range(3)]
    above = ""
    for line, row in zip(lines, columns, strict=True):
        year = clock.minute(line.instant)[:5]
        begin = year if year != above else " " * len(year)
        above = year
        padded = [pad(text, width) for text, width in zip(row, widths, strict=True)]
        yield f"{begin}{'  '.join(padded)}  {'; '.join(line.sentences)}".rstrip()


class StepText:
    """A step put into words. `instant`: when it is judged to have happened, ms UTC; `state`: empty where none moved."""

    def __init__(
        self,
        step: StepRow,
        known: Sequence[Fact],
        definition: Definition | None,
        names: Names,
        clock: LocalClock,
    ) -> None:
        self.names, self.clock = names, clock
        self.instant = judged_of(step, known)
        self.state = ""
        self.sentences = list[str]()
        self.named = set[str]()  # grids to which it was assigned in this step
        for fact in known:
            if isinstance(fact, facts.Moved):
                self.state = fact.state
            elif isinstance(fact, facts.Assigned):
                self.named.add(fact.grid)
            own, members = definition.sentences.get(type(fact), "") if definition else "", structs.asdict(fact)
            if own:
                instants = [member.name for member in structs.fields(fact) if member.type == Ms]
                members |= {name: clock.minute(members[name]) for name in instants}
            sentence = own.format(**members) if own else ""
            sentence = sentence or _of_way(fact, self) or _of_work(fact, self) or _of_clock(fact, self)
            if isinstance(fact, facts.Evidenced) and self.sentences and self.sentences[-1].startswith(EVIDENCE):
                self.sentences[-1] += f", {fact.kind}"
            elif sentence:
                self.sentences.append(sentence)
        if definition and self.state in definition.states:
            self.state = f"{definition.states[self.state].zh} {self.state}"
        cause = facts.decode_cause(step.cause)
        actor, nobody = cause.actor, "另一案件 another case" if cause.type == SENT else "时钟 clock"
        self.speaker = names.post(actor).name if actor else nobody
        late = step.at - self.instant
        if actor and late >= 60_000:
            self.sentences.append(f"arrived {duration(late)} later")

    def unit(self, code: str) -> str:
        """A department, or a grid, by name."""
        known = self.names.register.departments
        return (self.names.department(code) if code in known else self.names.grid(code)).name

    def posts(self, codes: Iterable[str]) -> str:
        """Posts by their titles."""
        return ", ".join(self.names.post(code).name for code in codes)

    def until(self, due: int | None) -> str:
        """` until 03-02 09:30`; nothing without a deadline."""
        return "" if due is None else f" until {self.beside(due)}"

    def beside(self, ms: int) -> str:
        """An instant, with its year where that is not the one of the step."""
        return self.clock.beside(ms, self.instant)


def judged_of(step: StepRow, known: Sequence[Fact]) -> int:
    """When a step is judged to have happened, ms UTC: its arrival, unless it moved the case or fired."""
    instant = step.at
    for fact in known:
        if isinstance(fact, facts.Moved):
            instant = fact.judged
        elif isinstance(fact, facts.ClockRung):
            instant = fact.due_at
    return instant


def _of_way(fact: Fact, step: StepText) -> str:
    """What is said of the incident's way from unit to unit, and of what stands beside it."""
    names = step.names
    match fact:
        case facts.Reported():
            return both(SOURCES, fact.source)
        case facts.Born():
            return f"就 about {fact.about}" if fact.about else ""
        case facts.Assigned():
            department = f" · {names.department(fact.department).name}" if fact.department else ""
            return f"→ {names.grid(fact.grid).name}{department}"
        case facts.Held(unit=unit) if unit.post or unit.grid not in step.named:
            beside = [names.department(unit.department)] if unit.department else []
            beside += [names.post(unit.post)] if unit.post else []
            return f"经手 in the hands of {' · '.join(n.name for n in (names.grid(unit.grid), *beside))}"
        case facts.Regridded():
            return "网格调整 " + ", ".join(f"{step.unit(a)} → {step.unit(b)} goes on" for a, b in fact.grids)
        case facts.Copied():
            to = [names.post(code).name for code in fact.posts]
            to += [names.department(code).name for code in fact.departments]
            return f"抄送 copy to {', '.join(to)}" if to else ""
        case facts.Escalated():
            return f"上报上级 escalated L{fact.was_level} → L{fact.level}: {both(WORDS, fact.reason)}"
        case facts.Returned():
            return f"退回 returned: {both(WORDS, fact.reason)}"
        case facts.HoldPlaced():
            return f"挂牌 listed, does not end before {fact.by} is cleared"
        case facts.HoldLifted():
            return f"解除挂牌 barred no more by {fact.by}"
        case facts.Suspended():
            return f"挂账 suspended: {both(WORDS, fact.reason)}{step.until(fact.until)}"
        case facts.Resumed():
            return "恢复 resumed"
        case facts.Proposed(what=what):
            clock = f" {both(CLOCKS, fact.clock)}" if fact.clock else ""
            wanted = f" {fact.limit}" if fact.limit else step.until(fact.due or fact.until)
            return f"申请 asked for: {both(WORDS, what)}{clock}{wanted}: {both(WORDS, fact.reason)}"
        case facts.ProposalDecided(what=what):
            verdict = "批准 granted" if fact.granted else "不予批准 refused"
            return f"{verdict}: {both(WORDS, what)}"
        case facts.Linked():
            return f"并入 merged into {fact.into}"
        case facts.Absorbed():
            return f"并案 goes on for {', '.join(fact.cases)}"
        case facts.SurvivorEnded():
            return f"存续件终结 {fact.case} has ended: {fact.state}"
        case facts.Unserved():
            return f"未能照办 could not do what another case asked for: {fact.trigger}, {fact.why}"
        case facts.Similar():
            return f"疑似重复 perhaps the same as {', '.join(fact.cases)}"
        case facts.Noted():
            return f"{fact.what} {fact.reason}".rstrip()
        case facts.Acknowledged():
            seen = f": {both(CLOCKS, fact.clock)} {both(RUNGS, fact.rung)}" if fact.rung else ""
            return f"知悉 acknowledged{seen}"
        case facts.Urged():
            return "催办 urged"
        case facts.Parked():
            return f"早到待处理 came early and waits: {fact.type.removeprefix('gridpatrol.').rsplit('.v', 1)[0]}"
        case facts.Unparked():
            return f"早到事件 the early event: {both(WORDS, fact.why)}"
        case facts.Quarantined():
            return "隔离 its clocks stand still" if fact.on else "解除隔离 its clocks run again"
    return ""


def _of_work(fact: Fact, step: StepText) -> str:
    """What is said of the work on site."""
    match fact:
        case facts.Assisting():
            return f"协助 assisting: {', '.join(step.unit(code) for code in fact.units)}"
        case facts.Dissuaded():
            return both(WORDS, fact.outcome)
        case facts.Arrived():
            return f"到场 on site: {step.names.department(fact.department).name}"
        case facts.Ordered():
            return f"责令整改 ordered to rectify, stage {fact.stage} {fact.unit}".rstrip()
        case facts.Rectified():
            return f"整改完成 stage {fact.stage} rectified"
        case facts.Evidenced():
            return f"{EVIDENCE} {fact.kind}"
        case facts.Handled():
            levels = ", ".join(f"L{level}" for level in fact.checks)
            return f"已处置 handled by L{fact.level}" + (f", on-site checks by {levels}" if levels else "")
        case facts.Checked():
            decides = " (决定 decides)" if fact.decides else ""
            return f"现场核查 L{fact.level} checked: {both(WORDS, fact.outcome)}{decides}"
        case facts.TurnPassed():
            return f"核查未到 L{fact.level} let its turn pass and still owes its check"
        case facts.Reworked():
            loop = " (反复 loop)" if fact.looped else ""
            return f"第{fact.cycle + 1}轮 cycle {fact.cycle + 1} begins{loop}"
    return ""


def _of_clock(fact: Fact, step: StepText) -> str:
    """What is said of clocks and alerts."""
    clock = both(CLOCKS, fact.clock) if isinstance(fact, facts.ClockFact) else ""
    match fact:
        case facts.ClockStarted(due=int()):
            return f"{clock} {fact.limit or '按令 by order'}{step.until(fact.due)}"
        case facts.ClockStopped() if fact.result != "without_deadline":
            return f"{clock} {both(RESULTS, fact.result)} after {duration(fact.elapsed)}"
        case facts.ClockRung():
            return f"{clock}: {both(RUNGS, fact.rung)}" + (f" #{fact.repeat + 1}" if fact.repeat else "")
        case facts.ClockPaused():
            return f"{clock} 暂停 paused"
        case facts.ClockResumed():
            return f"{clock} 继续 resumed{step.until(fact.due)}"
        case facts.ClockRetargeted():
            due = step.beside(fact.due) if fact.due is not None else "无时限 no deadline"
            return f"{clock} now {due}"
        case facts.ClockContradicted():
            return f"{clock}: 实际按期 was done in time after all"
        case facts.ClockRecharged():
            department = f" · {step.names.department(fact.charged.department).name}" if fact.charged.department else ""
            return f"{clock} 改记 due to {step.names.grid(fact.charged.grid).name}{department}"
        case facts.AlertRaised() if fact.to:
            later = f" at {step.beside(fact.not_before)}" if fact.not_before is not None else ""
            return f"告警 tells {step.posts(fact.to)}{later}"
        case facts.NoticeGiven():
            later = f" at {step.beside(fact.not_before)}" if fact.not_before is not None else ""
            return f"告知 notice {both(MOVES, fact.on)}: {step.posts(fact.to)}{later}"
        case facts.AlertEnded():
            return f"告警{both(ALERT_ENDS, fact.how)}"
    return ""
