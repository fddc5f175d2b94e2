"""A county moves from one process to the cluster, word for word as docs/growing-up.md says, and loses nothing.

Enters: the commands of that page; an embedded server with traffic, killed; a broker and a PostgreSQL.
Leaves: roles that go on with everything that was open, and facts and figures that an embedded run gives as well. Each
step that is forgotten is refused, with the command that makes up for it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from consumers import verify
from consumers.alerts import fold
from engine import admission
from engine.clock import now_ms
from engine.cluster import clients
from engine.cluster.relay import NAME as STEPS
from engine.packs import folder_of
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import inbox_table, outbox, slices
from engine.store.database import open_database
from engine.store.rows import InboxRow, LetterRow
from engine.views.figure_question import GROUPINGS
from gridpatrol.demo.month import write_month
from gridpatrol.render.readme import DOCS
from lab.installation import Installation, installation
from lab.parts.postgres import fresh_database
from lab.parts.processes import eventually
from lab.parts.topics import Sent, by_kafka_python, read_topic
from lab.runs import storm
from schemas.refusals import Refusal
from schemas.topics import Topics
from tests.acceptance.test_cli_serve import GRIDPATROL, environment, run, server
from tests.support import postgres_tools
from workflows.decide import DUE

PARTITIONS = 8
OLD = "sqlite:///var/gridpatrol.db"
NAME = "a name that is sealed"
HALF_HOUR_MS = 30 * 60_000
"""How long somebody has to dissuade, at any hour: the limit of the sample pack."""
DUE_IN_MS = 20_000
"""Enough to kill the server before it, and short enough to fall into the move."""
[SCRIPT] = re.findall(r"```sh\n(.*?)```", (DOCS / "growing-up.md").read_text(encoding="utf-8"), re.DOTALL)
"""The procedure: the one block of that page that a shell runs."""


class County:
    """Where the commands are given: a folder with `var/`, `gridpatrol` on the path, addresses of the new parts."""

    def __init__(self, folder: Path, kafka: str, database: str, prefix: str) -> None:
        self.folder, self.kafka, self.database, self.prefix = folder, kafka, database, prefix
        (folder / "bin").mkdir()
        command = folder / "bin" / "gridpatrol"
        command.write_text(f'#!/bin/sh\nexec {shlex.join(GRIDPATROL)} "$@"\n')
        command.chmod(0o755)
        self.before: dict[str, Any] = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "GRIDPATROL_PARTITIONS": str(PARTITIONS),
            "GRIDPATROL_KAFKA_PREFIX": prefix,
            "GRIDPATROL_KAFKA_SESSION_MS": "3000",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.after: dict[str, Any] = self.before | {"GRIDPATROL_DATABASE": database, "GRIDPATROL_KAFKA": kafka}

    def written(self, script: str) -> str:
        """The page's words with the addresses of these parts."""
        for example, real in (
            ("postgresql://gridpatrol@db.example/gridpatrol", shlex.quote(self.database)),
            ("broker-1.example:9092", self.kafka),
        ):
            assert example in script
            script = script.replace(example, real)
        return script

    def run(self, *words: str, **more: Any) -> str:
        """A command with the settings of after the move; what it printed."""
        return run(self.folder, *words, **self.after | more).stdout

    def refused(self, *words: str, status: int = 1, **environ: Any) -> str:
        """What a command says that is refused, or may be tried again (75)."""
        return run(self.folder, *words, status=status, **environ).stderr

    @contextmanager
    def served(self) -> Iterator[Cluster]:
        """The procedure's last line, running. It does not outlive the block."""
        log = self.folder / "roles.txt"
        settings = [line for line in SCRIPT.splitlines() if line.startswith("export ")]
        told = "\n".join([*settings, f"exec {SCRIPT.splitlines()[-1]}"])
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-ec", self.written(told)],
                cwd=self.folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=environment(**self.before, GRIDPATROL_LISTEN="127.0.0.1:0"),
            )
        try:
            yield Cluster(process, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Cluster:
    """The roles, with the address of the gateway."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.url = eventually(self._address, lambda: f"a gateway\n{log.read_text()[-3000:]}")

    def _address(self) -> str:
        assert self.process.poll() is None, self.log.read_text()
        for line in self.log.read_text().splitlines():
            found = re.search(r"url='?(http://[^\s']+)", line)
            if found and "partitions=" in line:
                return found[1]
        return ""

    def ready(self) -> bool:
        """Whether the gateway works."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False


def tell(url: str, *events: dict[str, Any], wait_s: int = 20) -> list[str]:
    """Publish, and what became of each event; its status where nobody waits."""
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    headers |= {"Prefer": f"wait={wait_s}; parked=0"} if wait_s else {}
    answer = httpx.post(f"{url}/v1/events", content=json.dumps(events), headers=headers, timeout=60)
    assert answer.status_code in (200, 202), answer.text
    return [result.get("outcome") or result["status"] for result in answer.json()["results"]]


def event(id_: str, kind: str, grid: str, actor: str, at_ms: int | None = None, **data: Any) -> dict[str, Any]:
    """One that somebody says of the only live incident of a grid of the third level."""
    if kind == "report.submitted":
        data = {"category": "D3-01", "source": "patrol", "grid": f"{grid}-01", **data}
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "/phone",
        "type": f"gridpatrol.{kind}.v1",
        "subject": subject(grid),
        "time": datetime.fromtimestamp((at_ms or now_ms()) / 1000, UTC).isoformat(),
        "actor": f"{grid}-{actor}",
        "data": data,
    }


def subject(grid: str) -> str:
    return f"{grid}.019ca8f8-5a00-7000-8000-00000000f001"


def report(id_: str, grid: str, actor: str = "01-MEMBER", at_ms: int | None = None) -> dict[str, Any]:
    return event(id_, "report.submitted", grid, actor, at_ms, reporter_name=NAME)


@pytest.fixture
def county(tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str) -> County:
    return County(tmp_path, kafka_server, postgres_url, kafka_prefix)


# ---- before -------------------------------------------------------------------------------------------------


class Before:
    """What there was when the embedded server was killed."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.due_ms = 0
        self.heard = ""  # the subscriber's last event id
        self.ends: dict[int, int] = {}  # numbers of steps by partition
        self.lines = 0  # of the feed
        self.letters: set[str] = set()
        self.refused = ""  # a letter that is replayed after the move


def lived(county: County) -> Before:
    """A month of traffic, then live events of every kind; killed twice, the second time right after a 202."""
    was, folder = Before(), county.folder
    until = datetime.fromtimestamp(now_ms() / 1000 - 600, UTC)
    write_month(folder / "month.jsonl", folder_of("weiyang"), until, seed=11, incidents=60)
    run(folder, "replay", "month.jsonl", "--until", until.isoformat(), status=1, **county.before)  # some are refused
    was.sent = [
        report("old", "WY01"),
        report("urged", "WY05"),
        report("erased", "WY11"),
        report("new", "WY04", "01-NEW"),
        report("never", "WY04", "01-NOBODY"),
    ]
    early = event("early", "dissuasion.recorded", "WY03", "01-MEMBER", outcome="ineffective")
    settled = _appended_from_the_future(county, report("ahead", "WY10"))
    with server(folder, **county.before) as running:
        assert tell(running.url, *was.sent) == ["done"] * 3 + ["refused"] * 2
        assert tell(running.url, early) == ["parked"]
        run(folder, "log", "settle", *settled, "--stamp", datetime.now(UTC).isoformat(), **county.before)
        for number in range(3):
            urged = event(f"urge-{number}", "incident.urged", "WY05", "CHIEF", note="please")
            assert tell(running.url, urged) == ["done"]
        running.stop(signal.SIGKILL)
    undecided = [report(f"undecided-{grid}", grid) for grid in ("WY06", "WY07", "WY08")]
    with server(folder, **county.before) as running:
        was.due_ms = now_ms() + DUE_IN_MS
        late = report("late", "WY02", at_ms=was.due_ms - HALF_HOUR_MS)
        assert tell(running.url, late) == ["done"]
        running.stop(signal.SIGKILL)
    _append(county, now_ms(), *undecided)  # as a process that is killed before it decides them
    was.sent += [early, late, *undecided]
    assert now_ms() < was.due_ms, "this machine is too slow for the drill: the deadline has passed already"
    _look(county, was)
    return was


def _append(county: County, stamp: int, *sent: dict[str, Any]) -> list[InboxRow]:
    """Records that lie in the log undecided."""
    received = [admission.receive(json.dumps(each).encode(), "local", PARTITIONS) for each in sent]
    assert not any(isinstance(each, Refusal) for each in received)
    with closing(open_database(f"sqlite:///{county.folder}/var/gridpatrol.db")) as database:
        engine = Engine(database, Settings(partitions=PARTITIONS))
        return engine.append([each[0] for each in received if not isinstance(each, Refusal)], stamp)


def _appended_from_the_future(county: County, sent: dict[str, Any]) -> tuple[str, str]:
    """A record that halts its partition until somebody settles it. Where it lies."""
    [row] = _append(county, now_ms() + 3_600_000, sent)
    return str(row.partition), str(row.position)


def _look(county: County, was: Before) -> None:
    """Note what there is, and that there is what the drill is about."""
    with closing(open_database(f"sqlite:///{county.folder}/var/gridpatrol.db")) as database:
        with database.read() as connection:
            rows = slices.read_partitions(connection)
            heads = inbox_table.read_heads(connection)
            letters = outbox.read_letters(connection, 10_000)
            was.lines = connection.exec_driver_sql("SELECT max(number) FROM deliveries").scalar_one()
        was.ends = {row.partition: row.n for row in rows}
        was.letters = {letter.id for letter in letters}
        was.refused = _of(letters, "new")
        was.heard = f"{fold.epoch(database)}-{was.lines - 5}"
    assert sum(heads.get(row.partition, 0) - row.position for row in rows) >= 3, "nothing is left undecided"
    assert len(was.letters) > 2 and was.lines > 10 and sum(was.ends.values()) > 200


def _of(letters: list[LetterRow], event_id: str) -> str:
    [found] = [letter.id for letter in letters if letter.event_id == event_id]
    return found


# ---- the drill ----------------------------------------------------------------------------------------------


def test_a_county_moves_to_the_cluster_by_the_commands_of_the_page(county: County) -> None:
    was = lived(county)
    steps = "\n".join(SCRIPT.splitlines()[:-1])
    done = subprocess.run(
        ["bash", "-ec", county.written(steps)],
        cwd=county.folder,
        env=environment(**county.before),
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not (county.folder / "var" / "gridpatrol.db").exists()
    time.sleep(max(0.0, (was.due_ms - now_ms()) / 1000 + 0.5))
    began_ms = now_ms()
    with county.served() as cluster:
        _resend(cluster, was)
        _fell_due_during_the_move(county, was, began_ms)
        _lives_on(county, cluster, was)
        _feed_goes_on(county, was)
        _erased(county)
        _comes_to_rest(county)
        assert county.run("verify").startswith("Everything")
        assert cluster.process.poll() is None
        _topics_tell_what_is_new(county, was)
        _replayed_embedded_it_is_the_same(county, cluster)


def _resend(cluster: Cluster, was: Before) -> None:
    """Every phone sends again what it has sent: each was taken once."""
    eventually(cluster.ready, "a gateway that is ready")
    assert tell(cluster.url, *was.sent) == ["duplicate"] * len(was.sent)


def _fell_due_during_the_move(county: County, was: Before, began_ms: int) -> None:
    """It fires once, when the roles are there, and is dated when it was due."""

    def fired() -> list[dict[str, Any]]:
        told = map(json.loads, county.run("facts", "export").splitlines())
        return [step for step in told if step["case"] == subject("WY02") and step["cause"]["type"] == DUE]

    [step] = eventually(fired, "the deadline that fell into the move")
    assert step["at"] > began_ms > was.due_ms
    [rung] = [fact for fact in step["facts"] if fact["fact"] == "clock.rung" and fact.get("breach")]
    assert rung["due_at"] == rung["due"] == was.due_ms


def _lives_on(county: County, cluster: Cluster, was: Before) -> None:
    """An old incident is closed, a parked event finds its report, a dead letter is replayed under a new pack."""
    story = [
        event("1", "dissuasion.recorded", "WY01", "01-MEMBER", outcome="effective"),
        event("2", "verification.recorded", "WY01", "01-MEMBER", outcome="solved"),
        event("3", "incident.closed", "WY01", "01-CHIEF"),
    ]
    for said in story:
        assert tell(cluster.url, said) == ["done"]
    assert _state(cluster, "WY01") == "closed"

    assert tell(cluster.url, report("awaited", "WY03", at_ms=now_ms() - 60_000)) == ["done"]
    assert _state(cluster, "WY03") == "dissuading"

    pack = county.folder / "pack"
    shutil.copytree(folder_of("weiyang"), pack)
    with (pack / "posts.csv").open("a", encoding="utf-8") as posts:
        posts.write("WY04-01-NEW,新网格员,member,WY04-01,,,,\n")
    assert "is active" in county.run("pack", "activate", str(pack))
    replay = ("deadletter", "replay", was.refused)
    answer = f"{was.refused}: done"  # refused at first, where its partition has not heard of the new pack yet
    eventually(lambda: county.run(*replay, status=None).strip() == answer, "a letter that is taken")


def _state(cluster: Cluster, grid: str) -> str:
    answer = httpx.get(f"{cluster.url}/v1/incidents/{subject(grid)}", timeout=30)
    assert answer.status_code == 200, answer.text
    state: str = answer.json()["state"]
    return state


def _feed_goes_on(county: County, was: Before) -> None:
    """A subscriber that missed the last lines before the move is told them after it, and goes on, in the same epoch."""
    epoch, _, last = was.heard.rpartition("-")
    count = was.lines - int(last) + 1
    lines = county.run("alert", "follow", "--json", "--since", was.heard, "--count", str(count)).splitlines()
    assert [json.loads(line)["last_event_id"] for line in lines] == [
        f"{epoch}-{number}" for number in range(int(last) + 1, was.lines + 2)
    ]


def _erased(county: County) -> None:
    """What was sealed before the move is found and erased after it, through the gateway."""
    erased = json.loads(county.run("incident", "erase", "--json", subject("WY11")))
    assert (erased["events"], erased["letters"]) == (1, 0)


def _comes_to_rest(county: County) -> None:
    """Until everything in the log is decided, folded, told and published, twice in a row."""

    def rested() -> bool:
        with closing(open_database(county.database)) as database, database.read() as connection:
            ends = {row.partition: row.n for row in slices.read_partitions(connection)}
            reached = [
                {
                    p: n
                    for _, p, n in connection.exec_driver_sql(
                        f"SELECT consumer, partition, n FROM positions WHERE consumer = '{name}' AND n > 0"
                    )
                }
                for name in ("performance", "alerts", STEPS)
            ]
            left = connection.exec_driver_sql("SELECT count(*) FROM untold").scalar_one()
            fed = outbox.read_lines(connection, 1)[1] + outbox.read_letters(connection, 1)
        return not left and not fed and all(found == {p: n for p, n in ends.items() if n} for found in reached)

    eventually(rested, "rest")
    time.sleep(1)
    eventually(rested, "rest that lasts")


def _topics_tell_what_is_new(county: County, was: Before) -> None:
    """Steps, lines and letters of after the move, from the first one on; of the figures all, as they stand."""
    names = Topics(county.prefix)
    facts: dict[int, list[int]] = {}
    for message in read_topic(county.kafka, names.facts):
        facts.setdefault(message.partition, []).append(json.loads(message.value)["n"])
    assert len(facts) > 3
    assert {p: min(told) for p, told in facts.items()} == {p: was.ends[p] + 1 for p in facts}
    lines = [json.loads(message.value) for message in read_topic(county.kafka, names.alerts)]
    assert lines[0]["number"] == was.lines + 1
    letters = {json.loads(message.value)["id"] for message in read_topic(county.kafka, names.deadletter)}
    assert not letters & was.letters
    told = {message.key: json.loads(message.value)["value"] for message in read_topic(county.kafka, names.performance)}
    with closing(open_database(county.database)) as database, database.read() as connection:
        stand = connection.exec_driver_sql("SELECT count(*), sum(value) FROM figures WHERE value <> 0").one()
    assert (sum(value != 0 for value in told.values()), sum(told.values())) == tuple(stand)


SAME = {
    "figures": "SELECT * FROM figures WHERE value <> 0",
    "outcomes": "SELECT * FROM outcomes",
    "contributions": "SELECT * FROM contributions",
    "alerts": "SELECT * FROM alerts",
    "cases": "SELECT * FROM cases",
}
"""What follows from the log alone."""


def _replayed_embedded_it_is_the_same(county: County, cluster: Cluster) -> None:
    """The exported log, of which one part lay in a table and the other in a topic: facts, tables, and what a supervisor
    is answered."""
    for _ in range(5):
        _comes_to_rest(county)
        began = _numbers(county)
        there, here = _here_and_there(county, cluster)
        if _numbers(county) == began:  # nothing fell due meanwhile
            break
    assert there == here
    assert all(there)


def _here_and_there(county: County, cluster: Cluster) -> tuple[list[Any], list[Any]]:
    """Facts, tables and answers of the cluster, and of one process that has replayed its log."""
    (county.folder / "again.db").unlink(missing_ok=True)
    again: dict[str, Any] = {"GRIDPATROL_DATABASE": "sqlite:///again.db", "GRIDPATROL_KAFKA": ""}
    county.run("log", "export", "-o", "log.jsonl")
    county.run("replay", "log.jsonl", **again | {"GRIDPATROL_KAFKA": county.kafka})
    there: list[Any] = [county.run("facts", "export")]
    here: list[Any] = [county.run("facts", "export", **again)]
    for url, found in ((county.database, there), (f"sqlite:///{county.folder}/again.db", here)):
        with closing(open_database(url)) as database, database.read() as connection:
            for sql in SAME.values():
                found.append(sorted(map(tuple, connection.exec_driver_sql(sql)), key=repr))
            found.append("recounted" if verify.verify(database) == [] else "")
    with server(county.folder, **county.before | again) as alone:
        for url, found in ((cluster.url, there), (alone.url, here)):
            asked = [httpx.get(f"{url}/v1/performance?by={by}&from=2020-01-01", timeout=30) for by in GROUPINGS]
            found += [answer.json()["rows"] for answer in asked]
    return there, here


def _numbers(county: County) -> list[int]:
    """The last number of each partition's steps."""
    with closing(open_database(county.database)) as database, database.read() as connection:
        return [row.n for row in slices.read_partitions(connection)]


# ---- forgotten steps ----------------------------------------------------------------------------------------


def test_a_step_that_is_forgotten_is_refused_with_the_command_that_makes_up_for_it(county: County) -> None:
    copy = ("db", "copy", "--from", OLD, "--database", county.database)
    with server(county.folder, **county.before) as running:
        tell(running.url, report("1", "WY01"))
        assert "Stop it" in county.refused(*copy, status=75, **county.before), "the old server still runs"
    old = county.before | {"GRIDPATROL_KAFKA": county.kafka}
    assert "gridpatrol db copy" in county.refused("topic", "create", **old), "the database was not moved"
    county.run(*copy)
    assert "Name an empty database" in county.refused(*copy, **county.before), "it was moved already"
    for role in ("gateway", "worker", "performance", "alerts"):
        said = county.refused("serve", "--role", role, "--listen", "127.0.0.1:0", **county.after)
        assert "Run `gridpatrol topic create`." in said, role
    another = county.after | {"GRIDPATROL_PARTITIONS": "16"}
    assert f"GRIDPATROL_PARTITIONS={PARTITIONS}" in county.refused("topic", "create", **another)
    with server(county.folder, **county.before, GRIDPATROL_DATABASE=county.database):
        said = county.refused("topic", "create", status=75, **county.after)
        assert "Stop its server first." in said, "an embedded server has the new database"
    county.run("topic", "create")
    said = county.refused("serve", "--listen", "127.0.0.1:0", **county.before, GRIDPATROL_DATABASE=county.database)
    assert "GRIDPATROL_KAFKA" in said, "an embedded server on the database that was moved"
    assert "exists" in county.run("topic", "create"), "once more: nothing is wrong"


def test_topics_of_another_database_are_refused_and_what_an_operator_has_set_stays(
    county: County, postgres_server: Any
) -> None:
    inbox = Topics(county.prefix).inbox
    run(county.folder, "db", "upgrade", **county.after)
    county.run("topic", "create")
    chosen = {"retention.ms": "86400000", "message.timestamp.type": "CreateTime"}
    with closing(clients.admin(Settings(kafka=county.kafka))) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, inbox, chosen)])
        county.run("topic", "create")
        asked = ConfigResource(ConfigResourceType.TOPIC, inbox, dict.fromkeys(chosen))
        found = admin.describe_configs([asked], config_filter="all")["topic"][inbox]
    assert found["retention.ms"]["value"] == "86400000"
    assert found["message.timestamp.type"]["value"] == "LogAppendTime", "what the engine needs is mended"

    by_kafka_python(county.kafka, inbox, [Sent(b"{}", partition=3)])
    with fresh_database(postgres_server) as other:
        another = county.after | {"GRIDPATROL_DATABASE": other}
        run(county.folder, "db", "upgrade", **another)
        assert "GRIDPATROL_KAFKA_PREFIX" in county.refused("topic", "create", **another)


def test_a_log_whose_beginning_is_gone_is_not_exported_and_it_is_said_what_is_there(county: County) -> None:
    inbox = Topics(county.prefix).inbox
    run(county.folder, "db", "upgrade", **county.after)
    county.run("topic", "create")
    by_kafka_python(county.kafka, inbox, [Sent(b"{}", partition=3)] * 5)
    with closing(clients.admin(Settings(kafka=county.kafka))) as admin:
        admin.delete_records({TopicPartition(inbox, 3): 2})
    (county.folder / "log.jsonl").write_text("an earlier export")
    said = county.refused("log", "export", "-o", "log.jsonl", **county.after)
    assert "begins at offset 2" in said and "gridpatrol facts export" in said
    assert (county.folder / "log.jsonl").read_text() == "an earlier export"


def test_a_restored_database_decides_again_what_came_after_its_backup_to_the_same_facts(county: County) -> None:
    """By the words of docs/operations.md. The inbox topic has all of it, and the others are ahead of the database. What
    is sent again meanwhile was decided already, or is by then."""
    first, second, file = storm()[:80], storm()[80:160], county.folder / "a.dump"
    with installation(county.folder, county.kafka, county.database, prefix=county.prefix) as built:
        _publish(built, first)
        postgres_tools.dump(county.database, file)
        built.publish(second, wait=30)
        _comes_to_rest(county)
        built.stop()
    facts = county.run("facts", "export")
    postgres_tools.restore(county.database, file)
    assert county.run("facts", "export") not in ("", facts)
    assert "begins anew" in county.run("restore", "--in-place")
    restored = Installation(county.folder, county.kafka, county.database, prefix=county.prefix)
    try:
        answers = _publish(restored, second)
        assert set(answers) <= {"duplicate", "refused", "conflict"} and "duplicate" in answers
        _comes_to_rest(county)
        restored.stop()
    finally:
        restored.kill()
    again = county.run("facts", "export")
    assert set(facts.splitlines()) <= set(again.splitlines()), "what fell due meanwhile may come beside it"
    assert county.run("verify").startswith("Everything")


def _publish(built: Installation, events: Sequence[bytes]) -> list[str]:
    """Start every role, publish, and wait for what becomes of each event."""
    names = ("gateway-1", "worker-1", "performance-1", "alerts-1")
    built.start(*names)
    built.await_ready(*names)
    answer = built.publish(events, wait=30)
    return [result["outcome"] for result in answer["results"] if result["status"] == "accepted"]
