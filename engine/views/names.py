"""Codes of the active pack with their names, and instants as people write them."""

from datetime import UTC, datetime

from msgspec import Struct

from engine.policies import Policies
from engine.store import incident_queries
from engine.store.database import Connection
from engine.views.questions import BadQuestion, NoActivePack
from schemas.envelope import to_ms
from workflows.case import Owner
from workflows.holding import Holder
from workflows.policy.index import Policy

_FIRST, _LAST = (to_ms(datetime(year, month, day, tzinfo=UTC)) for year, month, day in ((1, 1, 2), (9999, 12, 31)))
"""The instants that can be spelled, less a day for the offset of any zone. A limit may lead further than that."""


class Named(Struct, frozen=True):
    """A code of the pack and its name; a code that the active pack no longer knows is its own name."""

    code: str
    name: str


class CategoryNamed(Struct, frozen=True):
    """A category of the catalogue."""

    code: str
    name_zh: str
    name_en: str
    group: str


class OwnerNamed(Struct, frozen=True):
    """Who owns a case: a grid, and perhaps a department."""

    grid: Named
    level: int
    department: Named | None = None


class HolderNamed(Struct, frozen=True):
    """Who must act on a case: a grid, and perhaps a department of it, or one post."""

    grid: Named
    level: int
    department: Named | None = None
    post: Named | None = None


class Names:
    """The active register, asked for names."""

    def __init__(self, register: Policy) -> None:
        self.register = register
        self._local = register.clock_of_days.local

    def instant(self, ms: int) -> str:
        """RFC 3339 with the offset of the pack's zone; beyond the years that it can spell, the nearest that it can."""
        return self._local(min(max(ms, _FIRST), _LAST))

    def maybe(self, ms: int | None) -> str | None:
        """The same for an instant that may be missing."""
        return None if ms is None else self.instant(ms)

    def grid(self, code: str) -> Named:
        """A grid by its code."""
        known = self.register.grids.get(code)
        return Named(code, known.name if known else code)

    def post(self, code: str) -> Named:
        """A post, by its title; a neighbour, who is written to as posts are, by its name."""
        known, neighbour = self.register.posts.get(code), self.register.neighbours.get(code)
        return Named(code, known.title if known else neighbour.name if neighbour else code)

    def department(self, code: str) -> Named:
        """A department by its code."""
        known = self.register.departments.get(code)
        return Named(code, known.name if known else code)

    def site(self, code: str) -> Named:
        """A source of pollution of the register by its code."""
        known = self.register.sites.get(code)
        return Named(code, known.name if known else code)

    def campaign(self, code: str) -> Named:
        """A campaign by its code, in Chinese."""
        known = self.register.campaigns.get(code)
        return Named(code, known.title_zh if known else code)

    def owner(self, owner: Owner) -> OwnerNamed | None:
        """An owner; None where the case has none yet."""
        if not owner.grid:
            return None
        department = self.department(owner.department) if owner.department else None
        return OwnerNamed(self.grid(owner.grid), owner.level, department)

    def holder(self, holder: Holder) -> HolderNamed | None:
        """Who must act; None where nobody has to."""
        if not holder.grid:
            return None
        department = self.department(holder.department) if holder.department else None
        post = self.post(holder.post) if holder.post else None
        return HolderNamed(self.grid(holder.grid), holder.level, department, post)

    def path(self, codes: tuple[str, ...]) -> list[Named]:
        """The grids of a place, from the root down."""
        return [self.grid(code) for code in codes]

    def category(self, code: str, group: str) -> CategoryNamed | None:
        """A category; None before the report of a case has arrived."""
        if not code:
            return None
        zh, en = self.titles(code)
        return CategoryNamed(code, zh, en, group)

    def titles(self, code: str) -> tuple[str, str]:
        """A category of the catalogue, an action, or what may be applied for, in Chinese and in English; the latter may
        be empty."""
        known, titled = self.register.categories.get(code), self.register.actions.get(code)
        if known is None and (either := titled or self.register.approvals.get(code)) is not None:
            return either.title_zh, either.title_en
        return (known.name_zh, known.name_en) if known is not None else (code, "")


def active_names(connection: Connection, policies: Policies) -> Names:
    """The names of the active pack. Raises NoActivePack."""
    digest = incident_queries.read_active(connection)
    if digest is None:
        raise NoActivePack()
    return Names(policies.get(connection, digest))


def prefix_of(names: Names, grid: str) -> str:
    """The path of a grid, such as `/XA/WY/`: what all paths of its subtree begin with. Raises BadQuestion."""
    if grid not in names.register.grids:
        known = ", ".join(list(names.register.grids)[:3])
        raise BadQuestion(
            "grid", "the active pack has no grid of this code", f"give the code of a grid, such as {known}"
        )
    return f"/{'/'.join(names.register.path(grid))}/"
