"""Photos while processes die and doors change: a server is killed in the middle of one, before it has its name and
before it is written down; two gateways share a bucket, and a phone goes on at the other one.

Enters: signals, failpoints, a broker, a bucket's server. Leaves: whole files, once each, and everything follows.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from litestar.testing import TestClient
from msgspec.structs import replace

from engine.cluster.gateway import Gateway
from engine.http.app import create_app
from engine.runtime import Engine
from lab.parts.processes import eventually
from tests.acceptance.test_cli_serve import WITHIN_S, forked, run, server
from tests.integration.test_door import report
from tests.integration.test_file_stores import bucket_server
from tests.integration.test_files import evidence
from tests.simulation.cluster import Cluster, cluster_on
from tests.support.builders import subject
from tests.support.serving import CLOUDEVENT

__all__ = ["bucket_server", "forked"]
DATA = b"\xff\xd8\xff\xe1" + os.urandom(3_000_000)
NAME = sha256(DATA).hexdigest()
PATH = f"/v1/files/{NAME}"


def offset(url: str) -> int:
    """Where a phone is to go on."""
    return int(httpx.head(f"{url}{PATH}", timeout=WITHIN_S).headers["upload-offset"])


def go_on(url: str) -> httpx.Response:
    """What a phone does after a cut: it asks, and sends the rest."""
    start = offset(url)
    last = f"{start}-{len(DATA) - 1}" if start < len(DATA) else "*"
    headers = {"Content-Range": f"bytes {last}/{len(DATA)}"}
    return httpx.put(f"{url}{PATH}", content=DATA[start:], headers=headers, timeout=WITHIN_S)


def check(folder: Path, url: str) -> None:
    """The file is given as it was sent, lies there once, and `verify` finds nothing."""
    assert httpx.get(f"{url}{PATH}", timeout=WITHIN_S).content == DATA
    names = sorted(path.name for path in (folder / "var/gridpatrol.files").rglob("*") if path.is_file())
    assert names == sorted([NAME, "installation"])
    run(folder, "verify")


@pytest.mark.parametrize(("place", "came"), [("upload.before_rename", len(DATA)), ("upload.after_rename", 0)])
def test_a_server_killed_while_a_photo_gets_its_name_takes_it_all_the_same(
    tmp_path: Path, place: str, came: int
) -> None:
    with server(tmp_path, GRIDPATROL_FAILPOINT=f"{place}:kill") as running:
        with pytest.raises(httpx.TransportError):
            httpx.put(f"{running.url}{PATH}", content=DATA, timeout=WITHIN_S)
        assert running.process.wait(20) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    with server(tmp_path) as running:
        assert offset(running.url) == came, "of what was not written down nobody was told that it is here"
        assert go_on(running.url).status_code == 201
        check(tmp_path, running.url)


def test_a_server_killed_in_the_middle_of_a_photo_goes_on_after_what_had_come(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        address = urlsplit(running.url)
        with closing(socket.create_connection((address.hostname, address.port))) as connection:
            head = f"PUT {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(DATA)}\r\n\r\n"
            connection.sendall(head.encode() + DATA[:2_000_000])
            came = eventually(lambda: offset(running.url), "something has come")
            running.process.kill()
            running.process.wait()
    with server(tmp_path) as running:
        assert offset(running.url) >= came
        assert go_on(running.url).status_code == 201
        check(tmp_path, running.url)


# ---- two gateways, one bucket -------------------------------------------------------------------------------


@pytest.fixture
def cluster(
    postgres_url: str, kafka_server: str, kafka_prefix: str, bucket_server: str, tmp_path: Path
) -> Iterator[Cluster]:
    files = {"files": f"s3://photos/{tmp_path.name}", "files_endpoint": bucket_server}
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 2, **files) as made:
        made.install()
        yield made


def test_a_phone_goes_on_at_another_gateway_and_the_case_has_its_photo(cluster: Cluster) -> None:
    case = subject("WY01", 1)
    cluster.gateway.settings = replace(cluster.gateway.settings, principals="")
    gateway: Gateway = Gateway(cluster.gateway)
    gateway.start()
    engine: Engine = cluster.gateway
    try:
        with (
            TestClient(create_app(gateway, cluster.database), "http://127.0.0.1") as one,
            TestClient(create_app(gateway, engine.database), "http://127.0.0.1") as two,
        ):
            headers = {"Content-Range": f"bytes 0-999999/{len(DATA)}"}
            assert one.put(PATH, content=DATA[:1_000_000], headers=headers).status_code == 202
            assert two.head(PATH).headers["upload-offset"] == "1000000"
            headers = {"Content-Range": f"bytes 1000000-{len(DATA) - 1}/{len(DATA)}"}
            assert two.put(PATH, content=DATA[1_000_000:], headers=headers).status_code == 201
            assert one.put(PATH, content=b"").status_code == 200
            sent = report(case, engine.now(), evidence=evidence(NAME))
            assert one.post("/v1/events", json=sent, headers=CLOUDEVENT).status_code == 202
            worker = cluster.worker()
            cluster.settle()
            assert [file["state"] for file in two.get(f"/v1/incidents/{case}").json()["files"]] == ["here"]
            assert two.get(PATH).content == DATA
            assert two.get(PATH, headers={"Range": "bytes=999990-1000009"}).content == DATA[999_990:1_000_010]
            del worker
    finally:
        gateway.stop()
