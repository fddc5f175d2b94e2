"""Open311 GeoReport v2 at `/open311/v2`: what the public asks for, as programs of other cities send and read it.

A key (`api_key`) is the token of a principal. Who shows none reads as the principal that the operator names
(`open311_public`), or not at all; and sends nothing. A door without principals asks for no key, as its other routes.
"""

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, QueryParameter

from engine.http.auth import check_right, token_of
from engine.http.context import DoorContext
from engine.http.open311_answers import BASE, ENDINGS, JSON, XML, InFormat, ending_of
from engine.http.open311_posting import MOST_BYTES, check_key, publish_form, read_form
from engine.http.problems import Problem
from engine.principals import Principal
from engine.store.database import Connection
from engine.views import open311
from engine.views.names import Names, active_names
from engine.views.open311 import MOST, NotThere, RequestQuestion
from schemas.open311 import Created, Discovery, Service, ServiceDefinition, ServiceRequest, Tokened
from workflows.reading import Readable

Caller = Request[Principal, Any, Any]
Key = Annotated[str, QueryParameter(description="A key: the token of a principal. Or send it as a bearer token.")]
Jurisdiction = Annotated[str, QueryParameter(description="Which jurisdiction; this server has one, so leave it out.")]
RequestIds = Annotated[str, QueryParameter(description="Ids of requests, with commas; nothing else counts then.")]
Codes = Annotated[str, QueryParameter(description="Codes of services, with commas between.")]
Begin = Annotated[
    str, QueryParameter(description="Asked for at this instant or later, such as 2026-03-02T09:00:00+08:00.")
]
End = Annotated[str, QueryParameter(description="Asked for at this instant or earlier, 90 days after it at most.")]
Status = Annotated[str, QueryParameter(description="open, closed, or both with a comma.")]
Page = Annotated[str, QueryParameter(description="Which page, from 1 on.")]
PageSize = Annotated[str, QueryParameter(description=f"Requests of a page, {MOST} at most.")]
ServiceFile = Annotated[str, PathParameter(description="Code of a service, with `.xml` or `.json` behind it.")]
RequestFile = Annotated[str, PathParameter(description="Id of a request, with `.xml` or `.json` behind it.")]
TokenFile = Annotated[str, PathParameter(description="The token, with `.xml` or `.json` behind it.")]


def paths(name: str) -> list[str]:
    """The paths of a resource: as it is, and with each ending."""
    return [f"{BASE}/{name}{ending}" for ending in ("", *ENDINGS)]


def answers(
    path: str | list[str], root: str, summary: str, method: Callable[..., Any] = get, **more: Any
) -> Callable[[Callable[..., Any]], Any]:
    """What all routes of the interface have: both formats, in XML with the element `root` around."""
    told = {"opt": {"root": root}, "summary": f"Open311: {summary}", "tags": ["open311"]}
    return method(path, response_class=InFormat, **told, **more)  # type: ignore[no-any-return]


async def reads_by_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Find out who reads: by its key, else as the principal of the public, whose quota each reading is charged to."""
    context: DoorContext = connection.app.state["context"]
    key = connection.query_params.get("api_key", "") or token_of(connection)
    named = context.settings.open311_public
    principals = context.principals
    if key or not principals.asked:
        connection.scope["user"] = check_key(principals, key)
        return
    public = principals.named(named) if named else None
    if public is None:
        remedy = "show one as `api_key`; `discovery` says how you get it"
        raise Problem(403, "no_token", "this server asks for a key", field="api_key", remedy=remedy)
    context.quotas.check_events(public.name, public.quota)
    connection.scope["user"] = public


async def reads_requests(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The same, of who reads cases. A form has its key in its body, where its route looks for it."""
    if connection.scope.get("method") != "POST":
        await reads_by_key(connection, handler)
        check_right(connection, "reads")


def bare(file: str) -> str:
    """A code or an id without the ending that says the format."""
    return file.removesuffix(ending_of(file))


@answers(paths("discovery"), "discovery", "where and in which formats this answers")
async def show_discovery(context: NamedDependency[DoorContext], request: Request[Any, Any, Any]) -> Discovery:
    """For whoever looks for the interface: its address, its formats, and how one gets a key. It needs none."""
    settings, policies = context.settings, context.policies
    url = settings.open311_url or f"{str(request.base_url).rstrip('/')}{BASE}"
    contact, keys = settings.open311_contact, settings.open311_keys
    return await context.read(
        lambda connection: open311.discovery(connection, policies, url, [XML, JSON], contact, keys, context.now())
    )


@answers(paths("services"), "services", "what can be asked for")
async def list_services(
    context: NamedDependency[DoorContext], api_key: Key = "", jurisdiction_id: Jurisdiction = ""
) -> list[Service]:
    """Every category of the active pack, as a service."""
    return await context.read(lambda connection: open311.service_list(names_of(context, connection, jurisdiction_id)))


@answers(f"{BASE}/services/{{service_code:str}}", "service_definition", "what the form of a service asks")
async def define_service(
    context: NamedDependency[DoorContext],
    service_code: ServiceFile,
    api_key: Key = "",
    jurisdiction_id: Jurisdiction = "",
) -> ServiceDefinition:
    """No service asks more than all do, so `attributes` is empty."""
    code = bare(service_code)
    return await context.read(
        lambda connection: open311.service_definition(names_of(context, connection, jurisdiction_id), code)
    )


@answers(paths("requests"), "service_requests", "requests, and how far they are")
async def list_requests(
    context: NamedDependency[DoorContext],
    request: Caller,
    service_request_id: RequestIds = "",
    service_code: Codes = "",
    start_date: Begin = "",
    end_date: End = "",
    status: Status = "",
    page: Page = "",
    page_size: PageSize = "",
    api_key: Key = "",
    jurisdiction_id: Jurisdiction = "",
) -> list[ServiceRequest]:
    """The latest first: of the last 90 days unless other days are named, 90 at most. Nobody is shown what was written,
    where exactly it is, or a picture, unless that was released."""
    question = RequestQuestion(
        service_request_id=said(request, "service_request_id"),
        service_code=said(request, "service_code"),
        start_date=start_date,
        end_date=end_date,
        status=said(request, "status"),
        page=page,
        page_size=page_size,
    )
    now = context.now()

    def answer(connection: Connection, readable: Readable) -> list[ServiceRequest]:
        names = names_of(context, connection, jurisdiction_id)
        return open311.request_list(connection, names, question, now, readable)

    return await context.read_as(request.user, answer)


@answers(f"{BASE}/requests/{{service_request_id:str}}", "service_requests", "one request, and how far it is")
async def show_request(
    context: NamedDependency[DoorContext],
    request: Caller,
    service_request_id: RequestFile,
    api_key: Key = "",
    jurisdiction_id: Jurisdiction = "",
) -> list[ServiceRequest]:
    """A list of one, as the specification has it."""
    id_ = bare(service_request_id)

    def answer(connection: Connection, readable: Readable) -> list[ServiceRequest]:
        names = names_of(context, connection, jurisdiction_id)
        return [open311.one_request(connection, names, id_, readable)]

    return await context.read_as(request.user, answer)


@answers(f"{BASE}/tokens/{{token:str}}", "service_requests", "the request of a token")
async def show_token(
    context: NamedDependency[DoorContext],
    request: Caller,
    token: TokenFile,
    api_key: Key = "",
    jurisdiction_id: Jurisdiction = "",
) -> list[Tokened]:
    """A token is the id of its request, which is there once it is decided."""
    id_ = bare(token)

    def answer(connection: Connection, readable: Readable) -> list[Tokened]:
        names_of(context, connection, jurisdiction_id)
        if not any(open311.requests_of(connection, [id_], readable)):
            raise NotThere("token", "there is no request of this token yet, or none at all")
        return [Tokened(id_, id_)]

    return await context.read_as(request.user, answer)


@answers(
    paths("requests"), "service_requests", "ask for a service", post, status_code=200, request_max_body_size=MOST_BYTES
)
async def create_request(context: NamedDependency[DoorContext], request: Request[Any, Any, Any]) -> list[Created]:
    """A form (`application/x-www-form-urlencoded`) with a key. The answer has the id of the request, or a `token` where
    it is not decided yet. The same form by the same principal within 24 hours is the same request."""
    context.check_open()
    key, form = await read_form(request)
    request.scope["user"] = sender = check_key(context.principals, key, "actors")
    return [await publish_form(context, sender, form)]


def names_of(context: DoorContext, connection: Connection, jurisdiction: str) -> Names:
    """The names of the active pack, for a question to this jurisdiction. Raises Unanswerable."""
    names = active_names(connection, context.policies)
    open311.check_jurisdiction(names, jurisdiction, context.settings.open311_jurisdiction)
    return names


def said(request: Caller, name: str) -> str:
    """A parameter that may stand there several times, as one text with commas."""
    return ",".join(request.query_params.getall(name, []))


UNGUARDED = [show_discovery]
ROUTES = [list_services, define_service]
OF_READERS = [list_requests, show_request, show_token, create_request]
