"""Who owes which duty (履职), and for which periods. Pure.

1. A duty is owed by each occupied post of its role, at its levels, about the post's own grid. Vacant posts owe nothing,
   nor do posts that no person fills or that only read (`model.OWES_NOTHING`).
2. It is owed for each period of its kind, on the pack's local days: every natural day, every week from Monday, every
   half-month and so on. Where the duty names a calendar, a period without working time in it owes nothing.
3. Where it is owed for each site (`per`), it is owed for each source of pollution in the subtree of the post's grid, or
   for each key one, which stands on the period's first day.
4. It is owed for a whole period or not at all: grid and post must stand on the period's first day.
"""

from workflows.clocks.calendar import day_number
from workflows.figures import period_bounds
from workflows.policy.index import Policy
from workflows.policy.model import DutyRow, Post

SHORTEST = {"day": 1, "week": 7, "half_month": 13, "month": 28, "quarter": 90, "half": 181, "year": 365}
"""The least number of days of a period."""


def is_owed(duty: DutyRow, post: Post, day: int, register: Policy) -> bool:
    """Whether a post that owes a duty stands on a local day, YYYYMMDD, and owes it for the period of that day."""
    begins, grid = register.clock_of_days.day_start(day), register.grids.get(post.grid)
    if grid is None or not (register.stands(grid, begins) and register.stands(post, begins)):
        return False
    calendar = register.calendars.get(duty.calendar)
    if calendar is None:
        return True
    first, last = (day_number(edge) for edge in period_bounds(day, duty.period))
    calendar = calendar.known_at(begins)
    return any(calendar.windows_of(number) for number in range(first, last + 1))


def site_stands(site: str, day: int, register: Policy) -> bool:
    """Whether a source of pollution, and its grid, stand on a local day; no site does."""
    if not site:
        return True
    known = register.sites.get(site)
    if known is None or known.grid not in register.grids:
        return False
    inside = known.valid_from <= day and (not known.valid_to or day <= known.valid_to)
    return inside and register.stands(register.grids[known.grid], register.clock_of_days.day_start(day))
