"""What that does which may be said to a case of any kind (`schemas.events.OF_ANY_CASE`).

A kind takes these effects, and what they ask of who speaks, into its own. It has a row for each of those events that
its cases take.
"""

from workflows import effects, proposals
from workflows.machine import Admission, Effect

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
