"""督查督办: what is open with whom and until when, and the forms by which it is proposed, decided, served, answered,
reviewed and cleared. Every act goes the way of all events, and stands only where the rules would take it now."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import form_of, keys_of, not_a_form, post_of
from engine.console.acts import Outcome, is_id, mint, new_id, new_number, send
from engine.console.forms import ACTION, Form, codes_for, form_for
from engine.console.pages.case import TOLD
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import Names, active_names
from engine.views.present import present
from engine.views.supervisions import PROPOSE, SupervisionPage, SupervisionQuestion, proposable, supervision_page
from schemas.envelope import is_subject
from schemas.events import EVENTS
from schemas.partition import home_of
from workflows.policy.index import Policy
from workflows.policy.model import ActionRow
from workflows.reading import Readable

Only = Annotated[str, QueryParameter(description="mine, unit or office: in whose hands; empty: all.")]
Ended = Annotated[bool, QueryParameter(description="Those that have ended, the latest first.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
Said = Annotated[str, QueryParameter(description="What was done just now.")]
How = Annotated[str, QueryParameter(description="What became of it.")]
Case = Annotated[str, QueryParameter(description="The supervision with which it was done.")]
Sure = Annotated[str, QueryParameter(description="That this server has said so.")]
About = Annotated[str, QueryParameter(description="The case of which it is to speak.")]
Unit = Annotated[str, QueryParameter(description="Code of a grid or a department that is to answer.")]
Id = Annotated[str, PathParameter(description="The supervision: `<home>.<UUIDv7>`.")]
NUMBER = "number"
"""The field of a form that has the number of the case which it begins."""


@get("/supervision", include_in_schema=False)
async def show_supervisions(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    which: Only = "",
    ended: Ended = False,
    cursor: Cursor = "",
    said: Said = "",
    how: How = "",
    about: Case = "",
    sure: Sure = "",
    lang: Lang = "",
) -> Response[Any]:
    """What is open, with whom, until when; and what the visitor may do with each."""
    question = SupervisionQuestion(which=which, ended=ended, post=post_of(request), cursor=cursor)
    known = how in TOLD and said in EVENTS and await keys_of(request).is_receipt(f"{about} {said} {how}", sure)
    return await list_page(request, context, question, Outcome(said, how) if known else None, about, {})


async def list_page(
    request: Request[Principal, Any, Any],
    context: DoorContext,
    question: SupervisionQuestion,
    outcome: Outcome | None,
    about: str,
    typed: dict[str, str],
) -> Response[Any]:
    """The list, with what became of an act, and what was typed into its form."""
    now, policies = context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[SupervisionPage, Names]:
        found = supervision_page(connection, policies, question, now, readable)
        return found, active_names(connection, policies)

    found, names = await context.read_as(request.user, ask)
    return page(
        request,
        "supervision.html",
        status=422 if outcome is not None and outcome.how == "refused" else 200,
        found=found,
        question=question,
        outcome=outcome,
        about=about,
        typed=typed,
        form_for=form_for,
        new_id=new_id,
        choices=lambda field: codes_for(field, names),
        zone=names.register.pack.zone,
    )


@get("/supervision/new", include_in_schema=False)
async def show_proposal(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    about: About = "",
    unit: Unit = "",
    lang: Lang = "",
) -> Response[Any]:
    """The form by which a supervision is proposed: of a case, a grid or a department."""
    register = await context.read(lambda connection: active_names(connection, context.policies).register)
    member = "department" if unit in register.departments else "grid"
    return await proposal_page(request, context, None, {"about": about} | ({member: unit} if unit else {}))


async def proposal_page(
    request: Request[Principal, Any, Any], context: DoorContext, outcome: Outcome | None, typed: dict[str, str]
) -> Response[Any]:
    """The form of a proposal, with what was typed into it."""
    whose, now, policies = post_of(request), context.now(), context.policies

    def ask(connection: Connection) -> tuple[Names, tuple[ActionRow, ...]]:
        names = active_names(connection, policies)
        return names, proposable(names.register, whose, present(connection, now).at)

    names, actions = await context.read(ask)
    if whose and not actions:
        remedy = "choose a post that supervises"
        raise Problem(403, "forbidden", "this post proposes no supervision", remedy=remedy)
    return page(
        request,
        "proposal.html",
        status=422 if outcome is not None else 200,
        form=proposal_form(),
        actions=actions,
        outcome=outcome,
        typed=typed,
        trigger=PROPOSE,
        new_id=new_id,
        number=new_number(now),
        choices=lambda field: codes_for(field, names),
    )


def proposal_form() -> Form:
    """What a proposal asks for: the action, then of whom it is to speak, then the rest."""
    first = (ACTION, "about", "grid", "department", "ground")
    form = form_for(PROPOSE)
    ordered = sorted(form.fields, key=lambda each: first.index(each.name) if each.name in first else len(first))
    return form._replace(fields=tuple(ordered))


@post("/supervision/proposals", include_in_schema=False)
async def propose(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Propose a supervision. It lies where that lies of which it speaks, so its id is made of that and of the number
    that the form has: the same form begins one case, however often it is sent."""
    fields = await form_of(request)
    number = fields.pop(NUMBER, "")
    if fields.get("trigger") != PROPOSE or not is_id(number):
        raise not_a_form()
    register = await context.read(lambda connection: active_names(connection, context.policies).register)
    id_ = mint(home_for(fields, register), number)
    outcome = await send(request, context, id_, fields)
    if outcome.how == "refused":
        return await proposal_page(request, context, outcome, fields)
    return await told(request, id_, outcome)


def home_for(fields: dict[str, str], register: Policy) -> str:
    """The home in which a proposal lies: that of the case, else of the grid of which it speaks, else the root."""
    about, grid = fields.get("about", "").strip(), fields.get("grid", "").strip()
    if is_subject(about):
        return home_of(about)
    return register.home(grid) if grid in register.grids else register.root


@post("/supervision/{id:str}/acts", include_in_schema=False)
async def act_on_supervision(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id
) -> Response[Any]:
    """Do what a form says: the list anew, or the reason of a refusal with what was typed."""
    fields = await form_of(request)
    outcome = await send(request, context, id, fields)
    if outcome.how == "refused":
        return await list_page(request, context, SupervisionQuestion(post=post_of(request)), outcome, id, fields)
    return await told(request, id, outcome)


async def told(request: Request[Principal, Any, Any], id_: str, outcome: Outcome) -> Response[Any]:
    """Back to the list, which says what became of it."""
    sure = await keys_of(request).receipt(f"{id_} {outcome.trigger} {outcome.how}")
    return seen_elsewhere(request, query("/supervision", said=outcome.trigger, how=outcome.how, about=id_, sure=sure))


ROUTES = [show_supervisions, show_proposal]
ACTS = [propose, act_on_supervision]
