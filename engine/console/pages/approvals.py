"""审批: what is applied for, until when by the promise and by the law, and why the time stands still; and the form by
which an application is entered. What may be said of one is offered on its own page."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.access import form_of, keys_of, not_a_form, post_of
from engine.console.acts import Outcome, is_id, mint, new_id, new_number, send
from engine.console.forms import codes_for, form_for
from engine.console.pages.supervision import NUMBER
from engine.console.rendering import language_of, page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.approval_money import PURPOSES, ApprovalMoneyPage, ApprovalMoneyQuestion, approval_money
from engine.views.approvals import FILE, ApprovalPage, ApprovalQuestion, approval_page, fileable
from engine.views.names import Names, active_names
from engine.views.present import present
from schemas.value_words import WORDS
from workflows.policy.model import ApprovalRow
from workflows.reading import Readable

Ended = Annotated[bool, QueryParameter(description="Those that have ended, the latest first.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
From = Annotated[str, QueryParameter(name="from", description="First local day of lines.")]
To = Annotated[str, QueryParameter(name="to", description="Last local day of lines.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: what is to be in it and below; without one all.")]
Purpose = Annotated[str, QueryParameter(description="What lines are for; without one all.")]
ApprovalId = Annotated[str, QueryParameter(description="The approval: `<home>.<UUIDv7>`; without one all.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/approvals", include_in_schema=False)
async def show_approvals(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    cursor: Cursor = "",
    lang: Lang = "",
) -> Response[Any]:
    """What is open, until when, and what stands still."""
    question = ApprovalQuestion(ended=ended, post=post_of(request), cursor=cursor)
    now, policies = context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[ApprovalPage, str]:
        found = approval_page(connection, policies, question, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "approvals.html", found=found, question=question, zone=zone, value_words=WORDS)


@get("/approvals/money", include_in_schema=False)
async def show_money(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    from_: From = "",
    to: To = "",
    grid: Grid = "",
    purpose: Purpose = "",
    approval: ApprovalId = "",
    lang: Lang = "",
) -> Response[Any]:
    """Lines of money by their days, each opening into its approval, and what they come to."""
    question = ApprovalMoneyQuestion(since=from_, until=to, grid=grid, purpose=purpose, approval=approval)
    now, policies = context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[ApprovalMoneyPage, str]:
        found = approval_money(connection, policies, question, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "money.html", found=found, question=question, zone=zone, value_words=WORDS, purposes=PURPOSES)


@get("/approvals/new", include_in_schema=False)
async def show_application(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], lang: Lang = ""
) -> Response[Any]:
    """The form by which an application is entered."""
    return await application_page(request, context, None, {})


async def application_page(
    request: Request[Principal, Any, Any], context: DoorContext, outcome: Outcome | None, typed: dict[str, str]
) -> Response[Any]:
    """The form of an application, with what was typed into it."""
    whose, now, policies = post_of(request), context.now(), context.policies

    def ask(connection: Connection) -> tuple[Names, tuple[ApprovalRow, ...]]:
        names = active_names(connection, policies)
        return names, fileable(names.register, whose, present(connection, now).at)

    names, matters = await context.read(ask)
    if whose and not matters:
        remedy = "choose a post that enters applications"
        raise Problem(403, "forbidden", "this post enters no application", remedy=remedy)
    form = form_for(FILE)
    return page(
        request,
        "application.html",
        status=422 if outcome is not None else 200,
        form=form._replace(fields=tuple(each for each in form.fields if each.name != "about")),  # it speaks of no case
        outcome=outcome,
        typed=typed,
        trigger=FILE,
        new_id=new_id,
        number=new_number(now),
        offered=lambda field: (
            [
                (row.code, row.title_zh if language_of(request) == "zh" else row.title_en or row.title_zh)
                for row in matters
            ]
            if field.name == "matter"
            else codes_for(field, names)
        ),
    )


@post("/approvals/applications", include_in_schema=False)
async def enter_application(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]
) -> Response[Any]:
    """Enter an application. It lies in the home of the root, whatever grid it is to be in: its id is made of that and
    of the number that the form has, so the same form begins one case, however often it is sent."""
    fields = await form_of(request)
    number = fields.pop(NUMBER, "")
    if fields.get("trigger") != FILE or not is_id(number):
        raise not_a_form()
    root = await context.read(lambda connection: active_names(connection, context.policies).register.root)
    id_ = mint(root, number)
    outcome = await send(request, context, id_, fields)
    if outcome.how == "refused":
        return await application_page(request, context, outcome, fields)
    sure = await keys_of(request).receipt(f"{id_} {outcome.trigger} {outcome.how}")
    return seen_elsewhere(request, query(f"/cases/{id_}", said=outcome.trigger, how=outcome.how, sure=sure))


ROUTES = [show_approvals, show_money, show_application]
ACTS = [enter_application]
