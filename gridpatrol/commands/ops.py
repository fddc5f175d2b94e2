"""`gridpatrol ops`: what a machine needs to run gridpatrol and to watch it, as files."""

from pathlib import Path

import click

from gridpatrol import ops_files, options
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import settings_of

NEXT = """\
Next, as root:
  1. useradd --system --home-dir /var/lib/gridpatrol --shell /usr/sbin/nologin gridpatrol
  2. install -d -m 0750 -g gridpatrol /etc/gridpatrol
     install -m 0640 -g gridpatrol {folder}/gridpatrol.env /etc/gridpatrol/
  3. cp {folder}/systemd/* /etc/systemd/system/ && systemctl daemon-reload
  4. systemctl enable --now {units}
  5. cp {folder}/prometheus/* /etc/prometheus/ and the folders of alertmanager and grafana likewise; reload them.
Then: curl -s http{secure}://{door}/readyz. What each alarm means and what to do: docs/operations.md."""


@click.group("ops")
def command() -> None:
    """Files for the machine: units of systemd, Prometheus, Alertmanager, Grafana."""


@command.command("write")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cluster", is_flag=True, help="Units for the roles on Kafka and PostgreSQL, instead of one process.")
@click.option("--force", is_flag=True, help="Replace files that somebody has changed.")
@options.database
@options.listen
@options.as_json
def write(folder: Path, cluster: bool, force: bool, database: str | None, listen: str | None, as_json: bool) -> None:
    """Write the files into DIR, as the settings say; nothing of the system is touched.

    Units of systemd (the server; a backup and a verification every night), what Prometheus scrapes and its alarms, who
    is told of them, two dashboards of Grafana. Written again, only what is new is replaced, and nothing that you have
    changed.

    \b
    Examples:
      gridpatrol ops write ops
      gridpatrol ops write ops --cluster --database postgresql://gridpatrol@db.example/gridpatrol
    """
    settings = settings_of(database=database, listen=listen)
    texts = ops_files.render(settings, cluster)
    written = ops_files.write(folder, texts, force)
    files = ops_files.CLUSTER if cluster else ops_files.ONE_PROCESS
    if as_json:
        options.print_json({"folder": str(folder), "written": written, "files": {f.name: f.purpose for f in files}})
        return
    if not written:
        options.say(f"{folder} has all of it as it would be written.")
        return
    table(("file", "what for"), [(file.name, file.purpose) for file in files if file.name in written])
    jobs = ops_files.jobs_of(settings, cluster)
    ports = [target.rpartition(":")[2] for target in jobs.get("worker", [])]
    roles = ["gateway", *(f"worker@{port}" for port in ports), "performance", "alerts"]
    units = [f"gridpatrol-{role}" for role in roles] if cluster else ["gridpatrol"]
    door = next(iter(jobs.values()))[0]
    timers = "gridpatrol-backup.timer gridpatrol-verify.timer"
    secure = "s" if settings.tls_cert else ""
    click.echo("\n" + NEXT.format(folder=folder, units=f"{' '.join(units)} {timers}", door=door, secure=secure))
