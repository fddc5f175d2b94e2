"""Folders for databases that are thrown away: room, and what killed processes left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.scratch import LOCK, PREFIX, NoRoom, check_room, scratch


def test_the_folder_is_its_owner_s_alone_and_goes_whatever_ends_the_work(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch(tmp_path) as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0
        (folder / "again.db").write_bytes(b"rows")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_uses_is_not(tmp_path: Path) -> None:
    left, other = tmp_path / f"{PREFIX}left", tmp_path / "mine"
    for folder in (left, other):
        folder.mkdir()
        (folder / LOCK).touch()
    with scratch(tmp_path) as first, scratch(tmp_path) as second:
        assert not left.exists() and other.exists()
        assert first.exists() and second.exists()


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert check_room(tmp_path, 0) > 0
    with pytest.raises(NoRoom, match="--scratch"):
        check_room(tmp_path, 2 * free)
