"""The roles of an installation, each a process of its own: started, asked, killed and started again by name.

Each logs to a file, listens on loopback and ends with the block. Brokers and database are given by their addresses.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.parts.forks import Forked

READY_S = 60.0
STOP_S = 60.0
"""How long a role may take to stop in order; with brokers away it tries for half a minute to say what it has."""
DUMP_S = 5.0
"""How long a process that hangs may take to write where its threads stand."""
ADDRESS = re.compile(r"url='?(https?://[^\s']+)")


class Role:
    """One process. Its name is its instance."""

    def __init__(
        self, name: str, role: str, environment: Mapping[str, str], folder: Path, *, forked: bool = True
    ) -> None:
        self.name, self.role, self.forked = name, role, forked
        self.environment = dict(environment) | {"GRIDPATROL_ROLE": role, "GRIDPATROL_INSTANCE": name}
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.url = ""
        self.starts = 0

    def start(self, **more: str) -> None:
        """Start it, or start it again; `more` is environment for this start only."""
        told = self.environment | {"GRIDPATROL_LISTEN": "127.0.0.1:0"} | more
        self.url, before = "", self.log.stat().st_size if self.log.exists() else 0
        if self.forked:
            self.process = Forked(["serve"], told, self.log)
        else:
            with self.log.open("ab") as out:
                command = [sys.executable, "-X", "faulthandler", "-m", "gridpatrol.cli", "serve"]
                self.process = subprocess.Popen(command, env=told, stdout=out, stderr=out, start_new_session=True)
        self.starts += 1
        self._from = before

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        """What it has logged since its last start."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    def address(self, within_s: float = READY_S) -> str:
        """Where it answers, as it logged it."""
        until = time.monotonic() + within_s
        while not self.url:
            found = ADDRESS.search(self.said())
            if found:
                self.url = found.group(1)
            elif not self.running or time.monotonic() > until:
                raise AssertionError(f"{self.name} told no address:\n{self.said()[-3000:]}")
            else:
                time.sleep(0.05)
        return self.url

    def get(self, path: str, timeout_s: float = 10) -> tuple[int, str]:
        """Status and body of a GET."""
        token = self.environment.get("GRIDPATROL_TOKEN", "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            asked = urllib.request.Request(f"{self.address()}{path}", headers=headers)
            with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def await_ready(self, within_s: float = READY_S) -> None:
        """Until it works."""
        until, last = time.monotonic() + within_s, ""
        while time.monotonic() < until:
            try:
                status, last = self.get("/readyz")
                if status == 200:
                    return
            except OSError as error:
                last = str(error)
            if not self.running:
                break
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is not ready: {last}\n{self.said()[-3000:]}")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop within {STOP_S} s:\n{self.stuck()[-6000:]}") from None

    def stuck(self) -> str:
        """What it has logged, and where each of its threads stands; it is gone then."""
        if self.process is not None:
            self.process.send_signal(signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(DUMP_S)
        self.kill()
        return self.said()


class Installation:
    """The roles of one installation."""

    def __init__(
        self,
        folder: Path,
        kafka: str,
        database: str,
        prefix: str = "",
        partitions: int = 8,
        of_role: Mapping[str, Mapping[str, object]] | None = None,
        forked: bool = True,
        **settings: object,
    ) -> None:
        """`settings` are everybody's, and those of commands; `of_role` has what is a role's own. Where a start is
        measured or under test, nothing is `forked`: each process begins with a new interpreter."""
        self.folder, self.of_role, self.forked = folder, of_role or {}, forked
        self.environment = (
            os.environ
            | {
                "GRIDPATROL_KAFKA": kafka,
                "GRIDPATROL_DATABASE": database,
                "GRIDPATROL_KAFKA_PREFIX": prefix,
                "GRIDPATROL_PARTITIONS": str(partitions),
                "GRIDPATROL_KAFKA_SESSION_MS": "3000",
                "PYTHONPATH": str(Path(__file__).parents[1]),
            }
            | _variables(settings)
        )
        self.roles: dict[str, Role] = {}
        self.token = self.environment.get("GRIDPATROL_TOKEN", "")

    def command(self, *words: str, check: bool = True, **settings: object) -> str:
        """A `gridpatrol` command with this installation's settings, and others over them; what it printed."""
        told = self.environment | _variables(settings)
        if not self.forked:
            whole = [sys.executable, "-m", "gridpatrol.cli", *words]
            done = subprocess.run(whole, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            status, said = done.returncode, done.stdout
        else:
            with TemporaryDirectory() as folder:
                output = Path(folder) / "said"
                status = Forked(words, told, output).wait()
                said = output.read_text(encoding="utf-8")
        if check and status:
            raise AssertionError(f"gridpatrol {' '.join(words)}: {said}")
        return said

    def set_up(self) -> None:
        """Tables and topics."""
        self.command("db", "upgrade")
        self.command("topic", "create")

    def start(self, *names: str, **more: str) -> None:
        """Start roles by name: `worker-1` is a worker. They are not waited for."""
        for name in names:
            kind = name.partition("-")[0]
            own = self.environment | _variables(self.of_role.get(kind, {}))
            role = self.roles.setdefault(name, Role(name, kind, own, self.folder, forked=self.forked))
            role.start(**more)

    def await_ready(self, *names: str) -> None:
        for name in names or tuple(self.roles):
            self.roles[name].await_ready()

    def __getitem__(self, name: str) -> Role:
        return self.roles[name]

    def publish(
        self, events: Sequence[Mapping[str, Any]] | Sequence[bytes], wait: int | None = None, gateway: str = "gateway-1"
    ) -> dict[str, Any]:
        """Publish a batch at a gateway's door; its answer."""
        raws = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        headers |= {"Prefer": f"wait={wait}; parked=0"} if wait else {}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        asked = urllib.request.Request(f"{self[gateway].address()}/v1/events", b"[" + b",".join(raws) + b"]", headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said: dict[str, Any] = json.loads(answer.read())
            return said

    def stop(self) -> None:
        """All roles, gateways first."""
        for role in sorted(self.roles.values(), key=lambda role: role.role != "gateway"):
            if role.running:
                role.stop()

    def kill(self) -> None:
        for role in self.roles.values():
            role.kill()


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"GRIDPATROL_{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def installation(folder: Path, kafka: str, database: str, **settings: Any) -> Iterator[Installation]:
    """An installation that is set up, with no role started yet; none is left when the block ends."""
    built = Installation(folder, kafka, database, **settings)
    try:
        built.set_up()
        yield built
    finally:
        built.kill()
