"""The server draws (抽查, M97): it says of each audit draw what was drawn, once all that it is drawn from is known.

A loop beside the writer, in every process that has a door. It reads the database alone, follows the partitions' clocks
and never the wall, and says events whose ids are derived from the draw and the case: said again after a restart, or by
a second gateway, they are the same ones.

1. A draw waits until the clock of every partition that may hold a case of its scope has passed its order's arrival, no
   case there stands, and the figures have read all steps: then the list is the same whenever it is read.
2. `draw.hit` is said for each case that was drawn; when all of these visits are there, `draw.computed` is.
3. `draw.finished` is said when no visit of it is open.

It speaks from a machine's post (系统岗位) of the active pack whose role may say so; without one nothing is drawn.
"""

import logging
import queue
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from engine import admission
from engine.errors import DatabaseUnusable
from engine.loop import Loop
from engine.policies import Policies
from engine.store import draws, incident_queries
from engine.store.database import FAILURES, Connection
from engine.views.draws import KIND, VISITS, closed_for
from engine.writer import Writer
from schemas.derived_ids import drawn_subject
from schemas.events import EVENTS
from schemas.instants import written
from schemas.kinds.draw import Draw, list_digest, lot
from schemas.partition import partition_of
from schemas.refusals import Refusal
from workflows import case as cases
from workflows.case import Case
from workflows.definitions.draw import COMPUTED, DRAWN, FINISHED
from workflows.definitions.visit import HIT, UNVISITED
from workflows.policy.index import Policy
from workflows.policy.model import Post

log = logging.getLogger(__name__)

PRINCIPAL = "draws"
"""Who says it, in the log."""
SAID = tuple(trigger for trigger, event in EVENTS.items() if event.by == PRINCIPAL)
"""What it alone says."""
SOURCE = "gridpatrol/draws"
"""The source of these events."""
FIGURES = "performance"
"""The consumer whose outcomes the list is read from."""
LOOK_S = 2.0
"""How often it is looked for a draw."""
AGAIN_S = 60.0
"""After so long something is said again that has had no effect."""
MOST = 2_000
"""Events that are said at one look at most."""


class Draws(Loop):
    """Says what was drawn. Start it beside a writer."""

    def __init__(self, writer: Writer) -> None:
        super().__init__("draws")
        self.writer = writer
        self.policies = Policies()
        self._said = dict[str, float]()

    def run_once(self) -> float:
        """Look at all draws that are not over."""
        engine, now_s = self.writer.engine, time.monotonic()
        with engine.database.read() as connection:
            wanted = list(due_events(connection, self.policies))
        self._said = {id_: at for id_, at in self._said.items() if now_s - at < AGAIN_S}
        for event in [each for each in wanted if each["id"] not in self._said][:MOST]:
            received = admission.receive(msgspec.json.encode(event), PRINCIPAL, engine.count)
            if isinstance(received, Refusal):
                log.error("draws.refused", extra={"id": event["id"], "field": received.field})
                continue
            self.writer.submit(received[0])
            self._said[event["id"]] = now_s
        return LOOK_S

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (*FAILURES, DatabaseUnusable, queue.Full))


def due_events(connection: Connection, policies: Policies) -> Iterator[dict[str, Any]]:
    """What is to be said now of every draw that is not over."""
    found = draws.read_open(connection, KIND)
    active = incident_queries.read_active(connection) if found else None
    if active is None:
        return
    register = policies.get(connection, active)
    post = speaker_of(register)
    if post is None:
        return
    for id_, body in found:
        case = cases.decode(body)
        if not isinstance(case.own, Draw):
            continue
        if case.state == DRAWN:
            if not any(visit.state == UNVISITED for visit in draws.read_visits(connection, VISITS, id_)):
                yield said(FINISHED, id_, f"{id_}/finished", post.code, case.own, {})
        elif not waits_for(connection, register, case, case.own):
            yield from drawn(connection, case, case.own, post.code)


def drawn(connection: Connection, case: Case, own: Draw, actor: str) -> Iterator[dict[str, Any]]:
    """Each case on which the lot falls and which has no visit yet; when all have one, what was drawn."""
    closed = closed_for(connection, case, own)
    hits = lot(own.seed, own.share, closed)
    visits = {cases.decode(visit.body).about for visit in draws.read_visits(connection, VISITS, case.id)}
    missing = sorted({*draws.read_known(connection, hits)} - visits)
    for hit in missing:
        data = {"draw": case.id, "about": hit, "office": case.owner.grid}
        yield said(HIT, drawn_subject(case.id, hit, own.seed), f"{case.id}/{hit}", actor, own, data)
    if not missing:
        told = {"cases": len(closed), "digest": list_digest(closed), "hits": len(hits)}
        yield said(COMPUTED, case.id, f"{case.id}/computed", actor, own, told)


def said(kind: str, subject: str, id_: str, actor: str, own: Draw, data: dict[str, Any]) -> dict[str, Any]:
    """An event of the server's own, which is the same one whenever it is said."""
    return {
        "specversion": "1.0",
        "type": f"gridpatrol.{kind}.v1",
        "source": SOURCE,
        "id": id_,
        "subject": subject,
        "time": written(own.known_at),
        "actor": actor,
        "data": data,
    }


def speaker_of(register: Policy) -> Post | None:
    """The post from which the server says what was drawn."""
    for post in register.pack.posts:
        level = register.grids[post.grid].level if post.grid in register.grids else 0
        rows = [register.role_rows_at(level, trigger, post.role) for trigger in SAID]
        if post.machine and not post.vacant and all(rows):
            return post
    return None


def waits_for(connection: Connection, register: Policy, case: Case, own: Draw) -> list[str]:
    """Why a draw cannot be computed yet: what each partition of its scope still lacks; none: it can."""
    scope = case.path[-1]
    homes = {register.home(code) for code in register.grids if scope in register.path(code)}
    rows, found = draws.read_progress(connection, FIGURES), list[str]()
    wanted = {partition_of(home, len(rows)) for home in homes}
    for row in rows:
        if row.partition in wanted:
            lacks = [
                *(["its time has not passed the order"] if row.clock <= own.known_at else []),
                *([f"{row.standing} cases stand"] if row.standing else []),
                *(["the figures have not read it to its end"] if not row.is_read else []),
                *(["it is halted"] if row.halted else []),
            ]
            found += [f"partition {row.partition}: {', '.join(lacks)}"] if lacks else []
    return found
