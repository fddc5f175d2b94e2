"""The phone's pages over HTTP, without a browser: what the shell is made of, and who may ask and send below `/m`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from uuid import uuid4

import httpx
import msgspec
import pytest

from engine.clock import now_ms
from engine.console.pages.member import PAGES, worker_script
from engine.console.static_files import static_files
from engine.principals import digest_of, new_token
from tests.support.builders import DUST, LEAF, LEAF_CHIEF, MEMBER, event, subject
from tests.support.serving import BATCH, Served, prepared, served
from tests.support.settings_files import put_file

TOKENS = {name: new_token() for name in ("member", "two", "reader")}
FILE = f"""
[principal.member]
actors = ["{MEMBER}"]
reads = ["{LEAF}"]
tokens = ["{digest_of(TOKENS["member"])}"]
[principal.two]
actors = ["{MEMBER}", "{LEAF_CHIEF}"]
tokens = ["{digest_of(TOKENS["two"])}"]
[principal.reader]
reads = true
tokens = ["{digest_of(TOKENS["reader"])}"]
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks for tokens."""
    folder = tmp_path_factory.mktemp("member")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine, served(engine) as running:
        yield running


@pytest.fixture
def signed(door: Served) -> Iterator[httpx.Client]:
    """A browser in which a member has signed in, with the headers that its script sends."""
    with httpx.Client(base_url=door.client.base_url, timeout=20) as client:
        client.headers.update(sign_in(client, "member"))
        yield client


def sign_in(client: httpx.Client, name: str) -> dict[str, str]:
    """Begin a session; the headers of its script."""
    assert client.post("/sign-in", data={"token": TOKENS[name], "next": "/m/today"}).headers["location"] == "/m/today"
    told = client.get("/m/session").json()
    return {"X-Gridpatrol-Member": told["member"], "X-Gridpatrol-Mark": told["mark"]}


def found(number: int) -> dict[str, object]:
    """A report of the member."""
    data = {"category": DUST, "source": "patrol", "grid": LEAF}
    return event("report.submitted", MEMBER, now_ms(), case=subject("WY01", number), id=str(uuid4())) | {"data": data}


def publish(client: httpx.Client, said: dict[str, object], **headers: str) -> httpx.Response:
    """Send an event as the script does."""
    head = BATCH | {"Prefer": "wait=20"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/m/v1/events/batch", content=msgspec.json.encode([said]), headers=head)


def test_the_shell_holds_nothing_of_anybody_and_is_allowed_its_worker_and_its_photos(door: Served) -> None:
    with httpx.Client(base_url=door.client.base_url) as client:
        assert client.get("/m").headers["location"] == "/m/today"
        shells = {client.get(f"/m/{name}").text for name in PAGES}
        assert len(shells) == 1  # the script shows a page of it, by the address
        answer = client.get("/m/today?lang=en")
        policy = answer.headers["content-security-policy"]
        assert "worker-src 'self'" in policy and "img-src 'self' blob:" in policy and "unsafe" not in policy
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert answer.headers["cache-control"] == "no-cache" and 'lang="en"' in answer.text
        sign_in(client, "member")
        assert client.get("/m/today?lang=zh").text in shells
        assert client.get("/m/nowhere").status_code == 404


def test_the_worker_keeps_the_shell_and_each_of_its_files(door: Served) -> None:
    with httpx.Client(base_url=door.client.base_url) as client:
        worker, shell = client.get("/m/worker.js"), client.get("/m/today").text
        assert worker.headers["content-type"].startswith("text/javascript")
        assert worker.content == worker_script() and "no-cache" in worker.headers["cache-control"]
        linked = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', shell))
        assert linked and all(f'"{each}"' in worker.text for each in linked)
        kept = re.search(r"KEPT = (\[.*?\]);", worker.text)
        assert kept is not None
        for path in msgspec.json.decode(kept[1]):
            assert client.get(path).status_code == 200, path
        manifest = client.get("/m/manifest.webmanifest?lang=zh").json()
        assert manifest["start_url"].startswith(manifest["scope"]) and "网格员" in manifest["name"]
        assert client.get(manifest["icons"][0]["src"]).status_code == 200
        assert sum(len(file.body) for file in static_files().values()) < 200_000


def test_a_member_asks_and_sends_with_its_session(signed: httpx.Client, door: Served) -> None:
    for path in (f"tasks?post={MEMBER}", f"pack?post={MEMBER}", "outcomes?source=x", f"incidents?reporter={MEMBER}"):
        assert signed.get(f"/m/v1/{path}").status_code == 200, path
    answer = publish(signed, found(1))
    assert answer.json()["results"][0]["outcome"] == "done", answer.text
    assert signed.get(f"/m/v1/incidents/{subject('WY01', 1)}").json()["reported_by"]["code"] == MEMBER
    photo = b"\xff\xd8\xff\xe1" + b"x" * 999
    path = f"/m/v1/files/{sha256(photo).hexdigest()}"
    first = signed.put(path, content=photo[:400], headers={"Content-Range": "bytes 0-399/1003"})
    assert (first.status_code, first.headers["upload-offset"]) == (202, "400")
    assert signed.head(path).headers["upload-offset"] == "400"
    assert signed.put(path, content=photo[400:], headers={"Content-Range": "bytes 400-1002/1003"}).status_code == 201
    assert signed.get(path).content == photo
    seen = signed.get(path.replace("/m/", "/console/"))
    assert (seen.status_code, seen.content) == (200, photo), "a page of the console shows it to the same session"


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"X_Gridpatrol_Member": ""}, 409, "another_member"),
        ({"X_Gridpatrol_Member": "0" * 32}, 409, "another_member"),
        ({"X_Gridpatrol_Mark": ""}, 403, "form_mark"),
        ({"X_Gridpatrol_Mark": "0" * 80}, 403, "form_mark"),
        ({"Origin": "https://evil.example"}, 403, "foreign_origin"),
    ],
    ids=["no member", "another member", "no mark", "another mark", "another origin"],
)
def test_nothing_is_sent_for_another_member_or_by_another_page(
    signed: httpx.Client, door: Served, changed: dict[str, str], status: int, reason: str
) -> None:
    answer = publish(signed, found(2), **changed)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    head = {"Authorization": f"Bearer {TOKENS['reader']}"}
    assert door.client.get(f"/v1/incidents/{subject('WY01', 2)}", headers=head).status_code == 404


def test_a_session_of_another_post_is_another_member(door: Served) -> None:
    with httpx.Client(base_url=door.client.base_url, timeout=20) as client:
        sign_in(client, "two")
        nobody = client.get("/m/session").json()
        assert (nobody["member"], nobody["post"]) == ("", "")
        assert client.get(f"/m/v1/tasks?post={MEMBER}", headers={"X-Gridpatrol-Member": ""}).status_code == 409
        known = set()
        for post in (MEMBER, LEAF_CHIEF):
            fields = {"mark": client.get("/m/session").json()["mark"], "post": post, "next": "/m/today"}
            assert client.post("/me/post", data=fields).headers["location"] == "/m/today"
            told = client.get("/m/session").json()
            assert told["post"] == post and told["title"] and told["member"] not in known
            known.add(told["member"])
            asked = client.get("/m/v1/outcomes?source=x", headers={"X-Gridpatrol-Member": told["member"]})
            assert asked.status_code == 200
        (first,) = known - {told["member"]}
        assert client.get("/m/v1/outcomes?source=x", headers={"X-Gridpatrol-Member": first}).status_code == 409


def test_without_a_session_the_script_is_told_to_sign_in(door: Served) -> None:
    with httpx.Client(base_url=door.client.base_url) as client:
        assert client.get("/m/session").status_code == 401
        assert publish(client, found(3)).status_code == 401
        assert client.get("/m/today").status_code == 200
