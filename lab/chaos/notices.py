"""Whether every notice that the facts give was told: once, to whom they name, and none that they do not give.

Enters: the notices of all facts, the lines of the feed's topic, and which line the table of notices names for each.
Leaves: what is wrong, one by one. The topic may have a line again, under its number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from consumers.alerts.telling import DAILY, MOST_CASES, TOLD
from engine.store.rows import StepRow
from schemas import facts
from schemas.messages import PublishedAlert

MISSING, TWICE, INVENTED = "notice that was not told", "notice that was told twice", "notice that no fact gives"
OTHERS, EARLY = "notice that was told to others", "notice that was told before its time"


def given_by(steps: Iterable[StepRow]) -> dict[str, facts.NoticeGiven]:
    """The notices of steps by their ids."""
    return {
        f"{step.case_id}|{DAILY if fact.daily else fact.on}|{step.seq}": fact
        for step in steps
        for fact in facts.decode_facts(step.body)
        if isinstance(fact, facts.NoticeGiven)
    }


def wrong_notices(
    given: Mapping[str, facts.NoticeGiven], lines: Iterable[PublishedAlert], named: Mapping[str, int], now: int
) -> Iterator[tuple[str, str]]:
    """(what is wrong, where). `named` has the line of each notice, 0 before it has one; `now`: when all came to rest.

    What waits for a daily line is in the one that it names, and that one tells of nothing else. What was read after its
    hour's line had been told may wait for the next one.
    """
    told: defaultdict[str, dict[int, PublishedAlert]] = defaultdict(dict)
    for line in lines:
        if line.what == TOLD:
            told[line.alert][line.number] = line
    yield from ((TWICE, f"{id_}, lines {sorted(found)}") for id_, found in told.items() if len(found) > 1)
    daily = {number: line for found in told.values() for number, line in found.items() if line.on == DAILY}
    hour = max((line.due_at for line in daily.values()), default=0)
    cases: defaultdict[int, set[str]] = defaultdict(set)
    for id_, fact in given.items():
        due, number = (fact.not_before or 0) <= now, named.get(id_, 0)
        if not fact.daily:
            found = told.get(id_, {})
            if due and not found:
                yield MISSING, id_
            yield from ((OTHERS, id_) for line in found.values() if set(line.recipients) != {*fact.to})
            yield from ((EARLY, id_) for line in found.values() if line.told_at < (fact.not_before or 0))
        elif number in daily:
            line = daily[number]
            cases[number].add(id_.partition("|")[0])
            if set(line.recipients) != {*fact.to}:
                yield OTHERS, id_
            if line.told_at < (fact.not_before or 0):
                yield EARLY, id_
        elif number or (due and (fact.not_before or 0) > hour):
            yield MISSING, id_
    for number, line in daily.items():
        right = {*line.cases} <= cases[number] and len(cases[number]) == len(line.cases) + line.more
        if not right or len(line.cases) > MOST_CASES:
            yield INVENTED, f"line {number}, {line.alert}"
    yield from ((INVENTED, id_) for id_, found in told.items() if id_ not in given and not daily.keys() & found.keys())
