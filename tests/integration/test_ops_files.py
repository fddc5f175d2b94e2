"""`gridpatrol ops write`: what a machine needs, as files that systemd and Prometheus take.

In: settings of one process and of a cluster. Out: the files, what the command says, and the judgement of the tools that
will read them where they are here.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]
from click.testing import CliRunner

from engine.settings import Settings, read_settings
from gridpatrol import ops_files
from gridpatrol.cli import main
from tests.support import compose

POSTGRES = "postgresql://gridpatrol:geheim@db.example/gridpatrol"


def ops_write(folder: Path, *words: str, status: int = 0) -> str:
    """What the command says."""
    done = CliRunner().invoke(main, ["ops", "write", str(folder), *words])
    assert done.exit_code == status, done.output
    return done.output


def of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=[False, True], ids=["one process", "cluster"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ops") / "machine"
    ops_write(folder, *(["--cluster", "--database", POSTGRES] if request.param else []))
    return folder


# ---- the command --------------------------------------------------------------------------------------------


def test_it_says_what_each_file_is_for_and_what_to_do_next(tmp_path: Path) -> None:
    said = ops_write(tmp_path / "a")
    for file in ops_files.ONE_PROCESS:
        assert re.search(rf"^{re.escape(file.name)} +{re.escape(file.purpose)}$", said, re.MULTILINE), file.name
    assert "systemctl enable --now gridpatrol gridpatrol-backup.timer gridpatrol-verify.timer" in said
    assert of(tmp_path / "a").keys() == {file.name for file in ops_files.ONE_PROCESS} | {ops_files.SUMS}
    asked = json.loads(ops_write(tmp_path / "b", "--cluster", "--json"))
    assert asked["written"] == [file.name for file in ops_files.CLUSTER]


def test_writing_the_same_again_changes_nothing_and_is_quiet(tmp_path: Path) -> None:
    ops_write(tmp_path)
    before = of(tmp_path)
    said = ops_write(tmp_path)
    assert said.count("\n") == 1 and "has all of it" in said
    assert of(tmp_path) == before


def test_what_somebody_has_changed_stays_until_he_says_otherwise(tmp_path: Path) -> None:
    ops_write(tmp_path)
    rules, unit = tmp_path / "prometheus/rules.yml", tmp_path / "systemd/gridpatrol.service"
    rules.write_text("groups: [] # mine\n")
    unit.unlink()
    said = ops_write(tmp_path, status=1)
    assert "prometheus/rules.yml" in said and "--force" in said and "prometheus.yml" not in said
    assert rules.read_text() == "groups: [] # mine\n" and not unit.exists(), "nothing was written"
    ops_write(tmp_path, "--force")
    assert rules.read_text() == (ops_files.FOLDER / "prometheus/rules.yml").read_text() and unit.exists()


def test_another_release_or_another_setting_replaces_what_was_written_and_nobody_touched(tmp_path: Path) -> None:
    ops_write(tmp_path)
    said = ops_write(tmp_path, "--listen", "127.0.0.1:9000")
    assert "gridpatrol.env" in said and "prometheus/prometheus.yml" in said and "rules.yml" not in said
    assert "GRIDPATROL_LISTEN=127.0.0.1:9000" in (tmp_path / "gridpatrol.env").read_text()


def test_the_settings_of_the_run_are_those_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDPATROL_LETTER_DAYS", "30")
    monkeypatch.setenv("GRIDPATROL_PACK", "/srv/packs/a locality")
    ops_write(tmp_path, "--cluster", "--database", POSTGRES)
    environ = dict(
        line.split("=", 1) for line in (tmp_path / "gridpatrol.env").read_text().splitlines() if line[0] != "#"
    )
    assert environ["GRIDPATROL_PACK"] == "'/srv/packs/a locality'"
    assert (tmp_path / "gridpatrol.env").stat().st_mode & 0o777 == 0o600
    assert "geheim" not in "".join(raw.decode() for raw in of(tmp_path).values()), "a password is no file's"
    told = read_settings({}, environ | {"GRIDPATROL_PACK": "x"}, tmp_path / "none")
    assert (told.letter_days, told.database) == (30, POSTGRES.replace(":geheim", ""))


# ---- the files ----------------------------------------------------------------------------------------------


def test_no_placeholder_is_left(written: Path) -> None:
    for name, raw in of(written).items():
        assert not re.search(r"@[A-Z_]+@", raw.decode()), name


def units(folder: Path) -> dict[str, configparser.ConfigParser]:
    found = {}
    for path in sorted((folder / "systemd").iterdir()):
        found[path.name] = parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read(path)
    return found


def test_each_unit_runs_a_command_that_exists_closed_off_from_the_machine(written: Path) -> None:
    for name, unit in units(written).items():
        if name.endswith(".timer"):
            assert re.fullmatch(r"\*-\*-\* 0[23]:30:00", unit["Timer"]["OnCalendar"])
            assert name.replace(".timer", ".service") in units(written)
            continue
        service = unit["Service"]
        assert service["Type"] == ("exec" if "serve" in service["ExecStart"] else "oneshot")
        for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelModules"):
            assert service[key] == "yes", name
        assert (service["User"], service["ProtectSystem"], service["UMask"]) == ("gridpatrol", "strict", "0077")
        text = (written / "systemd" / name).read_text()
        for words in re.findall(r"/gridpatrol ((?:[a-z]+ ?)+)", " ".join(re.findall(r"^ExecStart=.*", text, re.M))):
            command: Any = main
            for word in words.split():
                if hasattr(command, "get_command"):
                    command = command.get_command(None, word)
            assert command is not None, words


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here; units are read all the same"
)
def test_systemd_takes_the_units(written: Path) -> None:
    files = [str(path) for path in (written / "systemd").iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, timeout=60)
    if "Failed to" in done.stderr and "gridpatrol" not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_asks_each_process_once_and_containers_have_the_same_rules(written: Path) -> None:
    config = yaml.safe_load((written / "prometheus/prometheus.yml").read_text())
    targets = [t for job in config["scrape_configs"] for one in job["static_configs"] for t in one["targets"]]
    assert len(set(targets)) == len(targets) and targets[0] == Settings().listen
    docker = yaml.safe_load((compose.ROOT / "docker/prometheus/prometheus.yml").read_text())
    assert docker.keys() == config.keys() and docker["rule_files"] == config["rule_files"]
    assert docker["global"] == config["global"]
    if len(targets) > 1:
        names = {job["job_name"]: len(job["static_configs"][0]["targets"]) for job in config["scrape_configs"]}
        assert names == {job["job_name"]: len(job["static_configs"][0]["targets"]) for job in docker["scrape_configs"]}
        listens = {
            name: re.findall(r"GRIDPATROL_LISTEN=(.*)", (written / "systemd" / name).read_text())
            for name in os.listdir(written / "systemd")
        }
        ports = {one.rpartition(":")[2] for found in listens.values() for one in found if not one.endswith("%i")}
        assert ports | {"8421", "8422"} == {target.rpartition(":")[2] for target in targets}
    for name in ("prometheus/rules.yml", "grafana/dashboards/operations.json", "grafana/dashboards/supervision.json"):
        assert (written / name).read_bytes() == (ops_files.FOLDER / name).read_bytes()
    [source] = yaml.safe_load((written / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    [theirs] = yaml.safe_load((compose.ROOT / "docker/grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source | {"url": ""} == theirs | {"url": ""}


def test_a_door_with_tls_is_asked_in_tls() -> None:
    settings = Settings(tls_cert="/etc/door.pem", tls_ca="/etc/ca.pem")
    job = yaml.safe_load(ops_files.scraped(ops_files.jobs_of(settings, False), settings))[0]
    assert (job["scheme"], job["tls_config"]) == ("https", {"ca_file": "/etc/ca.pem"})


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (Debian package prometheus)")
def test_promtool_takes_what_is_written(written: Path) -> None:
    check = ["promtool", "check", "config", str(written / "prometheus/prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
