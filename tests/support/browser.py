"""A real browser for tests: Chromium, driven by playwright, and axe-core to judge what it shows.

Debian's package is enough (`apt-get install chromium fonts-noto-cjk`), or another one whose path
`GRIDPATROL_TEST_CHROMIUM` names. Where it cannot be had, its tests are skipped with the reason; where the variable is
set it must be there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.vendored import NotVendored, fetched

VARIABLE = "GRIDPATROL_TEST_CHROMIUM"
PICTURES = "GRIDPATROL_SCREENSHOTS"
"""A folder in which a picture of every page is kept; unset: none is."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = (
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
"""The judge of accessibility (MPL-2.0), for tests only."""


def chromium() -> str:
    """The path of a browser; the test is skipped where there is none."""
    if wanted := os.environ.get(VARIABLE):
        assert shutil.which(wanted), f"{VARIABLE} names no browser"
        return wanted
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium: apt-get install chromium fonts-noto-cjk, or set {VARIABLE}")
    return found


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser of playwright's."""
    path = chromium()
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        # As root in a container there is no sandbox to be had, and little memory that is shared.
        opened = running.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield opened
        finally:
            opened.close()


def axe() -> str:
    """The script of axe-core; it is kept beside other tools, and the test is skipped where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gridpatrol-tools" / f"axe-{AXE[1]}.js"
    if not cache.is_file():
        try:
            script = fetched(*AXE)["axe.min.js"]
        except NotVendored as error:
            pytest.skip(str(error))
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(script)
    return cache.read_text(encoding="utf-8")
