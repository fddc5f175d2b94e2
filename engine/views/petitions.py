"""Petitions (信访): which are open with whom and until when, what was answered, and whether who asked is satisfied.

Nothing of what was written, and nothing of who asked, stands in a line: that is asked for in the case itself, and each
reading of it is in the audit. The incident in which the work is done is named to who reads it.
"""

from itertools import islice
from typing import NamedTuple

from msgspec import Struct, structs

from engine.policies import Policies
from engine.store import slices
from engine.store.database import Connection
from engine.store.incident_queries import Filters
from engine.views.cursors import read_cursor, write_cursor
from engine.views.incident_list import IncidentLine, IncidentQuestion, each_read, filters, incident_line, kind_page
from engine.views.names import Named, Names, active_names
from engine.views.past import Order
from engine.views.present import Reading, present
from engine.views.readers import check_list
from schemas.kinds.petition import PETITION, Petition
from workflows import case as cases
from workflows.case import Case
from workflows.reading import Readable

PAGE = 100
"""Petitions of a page."""
MOST = 1000
"""So many open ones are looked at and put in order, those that are due first."""
UNDATED = 10**15
"""Where one without a deadline stands among the others (ms UTC): after all of them."""
DISSATISFIED = ("dissatisfied", "leaves_it")
"""What is said of an answer by who is not satisfied, whether there is another answer to come or not."""


class PetitionQuestion(Struct, frozen=True, kw_only=True):
    """What is looked at: open ones, or those that have ended, the latest first."""

    ended: bool = False
    cursor: str = ""


class PetitionLine(Struct, frozen=True, kw_only=True):
    """One petition. `source` in Chinese and in English: by which way it came. `found` is what the last one of `answers`
    says of it, `outcome` what who asked says of that answer; `work`: the case in which the work is done, None where
    there is none, or it is not read, which `elsewhere` tells apart."""

    case: IncidentLine
    place: Named
    source: tuple[str, str]
    lane: str
    priority: int
    answers: int
    found: str
    outcome: str
    dissatisfied: bool
    work: IncidentLine | None
    elsewhere: bool


class PetitionPage(Struct, frozen=True, kw_only=True):
    """The answer. Counts are of all that was looked at: of the open ones at most `MOST`, of the others this page.
    `more`: there are others beyond these."""

    lines: list[PetitionLine]
    count: int
    late: int
    dissatisfied: int
    more: bool
    next: str | None
    as_of: str
    reading: Reading


def petition_page(
    connection: Connection, policies: Policies, question: PetitionQuestion, now: int, readable: Readable
) -> PetitionPage:
    """What is asked for, of what is read. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, PETITION.name, "")
    wanted = filters(names, IncidentQuestion(definition=PETITION.name), here.at, readable)
    wanted = structs.replace(wanted, open=not question.ended)
    seen = (ended_petitions if question.ended else open_petitions)(connection, wanted, question.cursor)
    ids = sorted({kept_by(case).case for case in seen.shown} - {""})
    found = (cases.decode(body) for _, _, body in slices.read_cases(connection, ids))
    works = {case.id: incident_line(case, names, here.at) for case in found if readable.reads_case(case)}
    return PetitionPage(
        lines=[petition_line(case, works.get(kept_by(case).case), names, here.at) for case in seen.shown],
        count=len(seen.seen),
        late=sum(case.closed is None and case.due_at is not None and case.due_at < here.at for case in seen.seen),
        dissatisfied=sum(kept_by(case).outcome in DISSATISFIED for case in seen.seen),
        more=seen.more,
        next=seen.next,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def kept_by(case: Case) -> Petition:
    """What a petition keeps of its own."""
    assert isinstance(case.own, Petition)
    return case.own


def place_of(case: Case) -> tuple[int, int, int, str]:
    """Where an open one stands: a lane of its own goes first, then the higher priority, then what is due first."""
    own = kept_by(case)
    return int(not own.lane), -own.priority, UNDATED if case.due_at is None else case.due_at, case.id


class SeenPetitions(NamedTuple):
    """Petitions that were looked at, those of a page, whether there are others, and where the next page begins."""

    seen: list[Case]
    shown: list[Case]
    more: bool
    next: str | None


def open_petitions(connection: Connection, wanted: Filters, cursor: str) -> SeenPetitions:
    """The open ones, put in order. Raises BadQuestion."""
    after = read_cursor(cursor, tuple[int, int, int, str]) if cursor else None
    found = list(islice(each_read(connection, wanted, Order("due_at", False, None), MOST + 1), MOST + 1))
    seen = sorted((case for _, case in found[:MOST]), key=place_of)
    rest = [case for case in seen if after is None or place_of(case) > after]
    following = write_cursor(*place_of(rest[PAGE - 1])) if len(rest) > PAGE else None
    return SeenPetitions(seen, rest[:PAGE], len(found) > MOST, following)


def ended_petitions(connection: Connection, wanted: Filters, cursor: str) -> SeenPetitions:
    """A page of those that have ended. Raises BadQuestion."""
    page = kind_page(connection, wanted, ended=True, cursor=cursor, size=PAGE)
    return SeenPetitions(page.cases, page.cases, page.next is not None, page.next)


def petition_line(case: Case, work: IncidentLine | None, names: Names, at: int) -> PetitionLine:
    """A petition as people see it."""
    own = kept_by(case)
    source = names.register.sources.get(own.via)
    return PetitionLine(
        case=incident_line(case, names, at),
        place=names.grid(own.place),
        source=(source.title_zh, source.title_en) if source is not None else PETITION.words[own.channel],
        lane=own.lane,
        priority=own.priority,
        answers=own.answers,
        found=own.found,
        outcome=own.outcome,
        dissatisfied=own.outcome in DISSATISFIED,
        work=work,
        elsewhere=bool(own.case) and work is None,
    )
