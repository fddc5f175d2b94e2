"""Supervisions (督查督办): what is open with whom and until when, what a post may say of each, and what it may propose.

What is concealed is read by who proposed it and by who decides, as everywhere (`workflows.reading`).
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.incident_list import IncidentLine, IncidentQuestion, filters, incident_line, kind_page
from engine.views.names import Named, Names, active_names
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion
from engine.views.readers import check_list
from schemas.kinds.supervision import SUPERVISION, Proposed, Supervision
from workflows.case import Case
from workflows.definitions import held_by, is_concealed
from workflows.holding import Holder
from workflows.policy.index import Policy
from workflows.policy.model import ActionRow, Post
from workflows.reading import Readable
from workflows.saying import Sayable, begins, sayable

PAGE = 100
"""Supervisions of a page."""
PROPOSE = next(trigger for trigger, event in SUPERVISION.events.items() if event.data is Proposed)
"""The trigger that begins one."""
Which = Literal["", "mine", "unit", "office"]
WHICH: tuple[Which, ...] = ("", "mine", "unit", "office")
"""Which are asked for: all, those that the post may move on, those in the hands of the unit, and of the office."""


class SupervisionQuestion(Struct, frozen=True, kw_only=True):
    """What is looked at: open ones by their deadline, or those that have ended, the latest first. `post`: who looks."""

    which: str = ""
    ended: bool = False
    post: str = ""
    cursor: str = ""


class SupervisionLine(Struct, frozen=True, kw_only=True):
    """One supervision. `with_unit`: the unit has it in hand, else the office. `amount_fen` is what was decided, in fen;
    `acts` are what the post may say of it now, of its own kind; `moves`: it is in the post's own hands, and one of them
    moves it on."""

    case: IncidentLine
    unit: Named
    department: Named | None
    office: Named | None
    with_unit: bool
    concealed: bool
    about: str
    document: str
    amount_fen: int
    answers: int
    raised: int
    acts: tuple[Sayable, ...]
    moves: bool


class SupervisionPage(Struct, frozen=True, kw_only=True):
    """The answer. Counts are of the lines of this page, before it was asked which of them are shown. `proposes`: the
    actions that the post may propose."""

    lines: list[SupervisionLine]
    open: int
    late: int
    with_units: int
    mine: int
    next: str | None
    proposes: tuple[ActionRow, ...]
    as_of: str
    reading: Reading


def supervision_page(
    connection: Connection, policies: Policies, question: SupervisionQuestion, now: int, readable: Readable
) -> SupervisionPage:
    """What is asked for, of what is read. Raises Unanswerable."""
    if question.which not in WHICH:
        raise BadQuestion("which", "there is no such choice", f"choose one of: {', '.join(WHICH[1:])}")
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, SUPERVISION.name, "")
    wanted = filters(names, IncidentQuestion(definition=SUPERVISION.name), here.at, readable)
    found = kind_page(connection, wanted, ended=question.ended, cursor=question.cursor, size=PAGE)
    lines = [line_of(connection, policies, case, question.post, names, here.at) for case in found.cases]
    return SupervisionPage(
        lines=[line for line in lines if is_asked(line, question.which)],
        open=len(lines),
        late=sum(line.case.overdue for line in lines),
        with_units=sum(line.with_unit for line in lines),
        mine=sum(line.moves for line in lines),
        next=found.next,
        proposes=proposable(names.register, question.post, here.at),
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def is_asked(line: SupervisionLine, which: str) -> bool:
    """Whether a line is one of those that are asked for."""
    if which == "mine":
        return line.moves
    return not which or line.with_unit == (which == "unit")


def line_of(
    connection: Connection, policies: Policies, case: Case, post: str, names: Names, at: int
) -> SupervisionLine:
    """A supervision as people see it."""
    own, holder = case.own, held_by(case)
    assert isinstance(own, Supervision)
    speaker = names.register.posts.get(post)
    rules = policies.get(connection, case.policy) if case.policy else names.register
    may: Iterable[Sayable] = sayable(case, speaker, rules, names.register, at) if speaker is not None else ()
    in_hand = (holder.grid, holder.department) == (own.unit, own.department)
    return SupervisionLine(
        case=incident_line(case, names, at),
        unit=names.grid(own.unit),
        department=names.department(own.department) if own.department else None,
        office=names.grid(own.office) if own.office else None,
        with_unit=in_hand and (bool(own.department) or own.unit != own.office),
        concealed=is_concealed(case),
        about=case.about,
        document=own.document,
        amount_fen=own.amount_fen,
        answers=own.answers,
        raised=own.raised,
        acts=(acts := tuple(act for act in may if act.trigger in SUPERVISION.events)),
        moves=any(act.works for act in acts) and speaker is not None and own_hands(speaker, holder),
    )


def own_hands(post: Post, holder: Holder) -> bool:
    """Whether a post is of the unit that must act."""
    return post.department == holder.department if post.department else post.grid == holder.grid


def proposable(register: Policy, post: str, at: int) -> tuple[ActionRow, ...]:
    """The actions that a post may propose at an instant (ms UTC), by the roles table."""
    may = begins(register, post, PROPOSE, SUPERVISION.name, at)
    return tuple(action for action in register.pack.actions if may(action.action))
