"""What several triggers tell or refuse in the same words. In: a decision. Out: facts told into it, or a refusal."""

from schemas import events as e
from schemas import facts as f
from schemas.envelope import to_ms
from schemas.refusals import Reason, Refusal
from workflows import routing
from workflows.case import Owner
from workflows.decision import Decision


def unknown(field: str, code: str, what: str) -> Refusal:
    """A code that the pack does not know."""
    return Refusal(Reason.UNKNOWN_CODE, field, f"{code!r} is no {what} of the active pack")


def serves(d: Decision, department: str, field: str) -> Refusal | None:
    """A department can only handle what lies below the grid it belongs to."""
    known = d.register.departments.get(department)
    if known is None:
        return unknown(field, department, "department")
    if known.grid not in d.case.path:
        return Refusal(Reason.INVALID, field, f"department {department} serves {known.grid}, not {d.case.path[-1]}")
    return None


def assign(d: Decision, owner: Owner, why: str, sender: str = "") -> None:
    """Pass ownership; with a sender, copy those who are told of what that grid reports."""
    d.tell(f.Assigned(grid=owner.grid, level=owner.level, department=owner.department, why=why))
    if sender:
        posts, departments = routing.copies(sender, d.case, owner, d.rules, d.register, d.arrival)
        if posts or departments:
            d.tell(f.Copied(posts=posts, departments=departments))


def evidence(item: e.Evidence, by: str) -> f.Evidenced:
    return f.Evidenced(
        url=item.url,
        sha256=item.sha256,
        kind=item.kind,
        by=by,
        taken_at=to_ms(item.taken_at) if item.taken_at else None,
        lon=item.position.lon if item.position else None,
        lat=item.position.lat if item.position else None,
    )
