"""`make cluster`: the whole distributed run on one machine, from real parts and without Docker.

Apache Kafka, PostgreSQL, a gateway, two workers, the performance and the alerts role run as processes, and the people
of the sample city publish events. It prints where to look, and now and then a line of figures. The data stay in a
folder (`var/cluster`): Ctrl-C stops everything and the next start goes on. No process outlives this one, however it
ends.

GRIDPATROL_TEST_KAFKA and GRIDPATROL_TEST_POSTGRES name a broker and a server to use instead of its own.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from engine import logs
from engine.cluster import topics
from engine.errors import GridpatrolError, LogMismatch
from engine.lease import Lease
from engine.packs import folder_of
from engine.settings import Settings
from engine.store.database import Database, open_database
from gridpatrol.client import ServerAway
from gridpatrol.demo.traffic import Traffic
from gridpatrol.run.supervision import Child, supervise
from lab.figures import read_figures, read_lag
from lab.parts.kafka import BrokerFailed, kept_broker
from lab.parts.kafka_jars import KafkaUnavailable
from lab.parts.kept_postgres import database_of, kept_server
from lab.parts.postgres import PostgresUnavailable
from schemas.topics import Topics

ROLES = ("gateway-1", "worker-1", "worker-2", "performance-1", "alerts-1")
FIRST_PORT, LAST_PORT = 8420, 8520
READY_WITHIN_S = 120.0
LINE_EVERY_S = 10.0
SESSION_MS = 6000
"""A worker that is killed loses its partitions after so long: short enough to watch."""


class NotStarted(Exception):
    """Something did not start; the message says what to do."""


class Site(NamedTuple):
    """A running installation."""

    home: Path
    settings: Settings
    urls: dict[str, str]  # of each role, by its name

    @property
    def workers(self) -> list[str]:
        return [url for name, url in self.urls.items() if name.startswith("worker")]


def main() -> int:
    """Run until a signal. The exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.cluster", description="The distributed run on one machine.")
    parser.add_argument("--home", type=Path, default=Path("var/cluster"), help="where data and logs lie")
    parser.add_argument("--rate", type=float, default=4.0, help="events of the demo traffic per second; 0: none")
    parser.add_argument("--for", dest="seconds", type=float, help="stop by itself after so long")
    given = parser.parse_args()
    logs.configure("text", "WARNING")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        with alone_in(given.home):
            run(given.home, given.rate, given.seconds)
    except KeyboardInterrupt:
        pass
    except (NotStarted, GridpatrolError, KafkaUnavailable, BrokerFailed, PostgresUnavailable, OSError) as error:
        print(f"make cluster: {error}", file=sys.stderr)
        return 1
    say("已停止 Everything is stopped; the next start goes on from here.")
    return 0


def interrupt(*_: object) -> None:
    """The first signal ends what is under way; later ones cannot break the stopping."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.write(sys.stdout.fileno(), "\n正在停止 Stopping ...\n".encode())  # print may be what was interrupted
    raise KeyboardInterrupt


def say(text: str) -> None:
    """A line on the screen, at once."""
    print(text, flush=True)


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """One installation per folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotStarted(f"it runs already on {home}: stop that one with Ctrl-C, or use another --home") from error
        yield


# ---- starting -------------------------------------------------------------------------------------------------


def run(home: Path, rate: float, seconds: float | None) -> None:
    """Start the parts in their order, watch them, and stop them the other way round."""
    with ExitStack() as stack:
        url = stack.enter_context(started_postgres(home / "postgres"))
        kafka = stack.enter_context(started_kafka(home / "kafka"))
        database = open_database(url)
        stack.callback(database.close)
        settings = shared_settings(kafka, url)
        set_up(home, settings, database)
        site = stack.enter_context(started_roles(home, settings))
        stack.enter_context(demo_traffic(site, rate))
        say(welcome(site))
        watch(site, database, seconds)


@contextmanager
def started_postgres(home: Path) -> Iterator[str]:
    """The URL of the database."""
    say("1/4 PostgreSQL ...")
    with kept_server(home) as server:
        yield database_of(server, "gridpatrol_cluster")


@contextmanager
def started_kafka(home: Path) -> Iterator[str]:
    """Where the broker answers."""
    say("2/4 Apache Kafka ...")
    given = os.environ.get("GRIDPATROL_TEST_KAFKA")
    if given:
        yield given
        return
    with kept_broker(home) as broker:
        yield broker.bootstrap


def shared_settings(kafka: str, url: str) -> Settings:
    """What the roles share. On a broker of somebody else's, our topics have a name of their own."""
    prefix = os.environ.get("GRIDPATROL_KAFKA_PREFIX", "cluster." if os.environ.get("GRIDPATROL_TEST_KAFKA") else "")
    return Settings(
        role="gateway",
        kafka=kafka,
        kafka_prefix=prefix,
        kafka_session_ms=SESSION_MS,
        database=url,
        partitions=8,
        listen="127.0.0.1:0",
    )


def set_up(home: Path, settings: Settings, database: Database) -> None:
    """Tables and topics, as `gridpatrol db upgrade` and `gridpatrol topic create` make them."""
    say("3/4 表与主题 tables and topics ...")
    stands, wanted = database.revisions()
    if stands != wanted:
        with closing(Lease(database)):
            database.upgrade()
    try:
        topics.create(settings, database, None, [])
    except LogMismatch as error:
        raise NotStarted(f"{error}. To begin anew, without what was stored: rm -rf {home}") from error


@contextmanager
def started_roles(home: Path, settings: Settings) -> Iterator[Site]:
    """The roles, all of them ready. One that ends is started again."""
    say("4/4 五个进程 five processes: " + ", ".join(ROLES) + " ...")
    folder = home / "logs"
    folder.mkdir(exist_ok=True)
    ports = free_ports(len(ROLES))
    stop, outputs = threading.Event(), list[IO[bytes]]()
    children, urls = list[Child](), dict[str, str]()
    for name, port in zip(ROLES, ports, strict=True):
        outputs.append((folder / f"{name}.log").open("wb"))
        urls[name] = f"http://127.0.0.1:{port}"
        own = {"role": name.partition("-")[0], "instance": name, "listen": f"127.0.0.1:{port}"}
        children.append(Child(msgspec.structs.replace(settings, **own), outputs[-1]))
    keeping = threading.Thread(target=supervise, args=(children, stop), name="supervisor")
    keeping.start()
    site = Site(home, settings, urls)
    try:
        await_ready(site)
        yield site
    finally:
        stop.set()
        keeping.join()
        for output in outputs:
            output.close()


def free_ports(count: int) -> range:
    """So many ports in a row at which nobody listens, the usual ones first."""
    for first in range(FIRST_PORT, LAST_PORT, 10):
        if all(is_free(port) for port in range(first, first + count)):
            return range(first, first + count)
    raise NotStarted(f"no {count} ports in a row are free from {FIRST_PORT} to {LAST_PORT}: stop what listens there")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def await_ready(site: Site) -> None:
    """Until every role says that it works."""
    until = time.monotonic() + READY_WITHIN_S
    waiting = dict(site.urls)
    while waiting:
        waiting = {name: url for name, url in waiting.items() if not is_ready(url)}
        if waiting and time.monotonic() > until:
            name = next(iter(waiting))
            log = site.home / "logs" / f"{name}.log"
            last = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NotStarted(f"{name} is not ready after {READY_WITHIN_S:.0f} s; {log} ends with:\n" + "\n".join(last))
        time.sleep(0.2)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# ---- while it runs --------------------------------------------------------------------------------------------


@contextmanager
def demo_traffic(site: Site, rate: float) -> Iterator[None]:
    """The people of the sample city, speaking HTTP to the gateway. What they are told goes into a log of its own."""
    if rate <= 0:
        yield
        return
    heard = logging.FileHandler(site.home / "logs" / "traffic.log", "w", encoding="utf-8")
    logger = logging.getLogger("gridpatrol.demo")
    logger.addHandler(heard)
    logger.propagate = False
    stop = threading.Event()
    people = threading.Thread(target=live, args=(site, rate, stop), name="traffic")
    people.start()
    try:
        yield
    finally:
        stop.set()
        people.join()
        heard.close()


def live(site: Site, rate: float, stop: threading.Event) -> None:
    """Live in the city, whatever happens to its gateway."""
    while not stop.is_set():
        seed = int(time.monotonic())
        traffic = Traffic(site.urls["gateway-1"], folder_of(site.settings.pack), seed, now=time.time, rate=rate)
        try:
            traffic.run(stop)
        except ServerAway as error:
            logging.getLogger("gridpatrol.demo").warning("nobody answers: %s", error)


def welcome(site: Site) -> str:
    """Where to look."""
    door, names = site.urls["gateway-1"], Topics(site.settings.kafka_prefix)
    read = f"  .venv/bin/python -m lab.read_topic {{}} --kafka {site.settings.kafka}"
    told = [names.inbox, names.facts, names.alerts, names.deadletter, names.performance]
    return "\n".join(
        [
            "",
            f"示范城市已运行 The sample city is alive at {door} (Ctrl-C stops it all; the next start goes on).",
            "",
            "主管查看 For supervisors",
            f"  {door}/v1/incidents?overdue=true   超期事件 what is late, and with whom",
            f"  {door}/v1/alerts/stream            实时告警 alerts as they are told",
            f"  {door}/v1/performance?by=grid      本月指标 figures of this month",
            "",
            "运维查看 For operators",
            *(f"  {url}/metrics   {name}" for name, url in site.urls.items()),
            f"  {site.home}/logs/                  a log per process",
            "",
            f"主题 Topics at {site.settings.kafka}",
            *(f"  {name}" for name in told),
            "To read one, the last messages and then what comes:",
            read.format(names.alerts),
            "",
            "Kill one of the five; its work goes on, and it comes back:",
            "  kill -9 $(pgrep -f 'gridpatrol.run.child worker-1')",
            "",
        ]
    )


def watch(site: Site, database: Database, seconds: float | None) -> None:
    """A line now and then, until interrupted."""
    began = time.monotonic()
    before, then = read_figures(database), began
    while seconds is None or time.monotonic() - began < seconds:
        time.sleep(LINE_EVERY_S if seconds is None else min(LINE_EVERY_S, seconds))
        figures, now = read_figures(database), time.monotonic()
        per_s = (figures.events - before.events) / (now - then)
        say(f"{time.strftime('%H:%M:%S')} {figures.line(read_lag(site.workers), per_s)}")
        before, then = figures, now


if __name__ == "__main__":
    sys.exit(main())
