"""An audit draw recomputed (抽查复核): what there was to draw from, on which cases the lot fell, and what came of it.

Whoever has the bytes and the list can do the same without a server: the list as `gridpatrol draw cases` prints it has
an id a line; of SHA-256(bytes, id) the smallest are drawn, ⌈share × N / 100⌉ of them.
"""

from typing import NamedTuple

from msgspec import Struct

from engine.store import archives, draws, incident_queries
from engine.store.database import Connection
from engine.views.questions import BadQuestion
from schemas.kinds.draw import Draw, list_digest, lot
from workflows import case as cases
from workflows.case import Case
from workflows.definitions.draw import DRAW, UNDRAWN
from workflows.definitions.visit import VISIT


class Check(Struct, frozen=True):
    """One thing that a draw says of itself, and what it is by the recount."""

    what: str
    said: str
    found: str

    @property
    def holds(self) -> bool:
        """Whether it agrees."""
        return self.said == self.found


class Recount(NamedTuple):
    """A draw, the list that it was made from, the cases on which the lot falls, and what was compared."""

    draw: Case
    cases: list[str]
    hits: list[str]
    checks: list[Check]
    remark: str


def read_draw(connection: Connection, id_: str) -> tuple[Case, Draw]:
    """A draw by its id. Raises BadQuestion."""
    body = incident_queries.read_case(connection, id_)
    case = cases.decode(body) if body is not None else None
    if case is None or not isinstance(case.own, Draw):
        remedy = "list them with `gridpatrol case list --definition draw --all`"
        raise BadQuestion("id", "there is no audit draw of this id", remedy)
    return case, case.own


def closed_for(connection: Connection, case: Case, own: Draw) -> list[str]:
    """The cases that a draw is made from, whenever it is asked."""
    path = "".join(f"/{code}" for code in case.path) + "/"
    return draws.read_closed(connection, own.of, path, own.since, own.before, own.known_at)


def recount(connection: Connection, id_: str, listed: list[str] | None = None) -> Recount:
    """A draw drawn once more, from the store or from a list. Raises BadQuestion."""
    case, own = read_draw(connection, id_)
    found = closed_for(connection, case, own) if listed is None else sorted(set(listed))
    hits = lot(own.seed, own.share, found)
    checks = list[Check]()
    if case.state != UNDRAWN:
        visits = [cases.decode(each.body).about for each in draws.read_visits(connection, VISIT.name, id_)]
        checks = [
            Check("cases closed 结案件数", str(own.cases), str(len(found))),
            Check("digest of the list 清单摘要", own.digest, list_digest(found)),
            Check("drawn 抽中件数", str(own.hits), str(len(hits))),
            Check("visits 核实案件", " ".join(sorted(visits)), " ".join(sorted(hits))),
        ]
    gone = any(not each.holds for each in checks) and listed is None and bool(archives.listed(connection))
    remark = "cases have been archived since: give the list as it was, with --list" if gone else ""
    return Recount(case, found, hits, checks, remark)


KIND, VISITS = DRAW.name, VISIT.name
"""The kinds of case of a draw, and of its visits."""
