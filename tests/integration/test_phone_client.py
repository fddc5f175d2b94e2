"""The reference client of `examples/phone.py` against a real door: offline, back again, and told of everything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.alerts import fold
from examples import phone as example
from examples.phone import Phone, new_subject
from schemas.envelope import is_subject
from schemas.samples import PHOTO
from tests.support.builders import LEAF, MEMBER
from tests.support.serving import Served, prepared, served

NOWHERE = "http://127.0.0.1:9"
REPORT: dict[str, Any] = {"category": "D3-01", "source": "patrol", "grid": LEAF}


@pytest.fixture
def door(sqlite_url: str) -> Iterator[Served]:
    """A door without tokens."""
    with prepared(sqlite_url) as engine, served(engine) as running:
        yield running


def url_of(door: Served) -> str:
    return str(door.client.base_url)


def outcomes(phone: Phone) -> list[str]:
    return [outcome for _, outcome, _ in phone.said()]


@pytest.mark.mechanism("M53")
def test_what_was_said_offline_in_any_order_is_sent_once_and_all_of_it_is_learned(door: Served, tmp_path: Path) -> None:
    phone, case, slept = Phone(str(tmp_path / "p.db"), NOWHERE, MEMBER), new_subject("WY01"), list[float]()
    assert is_subject(case)
    for trigger, data in (
        ("evidence.added", {"evidence": [PHOTO]}),
        ("report.submitted", REPORT),
        ("dissuasion.recorded", {"outcome": "ineffective"}),
        ("incident.reported_up", {}),
    ):
        phone.say(trigger, case, data)
    assert not phone.sync(tries=4, sleep=slept.append) and outcomes(phone) == [""] * 4
    assert len(slept) == 4 and 0.5 <= slept[0] <= 1.5 and 4 <= slept[3] <= 12  # twice as long each time, roughly
    again = Phone(str(tmp_path / "p.db"), url_of(door), MEMBER)  # it was switched off meanwhile
    assert again.source == phone.source
    assert again.sync(sleep=lambda seconds: None) and outcomes(again) == ["done"] * 4
    assert door.get(f"/v1/incidents/{case}")["state"] == "reported"
    place = again.kept("place")
    assert again.sync(tries=1) and again.kept("place") == place


def test_what_waits_is_open_until_it_is_decided_and_a_refusal_says_why(door: Served, tmp_path: Path) -> None:
    phone, case = Phone(str(tmp_path / "p.db"), url_of(door), MEMBER), new_subject("WY01")
    phone.say("evidence.added", case, {"evidence": [PHOTO]})
    phone.say("report.submitted", new_subject("WY01"), {"category": "none", "source": "patrol", "grid": LEAF})
    phone.say("report.submitted", new_subject("WY01"), {"category": "D3-01"})
    assert not phone.sync(tries=2, sleep=lambda seconds: None)
    assert outcomes(phone) == ["parked", "refused", "rejected"] and phone.unsettled() == 1
    assert [why.split()[0] for _, _, why in phone.said()[1:]] == ["unknown_code", "invalid"]
    phone.say("report.submitted", case, REPORT)
    assert phone.sync(sleep=lambda seconds: None)
    assert outcomes(phone) == ["done", "refused", "rejected", "done"]


def test_after_a_restore_it_sends_all_once_more_and_nothing_happens_twice(door: Served, tmp_path: Path) -> None:
    phone, case = Phone(str(tmp_path / "p.db"), url_of(door), MEMBER), new_subject("WY01")
    phone.say("report.submitted", case, REPORT)
    assert phone.sync()
    before = door.get(f"/v1/incidents/{case}")["seq"]
    fold.restart_feed(door.engine.database)
    phone.say("evidence.added", case, {"evidence": [PHOTO]})
    assert phone.sync(sleep=lambda seconds: None) and outcomes(phone) == ["done", "done"]
    history = door.get(f"/v1/incidents/{case}")["history"]
    assert len(history) == before + 1


def test_the_command_says_sends_and_shows(
    door: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        where = ("--store", str(tmp_path / "p.db"), "--url", url_of(door), "--actor", MEMBER)
        monkeypatch.setattr(sys, "argv", ["phone.py", *where, *words])
        return example.main(), capsys.readouterr().out

    data = '{"category": "D3-01", "source": "patrol", "grid": "WY01-01"}'
    status, said = run("say", "report.submitted", "--home", "WY01", "--data", data)
    id_, case = said.split()
    assert status == 0 and run("show") == (75, f"{id_}  \n")
    assert run("sync") == (0, f"{id_} done \n")
    status, waits = run("tasks")
    assert status == 0 and f"劝阻 {case} dissuasion.recorded" in waits
