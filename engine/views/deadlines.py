"""Why a deadline of a stored case is what it is: its clock by the facts, and the calendar that counted then."""

from dataclasses import dataclass, field

import msgspec

from engine.policies import Policies
from engine.store import slices
from engine.store.database import Connection
from engine.store.rows import StepRow
from schemas import facts
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import Explanation, explain
from workflows.clocks.limits import parse_limit


@dataclass
class Ledger:
    """A clock by its facts. Instants are ms UTC."""

    clock: str
    level: int
    cycle: int
    calendar: str
    started: int
    limit: str
    due: int | None
    known: int  # arrival of the step that set the deadline: the register of that instant counted
    pauses: list[tuple[int, int]] = field(default_factory=list)
    paused: int | None = None
    judged: int = 0
    result: str = ""

    @property
    def runs(self) -> bool:
        """Whether it neither stands still nor has stopped."""
        return self.paused is None and not self.result


def ledgers(steps: list[StepRow]) -> list[Ledger]:
    """Every clock that ever ran in a case, from its facts, in the order in which they started."""
    found: dict[tuple[str, int, int], Ledger] = {}
    in_order = list[Ledger]()
    for step in steps:
        for fact in facts.decode_facts(step.body):
            if isinstance(fact, facts.ClockStarted):
                key = (fact.clock, fact.level, fact.cycle)
                # One that goes on, for who got the work back or in a case that was over, had earlier runs.
                starts, ends = [*(run[0] for run in fact.runs), fact.judged], [run[1] for run in fact.runs]
                pauses = list(zip(ends, starts[1:], strict=True))
                ledger = Ledger(*key, fact.calendar, starts[0], fact.limit, fact.due, step.at, pauses)
                found[key] = ledger
                in_order.append(ledger)
            elif isinstance(fact, facts.ClockFact) and (fact.clock, fact.level, fact.cycle) in found:
                ledger = found[fact.clock, fact.level, fact.cycle]
                match fact:
                    case facts.ClockPaused():
                        ledger.paused = fact.judged
                    case facts.ClockResumed():
                        if ledger.paused is not None:
                            ledger.pauses.append((ledger.paused, fact.judged))
                        ledger.paused, ledger.due, ledger.known = None, fact.due, step.at
                    case facts.ClockRetargeted():
                        ledger.limit, ledger.due, ledger.known = fact.limit, fact.due, step.at
                    case facts.ClockStopped():
                        ledger.judged, ledger.result = fact.judged, fact.result
    return in_order


PacksThen = list[tuple[str, int]]
"""The packs that a partition has activated, with the arrivals of their activations (ms UTC)."""


def packs_of(connection: Connection, partition: int) -> PacksThen:
    """The packs of a partition, in the order in which it has activated them."""
    rows = slices.read_partitions(connection)
    found: PacksThen = msgspec.json.decode(next(row.packs for row in rows if row.partition == partition))
    return found


def calendar_then(connection: Connection, policies: Policies, packs: PacksThen, ledger: Ledger) -> Calendar:
    """The calendar of a clock as it was known when its deadline was set."""
    active = next((digest for digest, arrival in reversed(packs) if arrival <= ledger.known), packs[0][0])
    return policies.get(connection, active).calendars[ledger.calendar].known_at(ledger.known)


def explained_by(calendar: Calendar, ledger: Ledger) -> Explanation:
    """The calculation of a deadline that a limit has set, with the pauses of its clock."""
    pauses = list(ledger.pauses)
    if ledger.paused is not None:
        pauses.append((ledger.paused, max(ledger.paused, ledger.judged)))
    return explain(calendar, ledger.started, parse_limit(ledger.limit), pauses)
