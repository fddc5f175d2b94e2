"""Photos at the door, as phones send them, on each database: whole, cut, again, too much; who is given them, and what
removes them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from consumers import verify
from engine.clock import now_ms
from engine.errors import SettingsError
from engine.metrics.counters import Counters
from engine.operations import erasure
from engine.operations.file_retention import DAY_MS, FileRetention
from engine.principals import digest_of, new_token
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import backup_file, sent_files
from engine.store.sql import execute
from engine.uploads.folder import FolderStore
from engine.wall_clock import WallClock
from gridpatrol.run.kept_files import keeping, missing
from tests.integration.test_door import problem, report
from tests.support.builders import HOTLINE, OPERATOR, STREET, event, subject
from tests.support.serving import Served, prepared, served, wait_until
from tests.support.settings_files import put_file, read_at_once

TOKENS = {name: new_token() for name in ("app", "neighbour", "desk", "clerk", "small")}
PRINCIPALS = f"""
[principal.app]
actors = ["{HOTLINE}", "{STREET}"]
tokens = ["{digest_of(TOKENS["app"])}"]
[principal.neighbour]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(TOKENS["neighbour"])}"]
[principal.desk]
actors = ["WY-CHIEF"]
reads = true
tokens = ["{digest_of(TOKENS["desk"])}"]
[principal.clerk]
reads = true
tokens = ["{digest_of(TOKENS["clerk"])}"]
[principal.small]
actors = ["{HOTLINE}"]
file_bytes_per_day = 300000
uploads = 2
tokens = ["{digest_of(TOKENS["small"])}"]
"""
MOST = 1_000_000
CASES = iter(range(1, 1000))


def photo(size: int = 600_000) -> tuple[bytes, str]:
    """A JPEG that nobody has seen before, and its SHA-256."""
    data = b"\xff\xd8\xff\xe1" + os.urandom(size - 4)
    return data, sha256(data).hexdigest()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Those of a door whose bodies have less room in memory than a photo has bytes."""
    read_at_once(monkeypatch)
    file = put_file(tmp_path / "principals.toml", PRINCIPALS)
    return {
        "principals": str(file),
        "files": str(tmp_path / "files"),
        "file_bytes": MOST,
        "bodies_bytes": 200_000,
    }


@pytest.fixture
def door(database_url: str, settings: dict[str, Any]) -> Iterator[Served]:
    with prepared(database_url, **settings) as engine, served(engine) as running:
        yield running


def put(door: Served, name: str, data: bytes, who: str = "app", **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return door.client.put(f"/v1/files/{name}", content=data, headers=bearer(who) | named)


def get(door: Served, name: str, who: str, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return door.client.get(f"/v1/files/{name}", headers=bearer(who) | named)


def offset(door: Served, name: str, who: str = "app") -> tuple[int, int]:
    """What HEAD says: the status, and how much has come."""
    answer = door.client.head(f"/v1/files/{name}", headers=bearer(who))
    return answer.status_code, int(answer.headers["upload-offset"])


def begin(door: Served, name: str, data: bytes, total: int) -> socket.socket:
    """A connection that has sent a head for `total` bytes, and these of them."""
    address = urlsplit(str(door.client.base_url))
    connection = socket.create_connection((address.hostname, address.port))
    head = f"PUT /v1/files/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {total}\r\n"
    connection.sendall(f"{head}Authorization: {bearer('app')['Authorization']}\r\n\r\n".encode() + data)
    return connection


def sample(door: Served, name: str) -> float:
    lines = [line for line in door.client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].rpartition(" ")[2])


# ---- sending ------------------------------------------------------------------------------------------------


def test_a_photo_is_taken_once_and_given_back_as_it_was(door: Served) -> None:
    data, name = photo()
    assert offset(door, name) == (404, 0)
    answer = put(door, name, data, Content_Type="text/html")
    assert (answer.status_code, answer.json()) == (
        201,
        {"sha256": name, "complete": True, "offset": len(data), "media_type": "image/jpeg"},
    )
    assert offset(door, name) == (200, len(data))
    again = put(door, name, b"")
    assert (again.status_code, again.json(), again.headers["upload-complete"]) == (200, answer.json(), "?1")
    given = get(door, name, "app")
    assert given.content == data
    told = {key: given.headers[key] for key in ("content-type", "x-content-type-options", "cache-control", "etag")}
    assert told == {
        "content-type": "image/jpeg",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
        "etag": f'"{name}"',
    }
    assert given.headers["content-disposition"] == f'attachment; filename="{name[:16]}.jpg"'
    part = get(door, name, "app", Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert get(door, name, "app", Range="bytes=-5").content == data[-5:]
    assert get(door, name, "app", Range=f"bytes={len(data) - 5}-").content == data[-5:]
    assert problem(get(door, name, "app", Range=f"bytes={len(data)}-"), 416)["field"] == "Range"
    assert get(door, name, "app", Range="bytes=0-1,5-6").content == data, "several ranges at once are not given"
    known = get(door, name, "app", If_None_Match=f'"{name}"')
    assert (known.status_code, known.content) == (304, b"")
    assert sample(door, "gridpatrol_files_stored_total") == 1
    assert sample(door, "gridpatrol_file_bytes_total") == len(data)


def test_a_phone_goes_on_after_a_cut_and_after_a_restart(
    door: Served, database_url: str, settings: dict[str, Any]
) -> None:
    data, name = photo()
    connection = begin(door, name, data[:400_000], len(data))
    connection.close()
    wait_until(lambda: sample(door, 'gridpatrol_files_refused_total{reason="cut"}') == 1)
    assert offset(door, name) == (404, 400_000)
    piece = put(door, name, data[400_000:500_000], Content_Range=f"bytes 400000-499999/{len(data)}")
    assert (piece.status_code, piece.headers["upload-offset"], piece.json()["complete"]) == (202, "500000", False)
    with served(door.engine) as restarted:  # another door on the same folder
        assert offset(restarted, name) == (404, 500_000)
        short = put(restarted, name, data[550_000:], Content_Range=f"bytes 550000-{len(data) - 1}/{len(data)}")
        assert (problem(short, 409)["reason"], short.headers["upload-offset"]) == ("offset", "500000")
        rest = put(restarted, name, data[450_000:], Content_Range=f"bytes 450000-{len(data) - 1}/{len(data)}")
        assert rest.status_code == 201, "what was sent twice is taken once"
        assert get(restarted, name, "app").content == data


def test_a_newer_request_ends_one_that_hangs(door: Served) -> None:
    data, name = photo()
    with closing(begin(door, name, data[:300_000], len(data))) as hanging:
        wait_until(lambda: offset(door, name)[1] > 0)
        assert put(door, name, data).status_code == 201
        hanging.settimeout(20)
        assert b" 409 " in hanging.recv(65_536).split(b"\r\n")[0]
    assert get(door, name, "app").content == data


def test_a_file_of_which_all_has_come_is_ended_without_another_byte(door: Served, settings: dict[str, Any]) -> None:
    data, name = photo()
    store = FolderStore(Path(settings["files"]))
    with store.open_part("app", name, 0) as part:  # as a process leaves it that was killed before it gave the name
        part.write(data)
    assert offset(door, name) == (404, len(data))
    assert put(door, name, b"", Content_Range=f"bytes */{len(data)}").status_code == 201
    assert get(door, name, "app").content == data


def test_what_is_no_such_file_is_refused_and_leaves_nothing(door: Served, settings: dict[str, Any]) -> None:
    data, name = photo()
    other = sha256(b"another").hexdigest()
    assert problem(put(door, other, data), 422)["reason"] == "digest"
    text = b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 100
    assert problem(put(door, sha256(text).hexdigest(), text), 415)["reason"] == "file_type"
    assert problem(put(door, sha256(b"\xff\xd8").hexdigest(), b"\xff\xd8"), 415)["reason"] == "file_type"
    large, of_large = photo(MOST + 1)
    assert problem(put(door, of_large, large), 413)["reason"] == "too_large"
    chunked = door.client.put(f"/v1/files/{of_large}", content=iter([large]), headers=bearer("app"))
    assert problem(chunked, 413)["reason"] == "too_large"
    for text_of_range in ("bytes 0-9", "bytes 5-4/10", "bytes 0-10/10", "0-9/10", "bytes 0-3/*", "bytes 0-8/9"):
        refused = put(door, name, data[:10], Content_Range=text_of_range)
        assert problem(refused, 400)["field"] == "Content-Range", text_of_range
    assert problem(put(door, name.upper(), data), 400)["field"] == "sha256"
    assert problem(put(door, name, data, who="clerk"), 403)["reason"] == "no_right"
    assert problem(door.client.put(f"/v1/files/{name}", content=data), 401)
    assert offset(door, other) == (404, 0)
    assert [path.name for path in Path(settings["files"]).rglob("*") if path.is_file()] == ["installation"]


def test_a_principal_sends_no_more_than_it_may(door: Served) -> None:
    for _ in range(2):
        data, name = photo(1000)
        assert put(door, name, data[:500], "small", Content_Range="bytes 0-499/1000").status_code == 202
    begun = put(door, sha256(b"third").hexdigest(), b"", "small")
    assert (problem(begun, 429)["quota"], begun.headers["retry-after"]) == ("uploads", "1")
    assert put(door, name, data[500:], "small", Content_Range="bytes 500-999/1000").status_code == 201
    data, name = photo(400_000)
    assert put(door, name, data, "small").status_code == 201, "what was begun within the quota is ended"
    data, name = photo(1000)
    refused = put(door, name, data, "small")
    assert problem(refused, 429)["quota"] == "file_bytes_per_day" and int(refused.headers["retry-after"]) > 1000
    assert put(door, name, data, "neighbour").status_code == 201


def test_a_full_disk_is_told_and_the_same_is_taken_when_there_is_room(
    door: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, name = photo()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused = put(door, name, data)
        told = problem(refused, 503)
    assert (told["reason"], told["detail"]) == ("busy", "the disk of the files is full")
    assert refused.headers["retry-after"] == "1"
    assert put(door, name, data).status_code == 201


def test_an_installation_without_a_place_for_files_says_so(postgres_url: str) -> None:
    with prepared(postgres_url) as engine, served(engine) as door:
        data, name = photo(1000)
        assert problem(door.client.put(f"/v1/files/{name}", content=data), 501)["reason"] == "no_files"
        assert problem(door.client.get(f"/v1/files/{name}"), 501)["reason"] == "no_files"


# ---- who is given a file ------------------------------------------------------------------------------------


def evidence(*names: str) -> list[dict[str, str]]:
    return [{"sha256": name, "kind": "near"} for name in names]


def publish(door: Served, case: str, *names: str, who: str = "app") -> None:
    """A report with photos, decided."""
    sent = report(case, now_ms() - 1000, evidence=evidence(*names))
    assert door.post(sent, Prefer="wait=20", **bearer(who)).json()["outcome"] == "done"


def files_of(door: Served, case: str) -> list[dict[str, Any]]:
    answer = door.client.get(f"/v1/incidents/{case}", headers=bearer("desk"))
    found: list[dict[str, Any]] = answer.json()["files"]
    return found


def test_a_photo_is_given_to_its_sender_until_a_case_refers_to_it(door: Served) -> None:
    data, name = photo(5000)
    case = subject("WY01", next(CASES))
    publish(door, case, name)
    assert files_of(door, case) == [{"sha256": name, "kind": "near", "state": "awaited", "bytes": 0, "media_type": ""}]
    other, of_other = photo(5000)
    for sent, digest in ((data, name), (other, of_other)):
        assert put(door, digest, sent).status_code == 201
    here = {"sha256": name, "kind": "near", "state": "here", "bytes": 5000, "media_type": "image/jpeg"}
    assert files_of(door, case) == [here]
    assert get(door, name, "desk").content == data, "who reads the words of the case"
    assert problem(get(door, name, "app"), 404)["reason"] == "unknown_file", "its sender does not read them"
    assert offset(door, name) == (200, 5000), "and knows that it is here"
    assert put(door, name, b"").status_code == 200
    assert get(door, of_other, "app").content == other, "nobody refers to this one yet"
    assert problem(get(door, of_other, "desk"), 404)
    assert problem(get(door, name, "neighbour"), 404)


def test_who_knows_a_digest_is_not_given_the_file(door: Served) -> None:
    data, name = photo(5000)
    assert put(door, name, data).status_code == 201
    case = subject("WY01", next(CASES))
    publish(door, case, name, who="neighbour")
    assert files_of(door, case)[0]["state"] == "awaited", "its sender has not named it"
    assert problem(get(door, name, "desk"), 404)
    assert offset(door, name, "neighbour") == (404, 0), "whether it is here is told to its sender alone"
    assert problem(put(door, name, b"", "neighbour"), 415), "to name it is not to have it"
    assert put(door, name, data, "neighbour").status_code == 201
    assert files_of(door, case)[0]["state"] == "here"
    assert get(door, name, "desk").content == data


def test_a_photo_of_an_event_that_waits_is_kept_for_it(door: Served) -> None:
    data, name = photo(5000)
    case = subject("WY01", next(CASES))
    early = event("evidence.added", HOTLINE, now_ms() - 500, case=case, id=f"{case}.e", evidence=evidence(name))
    assert door.post(early, Prefer="wait=20; parked=0", **bearer("app")).json()["outcome"] == "parked"
    assert put(door, name, data).status_code == 201
    with door.engine.database.read() as connection:
        assert sent_files.cases_with(connection, name) == [case]
    publish(door, case)
    wait_until(lambda: [file["state"] for file in files_of(door, case)] == ["here"])


# ---- what goes ----------------------------------------------------------------------------------------------


def test_a_file_goes_with_the_words_of_the_last_case_that_refers_to_it(door: Served, settings: dict[str, Any]) -> None:
    one, two = subject("WY01", next(CASES)), subject("WY01", next(CASES))
    (data, name), (shared, of_shared) = photo(5000), photo(5000)
    for sent, digest in ((data, name), (shared, of_shared)):
        assert put(door, digest, sent).status_code == 201
    publish(door, one, name, of_shared)
    publish(door, two, of_shared)
    assert door.writer.call(lambda engine: erasure.erase(engine, one, OPERATOR)).result(20).files == 1
    assert [file["state"] for file in files_of(door, one)] == ["erased", "erased"]
    assert problem(get(door, name, "desk"), 404)
    assert problem(put(door, name, data), 410)["reason"] == "erased", "nothing comes back"
    assert get(door, of_shared, "desk").content == shared
    assert [file["state"] for file in files_of(door, two)] == ["here"]
    assert door.writer.call(lambda engine: erasure.erase(engine, two, OPERATOR)).result(20).files == 1
    assert problem(get(door, of_shared, "desk"), 404)
    assert [path.name for path in Path(settings["files"]).rglob("*") if path.is_file()] == ["installation"]


def age(engine: Engine, name: str, at: int) -> None:
    """Let a file have been sent at an instant."""
    with engine.database.begin() as connection:
        execute(connection, "UPDATE files SET sent_at = ? WHERE sha256 = ?", at, name)


def test_what_nobody_refers_to_goes_in_time(door: Served, settings: dict[str, Any]) -> None:
    (_, old), (_, fresh), (_, referred), (_, begun) = sent = [photo(5000) for _ in range(4)]
    for data, name in sent[:3]:
        assert put(door, name, data).status_code == 201
    publish(door, subject("WY01", next(CASES)), referred)
    assert put(door, begun, sent[3][0][:100], Content_Range="bytes 0-99/5000").status_code == 202
    engine, store = door.engine, FolderStore(Path(settings["files"]))
    active = engine.active()
    assert active is not None
    pack = active.pack
    late = max([pack.options.offline_ms, *(role.offline_ms or 0 for role in pack.roles)])
    allowed = pack.options.parked_ms + late
    stays, now = allowed + engine.settings.file_days * DAY_MS, now_ms()
    for name in (old, referred):
        age(engine, name, now - stays - 1)
    age(engine, fresh, now - stays + 60_000)
    stray = Path(settings["files"]) / "00" / ("00" + "a" * 62)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"left by a process that was killed")
    os.utime(stray, (0, 0))
    retention = FileRetention(engine.settings, engine.database, store, engine.counters.door.files)
    assert retention.clear(now) == 1
    assert [store.size(name) for name in (old, fresh, referred)] == [None, 5000, 5000]
    assert (stray.exists(), store.offset("app", begun)) == (False, 100)
    assert retention.clear(now + engine.settings.upload_days * DAY_MS + 60_000) == 1, "the fresh one"
    assert (store.offset("app", begun), store.size(referred)) == (None, 5000)
    assert put(door, old, sent[0][0]).status_code == 201, "it may come again"
    values = {why: sample(door, f'gridpatrol_files_removed_total{{why="{why}"}}') for why in ("unreferred", "unknown")}
    assert values == {"unreferred": 2, "unknown": 1}


def test_verify_tells_files_that_are_missing_and_references_that_are_lost(
    door: Served, settings: dict[str, Any]
) -> None:
    (data, name), case = photo(5000), subject("WY01", next(CASES))
    assert put(door, name, data).status_code == 201
    publish(door, case, name)
    engine = door.engine
    wanted = Settings(database=engine.settings.database, files=settings["files"])
    assert list(missing(wanted, engine.database)) == []
    file = Path(settings["files"]) / name[:2] / name
    file.write_bytes(data[:10])
    assert [str(found) for found in missing(wanted, engine.database)] == [
        f"file {name}: expected 5000 bytes, found 10 bytes"
    ]
    file.unlink()
    assert problem(get(door, name, "desk"), 404)["detail"].startswith("its bytes are missing")
    assert [found.found for found in missing(wanted, engine.database)] == ["none"]
    assert put(door, name, data).status_code == 201, "its sender may bring it back"
    assert get(door, name, "desk").content == data
    assert [str(found) for found in verify.verify(engine.database, live=True)] == []
    with engine.database.begin() as connection:
        execute(connection, "DELETE FROM file_references")
    found = [str(each) for each in verify.verify(engine.database, live=True)]
    assert found == [f"file reference {case}: expected {name}, found none"]


# ---- whose folder it is -------------------------------------------------------------------------------------


def test_a_second_gateway_keeps_no_files_in_a_folder(database_url: str, tmp_path: Path) -> None:
    with prepared(database_url) as engine:
        wall, files = WallClock(engine.database), str(tmp_path / "files")
        one = Settings(database=database_url, kafka="localhost:9092", files=files)
        shared = Settings(database=database_url, kafka="localhost:9092", files=files, files_shared=True)
        with keeping(one, engine.database, Counters(), wall) as chores:
            assert len(chores) == 1
            with pytest.raises(SettingsError, match="another gateway keeps files in a folder"):
                keeping(one, engine.database, Counters(), wall).__enter__()
            with keeping(shared, engine.database, Counters(), wall) as chores:
                assert chores == []
        with keeping(one, engine.database, Counters(), wall):
            pass


def test_a_folder_of_another_installation_is_refused(database_url: str, tmp_path: Path) -> None:
    FolderStore(tmp_path / "files").claim("another", begin=True)
    with prepared(database_url, files=str(tmp_path / "files")) as engine:
        with engine.database.begin() as connection:
            backup_file.installation_of(connection)
        with pytest.raises(SettingsError, match="of another installation"):
            keeping(engine.settings, engine.database, Counters(), WallClock(engine.database)).__enter__()
