"""A real Apache Kafka for the tests: one broker or several, plain or with TLS, passwords and access lists.

`GRIDPATROL_TEST_KAFKA` names the bootstrap servers of a broker where tests may create topics; without it, a broker is
run from what kafka_jars.py finds or fetches. A `Broker` can be killed and started again on the same data and port. It
is a KRaft node, broker and controller in one, on loopback and in a temporary folder; it takes 2 seconds to start and
280 MB. It dies with the process that started it, however that ends: a shell waits at the other end of a pipe for this
process to go, then kills the broker and removes the folder.
"""

from __future__ import annotations

import base64
import os
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from lab.parts.certificates import Certificate, make_certificate
from lab.parts.kafka_jars import KafkaUnavailable, Parts, find_parts

ADMIN = "admin"
START_WITHIN_S = 60
STOP_WITHIN_S = 30
ANSWER_WITHIN_MS = 10_000
# Below the ports that systems lend to outgoing connections: a client that calls a dead broker again and again
# could otherwise be lent the broker's own port, and then the broker could not come back.
PORTS = range(20_000, 32_000)
# Twice as fast to start as the defaults, which are made for servers that run for months.
VIRTUAL_MACHINE = ("-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xlog:disable")
DIES_WITH_US = 'read -r _; kill -9 "$0"; rm -rf "$1"'
BROKER = "gridpatrol-test-broker"


class BrokerFailed(Exception):
    """A broker did not start or did not answer in time; what it said is in the message."""


class Broker:
    """One broker: `bootstrap` is its address, `home` its folder, `users` its passwords, `ca` who signed for it.

    `properties` and `environment` count from the next start on.
    """

    def __init__(self, node: int, home: Path, properties: dict[str, str], environment: dict[str, str]) -> None:
        self.node = node
        self.home = home
        self.properties = properties
        self.environment = environment
        self.bootstrap = properties["listeners"].partition("://")[2].partition(",")[0]
        self.users: dict[str, str] = {}
        self.ca: Path | None = None
        self.log = home / f"broker-{node}.log"
        self.kept = False  # whether the folder stays when the process that started it dies
        self.records_classes = (
            False  # the first broker on a machine writes the classes that it loads, for others to map
        )
        self._parts = find_parts()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process is not None, "the broker does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it, on what it has stored; back as soon as it answers."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Start it and do not wait."""
        assert self._process is None, "the broker runs already"
        command = [*java_command(self._parts), "kafka.Kafka", str(self._write_properties())]
        self.records_classes = not self._parts.archive.exists() and os.access(self._parts.archive.parent, os.W_OK)
        if self.records_classes:
            command[1:1] = [f"-XX:ArchiveClassesAtExit={self.home / 'classes.jsa'}"]
        with self.log.open("ab") as output:
            # A session of its own: Ctrl-C is for the tests, which then stop it in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.home,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        watch = ["sh", "-c", DIES_WITH_US, str(self._process.pid), "" if self.kept else str(self.home.parent)]
        self._watch = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)

    def await_answer(self) -> None:
        """Wait until it answers and is a member of its cluster, or raise BrokerFailed."""
        assert self._process is not None, "the broker does not run"
        give_up = time.monotonic() + START_WITHIN_S
        # The port first: a client that finds it closed would wait longer from call to call, up to 30 seconds.
        while not (accepts(self.bootstrap) and self.node in self._members()):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise BrokerFailed(f"broker {self.node} did not start: {self.log.read_text()[-4000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait until it has; nothing where it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()
        # Its class archive is kept for the next broker, which starts faster with it.
        written, archive = self.home / "classes.jsa", self._parts.archive
        if written.exists() and not archive.exists():
            part = archive.with_suffix(f".{os.getpid()}.part")
            shutil.copyfile(written, part)
            part.replace(archive)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL); nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """The settings of a kafka-python client that speaks to it, on a secured broker as `user`."""
        return client_settings(self.bootstrap, self.ca, user, self.users.get(user, ""))

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._watch is not None and self._watch.stdin is not None:  # else a signal came before it was started
            # First the watch, so that it never meets another process under this id.
            self._watch.kill()
            self._watch.wait()
            self._watch.stdin.close()
        self._process = self._watch = None

    def _members(self) -> set[int]:
        try:
            client = KafkaAdminClient(**self.client(), bootstrap_timeout_ms=ANSWER_WITHIN_MS)
        except KafkaError:
            return set()
        try:
            brokers = client.describe_cluster()["brokers"]
            return {broker["broker_id"] for broker in brokers if not broker["is_fenced"]}
        except KafkaError:
            return set()
        finally:
            client.close()

    def _write_properties(self) -> Path:
        path = self.home / f"broker-{self.node}.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in self.properties.items()), encoding="ascii")
        return path

    def _format(self) -> None:
        """Make the storage: features of this version, and the users. Without users it is the same for all brokers of
        these jars but for their ids: the tool of Kafka, which takes a second of CPU, makes the first one."""
        data = Path(self.properties["log.dirs"])
        made = self._parts.archive.with_suffix(".checkpoint")
        if not self.users and made.exists():
            data.mkdir()
            shutil.copyfile(made, data / "bootstrap.checkpoint")
            ids = {"version": 1, "cluster.id": self.home.name, "node.id": self.node, "directory.id": _cluster_id()}
            (data / "meta.properties").write_text("".join(f"{name}={value}\n" for name, value in ids.items()))
            return
        command = [*java_command(self._parts), "kafka.tools.StorageTool", "format"]
        command += ["--config", str(self._write_properties()), f"--cluster-id={self.home.name}"]
        for name, password in self.users.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.home)
        if done.returncode:
            raise BrokerFailed(f"broker {self.node} cannot be formatted: {done.stdout}{done.stderr}")
        if not self.users and os.access(made.parent, os.W_OK):
            part = made.with_suffix(f".{os.getpid()}.part")
            shutil.copyfile(data / "bootstrap.checkpoint", part)
            part.replace(made)


class Cluster:
    """Several brokers as one cluster: whatever they acknowledged is on at least two of three."""

    def __init__(self, brokers: list[Broker]) -> None:
        self.brokers = brokers
        self.bootstrap = ",".join(broker.bootstrap for broker in brokers)

    def client(self, user: str = ADMIN) -> dict[str, Any]:
        """The settings of a kafka-python client that speaks to all of them."""
        return self.brokers[0].client(user) | {"bootstrap_servers": self.bootstrap}


@contextmanager
def running_server() -> Iterator[str]:
    """Yield the bootstrap servers of a broker that lives until the block ends, or raise KafkaUnavailable."""
    given = os.environ.get("GRIDPATROL_TEST_KAFKA")
    if given:
        _require_answer(given)
        yield given
        return
    with running_broker() as broker:
        yield broker.bootstrap


@contextmanager
def fresh_prefix(bootstrap: str) -> Iterator[str]:
    """Yield a beginning for the names of topics that no other test has; its topics go when the block ends."""
    prefix = f"t-{uuid.uuid4().hex[:8]}."
    yield prefix
    client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=ANSWER_WITHIN_MS)
    try:
        client.delete_topics([topic for topic in client.list_topics() if topic.startswith(prefix)])
    finally:
        client.close()


@contextmanager
def running_broker(
    properties: Mapping[str, str] | None = None,
    *,
    users: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Broker]:
    """Yield a broker that lives until the block ends.

    `properties` are laid over those of a test broker, `environment` over this process's own. With `users`
    (names and passwords, may be empty) it speaks TLS and SCRAM-SHA-512 only and lets nobody do anything that an
    access list does not allow, except the user `admin`, whose password is made up. Raises KafkaUnavailable
    where no broker can be run, BrokerFailed where this one does not start.
    """
    with _running(1, properties or {}, users, environment or {}) as brokers:
        yield brokers[0]
        if brokers[0].records_classes:
            brokers[0].stop()  # only an orderly end writes them


@contextmanager
def running_cluster(
    count: int = 3,
    properties: Mapping[str, str] | None = None,
    *,
    users: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Yield `count` brokers as one cluster, every topic on all of them, two enough to acknowledge a record.

    A broker's death is noticed after a second. Everything else is as for one broker.
    """
    with _running(count, properties or {}, users, environment or {}) as brokers:
        yield Cluster(brokers)


@contextmanager
def kept_broker(top: Path) -> Iterator[Broker]:
    """Yield a broker whose data stay in a folder, for the next start; it is stopped when the block ends.

    Its port is another one each time. Otherwise like `running_broker`.
    """
    top = top.resolve()
    top.mkdir(parents=True, exist_ok=True)
    home = next((found for found in top.iterdir() if found.is_dir()), top / _cluster_id())
    home.mkdir(exist_ok=True)
    properties = _cluster_properties(1) | _node_properties(1, home, free_ports(2), False)
    broker = Broker(1, home, properties, {})
    broker.kept = True
    if not (home / "data-1" / "meta.properties").exists():
        broker._format()
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def client_settings(bootstrap: str, ca: Path | None, user: str, password: str) -> dict[str, Any]:
    """The settings of a kafka-python client: plain without `ca`, else TLS and SCRAM-SHA-512."""
    if ca is None:
        return {"bootstrap_servers": bootstrap}
    return {
        "bootstrap_servers": bootstrap,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(ca),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }


@contextmanager
def _running(
    count: int, properties: Mapping[str, str], users: Mapping[str, str] | None, environment: Mapping[str, str]
) -> Iterator[list[Broker]]:
    top = Path(tempfile.mkdtemp(prefix="gridpatrol-kafka-")).resolve()
    home = top / _cluster_id()
    home.mkdir()
    brokers: list[Broker] = []
    try:
        ports = free_ports(2 * count)
        own = _cluster_properties(count)
        secured = None if users is None else {ADMIN: secrets.token_hex(16), **users}
        certificate = None if secured is None else make_certificate(home, BROKER)
        if secured is not None and certificate is not None:
            own |= _secured_properties(certificate, secured[ADMIN])
        for node in range(1, count + 1):
            listed = own | _node_properties(node, home, ports, certificate is not None) | dict(properties)
            broker = Broker(node, home, listed, dict(environment))
            broker.users, broker.ca = secured or {}, None if certificate is None else certificate.ca
            broker._format()
            brokers.append(broker)
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            broker.await_answer()
        yield brokers
    finally:
        # Killed, not stopped: what they stored goes with the folder.
        for broker in brokers:
            broker.kill()
        shutil.rmtree(top, ignore_errors=True)


def _cluster_id() -> str:
    """The name of a cluster's folder is its id, which Kafka wants as 16 bytes in base64; no file name begins with -."""
    return base64.urlsafe_b64encode(b"g" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def _cluster_properties(count: int) -> dict[str, str]:
    copies, enough = str(count), str(min(count, 2))
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        # A mistyped topic shall be an error, not a topic.
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        "default.replication.factor": copies,
        "min.insync.replicas": enough,
        "offsets.topic.num.partitions": "2",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": "2",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": enough,
        # With 0 a client that joins before it knows the topic may stay without partitions.
        "group.initial.rebalance.delay.ms": "500",
        # A dead member and a dead broker are noticed in the time of a test.
        "group.min.session.timeout.ms": "500",
        "broker.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "200",
        "controller.quorum.election.timeout.ms": "500",
        "controller.quorum.fetch.timeout.ms": "1000",
    }


def _node_properties(node: int, home: Path, ports: list[int], secured: bool) -> dict[str, str]:
    """`ports` are pairs, one for each node: the clients' and the controllers'."""
    voters = [f"{number}@127.0.0.1:{port}" for number, port in enumerate(ports[1::2], start=1)]
    client, controller = ports[2 * node - 2 : 2 * node]
    return {
        "node.id": str(node),
        "log.dirs": str(home / f"data-{node}"),
        "controller.quorum.voters": ",".join(voters),
        "listeners": f"CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": (
            "CLIENT:SASL_SSL,CONTROLLER:SSL" if secured else "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
    }


def _secured_properties(certificate: Certificate, password: str) -> dict[str, str]:
    """Clients show a password, brokers to each other as well; controllers show the broker's certificate."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificate.chain_and_key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificate.ca),
        "listener.name.controller.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": f'{login} username="{ADMIN}" password="{password}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:CN={BROKER}",
    }


def java_command(parts: Parts) -> list[str]:
    """The beginning of a command that runs a class of Kafka."""
    mapped = [f"-XX:SharedArchiveFile={parts.archive}"] if parts.archive.exists() else []
    return [str(parts.java), *VIRTUAL_MACHINE, *mapped, "-cp", parts.classpath]


def free_ports(count: int) -> list[int]:
    """So many ports at which nobody listens."""
    # All are held until the last is found, or one could be found twice.
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            held.append(socket.socket())
            try:
                held[-1].bind(("127.0.0.1", random.choice(PORTS)))
            except OSError:
                held.pop().close()
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def accepts(address: str) -> bool:
    """Whether anybody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_WITHIN_MS / 1000).close()
    except (OSError, ValueError):
        return False
    return True


def _require_answer(bootstrap: str) -> None:
    reason = f"GRIDPATROL_TEST_KAFKA={bootstrap} does not answer"
    if not any(accepts(address.strip()) for address in bootstrap.split(",")):
        raise KafkaUnavailable(f"{reason}: no connection to any host:port of it")
    try:
        client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=ANSWER_WITHIN_MS)
    except KafkaError as error:
        raise KafkaUnavailable(f"{reason} as a Kafka without TLS and password: {error}") from error
    client.close()
