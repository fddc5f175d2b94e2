"""An assessment for people (考核): the sheet of a card and a period, computed when it is read, in words, and opened.

It is a reading and no fact: nothing is published by it, and nobody is told. What a sheet counts was known at one
instant (`as_of`): the end of the period's days of grace, or another that is asked for. While the period runs it counts
the days that are over. The pack is the one in force at the end of the last day that counts.

Every line opens: `opens` has for each term above and below the line the question to `/v1/performance/cases` that lists
the cases behind it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from engine.policies import Policies
from engine.slice.entering import active_at
from engine.store import slices
from engine.store.database import Connection
from engine.views.assessment_rows import kind_of, rows_of
from engine.views.deductions import supervisions
from engine.views.figure_question import dashed, parse_day
from engine.views.names import Names, active_names
from engine.views.past import cases_at
from engine.views.present import Present, reading_of
from engine.views.questions import BadQuestion
from engine.views.readers import NotReadable, extent
from schemas.partition import partition_of
from workflows.assessment.cards import Card, CardLine, card_codes, card_of
from workflows.assessment.consequences import Proposal, parse_when, propose
from workflows.assessment.filed import MONTHS_OF, FiledSheet, Still, digest, filed, period_before
from workflows.assessment.scoring import GroupLine, Score, ScoreLine, Sheet, Subject, score
from workflows.assessment.terms import EXPECTED, clock_of_result, plain_term
from workflows.assessment.veto import GRADE, vetoed
from workflows.clocks.calendar import day_number, day_of_number
from workflows.figures import MONTHS, period_bounds, publication_day
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable

_PERIOD = re.compile(r"(\d{4})(?:-?([QH])(\d)|-(\d{2}))?", re.ASCII)
AsOf = Literal["final", "running", "as_known_then", "stored"]
"""What a sheet is as of: the end of the days of grace, the present while they are not over, or what was asked for; or
it is one that was stored."""


class AssessmentQuestion(Struct, frozen=True, kw_only=True):
    """What is asked, as texts. Without a card it is the only one of the pack, without a period the one that holds the
    present day."""

    card: str = ""
    period: str = ""  # 2026, 2026-H1, 2026-Q3, 2026-08, or a local day in it
    at: str = ""  # as of this instant, as known then
    hash: str = ""  # of a stored sheet, which is asked for alone


class IndicatorMeaning(Struct, frozen=True, kw_only=True):
    """A line of the card in words. `zero_at` and `full_at` are in hundredths of the unit, `weight` and `cap` points."""

    code: str
    zh: str
    en: str
    says_zh: str
    says_en: str
    unit: str
    direction: str
    definition: str
    found: str
    weight: int
    bonus: bool
    zero_at: int
    full_at: int
    cap: int
    min_n: int
    basis: str


class LineOfScore(Struct, frozen=True, kw_only=True):
    """What a subject has of a line: as `workflows.assessment.scoring.ScoreLine`, with the questions that open its terms
    into cases."""

    points: int
    value: int | None
    above: int
    below: int
    left_out: str
    groups: dict[str, GroupLine]
    opens: dict[str, str]


class SubjectLine(Struct, frozen=True, kw_only=True):
    """A subject with its total in hundredths of a point, its place among its peers, and its lines by indicator."""

    key: str
    name: str
    peer: str
    place: int | None
    tied: bool
    of: int
    thin: bool
    total: int
    bonus: int
    lines: dict[str, LineOfScore]
    grade: str = ""  # veto (一票否决): one was decided and stands; points and place are as they are without it
    vetoes: list[str] = []  # the supervisions by which


class AssessmentPage(Struct, frozen=True, kw_only=True):
    """A sheet in words. `sheet` is the hash of the whole of it, also where a reader sees a part: `unread` subjects have
    figures that are not read, and are left out. `still` counts what the sheet names as standing still, and `stands` has
    it for who reads all of the sheet."""

    card: str
    title_zh: str
    title_en: str
    year: int
    period: str
    since: str
    until: str
    as_of: str
    reading: AsOf
    pack: str
    form: int
    sheet: str
    subjects: str
    level: int
    scores: list[SubjectLine]
    proposals: list[Proposal]
    indicators: list[IndicatorMeaning]
    unread: int = 0
    remark: str = ""
    still: int = 0
    stands: Still = Still()


class Asked(NamedTuple):
    """A question as it is read."""

    names: Names
    card: Card
    since: int
    until: int
    as_of: int
    reading: AsOf
    whole: bool  # all days of the period are counted, and known as they are to be
    remark: str = ""


def assessment_page(
    connection: Connection,
    policies: Policies,
    question: AssessmentQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> AssessmentPage:
    """The sheet that is asked for. Raises Unanswerable: also where the figures of no subject are read."""
    asked = ask(connection, policies, question, now)
    names, card, register = asked.names, asked.card, asked.names.register
    rows = rows_of(connection, register, card, asked.since, asked.until, asked.as_of)
    sheet = score(card, rows)
    before = sheet_before(connection, register, card, asked.since, asked.as_of) if asked.whole else None
    proposed = propose(card, sheet, {each.code: each.path for each in rows.subjects}, before) if asked.whole else []
    vetoes = vetoes_of(connection, register, card, (asked.since, asked.until), asked.as_of)
    shown = vetoes_read(connection, vetoes, now, readable)
    whole = filed(sheet, Still(), vetoes)
    return page_of(names, card, whole, rows.subjects, proposed, readable, asked.reading, asked.remark, shown)


def page_of(
    names: Names,
    card: Card,
    sheet: FiledSheet,
    subjects: Sequence[Subject],
    proposed: Sequence[Proposal],
    readable: Readable,
    reading: AsOf,
    remark: str = "",
    vetoes: Mapping[str, list[str]] | None = None,
) -> AssessmentPage:
    """A sheet in words, as far as it is read."""
    register = names.register
    read = subjects_read(readable, register, card, subjects)
    first = dashed(sheet.since), dashed(sheet.until), names.instant(sheet.as_of)
    unread = len(subjects) - len(read)
    return AssessmentPage(
        card=card.code,
        title_zh=card.title_zh,
        title_en=card.title_en,
        year=card.year,
        period=card.period,
        since=first[0],
        until=first[1],
        as_of=first[2],
        reading=reading,
        pack=sheet.pack,
        form=sheet.form,
        sheet=digest(sheet),
        subjects=card.subjects,
        level=card.level,
        scores=[
            subject_line(names, card, each, first, (vetoes or {}).get(each.subject, []))
            for each in in_order(sheet)
            if each.subject in read
        ],
        proposals=[each for each in proposed if each.subject in read],
        indicators=[meaning(register, card, line) for line in card.lines],
        unread=unread,
        remark=remark,
        still=sheet.still,
        stands=Still() if unread else Still(sheet.halted, sheet.standing, sheet.quarantined),
    )


# ---- the question -------------------------------------------------------------------------------------------


def ask(connection: Connection, policies: Policies, question: AssessmentQuestion, now: int) -> Asked:
    """Read a question: its card, its days, and the instant as of which they are counted. Raises BadQuestion."""
    names = active_names(connection, policies)
    here = reading_of(connection, names, now, question.at)
    days = names.register.clock_of_days
    known = card_codes(names.register.pack)
    code = question.card or (known[0] if len(known) == 1 else "")
    current = card_of(names.register.pack, code, 9999)
    if current is None:
        remedy = f"choose one of: {', '.join(known)}" if known else "add scorecards.csv to the pack, and activate it"
        raise BadQuestion("card", "the active pack has no such card", remedy)
    since, until = bounds(question.period, current.period, days.local_day(here.at))
    if since > days.local_day(here.at):
        raise BadQuestion("period", "this period is still to come", "ask for one that has begun")
    last = until
    as_of, until, reading = known_at(names, here, since, until)
    register = register_at(connection, policies, names.register, days.day_start(publication_day(until, 1)) - 1)
    card = card_of(register.pack, code, until // 10_000)
    if card is None:
        raise BadQuestion("period", "no card of this code was in force on the last day of this period")
    return Asked(
        Names(register), card, since, until, as_of, reading, until == last and reading != "running", here.remark
    )


def bounds(text: str, period: str, today: int) -> tuple[int, int]:
    """First and last local day of a period as people write it: `2026`, `2026-H1`, `2026-Q3`, `2026-08`, or a day in it;
    empty: the one that holds today. Raises BadQuestion for one of another length than the card's."""
    match = _PERIOD.fullmatch(text.strip().upper())
    if match is None or not text:
        return period_bounds(parse_day("period", text) if text else today, period)
    year, letter, number, month = match.groups()
    months = MONTHS_OF[letter] if letter else 1 if month else 12
    first = (int(number or month or 1) - 1) * months + 1
    if not 1900 <= int(year) < 3000 or not 1 <= first <= 12:
        raise BadQuestion("period", "this is no period", "write 2026, 2026-H1, 2026-Q3, 2026-08, or a day in it")
    if months != MONTHS[period]:
        raise BadQuestion(
            "period", f"what is asked for goes by {period}", "name a period of that length, or a day in it"
        )
    return period_bounds(int(year) * 10_000 + first * 100 + 1, period)


def known_at(names: Names, here: Present, since: int, until: int) -> tuple[int, int, AsOf]:
    """As of when a sheet is, the last day that it counts, and which reading that is. Raises BadQuestion where no day of
    the period is over."""
    days = names.register.clock_of_days
    over = day_of_number(day_number(days.local_day(here.at)) - 1)
    if over < since:
        raise BadQuestion("period", "no day of this period is over yet", "ask again tomorrow, or for the one before")
    final = final_instant(names.register, until)
    if here.kind == "as_known_then":
        return here.at, min(until, over), "as_known_then"
    return (final, until, "final") if final <= here.at else (here.at, min(until, over), "running")


def final_instant(register: Policy, until: int) -> int:
    """As of when the sheet of a period is that ends on a local day: the last millisecond (UTC) of its days of grace."""
    grace_ends = publication_day(until, register.options.grace_days)
    return register.clock_of_days.day_start(publication_day(grace_ends, 1)) - 1


def register_at(connection: Connection, policies: Policies, active: Policy, at: int) -> Policy:
    """The pack that was in force at an instant, in the home of the root."""
    rows = slices.read_partitions(connection)
    home = partition_of(active.root, len(rows))
    row = next((row for row in rows if row.partition == home), None)
    return active if row is None else policies.get(connection, active_at(row, at))


# ---- the answer ---------------------------------------------------------------------------------------------


def any_twice(card: Card) -> bool:
    """Whether a consequence asks for the period before, too."""
    return any((when := parse_when(row.when)) is not None and when.twice for row in card.consequences)


def sheet_before(connection: Connection, register: Policy, card: Card, first: int, as_of: int) -> Sheet | None:
    """The sheet of the period before the one that begins on a local day, by the card and the pack of that one, as of
    its own days of grace; None where no consequence asks for it, or there is none."""
    if not any_twice(card):
        return None
    since, until = period_before(first, card.period)
    earlier = card_of(register.pack, card.code, until // 10_000)
    if earlier is None or earlier.period != card.period:
        return None
    rows = rows_of(connection, register, earlier, since, until, min(as_of, final_instant(register, until)))
    return score(earlier, rows)


def subjects_read(readable: Readable, register: Policy, card: Card, subjects: Sequence[Subject]) -> set[str]:
    """The subjects whose figures are read, of every kind of case that the card counts. Raises NotReadable."""
    kinds = sorted({kind_of(register, line.indicator).name for line in card.lines})

    def reads(subject: Subject) -> bool:
        path = "".join(f"/{code}" for code in subject.path) + "/"
        department, post = (subject.code if card.subjects == each else "" for each in ("department", "post"))
        return all(readable.of(kind).reads_figures(path, department, post) for kind in kinds)

    found = {subject.code for subject in subjects if reads(subject)}
    if not found and subjects:
        reason = f"principal {readable.who} reads {extent(readable, kinds[0])}, and no subject of this card is that"
        raise NotReadable("card", reason, "ask for a card of a level that you read")
    return found


def in_order(sheet: Sheet) -> list[Score]:
    """Scores by peer group and place; those without a place after them."""
    return sorted(sheet.scores, key=lambda each: (each.peer, each.place is None, each.place or 0, each.subject))


def vetoes_of(
    connection: Connection, register: Policy, card: Card, days: tuple[int, int], as_of: int
) -> dict[str, tuple[str, ...]] | None:
    """The vetoes that stand in the sheet of a year, by subject, as known at an instant (ms UTC); None for another
    period."""
    if card.period != "year":
        return None
    vetoing = {action.action for action in register.pack.actions if action.veto}
    read = supervisions(connection, "", as_of, READS_EVERYTHING) if vetoing else ()
    ids = [case.id for case in read if case.category in vetoing]
    return vetoed(cases_at(connection, ids, as_of), register, card.subjects, days)


def vetoes_read(
    connection: Connection, vetoes: Mapping[str, Sequence[str]] | None, now: int, readable: Readable
) -> dict[str, list[str]]:
    """Of vetoes those that are read."""
    if not vetoes:
        return {}
    read = {case.id for case in supervisions(connection, "", now, readable)}
    return {subject: [id_ for id_ in ids if id_ in read] for subject, ids in vetoes.items()}


def subject_line(names: Names, card: Card, found: Score, days: tuple[str, str, str], vetoes: list[str]) -> SubjectLine:
    """A subject in words."""
    named = {"grid": names.grid, "department": names.department, "post": names.post}[card.subjects]
    rows = {line.indicator.code: line for line in card.lines}
    return SubjectLine(
        key=found.subject,
        name=named(found.subject).name,
        peer=found.peer,
        place=found.place,
        tied=found.tied,
        of=found.of,
        thin=found.thin,
        total=found.total,
        bonus=found.bonus,
        grade=GRADE if vetoes else "",
        vetoes=vetoes,
        lines={
            line.indicator: line_of_score(card, rows[line.indicator], line, found.subject, days) for line in found.lines
        },
    )


def line_of_score(card: Card, of: CardLine, line: ScoreLine, subject: str, days: tuple[str, str, str]) -> LineOfScore:
    """A line with the questions that open its terms. What is expected of duties has no case to be opened."""
    indicator = of.indicator
    terms = [plain_term(term) for term in (*indicator.numerator, *indicator.denominator, *indicator.subtracted)]
    return LineOfScore(
        points=line.points,
        value=line.value,
        above=line.above,
        below=line.below,
        left_out=line.left_out,
        groups={each.group: each for each in line.groups},
        opens={term: opening(card, of, term, subject, days) for term in dict.fromkeys(terms) if term != EXPECTED},
    )


def opening(card: Card, line: CardLine, term: str, subject: str, days: tuple[str, str, str]) -> str:
    """The question that lists the cases behind a term."""
    indicator, (since, until, as_of) = line.indicator, days
    asked = {
        "measure": term,
        "definition": indicator.definition,
        card.subjects: subject,
        "category": indicator.category,
        "clock": clock_of_result(term),
        "found": indicator.found,
        "from": since,
        "to": until,
        "at": as_of,
    }
    return f"/v1/performance/cases?{urlencode({name: value for name, value in asked.items() if value})}"


def meaning(register: Policy, card: Card, line: CardLine) -> IndicatorMeaning:
    """A line of a card in words."""
    row, indicator = line.row, line.indicator
    return IndicatorMeaning(
        code=indicator.code,
        zh=indicator.name_zh,
        en=indicator.name_en,
        says_zh=indicator.says_zh,
        says_en=indicator.says_en,
        unit=indicator.unit,
        direction=indicator.direction,
        definition=kind_of(register, indicator).name,
        found=indicator.found,
        weight=row.weight,
        bonus=row.bonus,
        zero_at=row.zero_at,
        full_at=row.full_at,
        cap=row.cap,
        min_n=card.least(line),
        basis=row.basis or indicator.basis,
    )
