"""The story of one case: what each step said, in sentences, in Chinese, in English, or in both beside each other.

Facts without a sentence say nothing to a reader. What only one kind of case tells has the sentence of its definition,
which is in both languages.
"""

from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Literal

from msgspec import structs

from engine.store.rows import StepRow
from engine.views.local_times import LocalClock, duration, duration_zh
from engine.views.names import Names
from schemas import facts
from schemas.events import trigger_of
from schemas.line_words import ALERT_ENDS, MOVES, RESULTS, RUNGS
from schemas.members import Fact, Ms
from schemas.value_words import SOURCES, WORDS
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.machine import Definition
from workflows.turn import SENT

Language = Literal["both", "zh", "en"]
EVIDENCE = ("证据", "evidence:")
Terms = Mapping[str, tuple[str, str]]
"""Names of the contract with what they are called in Chinese and in English."""


def definition_of(steps: Iterable[Sequence[Fact]]) -> Definition | None:
    """The kind of a case, by the facts of its steps."""
    births = (fact for known in steps for fact in known if isinstance(fact, facts.Reported | facts.Born))
    first = next(births, None)
    return DEFINITIONS.get(first.definition) if first is not None else None


class StepText:
    """A step put into words. `instant`: when it is judged to have happened, ms UTC; `state`: empty where none moved;
    `speaker`: the title of the post, or what else made the step, of which `by_post` tells."""

    def __init__(
        self,
        step: StepRow,
        known: Sequence[Fact],
        definition: Definition | None,
        names: Names,
        clock: LocalClock,
        language: Language = "both",
    ) -> None:
        self.names, self.clock, self.language = names, clock, language
        self.instant = judged_of(step, known)
        self.state = ""
        self.sentences = list[str]()
        self.named = set[str]()  # grids to which it was assigned in this step
        for fact in known:
            if isinstance(fact, facts.Moved):
                self.state = fact.state
            elif isinstance(fact, facts.Assigned):
                self.named.add(fact.grid)
            sentence = self.of_kind(fact, definition.sentences.get(type(fact), "") if definition else "")
            for told in (_of_way, of_requests, of_other_cases, _of_work, _of_clock):
                sentence = sentence or told(fact, self)
            evidence = self.say(*EVIDENCE)
            if isinstance(fact, facts.Evidenced) and self.sentences and self.sentences[-1].startswith(evidence):
                self.sentences[-1] += f", {self.evidence(fact.kind)}"
            elif sentence:
                self.sentences.append(sentence)
        if definition and self.state in definition.states:
            self.state = self.say(definition.states[self.state].zh, self.state)
        cause = facts.decode_cause(step.cause)
        actor = cause.actor
        nobody = self.say("另一案件", "another case") if cause.type == SENT else self.say("时钟", "clock")
        self.speaker, self.by_post = names.post(actor).name if actor else nobody, bool(actor)
        late = step.at - self.instant
        if actor and late >= 60_000:
            zh = f"{duration_zh(late)}后到达"
            self.sentences.append(zh if language == "zh" else f"arrived {duration(late)} later")

    def say(self, zh: str, en: str) -> str:
        """What is said in the language of the story; in both, the Chinese stands first."""
        return f"{zh} {en}" if self.language == "both" else zh if self.language == "zh" else en

    def both(self, words: str) -> str:
        """`退回 returned`, or one of the two."""
        zh, _, en = words.partition(" ")
        return self.say(zh, en)

    def word(self, terms: Terms, name: str) -> str:
        """`处置 handle`, or one of the two; a name that the table does not know stands for itself."""
        zh, en = terms.get(name, ("" if self.language == "both" else name, name))
        return self.say(zh, en).strip()

    def evidence(self, kind: str) -> str:
        """A kind of evidence."""
        return kind if self.language != "zh" else WORDS.get(kind, (kind, kind))[0]

    def of_kind(self, fact: Fact, sentence: str) -> str:
        """What only one kind of case tells, by the sentence of its definition; in Chinese alone its first words and
        the members."""
        if not sentence:
            return ""
        members = structs.asdict(fact)
        instants = [member.name for member in structs.fields(fact) if member.type == Ms]
        members |= {name: self.clock.minute(members[name]) for name in instants}
        if self.language != "both":
            zh, _, rest = sentence.partition(" ")
            named = [name for _, name, _, _ in Formatter().parse(rest) if name]
            sentence = " ".join((zh, *(f"{{{name}}}" for name in named))) if self.language == "zh" else rest
            worded = {name: WORDS.get(value, (value, value)) for name, value in members.items() if type(value) is str}
            members |= {name: words[self.language == "en"] for name, words in worded.items()}
        return sentence.format(**members)

    def unit(self, code: str) -> str:
        """A department, or a grid, by name."""
        known = self.names.register.departments
        return (self.names.department(code) if code in known else self.names.grid(code)).name

    def gone_on(self, before: str, after: str) -> str:
        """A grid or a department that goes on as another."""
        return f"{self.unit(before)} → {self.unit(after)}" + ("" if self.language == "zh" else " goes on")

    def survivor_ended(self, fact: facts.SurvivorEnded) -> str:
        """A case that went on for this one has ended."""
        if self.language == "zh":
            return f"存续件终结 {fact.case}：{fact.state}"
        return f"{self.say('存续件终结', '').strip()} {fact.case} has ended: {fact.state}".strip()

    def stage(self, number: int) -> str:
        """A stage of what was ordered."""
        return f"第{number}阶段" if self.language == "zh" else f"stage {number}"

    def rectified(self, number: int) -> str:
        """A stage that is done."""
        if self.language == "zh":
            return f"整改完成（第{number}阶段）"
        return f"{self.say('整改完成', '').strip()} stage {number} rectified".strip()

    def posts(self, codes: Iterable[str]) -> str:
        """Posts by their titles."""
        return ", ".join(self.names.post(code).name for code in codes)

    def until(self, due: int | None) -> str:
        """` until 03-02 09:30`; nothing without a deadline."""
        if due is None:
            return ""
        return f"，至 {self.beside(due)}" if self.language == "zh" else f" until {self.beside(due)}"

    def later(self, not_before: int | None) -> str:
        """` at 03-02 09:30` of what is told later."""
        if not_before is None:
            return ""
        return f"（{self.beside(not_before)}）" if self.language == "zh" else f" at {self.beside(not_before)}"

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


def listed_at_report(fact: facts.Reported, step: StepText) -> str:
    """That a problem lies in a grid that was listed when it was reported, since when and by what; empty: in none."""
    if not fact.listed or fact.listed_since is None:
        return ""
    since, by = step.beside(fact.listed_since), fact.listed
    words = step.say(f"重点监控区域（自 {since}，{by}）", f"in a key area, listed since {since} by {by}")
    return f", {words}" if step.language != "zh" else f"，{words}"


def _of_way(fact: Fact, step: StepText) -> str:
    """What is said of the incident's way from unit to unit, and of what stands beside it."""
    names = step.names
    match fact:
        case facts.Reported():
            return step.word(SOURCES, fact.source) + listed_at_report(fact, step)
        case facts.Born():
            return f"{step.say('就', 'about')} {fact.about}" if fact.about else ""
        case facts.Assigned():
            department = f" · {names.department(fact.department).name}" if fact.department else ""
            return f"→ {names.grid(fact.grid).name}{department}"
        case facts.Held(unit=unit) if unit.post or unit.grid not in step.named:
            beside = [names.department(unit.department)] if unit.department else []
            beside += [names.post(unit.post)] if unit.post else []
            return (
                f"{step.say('经手', 'in the hands of')} {' · '.join(n.name for n in (names.grid(unit.grid), *beside))}"
            )
        case facts.Regridded():
            moved = ", ".join(step.gone_on(a, b) for a, b in fact.grids)
            return f"{step.say('网格调整', '').strip()} {moved}".strip()
        case facts.Copied():
            to = [names.post(code).name for code in fact.posts]
            to += [names.department(code).name for code in fact.departments]
            return f"{step.say('抄送', 'copy to')} {', '.join(to)}" if to else ""
        case facts.Escalated():
            levels, why = f"L{fact.was_level} → L{fact.level}", step.word(WORDS, fact.reason)
            return f"{step.say('上报上级', 'escalated')} {levels}: {why}"
        case facts.SpokeUntrained():
            return step.say("未经岗前培训", "a post that has not been trained")
        case facts.GivenAgainstTable():
            other, usual = names.department(fact.department).name, names.department(fact.named).name
            given = f"{step.say('不按责任部门', 'against the table')} {other}"
            return f"{given}, {step.say('应为', 'instead of')} {usual}: {step.word(WORDS, fact.reason)}"
        case facts.Returned():
            return f"{step.both('退回 returned')}: {step.word(WORDS, fact.reason)}"
        case facts.Suspended():
            return f"{step.both('挂账 suspended')}: {step.word(WORDS, fact.reason)}{step.until(fact.until)}"
        case facts.Resumed():
            return step.say("恢复", "resumed")
        case facts.Noted():
            return f"{fact.what} {fact.reason}".rstrip()
        case facts.Acknowledged():
            seen = f": {step.word(CLOCKS, fact.clock)} {step.word(RUNGS, fact.rung)}" if fact.rung else ""
            return f"{step.say('知悉', 'acknowledged')}{seen}"
        case facts.Urged():
            return step.say("催办", "urged")
        case facts.Parked():
            return f"{step.say('早到待处理', 'came early and waits')}: {trigger_of(fact.type)}"
        case facts.Unparked():
            return f"{step.say('早到事件', 'the early event')}: {step.word(WORDS, fact.why)}"
        case facts.Quarantined():
            return (
                step.say("隔离", "its clocks stand still") if fact.on else step.say("解除隔离", "its clocks run again")
            )
    return ""


def of_requests(fact: Fact, step: StepText) -> str:
    """What is said of what was asked for, and of what was decided or found about it."""
    match fact:
        case facts.Proposed(what=what):
            clock = f" {step.word(CLOCKS, fact.clock)}" if fact.clock else ""
            wanted = f" {fact.limit}" if fact.limit else step.until(fact.due or fact.until)
            asked = f"{step.say('申请', 'asked for')}: {step.word(WORDS, what)}"
            return f"{asked}{clock}{wanted}: {step.word(WORDS, fact.reason)}"
        case facts.ProposalDecided(what=what):
            verdict = step.say("批准", "granted") if fact.granted else step.say("不予批准", "refused")
            return f"{verdict}: {step.word(WORDS, what)}"
        case facts.ExemptionRequested():
            clock, ground = step.word(CLOCKS, fact.clock), step.word(WORDS, fact.ground)
            return f"{step.say('申请免责', 'asks for exemption')}: {clock}: {ground}"
        case facts.ExemptionDecided():
            return exemption_decided(fact, step)
        case facts.CampaignNamed():
            remark = (
                f" ({step.say('不计入', 'not counted there')}: {step.word(WORDS, fact.remark)})" if fact.remark else ""
            )
            return f"{step.say('专项行动', 'campaign')} {step.names.campaign(fact.campaign).name}{remark}"
        case facts.RootCauseFound():
            return f"{step.say('问题根源', 'at its root')}: {step.word(WORDS, fact.root_cause)}"
        case facts.ExemptionAppealed():
            return f"{step.say('申诉', 'appeals')}: {step.word(CLOCKS, fact.clock)}"
    return ""


def of_other_cases(fact: Fact, step: StepText) -> str:
    """What is said of what a case has to do with others."""
    match fact:
        case facts.Linked():
            return f"{step.say('并入', 'merged into')} {fact.into}"
        case facts.Absorbed():
            return f"{step.say('并案', 'goes on for')} {', '.join(fact.cases)}"
        case facts.SurvivorEnded():
            return step.survivor_ended(fact)
        case facts.Unserved():
            said = (
                step.say(f"{fact.case} 未能照办", f"{fact.case} could not do what this case asked for")
                if fact.case
                else step.say("未能照办", "could not do what another case asked for")
            )
            return f"{said}: {fact.trigger}, {fact.why}"
        case facts.Similar():
            return f"{step.say('疑似重复', 'perhaps the same as')} {', '.join(fact.cases)}"
        case facts.Visited():
            return f"{step.say('抽查核实', 'visited by lot')}: {step.word(WORDS, fact.outcome)}"
        case facts.Petitioned():
            said = (
                step.say("信访件关联", "a petition waits for it")
                if not fact.crowded
                else step.say("不再接收信访件", "takes no more")
            )
            return f"{said}: {fact.petition}"
        case facts.PetitionLeft():
            return f"{step.say('信访件另行关联', 'a petition waits for another case')}: {fact.petition}"
        case facts.HoldPlaced():
            return step.say(f"挂牌，{fact.by} 销号前不得办结", f"listed, does not end before {fact.by} is cleared")
        case facts.HoldLifted():
            return step.say(f"解除挂牌 {fact.by}", f"barred no more by {fact.by}")
    return ""


def exemption_decided(fact: facts.ExemptionDecided, step: StepText) -> str:
    """A decision on an exemption, with what was found of each condition of 容错."""
    verdict = step.say("准予免责", "exempted") if fact.granted else step.say("不予免责", "not exempted")
    shown = [
        (step.say("主动发现", "found itself"), fact.found),
        (step.say("及时处置", "prompt"), fact.prompt),
        (step.both("整改上报 reported"), fact.reported),
    ]
    said = [*shown, (step.say("无不良后果", "no harm"), fact.harmless)] if fact.granted else shown
    checks = ", ".join(f"{words} {'✓' if holds else '✗'}" for words, holds in said)
    may = step.say("可申诉", "may be appealed")
    appeal = f", {may}{step.until(fact.until)}" if fact.until is not None else ""
    on_appeal = f"{step.say('申诉', 'on appeal')}: " if fact.appeal else ""
    clock, ground = step.word(CLOCKS, fact.clock), step.word(WORDS, fact.ground)
    return f"{on_appeal}{verdict}: {clock}: {ground} ({checks}){appeal}"


def _of_work(fact: Fact, step: StepText) -> str:
    """What is said of the work on site."""
    match fact:
        case facts.Assisting():
            return f"{step.say('协助', 'assisting')}: {', '.join(step.unit(code) for code in fact.units)}"
        case facts.Dissuaded():
            return step.word(WORDS, fact.outcome)
        case facts.Arrived():
            return f"{step.say('到场', 'on site')}: {step.names.department(fact.department).name}"
        case facts.Ordered():
            return f"{step.say('责令整改', 'ordered to rectify')}, {step.stage(fact.stage)} {fact.unit}".rstrip()
        case facts.Rectified():
            return step.rectified(fact.stage)
        case facts.Evidenced():
            return f"{step.say(*EVIDENCE)} {step.evidence(fact.kind)}"
        case facts.Handled():
            levels = ", ".join(f"L{level}" for level in fact.checks)
            if step.language == "zh":
                return f"L{fact.level} 已处置" + (f"，待 {levels} 现场核查" if levels else "")
            return f"{step.both('已处置 handled')} by L{fact.level}" + (
                f", on-site checks by {levels}" if levels else ""
            )
        case facts.Checked():
            decides = f" ({step.say('决定', 'decides')})" if fact.decides else ""
            by = (
                f"现场核查 L{fact.level}"
                if step.language == "zh"
                else f"{step.say('现场核查', '').strip()} L{fact.level} checked"
            )
            return f"{by.strip()}: {step.word(WORDS, fact.outcome)}{decides}"
        case facts.TurnPassed():
            if step.language == "zh":
                return f"核查未到：L{fact.level} 未按时核查，仍须补核"
            return (
                f"{step.say('核查未到', '').strip()} L{fact.level} let its turn pass and still owes its check".strip()
            )
        case facts.Reworked():
            loop = f" ({step.say('反复', 'loop')})" if fact.looped else ""
            return f"{step.say(f'第{fact.cycle + 1}轮', f'cycle {fact.cycle + 1} begins')}{loop}"
        case facts.Reopened():
            loop = f" ({step.say('反复', 'loop')})" if fact.looped else ""
            cycle = step.say(f"第{fact.cycle + 1}轮", f"cycle {fact.cycle + 1} begins")
            return f"{step.say('重办', 'reopened')}: {step.word(WORDS, fact.reason)}, {cycle}{loop}"
    return ""


def _of_clock(fact: Fact, step: StepText) -> str:
    """What is said of clocks and alerts."""
    clock = step.word(CLOCKS, fact.clock) if isinstance(fact, facts.ClockFact) else ""
    match fact:
        case facts.ClockStarted(due=int()):
            return f"{clock} {fact.limit or step.say('按令', 'by order')}{step.until(fact.due)}"
        case facts.ClockStopped() if fact.result != "without_deadline":
            took = (
                f"，用时 {duration_zh(fact.elapsed)}" if step.language == "zh" else f" after {duration(fact.elapsed)}"
            )
            return f"{clock} {step.word(RESULTS, fact.result)}{took}"
        case facts.ClockRung():
            return f"{clock}: {step.word(RUNGS, fact.rung)}" + (f" #{fact.repeat + 1}" if fact.repeat else "")
        case facts.ClockPaused():
            return f"{clock} {step.say('暂停', 'paused')}"
        case facts.ClockResumed():
            return f"{clock} {step.say('继续', 'resumed')}{step.until(fact.due)}"
        case facts.ClockRetargeted():
            due = step.beside(fact.due) if fact.due is not None else step.say("无时限", "no deadline")
            return f"{clock} {'时限改为' if step.language == 'zh' else 'now'} {due}"
        case facts.ClockContradicted():
            return f"{clock}: {step.say('实际按期', 'was done in time after all')}"
        case facts.ClockRecharged():
            department = f" · {step.names.department(fact.charged.department).name}" if fact.charged.department else ""
            return f"{clock} {step.say('改记', 'due to')} {step.names.grid(fact.charged.grid).name}{department}"
        case facts.AlertRaised() if fact.to:
            return f"{step.say('告警', 'tells')} {step.posts(fact.to)}{step.later(fact.not_before)}"
        case facts.NoticeGiven():
            move = step.word(MOVES, fact.on)
            return f"{step.say('告知', 'notice')} {move}: {step.posts(fact.to)}{step.later(fact.not_before)}"
        case facts.AlertEnded():
            alert = "alert " if step.language == "en" else "告警"
            return f"{alert}{step.word(ALERT_ENDS, fact.how)}"
    return ""
