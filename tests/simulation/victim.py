"""A process to be killed: `begin` is what it does, forked where everything is imported already (`nursery`).

`replay` replays a file of events in small slices; `live` appends the events as a writer would, with
the stamps of the wall clock, notes in ACKS how many were acknowledged, and goes on after those when it is run again.
`bear` lets packs become active and days pass, so that homes bear and end what is owed; it goes on where the log ends.
A failpoint says where it dies.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from msgspec.structs import replace

from engine import admission, failpoints
from engine.clock import now_ms
from engine.inbox import Submission
from engine.packs import load_pack
from engine.runtime import Engine
from lab.events import DAY, HOUR, at
from lab.runs import consumers, engine_on, install, pack_of, replayed
from workflows.policy.model import Pack

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
            engine.append_and_decide(group, now_ms())
            done += len(group)
            noted.write_text(str(done))
            engine.work(now_ms())
            engine.feed()
            engine.tick(now_ms())
        engine.drain(now_ms())


def bear(url: str) -> None:
    """Append what is left of `days_of_homes`, in every partition at once, and decide."""
    with engine_on(url, 4, 20, 30, consumers=consumers()) as engine:
        for pack, time in days_of_homes()[engine.heads[0] :]:
            if pack is not None:
                engine.install(pack, time)
            else:
                engine.append([Submission(p, "tick", "owner", "") for p in engine.rows], time)
            engine.drain()
        engine.drain()


@cache
def days_of_homes() -> list[tuple[Pack | None, int]]:
    """Activations, and ticks between them, of twelve days of three homes: posts leave and come back, some of them by
    their `valid_to`, and nothing arrives for eight days."""
    sample, first = load_pack("weiyang"), at("03-03 12:00")
    homes = tuple(post for post in sample.posts if post.grid.partition("-")[0] in ("WY01", "WY02", "WY05"))
    whole = replace(sample, posts=homes)
    left = tuple(post for post in homes if post.role != "member" or not post.grid.startswith("WY05-"))
    ending = tuple(replace(post, valid_to=20260306 if post.role == "sponsor" else 0) for post in homes)
    noons: list[tuple[Pack | None, int]] = [(None, first + day * DAY) for day in (1, 2, 3, 11, 12)]
    changes: list[tuple[Pack | None, int]] = [
        (whole, first),
        (replace(whole, posts=left), first + DAY + 5),
        (replace(whole, posts=ending), first + 2 * DAY + HOUR),
        (whole, first + 11 * DAY + 9),
    ]
    return sorted([*noons, *changes], key=lambda each: each[1])


def _received(engine: Engine, raw: bytes) -> Submission:
    received = admission.receive(raw, "victim", engine.count)
    assert isinstance(received, tuple), received
    return received[0]


def begin(failpoint: str, what: str, *words: str) -> None:
    """One of them, to the end or to the failpoint."""
    failpoints.arm(failpoint)
    if what == "replay":
        replay(*words)
    elif what == "bear":
        bear(*words)
    else:
        live(*words)
