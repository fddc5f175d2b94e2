"""What if another pack had been in force (`gridpatrol whatif`)? Recorded history decided twice, and compared.

1. The log up to an instant is decided again into two databases that are thrown away: as it was, and with another pack
   in the place of every one that was activated from an instant on. Nothing is written to the one that is asked. What
   came before that instant is decided once; from there on a second process decides one side, if there is enough.
2. People acted under the pack that they had. What the other one asks for beyond it nobody was ever asked: a case that
   is over as it was and waits under the other pack is counted apart, with the deadlines that it misses since the two
   went different ways. What the other pack would have refused is said and counted, and not repaired.
3. What falls due after the last record is open on both sides.
4. What a case says to one of another home stands in the log. Under the other pack a recorded one stands where the very
   same is said, else it falls away; what is said anew arrives a second after its cause. While that changes what
   follows, that side is decided once more.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any

from msgspec import UNSET, Struct

from consumers.whatif.deciding import Decided
from consumers.whatif.history import Instead
from engine.policies import Policies
from engine.store import compare
from engine.store.database import Connection
from engine.views.assessment import AssessmentQuestion, assessment_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.names import active_names
from engine.views.performance import performance_page
from schemas import facts
from schemas.derived_ids import home_subject
from schemas.instants import written
from schemas.partition import home_of
from workflows.case import TOTAL

STEPS = compare.Columns(("case_id", "seq", "at", "body"), 2)
PACK = re.compile(r'"policy":"[0-9a-f]{64}"')
CASES = compare.Columns(("id", "definition", "open"), 1)
OUTCOMES = compare.Columns(("partition", "source", "id", "home", "actor", "outcome", "reason"), 5)


class Side(Struct):
    """What became of history from the instant on: as it was, or under the other pack."""

    lapses: dict[str, int]  # missed deadlines, by clock
    alerts: int
    notices: int  # posts that were told, one for each word
    told: dict[str, int]  # alerts and notices, by post
    endings: dict[str, int]  # of the whole case: on_time, overdue, without_deadline
    open: int  # cases that are open at the end


class Difference(Struct, frozen=True, omit_defaults=True):
    """The first step of a case that differs: its number, when it arrived on either side (empty: there it has none) and
    the first facts that differ."""

    case: str
    seq: int
    was_at: str
    would_be_at: str
    was: facts.AnyFact | None
    would_be: facts.AnyFact | None


class NeverAsked(Struct):
    """Cases that were over and wait under the other pack for what nobody was asked for, and what they miss since."""

    cases: int = 0
    lapses: dict[str, int] = {}


class Placed(Struct):
    """One unit among its peers, by the rate of what is closed on time: basis points and place, on both sides. None:
    there was nothing to close, or too little for a place."""

    unit: str
    name: str
    was: int | None
    was_place: int | None
    would_be: int | None
    would_be_place: int | None


class Scored(Struct):
    """One subject of a card: hundredths of a point and place, on both sides. None: it is thin, or not assessed."""

    subject: str
    name: str
    was: int | None
    was_place: int | None
    would_be: int | None
    would_be_place: int | None


class WhatIf(Struct):
    """The answer. `refused`: events that were done and would have been refused, by reason; `taken`: the other way."""

    pack: str
    since: str
    until: str
    records: int
    fallen: int  # what cases said to those of other homes, and would not have
    anew: int  # what they would have said, and did not
    was: Side
    would_be: Side
    never_asked: NeverAsked
    refused: dict[str, int]
    taken: int
    differing: int  # cases of which some fact differs
    differences: list[Difference]  # the first ones, by case
    places: list[Placed]  # the grids in which homes lie, since the local day of the instant
    scores: list[Scored] = []  # of the card that was asked for


class Tally:
    """What the facts of one side say, added up case by case."""

    def __init__(self) -> None:
        self.lapses = Counter[str]()
        self.apart = Counter[str]()  # of cases that wait for what nobody was asked for
        self.told = Counter[str]()
        self.endings = Counter[str]()
        self.alerts = self.notices = 0

    def add(self, found: Iterable[facts.AnyFact], apart: Iterable[facts.AnyFact]) -> None:
        """The facts of one case, and those that count apart. A missed deadline counts once, unless it turns out that it
        was met."""
        for counter, some in ((self.lapses, found), (self.apart, apart)):
            missed = dict[tuple[str, int, int, int], str]()
            for fact in some:
                if isinstance(fact, facts.ClockFact):
                    key = fact.clock, fact.level, fact.cycle, fact.target
                    if isinstance(fact, facts.ClockContradicted):
                        missed.pop(key, None)
                    elif lapses(fact):
                        missed[key] = fact.clock
            counter.update(missed.values())
        for fact in found:
            if isinstance(fact, facts.AlertRaised):
                self.alerts += 1
                self.told.update(fact.to)
            elif isinstance(fact, facts.NoticeGiven):
                self.notices += len(fact.to)
                self.told.update(fact.to)
            elif isinstance(fact, facts.ClockStopped) and fact.clock == TOTAL:
                self.endings[fact.result] += 1

    def side(self, still_open: int) -> Side:
        """The sums, with how many cases are open at the end."""
        lapses, told, endings = (dict(sorted(each.items())) for each in (self.lapses, self.told, self.endings))
        return Side(lapses, self.alerts, self.notices, told, endings, still_open)


def lapses(fact: facts.ClockFact) -> bool:
    """Whether a fact says that a deadline was missed: its rung fired, or the clock stopped late."""
    if isinstance(fact, facts.ClockRung):
        return fact.breach
    return isinstance(fact, facts.ClockStopped) and (fact.lapsed or (fact.result == "overdue" and not fact.again))


def compared(
    sides: Decided,
    instead: Instead,
    until: int,
    most: int = 20,
    case: str = "",
    assessed: AssessmentQuestion | None = None,
) -> WhatIf:
    """What differs from the instant on. `most`: so many cases are shown, or one alone, by its id. `assessed`: the card
    and period of which scores are told; BadQuestion where either side has no such card."""
    was_open, open_there = ({id_: kind for id_, kind in open_cases(side)} for side in (sides.was, sides.would_be))
    was, would_be, found, differing = Tally(), Tally(), list[Difference](), 0
    waiting = 0
    for id_, here, there in by_case(sides):
        first = next((n for n, (a, b) in enumerate(zip_longest(here, there)) if a != b), None)
        if first is not None:
            differing += 1
            if (id_ == case) if case else len(found) < most:
                found.append(difference(id_, first, here, there))
        never_asked = id_ in open_there and id_ not in was_open and first is not None
        waiting += never_asked
        split = first if never_asked and first is not None else len(there)
        was.add(facts_of(here, instead.since), ())
        would_be.add(facts_of(there[:split], instead.since), facts_of(there[split:], instead.since))
    refused, taken = outcomes(sides)
    return WhatIf(
        pack=instead.pack.hash,
        since=written(instead.since),
        until=written(until),
        records=sides.records,
        fallen=sides.fallen,
        anew=sides.anew,
        was=was.side(len(was_open)),
        would_be=would_be.side(len(open_there)),
        never_asked=NeverAsked(waiting, dict(sorted(would_be.apart.items()))),
        refused=refused,
        taken=taken,
        differing=differing,
        differences=found,
        places=places(sides, instead, until),
        scores=scores(sides, assessed, until) if assessed is not None else [],
    )


def places(sides: Decided, instead: Instead, until: int) -> list[Placed]:
    """How the grids in which homes lie are placed by the rate of what is closed on time, on both sides."""
    names = active_names(sides.would_be, Policies())
    question = PerformanceQuestion(
        by="grid",
        level=str(names.register.options.partition_level),
        since=names.instant(instead.since)[:10],
        until=names.instant(until)[:10],
        rank="on_time_rate",
    )
    return [
        Placed(*row)
        for row in beside(
            *(
                {
                    row.key: (
                        row.name,
                        row.on_time_rate.basis_points,
                        row.rank.place if row.rank is not UNSET else None,
                    )
                    for row in performance_page(side, Policies(), question, until).rows
                }
                for side in (sides.was, sides.would_be)
            )
        )
    ]


def scores(sides: Decided, question: AssessmentQuestion, until: int) -> list[Scored]:
    """The subjects of a card on both sides."""
    return [
        Scored(*row)
        for row in beside(
            *(
                {
                    line.key: (line.name, None if line.thin else line.total, line.place)
                    for line in assessment_page(side, Policies(), question, until).scores
                }
                for side in (sides.was, sides.would_be)
            )
        )
    ]


Value = tuple[str, int | None, int | None]
"""A name, a value and a place."""


def beside(was: Mapping[str, Value], would_be: Mapping[str, Value]) -> Iterator[tuple[Any, ...]]:
    """What stands on either side under a key: key, name, value and place of both."""
    for key in sorted(was.keys() | would_be.keys()):
        here, there = was.get(key), would_be.get(key)
        yield key, (there or here or ("",))[0], *(here or ("", None, None))[1:], *(there or ("", None, None))[1:]


Step = tuple[int, str]
"""When a step arrived, and its facts as they are stored."""


def by_case(sides: Decided) -> Iterator[tuple[str, list[Step], list[Step]]]:
    """The steps of each case on both sides, by id."""
    left, right = (groupby(compare.rows(side, "facts", STEPS), itemgetter(0)) for side in (sides.was, sides.would_be))
    for id_, here, there in compare.paired(grouped(left), grouped(right), 1):
        yield id_[0], list(here[1]) if here else [], list(there[1]) if there else []


def grouped(rows: Iterator[tuple[str, Iterator[tuple[Any, ...]]]]) -> Iterator[tuple[str, list[Step]]]:
    """Each case but those of homes, with its steps without their numbers, which are their places. Under which pack a
    case began is no difference: what follows from it is."""
    for id_, steps in rows:
        if id_ != home_subject(home_of(id_)):
            yield id_, [(at, PACK.sub('"policy":""', body)) for _, _, at, body in steps]


def facts_of(steps: Iterable[Step], since: int) -> list[facts.AnyFact]:
    """The facts of what arrived from an instant on."""
    return [fact for at, body in steps if at >= since for fact in facts.decode_facts(body)]


def difference(case: str, first: int, here: Sequence[Step], there: Sequence[Step]) -> Difference:
    """The step in which two lives of a case differ for the first time, and the first facts of it that do."""
    one, two = (steps[first] if first < len(steps) else None for steps in (here, there))
    pairs = zip_longest(*(facts.decode_facts(step[1]) if step else () for step in (one, two)))
    was, would_be = next(((a, b) for a, b in pairs if a != b), (None, None))
    return Difference(case, first + 1, written(one[0]) if one else "", written(two[0]) if two else "", was, would_be)


def open_cases(side: Connection) -> Iterator[tuple[str, str]]:
    """The cases that are open at the end of a side, with their kinds."""
    return ((id_, kind) for id_, kind, is_open in compare.rows(side, "cases", CASES) if is_open)


def outcomes(sides: Decided) -> tuple[dict[str, int], int]:
    """Events that were not refused and would have been, by reason; and how many the other way."""
    refused, taken = Counter[str](), 0
    left, right = (compare.rows(side, "seen", OUTCOMES) for side in (sides.was, sides.would_be))
    for _, here, there in compare.paired(left, right, OUTCOMES.keys):
        was, would_be = (row is not None and row[-2] == "refused" for row in (here, there))
        if would_be and not was and there is not None:
            refused[there[-1]] += 1
        taken += was and not would_be
    return dict(sorted(refused.items())), taken
