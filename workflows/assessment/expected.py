"""What duties are owed where every post is filled: for each duty the grids of its levels, once for each of its periods.

It does not ask who is there: a grid whose post is vacant, or has gone, is expected to be walked all the same. What is
owed in key areas alone is expected of grids that were listed when the period began. Pure.
"""

from collections import Counter
from collections.abc import Sequence

from schemas.kinds.home import Listing
from workflows.clocks.calendar import day_number, day_of_number
from workflows.figures import period_bounds
from workflows.listing import listing_of
from workflows.policy.duties import site_stands
from workflows.policy.index import Policy
from workflows.policy.model import DutyRow, Grid


def expected(register: Policy, level: int, since: int, until: int, listings: Sequence[Listing] = ()) -> Counter[str]:
    """How many duties are expected in the grids of a level and all below them, by grid: of periods that end in these
    local days, in grids that stand on the period's first day. `listings` are those by which grids were key areas."""
    duties, found = register.pack.duties, Counter[str]()
    periods = {duty.code: periods_of(register, duty, since, until) for duty in duties}
    for grid in register.pack.grids:
        path = register.path(grid.code)
        if len(path) < level:
            continue
        for duty in duties:
            if not duty.levels or grid.level in duty.levels:
                firsts = [first for first in periods[duty.code] if stood(grid, first)]
                if duty.listed:
                    firsts = [first for first in firsts if was_listed(register, path, first, listings)]
                found[path[level - 1]] += sum(looked_at(register, duty, grid, first) for first in firsts)
    return found


def periods_of(register: Policy, duty: DutyRow, since: int, until: int) -> list[int]:
    """The first days of the periods of a duty that end in these days, and have working time where it asks for some."""
    found, calendar, number = [], register.calendars.get(duty.calendar), day_number(since)
    while number <= day_number(until):
        first, last = period_bounds(day_of_number(number), duty.period)
        number = day_number(last) + 1
        days = range(day_number(first), number)
        if last <= until and (calendar is None or any(map(calendar.windows_of, days))):
            found.append(first)
    return found


def stood(grid: Grid, day: int) -> bool:
    """Whether a grid stood on a local day."""
    return grid.valid_from <= day and (not grid.valid_to or day <= grid.valid_to)


def was_listed(register: Policy, path: tuple[str, ...], day: int, listings: Sequence[Listing]) -> bool:
    """Whether a grid was listed as a key area when a local day began."""
    return listing_of(listings, path, register, register.clock_of_days.day_start(day)) is not None


def looked_at(register: Policy, duty: DutyRow, grid: Grid, day: int) -> int:
    """How often a duty is expected in a grid in a period that begins on a local day: once, or once for each site."""
    if not duty.per:
        return 1
    sites = (site for site in register.pack.sites if grid.code in register.path(site.grid))
    return sum((site.key or duty.per == "site") and site_stands(site.code, day, register) for site in sites)
