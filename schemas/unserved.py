"""What a case of another home says that cannot do what it was told: it has ended, is archived, or was never there."""

from schemas.members import CaseId, EventData

UNSERVED = "case.unserved"
"""Said back to the case that spoke. A case of any kind takes it, in any state, and says nothing for it."""


class NotServed(EventData, frozen=True, kw_only=True):
    """A case says to one of another home: what you have said I cannot do. `trigger`: that; `why`: the reason of the
    refusal, with its field."""

    case: CaseId
    trigger: str
    why: str
    field: str = ""
