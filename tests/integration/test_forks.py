"""A command that is forked prints, fails and dies as one that begins with a new interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.parts.forks import Forked
from lab.parts.processes import eventually
from tests.support.forks import command_in

NOBODYS = {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}


@pytest.mark.parametrize(
    "words", [("--version",), ("verify", "--database", "sqlite:///none.db"), ("verify", "--nonsense")]
)
def test_it_prints_and_ends_as_an_executed_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    whole = [sys.executable, "-c", "from gridpatrol.cli import main; main(prog_name='gridpatrol')", *words]
    executed = subprocess.run(whole, env=NOBODYS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = tmp_path / "said"
    assert Forked(words, NOBODYS, output).wait(60) == executed.returncode
    assert output.read_text(encoding="utf-8") == executed.stdout != ""


def test_a_shell_finds_it_with_its_own_words_streams_folder_and_status(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    ours = NOBODYS | {"PATH": f"{tmp_path / 'bin'}:{NOBODYS['PATH']}", "GRIDPATROL_DATABASE": "sqlite:///here.db"}
    said = "echo '{' | gridpatrol publish - --json | cat; echo ${PIPESTATUS[1]} >&2; gridpatrol verfy"
    with command_in(tmp_path / "bin"):
        done = subprocess.run(["bash", "-c", said], cwd=tmp_path, env=ours, capture_output=True, text=True)
    assert (tmp_path / "here.db").is_file() and '"line": 1' in done.stdout
    assert done.stderr.startswith("1\n") and "No such command 'verfy'" in done.stderr and done.returncode == 2


def test_it_has_its_own_environment_and_session_and_tells_by_which_signal_it_died(tmp_path: Path) -> None:
    output, url = tmp_path / "said", f"sqlite:///{tmp_path / 'a.db'}"
    serving = Forked(["serve"], NOBODYS | {"GRIDPATROL_DATABASE": url, "GRIDPATROL_LISTEN": "127.0.0.1:0"}, output)
    try:
        eventually(lambda: "gridpatrol listens at" in output.read_text(encoding="utf-8"), "it listens")
        assert (tmp_path / "a.db").is_file()
        assert os.getsid(serving.pid) == serving.pid
        assert serving.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            serving.wait(0.01)
    finally:
        serving.kill()
    assert serving.wait(20) == serving.poll() == -signal.SIGKILL
    serving.send_signal(signal.SIGTERM)  # too late, and no harm
