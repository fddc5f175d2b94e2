"""Approvals (审批): what is open until when by the promise and by the law, and what lets the time stand still."""

from msgspec import Struct

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.incident_list import IncidentLine, IncidentQuestion, filters, incident_line, kind_page
from engine.views.names import Named, Names, active_names
from engine.views.present import Reading, present
from engine.views.readers import check_list
from schemas.kinds.approval import APPROVAL, Approval, Filed
from workflows.case import Case
from workflows.definitions.approval import HALL, PROMISE, STATUTE
from workflows.policy.index import Policy
from workflows.policy.model import ApprovalRow
from workflows.reading import Readable
from workflows.saying import begins

FILE = next(trigger for trigger, event in APPROVAL.events.items() if event.data is Filed)
"""The trigger that begins one."""
PAGE = 100
"""Approvals of a page."""


class ApprovalQuestion(Struct, frozen=True, kw_only=True):
    """What is looked at: open ones by their deadline, or those that have ended, the latest first. `post`: who looks."""

    ended: bool = False
    post: str = ""
    cursor: str = ""


class DueBy(Struct, frozen=True):
    """A deadline of one of its clocks (RFC 3339), and whether it has passed. While the time stands still it is the last
    one that was known."""

    due: str
    late: bool


class ApprovalLine(Struct, frozen=True, kw_only=True):
    """One approval. `pauses` are the grounds for which its time stands still, `bans` how many permit bans do it;
    `referrals` to whom something is referred that waits; `money_fen` the sum of its lines."""

    case: IncidentLine
    grid: Named
    emergency: bool
    pauses: tuple[str, ...]
    bans: int
    promise: DueBy | None
    statute: DueBy | None
    hall: DueBy | None
    referrals: tuple[str, ...]
    money_fen: int


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """The answer. Counts are of the lines of this page; `files`: the post may enter applications."""

    lines: list[ApprovalLine]
    files: bool
    paused: int
    past_promise: int
    past_statute: int
    next: str | None
    as_of: str
    reading: Reading


def approval_page(
    connection: Connection, policies: Policies, question: ApprovalQuestion, now: int, readable: Readable
) -> ApprovalPage:
    """What is asked for, of what is read. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, APPROVAL.name, "")
    wanted = filters(names, IncidentQuestion(definition=APPROVAL.name), here.at, readable)
    found = kind_page(connection, wanted, ended=question.ended, cursor=question.cursor, size=PAGE)
    lines = [approval_line(case, names, here.at) for case in found.cases]
    return ApprovalPage(
        lines=lines,
        files=bool(fileable(names.register, question.post, here.at)),
        paused=sum(bool(line.pauses or line.bans) and line.case.open for line in lines),
        past_promise=sum(line.promise is not None and line.promise.late for line in lines),
        past_statute=sum(line.statute is not None and line.statute.late for line in lines),
        next=found.next,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def approval_line(case: Case, names: Names, at: int) -> ApprovalLine:
    """An approval as people see it."""
    own, until = case.own, dict[str, DueBy]()
    assert isinstance(own, Approval)
    for clock in case.clocks:
        if clock.due is not None:
            stopped = at if clock.since is not None else clock.judged
            until[clock.name] = DueBy(names.instant(clock.due), clock.due < stopped)
    return ApprovalLine(
        case=incident_line(case, names, at),
        grid=names.grid(own.grid),
        emergency=own.emergency,
        pauses=own.pauses,
        bans=len(own.bans),
        promise=until.get(PROMISE),
        statute=until.get(STATUTE),
        hall=until.get(HALL),
        referrals=own.referrals,
        money_fen=sum(line.amount_fen for line in own.lines),
    )


def fileable(register: Policy, post: str, at: int) -> tuple[ApprovalRow, ...]:
    """What a post may enter an application for at an instant (ms UTC), by the roles table and the days of each row."""
    may, today = begins(register, post, FILE, APPROVAL.name, at), register.clock_of_days.local_day(at)
    return tuple(
        row
        for row in register.pack.approvals
        if row.valid_from <= today and (not row.valid_to or today <= row.valid_to) and may(row.code)
    )
