"""案件, one case: where it stands and who holds it, why it is late, what happened, and what the visitor may do."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import form_of, keys_of, post_of
from engine.console.acts import Outcome, new_id, send
from engine.console.bars import Bars, bars_of
from engine.console.formatting import Language, Words
from engine.console.forms import Field, Form, act_words, codes_for, form_for
from engine.console.map_svg import GridMap, map_of
from engine.console.rendering import language_of, page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.operator import act
from engine.http.problems import busy
from engine.operations.auditing import NotAudited, audit_words
from engine.policies import Policies
from engine.principals import Operator, Principal
from engine.store import exports
from engine.store.database import Connection
from engine.views.case_files import files_of_case
from engine.views.deadlines import Ledger, calendar_then, explained_by, ledgers, packs_of
from engine.views.incident_detail import IncidentDetail, read_case, shown_case
from engine.views.local_times import LocalClock
from engine.views.names import Names, active_names
from engine.views.present import present
from engine.views.story import StepText, definition_of
from engine.views.supervisions import proposable
from engine.views.words import IncidentWords, incident_words
from schemas import facts
from schemas.events import EVENTS
from schemas.joint import KeptPart, joint_of
from workflows.case import AWAITED
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import Explanation, amount_text, rough
from workflows.clocks.limits import Kind, LimitError
from workflows.clocks.timescales import CalendarError
from workflows.reading import Readable, word_rights
from workflows.saying import sayable

Id = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
Written = Annotated[bool, QueryParameter(name="words", description="Also what people wrote; the reading is audited.")]
Said = Annotated[str, QueryParameter(description="What was done just now.")]
How = Annotated[str, QueryParameter(description="What became of it.")]
Sure = Annotated[str, QueryParameter(description="That this server has said so.")]
TOLD = ("done", "parked", "pending", "again")
"""What became of an act that the page tells after it was loaded anew."""


class ShownAct(NamedTuple):
    """An act that the visitor may do now."""

    form: Form
    zh: str
    en: str
    works: bool


class Explained(NamedTuple):
    """A clock with its calculation; None where it was ordered, or the calendar does not reach so far."""

    ledger: Ledger
    explanation: Explanation | None
    due_at: str | None


class CaseView(NamedTuple):
    """All that the page shows, as of one snapshot."""

    detail: IncidentDetail
    story: list[StepText]
    explained: list[Explained]
    bars: Bars | None
    acts: list[ShownAct]
    place: GridMap | None
    spot: tuple[int, int] | None
    reads_words: bool
    names: Names
    amount: Callable[[Kind, int], str]
    proposes: bool
    parts: list[tuple[KeptPart, str]]


@get("/cases/{id:str}", include_in_schema=False)
async def show_case(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    id: Id,
    words: Written = False,
    said: Said = "",
    how: How = "",
    sure: Sure = "",
    lang: Lang = "",
) -> Response[Any]:
    """One case. What people wrote is shown when it is asked for, and the reading is in the audit before."""
    written = await read_words(request, context, id) if words else None
    known = how in TOLD and said in EVENTS and await keys_of(request).is_receipt(f"{id} {said} {how}", sure)
    outcome = Outcome(said, how) if known else None
    return await case_page(request, context, id, outcome, {}, written)


async def case_page(
    request: Request[Principal, Any, Any],
    context: DoorContext,
    id_: str,
    outcome: Outcome | None,
    typed: dict[str, str],
    written: IncidentWords | None = None,
) -> Response[Any]:
    """The page of a case, with what became of an act and what was typed into its form."""
    now, policies, post, language = context.now(), context.policies, post_of(request), language_of(request)
    view = await context.read_as(
        request.user,
        lambda connection, readable: case_view(connection, policies, id_, post, now, readable, language),
    )
    return page(
        request,
        "case.html",
        status=422 if outcome is not None and outcome.how == "refused" else 200,
        view=view,
        case=view.detail,
        written=written,
        outcome=outcome,
        typed=typed,
        new_id=new_id,
        choices=lambda field: choices_for(field, view),
        local=LocalClock(view.names),
        zone=view.names.register.pack.zone,
    )


def case_view(
    connection: Connection,
    policies: Policies,
    id_: str,
    post: str,
    now: int,
    readable: Readable,
    language: Language,
) -> CaseView:
    """What is shown of a case that is read: the case and its steps are read once. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    case, steps = read_case(connection, names, id_, readable), exports.steps_of(connection, id_)
    rules = policies.get(connection, case.policy) if case.policy else names.register
    detail = shown_case(case, steps, names, rules, here, files_of_case(connection, id_, steps))
    decoded = [(step, facts.decode_facts(step.body)) for step in steps]
    kind, clock = definition_of(known for _, known in decoded), LocalClock(names)
    story = [StepText(step, known, kind, names, clock, language) for step, known in decoded]
    ran = ledgers(steps)
    packs = packs_of(connection, steps[0].partition) if steps else []
    calendars = [calendar_then(connection, policies, packs, each) for each in ran]
    speaker = names.register.posts.get(post)
    may = sayable(case, speaker, rules, names.register, here.at) if speaker is not None else ()
    acts = [ShownAct(form_for(each.trigger), *act_words(each.trigger), each.works) for each in may]
    area = names.register.home(case.path[-1]) if case.path and case.path[-1] in names.register.grids else ""
    place = map_of(names.register, tuple(names.register.leaves(area))) if area else None
    spot = None
    if place is not None and detail.lon is not None and detail.lat is not None:
        spot = place.projection.point(detail.lon, detail.lat)
    reads = speaker is not None and word_rights(speaker, case, names.register, here.at).words
    return CaseView(
        detail=detail,
        story=story,
        explained=[explained(each, calendar, names) for each, calendar in zip(ran, calendars, strict=True)],
        bars=bars_of(ran, calendars[0] if calendars else None, here.at, case.closed),
        acts=sorted(acts, key=lambda each: (not each.works, each.form.trigger)),
        place=place,
        spot=spot,
        reads_words=reads and case.state != AWAITED,
        names=names,
        amount=lambda kind, ms: amount_of(names, kind, ms, language),
        parts=[(part, part_words(part, names, language)) for part in joint_of(case.own).parts if part.alive],
        proposes=case.closed is None and case.state != AWAITED and bool(proposable(names.register, post, here.at)),
    )


def part_words(part: KeptPart, names: Names, language: Language) -> str:
    """Whose a part of an incident is, and how it stands for who leads."""
    unit = names.department(part.department) if part.department else names.grid(part.grid)
    stands = Words(language)("part_done" if part.complete else "part_back" if part.returned else "part_open")
    return f"{names.post(part.neighbour).name if part.neighbour else unit.name}{stands}"


def choices_for(field: Field, view: CaseView) -> Iterable[tuple[str, str]]:
    """Among what a field of a case chooses: parts that the incident waits for, parts that a check may find not done, or
    codes of the register."""
    if field.shape == "case":
        return [(part.id, words) for part, words in view.parts if part.waited_for]
    if field.shape == "cases":
        return [(part.id, words) for part, words in view.parts]
    return codes_for(field, view.names)


def amount_of(names: Names, kind: Kind, ms: int, language: Language) -> str:
    """What a clock has consumed, in its own kind of time."""
    calendar = next(iter(names.register.calendars.values()))
    return amount_text(calendar, kind, rough(kind, ms), language)


def explained(ledger: Ledger, calendar: Calendar, names: Names) -> Explained:
    """A clock with its calculation."""
    found = None
    if ledger.limit:
        try:
            found = explained_by(calendar, ledger)
        except (CalendarError, LimitError):
            found = None
    return Explained(ledger, found, names.maybe(ledger.due))


async def read_words(request: Request[Principal, Any, Any], context: DoorContext, id_: str) -> IncidentWords:
    """What people wrote to a case, as the visitor's post reads it: audited before it is shown."""
    now, policies, reader, post = context.now(), context.policies, request.user, post_of(request)
    found = await context.read_as(
        reader, lambda connection, readable: incident_words(connection, policies, id_, post, reader, now, readable)
    )
    operator = Operator(f"{reader.name}:{found.reader.code}", "http")
    try:
        await act(context, lambda engine: audit_words(engine.database, operator, id_, contact=found.contact))
    except NotAudited as error:
        raise busy(error.message, error.remedy) from error
    return found


@post("/cases/{id:str}/acts", include_in_schema=False)
async def act_on_case(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id
) -> Response[Any]:
    """Do what a form says: the page anew, or the reason of a refusal with what was typed."""
    fields = await form_of(request)
    outcome = await send(request, context, id, fields)
    if outcome.how == "refused":
        return await case_page(request, context, id, outcome, fields)
    sure = await keys_of(request).receipt(f"{id} {outcome.trigger} {outcome.how}")
    return seen_elsewhere(request, query(f"/cases/{id}", said=outcome.trigger, how=outcome.how, sure=sure))


ROUTES = [show_case]
ACTS = [act_on_case]
