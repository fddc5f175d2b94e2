"""The rows of a sheet: who is assessed, and what stands above and below each line, as of one instant."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from engine.store import assessments
from engine.store.database import Connection
from engine.store.figures import Selection
from engine.views.deductions import supervisions
from engine.views.figure_question import select
from engine.views.questions import BadQuestion
from schemas.kinds.home import Listing
from schemas.kinds.supervision import SUPERVISION, Supervision
from workflows.assessment.cards import BY_KIND, Card
from workflows.assessment.expected import expected
from workflows.assessment.scoring import Rows, Subject, Tally
from workflows.assessment.terms import EXPECTED, Counted, Weights, add_up, clock_of_result, own_posts, weights_of
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.machine import Definition
from workflows.periods import Period, last_instant
from workflows.policy.index import Policy
from workflows.policy.model import OWES_NOTHING, IndicatorRow, Post
from workflows.reading import READS_EVERYTHING


def rows_of(connection: Connection, register: Policy, card: Card, since: int, until: int, as_of: int) -> Rows:
    """What a sheet is made of. Raises BadQuestion where cases of these days have been archived: who reported them is
    not known any more."""
    subjects = subjects_of(register, card, until)
    codes = {subject.code for subject in subjects}
    vetoing = [action.action for action in register.pack.actions if action.veto and card.period == "year"]
    for code in vetoing:  # of which vetoes are a part of the sheet
        found = select(register, definition=SUPERVISION.name, category=code, since=since, until=until)
        refuse_archived(connection, found)
    is_own = owning(register, card.subjects)
    read = Reader(connection, register, card, since, until, as_of)
    tallies = []
    for line in card.lines:
        indicator, kind = line.indicator, kind_of(register, line.indicator)
        weights = weights_of(indicator, kind)
        for (code, group), sides in add_up(indicator, weights, read.counted(indicator, kind, weights), is_own).items():
            if code in codes:
                tallies.append(Tally(code, indicator.code, group, sides.above, sides.below))
        if times := weights.below.get(EXPECTED, 0):
            owed = expected(register, card.level, since, until, listings_of(connection, register, as_of))
            tallies += [Tally(code, indicator.code, "", 0, times * owed[code]) for code in sorted(codes)]
    return Rows(pack=register.hash, since=since, until=until, as_of=as_of, subjects=subjects, tallies=tuple(tallies))


def listings_of(connection: Connection, register: Policy, as_of: int) -> list[Listing]:
    """By which supervisions grids are, or were, listed as key areas, as known at an instant (ms); not asked where no
    duty of the pack goes by it."""
    if not any(duty.listed for duty in register.pack.duties):
        return []
    found = []
    for case in supervisions(connection, "", as_of, READS_EVERYTHING):
        own = case.own
        if isinstance(own, Supervision) and own.until and own.served is not None and own.served <= as_of:
            until = last_instant(Period("day", own.until, own.until), register.clock_of_days)
            ended = case.closed if case.closed is not None and case.closed <= as_of else until
            found.append(Listing(grid=case.path[-1], by=case.id, since=own.served, until=min(until, ended)))
    return found


def refuse_archived(connection: Connection, selection: Selection) -> None:
    """Refuse a sheet for which cases are read that have been archived. Raises BadQuestion."""
    if assessments.has_archived(connection, selection):
        reason = "cases of this period have been archived, and who reported them is not known any more"
        raise BadQuestion("period", reason, "read the sheet that was kept of it, or `gridpatrol archive return`")


class Reader:
    """The counts that the lines of a card are made of, each read once."""

    def __init__(
        self, connection: Connection, register: Policy, card: Card, since: int, until: int, as_of: int
    ) -> None:
        self.connection = connection
        self.selections = {
            (kind.name, category): select(
                register,
                definition=kind.name,
                level=card.level,
                category=category or None,
                since=since,
                until=until,
                by=card.subjects,
                upto=as_of,
            )
            for indicator in (line.indicator for line in card.lines)
            for kind, category in [(kind_of(register, indicator), indicator.category)]
        }
        self.measures = defaultdict[tuple[str, str], set[str]](set)
        for line in card.lines:
            weights = weights_of(line.indicator, kind_of(register, line.indicator))
            key = kind_of(register, line.indicator).name, line.indicator.category
            self.measures[key] |= {*weights.above, *weights.below} - {EXPECTED}
        self.known: dict[tuple[str, str], list[Counted]] = {}

    def counted(self, indicator: IndicatorRow, kind: Definition, weights: Weights) -> list[Counted]:
        """What was counted of a kind of case and a category."""
        key = kind.name, indicator.category
        if key not in self.known:
            self.known[key] = self.read(self.selections[key], self.measures[key])
        return self.known[key]

    def read(self, selection: Selection, measures: set[str]) -> list[Counted]:
        """Counts of cells and of clocks that stopped."""
        refuse_archived(self.connection, selection)
        clocks = sorted({clock for clock in map(clock_of_result, measures) if clock})
        cells = [name for name in sorted(measures) if not clock_of_result(name)]
        found = assessments.counted(self.connection, selection, cells)
        return found + assessments.stopped(self.connection, selection, clocks)


def kind_of(register: Policy, indicator: IndicatorRow) -> Definition:
    """The kind of case that an indicator counts."""
    return DEFINITIONS[indicator.definition or register.pack.options.main_definition or REFERENCE]


def owning(register: Policy, by: str) -> Callable[[str, str], bool]:
    """Whether a problem is a unit's own, by the post that reported it."""
    known: dict[str, frozenset[str]] = {}

    def is_own(key: str, reporter: str) -> bool:
        if key not in known:
            known[key] = own_posts(register, by, key)
        return reporter in known[key] or reporter not in register.posts

    return is_own


def subjects_of(register: Policy, card: Card, day: int) -> tuple[Subject, ...]:
    """Who is assessed by a card: the grids of its level, departments of grids of that level, or their posts that owe a
    duty, as they stand on a local day."""
    at = register.clock_of_days.day_start(day)
    found = []
    for code, grid in named_subjects(register, card):
        place = register.grids.get(grid)
        if place is None or place.level != card.level or not register.stands(place, at):
            continue
        path = register.path(grid)
        peer = ""
        if card.peer:
            peer = place.kind if card.peer == BY_KIND else path[min(int(card.peer), len(path)) - 1]
        found.append(Subject(code, peer, path))
    return tuple(sorted(found, key=lambda each: each.code))


def named_subjects(register: Policy, card: Card) -> Iterator[tuple[str, str]]:
    """Codes of what a card may assess, each with its grid."""
    if card.subjects == "grid":
        yield from ((code, code) for code in register.grids)
    elif card.subjects == "department":
        yield from ((each.code, each.grid) for each in register.departments.values())
    else:
        yield from ((post.code, post.grid) for post in register.posts.values() if owes(register, post))


def owes(register: Policy, post: Post) -> bool:
    """Whether a post owes a duty."""
    if post.role in OWES_NOTHING or post.grid not in register.grids:
        return False
    return any(duty.owed_by(post, register.grids[post.grid].level) for duty in register.pack.duties)
