"""What posts have seen of what they were told, and what channels told them, at the door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.principals import digest_of, new_token
from engine.store import alerts, channels
from engine.store.alerts import AlertRow
from engine.store.channels import ChannelLine
from tests.support.builders import at, subject
from tests.support.serving import Served, prepared, served

CHIEF, SPONSOR = "WY03-CHIEF", "WY03-SPONSOR"
CHIEFS, READER, OPS = new_token(), new_token(), new_token()
MORNING = at("03-02 09:00")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("seen")
    principals = folder / "principals.toml"
    principals.write_text(
        f"""
        [principal.chiefs]
        actors = ["WY??-CHIEF"]
        reads = true
        tokens = ["{digest_of(CHIEFS)}"]
        [principal.reader]
        reads = true
        tokens = ["{digest_of(READER)}"]
        [principal.ops]
        operator = true
        tokens = ["{digest_of(OPS)}"]
        """,
        encoding="utf-8",
    )
    principals.chmod(0o644)
    with prepared(f"sqlite:///{folder / 'a.db'}", principals=str(principals)) as engine:
        with engine.database.begin() as connection:
            alerts.write(connection, [row(1, f'["{CHIEF}"]'), row(2, f'["{CHIEF}","{SPONSOR}"]')], [])
            line = ChannelLine("mail", "x", 1, alert(1), "firing", subject("WY03", 1), "/", "incident", CHIEF, CHIEF,
                               "all", MORNING, MORNING, True)  # fmt: skip
            channels.write_lines(connection, [line])
        with served(engine) as running:
            yield running


def alert(number: int) -> str:
    return f"{subject('WY03', number)}|accept.3|0|0|due|0"


def row(number: int, recipients: str) -> AlertRow:
    return AlertRow(
        alert(number), 0, subject("WY03", number), "due", "accept", 3, 0, "incident", "/XA/WY/WY03/", "D3-04",
        recipients, MORNING, MORNING, MORNING + number, None, "firing", None, "", "[]", "",
    )  # fmt: skip


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_post_says_what_it_has_seen_and_reads_what_it_was_told(door):
    asked = {"post": CHIEF, "alerts": [alert(1), alert(1), "nothing"]}
    answer = door.client.post("/v1/alerts/seen", json=asked, headers=bearer(CHIEFS))
    assert (answer.status_code, answer.json()) == (200, {"seen": 1, "unknown": ["nothing"]})

    def told(post: str) -> dict[str, bool]:
        found = door.client.get("/v1/alerts", params={"post": post}, headers=bearer(READER)).json()["alerts"]
        return {line["id"]: line["seen_at"] is not None for line in found}

    assert told(CHIEF) == {alert(1): True, alert(2): False}
    assert told(SPONSOR) == {alert(2): False}
    first = door.client.get("/v1/alerts", params={"post": CHIEF}, headers=bearer(READER)).json()["alerts"][1]
    door.client.post("/v1/alerts/seen", json=asked, headers=bearer(CHIEFS))
    again = door.client.get("/v1/alerts", params={"post": CHIEF}, headers=bearer(READER)).json()["alerts"][1]
    assert again == first and again["status"] == "firing"


def test_only_who_speaks_for_a_post_says_that_it_has_seen(door):
    for token, post, status in ((READER, CHIEF, 403), (CHIEFS, SPONSOR, 403), ("", CHIEF, 401)):
        answer = door.client.post(
            "/v1/alerts/seen", json={"post": post, "alerts": [alert(2)]}, headers=bearer(token) if token else {}
        )
        assert answer.status_code == status
        assert "WY03" not in answer.json()["detail"]
    for wrong in ({"post": CHIEF, "alerts": []}, {"post": CHIEF}, {"post": "", "alerts": ["a"]}):
        assert door.client.post("/v1/alerts/seen", json=wrong, headers=bearer(CHIEFS)).status_code == 400


def test_an_operator_reads_what_channels_told(door):
    answer = door.client.get("/v1/deliveries", params={"channel": "mail"}, headers=bearer(OPS))
    [line] = answer.json()["deliveries"]
    assert (line["post"]["code"], line["status"], line["route"], line["tried_at"]) == (CHIEF, "waiting", "all", None)
    assert door.client.get("/v1/deliveries", headers=bearer(READER)).status_code == 403
    wrong = door.client.get("/v1/deliveries", params={"status": "lost"}, headers=bearer(OPS))
    assert (wrong.status_code, wrong.json()["field"]) == (400, "status")
