"""What a case hears of the visit of an audit draw (抽查核实, M97), and what is counted of it.

It counts at the unit in whose hands the case was when it was closed: the one that last held it.
"""

from schemas import facts
from schemas.kinds import incident
from schemas.refusals import Refusal
from workflows import holding
from workflows.decision import Decision
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Speaker


def hear(d: Decision, data: incident.Visited, speaker: Speaker) -> Refusal | None:
    """Tell what was found, at the unit that closed it."""
    unit = holding.present(d.case, d.register)
    d.tell(facts.Visited(visit=data.visit, outcome=data.outcome, by=data.by, charged=unit))
    return None


MEASURES = (
    Measure(
        "visited",
        facts.Visited,
        zh="抽查核实的件数，计在结案时的经手单位",
        en="closed cases that were visited by lot, at the unit that had them when they were closed",
        charged=True,
    ),
    Measure(
        "visits_failed",
        facts.Visited,
        where=(("outcome", "failed"),),
        zh="抽查不属实的件数，计在结案时的经手单位",
        en="of these, those that did not hold",
        better="lower",
        charged=True,
    ),
)
RATIOS = (
    Ratio(
        "visit_failed_rate",
        "抽查不属实率",
        "share of visited cases that did not hold",
        "visits_failed",
        Sum("", "", "", ("visited",)),
        better="lower",
        rare=True,
    ),
)
