"""What is said while it is measured: incidents of the sample pack from report to closing, by posts that may.

Enters: a policy and a seed. Leaves: events without end, alone or as requests that a phone sends one after another.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain, count, cycle
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from engine.clock import now_ms
from gridpatrol.demo.events import mint
from workflows.policy.index import Policy

COHORT = 64
"""Incidents that go on side by side: about this many events lie between two of the same incident."""
BEGIN_MS = 1_772_413_200_000  # 2026-03-02T09:00+08:00, a working Monday
STEP_MS = 15
"""Between two events; incidents are handled within seconds, so clocks start and stop and hardly ever ring."""


def event_lines(policy: Policy, seed: int = 8, clock: Callable[[], int] | None = None) -> Iterator[bytes]:
    """Events without end, as JSON: incidents from report to closing, by posts that may, cohorts overlapping.

    They happen `STEP_MS` apart from `BEGIN_MS` on, or at the instants of `clock`. Other seeds are other incidents.
    """
    instants = count(BEGIN_MS + STEP_MS, STEP_MS)
    for event in incidents(policy, Random(seed)):
        at = clock() if clock is not None else next(instants)
        event["time"] = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
        yield msgspec.json.encode(event)


def incidents(policy: Policy, rng: Random) -> Iterator[dict[str, Any]]:
    """The same as dictionaries, without an instant."""
    leaves = cycle([grid.code for grid in policy.pack.grids if grid.level == policy.leaf_level])
    running: list[list[Iterator[dict[str, Any]]]] = []
    while True:
        running.append([incident(policy, next(leaves), rng) for _ in range(COHORT)])
        for events in chain.from_iterable(running):
            yield next(events)
        if len(running) == len(STAGES):
            running.pop(0)


Stages = tuple[tuple[str, str, dict[str, str]], ...]
"""The events of one incident: trigger, role, data."""
STAGES: Stages = (
    ("report.submitted", "member", {"source": "patrol", "description": "a heap of rubble beside the road"}),
    ("dissuasion.recorded", "member", {"outcome": "ineffective"}),
    ("incident.reported_up", "member", {}),
    ("incident.accepted", "upper", {}),
    ("incident.dispatched", "upper", {}),
    ("handling.completed", "handler", {}),
    ("verification.recorded", "member", {"outcome": "solved"}),
    ("incident.closed", "chief", {}),
)
"""A whole life."""
SHORT: Stages = (
    ("report.submitted", "intake", {"source": "hotline", "description": "a heap of rubble beside the road"}),
    ("incident.accepted", "upper", {}),
    ("handling.completed", "upper", {}),
    ("verification.recorded", "member", {"outcome": "solved"}),
)
"""Four events: a caller reports, an office accepts and handles, a grid member checks on site."""


def incident(policy: Policy, leaf: str, rng: Random, stages: Stages = STAGES) -> Iterator[dict[str, Any]]:
    """The events of one incident at a leaf grid, without an instant."""
    above = policy.leaf_level - 1
    category = next(c for c in policy.pack.categories if c.dissuade and c.level == above and c.department)
    upper = policy.path(leaf)[-2]
    posts = {
        "intake": next(post.code for post in policy.pack.posts if post.role == "intake"),
        "member": policy.posts_at(leaf, "member")[0],
        "chief": policy.posts_at(leaf, "chief")[0],
        "upper": policy.posts_at(upper, "chief")[0],
        "handler": policy.posts_of(category.department)[0],
    }
    subject = mint(policy.home(leaf), BEGIN_MS + rng.randrange(1 << 30), rng)
    more = {
        "report.submitted": {"category": category.code, "grid": leaf},
        "incident.dispatched": {"lead": category.department},
    }
    for number, (trigger, role, data) in enumerate(stages):
        yield {
            "specversion": "1.0",
            "id": f"{subject.rpartition('.')[2]}-{number}",
            "source": "/bench",
            "type": f"gridpatrol.{trigger}.v1",
            "subject": subject,
            "actor": posts[role],
            "data": {**data, **more.get(trigger, {})},
        }


# ---- requests -----------------------------------------------------------------------------------------------

Said = Literal["reports", "incidents", "readable", "urged"]


class Request(NamedTuple):
    """Bytes for a connection that is kept, and what its answer must be: a status, and something that it holds.
    `urges`: the case that is urged by it."""

    raw: bytes
    status: bytes
    holds: bytes
    urges: str = ""


AGE = 64
"""So many chains lie between the report of a case and its being urged."""
URGED_EVERY = 20
"""One chain in so many is an urging (催办), which is told at once."""


def chains(policy: Policy, said: Said, host: str, seed: int) -> Iterator[list[Request]]:
    """Without end, what one connection sends, each request after the answer to the one before; all happen now.

    `reports`: one each. `incidents`: the four events of one, each answered by its decision. `readable`: a report that
    is answered by its decision, and the reading of its case. `urged`: reports, some of which are urged later.
    """
    rng, leaves = Random(seed), cycle([grid.code for grid in policy.pack.grids if grid.level == policy.leaf_level])
    reported: list[dict[str, Any]] = []
    for number in count(1):
        events = list(incident(policy, next(leaves), rng, SHORT if said == "incidents" else STAGES[:1]))
        if said == "urged" and number % URGED_EVERY == 0 and len(reported) > AGE:
            about = reported.pop(0)
            events = [about | {"id": f"{about['id']}-urged", "type": "gridpatrol.incident.urged.v1", "data": {}}]
        else:
            reported = [*reported[-2 * AGE :], events[0]]
        chain = [posted(event, host, wait=said in ("incidents", "readable")) for event in events]
        if said == "readable":
            case = events[0]["subject"]
            raw = f"GET /v1/incidents/{case} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            chain.append(Request(raw, b"200", b'"state":"discovered"'))
        yield chain


def posted(event: dict[str, Any], host: str, wait: bool) -> Request:
    """An event that happens now, as a request; `wait` for its decision."""
    body = msgspec.json.encode(
        event | {"time": datetime.fromtimestamp(now_ms() / 1000, UTC).isoformat(timespec="milliseconds")}
    )
    head = f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/cloudevents+json\r\n"
    head += f"Content-Length: {len(body)}\r\n" + ("Prefer: wait=20\r\n" if wait else "")
    status, holds = (b"200", b'"outcome":"done"') if wait else (b"202", b'"status":"accepted"')
    urges = event["subject"] if event["type"].endswith("incident.urged.v1") else ""
    return Request(head.encode() + b"\r\n" + body, status, holds, urges)
