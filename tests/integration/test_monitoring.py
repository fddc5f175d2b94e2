"""Alarms and dashboards ask for what the service exports, and Prometheus' own tools find them right.

The files of `gridpatrol/data/ops`, which the containers of docker/ mount too, are held against the metrics pages of a
running server and of the roles. Where `promtool` or `amtool` are missing (Debian packages `prometheus`,
`prometheus-alertmanager`), their tests are skipped with the reason; every expression is parsed and its names are
checked all the same.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consumers.alerts import fold
from consumers.performance import consume
from engine.clock import now_ms
from engine.cluster import partition_consumer
from engine.cluster.gateway import Gateway
from engine.cluster.intake import Intake
from engine.cluster.worker import Worker
from engine.metrics import gauges
from engine.metrics.counters import Counters, FoldCounters
from engine.principals import Principals
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import channels, inbox_table
from engine.store.rows import InboxRow
from gridpatrol import ops_files
from gridpatrol.cli import main
from tests.integration.test_gauges import live_page
from tests.support import compose, promql
from tests.support.serving import prepared

__all__ = ["live_page"]

DOCKER = compose.ROOT / "docker"
OPS = ops_files.FOLDER
PROMETHEUS = OPS / "prometheus"
GRAFANA = OPS / "grafana"
ENVIRON = {"KAFKA_CLUSTER_ID": "AAAAAAAAAAAAAAAAAAAAAA"}
SERVICES = {service.name: service for service in compose.services(ENVIRON)}

OF_ANY_PROCESS = re.compile(r"process_|python_|gridpatrol_ready$")
"""What every process tells of itself: that is told apart by job and instance."""
NOT_SHOWN = {"created", "sum", "count"}
"""Ends of series that a histogram brings along and no panel needs."""


def read(path: Path) -> Any:
    """A YAML file."""
    return compose.parsed(path.read_text(encoding="utf-8"))


GROUPS = read(PROMETHEUS / "rules.yml")["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
RECORDS = [rule for rule in RULES if "record" in rule]
ALARMS = [rule for rule in RULES if "alert" in rule]
DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (GRAFANA / "dashboards").iterdir()}
PANELS = [(name, panel) for name, board in DASHBOARDS.items() for panel in board["panels"]]
SHOWN = [(name, panel) for name, panel in PANELS if panel["type"] != "row"]

each_alarm = pytest.mark.parametrize(
    "alarm", ALARMS, ids=[f"{rule['alert']}-{rule['labels']['severity']}" for rule in ALARMS]
)
each_panel = pytest.mark.parametrize(("board", "panel"), SHOWN, ids=[f"{name}-{panel['id']}" for name, panel in SHOWN])
each_board = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS.keys())


@pytest.fixture(scope="module")
def role_pages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The pages of gateway, worker and performance role, without brokers: each a real part with its registry."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('roles') / 'a.db'}") as engine:
        member = worker_of(engine)
        intake = Intake(member.engine.settings, Gateway(engine), Principals())
        intake.records.labels("hotline", "forwarded").inc()
        with engine.database.begin() as connection:
            channels.begin(connection, "mail")
        engine.counters.channel_requests.labels("mail", "sent").inc()
        gauges.register(engine.counters.registry, engine.database)
        counts = FoldCounters()
        gauges.register(counts.registry, engine.database, figures_only=True)
        registries = (engine.counters.registry, member.engine.counters.registry, counts.registry)
        return [generate_latest(registry).decode() for registry in registries]


def worker_of(engine: Engine) -> Worker:
    """A worker that was given a partition, on this engine's database, whose log is a topic from now on."""
    origin = inbox_table.Origin("cluster", "topic", [0] * engine.count)
    with engine.database.begin() as connection:
        inbox_table.write_origin(connection, origin)
    settings = Settings(kafka="127.0.0.1:9", role="worker")
    member = Worker(settings, engine.database, origin, Counters(), [], threading.Event())
    member.inbox.heads = {0: 0}
    return member


@pytest.fixture(scope="module")
def exported(live_page: str, role_pages: list[str]) -> dict[str, promql.Labels]:
    """Series -> labels, as the roles really tell them: they are who is asked. An embedded server has told more of what
    they have, so that its samples show the labels."""
    found: dict[str, set[str]] = {}
    of_roles = set().union(*map(names_of, role_pages))
    for family in (family for page in (live_page, *role_pages) for family in text_string_to_metric_families(page)):
        for sample in family.samples if family.name in of_roles else ():
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name: frozenset(labels) | promql.SCRAPED for name, labels in found.items()}


@pytest.fixture(scope="module")
def known(exported: dict[str, promql.Labels]) -> dict[str, promql.Labels]:
    """Everything that may be asked for: what is exported, what rules record, what Prometheus makes itself."""
    known = promql.PROMETHEUS | exported
    for rule in RECORDS:
        known |= {rule["record"]: promql.labels(rule["expr"], known)}
    of_alarms = [promql.labels(rule["expr"], known) | rule["labels"].keys() for rule in ALARMS]
    return known | {"ALERTS": promql.PROMETHEUS["ALERTS"].union(*of_alarms)}


def test_a_state_is_told_by_one_kind_of_process_only(live_page, role_pages):
    """Of partitions their owners tell, and an embedded server of all: added up, nothing counts twice."""
    gateway, worker, performance = map(names_of, role_pages)
    assert gateway & worker == names_of(generate_latest(Counters().registry).decode())
    of_itself = {name for name in performance if OF_ANY_PROCESS.match(name)}
    assert {"process_open_fds", "python_gc_collections", "gridpatrol_ready"} <= of_itself
    assert worker & performance == of_itself
    assert gateway & performance - of_itself == {"gridpatrol_figures"}, (
        "read from the store by both: panels join it with `max`"
    )
    for _, panel in SHOWN:
        for target in panel["targets"]:
            assert not re.search(r"gridpatrol_figures\b", target["expr"]) or "max by" in target["expr"]
    of_owners = {"gridpatrol_partitions_halted", "gridpatrol_inbox_lag_records", "gridpatrol_inbox_oldest_seconds"}
    assert of_owners <= worker and of_owners <= names_of(live_page) and not of_owners & gateway
    assert {"gridpatrol_consumer_lag_steps", "gridpatrol_partitions"} <= gateway & names_of(live_page)


def names_of(page: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(page)}


def test_a_worker_tells_how_long_its_oldest_record_waits_and_when_enough_is_at_hand(sqlite_url, monkeypatch):
    with prepared(sqlite_url) as engine:
        member = worker_of(engine)
        value = member.engine.counters.registry.get_sample_value
        assert value("gridpatrol_inbox_oldest_seconds") == 0
        decided, stamp = member.engine.rows[0].position, now_ms() - 60_000
        records = [InboxRow(0, decided + n, stamp + n, "event", "local", "{}") for n in range(-1, 3)]
        member.inbox._tails = {0: deque([structs.replace(records[0], stamp=1), *records[1:]])}
        assert value("gridpatrol_inbox_oldest_seconds") == pytest.approx(60, abs=30)
        assert value("gridpatrol_backpressure") == 0
        monkeypatch.setattr(partition_consumer, "ENOUGH", 4)
        assert value("gridpatrol_backpressure") == 1


def test_a_worker_whose_turn_does_not_end_says_so(sqlite_url):
    with prepared(sqlite_url) as engine:
        member = worker_of(engine)
        assert not member.ready()
        member.began_s -= 90
        assert "began 90 s ago" in member.ready()
        age = member.engine.counters.registry.get_sample_value("gridpatrol_turn_age_seconds")
        assert age == pytest.approx(90, abs=30)


def test_consumers_are_watched_under_the_names_by_which_they_keep_their_positions():
    assert set(gauges.CONSUMERS) == {fold.NAME, consume.NAME}


# ---- rules --------------------------------------------------------------------------------------------------


def test_every_rule_asks_for_metrics_and_labels_that_are_exported(known):
    for rule in RULES:
        promql.labels(rule["expr"], known)


def test_a_recorded_series_is_named_after_what_it_is_made_of(known):
    for rule in RECORDS:
        level, metric, operation = rule["record"].split(":")
        assert promql.labels(rule["expr"], known) == frozenset([level])
        assert metric in known and re.match(rf"{operation} by", rule["expr"])


@each_alarm
def test_an_alarm_says_what_is_wrong_in_two_languages_and_what_to_do(alarm, known):
    assert alarm["labels"]["severity"] in ("critical", "warning", "info")
    assert alarm["labels"]["audience"] in ("supervision", "operations")
    texts = alarm["annotations"]
    assert set(texts) == {"summary", "summary_zh", "description", "description_zh", "runbook"}
    for name, text in texts.items():
        assert bool(re.search(r"[\u4e00-\u9fff]", text)) or not name.endswith("_zh"), name
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(texts.values())))
    assert named <= promql.labels(alarm["expr"], known)


def commands() -> Iterator[str]:
    """Commands of ours that runbooks, dashboards and configurations tell people to run."""
    for path in (*DOCKER.rglob("*"), *OPS.rglob("*")):
        if path.is_file() and path.suffix in (".yml", ".yaml", ".json", ".sh"):
            yield from re.findall(r"\bgridpatrol ((?:[a-z]+ ?)+)", " ".join(_told(path.read_text(encoding="utf-8"))))


def _told(text: str) -> list[str]:
    return re.findall(r"`(gridpatrol [^`]+)`", text) + re.findall(r'"description": "(gridpatrol [^"]+)"', text)


def test_every_command_that_somebody_is_told_to_run_exists():
    named = set(commands())
    assert len(named) >= 5
    for words in named:
        command: Any = main
        for word in words.split():
            if not hasattr(command, "get_command"):
                break
            command = command.get_command(None, word)
            assert command is not None, words


def test_every_alarm_is_tested_and_every_test_is_of_an_alarm():
    tested = set(re.findall(r"\bGridpatrol\w+", (PROMETHEUS / "rules_test.yml").read_text(encoding="utf-8")))
    assert tested == {rule["alert"] for rule in ALARMS}


def test_the_expressions_of_the_rules_tests_are_understood_too(known):
    for test in read(PROMETHEUS / "rules_test.yml")["tests"]:
        for series in test["input_series"]:
            promql.labels(series["series"], known)
        for asked in test["promql_expr_test"]:
            promql.labels(asked["expr"], known)


# ---- who is asked, who is told ------------------------------------------------------------------------------


def test_prometheus_asks_every_role_where_it_listens():
    config = read(DOCKER / "prometheus" / "prometheus.yml")
    asked = {
        (job["job_name"], target)
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    roles = [service for service in SERVICES.values() if service.port]
    assert asked == {(service.command[-1], f"{service.name}:{service.port}") for service in roles}
    assert config["rule_files"] == ["rules.yml"]
    assert all("watch" in service.networks for service in roles)


def test_alarms_speak_of_the_jobs_that_there_are(known):
    jobs = "|".join([ops_files.SERVE_JOB, *ops_files.jobs_of(Settings(), cluster=True)])
    asked = [job["job_name"] for job in read(DOCKER / "prometheus" / "prometheus.yml")["scrape_configs"]]
    assert jobs == "|".join([ops_files.SERVE_JOB, *asked])
    for rule in ALARMS:
        assert set(re.findall(r'job=~"([^"]+)"', rule["expr"])) <= {jobs}


def test_prometheus_grafana_and_alertmanager_find_each_other():
    [alertmanager] = read(DOCKER / "prometheus" / "prometheus.yml")["alerting"]["alertmanagers"]
    [source] = read(DOCKER / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    for address in (*alertmanager["static_configs"][0]["targets"], source["url"].removeprefix("http://")):
        name, _, port = address.partition(":")
        assert [int(port)] == [published.target for published in SERVICES[name].ports]


def test_every_alarm_reaches_a_receiver_and_a_secret_is_read_from_its_file():
    config = read(OPS / "alertmanager" / "alertmanager.yml")
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    assert {config["route"]["receiver"], *(r["receiver"] for r in config["route"]["routes"] if "receiver" in r)} <= set(
        receivers
    )
    for hook in receivers["webhook"]["webhook_configs"]:
        assert hook["url_file"].removeprefix("/run/secrets/") in SERVICES["alertmanager"].secrets
    assert receivers["screen"] == {"name": "screen"}, "delivered so that it works without being configured"


def test_the_partitions_of_the_setup_are_those_of_a_default_installation():
    assert SERVICES["setup"].environment["GRIDPATROL_PARTITIONS"] == str(Settings().partitions)


# ---- dashboards ---------------------------------------------------------------------------------------------


def test_supervisors_and_operations_have_one_each():
    assert DASHBOARDS.keys() == {"supervision", "operations"}
    assert len({board["uid"] for board in DASHBOARDS.values()}) == 2
    [provider] = read(GRAFANA / "provisioning" / "dashboards" / "dashboards.yaml")["providers"]
    mounted = dict(mount.split(":")[:2] for mount in SERVICES["grafana"].told["volumes"])
    assert mounted["../gridpatrol/data/ops/grafana/dashboards"] == provider["options"]["path"]
    home = SERVICES["grafana"].environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (GRAFANA / "dashboards" / Path(home).name).is_file() and home.startswith(provider["options"]["path"])


@each_board
def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other(board):
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


@each_board
def test_dashboards_link_to_each_other(board):
    uids = {other["uid"] for other in DASHBOARDS.values()}
    assert {link["url"].removeprefix("/d/") for link in board["links"]} == uids - {board["uid"]}


@each_panel
def test_a_panel_has_a_title_in_two_languages_and_asks_the_source_that_is_provisioned(board, panel):
    assert re.search(r"[\u4e00-\u9fff]", panel["title"]) and re.search(r"[a-z]{3}", panel["title"])
    [source] = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    for asking in (panel, *panel["targets"]):
        assert asking["datasource"] == {"type": source["type"], "uid": source["uid"]}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@each_panel
def test_a_panel_asks_for_what_is_exported_and_names_lines_after_labels_that_they_have(board, panel, known):
    for target in panel["targets"]:
        found = promql.labels(target["expr"], known)
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= found
        for transformation in panel.get("transformations", []):
            options = transformation["options"]
            assert {options[key] for key in ("rowField", "columnField") if key in options} <= found


def test_everything_that_is_exported_is_seen_somewhere(exported):
    asked = " ".join(
        [target["expr"] for _, panel in SHOWN for target in panel["targets"]] + [rule["expr"] for rule in RULES]
    )
    for name in exported:
        if name.startswith(("process_", "python_")):  # the client library says more than anybody needs
            continue
        assert name.rpartition("_")[2] in NOT_SHOWN or re.search(rf"\b{name}\b", asked), name


# ---- the reader of expressions ------------------------------------------------------------------------------

SOME = {"a": frozenset({"x", "y"}), "b": frozenset({"x", "z"}), "h_bucket": frozenset({"le", "x"})}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("a", "xy"),
        ('a{x="1"} > 2', "xy"),
        ("sum(a)", ""),
        ("sum by (x) (a)", "x"),
        ("sum without (x) (a)", "y"),
        ("topk(3, a)", "xy"),
        ("rate(a[5m])", "xy"),
        ("absent(a)", ""),
        ("max_over_time(sum by (x) (a)[1h:1m])", "x"),
        ("histogram_quantile(0.9, sum by (le, x) (h_bucket))", "x"),
        ("-a * 2", "xy"),
        ("a * on (x) group_left (z) b", "xyz"),
        ("a / on (x) b", "x"),
        ("1 - sum(a)", ""),
    ],
)
def test_labels_of_a_result_are_known(expression, labels):
    assert promql.labels(expression, SOME) == frozenset(labels)


@pytest.mark.parametrize(
    "expression",
    [
        "c",
        'a{z="1"}',
        "sum by (z) (a)",
        "sum by (y) (sum by (x) (a))",
        "rate(c[5m])",
        "a > on (y) b",
        "histogram_quantile(0.9, sum by (x) (h_bucket))",
        "a offset 5m > c",
    ],
)
def test_what_does_not_exist_is_noticed(expression):
    with pytest.raises(promql.Unknown):
        promql.labels(expression, SOME)


# ---- Prometheus' own tools ----------------------------------------------------------------------------------

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="no promtool here (Debian package prometheus); expressions and names are checked all the same",
)


def run(*command: str) -> None:
    """Run a checker in the folder of the rules; what it prints is the reason of a failure."""
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_promtool_takes_the_configuration_and_the_rules():
    run("promtool", "check", "config", str(DOCKER / "prometheus" / "prometheus.yml"), "--syntax-only")
    run("promtool", "check", "rules", "rules.yml")


@promtool
def test_promtool_finds_every_alarm_to_fire_when_it_should_and_not_before():
    run("promtool", "test", "rules", "rules_test.yml")


@pytest.mark.skipif(shutil.which("amtool") is None, reason="no amtool here; routes and receivers are checked")
def test_amtool_takes_the_configuration(tmp_path):
    text = (OPS / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    answer = subprocess.run(["amtool", "--version"], capture_output=True, text=True, timeout=60)
    found = re.search(r"version (\d+)\.(\d+)", answer.stdout + answer.stderr)  # one built from source tells no number
    if found is not None and (int(found[1]), int(found[2])) < (0, 26):  # addresses come from files since then
        text = re.sub(r"url_file: \S+", "url: http://127.0.0.1/", text)
    (config := tmp_path / "alertmanager.yml").write_text(text, encoding="utf-8")
    run("amtool", "check-config", str(config))
