"""The containers: what docker/ says is valid, safe, and runs commands and settings that exist.

Enters: the files of docker/. Leaves: nothing; no container engine is needed.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from configparser import ConfigParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from jsonschema import Draft202012Validator

from engine.cluster import clients
from engine.cluster.gateway import STOP_S
from engine.cluster.intake import STOP_S as INTAKE_STOP_S
from engine.principals import Principals
from engine.settings import ROLES, Settings, read_settings
from gridpatrol.cli import COMMANDS
from gridpatrol.run.serve import LINGER_S
from tests.support import compose

DOCKER = compose.ROOT / "docker"
ENVIRON = {"KAFKA_CLUSTER_ID": "AAAAAAAAAAAAAAAAAAAAAA"}
FILE = compose.load(ENVIRON)
SERVICES = {service.name: service for service in compose.services(ENVIRON)}
RUNNING = [service for service in SERVICES.values() if service.name != compose.SETUP]
ROLE_SERVICES = [service for service in RUNNING if service.ours]
PACKAGE = ConfigParser()
PACKAGE.read(compose.ROOT / "setup.cfg", encoding="utf-8")
SPARE_S = 10.0
"""For what a role does at its end besides waiting."""
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{Path(sys.prefix) / 'bin'}") or shutil.which(
    "hadolint"
)

each = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
each_running = pytest.mark.parametrize("service", RUNNING, ids=lambda service: service.name)
each_role = pytest.mark.parametrize("service", ROLE_SERVICES, ids=lambda service: service.name)


# ---- the compose file ---------------------------------------------------------------------------------------


def test_it_keeps_the_schema_of_compose():
    schema = json.loads((compose.ROOT / "tests" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    wrong = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(FILE)]
    assert wrong == []


def test_the_schema_would_notice_a_mistake():
    schema = json.loads((compose.ROOT / "tests" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    wrong = {"services": {"a": {"image": "a:1", "depend_on": ["b"]}}}
    assert list(Draft202012Validator(schema).iter_errors(wrong))


def test_docker_is_no_python_package():
    assert not list(DOCKER.rglob("*.py"))


def test_it_starts_log_and_store_then_the_setup_then_the_roles():
    order = list(SERVICES)
    for service in ROLE_SERVICES:
        assert order.index(service.name) > order.index("setup") > max(order.index("kafka"), order.index("postgres"))
        assert service.after == {
            "setup": "service_completed_successfully",
            "kafka": "service_healthy",
            "postgres": "service_healthy",
        }


def test_whoever_is_waited_for_until_healthy_can_say_so():
    for service in SERVICES.values():
        for other, condition in service.after.items():
            assert condition != "service_healthy" or "test" in SERVICES[other].told["healthcheck"]


def test_without_the_identity_of_the_cluster_it_says_what_to_run():
    with pytest.raises(compose.Unset, match=r"secrets\.sh"):
        compose.services({})


@each
def test_every_image_is_pinned_to_a_release(service):
    name, _, tag = service.image.rpartition(":")
    assert name and re.search(r"\d+\.\d+", tag), service.image


@each
def test_every_container_has_limits_and_gives_up_what_root_could_do(service):
    limits = service.told["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    assert service.told["cap_drop"] == ["ALL"]
    assert service.told["security_opt"] == ["no-new-privileges:true"]
    assert service.told.get("read_only") or service.name == "kafka"
    assert not service.told.get("privileged") and service.told.get("network_mode") is None


@each_running
def test_what_runs_for_long_comes_back_and_says_whether_it_is_healthy(service):
    assert service.told["restart"] == "unless-stopped"
    assert service.told["healthcheck"]["test"]
    assert service.told["logging"]["options"]["max-size"]


@each
def test_what_is_published_is_published_on_loopback_and_leads_somewhere(service):
    for port in service.ports:
        assert port.host == "127.0.0.1"
        assert not service.ours or port.target == service.port
    assert not service.ports or "edge" in service.networks


def test_log_and_store_can_be_reached_by_the_roles_only():
    assert FILE["networks"]["line"]["internal"] is True
    on_the_line = {name for name, service in SERVICES.items() if "line" in service.networks}
    assert on_the_line == {"kafka", "postgres", "setup", *(service.name for service in ROLE_SERVICES)}
    for name in ("kafka", "postgres"):
        assert SERVICES[name].networks == ("line",) and not SERVICES[name].ports


@each
def test_secrets_come_from_files_and_never_from_the_environment(service):
    for key, value in service.environment.items():
        secret = re.search(r"PASSWORD|TOKEN|SECRET", key)
        assert not secret or (key.endswith("_FILE") and value.startswith("/run/secrets/")), key
        if value.startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in service.secrets
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", json.dumps(service.told)), "a password in a URL"


def test_every_secret_volume_and_network_that_is_used_is_declared_and_the_other_way_round():
    for kind in ("secrets", "networks"):
        used = {name for service in SERVICES.values() for name in getattr(service, kind)}
        assert used == set(FILE[kind])
    mounts = [mount.split(":")[0] for service in SERVICES.values() for mount in service.told.get("volumes", [])]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(FILE["volumes"])
    for mount in mounts:
        assert not mount.startswith(".") or (DOCKER / mount).exists(), mount


# ---- our own commands ---------------------------------------------------------------------------------------


def test_every_role_has_a_process_and_workers_are_two():
    roles = [service.command[-1] for service in ROLE_SERVICES]
    assert sorted(roles) == sorted([*(role for role in ROLES if role != "all"), "worker"])


@each_role
def test_a_role_is_one_plain_command_with_settings_that_can_work(service, tmp_path):
    assert service.command[:3] == ("gridpatrol", "serve", "--role")
    password = tmp_path / "password"
    password.write_text("as in the file", encoding="utf-8")
    environ = service.environment | {"GRIDPATROL_DATABASE_PASSWORD_FILE": str(password)}
    settings = read_settings({"role": service.command[3]}, environ, tmp_path / "none.toml")
    assert settings.kafka and settings.log_format == "json"
    assert settings.database.startswith("postgresql://gridpatrol:") and "file@postgres/" in settings.database
    assert settings.listen.startswith("0.0.0.0:")
    assert (settings.principals != "") == (settings.role in ("gateway", "alerts"))


@each_role
def test_a_role_that_is_stopped_while_the_brokers_are_silent_ends_before_it_is_killed(service):
    gateway = LINGER_S + INTAKE_STOP_S + STOP_S + clients.BOOTSTRAP_MS / 1000
    publishing = (clients.BOOTSTRAP_MS + clients.DELIVERY_MS) / 1000
    assert float(service.told["stop_grace_period"].removesuffix("s")) > max(gateway, publishing) + SPARE_S


@each
def test_every_variable_of_ours_is_a_setting(service):
    for key in service.environment:
        if key.startswith("GRIDPATROL_"):
            assert key.removeprefix("GRIDPATROL_").lower() in Settings.__struct_fields__


@pytest.fixture
def answering() -> Iterator[tuple[int, list[str]]]:
    """A port at which /healthz is answered, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


@each_role
def test_the_health_check_asks_the_role_at_its_port(service, answering):
    (port, asked), check = answering, service.told["healthcheck"]["test"]
    assert check[:2] == ["CMD", "python"]
    taken = {"GRIDPATROL_LISTEN": f"0.0.0.0:{port}"}
    done = subprocess.run([sys.executable, *check[2:]], env=taken, timeout=60, capture_output=True)
    assert (done.returncode, asked) == (0, ["/healthz"]), done.stderr


def test_the_health_check_notices_when_nobody_answers():
    with socket.socket() as bound:  # bound, and nobody listens
        bound.bind(("127.0.0.1", 0))
        away = {"GRIDPATROL_LISTEN": f"0.0.0.0:{bound.getsockname()[1]}"}
        check = ROLE_SERVICES[0].told["healthcheck"]["test"]
        done = subprocess.run([sys.executable, *check[2:]], env=away, timeout=60, capture_output=True)
    assert done.returncode != 0


def test_processes_differ_in_name_and_port_so_that_one_machine_takes_them_all():
    names = [service.environment["GRIDPATROL_INSTANCE"] for service in ROLE_SERVICES]
    ports = [service.port for service in ROLE_SERVICES]
    assert len(set(names)) == len(names) and len(set(ports)) == len(ports)


def test_the_setup_runs_commands_that_there_are():
    *shell, script = SERVICES["setup"].command
    assert shell == ["sh", "-ec"]  # -e: what fails ends it, and no role starts
    lines = [line.split() for line in script.splitlines()]
    assert [line[:2] for line in lines] == [["gridpatrol", "db"], ["gridpatrol", "topic"]]
    assert {line[1] for line in lines} <= COMMANDS.keys()


# ---- the image ----------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments)."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [(word.upper(), rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_it_is_built_from_a_pinned_release_in_two_stages():
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert len(stages) == 2 and stages[0].endswith(" AS build")
    assert len({stage.split()[0] for stage in stages}) == 1
    assert re.fullmatch(r"python:3\.1[1-4]\.\d+-slim-[a-z]+", stages[1])


def test_it_runs_as_a_user_with_a_fixed_number():
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users and re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    uid, gid = users[-1].split(":")
    assert f"uid={uid},gid={gid}" in SERVICES["gateway"].told["tmpfs"][1]


def test_it_fetches_nothing_by_address_and_holds_no_secret():
    for word, rest in instructions():
        assert word != "ADD" and "http" not in rest
        assert word not in ("ENV", "ARG") or not re.search(r"(?i)password|secret|token", rest)


def test_the_runtime_stage_installs_nothing():
    told = instructions()
    last = max(n for n, (word, _) in enumerate(told) if word == "FROM")
    for word, rest in told[last:]:
        assert word != "RUN" or not re.search(r"apt|pip|curl|wget", rest)
        assert word != "COPY" or rest.startswith("--from=build ")


def test_every_package_reaches_the_builder_and_nothing_else_does():
    packages = {line for line in PACKAGE["options.packages.find"]["include"].split() if "." not in line}
    copied = {
        name.rstrip("/")
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--")
        for name in rest.split()[:-1]
    }
    assert packages <= copied
    ignored = (compose.ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    allowed = {line.removeprefix("!").rstrip("/") for line in ignored if line.startswith("!")}
    assert "*" in ignored and allowed == copied
    for name in copied:
        assert (compose.ROOT / name).exists(), name


def test_image_label_and_package_are_of_one_release():
    version = PACKAGE["metadata"]["version"]
    assert {service.image for service in SERVICES.values() if service.ours} == {f"gridpatrol:{version}"}
    labels = " ".join(rest for word, rest in instructions() if word == "LABEL")
    base = next(rest.split()[0] for word, rest in instructions() if word == "FROM")
    assert f'version="{version}"' in labels and f'base.name="docker.io/library/{base}"' in labels


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint here; the checks above are made all the same")
def test_hadolint_finds_nothing_to_complain_about():
    assert HADOLINT is not None
    found = subprocess.run([HADOLINT, DOCKER / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")


# ---- the secrets --------------------------------------------------------------------------------------------


def make_secrets(folder: Path) -> str:
    """Run a copy of the script there. What it prints."""
    script = shutil.copy(DOCKER / "secrets.sh", folder / "secrets.sh")
    done = subprocess.run(["sh", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_secrets_are_random_closed_to_others_and_never_overwritten(tmp_path):
    made: list[dict[str, str]] = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        make_secrets(folder)
        files = {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir()}
        assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
        make_secrets(folder)
        assert {path.name: path.read_text(encoding="utf-8") for path in (folder / "secrets").iterdir()} == files
        made.append(files | {".env": (folder / ".env").read_text(encoding="utf-8")})
    assert {f"secrets/{name}" for name in made[0]} - {"secrets/.env"} == {s["file"] for s in FILE["secrets"].values()}
    for name in made[0].keys() - {"alert_webhook_url"}:
        assert made[0][name] != made[1][name], f"{name} is the same in two installations"
    assert all(len(made[0][name]) >= 24 for name in ("database_password", "grafana_admin_password"))


def test_the_cluster_gets_an_identity_that_kafka_takes(tmp_path):
    make_secrets(tmp_path)
    key, _, value = (tmp_path / ".env").read_text(encoding="utf-8").strip().partition("=")
    assert compose.services({key: value}) and re.fullmatch(r"[\w-]{22}", value)


def test_the_tokens_that_are_shown_are_those_that_the_door_knows(tmp_path):
    tokens = dict(re.findall(r"^  (\w+) +(gp_\S+)$", make_secrets(tmp_path), re.MULTILINE))
    principals = Principals(str(tmp_path / "secrets" / "principals.toml"))
    app, operations = (principals.of_token(tokens[name]) for name in ("app", "operations"))
    assert app is not None and app.may_speak("any-post") and not app.operator and not app.reads
    assert operations is not None and operations.operator and operations.reads and not operations.may_speak("a")
    assert "gp_" not in (tmp_path / "secrets" / "principals.toml").read_text(encoding="utf-8")


def test_what_the_script_makes_is_not_in_the_repository():
    ignored = (DOCKER / ".gitignore").read_text(encoding="utf-8").split()
    assert {"/secrets/", "/.env"} <= set(ignored)


# ---- the reader of the compose file -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${A}", {"A": "1"}, "1"),
        ("${A}", {}, ""),
        ("${A:-2}", {}, "2"),
        ("${A:-2}", {"A": ""}, "2"),
        ("${A-2}", {"A": ""}, ""),
        ("x${A:?say it}y", {"A": "1"}, "x1y"),
        ("$$A", {"A": "1"}, "$A"),
    ],
)
def test_variables_are_filled_in_as_compose_does(tmp_path, text, environ, value):
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump({"services": {"s": {"image": "i:1", "command": ["run", text]}}}))
    [service] = compose.services(environ, file)
    assert service.command == ("run", value)


# ---- the file, run as processes -----------------------------------------------------------------------------


def command(line: str, told: dict[str, str], *, check: bool = True) -> str:
    """A command of ours, and what it said; `check`: it must be content."""
    words = [sys.executable, "-m", "gridpatrol.cli", *line.split()[1:]]
    done = subprocess.run(words, env=told, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout
