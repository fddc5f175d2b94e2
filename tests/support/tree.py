"""A copy of the source tree, for tests that change it or build from it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.source_files import ROOT, project_files


def copy_tree(target: Path) -> Path:
    """Every file of the project in a new folder, without what tools and runs leave behind."""
    for path in project_files():
        copied = target / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    return target
