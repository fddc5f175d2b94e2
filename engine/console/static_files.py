"""Styles, scripts and marks of the pages: files of the wheel, under names that change with their bytes.

So a browser keeps them for a year, and a new release is a new name. What another project has made is pinned in
`static/vendored.json` with its version, digest and licence, and fetched anew by `make vendor`.
"""

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

MEDIA = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


class StaticFile(NamedTuple):
    """A file as it is sent."""

    media: str
    body: bytes
    zipped: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """The files by the names that pages give them."""
    found = {}
    for file in sorted(files("engine.console").joinpath("static").iterdir(), key=lambda each: each.name):
        stem, _, ending = file.name.rpartition(".")
        if ending in MEDIA:
            body = file.read_bytes()
            name = f"{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{ending}"
            found[name] = StaticFile(MEDIA[ending], body, gzip.compress(body, 9, mtime=0))
    return found


@cache
def address_of(name: str) -> str:
    """Where a file is: `console.css` at `/static/console.0123456789ab.css`."""
    stem, _, ending = name.rpartition(".")
    (found,) = (
        each
        for each in static_files()
        if each.startswith(f"{stem}.") and each.endswith(f".{ending}") and len(each) == len(name) + 13
    )
    return f"/static/{found}"
