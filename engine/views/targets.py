"""What owners have signed for (目标责任书): each with what it says now, and one opened into its measurements."""

from msgspec import Struct, structs

from engine.policies import Policies
from engine.store import exports, incident_queries
from engine.store.database import Connection
from engine.store.incident_queries import Filters
from engine.views.cursors import read_cursor, write_cursor
from engine.views.incident_detail import UnknownCase
from engine.views.incident_list import each_read
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.past import Order
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion, check_limit, parse_whole
from engine.views.readers import check_list
from schemas import facts
from schemas.kinds.target import MET, MISSED, Target, TargetMeasured, TargetScored
from schemas.value_words import WORDS
from workflows import case as cases
from workflows.case import Case
from workflows.definitions.target import TARGET
from workflows.reading import READS_EVERYTHING, Readable
from workflows.targets.scoring import Counted, Score, counted_of, score, shown

MOST = 500
"""Targets of a page at most."""
BEHIND, AHEAD = "behind", "ahead"
"""What a target says whose year is not over: by what was measured so far it would be missed, or met."""
STANDING = {BEHIND: ("落后", "behind"), AHEAD: ("达进度", "ahead")}


class TargetQuestion(Struct, frozen=True, kw_only=True):
    """Which targets, as texts; empty asks nothing. `owner` is the code of a grid or a department."""

    owner: str = ""
    year: str = ""
    target: str = ""
    grid: str = ""
    standing: str = ""
    limit: int = 100
    cursor: str = ""


class TargetLine(Struct, frozen=True, kw_only=True):
    """A target. `standing` is what it says now: `met`, `missed`, `unscored`, or while its year is not over `behind` or
    `ahead`; `value` the year's value so far, as decimal text. `bound` empty: the text gives none."""

    id: str
    target: str
    indicator_zh: str
    indicator_en: str
    year: int
    owner: Named
    department: Named | None
    state: str
    state_zh: str
    standing: str
    standing_zh: str
    comparison: str
    bound: str
    unit: str
    value: str
    reason: str
    reason_zh: str
    reason_en: str
    measured: int
    used: int
    within: int
    standard: str
    scored_at: str


class TargetPage(Struct, frozen=True):
    """A page of targets, by id. `next` continues it; None: this was the last one."""

    targets: list[TargetLine]
    next: str | None
    as_of: str
    reading: Reading = "now"


class CountedNumber(Struct, frozen=True, kw_only=True):
    """A number that enters the year's value: of a station in a period, or of a section in the year."""

    station: str
    period: str
    number: str
    standard: str
    by: tuple[str, ...]
    within: bool
    reason: str


class MeasuredValue(Struct, frozen=True, kw_only=True):
    """A value as it was recorded. `counts`: none has come later of its station and period."""

    station: str
    period: str
    value: str
    parts: dict[str, str]
    by: Named
    at: str
    corrects: bool
    late: bool
    counts: bool = True


class ToldScore(Struct, frozen=True):
    """What was told of it at an instant, and what before."""

    at: str
    outcome: str
    value: str
    reason: str
    was: str
    was_value: str


class TargetDetail(Struct, frozen=True, kw_only=True):
    """One target, opened."""

    line: TargetLine
    method: str
    each: str
    index: str
    places: int | None
    least: int
    counted: list[CountedNumber]
    values: list[MeasuredValue]
    told: list[ToldScore]
    as_of: str
    reading: Reading = "now"


def target_page(
    connection: Connection,
    policies: Policies,
    question: TargetQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> TargetPage:
    """The targets that are asked for, of those that are read, by id. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, TARGET.name, question.grid)
    check_limit(question.limit, MOST)
    year = parse_whole(question.year) if question.year else None
    if question.year and year is None:
        raise BadQuestion("year", "this is no year", "write it as 2026")
    if question.standing and question.standing not in (*TARGET.states, *STANDING):
        raise BadQuestion("standing", "no target stands like this", f"choose one of: {', '.join(standings())}")
    wanted = Filters(
        now=here.at,
        open=None,
        definitions=(TARGET.name,),
        owner=question.owner,
        category=question.target,
        prefix=prefix_of(names, question.grid) if question.grid else "",
        readable=readable,
    )
    after = incident_queries.After(None, read_cursor(question.cursor, tuple[str])[0]) if question.cursor else None
    found, last = list[TargetLine](), ""
    for _, case in each_read(connection, wanted, Order("id", False, after), question.limit + 1):
        line = target_line(case, names)
        if year in (None, line.year) and question.standing in ("", line.standing):
            if len(found) == question.limit:
                return TargetPage(found, write_cursor(last), names.instant(here.at), here.kind)
            found.append(line)
            last = line.id
    return TargetPage(found, None, names.instant(here.at), here.kind)


def standings() -> list[str]:
    """What a target may say."""
    scored = [name for name, state in TARGET.states.items() if state.terminal]
    return [*scored, *STANDING]


def standing_of(case: Case, now_is: Score) -> tuple[str, str]:
    """What a target says now, and in Chinese."""
    state = TARGET.states[case.state]
    if state.terminal or now_is.outcome not in (MET, MISSED):
        word = case.state if state.terminal else now_is.outcome
        return word, TARGET.states[word].zh
    word = AHEAD if now_is.outcome == MET else BEHIND
    return word, STANDING[word][0]


def target_line(case: Case, names: Names) -> TargetLine:
    """One of them, with what it says now."""
    kept = case.own
    assert isinstance(kept, Target)
    found = score(kept)
    standing, zh = standing_of(case, found)
    owner = kept.department or case.path[-1]
    row = names.register.targets.get((kept.code, owner, kept.year))
    words = WORDS.get(found.reason, ("", ""))
    return TargetLine(
        id=case.id,
        target=kept.code,
        indicator_zh=row.indicator_zh if row else kept.code,
        indicator_en=row.indicator_en if row else kept.code,
        year=kept.year,
        owner=names.grid(case.path[-1]),
        department=names.department(kept.department) if kept.department else None,
        state=case.state,
        state_zh=TARGET.states[case.state].zh,
        standing=standing,
        standing_zh=zh,
        comparison=kept.comparison,
        bound=kept.bound,
        unit=kept.unit,
        value=found.value,
        reason=found.reason,
        reason_zh=words[0],
        reason_en=words[1],
        measured=len(kept.measured),
        used=found.used,
        within=found.within,
        standard=kept.standard,
        scored_at=names.instant(kept.ends),
    )


def target_detail(
    connection: Connection, policies: Policies, id_: str, now: int, readable: Readable = READS_EVERYTHING
) -> TargetDetail:
    """One target with the numbers of its value, every measurement and every score that was told. Raises
    Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    body = incident_queries.read_case(connection, id_)
    case = cases.decode(body) if body else None
    if case is None or not isinstance(case.own, Target) or not readable.reads_case(case):
        raise UnknownCase
    kept, values, told = case.own, list[MeasuredValue](), list[ToldScore]()
    latest = dict[tuple[str, str], int]()
    for step in exports.steps_of(connection, id_):
        at = names.instant(step.at)
        for fact in facts.decode_facts(step.body):
            if isinstance(fact, TargetMeasured):
                latest[fact.station, fact.period] = len(values)
                values.append(value_line(fact, names, at))
            elif isinstance(fact, TargetScored):
                told.append(ToldScore(at, fact.outcome, fact.value, fact.reason, fact.was, fact.was_value))
    counting = set(latest.values())
    return TargetDetail(
        line=target_line(case, names),
        method=kept.method,
        each=kept.each,
        index=kept.index,
        places=kept.places if kept.places >= 0 else None,
        least=kept.least,
        counted=[counted_line(each) for each in counted_of(kept)],
        values=[structs.replace(each, counts=number in counting) for number, each in enumerate(values)],
        told=told,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def counted_line(each: Counted) -> CountedNumber:
    """A number as text."""
    return CountedNumber(
        station=each.station,
        period=each.period,
        number="" if each.number is None else shown(each.number, -1),
        standard=each.standard,
        by=each.by,
        within=each.within,
        reason=each.reason,
    )


def value_line(fact: TargetMeasured, names: Names, at: str) -> MeasuredValue:
    """A value as it was recorded."""
    return MeasuredValue(
        station=fact.station,
        period=fact.period,
        value=fact.value,
        parts=dict(fact.parts),
        by=names.post(fact.by),
        at=at,
        corrects=fact.corrects,
        late=fact.late,
    )
