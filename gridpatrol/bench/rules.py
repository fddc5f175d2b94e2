"""The engine without a door: what a decision costs by itself, and how fast a record of the past is replayed.

Enters: how many events; the URL of an empty database. Leaves: CPU time of a decision with everything that follows from
it in memory, without decoding and without a database; events a second of the shipped city's record.
"""

import time
from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from engine import replay
from engine.settings import Settings
from gridpatrol import collector
from gridpatrol.bench.workload import BEGIN_MS, STEP_MS, event_lines
from gridpatrol.importers import boston311
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, read_pack, writing
from schemas.envelope import Record, decode_data, decode_envelope, encode_record
from schemas.refusals import Refusal
from workflows import decide
from workflows.case import Case
from workflows.decide import IncomingEvent
from workflows.policy import model
from workflows.policy.index import Policy

CITY = "boston311"


class Replay(Struct, frozen=True, kw_only=True):
    """A replay of the city's record, to its figures and alerts. `cpu_ms` is that of an event."""

    events: int
    events_per_s: int
    cpu_ms: float


def arriving(policy: Policy) -> Iterator[IncomingEvent]:
    """Events without end, decoded, each at its arrival."""
    for number, raw in enumerate(event_lines(policy), 1):
        envelope = decode_envelope(raw)
        assert not isinstance(envelope, Refusal), envelope
        data = decode_data(envelope)
        assert not isinstance(data, Refusal), data
        record = Record(event=envelope, digest="d", digests=("2:d",), measured=data.measured)
        yield IncomingEvent(record, data, BEGIN_MS + (number + 1) * STEP_MS, encode_record(record))


def decide_us(events: int) -> float:
    """CPU microseconds of an event that is decided and applied to its case, over whole lives. RuntimeError where one is
    not taken."""
    pack = read_pack("weiyang")
    policy = Policy(pack, model.digest(pack))
    warm = events // 10
    coming = iter(list(islice(arriving(policy), warm + events)))
    cases = dict[str, Case]()
    collector.spare()
    began = time.process_time()
    for number, incoming in enumerate(coming):
        if number == warm:
            began = time.process_time()
        subject = incoming.record.event.subject
        result = decide.take(cases.get(subject) or Case(id=subject), incoming, policy, policy)
        if (own := result.outcomes[0]).outcome != "done":
            raise RuntimeError(f"the workload is not taken: {own}")
        cases[subject] = result.case
    return 1_000_000 * (time.process_time() - began) / events


def replay_city(url: str, scale: float = 1.0) -> Replay:
    """Replay the city's record, or the beginning of it, into an empty database. RuntimeError where a line is left."""
    tree = {grid.code: grid.parent for grid in read_pack(CITY).grids}
    lines = list(boston311.events(boston311.SHIPPED, tree, lambda remark: None))
    lines = lines[: max(500, int(len(lines) * min(1.0, scale)))]
    with writing(msgspec.structs.replace(Settings(), database=url, pack=CITY)) as engine:
        install_if_empty(engine, BEFORE_ALL)
        collector.spare()
        began, cpu = time.perf_counter(), time.process_time()
        done = replay.replay_events(engine, lines, "city")
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    if done.lines != len(lines) or done.rejected or set(done.outcomes) - {"done", "parked"}:
        raise RuntimeError(f"of {len(lines)} lines came {done}")
    return Replay(events=done.lines, events_per_s=round(done.lines / took), cpu_ms=round(1000 * cpu / done.lines, 4))
