"""A process to be killed: `begin` is what it does, forked where everything is imported already (`nursery`).

`replay` replays a file of events in small slices; `live` appends the events as a door would, with
the stamps of the wall clock, notes in ACKS how many were acknowledged, and goes on after those when it is run again.
A failpoint says where it dies.
"""

from __future__ import annotations

from pathlib import Path

from engine import admission, failpoints
from engine.clock import now_ms
from engine.inbox import Submission
from engine.runtime import Engine
from lab.runs import consumers, engine_on, install, pack_of, replayed

GROUP = 7


def replay(url: str, file: str) -> None:
    """Replay, or go on."""
    with engine_on(url, 8, 20, 30, consumers=consumers()) as engine:
        replayed(engine, Path(file).read_bytes().splitlines())


def live(url: str, file: str, acks: str) -> None:
    """Append and decide, or go on after what was acknowledged."""
    with engine_on(url, 4, 20, 30, consumers=consumers()) as engine:
        install(engine, pack_of("weiyang"))
        engine.drain(now_ms())
        events, noted = Path(file).read_bytes().splitlines(), Path(acks)
        done = int(noted.read_text() or 0) if noted.exists() else 0
        while done < len(events):
            group = [_received(engine, raw) for raw in events[done : done + GROUP]]
            engine.append(group, now_ms())
            done += len(group)
            noted.write_text(str(done))
            engine.work(now_ms())
            engine.feed()
            engine.tick(now_ms())
        engine.drain(now_ms())


def _received(engine: Engine, raw: bytes) -> Submission:
    received = admission.receive(raw, "victim", engine.count)
    assert isinstance(received, tuple), received
    return received[0]


def begin(failpoint: str, what: str, *words: str) -> None:
    """One of them, to the end or to the failpoint."""
    failpoints.arm(failpoint)
    if what == "replay":
        replay(*words)
    else:
        live(*words)
