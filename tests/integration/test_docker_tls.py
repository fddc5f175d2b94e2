"""The containers with TLS and passwords: what docker/compose.tls.yaml lays over compose.yaml is valid. That it works,
tests/drill/test_docker_tls.py shows.

Enters: the files of docker/, run as they are with paths and addresses of this machine in place of the containers'.
Leaves: a broker, a database and all roles that trust each other by certificates of docker/certificates.sh.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy.engine import make_url

from engine.cluster import acls
from engine.settings import Settings, read_settings
from tests.support import compose

DOCKER = compose.ROOT / "docker"
OVERLAY = DOCKER / "compose.tls.yaml"
ENVIRON = {"KAFKA_CLUSTER_ID": "AAAAAAAAAAAAAAAAAAAAAA"}
BOTH = (compose.FILE, OVERLAY)
FILE = compose.load(ENVIRON, *BOTH)
PLAIN = {service.name: service for service in compose.services(ENVIRON)}
SERVICES = {service.name: service for service in compose.services(ENVIRON, *BOTH)}
OURS = [service for service in SERVICES.values() if service.ours]

each_of_ours = pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)


# ---- what it says -------------------------------------------------------------------------------------------


def test_it_keeps_the_schema_of_compose_alone_and_laid_over():
    schema = Draft202012Validator(json.loads((compose.ROOT / "tests" / "vendor" / "compose-spec.json").read_text()))
    for found in (compose.load(ENVIRON, OVERLAY), FILE):
        assert [f"{error.json_path}: {error.message}" for error in schema.iter_errors(found)] == []


def test_it_changes_no_container_but_those_on_the_line():
    changed = {name for name, service in SERVICES.items() if service.told != PLAIN[name].told}
    assert changed == {name for name, service in SERVICES.items() if "line" in service.networks}
    for name, service in SERVICES.items():
        assert (service.ports, service.networks, service.after) == (
            PLAIN[name].ports,
            PLAIN[name].networks,
            PLAIN[name].after,
        )


@each_of_ours
def test_each_has_a_user_and_a_password_of_its_role_and_no_others(service):
    user = "admin" if service.name == "setup" else service.command[-1]
    assert service.environment["GRIDPATROL_KAFKA_USER"] == user
    assert service.environment["GRIDPATROL_KAFKA_PASSWORD_FILE"] == f"/run/secrets/kafka_user_{user}"
    passwords = {name for name in service.secrets if name.startswith("kafka_user_")}
    assert passwords == {f"kafka_user_{user}"} | ({"kafka_user_operator"} if user == "admin" else set())
    assert user in {user for user, *_ in acls.rights("", [])} | {"admin"}


@each_of_ours
def test_each_checks_who_answers(service):
    assert service.environment["GRIDPATROL_KAFKA_SECURITY"] == "SASL_SSL"
    query = make_url(service.environment["GRIDPATROL_DATABASE"]).query
    assert query == {"sslmode": "verify-full", "sslrootcert": "/run/secrets/ca.pem"}
    assert service.environment["GRIDPATROL_KAFKA_CA"] == "/run/secrets/ca.pem" and "ca.pem" in service.secrets


def test_keys_reach_whom_they_belong_to():
    for secret, owners in {"kafka.pem": {"kafka"}, "postgres.key": {"postgres"}, "postgres.pem": {"postgres"}}.items():
        assert {name for name, service in SERVICES.items() if secret in service.secrets} == owners
    assert not any("ca.key" in service.secrets for service in SERVICES.values())


def test_every_secret_is_declared_and_used_and_every_mounted_file_is_there():
    assert {name for service in SERVICES.values() for name in service.secrets} == set(FILE["secrets"])
    for name in ("kafka", "postgres"):
        [mount] = [mount for mount in SERVICES[name].told["volumes"] if mount.startswith("./")]
        source, target, how = mount.split(":")
        assert how == "ro"
        for word in SERVICES[name].command:
            if word.startswith("/etc/gridpatrol/"):
                assert word.startswith(target) and (DOCKER / source / Path(word).relative_to(target)).is_file()


def test_what_the_broker_is_told_is_what_the_plain_one_is_told_but_for_its_wires():
    lines = (DOCKER / "kafka" / "secured.properties").read_text().splitlines()
    secured = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for key, value in PLAIN["kafka"].environment.items():
        name = key.removeprefix("KAFKA_").lower().replace("_", ".")
        if not re.search(r"listener|cluster\.id|heap\.opts", name):
            assert secured[name] == value, name


# ---- what it needs ------------------------------------------------------------------------------------------


class Installation:
    """A copy of docker/ with its secrets made, and its settings as they are on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.secrets = folder, folder / "secrets"
        for name in ("secrets.sh", "certificates.sh"):
            shutil.copy(DOCKER / name, folder)
            subprocess.run(["sh", folder / name], check=True, capture_output=True, timeout=60)
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            held = (one, two, three)
            for each in held:
                each.bind(("127.0.0.1", 0))
            self.ports = [each.getsockname()[1] for each in held]
        self.database = ""

    def here(self, text: str) -> str:
        """Something that a container is told, for this machine."""
        text = text.replace("/run/secrets", str(self.secrets)).replace("/etc/gridpatrol/kafka", str(self.folder))
        text = text.replace("/var/lib/kafka/data", str(self.folder / "data"))
        for inside, port in zip((9092, 9093, 9094), self.ports, strict=True):
            text = re.sub(rf"(?<=://):{inside}\b|\bkafka:{inside}\b", f"127.0.0.1:{port}", text)
        return text.replace("@postgres/gridpatrol", f"@{self.database}")

    def environment(self, service: compose.Service) -> dict[str, str]:
        """What a process of that service is told, and nothing else of ours."""
        told = {key: self.here(value) for key, value in service.environment.items()}
        return {k: v for k, v in os.environ.items() if not k.startswith("GRIDPATROL_")} | told

    def settings(self, service: compose.Service, **flags: object) -> Settings:
        return read_settings(flags, self.environment(service), self.folder / "none.toml")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("docker"))


def test_the_scripts_make_all_that_is_needed_and_overwrite_nothing(made):
    files = {path.name: path.read_bytes() for path in made.secrets.iterdir()}
    assert {Path(secret["file"]).name for secret in FILE["secrets"].values()} <= files.keys()
    again = subprocess.run(["sh", made.folder / "certificates.sh"], check=True, capture_output=True, text=True)
    assert {path.name: path.read_bytes() for path in made.secrets.iterdir()} == files
    assert all(line.startswith("kept ") for line in again.stdout.splitlines())
    passwords = [text for name, text in files.items() if name.startswith("kafka_user_")]
    assert len(set(passwords)) == len(passwords) and min(map(len, passwords)) >= 24
    assert (made.secrets / "ca.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("file", "host"), [("kafka.pem", "kafka"), ("postgres.pem", "postgres")])
def test_certificates_are_for_the_host_by_which_they_are_asked(made, file, host):
    checks = ["openssl", "verify", "-x509_strict", "-CAfile", made.secrets / "ca.pem", "-verify_hostname"]
    assert subprocess.run([*checks, host, made.secrets / file], capture_output=True).returncode == 0
    assert subprocess.run([*checks, "elsewhere", made.secrets / file], capture_output=True).returncode != 0


@pytest.mark.parametrize("script", ["certificates.sh", "kafka/start.sh", "postgres/start.sh"])
def test_scripts_are_plain_shell(script):
    assert subprocess.run(["sh", "-n", DOCKER / script]).returncode == 0
