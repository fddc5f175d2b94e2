"""The recipes of CONTRIBUTING.md: edits as `diff` blocks, then the commands of an `sh` block, under one heading.

A diff names its file after `---`; `@@` begins another place in it. Lines that stay and lines that go (` ` and `-`) have
to stand in the file together, once; those that come (`+`) take their place. A hunk that only adds makes a new file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(diff|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Hunk(NamedTuple):
    """One place of a file: what stands there, and what is to stand there."""

    file: str
    old: str
    new: str


class Recipe(NamedTuple):
    """How to add a thing."""

    title: str
    hunks: list[Hunk]
    commands: str


def recipes(text: str) -> list[Recipe]:
    """Every section that has a diff."""
    _, *parts = HEADING.split(text)
    found = []
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        blocks = BLOCK.findall(body)
        hunks = [hunk for kind, block in blocks if kind == "diff" for hunk in _hunks(block)]
        commands = "".join(block for kind, block in blocks if kind == "sh")
        if hunks:
            found.append(Recipe(title, hunks, commands))
    return found


def _hunks(block: str) -> list[Hunk]:
    hunks = []
    for part in re.split(r"^--- ", block, flags=re.MULTILINE)[1:]:
        file, _, places = part.partition("\n")
        for place in re.split(r"^@@.*\n", places, flags=re.MULTILINE):
            lines = [line or " " for line in place.splitlines()]
            strange = [line for line in lines if line[0] not in " -+"]
            if strange:
                raise ValueError(f"{file}: {strange[0]!r} begins with none of ' ', '-' and '+'")
            old, new = ("".join(f"{line[1:]}\n" for line in lines if line[0] != sign) for sign in "+-")
            if lines:
                hunks.append(Hunk(file.strip(), old, new))
    return hunks


def apply(hunk: Hunk, root: Path) -> None:
    """Change the file, or make it. ValueError if the old lines do not stand in it exactly once."""
    path = root / hunk.file
    if not hunk.old:
        if path.exists():
            raise ValueError(f"{hunk.file}: there is such a file, so say after which line")
        path.write_text(hunk.new, encoding="utf-8")
        return
    text = "\n" + path.read_text(encoding="utf-8")
    found = len(re.findall(f"(?=\n{re.escape(hunk.old)})", text))  # also where they overlap
    if found != 1:
        raise ValueError(f"{hunk.file}: these lines stand there {found} times, not once:\n{hunk.old}")
    path.write_text(text.replace("\n" + hunk.old, "\n" + hunk.new)[1:], encoding="utf-8")
