"""What other projects made and this one brings along or tests with, fetched from the npm registry by pinned digests.

`python -m lab.vendored` (`make vendor`) writes the scripts of the console anew, with their licences, as
`engine/console/static/vendored.json` pins them. Nothing is taken whose archive has not the pinned digest.
"""

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STATIC = Path(__file__).parents[1] / "engine" / "console" / "static"
PINS = STATIC / "vendored.json"


class NotVendored(Exception):
    """A package cannot be had, or is not what was pinned."""


def pins() -> dict[str, dict[str, Any]]:
    """What is pinned, by package: version, digest of its archive, which files are taken, and under which names."""
    found: dict[str, dict[str, Any]] = json.loads(PINS.read_text(encoding="utf-8"))
    return found


def fetched(package: str, version: str, integrity: str) -> dict[str, bytes]:
    """The files of a package by their paths in its archive, whose digest is the pinned one. NotVendored."""
    with TemporaryDirectory() as folder:
        try:
            command = ("npm", "pack", "--silent", f"{package}@{version}")
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
            (archive,) = Path(folder).glob("*.tgz")
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise NotVendored(f"{package} {version} cannot be had: npm or its registry is not there") from error
        packed = archive.read_bytes()
    if f"sha512-{base64.b64encode(hashlib.sha512(packed).digest()).decode()}" != integrity:
        raise NotVendored(f"{package} {version} is not what was pinned")
    with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
        members = [(member, opened.extractfile(member)) for member in opened.getmembers() if member.isfile()]
        return {member.name.removeprefix("package/"): file.read() for member, file in members if file is not None}


def main() -> None:
    """Write all files that are pinned."""
    for package, pin in pins().items():
        try:
            files = fetched(package, pin["version"], pin["integrity"])
        except NotVendored as error:
            sys.exit(str(error))
        for path, name in pin["files"].items():
            (STATIC / name).write_bytes(files[path])
            print(f"{name}: {package} {pin['version']}, {pin['licence']}")


if __name__ == "__main__":
    main()
