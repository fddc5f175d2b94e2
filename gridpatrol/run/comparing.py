"""How a server has history decided once more under another pack: by its own command, in a process of its own."""

import logging
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from engine.errors import GridpatrolError
from engine.settings import Settings
from workflows.policy import model
from workflows.policy.model import Pack

log = logging.getLogger(__name__)

ENOUGH_S = 3600
"""After so long a comparison is given up."""


class NotCompared(GridpatrolError):
    """The command gave no answer."""

    remedy = "Run `gridpatrol whatif` by hand: it shows how far it comes."


class CommandComparer:
    """Runs `gridpatrol whatif` with the settings of this process, at low priority."""

    def __init__(self, settings: Settings) -> None:
        defaults = structs.asdict(Settings())
        changed = {name: value for name, value in structs.asdict(settings).items() if value != defaults[name]}
        self.environment = os.environ | {f"GRIDPATROL_{name.upper()}": str(value) for name, value in changed.items()}
        self._child: subprocess.Popen[bytes] | None = None

    def compare(self, pack: Pack, since: int, until: int) -> dict[str, Any]:
        """What the command says. NotCompared."""
        with tempfile.TemporaryDirectory(prefix="gridpatrol-whatif-") as folder:
            file = Path(folder) / "pack.json"
            file.write_bytes(model.encode(pack))
            asked = ["--pack", str(file), "--from", iso(since), "--to", iso(until), "--json"]
            command = [sys.executable, "-m", "gridpatrol", "whatif", *asked]
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment
            )
            try:
                os.setpriority(os.PRIO_PROCESS, self._child.pid, 10)  # nobody's event waits for it
                said, complaint = self._child.communicate(timeout=ENOUGH_S)
            except subprocess.TimeoutExpired:
                raise NotCompared(f"it took more than {ENOUGH_S // 60} minutes") from None
            finally:
                self.close()
        if self._child.returncode:
            log.error("whatif ended with %s: %s", self._child.returncode, complaint.decode(errors="replace"))
            lines = complaint.decode(errors="replace").strip().splitlines() or ["it ended without a word"]
            raise NotCompared(lines[-1].removeprefix("Error: "))
        found: dict[str, Any] = msgspec.json.decode(said)
        return found

    def close(self) -> None:
        """End the process that runs."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()


def iso(instant: int) -> str:
    """An instant (ms UTC) as commands read it."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds")
