"""What supervisions charge (扣款), money of approvals (收费、补偿), and decided violations for a bank (绿色信贷)."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.http.operator import act
from engine.http.performance import figures
from engine.http.problems import Problem, busy
from engine.operations.auditing import NotAudited, audit_violations
from engine.principals import Operator, Principal
from engine.views.approval_money import ApprovalMoneyPage, ApprovalMoneyQuestion, approval_money
from engine.views.deductions import DeductionPage, DeductionQuestion, deduction_page
from engine.views.violations import NoBank, ViolationPage, ViolationQuestion, violation_page
from workflows.policy.model import BANK

Year = Annotated[str, QueryParameter(description="The year, by its local days; without one the present one.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: what lies in it and below; without one all.")]
Since = Annotated[
    str, QueryParameter(description="RFC 3339 with a zone: acts that were served, or have ended, from this instant on.")
]
Act = Annotated[str, QueryParameter(description="The act of this supervision alone: `case` of a line of the feed.")]
From = Annotated[str, QueryParameter(name="from", description="First local day of lines.")]
To = Annotated[str, QueryParameter(name="to", description="Last local day of lines.")]
Purpose = Annotated[str, QueryParameter(description="fee, compensation or trading; without one all.")]
ApprovalId = Annotated[str, QueryParameter(description="The approval: `<home>.<UUIDv7>`; without one all.")]
PostCode = Annotated[
    str, QueryParameter(description="The post of a bank that reads, where the principal speaks for several.")
]


@get("/v1/deductions", response_class=Listing, summary="What supervisions charge in a year", tags=["performance"])
async def deductions(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], year: Year = "", grid: Grid = ""
) -> DeductionPage:
    """The sheet of a year (扣款台账): a line for each charge, from its serving on, and a counter-line where it was
    rescinded; the sums of each unit with the supervisions behind them. Amounts are in fen. As CSV it has the lines."""
    question = DeductionQuestion(year=year, grid=grid)
    now, policies = context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: deduction_page(connection, policies, question, now, readable),
    )


@get("/v1/approval-money", response_class=Listing, summary="Fees and compensation of approvals", tags=["performance"])
async def approval_lines(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    from_: From = "",
    to: To = "",
    grid: Grid = "",
    purpose: Purpose = "",
    approval: ApprovalId = "",
) -> ApprovalMoneyPage:
    """Lines of money (收费、补偿) by day, counter-lines among them, each with its approval; and what they come to by
    purpose. Without days those of the present year. Amounts are in fen. As CSV it has the lines."""
    question = ApprovalMoneyQuestion(since=from_, until=to, grid=grid, purpose=purpose, approval=approval)
    now, policies = context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: approval_money(connection, policies, question, now, readable),
    )


@get("/v1/violations", response_class=Listing, summary="Decided violations, for a bank", tags=["incidents"])
async def violations(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    since: Since = "",
    supervision: Act = "",
    post: PostCode = "",
) -> ViolationPage:
    """Acts against enterprises that are told in public (信用信息共享, M123), of the grid of a bank's post and below.
    Only a principal that speaks for a post with the role `bank` reads it. Each reading is in the audit before it is
    answered."""
    question = ViolationQuestion(since=since, supervision=supervision, post=post)
    reader, now, policies = request.user, context.now(), context.policies
    try:
        found = await context.read(lambda connection: violation_page(connection, policies, question, reader, now))
    except NoBank as error:
        why = f"principal {reader.name} may not read the feed of violations"
        raise Problem(403, "no_right", why, remedy=error.remedy, right=BANK) from error
    operator = Operator(f"{reader.name}:{found.reader}", "http")
    acts = len(found.violations)
    try:
        await act(context, lambda engine: audit_violations(engine.database, operator, found.grid, acts))
    except NotAudited as error:
        raise busy(error.message, error.remedy) from error
    return found


OF_A_BANK = [violations]
ROUTES = [deductions, approval_lines]
