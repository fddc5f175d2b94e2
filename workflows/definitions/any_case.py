"""What that does which may be said to a case of any kind (`schemas.events.OF_ANY_CASE`).

A kind takes these effects, and what they ask of who speaks, into its own. It has a row for each of those events that
its cases take.
"""

from workflows import effects
from workflows.machine import Admission, Effect

EFFECTS_OF_ANY: dict[str, Effect] = {
    "case.deadline_ordered": effects.order_deadline,
    "case.evidence_added": effects.add_evidence,
    "case.commented": effects.note("comment"),
    "case.acknowledged": effects.acknowledge,
    "case.urged": effects.urge,
}
ADMITS_OF_ANY: dict[str, Admission] = {"case.acknowledged": effects.may_acknowledge}
