"""The files by which operations run gridpatrol on a machine: units of systemd, and what Prometheus and Grafana read.

They are shipped in `gridpatrol/data/ops`; the containers of `docker/` mount the same rules, dashboards and routes of
alarms. What differs from machine to machine stands between two @ in a template and is put in here, out of the settings.
"""

import hashlib
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.errors import GridpatrolError
from engine.settings import Settings

FOLDER = Path(__file__).parent / "data" / "ops"
SUMS = "SHA256SUMS"
"""What was written, by its digest: what differs from that, somebody has changed."""
SERVE_JOB = "serve"
"""The job of one process that does everything; those of a cluster are named after their roles."""
WORKERS = 2
"""Workers of a cluster to begin with, as in docker/compose.yaml."""


class FilesChanged(GridpatrolError):
    """Files that are there differ from those that were written, and stay as they are."""

    remedy = "Write to another folder and compare, or give --force to replace them."


class OpsFile(Struct, frozen=True):
    """A file to be written: its name, what it is for, and the template that it is made of (its own name if empty)."""

    name: str
    purpose: str
    template: str = ""


WATCHING = (
    OpsFile("prometheus/prometheus.yml", "who is asked for metrics"),
    OpsFile("prometheus/rules.yml", "alarms: what is wrong, how bad it is, what to do"),
    OpsFile("alertmanager/alertmanager.yml", "who is told of an alarm; nobody as it is"),
    OpsFile("grafana/provisioning/datasources/prometheus.yaml", "where Grafana asks"),
    OpsFile("grafana/provisioning/dashboards/dashboards.yaml", "where Grafana finds the dashboards"),
    OpsFile("grafana/dashboards/operations.json", "运维: is it alive, is it keeping up"),
    OpsFile("grafana/dashboards/supervision.json", "督办: what is late, and where"),
)
NIGHTLY = (
    OpsFile("systemd/gridpatrol-backup.timer", "when: every night"),
    OpsFile("systemd/gridpatrol-verify.service", "recomputes every figure from the facts"),
    OpsFile("systemd/gridpatrol-verify.timer", "when: every night"),
)
ONE_PROCESS = (
    OpsFile("gridpatrol.env", "settings, as variables"),
    OpsFile("systemd/gridpatrol.service", "the server"),
    OpsFile("systemd/gridpatrol-backup.service", "a verified copy of the database"),
    *NIGHTLY,
    *WATCHING,
)
CLUSTER = (
    OpsFile("gridpatrol.env", "settings, as variables"),
    OpsFile("systemd/gridpatrol-setup.service", "tables and topics, before the roles start"),
    OpsFile("systemd/gridpatrol-gateway.service", "the door"),
    OpsFile("systemd/gridpatrol-worker@.service", "decides; the port of a worker is its instance"),
    OpsFile("systemd/gridpatrol-performance.service", "figures"),
    OpsFile("systemd/gridpatrol-alerts.service", "alerts"),
    OpsFile("systemd/gridpatrol-backup.service", "a dump of PostgreSQL", "systemd/gridpatrol-dump.service"),
    *NIGHTLY,
    *WATCHING,
)


def jobs_of(settings: Settings, cluster: bool) -> dict[str, list[str]]:
    """Who is asked for metrics: job -> addresses. A role listens one port above the one before it."""
    host, _, port = settings.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    names = ["gateway", *["worker"] * WORKERS, "performance", "alerts"] if cluster else [SERVE_JOB]
    jobs: dict[str, list[str]] = {}
    for place, name in enumerate(names):
        jobs.setdefault(name, []).append(f"{host}:{int(port) + place}")
    return jobs


def scraped(jobs: Mapping[str, list[str]], settings: Settings) -> str:
    """The jobs as Prometheus reads them. Only the door speaks TLS."""
    lines = []
    for name, targets in jobs.items():
        lines.append(f"  - job_name: {name}")
        if settings.tls_cert and name in (SERVE_JOB, "gateway"):
            lines.append("    scheme: https")
            if settings.tls_ca:
                lines.append(f"    tls_config: {{ ca_file: {msgspec.json.encode(settings.tls_ca).decode()} }}")
        lines.append(f"    static_configs: [{{ targets: {msgspec.json.encode(targets).decode()} }}]")
    return "\n".join(lines)


def variables(settings: Settings, cluster: bool) -> str:
    """The settings that differ from their defaults, as lines of an environment file; without what is no file's."""
    plain, lines = Settings(), []
    told = {"listen": settings.listen, "database": settings.database, "log_format": "json"}
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if name in told or value != getattr(plain, name):
            value = told.get(name, value)
            if name == "database" and (url := urlsplit(settings.database)).password:
                value = settings.database.replace(f":{url.password}@", "@", 1)  # see GRIDPATROL_DATABASE_PASSWORD_FILE
            if name not in ("role", "instance"):
                lines.append(f"GRIDPATROL_{name.upper()}={shlex.quote(str(value))}")
    if cluster and not settings.kafka:
        lines.append("GRIDPATROL_KAFKA=127.0.0.1:9092")
    return "\n".join(lines)


def render(settings: Settings, cluster: bool, etc: str = "/etc/gridpatrol") -> dict[str, str]:
    """The files: name -> text."""
    jobs = jobs_of(settings, cluster)
    command = shutil.which("gridpatrol", path=str(Path(sys.executable).parent)) or shutil.which("gridpatrol")
    put_in = {
        "COMMON": (FOLDER / "systemd" / "common.conf").read_text(encoding="utf-8").rstrip(),
        "ETC": etc,
        "GRIDPATROL": command or f"{sys.executable} -m gridpatrol",
        "SETTINGS": variables(settings, cluster),
        "JOBS": scraped(jobs, settings),
        "PROMETHEUS": "127.0.0.1:9090",
        "ALERTMANAGER": "127.0.0.1:9093",
        "HOST": jobs.get("worker", [""])[0].rpartition(":")[0],
        "WORKER_PORT": jobs.get("worker", [""])[0].rpartition(":")[2],
    } | {name.upper(): targets[0] for name, targets in jobs.items()}
    texts = {}
    for file in CLUSTER if cluster else ONE_PROCESS:
        text = (FOLDER / (file.template or file.name)).read_text(encoding="utf-8")
        for name, value in put_in.items():
            text = text.replace(f"@{name}@", value)
        if file.name.startswith("alertmanager/"):  # a container has its secrets elsewhere
            text = text.replace("docker/secrets/alert_webhook_url", "alert_webhook_url beside this file")
            text = text.replace("/run/secrets/alert_webhook_url", "alert_webhook_url")
        texts[file.name] = text
    return texts


def write(folder: Path, texts: Mapping[str, str], force: bool) -> list[str]:
    """Write what is not there yet or was written here before, and return the names of what was written.

    Raises FilesChanged before anything is written where a file is there that somebody else has written or changed,
    unless with `force`.
    """
    sums = folder / SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {name: (folder / name).read_bytes() for name in texts if (folder / name).is_file()}
    differing = [name for name, raw in there.items() if raw != texts[name].encode()]
    changed = [name for name in differing if known.get(name) != hashlib.sha256(there[name]).hexdigest()]
    if changed and not force:
        raise FilesChanged(f"{', '.join(changed)} in {folder} {'differ' if changed[1:] else 'differs'} from ours")
    written = [name for name in texts if name not in there or name in differing]
    for name in written:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[name], encoding="utf-8")
        if name.endswith(".env"):
            path.chmod(0o600)  # whoever adds a secret to it finds it closed
    if written:
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        sums.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted((known | digests).items())))
    return written
