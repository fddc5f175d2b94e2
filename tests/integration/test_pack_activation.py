"""A pack is activated now where time is the wall's, and at a given instant where a history was replayed.

Enters: a history of a storm, a live database, packs. Leaves: facts, statuses, sentences that name both instants.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.clock import now_ms
from engine.failpoints import Interrupted, arm
from engine.operations import activation
from engine.operations.activation import ActivationRefused
from lab import runs
from lab.runs import engine_on, install
from tests.integration.test_door import JSON, new, problem
from tests.integration.test_replay_command import run
from tests.integration.test_replay_plan import END, PLAN, packs, plan_of, replay
from tests.integration.test_replay_plan import folder as folder  # a history, and packs beside it
from tests.support.builders import HOUR, OPERATOR, weiyang
from tests.support.serving import prepared, served, tell
from workflows.policy import model


def test_a_pack_activated_in_mid_history_counts_from_its_instant_as_in_a_plan(sqlite_url: str, tmp_path: Path) -> None:
    at = PLAN[1].at
    with engine_on(f"sqlite:///{tmp_path / 'whole.db'}", 4) as whole, engine_on(sqlite_url, 4, 40) as engine:
        for each in (whole, engine):
            install(each, packs()[0])
        replay(whole, plan_of((at, packs()[1])))
        replay(engine, (), at - 1)
        arm("replay.after_commit:raise@1")
        try:
            with pytest.raises(Interrupted):
                activation.activate_at(engine, packs()[1], at, OPERATOR)
        finally:
            arm("")
        engine.reload()
        for _ in range(2):  # it goes on, and what was done is not done twice
            assert activation.activate_at(engine, packs()[1], at, OPERATOR) == model.digest(packs()[1])
        assert all(engine.activations(p) == whole.activations(p) for p in engine.rows)
        replay(engine, (), END)
        assert runs.facts(engine) == runs.facts(whole)
        runs.check_whole(engine)


def test_an_instant_before_the_history_s_end_or_after_now_is_refused_with_both_and_a_remedy(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        install(engine, packs()[0])
        replay(engine, ())
        latest, heads = max(row.clock for row in engine.rows.values()), dict(engine.heads)
        with pytest.raises(ActivationRefused, match="is past here: this database stands at") as past:
            activation.activate_at(engine, packs()[1], latest - 1, OPERATOR)
        assert "--packs" in past.value.remedy
        with pytest.raises(ActivationRefused, match="lies in the future: now it is"):
            activation.activate_at(engine, packs()[1], now_ms() + HOUR, OPERATOR)
        assert engine.heads == heads


def test_a_pack_for_a_history_is_not_activated_by_the_wall_and_the_refusal_names_at(sqlite_url: str) -> None:
    with engine_on(sqlite_url, 2) as engine:
        install(engine, packs()[0])
        replay(engine, ())
        before, heads = runs.steps(engine), dict(engine.heads)
        with pytest.raises(ActivationRefused, match="a history that was replayed up to 2026-03") as refused:
            activation.activate(engine, packs()[1], OPERATOR)
        assert "--at 2026-03" in refused.value.remedy and "clock settle" in refused.value.remedy
        assert (runs.steps(engine), engine.heads) == (before, heads)


def test_on_a_live_database_an_activation_is_now(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        engine.now()  # as every process does before it appends
        tell(engine, new(1), now_ms())
        with pytest.raises(ActivationRefused, match="is that of the wall") as refused:
            activation.activate_at(engine, weiyang().pack, now_ms() - HOUR, OPERATOR)
        assert refused.value.remedy == "leave --at out"
        activation.activate(engine, weiyang().pack, OPERATOR)
        engine.drain()
        assert len(engine.activations(0)) == 2


def test_a_server_on_a_history_refuses_a_pack_too(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        pack = model.encode(packs()[1])
        body = problem(door.client.post("/v1/operator/packs", content=pack, headers=JSON), 409)
        assert body["reason"] == "history" and "--at" in body["remedy"]
        door.batch([new(1)], Prefer="wait=10")
        assert door.client.post("/v1/operator/packs", content=pack, headers=JSON).status_code == 202


def test_the_command_says_which_instant_is_wanted_and_takes_it(folder: Path) -> None:
    url = f"sqlite:///{folder / 'run.db'}"
    run("replay", folder / "events.jsonl", "--pack", folder / "old", "--database", url, status=0, partitions="2")
    said = run("pack", "activate", folder / "new", "--database", url, status=1).stderr
    assert "--at 2026-03-02T02:00:00.000Z" in said
    run("pack", "activate", folder / "new", "--at", "2026-03-02", "--database", url, status=2)  # in which zone?
    run("pack", "activate", folder / "new", "--at", "2026-03-02T00:00Z", "--database", url, status=1)
    run("pack", "activate", folder / "new", "--at", "2026-03-03T00:00+08:00", "--database", url, status=0)
    [old, other] = json.loads(run("pack", "list", "--json", "--database", url, status=0).stdout)
    assert [old["activated_at"], other["activated_at"]] == [["2026-03-03T00:00:00+08:00"], ["ever"]]
    run("verify", "--database", url, status=0)


def test_before_a_pack_is_activated_its_difference_from_the_active_one_is_said(folder: Path) -> None:
    url = f"sqlite:///{folder / 'run.db'}"
    run("replay", folder / "events.jsonl", "--pack", folder / "old", "--database", url, status=0, partitions="2")
    said = run("pack", "diff", "active", folder / "new", "--database", url, status=0).stdout
    assert "受理时限 accept" in said and "limit from 1 working hour to 2 working hours" in said
    [stored] = json.loads(run("pack", "list", "--json", "--database", url, status=0).stdout)
    same = run("pack", "diff", stored["hash"][:10], folder / "old", "--database", url, status=0).stdout
    assert same == "没有变化。 Nothing changes.\n"
    found = json.loads(run("pack", "diff", folder / "old", folder / "new", "--json", status=0).stdout)
    assert [each["file"] for each in found["differences"]] == ["limits.csv"] and found["from"] == stored["hash"]
    table = run("pack", "diff", folder / "old", folder / "new", "--csv", status=0).stdout
    assert table.removeprefix("\ufeff").splitlines()[0] == "concerns_zh,concerns_en,file,row,column,zh,en"
    run("pack", "diff", "ffffff", folder / "new", "--database", url, status=2)
