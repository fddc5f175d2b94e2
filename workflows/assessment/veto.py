"""One-vote veto (一票否决, M124): a decided veto stands in the year's sheet as a grade beside the score.

It changes no point and no place: whoever reads the sheet sees both. It counts from its serving on; what was rescinded
by the instant of the sheet is none any more.
"""

from collections import defaultdict
from collections.abc import Iterable

from schemas.kinds.supervision import Supervision
from workflows.case import Case
from workflows.definitions.supervision import RESCINDED
from workflows.policy.index import Policy

GRADE = "veto"
"""The grade of a subject of which a veto stands."""


def vetoed(
    supervisions: Iterable[Case], register: Policy, subjects: str, days: tuple[int, int], as_of: int
) -> dict[str, list[str]]:
    """By subject (grids, or departments) the vetoes that were served on it from one local day to another, as of an
    instant (ms UTC)."""
    found = defaultdict[str, list[str]](list)
    for case in supervisions:
        own, action = case.own, register.actions.get(case.category)
        if action is None or not action.veto or not isinstance(own, Supervision) or own.served is None:
            continue
        day = register.clock_of_days.local_day(own.served)
        gone = case.state == RESCINDED and case.closed is not None and case.closed <= as_of
        if days[0] <= day <= days[1] and own.served <= as_of and not gone:
            subject = own.department if subjects == "department" else "" if own.department else own.unit
            if subject:
                found[subject].append(case.id)
    return dict(found)
