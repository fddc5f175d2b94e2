"""Failpoints: named places where a run can be killed, stopped or made to fail, for tests of what a crash leaves behind.

`GRIDPATROL_FAILPOINT` sets them, e.g. `slice.before_commit:kill@3` (the third time), `append.after_commit:raise`,
`slice.after_read:sleep=200` (ms, every time), `relay.before_mark:stop` (until SIGCONT); commas separate several. When
none is set, a place costs one dictionary look-up.
"""

import os
import signal
import time

NAMES = (
    "append.before_commit",
    "append.after_commit",
    "slice.after_lock",
    "slice.after_read",
    "slice.before_write",
    "slice.before_commit",
    "slice.after_commit",
    "stream.before_start",
    "fold.before_commit",
    "fold.after_commit",
    "alerts.before_commit",
    "alerts.after_commit",
    "alerts.before_publish",
    "alerts.after_publish",
    "channel.before_send",
    "channel.after_send",
    "replay.before_commit",
    "replay.after_commit",
    "copy.before_commit",
    "backup.between_pages",
    "file.before_rename",
    "upload.before_rename",
    "upload.after_rename",
    "archive.after_file",
    "archive.after_register",
    "archive.before_commit",
    "archive.after_commit",
    "sends.before_append",
    "sends.before_mark",
    "sends.after_mark",
    "relay.before_send",
    "relay.before_mark",
    "figures.before_flush",
    "figures.after_flush",
    "intake.before_commit",
)

_armed: dict[str, tuple[str, int]] = {}
_hits: dict[str, int] = {}


class Interrupted(RuntimeError):
    """Raised by a failpoint whose action is `raise`."""


def arm(text: str) -> None:
    """Set failpoints from a comma-separated text; empty clears them. An unknown name is a ValueError."""
    _armed.clear()
    _hits.clear()
    for part in filter(None, text.split(",")):
        name, _, action = part.strip().partition(":")
        if name not in NAMES:
            raise ValueError(f"no failpoint {name!r}; there are: {', '.join(NAMES)}")
        what, _, count = action.partition("@")
        _armed[name] = (what or "kill", int(count or 1))


def hit(name: str) -> None:
    """Pass a named place."""
    if name not in _armed:
        return
    _hits[name] = _hits.get(name, 0) + 1
    what, count = _armed[name]
    if what.startswith("sleep="):
        time.sleep(int(what.removeprefix("sleep=")) / 1000)
    elif _hits[name] == count:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "stop":
            return os.kill(os.getpid(), signal.SIGSTOP)
        raise Interrupted(name)


arm(os.environ.get("GRIDPATROL_FAILPOINT", ""))
