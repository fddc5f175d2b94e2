"""What Open311 GeoReport v2 shows: the catalogue as services, and petitions as requests (`docs/open311.md`).

In: questions as texts. Out: the structs of the specification, member by member. Nothing that somebody wrote is shown,
nor where exactly it is, unless that was released; whoever asks.
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.slice.types import FROM_EVER_MS
from engine.store import exports, incident_queries, words
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters
from engine.views.incident_list import each_read
from engine.views.names import Names, active_names
from engine.views.past import Order
from engine.views.questions import BadQuestion, Unanswerable, parse_instant, parse_whole
from engine.views.readers import check_list
from schemas import facts, sealing
from schemas.coordinates import UNITS
from schemas.events import trigger_of
from schemas.kinds.petition import Petition
from schemas.open311 import SPECIFICATION, Discovery, Endpoint, Service, ServiceDefinition, ServiceRequest, Status
from workflows import case as cases
from workflows.case import Case
from workflows.definitions import DEFINITIONS, REFERENCE
from workflows.duplicates import spot_of
from workflows.policy.model import Category
from workflows.reading import Readable

KIND = "petition"
"""What the public asks for."""
CHANNELS = ("app", "online")
"""By which ways it came, of what is shown: a letter, a call or a visit was meant for nobody else."""
SPAN_MS = 90 * 86_400_000
"""How much one question spans at most, and where it says nothing of when."""
LAST_MS = 999
"""The rest of the second that a question names last: what is shown is shown by whole seconds."""
MOST = 1000
"""Requests of an answer."""
MOST_PAGED = 10_000
"""Requests that can be reached by pages; who needs more asks for fewer days."""
MOST_CODES = 50
"""Services, and ids, that one question names."""
PLACES, EXACT = 3, 7
"""Decimals of a degree that are shown: a hundred metres or so, not a door; and those of what was released."""
MEDIA = "media_url: "
"""Begins the note of a petition that has the address of a picture."""


class NotThere(Unanswerable):
    """There is none of this code or id, or who asks does not read it."""


class RequestQuestion(Struct, frozen=True, kw_only=True):
    """Which requests, as texts; several codes, ids or words of status have commas between them. Empty asks nothing."""

    service_request_id: str = ""
    service_code: str = ""
    start_date: str = ""
    end_date: str = ""
    status: str = ""
    page: str = ""
    page_size: str = ""


def discovery(
    connection: Connection, policies: Policies, url: str, formats: list[str], contact: str, keys: str, now: int
) -> Discovery:
    """Where the interface answers. It changed when the active pack became active; where that was before all that the
    log tells, with the first of it, or just `now`. Raises NoActivePack."""
    names = active_names(connection, policies)
    since = incident_queries.read_activated_at(connection)
    if since <= FROM_EVER_MS:
        since = incident_queries.read_first_arrival(connection) or now
    changed = names.instant(since)
    endpoint = Endpoint(SPECIFICATION, url, changed, "production", formats)
    return Discovery(changed, contact, keys, [endpoint])


def check_jurisdiction(names: Names, asked: str, own: str) -> None:
    """Refuse a jurisdiction that is not the one of this server: the one that it was given, or the code of the pack.
    Empty is no question. Raises NotThere."""
    if asked not in ("", own or names.register.pack.code):
        raise NotThere("jurisdiction_id", "this server serves another jurisdiction", "leave it out")


def service_list(names: Names) -> list[Service]:
    """Every category of the active pack."""
    return [service_of(category) for category in names.register.pack.categories]


def service_of(category: Category) -> Service:
    """A category as a service. Its names in both languages and the phrase of its text help to find it."""
    about = [word for word in (category.source, category.name_en) if word not in ("", category.name_zh)]
    return Service(
        service_code=category.code,
        service_name=category.name_zh,
        description="; ".join(dict.fromkeys(about)) or category.name_zh,
        metadata=False,
        type="realtime",
        keywords=", ".join(filter(None, (category.name_en, category.group))),
        group=category.group,
    )


def service_definition(names: Names, code: str) -> ServiceDefinition:
    """What a service asks besides. Raises NotThere."""
    check_service(names, code, "service_code")
    return ServiceDefinition(code, [])


def check_service(names: Names, code: str, field: str) -> None:
    """Refuse a code that is no category of the active pack. Raises NotThere."""
    if code not in names.register.categories:
        raise NotThere(field, "there is no service of this code", "ask for the list of services")


def request_list(
    connection: Connection, names: Names, question: RequestQuestion, now: int, readable: Readable
) -> list[ServiceRequest]:
    """The requests that are asked for, the latest first, of those that are read. Raises Unanswerable."""
    check_list(readable, names, KIND, "")
    if question.service_request_id:
        ids = parts_of(question.service_request_id, "service_request_id")
        return [shown(connection, case, names) for case in requests_of(connection, ids, readable)]
    codes = parts_of(question.service_code, "service_code") or [""]
    for code in filter(None, codes):
        check_service(names, code, "service_code")
    begin, end = span_of(question, now)
    open_ = open_asked(question.status)
    page = whole_of(question.page, "page", MOST_PAGED) or 1
    size = whole_of(question.page_size, "page_size", MOST) or MOST
    if page * size > MOST_PAGED:
        raise BadQuestion("page", f"pages end at {MOST_PAGED} requests", "ask for fewer days")
    order = Order("opened_at", True, After(end + 1, ""))
    runs = [
        each_read(
            connection,
            Filters(
                now=now,
                open=open_,
                definitions=(KIND,),
                category=code,
                opened_from=begin,
                channels=CHANNELS,
                readable=readable,
            ),
            order,
            size,
        )
        for code in codes
    ]
    merged = heapq.merge(*runs, key=lambda each: (each[1].opened, each[1].id), reverse=True)
    asked = (case for _, case in merged if is_request(case, readable))
    return [shown(connection, case, names) for case in islice(asked, (page - 1) * size, page * size)]


def one_request(connection: Connection, names: Names, id_: str, readable: Readable) -> ServiceRequest:
    """One request. Raises NotThere where there is none of this id, or it is not read."""
    for case in requests_of(connection, [id_], readable):
        return shown(connection, case, names)
    raise NotThere("service_request_id", "there is no request of this id")


def requests_of(connection: Connection, ids: Iterable[str], readable: Readable) -> Iterator[Case]:
    """The requests of these ids that are read, in this order."""
    wanted = list(ids)
    bodies = incident_queries.read_cases(connection, wanted)
    for id_ in wanted:
        if id_ in bodies and is_request(case := cases.decode(bodies[id_]), readable):
            yield case


def is_request(case: Case, readable: Readable) -> bool:
    """Whether a case is a request that is read."""
    return isinstance(case.own, Petition) and case.own.channel in CHANNELS and readable.reads_case(case)


def shown(connection: Connection, case: Case, names: Names) -> ServiceRequest:
    """A case as the public sees it: of what was written only what was released (公开), and was not erased since."""
    own, spot, agency = case.own, spot_of(case), names.owner(case.owner)
    assert isinstance(own, Petition)
    told = written_in(connection, case) if own.shows else {}
    state, work = DEFINITIONS[case.definition].states[case.state], DEFINITIONS[REFERENCE].states.get(own.case_state)
    places = EXACT if "address" in own.shows else PLACES
    ended = case.closed if case.closed is not None else max(case.judged, case.opened)
    return ServiceRequest(
        service_request_id=case.id,
        status=Status.OPEN if case.closed is None else Status.CLOSED,
        status_notes="; ".join(
            f"{each.zh} {each.name.replace('_', ' ')}" for each in (state, work) if each is not None
        ),
        service_name=names.titles(case.category)[0],
        service_code=case.category,
        description=told.get("description") if "description" in own.shows else None,
        agency_responsible=(agency.department or agency.grid).name if agency else None,
        service_notice=None,
        requested_datetime=names.instant(whole_second(case.opened)),
        updated_datetime=names.instant(whole_second(ended)),
        expected_datetime=names.instant(whole_second(case.due_at)) if case.due_at is not None else None,
        address=told.get("address") if "address" in own.shows else None,
        address_id=None,
        zipcode=None,
        lat=round(spot[1] / UNITS, places) if spot else None,
        long=round(spot[0] / UNITS, places) if spot else None,
        media_url=told.get("note", "").removeprefix(MEDIA) or None if "media" in own.shows else None,
    )


def written_in(connection: Connection, case: Case) -> dict[str, str]:
    """What was sealed of the event that began a case, by its members; nothing of what was erased."""
    begins = DEFINITIONS[case.definition].births
    for row in exports.steps_of(connection, case.id):
        cause = facts.decode_cause(row.cause)
        if trigger_of(cause.type) in begins and cause.token:
            found = words.read_words(connection, [cause.token]).get(cause.token)
            sealed = msgspec.json.decode(found.body) if found is not None and found.body else {}
            return {word.member: word.text for word in sealing.words_of(cause.type, sealed)}
    return {}


def whole_second(instant: int) -> int:
    """An instant (ms) without its fraction of a second, which not every client reads."""
    return instant - instant % 1000


def parts_of(text: str, field: str) -> list[str]:
    """The parts between commas, each once. Raises BadQuestion for too many."""
    parts = list(dict.fromkeys(part for each in text.split(",") if (part := each.strip())))
    if len(parts) > MOST_CODES:
        raise BadQuestion(field, f"at most {MOST_CODES} may stand there", "ask for them in several questions")
    return parts


def open_asked(status: str) -> bool | None:
    """Which requests a question of status asks for: the open ones, the closed ones, or all (None)."""
    words = set(parts_of(status, "status"))
    if not words <= set(Status):
        raise BadQuestion(
            "status", "this is no status of a request", f"send {' or '.join(Status)}, or both with a comma"
        )
    return Status.OPEN in words if len(words) == 1 else None


def span_of(question: RequestQuestion, now: int) -> tuple[int, int]:
    """The first and the last instant of a question, in milliseconds UTC: the last 90 days, or those beside the end that
    was named. Raises BadQuestion where both are named and lie wrong, or further apart."""
    start, end = question.start_date, question.end_date
    begin = parse_instant(start, "start_date") if start else None
    last = parse_instant(end, "end_date") + LAST_MS if end else None
    if begin is None:
        last = now if last is None else last
        return whole_second(last) - SPAN_MS, last
    if last is None:
        return begin, begin + SPAN_MS + LAST_MS
    if begin > last:
        raise BadQuestion("start_date", "it lies after end_date", "change the two")
    if last - begin > SPAN_MS + LAST_MS:
        raise BadQuestion("start_date", "more than 90 days lie between it and end_date", "ask for fewer days at a time")
    return begin, last


def whole_of(text: str, field: str, most: int) -> int | None:
    """A whole number from 1 on; None where none was sent. Raises BadQuestion."""
    if not text:
        return None
    number = parse_whole(text)
    if number is None or not 1 <= number <= most:
        raise BadQuestion(field, f"this is no whole number from 1 to {most}", "count from 1")
    return number
