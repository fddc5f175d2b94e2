"""The next event of an incident that stands open, as the live traffic plays it.

It is chosen by what `GET /v1/incidents/{id}` answers. Incidents that others reported, of another pack or without a leaf
grid are left alone.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from gridpatrol.demo.hours import Gap
from gridpatrol.demo.incident_script import IncidentScript
from gridpatrol.demo.locality import Locality
from workflows.case import TOTAL, Owner

ORIGIN = "/demo"
"""What the sources of all demo events begin with. Incidents that others reported are left to them."""


def revive(locality: Locality, rng: Random, answer: dict[str, Any]) -> IncidentScript | None:
    """The script of an incident as far as it has come; None where it is not the demo's."""
    grids = locality.policy.grids
    category = locality.policy.categories.get((answer.get("category") or {}).get("code", ""))
    path = tuple(grid["code"] for grid in answer.get("path") or ())
    first = next(iter(answer.get("history") or ()), {"cause": {"source": ""}})
    owner = answer.get("owner")
    if category is None or owner is None or len(path) != locality.leaf_level:
        return None
    if not {*path, owner["grid"]["code"]} <= set(grids):
        return None
    if not str(first["cause"]["source"]).startswith(ORIGIN):
        return None
    source, state, cycle = str(answer.get("source", "")), answer["state"], answer["cycle"]
    script = IncidentScript(locality, rng, category, path[-1], source, state=state, cycle=cycle)
    holder = grids[owner["grid"]["code"]]
    script.case = replace(
        script.case,
        path=path,
        touches=tuple(grid["code"] for grid in answer.get("touches") or () if grid["code"] in grids),
        owner=Owner(holder.code, holder.level, (owner.get("department") or {}).get("code", "")),
        assisting=tuple(item["code"] for item in answer.get("assisting") or ()),
        by=(answer.get("reported_by") or {}).get("code", ""),
    )
    script.suspended_from = answer.get("suspended_from") or "reported"
    return script


def advance(script: IncidentScript, answer: dict[str, Any]) -> None:
    """One step along its line, sometimes beside it. LookupError where nobody may take it."""
    match script.state:
        case "discovered":
            script.dissuade(script.rng.choices(("effective", "ineffective", "impossible"), (35, 45, 20))[0])
        case "dissuading":
            script.report_up()
        case "reported":  # mostly accepted; sometimes passed on, sent back or no case at all
            alone = not script.department and not script.cycle
            if alone and script.level > 2 and script.chance(0.05):
                script.escalate("authority")
            elif alone and 1 < script.level < script.locality.leaf_level and script.chance(0.02):
                script.send_back("not_our_duty")
            elif alone and script.chance(0.03):
                script.end("rejected", reason="unfounded")
            else:
                script.accept()
        case "accepted" | "handling":
            _at_work(script, answer)
        case "feedback":
            between = [level for level in answer.get("outstanding_checks") or () if level < script.locality.leaf_level]
            script.check(min(between, default=script.locality.leaf_level - 1))
        case "verifying":
            script.verify("unsolved" if script.chance(0.1) else "solved")
        case "verified":
            script.close()
        case "returned":
            script.reassign(script.case.path[script.locality.policy.options.rework_level - 1])
        case "suspended":
            script.resume(Gap(0))
        case other:
            raise LookupError(f"the demo knows no way on from {other}")


def _at_work(script: IncidentScript, answer: dict[str, Any]) -> None:
    """Dispatched, on site, rectified, handled; a few ask for more time, and somebody decides; a few are put aside."""
    if asked := answer.get("proposals"):
        about = {"clock": asked[0]["clock"]} if asked[0]["clock"] else {}
        return script.decide(asked[0]["what"], script.chance(0.7), **about)
    if script.department and (due := open_deadline(answer)) and script.chance(0.1):
        later, reason = due + timedelta(days=script.rng.randint(1, 5)), script.rng.choice(("weather", "engineering"))
        return script.ask("extension", clock=TOTAL, due=later.isoformat(), reason=reason)
    ordered = any(clock["name"] == "rectify" and not clock["paused"] for clock in answer.get("clocks") or ())
    if ordered and script.chance(0.6):
        script.rectified()
    elif not script.department and script.lead() and script.chance(0.4):
        script.dispatch()
    elif script.department and script.chance(0.25):
        script.arrive()
    elif not ordered and script.chance(0.2):
        script.order()
    elif not script.department and script.chance(0.03):
        script.suspend("engineering", script.rng.uniform(5, 60))
    else:
        script.handled()


def open_deadline(answer: dict[str, Any]) -> datetime | None:
    """The deadline of the whole case, where it has one that has not passed."""
    clocks = [clock for clock in answer.get("clocks") or () if clock["name"] == TOTAL]
    found = next((clock for clock in clocks if clock["due_at"] and not clock["overdue"]), None)
    return datetime.fromisoformat(found["due_at"]) if found else None


def beside(script: IncidentScript, answer: dict[str, Any]) -> None:
    """Something that moves nothing: an alert is acknowledged where one is open, else a remark."""
    level = script.case.owner.level
    late = any(
        clock["overdue"] and not clock["acknowledged"] and clock["level"] == level
        for clock in answer.get("clocks") or ()
    )
    if late and script.chance(0.5):
        script.acknowledge(0)
    else:
        script.remark()
