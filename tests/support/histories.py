"""Lives of cases, told by the rules themselves: what the tests of the consumers fold, count and verify.

Enters: choices (numbers) or a script. Leaves: steps as they stand in the log, and rows of facts, cases and
partitions written as the engine writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from engine.slice.as_rows import case_row, path_text
from engine.slice.open_counts import changes
from engine.store import open_counts, slices
from engine.store.database import Database
from engine.store.rows import PartitionRow, StepRow
from schemas import facts
from schemas.exemptions import EXEMPTIONS
from schemas.members import Fact
from tests.support.builders import Story, arrived, at, changed, event, in_the_field, instant, subject
from workflows import decide
from workflows.case import Case
from workflows.definitions import DEFINITIONS, comes_up
from workflows.evolve import evolve
from workflows.policy.index import Policy
from workflows.turn import Others, Result

MINUTE = 60_000
DAY = 86_400_000

DATA: dict[str, dict[str, Any]] = {
    "dissuasion.recorded": {"outcome": "ineffective"},
    "incident.dispatched": {"lead": "WY-ENV"},
    "rectification.ordered": {"stage": 1, "limit": "2自然日", "unit": "SITE-1"},
    "rectification.completed": {"stage": 1},
    "incident.escalated": {"reason": "coordination"},
    "incident.returned": {"reason": "not_our_duty"},
    "verification.recorded": {"outcome": "solved"},
    "incident.suspended": {"reason": "season"},
    "deadline.ordered": {"limit": "3自然日"},
    "incident.merged": {"into": subject("WY01", 999)},
    "incident.rejected": {"reason": "not_found"},
    "incident.force_closed": {"reason": "policy"},
    "case.reopened": {"reason": "dissatisfied"},
}
"""What to say with a trigger, where it needs data."""
SPEAKERS = (
    "WY01-01-MEMBER",
    "WY01-CHIEF",
    "WY-CHIEF",
    "XA-CHIEF",
    "WY-DISPATCH",
    "WY-12345",
    "XA-OFFICE",
    "WY-SUPERVISOR",
)


class Life(NamedTuple):
    """One case: the steps it took, numbered within it only, and how it stands."""

    steps: list[facts.Step]
    case: Case


def as_before(life: Life) -> Life:
    """The same with the facts by which earlier releases told that somebody had acknowledged: for a clock, once."""
    case, steps = Case(id=life.case.id), list[facts.Step]()
    for step in life.steps:
        told: list[Fact] = []
        for fact in step.facts:
            if isinstance(fact, facts.Acknowledged):
                told.append(facts.Acknowledged(by=fact.by))
                fact = facts.AlertEnded(
                    clock=fact.clock, level=fact.level, cycle=fact.cycle, how="acknowledged", by=fact.by
                )
            told.append(fact)
        for fact in told:
            case = evolve(case, fact)
        case.seq = step.seq
        steps.append(msgspec.structs.replace(step, facts=tuple(told)))
    return Life(steps, case)


IN_THE_FIELD = changed(roles=in_the_field())


class Open(Others):
    """A home in which every other case is open, told by the hotline."""

    def find(self, id_: str) -> Case | None:
        """An open case."""
        home, _, number = id_.rpartition(".")
        return Story(IN_THE_FIELD, home=home, number=int(number[-12:], 16)).reported().case


class Teller:
    """Says things to one case and keeps its steps, firings included, as the engine would write them."""

    def __init__(self, number: int = 1, rules: Policy | None = None, home: str = "WY01", start: int = 0) -> None:
        self.rules = rules or IN_THE_FIELD
        self.case = Case(id=subject(home, number))
        self.now = start or at("03-02 09:00")
        self.steps: list[facts.Step] = []
        self.sent = 0

    def say(self, kind: str, by: str, after: int = MINUTE, late: int = 0, **data: Any) -> bool:
        """Say something `after` ms later that happened `late` ms before its arrival. True if it was taken."""
        self.now += after
        self.sent += 1
        self.until(self.now)
        said = event(kind, by, self.now - late, case=self.case.id, id=f"e{self.sent}", **data)
        result = decide.take(self.case, arrived(said, self.now), self.rules, self.rules, others=Open())
        self._keep(result, self.now)
        return result.outcomes[0].outcome != "refused"

    def until(self, arrival: int) -> None:
        """Fire what is due before an arrival, each released by a tick right after it."""
        while self.case.next_at is not None and self.case.next_at < arrival:
            last = self.steps[-1].at if self.steps else 0
            tick = min(arrival, max(self.case.next_at + 1, last))
            self._keep(decide.fire(self.case, tick, self.rules, self.rules), tick)

    def quarantine(self, on: bool) -> None:
        """Stand its clocks still, or let them run again."""
        self._keep(decide.quarantine(self.case, self.now, self.rules, self.rules, on=on), self.now)

    def _keep(self, result: Result, arrival: int) -> None:
        for told in result.steps:
            if told.case.id != self.case.id:
                continue
            case, day = told.case, self.rules.clock_of_days.local_day(told.instant)
            self.steps.append(
                facts.Step(
                    partition=0,
                    n=0,
                    case=case.id,
                    seq=case.seq,
                    at=arrival,
                    day=day,
                    policy=case.policy,
                    definition=case.definition,
                    path=path_text(case.path),
                    category=case.category,
                    group=case.group,
                    department=told.department,
                    post=told.cause.actor,
                    cause=told.cause,
                    facts=told.facts,
                )
            )
        self.case = result.case

    @property
    def life(self) -> Life:
        """What has become of it."""
        return Life(self.steps, self.case)


class Choice(NamedTuple):
    """One thing said: which of the state's triggers, how long after the last, how late, a variant."""

    trigger: int
    after: int
    late: int
    variant: int


choices = st.builds(
    Choice,
    st.integers(0, 63),
    st.sampled_from([MINUTE, 40 * MINUTE, 300 * MINUTE, DAY, 4 * DAY, 25 * DAY]),
    st.sampled_from([0, 0, 0, MINUTE, 90 * MINUTE, 20 * 60 * MINUTE]),
    st.integers(0, 3),
)
plots = st.lists(st.lists(choices, min_size=1, max_size=14), min_size=1, max_size=4)
"""Lives of one to four cases."""

FORWARD = (
    "incident.reported_up",
    "incident.accepted",
    "handling.completed",
    "verification.recorded",
    "incident.closed",
)
SIDE = (
    "dissuasion.recorded",
    "incident.dispatched",
    "rectification.ordered",
    "rectification.completed",
    "incident.returned",
    "incident.escalated",
    "incident.suspended",
    "incident.resumed",
    "deadline.ordered",
    "incident.urged",
    "incident.acknowledged",
    "incident.rejected",
    "incident.merged",
    "incident.force_closed",
    "incident.withdrawn",
    "comment.added",
    "incident.reassigned",
    "case.reopened",
)


def live(number: int, plot: Sequence[Choice]) -> Life:
    """A life: reported, then what the choices say; what the state or the roles forbid is passed over."""
    teller, first = Teller(number, home=("WY01", "WY02")[number % 2]), plot[0]
    leaf = f"WY0{number % 2 + 1}-01"
    source, by, definition = (
        ("patrol", f"{leaf}-MEMBER", "incident"),
        ("hotline", "WY-12345", "incident"),
        ("hotline", "WY-12345", "service_request"),
        ("patrol", f"{leaf}-MEMBER", "incident"),
    )[first.variant]
    data: dict[str, Any] = {"category": ("D3-01", "D3-04")[first.trigger % 2], "source": source, "grid": leaf}
    if first.trigger % 4 > 1 and source != "patrol":  # who finds it on patrol orders no deadline
        ordered = None if first.trigger % 4 == 2 else instant(teller.now + first.after)
        data["deadline"] = ordered
    teller.say("report.submitted", by, late=first.late, definition=definition, **data)
    for choice in plot[1:]:
        _next(teller, choice, leaf)
    return teller.life


def _next(teller: Teller, choice: Choice, leaf: str) -> None:
    """The forward trigger of the state three times in four, else a side line; by the first post that may."""
    known = DEFINITIONS[teller.case.definition or "incident"].triggers(teller.case.state)
    ways = [t for t in (FORWARD if choice.trigger % 4 else SIDE) if t in known]
    trigger = ways[choice.trigger // 4 % len(ways)] if ways else "comment.added"
    if trigger == "comment.added" and teller.case.lapses:  # what it missed is spoken of, also after its end
        trigger = (*EXEMPTIONS, trigger)[choice.trigger % 5]
    elif not ways:
        return
    data = dict(DATA.get(trigger, {}))
    if trigger == "dissuasion.recorded" and choice.variant > 1:
        data["outcome"] = "effective"
    if trigger == "verification.recorded" and choice.variant == 3:
        data["outcome"] = "unsolved"
    if trigger == "incident.reassigned":
        data["to_grid"] = leaf[:4]
    if trigger in EXEMPTIONS:
        missed = teller.case.lapses[choice.variant % len(teller.case.lapses)]
        data = {"clock": missed.clock, "part": missed.level, "cycle": missed.cycle, "target": missed.target}
        if trigger in ("exemption.requested", "exemption.granted"):
            data["ground"] = "outage"
    local = [speaker.replace("WY01", leaf[:4]) for speaker in SPEAKERS]
    speakers = [speaker for speaker in local if speaker in teller.rules.posts]
    for k, by in enumerate(speakers):
        if teller.say(trigger, by, choice.after if k == 0 else 0, choice.late, **data):
            return


def shuffled(lives: Iterable[Sequence[facts.Step]], order: Sequence[int]) -> list[facts.Step]:
    """The steps of several cases interleaved: the k-th number picks among those that still have steps."""
    left, result = [list(steps) for steps in lives if steps], []
    for pick in order:
        if not left:
            break
        row = left[pick % len(left)]
        result.append(row.pop(0))
        left = [steps for steps in left if steps]
    return result + [step for steps in left for step in steps]


def numbered(steps: Iterable[facts.Step], count: int = 2) -> list[facts.Step]:
    """Steps spread over partitions by their case, and numbered in each without gaps."""
    last: dict[int, int] = {}
    result = []
    for step in steps:
        partition = int(step.case[-12:], 16) % count
        last[partition] = last.get(partition, 0) + 1
        result.append(msgspec.structs.replace(step, partition=partition, n=last[partition]))
    return result


# ---- as the engine writes them -----------------------------------------------------------------------


def step_row(step: facts.Step) -> StepRow:
    """A step as its row of the table `facts`."""
    return StepRow(
        step.partition,
        step.n,
        step.case,
        step.seq,
        step.at,
        step.day,
        step.policy,
        step.definition,
        step.path,
        step.category,
        step.group,
        step.department,
        step.post,
        facts.encode_cause(step.cause).decode(),
        facts.encode_facts(step.facts).decode(),
    )


def write(db: Database, steps: Sequence[facts.Step], cases: Sequence[Case] = ()) -> None:
    """Write numbered steps, the partitions they end, and their cases."""
    ends: dict[int, facts.Step] = {step.partition: step for step in steps}
    where = {step.case: step.partition for step in steps}
    with db.begin() as connection:
        slices.write_steps(connection, [step_row(step) for step in steps])
        moved = [PartitionRow(p, 0, end.at, end.n, 1, "", "[]") for p, end in sorted(ends.items())]
        slices.write_partitions(connection, moved)
        rows = [case_row(case, where[case.id], comes_up(case)) for case in cases if case.id in where]
        slices.write_cases(connection, rows)
        open_counts.change(connection, changes((where[c.id], None, c) for c in cases if c.id in where))
