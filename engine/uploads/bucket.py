"""Files in a bucket of an S3-compatible store, which several gateways share.

`PREFIX/ab/SHA256` is a file. What has come of one so far are objects in a row,
`PREFIX/partial/PRINCIPAL/SHA256/OFFSET`: one for each request that was cut or sent a piece, since a multipart upload
takes no piece below 5 MiB but the last. A request is written to a local file that has no name; what it has is put into
the bucket when it ends. Credentials and region come from where every tool of AWS looks for them: variables, `~/.aws`,
the role of the machine.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from engine import failpoints
from engine.errors import SettingsError
from engine.uploads.folder import disk
from engine.uploads.store import CHUNK, Part, PartShort, StoreAway, StoreTaken

MARK = "installation"
MOST_KEYS = 1000
"""Objects of one page of a list."""
GONE = ("404", "NoSuchKey", "NotFound")
PATIENCE = Config(connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 2})


@contextmanager
def answers() -> Iterator[None]:
    """Errors of the bucket's server as StoreAway, an object that is not there as FileNotFoundError."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in GONE:
            raise FileNotFoundError(code) from error
        remedy = "Look at the bucket, its policy and the credentials."
        raise StoreAway(f"the bucket of the files refuses: {code}", remedy=remedy) from error
    except BotoCoreError as error:
        remedy = "Look at its server, its address and the credentials."
        raise StoreAway(f"the bucket of the files is away: {type(error).__name__}", remedy=remedy) from error


class BucketPart:
    """A part: what the bucket has of it, and a local file of what this request adds."""

    def __init__(self, store: "BucketStore", folder: str, start: int) -> None:
        self.store, self.folder = store, folder
        self.size = self.start = start
        with disk():
            self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`

    def write(self, data: bytes) -> None:
        with disk():
            self._file.write(data)
        self.size += len(data)

    def keep(self) -> None:
        if self.size > self.start:
            self._file.seek(0)
            self.store.put(f"{self.folder}/{self.start:015d}", self._file, self.size - self.start)
            self.start = self.size

    def read(self) -> IO[bytes]:
        """All of it: the local file becomes whole."""
        with disk():
            if self.start:
                own, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
                with own:
                    for key, size, _ in self.store.objects(f"{self.folder}/"):
                        for chunk in self.store.chunks(key, 0, size):
                            self._file.write(chunk)
                    own.seek(0)
                    shutil.copyfileobj(own, self._file, CHUNK)
                self.start = 0
            self._file.seek(0)
            return os.fdopen(os.dup(self._file.fileno()), "rb")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class BucketStore:
    """A bucket. `url`: `s3://BUCKET/PREFIX`; `endpoint`: the address of its server, empty for that of AWS."""

    def __init__(self, url: str, endpoint: str = "", client: Any = None) -> None:
        parts = urlsplit(url)
        if not parts.netloc or parts.query:
            raise SettingsError("files: a bucket is written as s3://BUCKET/PREFIX")
        self.bucket = parts.netloc
        prefix = parts.path.strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        session = Session()
        region = session.get_config_variable("region") or "us-east-1"
        try:
            self.client = client or session.create_client(
                "s3", region_name=region, endpoint_url=endpoint or None, config=PATIENCE
            )
        except (BotoCoreError, ValueError) as error:
            raise SettingsError(f"files: the bucket cannot be used: {error}") from error

    # ---- files

    def claim(self, installation: str, *, begin: bool) -> None:
        try:
            known = b"".join(self.chunks(f"{self.prefix}{MARK}", 0, CHUNK)).decode()
        except FileNotFoundError:
            if begin:
                with answers():
                    self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}{MARK}", Body=installation.encode())
            return
        if known != installation:
            raise StoreTaken(f"s3://{self.bucket}/{self.prefix} holds the files of another installation")

    def finish(self, part: Part, sha256: str) -> None:
        assert isinstance(part, BucketPart)
        with part.read() as whole:
            failpoints.hit("upload.before_rename")
            self.put(self._file(sha256), whole, part.size)
        failpoints.hit("upload.after_rename")
        self._remove_all(f"{part.folder}/")

    def size(self, sha256: str) -> int | None:
        try:
            with answers():
                return int(self.client.head_object(Bucket=self.bucket, Key=self._file(sha256))["ContentLength"])
        except FileNotFoundError:
            return None

    def read(self, sha256: str, start: int, length: int) -> Iterator[bytes]:
        return self.chunks(self._file(sha256), start, length)

    def remove(self, sha256: str) -> None:
        with answers():
            self.client.delete_object(Bucket=self.bucket, Key=self._file(sha256))

    def listed(self, prefix: str) -> Mapping[str, tuple[int, int]]:
        under = f"{self.prefix}{prefix[:2]}/"
        return {key.removeprefix(under): (size, at) for key, size, at in self.objects(under)}

    # ---- parts

    def offset(self, principal: str, sha256: str) -> int | None:
        pieces = list(self.objects(f"{self._part(principal, sha256)}/"))
        return _joined(pieces) if pieces else None

    def parts(self, principal: str) -> int:
        return sum(1 for _ in groupby(self.objects(f"{self.prefix}partial/{principal}/"), lambda one: one[0][:-16]))

    def open_part(self, principal: str, sha256: str, start: int) -> BucketPart:
        folder = self._part(principal, sha256)
        pieces = list(self.objects(f"{folder}/"))
        if (has := _joined(pieces)) < start:
            raise PartShort(has)
        at = 0
        for key, size, _ in pieces:  # what was sent again from an offset within a piece is cut out of it
            if at < start < at + size:
                kept = b"".join(self.chunks(key, 0, start - at))
                with answers():
                    self.client.put_object(Bucket=self.bucket, Key=key, Body=kept)
            elif at >= start:
                with answers():
                    self.client.delete_object(Bucket=self.bucket, Key=key)
            at += size
        return BucketPart(self, folder, start)

    def discard(self, principal: str, sha256: str) -> None:
        self._remove_all(f"{self._part(principal, sha256)}/")

    def expire(self, before: int) -> int:
        count = 0
        under = f"{self.prefix}partial/"
        for _, pieces in groupby(self.objects(under), lambda one: one[0][:-16]):
            found = list(pieces)
            if max(at for _, _, at in found) < before:
                for key, _, _ in found:
                    with answers():
                        self.client.delete_object(Bucket=self.bucket, Key=key)
                count += 1
        return count

    # ---- objects

    def put(self, key: str, body: IO[bytes], size: int) -> None:
        """Write an object from a file that stands at its beginning."""
        with answers():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentLength=size)

    def objects(self, under: str) -> Iterator[tuple[str, int, int]]:
        """(key, bytes, since when it is there in ms) of the objects whose keys begin so, in the order of their keys."""
        after = ""
        while True:
            with answers():
                page = self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=under, StartAfter=after, MaxKeys=MOST_KEYS
                )
            for one in page.get("Contents", ()):
                after = one["Key"]
                yield after, int(one["Size"]), int(one["LastModified"].timestamp() * 1000)
            if not page.get("IsTruncated"):
                return

    def chunks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """Bytes of an object. FileNotFoundError at once where there is none."""
        with answers():
            span = f"bytes={start}-{start + length - 1}"
            body = self.client.get_object(Bucket=self.bucket, Key=key, Range=span)["Body"]

        def pieces() -> Iterator[bytes]:
            with answers(), body:
                yield from iter(lambda: body.read(CHUNK), b"")

        return pieces()

    def _remove_all(self, under: str) -> None:
        for key, _, _ in list(self.objects(under)):
            with answers():
                self.client.delete_object(Bucket=self.bucket, Key=key)

    def _file(self, sha256: str) -> str:
        return f"{self.prefix}{sha256[:2]}/{sha256}"

    def _part(self, principal: str, sha256: str) -> str:
        return f"{self.prefix}partial/{principal}/{sha256}"


def _joined(pieces: list[tuple[str, int, int]]) -> int:
    """How many bytes pieces have that follow one another without a gap, from the first byte on."""
    at = 0
    for key, size, _ in pieces:
        if int(key[-15:]) != at:
            break
        at += size
    return at
