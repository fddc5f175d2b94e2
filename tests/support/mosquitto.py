"""Where Mosquitto is found, the broker of the drill of device values: on the path, or as a variable names it."""

from __future__ import annotations

import os
import shutil

VARIABLE = "GRIDPATROL_TEST_MOSQUITTO"


def mosquitto() -> str | None:
    """The program; None: there is none."""
    return os.environ.get(VARIABLE) or shutil.which("mosquitto")
