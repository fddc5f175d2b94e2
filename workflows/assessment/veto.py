"""One-vote veto (一票否决, M124): a decided veto stands in the year's sheet as a grade beside the score.

It changes no point and no place: whoever reads the sheet sees both. It counts from its serving on, and what is known
to be rescinded is none any more. It is a part of the sheet that is signed: where one is rescinded
afterwards, the sheet is restated.
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
    supervisions: Iterable[Case], register: Policy, subjects: str, days: tuple[int, int]
) -> dict[str, tuple[str, ...]]:
    """By subject (grids, or departments) the vetoes that were served on it from one local day to another: of
    supervisions as they were known at the instant of the sheet."""
    found = defaultdict[str, list[str]](list)
    for case in supervisions:
        own, action = case.own, register.actions.get(case.category)
        if action is None or not action.veto or not isinstance(own, Supervision) or own.served is None:
            continue
        if case.state != RESCINDED and days[0] <= register.clock_of_days.local_day(own.served) <= days[1]:
            subject = own.department if subjects == "department" else "" if own.department else own.unit
            if subject:
                found[subject].append(case.id)
    return {subject: tuple(sorted(found[subject])) for subject in sorted(found)}
