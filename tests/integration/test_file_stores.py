"""A folder and a bucket do the same: parts that are gone on with, files that are whole, what is listed and removed.

The bucket's server is moto's, in this process, spoken to over HTTP.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from engine.errors import SettingsError
from engine.settings import Settings
from engine.uploads.bucket import BucketStore
from engine.uploads.folder import FolderStore
from engine.uploads.opening import open_store
from engine.uploads.store import FileStore, PartShort, PartTaken, StoreAway, StoreTaken, digest_of

DATA = os.urandom(700_000)
NAME = sha256(DATA).hexdigest()
LONG_AGO, FAR_OFF = 1, 1 << 50


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[str]:
    """An S3-compatible server on loopback; its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        store = BucketStore("s3://photos", f"http://{host}:{port}")
        store.client.create_bucket(Bucket="photos")
        yield f"http://{host}:{port}"
        store.client.close()
        server.stop()


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileStore]:
    if request.param == "folder":
        yield FolderStore(tmp_path / "files")
        return
    kept = BucketStore(f"s3://photos/{tmp_path.name}", request.getfixturevalue("bucket_server"))
    yield kept
    kept.client.close()


def send(store: FileStore, principal: str, start: int, end: int) -> None:
    """What a request does that is cut at `end`."""
    with store.open_part(principal, NAME, start) as part:
        part.write(DATA[start:end])
        part.keep()


def finish(store: FileStore, start: int) -> str:
    """What a request does that brings the rest; the digest of all that has come."""
    with store.open_part("app", NAME, start) as part:
        part.write(DATA[start:])
        found = digest_of(part)
        store.finish(part, NAME)
    return found


def test_what_came_stays_and_the_sender_goes_on_after_it(store: FileStore) -> None:
    assert (store.offset("app", NAME), store.parts("app"), store.size(NAME)) == (None, 0, None)
    send(store, "app", 0, 300_000)
    send(store, "app", 300_000, 400_000)
    assert (store.offset("app", NAME), store.parts("app")) == (400_000, 1)
    assert (store.offset("other", NAME), store.parts("other")) == (None, 0), "a part is its sender's alone"
    assert finish(store, 400_000) == NAME
    assert (store.offset("app", NAME), store.parts("app"), store.size(NAME)) == (None, 0, len(DATA))
    assert b"".join(store.read(NAME, 0, len(DATA))) == DATA
    assert b"".join(store.read(NAME, 299_990, 20)) == DATA[299_990:300_010]


def test_a_file_comes_whole_and_goes(store: FileStore) -> None:
    assert finish(store, 0) == NAME
    assert {name: size for name, (size, _) in store.listed(NAME[:2]).items()} == {NAME: len(DATA)}
    assert store.listed("00" if NAME[:2] != "00" else "01") == {}
    store.remove(NAME)
    store.remove(NAME)
    assert store.size(NAME) is None and store.listed(NAME[:2]) == {}
    with pytest.raises(FileNotFoundError):
        list(store.read(NAME, 0, 1))


def test_bytes_that_are_sent_again_take_the_place_of_those_that_came(store: FileStore) -> None:
    send(store, "app", 0, 300_000)
    send(store, "app", 300_000, 500_000)
    with store.open_part("app", NAME, 100_000) as part:  # within the first of two pieces
        part.write(DATA[100_000:350_000])
        part.keep()
    assert store.offset("app", NAME) == 350_000
    with pytest.raises(PartShort) as short:
        store.open_part("app", NAME, 350_001)
    assert short.value.offset == 350_000
    assert finish(store, 350_000) == NAME


def test_parts_are_given_up_and_expire(store: FileStore) -> None:
    send(store, "app", 0, 10)
    store.discard("app", NAME)
    assert store.offset("app", NAME) is None
    with pytest.raises(PartShort):
        store.open_part("app", NAME, 10)
    send(store, "app", 0, 10)
    send(store, "other", 0, 20)
    assert (store.expire(LONG_AGO), store.offset("app", NAME)) == (0, 10)
    assert (store.expire(FAR_OFF), store.offset("app", NAME), store.offset("other", NAME)) == (2, None, None)


def test_a_store_belongs_to_one_installation(store: FileStore) -> None:
    store.claim("one", begin=False)
    store.claim("two", begin=True)
    store.claim("two", begin=True)
    with pytest.raises(StoreTaken):
        store.claim("one", begin=False)


# ---- what only one of them has ------------------------------------------------------------------------------


def test_a_folder_is_its_owners_alone_and_a_part_is_written_by_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "files")
    store.claim("one", begin=True)
    part = store.open_part("app", NAME, 0)
    with pytest.raises(PartTaken):
        store.open_part("app", NAME, 0)
    part.write(DATA)
    assert (store.expire(FAR_OFF), store.offset("app", NAME)) == (0, len(DATA)), "what is being written stays"
    store.finish(part, NAME)
    part.close()
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "files").rglob("*") if path.is_file()}
    folders = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "files").rglob("*") if path.is_dir()}
    assert (modes, folders) == ({"0o600"}, {"0o700"})


def test_a_part_that_has_become_the_file_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path / "files")
    send(store, "app", 0, len(DATA))
    from engine import files

    lock = files.lock

    def finished_just_before(file: object, **more: bool) -> bool:
        (tmp_path / "files" / NAME[:2]).mkdir()
        (tmp_path / "files" / "partial" / "app" / NAME).rename(tmp_path / "files" / NAME[:2] / NAME)
        return lock(file, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "lock", finished_just_before)
    with pytest.raises(PartTaken):
        store.open_part("app", NAME, 0)
    assert store.size(NAME) == len(DATA), "it was not cut"


def test_a_bucket_that_is_away_or_refuses_says_so(bucket_server: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    away = BucketStore("s3://photos", f"http://127.0.0.1:{port}")
    with pytest.raises(StoreAway, match="is away"):
        away.size(NAME)
    away.client.close()
    other = BucketStore("s3://no-such-bucket", bucket_server)
    with pytest.raises(StoreAway, match="NoSuchBucket"):
        other.listed(NAME[:2])
    other.client.close()


def test_the_settings_name_the_store(tmp_path: Path) -> None:
    beside = open_store(Settings(database=f"sqlite:///{tmp_path}/gridpatrol.db"))
    assert isinstance(beside, FolderStore) and beside.root == tmp_path / "gridpatrol.files"
    assert open_store(Settings(database="postgresql://u@h/n")) is None
    assert open_store(Settings(database=f"sqlite:///{tmp_path}/g.db", kafka="localhost:1")) is None
    named = open_store(Settings(database="postgresql://u@h/n", files=str(tmp_path / "there")))
    assert isinstance(named, FolderStore) and named.root == tmp_path / "there"
    bucket = open_store(Settings(files="s3://photos/city/", files_endpoint="http://127.0.0.1:1"))
    assert isinstance(bucket, BucketStore) and (bucket.bucket, bucket.prefix) == ("photos", "city/")
    with pytest.raises(SettingsError):
        open_store(Settings(files="s3://"))
