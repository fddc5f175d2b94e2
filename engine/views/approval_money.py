"""Money of approvals (收费、补偿): dated lines of a period, each with the line that takes it back, and what they come
to by purpose (M122). There are no accounts and no balances. Amounts are in fen, 1/100 yuan, and fit into 64 bits."""

from collections.abc import Iterator

from msgspec import Struct, structs

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.figure_question import parse_day
from engine.views.incident_list import IncidentQuestion, each_read, filters
from engine.views.names import CategoryNamed, Named, Names, active_names, prefix_of
from engine.views.past import Order
from engine.views.present import present
from engine.views.questions import BadQuestion
from engine.views.readers import check_list
from schemas.kinds.approval import APPROVAL, Approval, LineEntered
from schemas.short_numbers import short_number
from workflows.case import Case
from workflows.reading import Readable

PAGE = 500
"""Approvals that are read at once."""
PURPOSES: tuple[str, ...] = LineEntered.__annotations__["purpose"].__args__
"""What lines of money are for, by the contract."""


class ApprovalMoneyQuestion(Struct, frozen=True, kw_only=True):
    """Lines of which days, both inclusive, as `2026-03-02`; without either those of the present year. Of what is to be
    in this grid or below it, for this purpose, and of this approval; empty: all."""

    since: str = ""
    until: str = ""
    grid: str = ""
    purpose: str = ""
    approval: str = ""


class ApprovalMoneyLine(Struct, frozen=True, kw_only=True):
    """A line of an approval, or a counter-line, which is below zero: `reverses` is the line that it takes back, and
    `reversed_by` the one that takes it back; 0: none."""

    day: int
    approval: str
    short_number: str
    matter: CategoryNamed | None
    grid: Named
    line: int
    purpose: str
    amount_fen: int
    reverses: int
    reversed_by: int


class MoneyOfPurpose(Struct, frozen=True, kw_only=True):
    """What the lines of a purpose come to: entered, taken back (below zero), and both together."""

    purpose: str
    lines: int
    entered_fen: int
    reversed_fen: int
    total_fen: int


class ApprovalMoneyPage(Struct, frozen=True, kw_only=True):
    """The answer: lines by day, and their sums. `since` and `until`: local days."""

    lines: list[ApprovalMoneyLine]
    purposes: list[MoneyOfPurpose]
    since: int
    until: int
    as_of: str


def approval_money(
    connection: Connection, policies: Policies, question: ApprovalMoneyQuestion, now: int, readable: Readable
) -> ApprovalMoneyPage:
    """The lines that are asked for, of the approvals that are read. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    check_list(readable, names, APPROVAL.name, "")
    if question.purpose and question.purpose not in PURPOSES:
        raise BadQuestion("purpose", "no line is for such a purpose", f"choose one of: {', '.join(PURPOSES)}")
    if question.grid:
        prefix_of(names, question.grid)  # there is such a grid
    year = names.register.clock_of_days.local_day(here.at) // 10_000
    asked = bool(question.since or question.until)
    since = parse_day("from", question.since) if question.since else 19000101 if asked else year * 10_000 + 101
    until = parse_day("to", question.until) if question.until else 29991231 if asked else year * 10_000 + 1231
    wanted = filters(names, IncidentQuestion(definition=APPROVAL.name), here.at, readable)
    wanted = structs.replace(wanted, open=None)
    lines = [
        line
        for _, case in each_read(connection, wanted, Order("id", False, None), PAGE)
        if not question.approval or case.id == question.approval
        for line in lines_of_approval(case, names, question.grid)
        if since <= line.day <= until and question.purpose in ("", line.purpose)
    ]
    lines.sort(key=lambda line: (line.day, line.approval, line.line))
    return ApprovalMoneyPage(
        lines=lines, purposes=sums_by_purpose(lines), since=since, until=until, as_of=names.instant(here.at)
    )


def lines_of_approval(case: Case, names: Names, grid: str) -> Iterator[ApprovalMoneyLine]:
    """The lines of an approval that is to be in a grid or below it."""
    own = case.own
    assert isinstance(own, Approval)
    if grid and (own.grid not in names.register.grids or grid not in names.register.path(own.grid)):
        return
    for number, line in enumerate(own.lines, 1):
        back = next((other for other, each in enumerate(own.lines, 1) if each.reverses == number), 0)
        yield ApprovalMoneyLine(
            day=line.day,
            approval=case.id,
            short_number=short_number(case.id),
            matter=names.category(case.category, ""),
            grid=names.grid(own.grid),
            line=number,
            purpose=line.purpose,
            amount_fen=line.amount_fen,
            reverses=line.reverses,
            reversed_by=back,
        )


def sums_by_purpose(lines: list[ApprovalMoneyLine]) -> list[MoneyOfPurpose]:
    """What lines come to, by purpose, in the order of the contract."""
    found = list[MoneyOfPurpose]()
    for purpose in PURPOSES:
        of_it = [line for line in lines if line.purpose == purpose]
        if of_it:
            entered = sum(line.amount_fen for line in of_it if not line.reverses)
            total = sum(line.amount_fen for line in of_it)
            found.append(
                MoneyOfPurpose(
                    purpose=purpose,
                    lines=len(of_it),
                    entered_fen=entered,
                    reversed_fen=total - entered,
                    total_fen=total,
                )
            )
    return found
