"""What happens to incidents: the main line, and how often they leave it.

A scenario is a generator: it plans one event after another in a script and yields in between, so the caller can stop at
any state. Shares are invented: they make a month in which everything occurs, not a statistic of any city.
"""

from collections.abc import Iterator, Sequence
from random import Random

from msgspec.structs import replace

from gridpatrol.demo.hours import Gap
from gridpatrol.demo.incident_script import OPEN, IncidentScript, Later
from gridpatrol.demo.locality import Locality
from workflows.policy.model import Category

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
FINDERS = ("patrol", "inspection")
"""Sources of those who find a problem themselves: they order no deadline."""
COMMON = {"dust": 4, "area_source": 4, "coal": 2}
"""Groups of problems that are found more often; the others count once."""
RARE = 0.2
"""How often one of the problems is found that the plan counts and does not name, beside one that it names."""


def draw(
    locality: Locality,
    rng: Random,
    categories: Sequence[Category],
    source: str = "",
    slow: float = 0.0,
    offline: float = 0.0,
) -> IncidentScript:
    """A problem somewhere, of one of these categories."""
    source = source or rng.choices(list(SOURCES), list(SOURCES.values()))[0]
    on_foot = source == "patrol"  # what smokes or raises dust is what people on foot find
    often = [COMMON.get(c.group, 1) * (3 if on_foot and c.dissuade else 1) for c in categories]
    weights = [times * (RARE if c.unnamed else 1) for times, c in zip(often, categories, strict=True)]
    category = rng.choices(categories, weights)[0]
    return IncidentScript(locality, rng, category, rng.choice(locality.leaves), source, slow, offline)


def fit_for(locality: Locality, rng: Random, state: str, urgent: bool = False, source: str = "") -> IncidentScript:
    """A problem whose way leads through a state; urgent: handled within hours that run by night as well."""
    early, fitting = state in ("discovered", "dissuading"), list(locality.categories)
    if early:
        fitting = [c for c in fitting if c.dissuade]
    elif state == "feedback":
        fitting = [c for c in fitting if c.level < locality.leaf_level - 1]
    elif urgent:
        fitting = [c for c in fitting if not locality.limit("handle", c.level, c).working]
    # An inspector accepts at once.
    source = source or rng.choice(("patrol", "hotline", "public", "camera"))
    return draw(locality, rng, fitting, "patrol" if early else source if state == "reported" else "")


def main_line(script: IncidentScript) -> Iterator[None]:
    """Through all states without leaving the line; dissuasion fails, the check succeeds."""
    script.found()
    yield
    if script.state == "discovered":
        script.dissuade("ineffective")
        yield
        script.report_up()
        yield
    if script.state == "reported":
        script.accept()
        yield
    yield from _work(script)
    yield from _checked(script)
    script.verify("solved")
    yield
    script.close()
    yield


def whole(script: IncidentScript) -> Iterator[None]:
    """As it may happen."""
    if script.chance(0.04):  # it lies across a border: mostly of a neighbour in the same home
        home_of, leaves = script.locality.policy.home, script.locality.leaves
        others = [leaf for leaf in leaves if leaf != script.leaf]
        near = [leaf for leaf in others if home_of(leaf) == home_of(script.leaf)]
        touched = script.rng.choice(near if near and script.chance(0.6) else others)
        script.case = replace(script.case, touches=(touched,))
    with_deadline = script.source in ("hotline", "petition", "supervision") and script.chance(0.15)
    script.found(**({"deadline": Later(script.rng.uniform(1, 5) * 1440)} if with_deadline else {}))
    yield
    if script.state == "discovered":
        yield from _dissuaded(script)
    if script.state == "reported":
        if script.chance(0.04):
            script.end("rejected", reason=script.rng.choice(("not_found", "out_of_scope", "unfounded")))
        elif script.chance(0.02):
            script.end("withdrawn")
        elif script.chance(0.01):
            script.say("incident.force_closed", script.gap("accept"), reason="transferred")
            script.state = "force_closed"
        yield
    while script.state in OPEN and script.state != "verified":
        if script.state != "verifying":
            yield from _owned(script)
            yield from _work(script)
        yield from _checked(script)
        script.verify("unsolved" if script.chance(0.12) else "solved")
        yield
    if script.state == "verified":
        script.close()
        yield
        if script.chance(0.05):
            script.say("comment.added", Gap(30), text="回访：已恢复")


def _dissuaded(script: IncidentScript) -> Iterator[None]:
    """On the spot, or reported up."""
    if not script.away and script.chance(0.02):
        return script.end("withdrawn")
    if not script.away and script.chance(script.slow):
        script.acknowledge(40)  # the dissuasion is late by now, so an alert was raised
        yield
    script.dissuade(script.rng.choices(("effective", "ineffective", "impossible"), (40, 45, 15))[0])
    yield
    if script.state == "dissuading":
        script.report_up()
        yield


def _owned(script: IncidentScript) -> Iterator[None]:
    """Until an owner has accepted it and keeps it."""
    if script.state == "reported" and not script.cycle and not script.department and script.chance(0.05):
        owner = script.case.owner.grid
        script.send_back(script.rng.choice(("not_our_duty", "not_our_area", "insufficient")))
        yield
        if script.chance(0.5) and script.lead():
            script.report_up(script.lead())
        else:
            script.reassign(owner)
        yield
    if script.state == "reported" and script.case.touches and script.level > 2:
        script.escalate("cross_boundary")
    elif script.state == "reported" and script.level > 1 and not script.department and script.chance(0.06):
        script.escalate("authority" if script.level > 2 else "coordination")
    yield
    if script.state == "reported":
        script.accept()
        yield
    if script.level > 2 and not script.department and script.chance(0.04):
        script.escalate("coordination")
        yield
        script.accept()
        yield
    if not script.department and script.chance(0.04):
        reason = script.rng.choice(("season", "funds", "engineering", "dispute"))
        minutes = script.rng.uniform(0.5, 4) * 1440
        if script.chance(0.5):
            script.suspend(reason, minutes)
            yield
            script.state = script.suspended_from  # the engine takes it up by itself on that day
            script.say("comment.added", Gap(minutes + 5), text="已恢复办理")
        else:
            script.suspend(reason)
            yield
            script.resume(Gap(minutes))
        yield


def _work(script: IncidentScript) -> Iterator[None]:
    """Handled by the owner, or by a department that is sent."""
    if not script.locality.limit("handle", script.level, script.category).working and script.chance(script.slow):
        script.acknowledge(200)  # a limit of three hours that runs by night: late by now, so an alert was raised
        yield
    if not script.department and script.lead() and script.chance(0.6):
        script.dispatch()
        yield
    if script.department and script.chance(0.8):
        script.arrive()
        yield
    if script.department and not script.cycle:
        yield from _put_off(script)
    if script.state == "accepted" or script.chance(0.4):
        script.order()
        yield
        script.rectified()
        yield
    script.handled()
    yield


def _put_off(script: IncidentScript) -> Iterator[None]:
    """The department asks for more time, or to put it aside; mostly it is granted."""
    granted = script.chance(0.6)
    if script.chance(0.08):
        script.ask("extension", clock="total", limit="30工作日", reason=script.rng.choice(("weather", "engineering")))
        yield
        script.decide("extension", granted, clock="total")
        yield
    elif script.chance(0.05):
        script.ask("suspension", reason=script.rng.choice(("season", "funds")))
        yield
        script.decide("suspension", granted)
        yield
        if granted:
            script.resume(Gap(script.rng.uniform(0.5, 4) * 1440))
            yield


def _checked(script: IncidentScript) -> Iterator[None]:
    """The levels between, from the top."""
    if script.state == "feedback":
        for level in script.checks():
            script.check(level, "unsolved" if script.chance(0.05) else "solved")
            yield
