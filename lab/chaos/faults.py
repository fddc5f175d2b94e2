"""An installation to break: brokers, PostgreSQL and roles of its own, wires between them, and every way to break them.

A fault returns the function that undoes it. `supervise` starts again what ended by itself. Workers reach PostgreSQL
over a proxy each and, where there is one broker, the broker too: it advertises an address of its own for each of them.
"""

from __future__ import annotations

import shutil
import signal
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from engine.packs import folder_of
from engine.principals import digest_of, new_token
from lab.installation import ADDRESS, STOP_S, Installation, Role
from lab.parts import kafka, postgres
from lab.parts.processes import stat
from lab.parts.proxy import Proxy

SESSION_S = 3.0
"""How long a worker may be silent before it loses its partitions."""
POINTS = {
    "gateway": ("append.before_commit", "append.after_commit"),
    "worker": (
        "append.before_commit",
        "append.after_commit",
        "slice.after_lock",
        "slice.after_read",
        "slice.before_write",
        "slice.before_commit",
        "slice.after_commit",
        "relay.before_send",
        "relay.before_mark",
    ),
    "alerts": ("alerts.before_commit", "alerts.after_commit", "alerts.before_publish", "alerts.after_publish"),
    "performance": ("fold.before_commit", "fold.after_commit", "figures.before_flush", "figures.after_flush"),
}
"""Which failpoints a role passes."""
SYSTEM = "city-hotline"
DAILY_S = 20.0
"""How long after an installation begins to be set up its daily notices may be told: while it is being broken."""
AGAIN_S = 0.5
"""How long a role that ended by itself stays away. The performance role ends on purpose when the database or Faust
fails, since it can then no longer trust its memory."""


class ChaosInstallation:
    """Everything that can be broken. `count` says how often each fault has happened."""

    def __init__(
        self,
        installation: Installation,
        brokers: list[kafka.Broker],
        server: postgres.Server,
        wires: dict[str, Proxy],
        token: str,
    ) -> None:
        self.installation, self.brokers, self.server, self.wires, self.token = (
            installation,
            brokers,
            server,
            wires,
            token,
        )
        self.count: Counter[str] = Counter()
        self.ended: list[str] = []  # roles that ended by themselves, and how
        self.began_s = time.monotonic()
        self._back: dict[str, float] = {}  # roles that are down on purpose, and when they come back
        self._armed: dict[str, str] = {}  # roles that will die at a failpoint
        self._points: dict[str, str] = {}  # where they are to die when they are back
        self._patience: dict[str, float] = {}  # until when what was asked to stop may take
        self._wanted: set[str] = set()

    @property
    def partitions(self) -> int:
        """Of the inbox, and of the facts."""
        return int(self.installation.environment["GRIDPATROL_PARTITIONS"])

    # ---- what runs ------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start roles, and keep them running."""
        self._wanted |= set(names)
        for name in names:
            self._start(name)

    def _start(self, name: str, point: str = "") -> None:
        if name not in self.installation.roles:
            role = name.partition("-")[0]
            self.installation.roles[name] = Role(name, role, self._environment(name), self.installation.folder)
        self.installation[name].start(**({"GRIDPATROL_FAILPOINT": point} if point else {}))
        self._armed.pop(name, None)
        if point:
            self._armed[name] = point

    def _environment(self, name: str) -> dict[str, str]:
        """A worker's wires."""
        told = dict(self.installation.environment)
        if wire := self.wires.get(f"database {name}"):
            told["GRIDPATROL_DATABASE"] = self.server.over_tcp(told["GRIDPATROL_DATABASE"], wire.port)
        if wire := self.wires.get(f"kafka {name}"):
            told["GRIDPATROL_KAFKA"] = wire.address
        return told

    def of(self, role: str) -> list[str]:
        """Names of the roles of a kind that should run."""
        return sorted(name for name in self._wanted if name.partition("-")[0] == role)

    def running(self, role: str) -> list[str]:
        """Those of them that do."""
        return [name for name in self.of(role) if self.installation[name].running and name not in self._back]

    def doors(self) -> list[str]:
        """Addresses of gateways that have told theirs."""
        addresses = []
        for name in self.running("gateway"):
            role = self.installation[name]
            try:
                addresses.append(role.url or role.address(0.05))
            except AssertionError:
                addresses.append("http://127.0.0.1:9")  # it has not told its own yet; nothing listens there
        return addresses

    def armed(self, name: str) -> bool:
        """Whether it is still to die, or to stop, at a failpoint; also while it is on its way there."""
        return name in self._armed or bool(self._points.get(name))

    def supervise(self) -> None:
        """Start what should run and does not; note what ended by itself."""
        now = time.monotonic()
        for name in sorted(self._wanted):
            if self.installation[name].running:
                if now > self._patience.get(name, now):
                    said = self.installation[name].stuck()[-6000:]
                    raise AssertionError(f"{name} did not stop within {STOP_S:.0f} s:\n{said}")
            elif name not in self._back:
                self._ended(name)
            elif now >= self._back[name]:
                del self._back[name]
                self._patience.pop(name, None)
                self._start(name, self._points.pop(name, ""))

    def disarm(self) -> None:
        """Start again, without it, what would still die at a failpoint."""
        self._points.clear()
        for name in list(self._armed):
            self.restart(name)

    def stop(self) -> None:
        """Stop every role in order; one that cannot be stopped fails."""
        self._wanted.clear()
        self.installation.stop()

    def _ended(self, name: str) -> None:
        role, process = self.installation[name], self.installation[name].process
        assert process is not None
        point, kind = self._armed.pop(name, ""), name.partition("-")[0]
        if point and process.returncode == -signal.SIGKILL:
            self._say(f"killed {kind} at {point.partition(':')[0]}", name)
        elif not ADDRESS.search(role.said()):
            self._say(f"{kind} could not start yet", f"{name} {process.returncode}")
        elif kind == "performance":
            self._say(f"{kind} ended to be started afresh", f"{name} {process.returncode}")
        else:
            last = (role.said().strip().splitlines() or ["without a word"])[-1]
            self.ended.append(f"{name} ended with {process.returncode} after {now_s(self):.0f} s: {last[:300]}")
            self._say(f"{kind} ended by itself", f"{name} {process.returncode}")
        self._back[name] = time.monotonic() + AGAIN_S

    def _say(self, what: str, detail: str = "") -> None:
        self.count[what] += 1
        with (self.installation.folder / "faults.log").open("a") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {now_s(self):6.1f} {what} {detail}\n")

    # ---- roles ----------------------------------------------------------------------------------------------

    def kill(self, name: str, pause_s: float = 0.0, point: str = "") -> None:
        """kill -9; it comes back after a pause, perhaps to die at a failpoint."""
        self.installation[name].kill()
        self._comes_back(name, pause_s, point)
        self._say(f"kill -9 {name.partition('-')[0]}", name)

    def arm(self, name: str, point: str) -> None:
        """Stop it in order; it comes back to die at a failpoint, e.g. `slice.before_commit:kill@3`."""
        self.restart(name, point=point)

    def restart(self, name: str, pause_s: float = 0.0, point: str = "") -> None:
        """SIGTERM, which is not waited for; it comes back after a pause."""
        process = self.installation[name].process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        self._patience[name] = time.monotonic() + STOP_S
        self._comes_back(name, pause_s, point)
        self._say(f"SIGTERM {name.partition('-')[0]}", name)

    def _comes_back(self, name: str, pause_s: float, point: str) -> None:
        self._armed.pop(name, None)
        self._back[name], self._points[name] = time.monotonic() + pause_s, point

    def leave(self, name: str, kill: bool = False) -> None:
        """Stop it, in order or not, for good; it is not waited for."""
        process = self.installation[name].process
        assert process is not None
        self._wanted.discard(name)
        self._back.pop(name, None)
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self._say(f"{name.partition('-')[0]} leaves{' by kill -9' if kill else ''}", name)

    def join(self, name: str) -> None:
        """One more."""
        self.start(name)
        self._say(f"{name.partition('-')[0]} joins", name)

    def freeze(self, name: str) -> Callable[[], None]:
        """SIGSTOP. Undone by SIGCONT: if it took longer than its session, a zombie wakes."""
        process = self.installation[name].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        self._say(f"SIGSTOP {name.partition('-')[0]}", name)
        return self.thaw(name)

    def thaw(self, name: str) -> Callable[[], None]:
        """SIGCONT, for later."""
        process = self.installation[name].process
        assert process is not None
        return lambda: process.send_signal(signal.SIGCONT) if process.poll() is None else None

    def stopped(self, name: str) -> bool:
        """Whether it has stopped at a failpoint: for this it was armed, and now it is a zombie until it is thawed."""
        process = self.installation[name].process
        if process is None or stat(process.pid)[:1] != ["T"]:
            return False
        self._say(f"stopped {name.partition('-')[0]} at {self._armed.pop(name, '').partition(':')[0]}", name)
        return True

    # ---- servers and wires ----------------------------------------------------------------------------------

    def kill_broker(self, number: int) -> Callable[[], None]:
        """kill -9 of a broker. Undone by a start on what it had stored, which is not waited for."""
        broker = self.brokers[number]
        broker.kill()
        self._say("kill -9 broker", str(number + 1))
        return broker.launch

    def kill_database(self) -> Callable[[], None]:
        """kill -9 of PostgreSQL with all its backends. Undone by a start on what it had written."""
        self.server.kill()
        self._say("kill -9 PostgreSQL")
        return self.server.start

    def in_sync(self) -> bool:
        """Whether every broker has every record."""
        try:
            client = KafkaAdminClient(
                **self.brokers[0].client()
                | {"bootstrap_servers": self.installation.environment["GRIDPATROL_KAFKA"].split(",")}
            )
        except KafkaError:
            return False
        try:
            found = client.describe_topics()
            return all(len(p["isr_nodes"]) == len(self.brokers) for topic in found for p in topic["partitions"])
        except KafkaError:
            return False  # it may have asked the one that is not up yet
        finally:
            client.close()

    def cut(self, what: str, name: str, how: str) -> Callable[[], None]:
        """`cut` or `stall` the wire between a worker and `database` or `kafka`."""
        wire = self.wires[f"{what} {name}"]
        wire.stall() if how == "stall" else wire.cut()
        self._say(f"{how} {name.partition('-')[0]}/{what}", name)
        return wire.open


def now_s(place: ChaosInstallation) -> float:
    """Seconds since the installation was made."""
    return time.monotonic() - place.began_s


@contextmanager
def chaos_installation(
    folder: Path, *, brokers: int = 1, workers: int = 3, partitions: int = 8
) -> Iterator[ChaosInstallation]:
    """An installation with everything of its own, set up, no role started; up to so many workers have wires."""
    names = [f"worker-{number}" for number in range(1, workers + 1)]
    with ExitStack() as stack:
        port, *more = kafka.free_ports(1 + len(names) * 3 + 2)
        server = stack.enter_context(postgres.own_server(port))
        url = stack.enter_context(postgres.fresh_database(server.url))
        wires = {f"database {name}": _wire(stack, more.pop(), f"127.0.0.1:{port}") for name in names}
        if brokers == 1:
            bases, inner = [more.pop(), more.pop()], {name: (more.pop(), more.pop()) for name in names}
            broker = stack.enter_context(kafka.running_broker(_listening(bases, inner)))
            every = [broker]
            wires |= {f"kafka {n}": _wire(stack, far, f"127.0.0.1:{near}") for n, (near, far) in inner.items()}
        else:
            every = stack.enter_context(kafka.running_cluster(brokers)).brokers
        token = new_token()
        said = folder / "principals.toml"
        said.write_text(f"""
[principal.phones]
actors = ["*"]
reads = true
operator = true
tokens = ["{digest_of(token)}"]
[principal.{SYSTEM}]
actors = ["WY-12345"]
""")
        said.chmod(0o600)
        pack_without_quiet_hours(folder / "pack", daily_s=DAILY_S)
        bootstrap = ",".join(broker.bootstrap for broker in every)
        installation = Installation(
            folder,
            bootstrap,
            url,
            partitions=partitions,
            principals=said,
            pack=folder / "pack",
            kafka_session_ms=int(SESSION_S * 1000),
        )
        installation.set_up()
        stack.callback(installation.kill)
        yield ChaosInstallation(installation, every, server, wires, token)


def pack_without_quiet_hours(folder: Path, daily_s: float | None = None) -> None:
    """Copy the sample pack, but for its quiet hours: a run at night shall tell what it tells by day. With `daily_s` the
    hour of its daily notices is the first full minute that lies so many seconds ahead."""
    shutil.copytree(folder_of("weiyang"), folder)
    pack = folder / "pack.toml"
    lines = [line for line in pack.read_text(encoding="utf-8").splitlines() if not line.startswith("quiet")]
    if daily_s is not None:
        zone = ZoneInfo(tomllib.loads("\n".join(lines))["zone"])
        hour = datetime.now(zone) + timedelta(seconds=daily_s, minutes=1)
        lines = [f'daily_notices = "{hour:%H:%M}"' if line.startswith("daily_notices") else line for line in lines]
    pack.write_text("\n".join(lines), encoding="utf-8")


def _wire(stack: ExitStack, port: int, target: str) -> Proxy:
    proxy = Proxy(port, target)
    stack.callback(proxy.close)
    return proxy


def _listening(bases: list[int], inner: dict[str, tuple[int, int]]) -> dict[str, str]:
    """One listener for everybody, and one for each worker, which is advertised at the far end of its wire."""
    client, controller = bases
    far = {name.upper().replace("-", ""): ports for name, ports in inner.items()}
    return {
        "listeners": ",".join(
            [f"CLIENT://127.0.0.1:{client}", f"CONTROLLER://127.0.0.1:{controller}"]
            + [f"{name}://127.0.0.1:{near}" for name, (near, _) in far.items()]
        ),
        "advertised.listeners": ",".join(
            [f"CLIENT://127.0.0.1:{client}"] + [f"{name}://127.0.0.1:{port}" for name, (_, port) in far.items()]
        ),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("CLIENT", "CONTROLLER", *far)),
    }
