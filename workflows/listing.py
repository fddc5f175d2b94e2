"""Key areas (列为重点监控区域, M94): while a grid is listed, other limits hold there and more is owed. Pure.

1. A supervision whose action `lists` lists the grid in which it lies, from its serving up to the end of a local day. It
   tells the home, whose case keeps it; nothing is sent to another home. So only a grid at or below the partition level
   is listed: a district is listed street by street, each by a supervision of its own.
2. A grid may be listed by several supervisions. It is listed while one of them is in force.
3. What a grid lists holds for all that lies in it, and for the successor that goes on for it, if that is of its home.
4. Whether a problem lies in a listed grid is asked once, when it is reported: its clocks keep to that. Whether a duty
   is owed there is asked when its period begins.
5. It ends with its day, or when the supervision is cleared or revoked.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.derived_ids import HOME, home_subject
from schemas.kinds.home import LISTED, UNLISTED, GridListed, GridUnlisted, Home, Listing
from schemas.partition import home_of
from workflows.decision import Decision
from workflows.periods import Period, last_instant
from workflows.policy.index import Policy


def listing_of(listings: Iterable[Listing], path: Sequence[str], register: Policy, at: int) -> Listing | None:
    """The listing that holds for what lies at a path at an instant; None: none does."""
    held = (each for each in listings if each.since <= at <= each.until and register.standing(each.grid, at) in path)
    return next(held, None)


def listings_of(d: Decision) -> tuple[Listing, ...]:
    """What is listed in the home of a case, as it is known within the turn."""
    home = d.find(home_subject(home_of(d.case.id)))
    return home.own.listings if home is not None and isinstance(home.own, Home) else ()


def at_report(d: Decision, path: Sequence[str]) -> dict[str, Any]:
    """What a report at a path tells of its being listed: asked only where a limit of the pack goes by it."""
    at = d.judged(0)
    found = listing_of(listings_of(d), path, d.register, at) if d.rules.asks_listed else None
    return {} if found is None else {"listed": found.by, "listed_since": found.since, "listed_until": found.until}


def begin(d: Decision, grid: str, since: int, until: int) -> None:
    """The supervision of a decision lists a grid. A home that nothing has entered yet is borne by it."""
    to = home_subject(home_of(d.case.id))
    home = d.find(to)
    data = GridListed(grid=grid, by=d.case.id, since=since, until=until)
    d.send(to, LISTED, data, bears="" if home is not None and home.opened else HOME)


def end(d: Decision) -> None:
    """The supervision of a decision lists nothing any more."""
    at, to = d.judged(d.case.judged), home_subject(home_of(d.case.id))
    for each in listings_of(d):
        if each.by == d.case.id and each.until > at:
            d.send(to, UNLISTED, GridUnlisted(grid=each.grid, by=d.case.id, at=max(at, each.since)))


def list_place(d: Decision, until: int) -> None:
    """List the grid in which it lies, or the successor of that, up to a day. Of a grid of another home nothing is kept
    here, and a day that is over lists nothing."""
    register, since = d.register, d.judged(d.case.judged)
    grid = register.standing(d.case.path[-1], d.arrival)
    ends = last_instant(Period("day", until, until), register.clock_of_days)
    if grid in register.grids and register.home(grid) == home_of(d.case.id) and since <= ends:
        begin(d, grid, since, ends)
