"""The page for developers of apps: its blocks run one after another, as a phone with a token gives them to a door."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.principals import digest_of, new_token
from engine.views.phone_pack import PhonePack
from engine.views.speaking import Me
from tests.support.builders import MEMBER
from tests.support.serving import Served, prepared, served
from tests.support.source_files import ROOT

PAGE = (ROOT / "docs/apps.md").read_text(encoding="utf-8")
TRY = re.compile(r"^<!-- try -->\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
TOKEN = new_token()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Served]:
    """A door that knows one phone."""
    file = tmp_path / "principals.toml"
    file.write_text(f'[principal.phone]\nactors = ["{MEMBER}"]\ntokens = ["{digest_of(TOKEN)}"]\n', encoding="utf-8")
    file.chmod(0o600)
    with prepared(f"sqlite:///{tmp_path / 'door.db'}", principals=str(file)) as engine, served(engine) as running:
        yield running


def give(script: str, folder: Path, door: str) -> subprocess.CompletedProcess[str]:
    """Give a block to a shell, with the variables that the page asks for."""
    known = {"PATH": os.environ["PATH"], "DOOR": door, "TOKEN": TOKEN}
    told = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(told, cwd=folder, env=known, capture_output=True, text=True, timeout=120)


def test_what_the_page_shows_is_what_a_phone_can_do(asking: Served, tmp_path: Path) -> None:
    folder = tmp_path / "phone"
    folder.mkdir()
    blocks = TRY.findall(PAGE)
    assert len(blocks) == PAGE.count("<!-- try -->") >= 5
    for script in blocks:
        done = give(script, folder, str(asking.client.base_url).rstrip("/"))
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    assert json.loads((folder / "pack.json").read_text())["posts"][0]["code"] == MEMBER
    sent = json.loads((folder / "sent.json").read_text())
    assert sent["place"] == {"grid": "WY01-01", "how": "located"} and sent["time"] == "believed"


def test_a_block_that_is_refused_fails(asking: Served, tmp_path: Path) -> None:
    block = next(script for script in TRY.findall(PAGE) if "/v1/me" in script)
    door = str(asking.client.base_url).rstrip("/")
    assert give(block.replace("$TOKEN", "gp_nobody"), tmp_path, door).returncode


def test_the_page_tells_of_every_part_that_a_phone_takes_along() -> None:
    plain = [
        "hash",
        "code",
        "title",
        "notice",
        "zone",
        "crs",
        "day",
        "main_definition",
        "leaf_level",
        "parked_ms",
        "similar_m",
    ]
    assert [name for name in PhonePack.__struct_fields__ if name not in plain and f"`{name}`" not in PAGE] == []
    named = {"principal", "asks_token"}
    assert [name for name in Me.__struct_fields__ if name not in named and f"`{name}`" not in PAGE] == []
