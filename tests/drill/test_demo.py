"""The demo with real processes: a server on its own database, and the traffic that speaks to it over HTTP.

Enters: an empty database, or one that holds a month that ended a week ago. Leaves: what a newcomer sees soon, and
that both processes end when they are told to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from engine.packs import folder_of
from engine.principals import digest_of, new_token
from gridpatrol.client import ServerAway
from gridpatrol.demo.incident_script import MAIN_LINE
from gridpatrol.demo.month import write_month
from gridpatrol.demo.traffic import Traffic
from tests.support.forks import command_in

ROOT = Path(__file__).resolve().parents[2]
PACK = folder_of("weiyang")
GRIDPATROL = [sys.executable, "-m", "gridpatrol"]
TRAFFIC = [sys.executable, "-m", "gridpatrol.demo.traffic", "--pack", str(PACK)]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
OVER_A_YEAR = "\n## Over a year\n"
"""The heading of the page behind which the year stands."""
SOON_S = 300
"""What takes seconds may take minutes on a machine that is busy with other things."""


@contextmanager
def process(command: list[str], log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the test."""
    environment = clean() | settings
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent, env=environment)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def clean() -> dict[str, str]:
    """The environment without anybody's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}


def end(running: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Tell a process to stop; its status once it has."""
    running.send_signal(number)
    return running.wait(SOON_S)


def until(seconds: float, question: Callable[[], Any]) -> Any:
    """The first answer that is true, asked again and again for so long."""
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def get(url: str, token: str = "") -> Any:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["content-type"] else text


@contextmanager
def server(folder: Path, database: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on a free port, once its door is open."""
    log = folder / "serve.log"
    command = [*GRIDPATROL, "serve", "--listen", "127.0.0.1:0", "--database", database, "--pack", str(PACK)]
    with process(command, log) as running:
        found = until(SOON_S, lambda: running.poll() is not None or re.search(r"listens at (\S+)", log.read_text()))
        assert isinstance(found, re.Match), log.read_text()
        yield found[1], running


@pytest.fixture(scope="module", params=["an empty database", "a month that ended a week ago"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("demo")
    url = f"sqlite:///{folder / 'demo.db'}"
    if request.param != "an empty database":
        file = folder / "month.jsonl"
        write_month(file, PACK, datetime.now(UTC) - timedelta(days=7), seed=1, incidents=150)
        command = [*GRIDPATROL, "replay", str(file), "--database", url, "--pack", str(PACK)]
        done = subprocess.run(command, check=False, capture_output=True, cwd=folder, env=clean())
        assert done.returncode == 1, done.stderr  # some events of the month are refused on purpose
    return url


def standing(url: str) -> dict[str, list[dict[str, Any]]]:
    """The open incidents by state."""
    by_state: dict[str, list[dict[str, Any]]] = {}
    for line in get(f"{url}/v1/incidents?limit=500")["incidents"]:
        by_state.setdefault(line["state"], []).append(line)
    return by_state


def refused(url: str) -> list[str]:
    """The lines of the metrics page that count refused events."""
    lines = get(f"{url}/metrics").splitlines()
    return [line for line in lines if line.startswith("gridpatrol_events_total") and 'outcome="refused"' in line]


def mixed(url: str, since: datetime) -> bool:
    """An incident in each state of the main line, one overdue, one reported since the start."""
    by_state = standing(url)
    lines = [line for lines in by_state.values() for line in lines]
    fresh = any(datetime.fromisoformat(line["opened_at"]) >= since for line in lines if line["opened_at"])
    return fresh and any(line["overdue"] for line in lines) and all(by_state.get(state) for state in MAIN_LINE)


def test_soon_every_state_stands_one_is_late_one_is_new_and_both_stop_in_order(database: str, tmp_path: Path) -> None:
    with server(tmp_path, database) as (url, serving):
        since = datetime.now(UTC)
        with process([*TRAFFIC, "--url", url, "--rate", "8"], tmp_path / "traffic.log") as traffic:
            assert until(SOON_S, lambda: mixed(url, since)), standing(url)
            for state, lines in standing(url).items():
                history = get(f"{url}/v1/incidents/{lines[0]['id']}")["history"]
                first = history[0]["cause"]
                assert first["type"] == "gridpatrol.report.submitted.v1", state
                assert first["actor"] and first["source"].startswith("/demo/")
            assert until(SOON_S, lambda: get(f"{url}/v1/alerts")["alerts"])
            time.sleep(3)
            assert mixed(url, since), "the traffic moved on what has to stand"
            assert end(traffic) == 0
        assert refused(url) == []
        assert (tmp_path / "traffic.log").read_text() == ""
        assert end(serving, signal.SIGINT) == 0


def test_the_traffic_leaves_alone_what_others_report(tmp_path: Path) -> None:
    with server(tmp_path, f"sqlite:///{tmp_path / 'demo.db'}") as (url, _):
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "newcomer",
            "type": "gridpatrol.report.submitted.v1",
            "subject": "WY01.01900000-0000-7000-8000-000000000001",
            "time": datetime.now(UTC).isoformat(),
            "actor": "WY01-01-MEMBER",
            "data": {"category": "D3-01", "source": "patrol", "grid": "WY01-01"},
        }
        headers = {"Content-Type": "application/cloudevents+json", "Prefer": "wait=5"}
        body = json.dumps(event).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/v1/events", body, headers), timeout=60).close()
        with process([*TRAFFIC, "--url", url, "--rate", "100"], tmp_path / "traffic.log"):
            moved = until(SOON_S, lambda: len(get(f"{url}/v1/incidents?open=false&limit=9")["incidents"]) > 0)
            assert moved, "the traffic closes its own incidents"
            assert get(f"{url}/v1/incidents/{event['subject']}")["state"] == "discovered"


def test_the_traffic_goes_on_when_the_server_comes_back(tmp_path: Path) -> None:
    database, log = f"sqlite:///{tmp_path / 'demo.db'}", tmp_path / "traffic.log"
    with server(tmp_path, database) as (url, serving), process([*TRAFFIC, "--url", url], log) as traffic:
        assert until(SOON_S, lambda: len(standing(url)) >= len(MAIN_LINE))
        serving.kill()
        serving.wait()
        time.sleep(1)
        address = url.removeprefix("http://")
        command = [*GRIDPATROL, "serve", "--listen", address, "--database", database, "--pack", str(PACK)]
        with process(command, tmp_path / "again.log"):
            assert until(SOON_S, lambda: "listens at" in (tmp_path / "again.log").read_text())
            since = datetime.now(UTC)
            assert until(SOON_S, lambda: mixed(url, since)), log.read_text()
        assert end(traffic) == 0


def test_where_the_door_asks_who_speaks_the_people_of_the_demo_show_their_token(tmp_path: Path) -> None:
    token, who, log = new_token(), tmp_path / "principals.toml", tmp_path / "demo.log"
    who.write_text(f'[principal.people]\nactors = ["*"]\nreads = true\ntokens = ["{digest_of(token)}"]\n')
    who.chmod(0o600)
    command = [*GRIDPATROL, "demo", "run", "--listen", "127.0.0.1:0", "--rate", "8"]
    since = datetime.now(UTC)
    with process(command, log, GRIDPATROL_PRINCIPALS=str(who), GRIDPATROL_TOKEN=token) as running:
        found = until(SOON_S, lambda: running.poll() is not None or re.search(r"alive at (\S+)", log.read_text()))
        assert isinstance(found, re.Match), log.read_text()

        def reported() -> bool:
            lines = get(f"{found[1]}/v1/incidents?limit=500", token)["incidents"]
            return any(datetime.fromisoformat(line["opened_at"]) >= since for line in lines if line["opened_at"])

        assert until(SOON_S, reported), log.read_text()
        assert "demo traffic:" not in log.read_text()
        asked = urllib.request.Request(
            f"{found[1]}/desk", headers={"Authorization": f"Bearer {token}", "Accept": "text/html"}
        )
        with urllib.request.urlopen(asked) as page:
            first = re.search(r'<p class="answer">(.*?)</p>', page.read().decode(), re.DOTALL)
        assert first is not None and "在办" in first[1]  # the desk answers on the month's data
        member, *_ = commands_of(log.read_text())
        # The member's own token counts beside the file.
        assert until(SOON_S, lambda: json.loads(shell(member, tmp_path))["tasks"]), log.read_text()
        assert end(running, signal.SIGINT) == 0


def shell(script: str, folder: Path) -> str:
    """What a script of a newcomer prints, in the folder in which the demo was started."""
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, env=clean(), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def urge(url: str, folder: Path) -> None:
    """A supervisor presses whoever holds a case of a street."""
    token = (folder / "var/demo/supervisor.token").read_text(encoding="utf-8").strip()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        (case, *_) = client.get("/v1/incidents", params={"unit": "WY01", "definition": "incident"}).json()["incidents"]
        said: dict[str, Any] = {
            "specversion": "1.0",
            "type": "gridpatrol.incident.urged.v1",
            "source": "test/demo",
            "id": str(uuid4()),
        }
        said |= {"subject": case["id"], "time": datetime.now(UTC).isoformat(), "actor": "WY-SUPERVISOR", "data": {}}
        answer = client.post("/v1/events", json=said, headers={"Prefer": "wait=30"})
        assert answer.json()["outcome"] == "done", answer.text


def commands_of(text: str) -> list[str]:
    """The commands that the demo prints to be copied."""
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def test_what_the_demo_and_its_page_tell_three_people_to_try_works(tmp_path: Path) -> None:
    """Each command as it is printed, each block of the page in its order, then what is printed when it has stopped."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    log, messages = tmp_path / "demo.log", tmp_path / "var/demo/messages.txt"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with process([*GRIDPATROL, "demo", "run", "--listen", "127.0.0.1:0", "--rate", "3"], log) as running:
        found = until(SOON_S, lambda: running.poll() is not None or re.search(r"alive at (\S+)", log.read_text()))
        assert isinstance(found, re.Match), log.read_text()
        assert until(SOON_S, lambda: "docs/demo.md" in log.read_text())
        member, supervisor, operator = printed = commands_of(log.read_text())
        assert until(SOON_S, lambda: any(not task["duty"] for task in json.loads(shell(member, tmp_path))["tasks"]))
        assert "WY01" in shell(supervisor, tmp_path)
        assert "Everything" in shell(operator, tmp_path)
        urge(found[1], tmp_path)  # which is told at any hour, also in the quiet ones of the night
        said = until(SOON_S, lambda: messages.read_text(encoding="utf-8"))
        assert said.startswith("── ") and re.search("[一-龥]", said) and "http://127.0.0.1" in said, log.read_text()
        commands = tmp_path / "bin"
        commands.mkdir()
        with command_in(commands):
            walked = shell(walk(found[1], commands), tmp_path)
        for words in WALKED:
            assert re.search(words, walked), f"{words}\n{walked}\n{log.read_text()}"
        assert until(SOON_S, lambda: "silent from now on" in log.read_text())  # the member's token was withdrawn
        assert end(running, signal.SIGINT) == 0
    farewell = log.read_text().partition("Stopped.")[2]
    member, *others = commands_of(farewell)
    assert "tasks as of" in shell(member, tmp_path)
    assert others == printed[1:]  # they need no server


def walk(url: str, commands: Path) -> str:
    """The blocks of the page that need the running demo, in order, for this address and with commands of that folder.
    Those of the year, behind them, are for a database of their own (`test_demo_year.py`)."""
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8")
    script = "\n".join(BLOCK.findall(page.partition(OVER_A_YEAR)[0]))
    here = script.replace("$PWD/.venv/bin", f"{commands}:{Path(sys.executable).parent}").replace(
        "http://127.0.0.1:8420", url
    )
    assert here != script
    return f"exec 2>&1\n{here}"


WALKED = (
    r'"principal":"post:WY01-01-MEMBER"',
    r'"complete":true',
    r" done *\n\S+ done",  # both events of the phone
    r'"reason":"not_readable"',
    r"工地扬尘，未见遮盖",
    r"街道办事处主任",
    r"on_time_rate",
    r"cases that were reported from",
    r"extension|延期",
    r'"subscription":',
    r"重办 reopened: 回访不满意",
    r"回复 response .*supervision\.answered",
    r"Quarterly scoring of towns",
    r"desk +webhook +127\.0\.0\.1",
    r"sent: taken",
    r"words\.read +.*WY01-CHIEF|words\.read",
    r"post:WY02-CHIEF",
    r"post:WY01-01-MEMBER: ended 1 of its tokens",
)
"""What the walk prints, among other things."""


def test_without_a_server_the_traffic_says_so_and_ends(tmp_path: Path) -> None:
    traffic = Traffic("http://127.0.0.1:9", PACK, 1, now=lambda: 0.0)
    with pytest.raises(ServerAway, match="no server has answered"):
        traffic.run(threading.Event(), give_up_s=1)
