"""The command as real processes: many commands through one server, and servers that are killed and started again."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from engine.packs import folder_of
from gridpatrol.demo.month import write_month
from tests.acceptance.test_cli_serve import SUBJECT, report, run, server


def test_commands_that_write_go_through_the_server_that_holds_the_database(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert run(tmp_path, "publish", "-", stdin=report(1)).stdout.strip() == "1 done"
        assert running.get("/v1/incidents")["incidents"][0]["id"] == SUBJECT.format(1)
        run(tmp_path, "publish", "-", stdin=report(2, actor="WY01-01-NEW"), status=1)
        [letter] = json.loads(run(tmp_path, "deadletter", "list", "--json").stdout)
        assert "refused" in run(tmp_path, "deadletter", "replay", letter["id"], status=1).stdout

        folder = tmp_path / "pack"
        shutil.copytree(folder_of("weiyang"), folder)
        with (folder / "posts.csv").open("a", encoding="utf-8") as posts:
            posts.write("WY01-01-NEW,新网格员,member,WY01-01,,,,\n")
        assert "is active" in run(tmp_path, "pack", "activate", str(folder)).stdout
        assert run(tmp_path, "deadletter", "replay", letter["id"]).stdout.strip() == f"{letter['id']}: done"
        assert len(running.get("/v1/incidents")["incidents"]) == 2
        assert "decided already" in run(tmp_path, "log", "settle", "0", "0", "--skip", status=1).stderr
        assert run(tmp_path, "verify").stdout.startswith("Everything")
        assert "gridpatrol_reconcile_mismatches 0" in httpx.get(f"{running.url}/metrics").text
        assert "process" in run(tmp_path, "serve", "--listen", "127.0.0.1:0", status=75).stderr
    assert "is active" in run(tmp_path, "pack", "activate", "weiyang").stdout, "kill -9 has not freed the lease"


def test_what_is_sealed_is_erased_with_and_without_a_server_and_the_log_says_who(tmp_path: Path) -> None:
    named = {"category": "D3-01", "source": "patrol", "grid": "WY01-01", "reporter_name": "a name"}
    erase = ("incident", "erase", "--json")
    with server(tmp_path) as running:
        events = report(1, **named) + report(2, **named) + report(3, "NOBODY", **named)
        run(tmp_path, "publish", "-", stdin=events, status=1)
        erased = json.loads(run(tmp_path, *erase, SUBJECT.format(1)).stdout)
        assert (erased["events"], erased["letters"]) == (1, 0)
        assert "sealed.erased" in running.log.read_text() and SUBJECT.format(1) in running.log.read_text()
        assert "no event of" in run(tmp_path, *erase, SUBJECT.format(9), status=1).stderr
    [letter] = json.loads(run(tmp_path, "deadletter", "list", "--json").stdout)
    looked = run(tmp_path, "deadletter", "show", letter["id"], "--bytes")
    assert SUBJECT.format(3) in looked.stdout and "bytes" in looked.stdout
    assert "sealed.read" in looked.stderr and letter["id"] in looked.stderr
    assert "sealed.read" not in run(tmp_path, "deadletter", "show", letter["id"]).stderr
    done = run(tmp_path, *erase, SUBJECT.format(3))
    erased = json.loads(done.stdout)
    assert (erased["events"], erased["letters"]) == (1, 1)
    assert "sealed.erased" in done.stderr and "by=" in done.stderr
    assert "bytes  " not in run(tmp_path, "deadletter", "show", letter["id"], "--bytes").stdout
    assert run(tmp_path, "verify").stdout.startswith("Everything")


def test_on_postgresql_what_was_accepted_survives_a_kill_and_everything_still_follows(
    tmp_path: Path, postgres_url: str
) -> None:
    here: dict[str, Any] = {"GRIDPATROL_DATABASE": postgres_url}
    with server(tmp_path, **here) as running:
        said = run(tmp_path, "publish", "-", stdin=report(1) + report(2), **here).stdout
        assert said.strip() == "2 done"
        first = running.get(f"/v1/incidents/{SUBJECT.format(1)}")
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    with server(tmp_path, **here) as running:
        assert {item["id"] for item in running.get("/v1/incidents")["incidents"]} == {
            SUBJECT.format(1),
            SUBJECT.format(2),
        }
        assert running.get(f"/v1/incidents/{SUBJECT.format(1)}")["history"] == first["history"]
        assert run(tmp_path, "publish", "-", stdin=report(3), **here).stdout.strip() == "1 done"
        assert run(tmp_path, "verify", **here).stdout.startswith("Everything")
        assert running.stop() == 0
    assert run(tmp_path, "verify", **here).stdout.startswith("Everything")


def test_the_feed_is_followed_and_taken_up_again_where_it_broke(tmp_path: Path) -> None:
    """Urging tells a notice at once. The second one is told while nobody listens, and is not missed."""
    with server(tmp_path) as running:
        run(tmp_path, "publish", "-", stdin=report(1))
        heard: list[dict[str, Any]] = []

        def listen() -> None:
            said = run(tmp_path, "alert", "follow", "--json", "--count", "1").stdout
            heard.append(json.loads(said))

        thread = threading.Thread(target=listen)
        thread.start()
        number = 10
        while thread.is_alive() and number < 60:
            number += 1
            urged = report(number, "WY01-CHIEF", "incident.urged", note="please")
            run(tmp_path, "publish", "-", stdin=urged)
            thread.join(0.3)
        assert heard and heard[0]["case"] == SUBJECT.format(1) and heard[0]["what"] == "told"
        for number in (98, 99):
            run(tmp_path, "publish", "-", stdin=report(number, "WY01-CHIEF", "incident.urged", note="once more"))
        epoch, _, last = heard[0]["last_event_id"].rpartition("-")
        later = run(tmp_path, "alert", "follow", "--json", "--count", "2", "--since", heard[0]["last_event_id"]).stdout
        places = [json.loads(line)["last_event_id"] for line in later.splitlines()]
        assert places == [f"{epoch}-{int(last) + 1}", f"{epoch}-{int(last) + 2}"]
        assert running.stop(signal.SIGINT) == 0


def test_killed_in_the_middle_of_a_replay_and_started_again_it_tells_the_same_facts(tmp_path: Path) -> None:
    file = tmp_path / "month.jsonl"
    write_month(file, folder_of("weiyang"), datetime(2026, 3, 31, 2, tzinfo=UTC), seed=7, incidents=80)
    until = ("--until", "2026-03-31T02:00Z")
    run(tmp_path, "replay", str(file), *until, "--database", "sqlite:///whole.db", status=1)  # some are refused
    killed = ("replay", str(file), *until, "--database", "sqlite:///killed.db")
    for place in ("replay.after_commit:kill", "slice.before_commit:kill@2"):
        done = run(tmp_path, *killed, status=None, GRIDPATROL_FAILPOINT=place, GRIDPATROL_SLICE_RECORDS="100")
        assert done.returncode == -signal.SIGKILL
    run(tmp_path, *killed, status=1)
    whole, again = (
        run(tmp_path, "facts", "export", "--database", f"sqlite:///{name}.db").stdout for name in ("whole", "killed")
    )
    assert whole == again != ""


HERE = ("--database", "sqlite:///var/demo.db")


def test_the_demo_resumes_its_month_after_a_kill_and_goes_on(tmp_path: Path) -> None:
    """One month only: what the killed start had begun is finished by the second, and the third finds it done."""
    first = run(
        tmp_path,
        "demo",
        "run",
        "--listen",
        "127.0.0.1:0",
        status=None,
        GRIDPATROL_FAILPOINT="replay.after_commit:kill@3",
    )
    assert first.returncode == -signal.SIGKILL
    note = (tmp_path / "var" / "demo" / "month.json").read_bytes()
    with server(tmp_path, "demo", "run") as running:
        assert (tmp_path / "var" / "demo" / "month.json").read_bytes() == note
        late = running.get("/v1/incidents?overdue=true&limit=3")["incidents"]
        assert late and all(item["overdue"] for item in late)
        token = (tmp_path / "var/demo/member.token").read_text()
        assert run(tmp_path, "publish", "-", *HERE, stdin=report(1)).stdout.strip() == "1 done"
        mine = SUBJECT.format(1)
        assert running.stop(signal.SIGINT) == 0
    with server(tmp_path, "demo", "run") as running:
        assert "Replaying" not in running.log.read_text()
        assert running.get(f"/v1/incidents/{mine}")["id"] == mine
        assert (tmp_path / "var/demo/member.token").read_text() == token
        assert running.stop() == 0
    assert run(tmp_path, "verify", "--database", "sqlite:///var/demo.db").stdout.startswith("Everything")
