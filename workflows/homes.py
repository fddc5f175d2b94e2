"""What the case of a home does when it comes up: it bears what is owed, and ends what is owed no more. Pure.

1. A home follows two lists of its partition: the activations of packs, and the silences, which are arrivals more than
   seven days apart. Both are functions of the log, so whatever comes late (spread, in quarantine) decides as if it had
   come in its time.
2. When a period begins, the home bears what is owed in it under the pack that is active then: what stands on its first
   day, and what is owed in key areas only where the grid is listed at that instant. It does so by sends, a bounded
   number in one firing, and goes on at the same instant in the next one. Births come up within a spread; as soon as the
   home knows of a further activation they wait no longer.
3. An activation comes up a millisecond before its arrival. What was owed under the pack before and stands no more under
   the new one ends, in the period that holds its arrival; what is over stays as it is. A list of responsibilities that
   is another one under the new pack asks those who sign it anew, once for each hash of it.
4. What ends on a day within its period, as the active pack says (`valid_to`), ends with the last millisecond of that
   day. It waits for no spread: nobody is told of what a post owes that is no longer there.
5. What lies wholly within a silence is owed by nobody; the home tells each such silence once.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

from msgspec import Struct, structs

from schemas import facts
from schemas.derived_ids import HOME, asked_subject, derived_subject, instant_of
from schemas.envelope import is_subject
from schemas.kinds.home import Home, Turned, Unobserved
from schemas.kinds.responsibility import CHANGED, RESPONSIBILITY, Changed
from schemas.partition import home_of
from workflows.case import AWAITED, Case
from workflows.clocks.calendar import Calendar
from workflows.decision import Decision
from workflows.definitions import BEARING, births_before
from workflows.definitions.home import ENTERED
from workflows.listing import listing_of
from workflows.machine import Bears, Owed
from workflows.periods import SPREAD_MS, Period, first_instant, holding, last_instant, next_period, spread_of
from workflows.policy.index import Policy
from workflows.responsibility import changed_lists

SILENCE_MS = 7 * 86_400_000
"""Arrivals that lie further apart are a silence."""
AT_ONCE = 48
"""So many sends a home makes in one firing, at most."""
MOST_LOOKED_AT = 500
"""So many cases a home looks at in one firing, at most, before it ends those that go on."""
DUE = "gridpatrol.home.turned"
"""The type of the cause of a home's firing."""
NOTHING = (0, 0)
"""A silence in which no period lies."""


class Course(Struct, frozen=True):
    """What has become active in a partition: (hash, arrival) of each pack, and how a hash is looked up; and its
    silences: the arrivals between which nothing arrived."""

    activations: Sequence[tuple[str, int]]
    silences: Sequence[tuple[int, int]]
    policy: Callable[[str], Policy]

    def pack(self, packs: int) -> Policy:
        """The pack of the last one of so many activations."""
        return self.policy(self.activations[packs - 1][0])

    def activation(self, packs: int) -> int | None:
        """When the activation after so many comes up; None: there is none yet."""
        return self.activations[packs][1] - 1 if packs < len(self.activations) else None


class OwedCase(NamedTuple):
    """Something that a home owes, and the kind of case that it is. `until`: its last local day, where that lies within
    a period of its own; 0: it ends with one, or none is known."""

    kind: str
    bears: Bears
    owed: Owed
    until: int = 0


OWED: WeakKeyDictionary[Policy, dict[str, tuple[OwedCase, ...]]] = WeakKeyDictionary()
"""What `owed_by_home` has found, for as long as somebody has the policy."""


def owed_by_home(policy: Policy) -> dict[str, tuple[OwedCase, ...]]:
    """All that is owed under a pack, by the homes in which something is, in the order of its births.

    It is kept for as long as the policy is, and keeps no policy.
    """
    found = OWED.get(policy)
    if found is None:
        found = {}
        for home in sorted({policy.home(grid) for grid in policy.grids}):
            here = tuple(
                OwedCase(kind, bears, owed, last if last and last < holding(owed.period, last).last else 0)
                for kind, bears in BEARING
                for owed in bears.owes(policy, home)
                for last in [bears.ends(policy, owed)]
            )
            if here:
                found[home] = here
        OWED[policy] = found
    return found


def owing(policy: Policy, home: str) -> tuple[OwedCase, ...]:
    """All that is owed in a home under a pack, in the order of its births."""
    return owed_by_home(policy).get(home, ())


def subject_of(home: str, owing: OwedCase, period: Period, days: Calendar) -> str:
    """The id of the case of what is owed in a period."""
    owed = owing.owed
    begins = first_instant(period, days)
    return derived_subject(home, owing.kind, owed.row, owed.post, period.first, begins, owed.site)


@lru_cache(maxsize=256)
def expected(policy: Policy, home: str, begins: int) -> dict[str, OwedCase]:
    """The ids of what is owed in the periods of a home that begin at the first instant of a day (ms), under a pack."""
    days = policy.clock_of_days
    day, found = days.local_day(begins), {}
    for each in owing(policy, home):
        period = holding(each.owed.period, day)
        if period.first == day and each.bears.stands(policy, each.owed, day):
            found[subject_of(home, each, period, days)] = each
    return found


def expected_kind(policy: Policy, subject: str) -> str:
    """The kind of case of this id that time bears under a pack, or has borne; empty: it bears none."""
    if not BEARING or not is_subject(subject):
        return ""
    begins, days = instant_of(subject), policy.clock_of_days
    # A day begins with a whole second, of which ids that somebody mints hardly ever are.
    if begins % 1000 or days.day_start(days.local_day(begins)) != begins:
        return ""
    found = expected(policy, home_of(subject), begins).get(subject)
    return found.kind if found is not None else ""


def too_early(policy: Policy, subject: str, trigger: str, arrival: int, instant: int) -> str:
    """The id under which something that has been done is told instead, where it came before the period of a case that
    time bears has begun: that of the period which holds an instant. Empty where it may be told there."""
    begins, home, days = instant_of(subject), home_of(subject), policy.clock_of_days
    if arrival >= begins:
        return ""
    found = expected(policy, home, begins)[subject]
    period = holding(found.owed.period, days.local_day(instant))
    return subject_of(home, found, period, days) if trigger in found.bears.done else ""


def only_by_time(trigger: str) -> bool:
    """Whether time bears all cases that take a trigger, so that one that has not come yet has a derived id."""
    births = births_before(trigger)
    return bool(births) and births <= {bears.born for _, bears in BEARING}


# ---- what a home does -----------------------------------------------------------------------------------------


def come_up(case: Case, at: int, course: Course, find: Callable[[str], Case | None]) -> tuple[Decision, facts.Cause]:
    """What a home does that comes up at an instant, and the cause of it. ValueError where nothing is to be done.

    It is done under the pack that was active when it was due, whenever the home comes to it.
    """
    home, own = home_of(case.id), case.own
    if not isinstance(own, Home) or not own.packs:
        return enter(case, at, course), cause_of(at, 0)
    births, ends = next_births(home, own, course), next_ends(home, own, course)
    activation = course.activation(own.packs)
    due = min((instant for instant in (births, ends, activation) if instant is not None), default=None)
    if due is None or due > at:
        raise ValueError(f"nothing of the home {home} is due at {at}; next is {due}")
    rules = course.pack(own.packs)
    register = rules if due in (births, ends) else course.pack(own.packs + 1)
    d = Decision(case, rules, register, due, due, find=find)
    does = bear if due == births else end if due == ends else follow
    turn(d, does(d, own, course), course)
    return d, cause_of(due, own.index)


def cause_of(due: int, index: int) -> facts.Cause:
    """The cause of a home's firing: the instant, and how much of it was done before."""
    return facts.Cause(type=DUE, source="time", id=f"{due}|{index}", occurred=due)


def quarantine(case: Case, at: int, course: Course, *, on: bool, detail: str = "") -> tuple[Decision, facts.Cause]:
    """Let a home stand still after a firing that failed, or (`on` false) let it go on: it knows then of activations
    that have come meanwhile, and catches up."""
    own = case.own if isinstance(case.own, Home) else Home()
    if on and not own.packs:
        d = enter(case, at, course)
    else:
        policy = course.pack(own.packs or len(course.activations))
        d = Decision(case, policy, policy, at, at)
    d.tell(facts.Quarantined(on=on, detail=detail))
    if not on and own.packs:
        turn(d, own, course)
    return d, facts.Cause(type="gridpatrol.incident.quarantined", source="engine", id=case.id, occurred=at)


def enter(case: Case, at: int, course: Course) -> Decision:
    """The first firing of a home, by the activation that has entered it. What began before is not owed. One of which a
    grid is listed may stand already."""
    packs = next(k for k, (_, arrival) in enumerate(course.activations, 1) if arrival > at)
    policy, home = course.pack(packs), home_of(case.id)
    d = Decision(case, policy, policy, at, at)
    path = policy.path(home)
    before = course.pack(packs - 1) if packs > 1 else policy
    follows = bool(changed_lists(before, policy).get(home))  # as it goes on, at this same instant
    if not case.opened:
        d.tell(facts.Born(definition=HOME, policy=policy.hash, by="", path=path, occurred=at, judged=at))
        d.tell(facts.Moved(trigger="pack.activated", was=AWAITED, state=ENTERED, judged=at))
    packs, policy = (packs - 1, before) if follows else (packs, policy)
    turn(d, Home(packs=packs, pack=policy.hash, upto=at), course)
    return d


def bear(d: Decision, own: Home, course: Course) -> Home:
    """Bear what is owed in the periods that begin at the decision's instant, as much as one firing may."""
    home, policy, begins = home_of(d.case.id), d.register, d.instant
    days, all_owed = policy.clock_of_days, owing(policy, home)
    first = days.local_day(begins)
    silences = {name: silence_around(period, course, days) for name, period in starting(all_owed, first).items()}
    for begin, end in sorted(
        {silence for silence in silences.values() if silence is not None and silence[1] > own.told}
    ):
        d.tell(Unobserved(begin=begin, end=end))
    for index, each in enumerate(all_owed[own.index :], own.index):
        if silences.get(each.owed.period, NOTHING) is not None or not each.bears.stands(policy, each.owed, first):
            continue
        grid = each.bears.listed(policy, each.owed)
        if grid and listing_of(own.listings, policy.path(grid), policy, begins) is None:
            continue
        if len(d.sends) == AT_ONCE:
            return structs.replace(own, index=index)
        period = holding(each.owed.period, first)
        data = each.bears.birth(policy, each.owed, period)
        d.send(subject_of(home, each, period, days), each.bears.born, data, bears=each.kind)
    after = structs.replace(own, upto=begins, index=0)
    silent = next(filter(None, silences.values()), None)
    if silent is None:
        return after
    # Nothing of a silence is looked at again: on to what lies not wholly in it, or to its end.
    further = (next_births(home, after, course, silent), next_ends(home, after, course))
    return structs.replace(after, upto=max(begins, min(silent[1], *filter(None, further)) - 1))


def end(d: Decision, own: Home, course: Course) -> Home:
    """End what has its last day within a period, as much as one firing may."""
    home, policy, days = home_of(d.case.id), d.register, d.register.clock_of_days
    today = days.local_day(d.instant)
    gone = [
        (subject_of(home, each, holding(each.owed.period, today), days), each.bears)
        for each in owing(policy, home)
        if each.until == today
    ]
    index = call_off(d, gone, own.index)
    return structs.replace(own, upto=d.instant, index=0) if index is None else structs.replace(own, index=index)


def follow(d: Decision, own: Home, course: Course) -> Home:
    """Follow an activation, as much as one firing may: what stood under the pack before and stands no more ends, and
    lists of responsibilities that have changed ask anew."""
    after = structs.replace(own, packs=own.packs + 1, pack=d.register.hash, upto=max(own.upto, d.instant), index=0)
    home = home_of(d.case.id)
    gone = lost(d.rules, d.register, home, d.instant + 1)
    index = call_off(d, gone, own.index)
    if index is not None:
        return structs.replace(own, index=index)
    changed = changed_lists(d.rules, d.register).get(home, ())
    for place in range(max(0, own.index - len(gone)), len(changed)):
        if len(d.sends) == AT_ONCE:
            return structs.replace(own, index=len(gone) + place)
        body, hash_ = changed[place]
        d.send(
            asked_subject(d.case.id, body, hash_), CHANGED, Changed(body=body, list=hash_), bears=RESPONSIBILITY.name
        )
    return after


def call_off(d: Decision, gone: Sequence[tuple[str, Bears]], first: int) -> int | None:
    """Say to cases that they are owed no more, if they go on, from the `first` of them as many as one firing may. The
    place of the first one that is left; None: none is."""
    for index, (subject, bears) in enumerate(gone[first:], first):
        if len(d.sends) == AT_ONCE or index - first == MOST_LOOKED_AT:
            return index
        found = d.find(subject)
        if found is not None and found.closed is None:
            d.send(subject, bears.ended, bears.end())
    return None


def turn(d: Decision, after: Home, course: Course) -> None:
    """Tell how far the home has come, and when it comes up next.

    Births wait for a spread, unless an activation is known: what is still to be done before it comes before every later
    record.
    """
    home, upcoming = home_of(d.case.id), course.activation(after.packs)
    policy = course.pack(after.packs)
    births, ends = next_births(home, after, course), next_ends(home, after, course)
    next_ = min((instant for instant in (births, ends, upcoming) if instant is not None), default=None)
    comes_up = next_
    if next_ is not None and next_ == births and upcoming is None:
        share = SPREAD_MS // 2 * after.index // max(1, len(owing(policy, home)))
        comes_up = next_ + spread_of(d.case.id, SPREAD_MS // 2) + share
    d.tell(
        Turned(packs=after.packs, pack=after.pack, upto=after.upto, index=after.index, next=next_, comes_up=comes_up)
    )


# ---- the periods of a home ------------------------------------------------------------------------------------


def starting(all_owed: Sequence[OwedCase], first: int) -> dict[str, Period]:
    """The periods in which something is owed, by name, that begin on a local day."""
    periods = (holding(name, first) for name in {each.owed.period for each in all_owed})
    return {period.name: period for period in sorted(periods) if period.first == first}


def silence_around(period: Period, course: Course, days: Calendar) -> tuple[int, int] | None:
    """The silence in which a period lies wholly; None: somebody could have seen something of it."""
    begins, ends = first_instant(period, days), last_instant(period, days)
    return next((each for each in course.silences if each[0] < begins and ends < each[1]), None)


def next_births(home: str, own: Home, course: Course, silence: tuple[int, int] = NOTHING) -> int | None:
    """When the next period begins in which a home owes something, under the pack that it follows; None: it owes
    nothing. Periods wholly within a silence are passed over, if one is given."""
    policy = course.pack(own.packs)
    days = policy.clock_of_days
    begins = []
    for name in {each.owed.period for each in owing(policy, home)}:
        period = next_period(name, own.upto, days)
        if silence[0] < first_instant(period, days) and last_instant(period, days) < silence[1]:
            period = holding(name, days.local_day(silence[1]))
        begins.append(first_instant(period, days))
    return min(begins, default=None)


def next_ends(home: str, own: Home, course: Course) -> int | None:
    """When something that a home owes has its last day within a period next, under the pack that it follows: the last
    millisecond of that day. None: the pack says of none."""
    policy = course.pack(own.packs)
    last_days = {each.until for each in owing(policy, home) if each.until}
    ends = (last_instant(holding("day", day), policy.clock_of_days) for day in last_days)
    return min((instant for instant in ends if instant > own.upto), default=None)


@lru_cache(maxsize=64)
def lost(old: Policy, new: Policy, home: str, at: int) -> tuple[tuple[str, Bears], ...]:
    """The ids of what is owed under a pack in the periods that hold an instant, and stands no more under the pack that
    becomes active then."""
    before, now, days = owing(old, home), owing(new, home), old.clock_of_days
    today = new.clock_of_days.local_day(at)
    kept = {(each.kind, each.owed) for each in now if each.bears.stands(new, each.owed, today)}
    gone = [each for each in before if (each.kind, each.owed) not in kept]
    periods = {name: holding(name, days.local_day(at)) for name in {each.owed.period for each in gone}}
    return tuple((subject_of(home, each, periods[each.owed.period], days), each.bears) for each in gone)
