"""Probes and metrics: is the process alive, is it ready."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from msgspec import Struct
from prometheus_client.exposition import choose_encoder

from engine.http.context import DoorContext
from engine.http.problems import busy
from engine.store import inbox_table, incident_queries, standing
from engine.store.database import Connection
from engine.views.questions import NoActivePack


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str


class Halted(Struct, frozen=True):
    """A partition that stands still until an operator acts, or a release without the defect runs."""

    partition: int
    why: str


class Ready(Struct, frozen=True, omit_defaults=True):
    """The door takes events. Partitions that stand still are listed: the others go on. `standing` counts cases on which
    a rule has failed: what comes for them waits, and `remark` says what to do. `backlog` counts undecided records where
    the log is a table; where it is a topic, the owners of its partitions have metrics for that."""

    status: str
    pack: str
    halted: list[Halted]
    backlog: int | None = None
    standing: int = 0
    remark: str = ""


@get("/healthz", summary="The process is alive", tags=["operations"])
async def healthz() -> Alive:
    """Always 200 while the process answers."""
    return Alive("ok")


@get("/readyz", summary="The door takes events", tags=["operations"])
async def readyz(context: NamedDependency[DoorContext]) -> Ready:
    """200 when the writer runs, the wall clock is believed, database and brokers take what comes in and a pack is
    active; else 503 with what is missing."""
    context.check_open()
    context.check_clock()
    if why := context.writer.unable():
        raise busy(why)
    wall = context.writer.engine.wall
    refusals = [Halted(p, str(wall.refusal(p))) for p in sorted(wall.refused)]

    def ask(connection: Connection) -> Ready:
        pack = incident_queries.read_active(connection)
        if pack is None:
            raise NoActivePack()
        in_table = inbox_table.read_origin(connection) is None
        backlog = sum(count for _, count in incident_queries.count_waiting(connection)) if in_table else None
        halted = [Halted(*row) for row in incident_queries.read_halted(connection)]
        stand = sum(count for _, count in standing.counts(connection))
        remark = f"{stand} cases stand after a defect: see `gridpatrol log standing`" if stand else ""
        return Ready("ready", pack, [*halted, *refusals], backlog, stand, remark)

    return await context.read(ask)


@get("/metrics", summary="Prometheus metrics", tags=["operations"])
async def metrics(request: Request[Any, Any, Any], context: NamedDependency[DoorContext]) -> Response[bytes]:
    """Counters of this process, and gauges read from the store just now."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    registry = context.writer.engine.counters.registry
    body = await context.aside(lambda: encode(registry))
    return Response(body, headers={"content-type": kind}, media_type=kind)


ROUTES = [healthz, readyz, metrics]
