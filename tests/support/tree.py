"""A copy of the source tree, for tests that change it or build from it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.source_files import ROOT, project_files

COMPILED = "__pycache__"


def copy_tree(target: Path, *, compiled: bool = False) -> Path:
    """Every file of the project in a new folder, without what tools and runs leave behind.

    `compiled`: with the bytecode that there is, which counts for a file until that is changed. A run in the copy
    compiles nothing else: for five hundred files that takes longer than most tests.
    """
    paths = project_files()
    if compiled:
        beside = {path.parent / COMPILED for path in paths if path.suffix == ".py"}
        paths += [path for folder in beside if folder.is_dir() for path in folder.glob("*.pyc")]
    for path in paths:
        copied = target / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)  # with its times: by those of its source, bytecode counts or not
    return target
