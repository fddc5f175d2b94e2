"""What happens to incidents: the main line, and how often life leaves it.

In: a life at its beginning. Out: the same life, lived act by act; whoever drives it stops where it wants.
Shares are invented: they make a month in which everything occurs, not a statistic of any city.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from gridpatrol.demo.incident_script import OPEN, Gap, Later, Life
from gridpatrol.demo.locality import Category, Town

SOURCES = {
    "patrol": 55,
    "hotline": 12,
    "public": 8,
    "sensor": 5,
    "camera": 5,
    "inspection": 10,
    "supervision": 3,
    "petition": 2,
}
COMMON = {"dust": 4, "area_source": 4, "coal": 2}
"""Groups of problems that are found more often; the others count once."""


def draw(
    town: Town,
    rng: Random,
    categories: list[Category],
    source: str = "",
    slow: float = 0.0,
    offline: float = 0.0,
) -> Life:
    """A problem somewhere, of one of these categories."""
    source = source or rng.choices(list(SOURCES), list(SOURCES.values()))[0]
    seen = source == "patrol"  # what smokes or raises dust is what people on foot find
    weights = [COMMON.get(c.group, 1) * (3 if seen and c.dissuade else 1) for c in categories]
    category = rng.choices(categories, weights)[0]
    return Life(town, rng, category, rng.choice(town.leaves), source, slow, offline)


def fit_for(town: Town, rng: Random, state: str, urgent: bool = False) -> Life:
    """A problem whose way leads through a state; urgent: handled within hours that run by night as well."""
    early, fitting = state in ("discovered", "dissuading"), town.categories
    if early:
        fitting = [c for c in fitting if c.dissuade]
    elif state == "feedback":
        fitting = [c for c in fitting if c.level < town.leaf_level - 1]
    elif urgent:
        fitting = [c for c in fitting if not town.limit("handle", c.level, c).working]
    told = rng.choice(("patrol", "hotline", "public", "camera"))  # an inspector accepts at once
    return draw(town, rng, fitting, "patrol" if early else told if state == "reported" else "")


def across(life: Life) -> Life:
    """The same, lying across a border: mostly of a neighbour in the same part of town."""
    town, rng = life.town, life.rng
    others = [leaf for leaf in town.leaves if leaf != life.leaf]
    near = [leaf for leaf in others if town.home(leaf) == town.home(life.leaf)]
    life.touches = (rng.choice(near if near and life.chance(0.6) else others),)
    return life


def main_line(life: Life) -> Iterator[None]:
    """Through all states without leaving the line; dissuasion fails, the check succeeds."""
    life.found()
    yield
    if life.state == "discovered":
        life.dissuade("ineffective")
        yield
        life.report_up()
        yield
    if life.state == "reported":
        life.accept()
        yield
    yield from _work(life)
    yield from _checked(life)
    life.verify("solved")
    yield
    life.close()
    yield


def whole(life: Life) -> Iterator[None]:
    """As it may happen."""
    if life.chance(0.04):
        across(life)
    life.found(**_ordered(life))
    yield
    if life.state == "discovered":
        yield from _dissuaded(life)
    if life.state == "reported":
        _ended_early(life)
        yield
    while life.state in OPEN and life.state != "verified":
        if life.state != "verifying":
            yield from _owned(life)
            yield from _work(life)
        yield from _checked(life)
        life.verify("unsolved" if life.chance(0.12) else "solved")
        yield
    if life.state == "verified":
        life.close()
        yield
        if life.chance(0.05):
            life.say("comment.added", Gap(30), text="回访：已恢复")


def _ordered(life: Life) -> dict[str, Any]:
    """Some of what comes from above or from outside carries a deadline."""
    if life.source in ("hotline", "petition", "supervision") and life.chance(0.15):
        return {"deadline": Later(life.rng.uniform(1, 5) * 1440)}
    return {}


def _dissuaded(life: Life) -> Iterator[None]:
    """On the spot, or reported up."""
    if not life.away and life.chance(0.02):
        return life.end("withdrawn")
    if not life.away and life.chance(life.slow):
        life.acknowledge(40)  # the dissuasion is late by now, and told
        yield
    life.dissuade(life.rng.choices(("effective", "ineffective", "impossible"), (40, 45, 15))[0])
    yield
    if life.state == "dissuading":
        life.report_up()
        yield


def _ended_early(life: Life) -> None:
    """Not a case for the grid, or taken back by who reported it."""
    if life.chance(0.04):
        life.end("rejected", reason=life.rng.choice(("not_found", "out_of_scope", "unfounded")))
    elif life.chance(0.02):
        life.end("withdrawn")
    elif life.chance(0.01):
        life.say("incident.force_closed", life.gap("accept"), reason="transferred")
        life.state = "force_closed"


def _owned(life: Life) -> Iterator[None]:
    """Until an owner has accepted it and keeps it."""
    if life.state == "reported" and not life.cycle and not life.place.department:
        yield from _sent_back(life)
    if life.state == "reported" and life.touches and life.level > 2:
        life.escalate("cross_boundary")
    elif life.state == "reported" and life.level > 1 and not life.place.department and life.chance(0.06):
        life.escalate("authority" if life.level > 2 else "coordination")
    yield
    if life.state == "reported":
        life.accept()
        yield
    if life.level > 2 and not life.place.department and life.chance(0.04):
        life.escalate("coordination")
        yield
        life.accept()
        yield
    if not life.place.department and life.chance(0.04):
        yield from _put_aside(life)


def _sent_back(life: Life) -> Iterator[None]:
    """Not our duty, says the owner: reported again to a department, or somewhere else by order."""
    if not life.chance(0.05):
        return
    owner = life.place.owner
    life.send_back(life.rng.choice(("not_our_duty", "not_our_area", "insufficient")))
    yield
    if life.chance(0.5) and life.lead():
        life.report_up(life.lead())
    else:
        life.reassign(owner)
    yield


def _put_aside(life: Life) -> Iterator[None]:
    """Suspended, and taken up by hand or on its day."""
    reason = life.rng.choice(("season", "funds", "engineering", "dispute"))
    days = life.rng.uniform(0.5, 4) * 1440
    if life.chance(0.5):
        life.suspend(reason, days)
        yield
        life.state = life.was  # the engine takes it up by itself on that day
        life.say("comment.added", Gap(days + 5), text="已恢复办理")
    else:
        life.suspend(reason)
        yield
        life.resume(Gap(days))
    yield


def _work(life: Life) -> Iterator[None]:
    """Handled by the owner, or by a department that is sent."""
    if not life.town.limit("handle", life.level, life.category).working and life.chance(life.slow):
        life.acknowledge(200)  # a limit of three hours that runs by night: late by now, and told
        yield
    if not life.place.department and life.lead() and life.chance(0.6):
        life.dispatch()
        yield
    if life.place.department and life.chance(0.8):
        life.arrive()
        yield
    if life.state == "accepted" or life.chance(0.4):
        life.order()
        yield
        life.rectified()
        yield
    life.handled()
    yield


def _checked(life: Life) -> Iterator[None]:
    """The levels between, from the top."""
    if life.state == "feedback":
        for level in life.checks():
            life.check(level, "unsolved" if life.chance(0.05) else "solved")
            yield
