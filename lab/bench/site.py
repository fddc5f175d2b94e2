"""One machine with everything on it: broker, PostgreSQL, roles; what each of them spends, and when something is done.

Enters: nothing. Leaves: installations on one inbox and on copies of one database; counts asked for again and again;
CPU seconds by part, from /proc.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy.engine import URL

from gridpatrol import cpu
from gridpatrol.run.wiring import read_pack
from lab.installation import Installation, Role
from lab.parts import kafka, kafka_jars, postgres
from schemas.topics import Topics
from workflows.policy import model
from workflows.policy.index import Policy

PARTITIONS = 32
LOOK_S = 0.02
WAIT_S = 300.0
POSITIONS = "SELECT sum(position) FROM partitions"
STEPS = "SELECT sum(n) FROM partitions"

Ask = Callable[[], int]


class Spent(NamedTuple):
    """What a stretch took: so many events or steps, seconds, CPU seconds by part."""

    number: int
    seconds: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        return self.number / self.seconds

    def ms(self, number: float | None = None) -> dict[str, float]:
        """CPU ms per event, by part."""
        return {part: round(1000 * seconds / (number or self.number), 4) for part, seconds in self.cpu.items()}


class Site:
    """The machine. `installations` are the installations on it."""

    def __init__(self, folder: Path, server: URL, bootstrap: str, broker: int | None) -> None:
        self.folder, self.server, self.kafka = folder, server, bootstrap
        self.prefix = f"bench-{os.getpid()}."
        self.inbox, self.facts = Topics(self.prefix).inbox, Topics(self.prefix).facts
        self.installations: list[Installation] = []
        pack = read_pack("weiyang")
        self.policy = Policy(pack, model.digest(pack))
        self.seeds = count(1)
        self._broker = broker
        self._asked: list[psycopg.Connection] = []
        self._admin = psycopg.connect(plain(server.render_as_string(hide_password=False)), autocommit=True)

    def close(self) -> None:
        """End every role and connection."""
        for installation in self.installations:
            installation.kill()
        for connection in (*self._asked, self._admin):
            connection.close()

    # ---- installations ----------------------------------------------------------------------------------------

    def installation(self, name: str, copied: Installation | None = None) -> Installation:
        """An installation on the inbox, with a database of its own: an empty one, or a copy of another one's."""
        database = f"{re.sub('[^a-z0-9]', '_', self.prefix)}{name}"
        template = self._database(copied) if copied else "template0 ENCODING 'UTF8'"
        self._admin.execute(f"CREATE DATABASE {database} TEMPLATE {template}")
        url = self.server.set(database=database).render_as_string(hide_password=False)
        folder = self.folder / name
        folder.mkdir()
        installation = Installation(folder, self.kafka, url, self.prefix, PARTITIONS, forked=False)
        self.installations.append(installation)
        return installation

    def drop(self, installation: Installation) -> None:
        """Remove an installation's database."""
        self._admin.execute(f"DROP DATABASE {self._database(installation)} WITH (FORCE)")

    def _database(self, installation: Installation) -> str:
        return url_of(installation).partition("?")[0].rpartition("/")[2]

    # ---- asking -----------------------------------------------------------------------------------------------

    def asker(self, installation: Installation, sql: str) -> Ask:
        """A question that has a number for an answer."""
        connection = psycopg.connect(plain(url_of(installation)), autocommit=True)
        self._asked.append(connection)

        def ask() -> int:
            row = connection.execute(sql).fetchone()
            return int(row[0] or 0) if row else 0

        return ask

    def end(self) -> int:
        """Records of the inbox."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka)
        try:
            return sum(consumer.end_offsets([TopicPartition(self.inbox, p) for p in range(PARTITIONS)]).values())
        finally:
            consumer.close()

    # ---- measuring --------------------------------------------------------------------------------------------

    def cpu(self, installation: Installation, names: tuple[str, ...]) -> dict[str, float]:
        """CPU seconds so far, by part. A part that runs elsewhere is left out."""
        found = {name: cpu.of(process.pid) for name in names if (process := installation[name].process) is not None}
        found["postgresql"] = cpu.of_server(self._admin.info.backend_pid)
        found["broker"] = cpu.of(self._broker) if self._broker is not None else None
        return {name: seconds for name, seconds in found.items() if seconds is not None}

    def measured(self, installation: Installation, names: tuple[str, ...], work: Callable[[], int]) -> Spent:
        """What it takes until `work` is done, which says how much that was."""
        before, began = self.cpu(installation, names), time.perf_counter()
        number = work()
        took, after = time.perf_counter() - began, self.cpu(installation, names)
        return Spent(number, took, {part: after[part] - before[part] for part in before})

    def span(
        self,
        installation: Installation,
        names: tuple[str, ...],
        ask: Ask,
        first: int,
        last: int,
        left: Ask | None = None,
    ) -> Spent:
        """From a first reading of a count to its last one; the CPU time until nothing is `left` beside it."""
        begun = until(lambda: (now := ask()) >= first and now, f"{', '.join(names)} to begin")
        began, before = time.perf_counter(), self.cpu(installation, names)
        ended = until(lambda: (now := ask()) >= last and now, f"{', '.join(names)} to get to {last}")
        took = time.perf_counter() - began
        until(lambda: left is None or left() == 0, f"{', '.join(names)} to finish")
        after = self.cpu(installation, names)
        return Spent(ended - begun, took, {part: after[part] - before[part] for part in before})

    # ---- what it is -------------------------------------------------------------------------------------------

    def machine(self) -> str:
        """The machine and what runs on it."""
        java = kafka_jars.java_version(kafka_jars.find_parts().java) if self._broker is not None else 0
        server = self._admin.execute("SHOW server_version").fetchone()
        return (
            f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
            f"PostgreSQL {server[0] if server else '?'}, Apache Kafka {f'on Java {java}' if java else 'elsewhere'}"
        )

    def notes(self) -> list[str]:
        """What has to be known to read the figures."""
        return [
            "Broker, database, roles and load share this machine's cores: on machines of their own each gets more.",
            *([] if self._broker is None else ["The broker is one node, without replication."]),
            *(
                []
                if os.environ.get("GRIDPATROL_TEST_POSTGRES")
                else ["PostgreSQL is the tests' own server: it does not flush to disk (fsync=off)."]
            ),
            "Latencies count from the instant at which an event was meant to be sent, whenever it could be sent.",
        ]


@contextmanager
def running_site() -> Iterator[Site]:
    """A machine with broker and database running; nothing is left of it when the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridpatrol-bench-")))
        server = stack.enter_context(postgres.running_server())
        given = os.environ.get("GRIDPATROL_TEST_KAFKA")
        broker = None if given else stack.enter_context(kafka.running_broker())
        site = Site(folder, server, broker.bootstrap if broker else given or "", broker.pid if broker else None)
        stack.callback(site.close)
        yield site


def until(question: Callable[[], Any], what: str, within_s: float = WAIT_S) -> Any:
    """The first answer that is true."""
    give_up = time.monotonic() + within_s
    while not (answer := question()):
        if time.monotonic() > give_up:
            raise RuntimeError(f"waited {within_s:.0f} s in vain for {what}")
        time.sleep(LOOK_S)
    return answer


def partitions_of(role: Role) -> list[str]:
    """Which partitions a worker decides, as it tells Prometheus."""
    try:
        said = role.get("/metrics")[1]
    except OSError:
        return []  # asked again
    return re.findall(r'^gridpatrol_inbox_lag_records\{partition="(\d+)"\}', said, re.MULTILINE)


def url_of(installation: Installation) -> str:
    """An installation's database."""
    return installation.environment["GRIDPATROL_DATABASE"]


def plain(url: str) -> str:
    """A database's URL without SQLAlchemy's word for the driver."""
    return url.replace("postgresql+psycopg", "postgresql")
