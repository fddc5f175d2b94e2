"""What release f28de43 left behind, and what is compared with it: the safety net of changes that change no behaviour.

Enters: files of `tests/fixtures/f28de43/`, whose README tells how they were made; the URL of a database. Leaves: bytes
as that release wrote them, and a failure that shows the first line that differs. The commands are asked for everything,
so that nothing here depends on where a module lies.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from click.testing import CliRunner

from gridpatrol.cli import main

FOLDER = Path(__file__).parents[1] / "fixtures" / "f28de43"
AROUND = 120
"""So many characters are shown on each side of a difference."""


def kept(name: str) -> bytes:
    """The content of a compressed file."""
    return lzma.decompress((FOLDER / f"{name}.xz").read_bytes())


def laid(name: str, folder: Path) -> Path:
    """A compressed file, laid out in a folder."""
    path = folder / name
    path.write_bytes(kept(name))
    return path


def sums() -> dict[str, str]:
    """The SHA-256 of what is too large to be kept, by its name."""
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def digest(content: bytes) -> str:
    """The SHA-256 of bytes, as `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()


def gridpatrol(*words: object, status: int = 0, **settings: str) -> str:
    """What a command prints, without anybody's settings but these. It must end with this status."""
    nobody = {name: None for name in os.environ if name.startswith("GRIDPATROL_")}
    told = {f"GRIDPATROL_{name.upper()}": value for name, value in settings.items()}
    done = CliRunner().invoke(main, [str(word) for word in words], env=nobody | told | {"COLUMNS": "80"})
    assert done.exit_code == status, (words, done.output, done.exception)
    return done.stdout


def facts_of(url: str, folder: Path) -> bytes:
    """Every step of a database, by case, with its number and partition."""
    path = folder / "found.jsonl"
    gridpatrol("facts", "export", "--database", url, "-o", path)
    return path.read_bytes()


def answers_of(url: str, commands: list[str]) -> dict[str, str]:
    """What reading commands print of a database. The instant at which they were asked is left out."""
    printed = {command: gridpatrol(*command.split(), "--database", url) for command in commands}
    return {command: re.sub(r'"as_of": "[^"]*"', '"as_of": ""', text) for command, text in printed.items()}


def check_same_lines(found: bytes, wanted: bytes) -> None:
    """Fail with the first line that differs, and what stands there around its first different character."""
    if found == wanted:
        return
    pairs = zip_longest(wanted.decode().splitlines(), found.decode().splitlines(), fillvalue="(no line)")
    for number, (old, new) in enumerate(pairs, 1):
        if old != new:
            at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            begin = max(0, at - AROUND)
            shown = f"{_place(old)}\n  f28de43: {old[begin : at + AROUND]}\n  now:     {new[begin : at + AROUND]}"
            pytest.fail(f"line {number} differs from character {at + 1} on: {shown}")
    pytest.fail("only the ends of lines differ")


def check_same_answers(found: dict[str, str], wanted: dict[str, str]) -> None:
    """The same for what commands printed."""
    for command, text in wanted.items():
        try:
            check_same_lines(found[command].encode(), text.encode())
        except pytest.fail.Exception as failed:
            pytest.fail(f"`gridpatrol {command}`: {failed}")


def _place(line: str) -> str:
    """Which step of which case a line is, if it is one."""
    try:
        step = json.loads(line)
        return f"case {step['case']}, step {step['seq']}"
    except (ValueError, TypeError, KeyError):
        return ""
