"""假如, for who operates the server: recorded history decided once more under another pack, beside what was.

The other pack is a stored one, or one that was checked on the page of packs. It is computed in a process of its own,
one at a time; what came of the last ones is kept in memory, so another process asks anew. Nothing is written. Who reads
no cases sees numbers alone.
"""

from datetime import date
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.access import form_of
from engine.console.pages.packs import CheckedPacks, StoredPack, listed, stored_pack
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import Names, active_names
from engine.views.questions import BadQuestion
from engine.views.what_if_desk import Comparison, Comparisons, new_key
from workflows.clocks.calendar import day_number, day_of_number
from workflows.definitions import DEFINITIONS
from workflows.policy import model
from workflows.policy.model import Pack

Lang = Annotated[str, QueryParameter(description="zh or en.")]
Asked = Annotated[str, QueryParameter(description="The comparison that is shown.")]
SHOWN = 20
"""Posts and places of a page at most."""


class Beside(NamedTuple):
    """A number as it was, and as it would have been."""

    zh: str
    en: str
    was: int
    would_be: int


@get("/whatif", include_in_schema=False)
async def show_what_if(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    key: Asked = "",
    lang: Lang = "",
) -> Response[Any]:
    """What may be asked, what was asked, and one answer."""
    kept, sender = comparisons(request), request.user.name
    shown = kept.of(sender, key) if key else None
    if key and shown is None:
        detail = "this server process has no such comparison any more"
        raise Problem(404, "unknown_comparison", detail, remedy="ask for it anew")
    packs, zone = await context.read(lambda connection: listed(connection, context))
    checked: CheckedPacks = request.app.state["console_packs"]
    known = {each.digest for each in packs}
    packs += [
        StoredPack(digest, pack.code, pack.title_zh, pack.title_en, False, "")
        for digest, pack in checked.all_of(sender)
        if digest not in known
    ]
    told = await context.read(lambda connection: told_of(connection, context, shown)) if shown else None
    return page(
        request,
        "whatif.html",
        packs=packs,
        asked=kept.asked_by(sender),
        shown=shown,
        told=told,
        runs=kept.running,
        can=kept.comparer is not None,
        reads=request.user.has("reads"),
        now=context.now(),
        zone=zone,
    )


class Told(NamedTuple):
    """An answer as a page shows it: numbers, posts whose load differs most, places that differ."""

    numbers: list[Beside]
    posts: list[Beside]
    places: list[dict[str, Any]]
    same_places: int


def told_of(connection: Connection, context: DoorContext, shown: Comparison) -> Told | None:
    """What a page shows of an answer; None: there is none yet."""
    if shown.answer is None:
        return None
    names, was, would_be = active_names(connection, context.policies), shown.answer["was"], shown.answer["would_be"]
    numbers = [
        Beside("告警", "alerts", was["alerts"], would_be["alerts"]),
        Beside("告知", "notices", was["notices"], would_be["notices"]),
        Beside("在办", "open", was["open"], would_be["open"]),
    ]
    for name in sorted({*was["endings"], *would_be["endings"]}):
        zh, en = ENDINGS.get(name, (name, name))
        numbers.append(Beside(zh, en, was["endings"].get(name, 0), would_be["endings"].get(name, 0)))
    titles = {name: clock.zh for kind in DEFINITIONS.values() for name, clock in kind.clocks.items()}
    for clock in sorted({*was["lapses"], *would_be["lapses"]}):
        sides = was["lapses"].get(clock, 0), would_be["lapses"].get(clock, 0)
        numbers.append(Beside(f"{titles.get(clock, clock)}超期", f"{clock} missed", *sides))
    told = {
        code: (was["told"].get(code, 0), would_be["told"].get(code, 0)) for code in {*was["told"], *would_be["told"]}
    }
    most = sorted(told, key=lambda code: (-abs(told[code][1] - told[code][0]), code))[:SHOWN]
    titled = {code: title_of(names, code) for code in most if told[code][0] != told[code][1]}
    posts = [Beside(title, title, *told[code]) for code, title in titled.items()]
    moved = [
        each
        for each in shown.answer["places"]
        if (each["was"], each["was_place"]) != (each["would_be"], each["would_be_place"])
    ]
    return Told(numbers, posts, moved[:SHOWN], len(shown.answer["places"]) - len(moved))


ENDINGS = {
    "on_time": ("按期结案", "ended on time"),
    "overdue": ("逾期结案", "ended late"),
    "without_deadline": ("无全程时限的结案", "ended without a deadline"),
}


def title_of(names: Names, code: str) -> str:
    """A post by its title; one that the active pack does not have by its code."""
    known = names.register.posts.get(code)
    return f"{known.title} {code}" if known is not None else code


def comparisons(request: Request[Any, Any, Any]) -> Comparisons:
    """The comparisons of this process."""
    kept: Comparisons = request.app.state["console_comparisons"]
    return kept


@post("/whatif", include_in_schema=False)
async def begin_what_if(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Let history be decided under another pack."""
    fields, kept, sender = await form_of(request), comparisons(request), request.user.name
    checked: CheckedPacks = request.app.state["console_packs"]
    digest = fields.get("digest", "")
    pack = checked.of(sender, digest) or await stored_pack(context, digest)
    if pack is None:
        detail = "this server process does not have that pack"
        raise Problem(409, "unknown_pack", detail, remedy="upload it on the page of packs, and check it there")
    first, last = day_of(fields, "first"), day_of(fields, "last")
    if last < first:
        raise BadQuestion("last", "this lies before the first day", "leave it out, or name a later day")
    since, until = await context.read(lambda connection: span(connection, context, first, last))
    asked = asked_for(sender, pack, first, last, context.now())
    if not kept.begin(asked, pack, since, min(until, context.now())):
        if kept.comparer is None:
            detail, remedy = "this process cannot compute it", "run `gridpatrol whatif` beside the database"
        else:
            detail, remedy = "another comparison is being computed", "wait for its answer"
        raise Problem(409, "busy", detail, remedy=remedy)
    return seen_elsewhere(request, query("/whatif", key=asked.key))


def day_of(fields: dict[str, str], name: str) -> date:
    """A day of a form. BadQuestion."""
    try:
        return date.fromisoformat(fields.get(name, ""))
    except ValueError as error:
        raise BadQuestion(name, "this is no day such as 2026-03-31") from error


def span(connection: Connection, context: DoorContext, first: date, last: date) -> tuple[int, int]:
    """When the first day begins and the last one is over, by the active pack's zone (ms UTC)."""
    calendar = active_names(connection, context.policies).register.clock_of_days
    begins, ends = int(f"{first:%Y%m%d}"), day_of_number(day_number(int(f"{last:%Y%m%d}")) + 1)
    return calendar.day_start(begins), calendar.day_start(ends) - 1


def asked_for(sender: str, pack: Pack, first: date, last: date, now: int) -> Comparison:
    """A comparison that begins now."""
    titles, days = (pack.title_zh, pack.title_en), (first.isoformat(), last.isoformat())
    return Comparison(new_key(), sender, *titles, model.digest(pack), *days, now)


ROUTES = [show_what_if, begin_what_if]
