"""The containers with TLS and passwords work: broker, database and roles started as docker/compose.tls.yaml says."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from engine.cluster import clients
from engine.errors import BrokerAway, BrokerRefuses
from lab.installation import Role
from lab.parts.certificates import Certificate
from lab.parts.kafka import java_command
from lab.parts.kafka_jars import Parts
from lab.parts.postgres import Secured, secured_server, with_tls
from tests.integration.test_docker_tls import DOCKER, OURS, SERVICES, Installation
from tests.support import compose

SHIM = '#!/bin/sh\nexec {java} {main} "$@"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="module")
def broker(made: Installation, kafka_parts: Parts) -> Iterator[Installation]:
    """The broker, started by the container's own script."""
    programs = made.folder / "programs"
    programs.mkdir()
    for name, main in (("kafka-storage", "kafka.tools.StorageTool"), ("kafka-server-start", "kafka.Kafka")):
        (programs / f"{name}.sh").write_text(SHIM.format(java=" ".join(java_command(kafka_parts)), main=main))
        (programs / f"{name}.sh").chmod(0o755)
    for path in (DOCKER / "kafka").iterdir():
        (made.folder / path.name).write_text(made.here(path.read_text(encoding="utf-8")), encoding="utf-8")
    with started(made, programs) as first:
        await_broker(made, first)
    # Again, on what it has stored.
    with started(made, programs) as second:
        await_broker(made, second)
        yield made


@contextmanager
def started(made: Installation, programs: Path) -> Iterator[subprocess.Popen[bytes]]:
    told = {"KAFKA_PROGRAMS": str(programs), "KAFKA_USERS": str(made.secrets)}
    command = [made.here(word) for word in SERVICES["kafka"].command]
    with (made.folder / "kafka.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=made.environment(SERVICES["kafka"]) | told,
            stdout=log,
            stderr=log,
            cwd=made.folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_broker(made: Installation, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            return clients.admin(made.settings(SERVICES["setup"])).close()
        except (BrokerAway, BrokerRefuses) as error:
            log = (made.folder / "kafka.log").read_text()[-3000:]
            assert process.poll() is None and time.monotonic() < until, f"{error}\n{log}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def database(made: Installation) -> Iterator[Secured]:
    """A database with the certificate and the password of the containers'."""
    files = [made.secrets / name for name in ("ca.pem", "postgres.pem", "postgres.key", "postgres.key")]
    password = (made.secrets / "database_password").read_text()
    with secured_server(Certificate(*files), password, with_tls()) as server, server.database() as url:
        made.database = f"127.0.0.1:{server.port}/{make_url(url).database}"
        yield server


@pytest.mark.parametrize("name", ["gateway", "worker-1", "performance", "alerts"])
def test_the_broker_lets_every_role_in_with_its_own_password_only(broker, name):
    role = name.partition("-")[0]
    clients.admin(broker.settings(SERVICES[name], role=role)).close()
    other = str(broker.secrets / "kafka_user_operator")
    with pytest.raises(BrokerRefuses, match=r"refuses user.*kafka_password_file"):
        clients.admin(broker.settings(SERVICES[name], role=role, kafka_password_file=other))


def test_brokers_among_each_other_let_in_a_certificate_and_no_password(broker):
    inner = f"127.0.0.1:{broker.ports[2]}"
    known = broker.settings(
        SERVICES["setup"], kafka=inner, kafka_security="SSL", kafka_cert=str(broker.secrets / "kafka.pem")
    )
    clients.admin(known).close()  # as the health check does
    with pytest.raises(BrokerRefuses, match="certificate"):
        clients.admin(broker.settings(SERVICES["setup"], kafka=inner, kafka_security="SSL"))


def test_set_up_and_started_in_the_order_of_the_file_every_role_works(broker, database):
    roles: list[Role] = []
    try:
        for service in OURS:
            told = broker.environment(service)
            told |= {"PYTHONPATH": str(compose.ROOT), "GRIDPATROL_LOG_FORMAT": "text"}  # as `Role` reads it
            if service.name == "setup":
                for line in service.command[-1].splitlines():
                    words = [sys.executable, "-m", "gridpatrol.cli", *line.split()[1:]]
                    done = subprocess.run(words, env=told, capture_output=True, text=True, timeout=120)
                    assert done.returncode == 0, done.stderr
                continue
            roles.append(Role(service.name, service.command[-1], told, broker.folder))
            roles[-1].start()
        for role in roles:
            role.await_ready(120)
    finally:
        for role in roles:
            role.kill()
