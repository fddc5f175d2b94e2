"""One principal floods the door with refused events: what its neighbours notice of it.

`python -m lab.flood [--seconds 20] [--on sqlite --on postgresql --on gateway] [--refused door] [--without-quotas]`

Enters: how long, on what, and who refuses the flood: the door (no event of this contract) or the rules (a category that
nobody knows). Leaves: for each installation, how long a neighbour's event took from being sent to being decided, how
late alerts were heard, how much the database grew, and what became of the flood. Three connections send batches of a
thousand as fast as they are answered.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from engine.principals import digest_of, new_token
from gridpatrol.client import Server
from lab.bench.load import rank
from lab.bench.site import plain
from lab.chaos.faults import pack_without_quiet_hours
from lab.installation import Installation
from lab.parts import kafka, postgres

CONNECTIONS, BATCH = 3, 1000
EVERY_S, DEADLINE_EVERY = 0.1, 10
"""A neighbour's event in this time; every tenth orders a deadline that falls due soon after."""
DUE_S = 3.0
QUIET_S = 3.0
"""How long the neighbour is alone at first."""
WHERE = ("sqlite", "postgresql", "gateway")
NO_QUOTAS = "events_per_s = 0\nbatches = 0\nrefused_per_s = 1e9\nrefused_burst = 1000000000\n"


def instant(after_s: float = 0.0) -> str:
    """Now, or so many seconds later, as events have it."""
    return (datetime.now(UTC) + timedelta(seconds=after_s)).isoformat(timespec="milliseconds")


class Flood:
    """Connections that send refused events for as long as it is open, and what they were answered."""

    def __init__(self, url: str, token: str, by_rules: bool) -> None:
        self.url, self.by_rules = url, by_rules
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cloudevents-batch+json"}
        self.answers: Counter[str] = Counter()
        self._over = threading.Event()
        self._number = iter(range(10**9))
        self._threads = [threading.Thread(target=self.flood, daemon=True) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def batch(self) -> bytes:
        """Events that differ in their ids, and are refused."""
        type_ = "gridpatrol.report.submitted.v1" if self.by_rules else "gridpatrol.nothing.v1"
        return json.dumps([self.event(type_, next(self._number)) for _ in range(BATCH)]).encode()

    def event(self, type_: str, number: int) -> dict[str, Any]:
        home = f"WY{number % 12 + 1:02}"
        return {
            "specversion": "1.0",
            "type": type_,
            "source": "app/flood",
            "id": f"f{number}",
            "subject": f"{home}.01900000-0000-7000-8000-{number:012x}",
            "time": instant(),
            "actor": "WY-12345",
            "data": {"category": "no-such", "source": "hotline", "grid": f"{home}-01", "description": "x" * 200},
        }

    def flood(self) -> None:
        door = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=120)
        while not self._over.is_set():
            try:
                door.request("POST", "/v1/events", self.batch(), self.headers)
                answer = door.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                door.close()
                self.answers["hung up"] += 1
                continue
            self.answers[str(answer.status)] += 1
            if answer.status in (200, 202):
                results = json.loads(body)["results"]
                self.answers["events kept"] += sum("dead_letter" in item for item in results)
                self.answers["events not kept"] += sum("not kept" in item.get("detail", "") for item in results)
                self.answers["events taken"] += sum("position" in item for item in results)


class Neighbour:
    """Who sends an event now and then, whatever it costs, and hears the alerts."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self.decided: list[float] = []  # seconds from being sent to being decided
        self.late: list[float] = []  # seconds from a deadline to its alert
        self.failed: Counter[str] = Counter()
        self._due: dict[str, float] = {}
        threading.Thread(target=self.hear, daemon=True).start()

    def send(self, seconds: float, first: int) -> None:
        """One event each tenth of a second, each on a connection of its own."""
        began = time.monotonic()
        with ThreadPoolExecutor(64) as pool:
            for tick in range(int(seconds / EVERY_S)):
                time.sleep(max(0.0, began + tick * EVERY_S - time.monotonic()))
                pool.submit(self.report, first + tick)

    def report(self, number: int) -> None:
        home = f"WY{number % 12 + 1:02}"
        case = f"{home}.01900000-0000-7000-9000-{number:012x}"
        data = {"category": "D3-04", "source": "hotline", "grid": f"{home}-01"}
        if number % DEADLINE_EVERY == 0:
            self._due[case] = time.time() + DUE_S
            data["deadline"] = instant(DUE_S)
        event = {
            "specversion": "1.0",
            "type": "gridpatrol.report.submitted.v1",
            "source": "app/neighbour",
            "id": f"n{number}",
            "subject": case,
            "time": instant(),
            "actor": "WY-12345",
            "data": data,
        }
        began = time.monotonic()
        try:
            door = Server(self.url, token=self.token)
            answer = door.post(
                "/v1/events", json.dumps(event).encode(), "application/cloudevents+json", Prefer="wait=30"
            )
            outcome = answer.get("outcome", "not decided in 30 s")
        except Exception as error:  # whatever it is, it is counted
            outcome = f"{type(error).__name__}: {error}"
        if outcome == "done":
            self.decided.append(time.monotonic() - began)
        else:
            self.failed[outcome] += 1

    def hear(self) -> None:
        for _, _, text in Server(self.url, timeout_s=600, token=self.token).follow("/v1/alerts/stream", ""):
            line, now = json.loads(text), time.time()
            due = self._due.get(line.get("case", ""))
            if due is not None and now >= due and line["kind"] != "notice":
                self.late.append(now - self._due.pop(line["case"]))


def measure(where: str, seconds: float, by_rules: bool, quotas: bool, folder: Path) -> dict[str, Any]:
    """One installation: alone, then flooded."""
    tokens = {name: new_token() for name in ("flood", "neighbour")}
    file = folder / "principals.toml"
    file.write_text(
        f'[principal.flood]\nactors = ["*"]\ntokens = ["{digest_of(tokens["flood"])}"]\n{"" if quotas else NO_QUOTAS}'
        f'[principal.neighbour]\nactors = ["*"]\nreads = true\ntokens = ["{digest_of(tokens["neighbour"])}"]\n'
    )
    file.chmod(0o600)
    pack_without_quiet_hours(folder / "pack")
    with running(where, folder, principals=file, pack=folder / "pack") as (url, size):
        neighbour = Neighbour(url, tokens["neighbour"])
        neighbour.send(QUIET_S, 0)
        alone, neighbour.decided = sorted(neighbour.decided), []
        before = size()
        with Flood(url, tokens["flood"], by_rules) as flood:
            neighbour.send(seconds, 10_000)
        time.sleep(DUE_S + 2)
        return {
            "where": where,
            "flood": dict(flood.answers),
            "alone_p99_s": round(rank(alone, 0.99), 3),
            "decided": len(neighbour.decided),
            "decided_p50_s": round(rank(neighbour.decided, 0.5), 3) if neighbour.decided else None,
            "decided_p99_s": round(rank(neighbour.decided, 0.99), 3) if neighbour.decided else None,
            "failed": dict(neighbour.failed),
            "alerts": len(neighbour.late),
            "alert_late_most_s": round(max(neighbour.late), 3) if neighbour.late else None,
            "alerts_not_heard": sum(due < time.time() for due in neighbour._due.values()),
            "grown_mib": round((size() - before) / 2**20, 1),
        }


@contextmanager
def running(where: str, folder: Path, **settings: object) -> Iterator[tuple[str, Any]]:
    """An installation's door, and a question how large its database is."""
    with ExitStack() as stack:
        if where == "sqlite":
            url = f"sqlite:///{folder / 'gridpatrol.db'}"
        else:
            server = stack.enter_context(postgres.running_server())
            url = stack.enter_context(postgres.fresh_database(server))
        names, broker = ["all-1"], ""
        if where == "gateway":
            names = ["gateway-1", "worker-1", "alerts-1"]
            broker = os.environ.get("GRIDPATROL_TEST_KAFKA") or stack.enter_context(kafka.running_broker()).bootstrap
        built = Installation(folder, broker, url, partitions=8, forked=False, **settings)  # type: ignore[arg-type]
        stack.callback(built.kill)
        if broker:
            built.set_up()
        built.start(*names)
        built.await_ready(*names)

        def size() -> int:
            if where == "sqlite":
                return sum(file.stat().st_size for file in folder.glob("gridpatrol.db*"))
            with psycopg.connect(plain(url)) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                return int(row[0]) if row else 0

        yield built[names[0]].address(), size
        built.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the flood lasts")
    parser.add_argument("--on", action="append", choices=WHERE, help="on what; all of them unless said")
    parser.add_argument("--refused", choices=("door", "rules"), default="door", help="who refuses the flood")
    parser.add_argument("--without-quotas", action="store_true", help="fairness alone has to do")
    given = parser.parse_args()
    for where in given.on or WHERE:
        with tempfile.TemporaryDirectory(prefix="gridpatrol-flood-") as folder:
            found = measure(where, given.seconds, given.refused == "rules", not given.without_quotas, Path(folder))
            print(json.dumps(found, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
