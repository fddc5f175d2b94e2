"""How long the pages of a supervisor take beside very many open incidents, while events come in.

Enters: how many incidents are open, a rate, a database. Leaves as JSON, by page: answers, the median and the 99th
percentile of their milliseconds, the longest, and the bytes of one; and what the events had that came meanwhile. A page
is asked for by a visitor after the other, as by a wall of screens; events are whole lives of incidents.

    python -m lab.bench.console --open 1000000 --rate 500 --seconds 60 --database sqlite
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
import msgspec
from msgspec import Struct

from engine.clock import now_ms
from gridpatrol.bench.door import DoorRun, serving
from gridpatrol.bench.growth import prepare
from gridpatrol.bench.load import rank
from lab.parts.postgres import fresh_database, running_server

PAGES = ("/desk", "/desk?overdue=true", "/desk?office=WY01", "/desk?office=WY-URBAN", "/supervision")
HTML = {"Accept": "text/html"}
MOST_MS = 200.0
"""What the 99th percentile of a page is to stay under."""
IN_FLIGHT = 32
POST = "WY-SUPERVISOR"
"""As whom the pages are looked at."""


class PageRun(Struct, frozen=True, kw_only=True):
    """How long a page took, in ms."""

    page: str
    answers: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    bytes: int


class ConsoleRun(Struct, frozen=True, kw_only=True):
    """The pages beside so many open incidents, and what came of the events meanwhile."""

    database: str
    open: int
    rate: float
    pages: list[PageRun]
    events: DoorRun

    @property
    def kept(self) -> bool:
        """Whether every page stayed under its limit."""
        return all(page.p99_ms < MOST_MS for page in self.pages)


def measure(url: str, number: int, rate: float, seconds: float, folder: Path) -> ConsoleRun:
    """Fill a fresh database with open incidents, serve it, and ask for its pages while events come in."""
    made, _ = prepare(url, number, now_ms())
    with serving(url, folder) as door:
        door.warm(min(1.0, number / 1_000_000))
        events: list[DoorRun] = []
        load = threading.Thread(
            target=lambda: events.append(door.measure(int(rate * seconds), IN_FLIGHT, rate=rate, said="reports"))
        )
        with httpx.Client(base_url=door.url, timeout=30) as client:
            look_as(client, POST)
            for page in PAGES:
                ask(client, page)  # statements are prepared, templates compiled
            load.start()
            took: dict[str, list[float]] = {page: [] for page in PAGES}
            sizes = dict.fromkeys(PAGES, 0)
            until = time.perf_counter() + seconds
            while time.perf_counter() < until and load.is_alive():
                for page in PAGES:
                    began = time.perf_counter()
                    sizes[page] = ask(client, page)
                    took[page].append(1000 * (time.perf_counter() - began))
            load.join()
    if not events:
        raise RuntimeError("the events were not taken: see the error above")
    return ConsoleRun(
        database=url.partition(":")[0].partition("+")[0],
        open=made.open,
        rate=rate,
        pages=[page_run(page, sorted(took[page]), sizes[page]) for page in PAGES],
        events=events[0],
    )


def look_as(client: httpx.Client, post: str) -> None:
    """Look and speak as a post from here on: what it may do with each case is asked, too."""
    found = re.search(r'name="mark" value="([^"]+)"', client.get(f"/me?q={post}", headers=HTML).text)
    assert found is not None, "this door asks for a token"
    chosen = client.post("/me/post", data={"mark": found[1], "post": post}, headers=HTML)
    if chosen.status_code != 303:
        raise RuntimeError(f"the post cannot be chosen: {chosen.status_code}")


def ask(client: httpx.Client, page: str) -> int:
    """Ask for a page, which must be whole; its bytes."""
    answer = client.get(page, headers=HTML)
    answer.raise_for_status()
    return len(answer.content)


def page_run(page: str, took: list[float], size: int) -> PageRun:
    """What a page took, of the sorted milliseconds of its answers."""
    return PageRun(
        page=page,
        answers=len(took),
        p50_ms=round(rank(took, 0.5), 1),
        p99_ms=round(rank(took, 0.99), 1),
        longest_ms=round(took[-1], 1),
        bytes=size,
    )


@contextmanager
def database_of(name: str, folder: Path) -> Iterator[str]:
    """The URL of a fresh database of a kind."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'console.db'}"
        return
    with running_server() as server, fresh_database(server) as url:
        yield url


@click.command()
@click.option("--open", "number", default=1_000_000, show_default=True, help="Incidents that are open.")
@click.option("--rate", default=500.0, show_default=True, help="Events a second meanwhile.")
@click.option("--seconds", default=60.0, show_default=True, help="For so long.")
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
def main(number: int, rate: float, seconds: float, database: str) -> None:
    """Measure the pages. Exit status 1 if one of them was slower than its limit."""
    with TemporaryDirectory(prefix="gridpatrol-console-") as folder, database_of(database, Path(folder)) as url:
        found = measure(url, number, rate, seconds, Path(folder))
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    sys.exit(0 if found.kept else 1)


if __name__ == "__main__":
    main()
