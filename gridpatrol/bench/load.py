"""Load at a door, from a process of its own: raw sockets that are kept, so many requests under way at once.

Enters: a job, as JSON on a line. Everything that will be sent is prepared, then `ready` is printed; with a second line
it is sent. Leaves: seconds, answers, and the CPU time that this process itself took for them, as JSON on a line.

    echo '{"url": "http://127.0.0.1:8420", "number": 5000, "in_flight": 32}' | python -m gridpatrol.bench.load

A load that waits for answers hides the slowest ones: it sends nothing while it waits. At a `rate` each chain of
requests has its instant beforehand, and its seconds count from that, whether or not it could be sent then.
"""

import gc
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from math import ceil
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gridpatrol.bench.workload import Request, Said, chains
from gridpatrol.run.wiring import read_pack
from workflows.policy import model
from workflows.policy.index import Policy

PATIENCE_S = 30.0
"""How long the load waits for an answer, or for an alert."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Job(Struct, frozen=True, kw_only=True):
    """What is sent: `number` chains of requests, `in_flight` of them at once. `rate`: so many chains a second; 0: one
    as soon as another is answered. `listens`: to the stream of alerts as well, for cases that are urged."""

    url: str
    number: int
    in_flight: int
    said: Said = "reports"
    seed: int = 1
    rate: float = 0
    listens: bool = False


class LoadRun(Struct, frozen=True, kw_only=True):
    """What came of it. Of `readable` a whole chain is timed, else each answer. `alerts_s`: for each urging that was
    told, until it was heard."""

    events: int
    seconds: float
    cpu_s: float
    p50_s: float
    p99_s: float
    longest_s: float
    alerts_s: list[float]


class Kept:
    """A connection that is kept, and the chain that it is sending."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = b""
        self.chain: Sequence[Request] = ()
        self.place = 0
        self.since = 0.0

    def say(self) -> None:
        """Send the request of the chain that is next."""
        self.socket.sendall(self.chain[self.place].raw)

    def answered(self) -> bool:
        """Read what has come; whether the answer is whole. RuntimeError where it is not the one that it must be."""
        self.heard += self.socket.recv(65_536)
        head = self.heard.find(b"\r\n\r\n")
        found = LENGTH.search(self.heard, 0, head + 2) if head > 0 else None
        if not found or len(self.heard) < head + 4 + int(found[1]):
            if found or (self.heard and head < 0):
                return False
            raise RuntimeError(f"the load got no answer with a length: {self.heard[:400]!r}")
        request = self.chain[self.place]
        if self.heard[9:12] != request.status or request.holds not in self.heard:
            raise RuntimeError(f"the load was not taken: {self.heard[:600]!r}")
        self.heard = b""
        return True


class Load:
    """One job, prepared."""

    def __init__(self, job: Job) -> None:
        self.job = job
        where = urlsplit(job.url)
        address = (where.hostname or "", where.port or 80)
        pack = read_pack("weiyang")
        policy = Policy(pack, model.digest(pack))
        self.waiting = deque(islice(chains(policy, job.said, where.netloc, job.seed), job.number))
        self.events = sum(request.raw.startswith(b"POST") for chain in self.waiting for request in chain)
        self.poll = select.epoll()
        self.kept = {line.socket.fileno(): line for line in (Kept(address) for _ in range(job.in_flight))}
        for number in self.kept:
            self.poll.register(number, select.EPOLLIN)
        self.idle = deque(self.kept.values())
        self.took: list[float] = []
        self.urged: dict[str, float] = {}
        self.alerts: list[float] = []
        self.stream = Kept(address) if job.listens else None
        if self.stream is not None:
            self.stream.socket.sendall(f"GET /v1/alerts/stream HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            while b"data:" not in self.stream.heard:  # it opens with an event of its own
                self.stream.heard += self.stream.socket.recv(65_536)
            self.stream.heard = b""
            self.poll.register(self.stream.socket.fileno(), select.EPOLLIN)

    def run(self) -> LoadRun:
        """Send everything, and hear every answer."""
        gc.disable()  # what was prepared is large, and nobody's business while the clock runs
        cpu, began = time.process_time(), time.perf_counter()
        every_s, sent, wanted = (1 / self.job.rate if self.job.rate else 0.0), 0, len(self.waiting)
        last = began
        while self.waiting or len(self.idle) < len(self.kept) or self.urged:
            now = time.perf_counter()
            while self.idle and self.waiting and (meant := began + sent * every_s if every_s else now) <= now:
                line = self.idle.popleft()
                line.chain, line.place, line.since = self.waiting.popleft(), 0, meant
                sent += 1
                if line.chain[0].urges:
                    self.urged[line.chain[0].urges] = meant
                line.say()
            left_s = began + sent * every_s - now if self.idle and self.waiting else PATIENCE_S
            if len(self.idle) == len(self.kept) and self.waiting:
                time.sleep(max(0.0, left_s))  # more exact than the milliseconds of epoll
                continue
            for number, _ in self.poll.poll(max(0.0, left_s)):
                self.hear(number)
                last = time.perf_counter()
            if time.perf_counter() - last > PATIENCE_S:
                raise RuntimeError(f"{wanted - sent} chains were not sent, {len(self.urged)} urgings not told")
        seconds, cpu = last - began, time.process_time() - cpu
        self.took.sort()
        return LoadRun(
            events=self.events,
            seconds=seconds,
            cpu_s=cpu,
            p50_s=rank(self.took, 0.5),
            p99_s=rank(self.took, 0.99),
            longest_s=self.took[-1],
            alerts_s=sorted(self.alerts),
        )

    def hear(self, number: int) -> None:
        """Something has come on a connection."""
        line = self.kept.get(number)
        if line is None:
            return self.listen()
        if not line.answered():
            return
        now, line.place = time.perf_counter(), line.place + 1
        ended = line.place == len(line.chain)
        if ended or self.job.said != "readable":
            self.took.append(now - line.since)
        if ended:
            self.idle.append(line)
            return
        if self.job.said != "readable":
            line.since = now
        line.say()

    def listen(self) -> None:
        """Lines of the stream of alerts: which of them tell of a case that was urged?"""
        assert self.stream is not None
        *lines, self.stream.heard = (self.stream.heard + self.stream.socket.recv(65_536)).split(b"\n")
        now = time.perf_counter()
        for text in lines:
            if text.startswith(b"data: ") and b'"urged"' in text:
                case = msgspec.json.decode(text[6:])["case"]
                if (meant := self.urged.pop(case, None)) is not None:
                    self.alerts.append(now - meant)


def rank(values: Sequence[float], share: float) -> float:
    """Of sorted values the one that this share of them does not exceed: nearest rank."""
    return values[max(0, ceil(len(values) * share) - 1)]


def main() -> None:
    """One job from the input."""
    load = Load(msgspec.json.decode(sys.stdin.readline(), type=Job))
    print("ready", flush=True)
    sys.stdin.readline()
    print(msgspec.json.encode(load.run()).decode(), flush=True)


if __name__ == "__main__":
    main()
