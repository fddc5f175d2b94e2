"""The next act of a standing incident, as the live traffic plays it.

In: what `GET /v1/incidents/{id}` says of it. Out: a life that has come this far, and one more act of it. What
the demo leaves alone (somebody's own, of another pack, without a leaf grid) gives no life.
"""

from random import Random
from typing import Any

from gridpatrol.demo.incident_script import Gap, Life
from gridpatrol.demo.locality import Place, Town

ORIGIN = "/demo"
"""What the sources of all demo events begin with. Incidents that others reported are left to them."""


def revive(town: Town, rng: Random, seen: dict[str, Any]) -> Life | None:
    """The life of an incident as far as it has come; None where it is not the demo's."""
    code = (seen.get("category") or {}).get("code")
    category = next((c for c in town.categories if c.code == code), None)
    path = tuple(grid["code"] for grid in seen.get("path") or ())
    begun = next(iter(seen.get("history") or ()), {"cause": {"source": ""}})
    owner = seen.get("owner")
    if category is None or owner is None or len(path) != town.leaf_level or not set(path) <= set(town.grids):
        return None
    if not str(begun["cause"]["source"]).startswith(ORIGIN):
        return None
    life = Life(town, rng, category, path[-1], str(seen.get("source", "")), state=seen["state"], cycle=seen["cycle"])
    life.touches = tuple(grid["code"] for grid in seen.get("touches") or () if grid["code"] in town.grids)
    assisting = tuple(item["code"] for item in seen.get("assisting") or ())
    reporter = (seen.get("reported_by") or {}).get("code", "")
    department = (owner.get("department") or {}).get("code", "")
    life.place = Place(path, owner["grid"]["code"], department, assisting, reporter)
    life.was = seen.get("suspended_from") or "reported"
    return life


def advance(life: Life, seen: dict[str, Any]) -> None:
    """One step along its line, sometimes beside it. LookupError where nobody may take it."""
    match life.state:
        case "discovered":
            life.dissuade(life.rng.choices(("effective", "ineffective", "impossible"), (35, 45, 20))[0])
        case "dissuading":
            life.report_up()
        case "reported":
            _reported(life)
        case "accepted" | "handling":
            _at_work(life, seen)
        case "feedback":
            between = [level for level in seen.get("outstanding_checks") or () if level < life.town.leaf_level]
            life.check(min(between, default=life.town.leaf_level - 1))
        case "verifying":
            life.verify("unsolved" if life.chance(0.1) else "solved")
        case "verified":
            life.close()
        case "returned":
            life.reassign(life.place.path[life.town.rework_level - 1])
        case "suspended":
            life.resume(Gap(0))
        case other:
            raise LookupError(f"the demo knows no way on from {other}")


def _reported(life: Life) -> None:
    """Mostly accepted; sometimes passed on, sent back or no case at all."""
    alone = not life.place.department and not life.cycle
    if alone and life.level > 2 and life.chance(0.05):
        life.escalate("authority")
    elif alone and 1 < life.level < life.town.leaf_level and life.chance(0.02):
        life.send_back("not_our_duty")
    elif alone and life.chance(0.03):
        life.end("rejected", reason="unfounded")
    else:
        life.accept()


def _at_work(life: Life, seen: dict[str, Any]) -> None:
    """Dispatched, on site, rectified, handled; a few are put aside."""
    ordered = any(clock["name"] == "rectify" and not clock["paused"] for clock in seen.get("clocks") or ())
    if ordered and life.chance(0.6):
        life.rectified()
    elif not life.place.department and life.lead() and life.chance(0.4):
        life.dispatch()
    elif life.place.department and life.chance(0.25):
        life.arrive()
    elif not ordered and life.chance(0.2):
        life.order()
    elif not life.place.department and life.chance(0.03):
        life.suspend("engineering", life.rng.uniform(5, 60))
    else:
        life.handled()


def beside(life: Life, seen: dict[str, Any]) -> None:
    """Something that moves nothing: an alert is acknowledged where one is open, else a remark."""
    late = any(sheet["overdue"] and not sheet["acknowledged"] for sheet in seen.get("sheets") or ())
    if late and life.chance(0.5):
        life.acknowledge(0)
    else:
        life.remark()
