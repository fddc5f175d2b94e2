"""Files of settings that a test changes while an engine reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import principals, watched_files


def put_file(file: Path, text: str, mode: int = 0o600) -> Path:
    """A file with this text in one step: whoever reads it finds the old text or the new one."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    os.replace(fresh, file)
    return file


def read_at_once(patch: pytest.MonkeyPatch) -> None:
    """Changes of a file of principals, and of whatever else is watched, are seen at the next look."""
    patch.setattr(principals, "LOOK_S", 0)
    patch.setattr(watched_files, "STILL_MS", 0)
