"""The pictures of the README: three pages of the demo in a real Chromium.

`python -m lab.screenshots` (`make screenshots`) serves the demo with a fresh month of its own on loopback, looks at the
pages, and writes `docs/images/NAME.png` anew. It needs Chromium, as the tests of the console do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.small_png import small_png

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 150_000
"""What a picture may have."""
WIDTH, HEIGHT = 1280, 640
VARIABLE = "GRIDPATROL_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
POST = "WY-SUPERVISOR"
"""As whom the pages are looked at."""
LISTENING = re.compile(r"http://127\.0\.0\.1:\d+")
CARD = "TOWN-QUARTER"
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")
"""As root in a container there is no sandbox to be had."""
LATEST = "a[href^='/cases/']"


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The demo with a month of its own, until the block ends: its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}
    environment |= {"GRIDPATROL_LISTEN": "127.0.0.1:0", "GRIDPATROL_DATABASE": f"sqlite:///{folder / 'demo.db'}"}
    command = [sys.executable, "-m", "gridpatrol", "demo", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder, text=True) as process:
        try:
            assert process.stdout is not None
            found = next((match for line in process.stdout if (match := LISTENING.search(line))), None)
            if found is None:
                sys.exit("the demo did not open its door")
            yield found[0]
        finally:
            process.terminate()


def chromium() -> str:
    """The path of a browser."""
    wanted = os.environ.get(VARIABLE, "")
    found = next((path for name in (wanted, *NAMES) if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit(f"no Chromium: apt-get install chromium fonts-noto-cjk, or set {VARIABLE}")
    return found


def take(page: Any, name: str) -> None:
    """Write a picture of what a page shows first."""
    file = IMAGES / f"{name}.png"
    size = file.write_bytes(small_png(page.screenshot()))
    print(f"{file.relative_to(IMAGES.parents[1])}: {size // 1000} kB")
    if size > MOST_BYTES:
        sys.exit(f"{file.name} has {size} bytes, more than {MOST_BYTES}")


def main() -> None:
    """Write all pictures."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="gridpatrol-pictures-") as folder,
        demo(Path(folder)) as url,
        sync_playwright() as running,
    ):
        opened = running.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = opened.new_page(base_url=url, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"/me?q={POST}")
        page.locator(f"button[value='{POST}']").click()
        page.goto("/desk?lang=zh")
        take(page, "desk")
        page.locator(f"td.name {LATEST}").first.click()
        page.wait_for_url("**/cases/*")
        take(page, "case")
        page.goto(f"/assessment?card={CARD}")
        take(page, "assessment")
        opened.close()


if __name__ == "__main__":
    main()
