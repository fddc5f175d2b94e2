"""What that does which may be said to a case of any kind (`schemas.events.OF_ANY_CASE`).

A kind takes these effects, and what they ask of who speaks, into its own. It has a row for each of those events that
its cases take.
"""

from schemas import facts
from schemas.refusals import Reason
from workflows import effects, exemptions, proposals, visiting
from workflows.case import TOTAL
from workflows.figures import AFTER_EXEMPTION, Measure, Ratio, Sum
from workflows.machine import Admission, Effect, Tolerance

EFFECTS_OF_ANY: dict[str, Effect] = {
    "case.deadline_ordered": effects.order_deadline,
    "case.evidence_added": effects.add_evidence,
    "case.commented": effects.note("comment"),
    "case.acknowledged": effects.acknowledge,
    "case.urged": effects.urge,
}
EFFECTS_OF_PROPOSALS: dict[str, Effect] = {
    "extension.requested": proposals.ask_extension,
    "extension.granted": proposals.grant_extension,
    "extension.refused": proposals.refuse_extension,
    "suspension.requested": proposals.ask_suspension,
    "suspension.granted": proposals.grant_suspension,
    "suspension.refused": proposals.refuse_suspension,
}
"""Those of what is asked for and decided above (`schemas.proposals`), for kinds whose work can be put off."""
ADMITS_OF_PROPOSALS: dict[str, Admission] = {
    "extension.requested": proposals.may_ask_extension,
    "extension.granted": proposals.may_decide_extension,
    "extension.refused": proposals.may_decide_extension,
    "suspension.granted": proposals.may_decide_suspension,
    "suspension.refused": proposals.may_decide_suspension,
}
ADMITS_OF_ANY: dict[str, Admission] = {"case.acknowledged": effects.may_acknowledge}


def effects_of_exemptions(tolerance: Tolerance) -> dict[str, Effect]:
    """Those of exemptions (`schemas.exemptions`), for kinds whose missed deadlines may be exempted."""
    return {
        "exemption.requested": exemptions.request,
        "exemption.granted": exemptions.grant(tolerance),
        "exemption.refused": exemptions.refuse(tolerance),
        "exemption.appealed": exemptions.appeal,
    }


ADMITS_OF_EXEMPTIONS: dict[str, Admission] = {
    "exemption.requested": exemptions.may(exemptions.no_request, Reason.IMPOSSIBLE),
    "exemption.granted": exemptions.may(exemptions.no_decision, Reason.FORBIDDEN),
    "exemption.refused": exemptions.may(exemptions.no_decision, Reason.FORBIDDEN),
    "exemption.appealed": exemptions.may(exemptions.no_appeal, Reason.IMPOSSIBLE),
}
RATIOS_OF_EXEMPTIONS = (
    Ratio(
        AFTER_EXEMPTION,
        "按期结案率（免责后）",
        "on-time close rate after exemption",
        "on_time",
        Sum("", "", "", ("closable",), ("overdue_exempted",)),
    ),
)
"""The rate of closing on time without the cases whose missed deadlines are exempted; the one before stands beside
it."""

MEASURES_OF_REPORTED = (
    *visiting.MEASURES,
    Measure("reported", facts.Reported, per="source", zh="上报的件数", en="cases reported"),
    Measure("handled", facts.Handled, zh="处置完成的次数", en="completions of handling"),
    Measure("returned", facts.Returned, zh="退回的次数", en="returns to who sent it"),
    Measure(
        "given_against_table",
        facts.GivenAgainstTable,
        per="reason",
        zh="不按责任部门派遣、改派的次数，计在派遣者的网格",
        en="cases given to another department than the pack names, at the grid of who gave them",
        charged=True,
    ),
    Measure(
        "root_cause",
        facts.RootCauseFound,
        per="root_cause",
        zh="结案时认定的问题根源",
        en="closings by what lay at the root of the problem",
    ),
    Measure("suspended", facts.Suspended, zh="挂账的次数", en="suspensions"),
    Measure("urged", facts.Urged, zh="催办的次数", en="urgings by a supervisor"),
    Measure(
        "extended",
        facts.ClockRetargeted,
        where=(("clock", TOTAL), ("why", "ordered")),
        zh="延期的次数：命令改动全程时限",
        en="orders that moved the deadline of the whole case",
    ),
)
"""What every kind counts that begins with a report and is worked on."""
