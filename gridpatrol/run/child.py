"""One role of the distributed run as a child process: `python -m gridpatrol.run.child NAME`.

`gridpatrol.run.supervision` starts it, with its settings as the first line of standard input. It stops in order when
standard input closes, so it does not outlive its parent, however the parent ends. NAME is for whoever looks at the list
of processes.
"""

import os
import signal
import sys
import threading
import time

import click
import msgspec

from engine import logs
from engine.settings import Settings
from gridpatrol.cli import PLAIN, status_of
from gridpatrol.run import process
from gridpatrol.run.supervision import STOP_S


def main() -> int:
    """Serve one role with the settings on standard input. The exit status."""
    line = b""  # read unbuffered: the rest is watched by a thread that may not hold a lock at exit
    while not line.endswith(b"\n") and (some := os.read(0, 65_536)):
        line += some
    settings = msgspec.json.decode(line, type=Settings)

    def end_with_parent() -> None:  # in order, and at last in any way
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_S)
        os._exit(1)

    threading.Thread(target=end_with_parent, name="gridpatrol-parent", daemon=True).start()
    logs.configure(settings.log_format, settings.log_level)
    try:
        process.run(settings)
    except PLAIN as error:
        click.echo(f"gridpatrol {settings.role}: {error}", err=True)
        return status_of(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
