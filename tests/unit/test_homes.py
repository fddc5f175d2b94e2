"""What a home bears and ends, against an oracle that knows all of the log: activations, silences, quarantine, spread.

The oracle asks of every period that ever began whether it is owed; the home comes to it by its cursor alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.derived_ids import derived_subject, home_subject, instant_of
from schemas.kinds.home import Unobserved
from schemas.members import EventData
from tests.support.builders import DAY, HOUR, at
from tests.support.calendar_samples import china
from tests.support.examples import examples
from tests.support.walks import forget
from workflows import homes
from workflows.case import Case
from workflows.definitions import comes_up
from workflows.figures import to_day
from workflows.machine import Bears, Owed
from workflows.periods import SPREAD_MS, Period, first_instant, holding, last_instant

HOME, KIND = "WY01", "walk"
DAYS = china()


class Said(EventData, frozen=True, kw_only=True):
    """What a home says to a case that it bears."""

    first: int = 0


OPEN = 99_991_231


class Row(msgspec.Struct, frozen=True):
    """What a post owes, and the days on which it stands."""

    owed: Owed
    since: int = 0
    until: int = OPEN


class Rules:
    """A pack, as far as a home asks for it."""

    clock_of_days = DAYS

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.hash = name
        self.rows = rows
        self.grids = {HOME: None}
        self.pack = SimpleNamespace(bodies=())

    def path(self, grid: str) -> tuple[str, ...]:
        return ("XA", "WY", grid)

    def home(self, grid: str) -> str:
        return grid


def owes(policy: Any, home: str) -> list[Owed]:
    return [row.owed for row in policy.rows]


def stands(policy: Any, owed: Owed, day: int) -> bool:
    return any(row.since <= day <= row.until for row in policy.rows if row.owed == owed)


def ends(policy: Any, owed: Owed) -> int:
    return next((row.until for row in policy.rows if row.owed == owed and row.until != OPEN), 0)


BEARS = Bears(owes, stands, lambda _, owed, period: Said(first=period.first), Said, "walk.owed", "walk.void", ends)


@pytest.fixture(autouse=True)
def bearing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kind of case of this test's own that time bears."""
    monkeypatch.setattr(homes, "BEARING", ((KIND, BEARS),))
    forget()
    yield
    forget()


class Line:
    """A partition with one home: what arrives lets the home come up as the engine does."""

    def __init__(self, now: int) -> None:
        self.clock = now
        self.case = Case(id=home_subject(HOME))
        self.column: int | None = None  # when the home comes up
        self.activations: list[tuple[str, int]] = []
        self.silences: list[tuple[int, int]] = []
        self.packs: dict[str, Rules] = {}
        self.held = False
        self.born: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.closed: set[str] = set()
        self.told: list[tuple[int, int]] = []
        self.dues: list[int] = []

    @property
    def course(self) -> homes.Course:
        return homes.Course(tuple(self.activations), tuple(self.silences), lambda name: self.packs[name])  # type: ignore[arg-type, return-value]

    def find(self, id_: str) -> Case | None:
        if id_ not in self.born:
            return None
        return Case(id=id_, closed=1 if id_ in self.closed | self.ended.keys() else None)

    def arrive(self, now: int, pack: Rules | None = None) -> None:
        """A record arrives, perhaps an activation."""
        if self.activations and now - self.clock > homes.SILENCE_MS:
            self.silences.append((self.clock, now))
        self.fire_before(now)
        self.clock = now
        if pack is not None:
            self.packs[pack.hash] = pack
            self.activations.append((pack.hash, now))
            if not self.held and (pack.rows or self.case.own is not None):
                self.column = min(now - 1, self.column if self.column is not None else now)

    def fire_before(self, now: int) -> None:
        while self.column is not None and self.column < now and not self.held:
            self.fire(self.column)

    def fire(self, due: int) -> None:
        d, cause = homes.come_up(self.case, due, self.course, self.find)
        assert len(d.sends) <= homes.AT_ONCE
        assert cause.occurred == d.instant <= due < d.instant + SPREAD_MS or self.late
        self.dues.append(d.instant)
        for fact in d.facts:
            if isinstance(fact, Unobserved):
                self.told.append((fact.begin, fact.end))
        for send in d.sends:
            if send.trigger == "walk.owed":
                assert send.bears == KIND and send.to not in self.born, "born twice"
                self.born[send.to] = d.instant
                assert instant_of(send.to) == d.instant
            else:
                assert send.to in self.born and send.to not in self.ended
                self.ended[send.to] = d.instant
        self.case = d.case
        self.case.seq += 1
        self.column = comes_up(self.case)

    late = False

    def hold(self) -> None:
        """The home is quarantined."""
        self.held, self.late, self.column = True, True, None

    def let_go(self) -> None:
        """An operator releases it: it catches up."""
        if self.held:
            self.held = False
            first = next((a - 1 for name, a in self.activations if self.packs[name].rows), None)
            self.column = first
            if self.case.own is not None:
                d, _ = homes.quarantine(self.case, self.clock, self.course, on=False)
                self.case, self.column = d.case, comes_up(d.case)


class Oracle:
    """What is owed, from all that arrived."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.born: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.told: set[tuple[int, int]] = set()
        spans = [*line.activations, ("", line.clock)]
        entered = False
        for (name, begin), (_, end) in pairwise(spans):
            pack = line.packs[name]
            if not entered and not pack.rows:
                continue
            if entered:
                self.end(pack, begin)
            entered = True
            for row in pack.rows:
                for period in periods(row.owed.period, begin, end):
                    self.bear(pack, row.owed, period)
            for row in pack.rows:
                if row.until != OPEN:
                    self.run_out(row, begin, end)

    def bear(self, pack: Rules, owed: Owed, period: Period) -> None:
        begins, ends = first_instant(period, DAYS), last_instant(period, DAYS)
        silent = [s for s in self.line.silences if s[0] < begins and ends < s[1]]
        self.told.update(silent)
        if not silent and stands(pack, owed, period.first):
            subject = derived_subject(HOME, KIND, owed.row, owed.post, period.first, begins)
            self.born[subject], self.ends[subject] = begins, ends

    def end(self, pack: Rules, activated: int) -> None:
        """An activation ends what is under way and stands no more under it."""
        today = DAYS.local_day(activated)
        kept = {
            derived_subject(HOME, KIND, o.row, o.post, period.first, first_instant(period, DAYS))
            for o in (row.owed for row in pack.rows)
            if stands(pack, o, today)
            for period in [holding(o.period, today)]
        }
        for subject, begins in self.born.items():
            if begins < activated <= self.ends[subject] and subject not in kept:
                self.end_once(subject, activated - 1)

    def run_out(self, row: Row, begin: int, end: int) -> None:
        """What has its last day while a pack is active ends with that day, unless a period of it does as well."""
        period = holding(row.owed.period, row.until)
        instant = last_instant(Period("day", row.until, row.until), DAYS)
        if begin <= instant < end and row.until < period.last:
            owed, begins = row.owed, first_instant(period, DAYS)
            self.end_once(derived_subject(HOME, KIND, owed.row, owed.post, period.first, begins), instant)

    def end_once(self, subject: str, instant: int) -> None:
        if subject in self.born and subject not in self.ended and subject not in self.line.closed:
            self.ended[subject] = instant


def periods(name: str, begin: int, end: int) -> Iterator[Period]:
    """The periods that begin from one instant on and before another, day by day."""
    day, last = DAYS.local_day(begin), DAYS.local_day(end)
    while day <= last:
        period = holding(name, day)
        if period.first == day and begin <= first_instant(period, DAYS) < end:
            yield period
        day = to_day(date(day // 10_000, day // 100 % 100, day % 100) + timedelta(days=1))


# Rows that are owed by many, so that one firing does not do.
CROWD = [Row(Owed("PATROL", f"P{number}", "day")) for number in range(60)]
# Rows that run out in the middle of a week, more of them than end in one firing.
WEEKS = [Row(Owed("CALL", f"P{number}", "week"), until=20260401 + number % 2) for number in range(110)]
FEW = [
    Row(Owed("PATROL", "A", "day")),
    Row(Owed("PATROL", "B", "day"), until=20260415),
    Row(Owed("CALL", "A", "week")),
    Row(Owed("CALL", "A", "week"), until=20260401),  # a Wednesday
    Row(Owed("CALL", "C", "week"), since=20260420),
    Row(Owed("CALL", "D", "week"), until=20260329),  # a Sunday
    Row(Owed("VISIT", "A", "half_month")),
    Row(Owed("VISIT", "A", "half_month"), until=20260401),
    Row(Owed("ROUND", "B", "month")),
    Row(Owed("ROUND", "B", "month"), until=20260320),
    Row(Owed("REVIEW", "A", "year")),
]
PACKS = st.one_of(
    st.lists(st.sampled_from(FEW), unique_by=lambda row: row.owed, max_size=7),
    st.sampled_from([CROWD, [*CROWD[:30], *FEW[:3]], CROWD[10:], WEEKS, [*WEEKS[:20], *CROWD]]),
)
GAPS = st.one_of(
    st.integers(0, 3), st.integers(1, 2 * HOUR), st.integers(1, 2 * DAY), st.integers(1, 20 * DAY), st.just(8 * DAY)
)
"""How long until the next arrival; some end on a midnight."""


@settings(max_examples=examples(40), deadline=None, phases=[Phase.generate])
@given(st.data())
def test_a_home_bears_and_ends_what_the_oracle_says(data: st.DataObject) -> None:
    line, number = Line(at("03-01 00:00")), 0
    for _ in range(data.draw(st.integers(1, 25))):
        now = line.clock + data.draw(GAPS)
        if data.draw(st.integers(0, 3)) == 0:
            now = max(line.clock, DAYS.day_start(DAYS.local_day(now)) + data.draw(st.integers(-1, 1)))
        pack = None
        if not line.activations or data.draw(st.integers(0, 3)) == 0:
            number += 1
            pack = Rules(f"pack{number}", data.draw(PACKS))
        what = data.draw(st.integers(0, 9))
        if what == 0 and not line.closed:
            line.hold()
        if what in (1, 2):
            line.let_go()
        line.arrive(now, pack)
        open_ = sorted(set(line.born) - set(line.ended)) if what == 3 and pack is None and not line.late else []
        if open_:  # it is kept, by the record that has just arrived
            line.closed.add(data.draw(st.sampled_from(open_)))
    line.let_go()
    line.arrive(line.clock + SPREAD_MS)
    line.arrive(line.clock + 1)
    oracle = Oracle(line)
    # What began within the last minutes may come up later.
    settled = line.clock - SPREAD_MS - 1
    assert {s: b for s, b in line.born.items() if b < settled} == {s: b for s, b in oracle.born.items() if b < settled}
    assert line.born.items() <= oracle.born.items()
    assert line.ended == oracle.ended
    assert sorted(line.told) == sorted(oracle.told)
    assert line.dues == sorted(line.dues)
