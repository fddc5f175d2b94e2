"""Incidents that another case bears, such as a signal: the case that bore one hears of its end.

One that was merged ends with its survivor: only then is the problem over.
"""

from schemas.kinds import incident
from schemas.kinds.signal import INCIDENT_ENDED, SIGNAL, IncidentEnded
from schemas.refusals import Refusal
from workflows import merging
from workflows.decision import Decision
from workflows.machine import Speaker


def tell_bearer(d: Decision, state: str) -> None:
    """Say to the case that bore this incident that it has ended, if that one hears such a thing."""
    bearer = d.find(d.case.about) if d.case.about else None
    if bearer is not None and bearer.definition == SIGNAL.name:
        d.send(bearer.id, INCIDENT_ENDED, IncidentEnded(incident=d.case.id, state=state))


def at_end(d: Decision) -> None:
    """An incident has come to its end: those that were merged into it hear of it, and who bore it."""
    merging.at_end(d)
    if not d.case.merged_into:
        tell_bearer(d, d.case.state)


def hear_end(d: Decision, data: incident.SurvivorEnded, speaker: Speaker) -> Refusal | None:
    """The case that goes on for this one has ended, and so has what was borne."""
    refused = merging.hear_end(d, data, speaker)
    tell_bearer(d, data.state)
    return refused
