"""Photos of a demo: evidence of live events gets a picture, which is sent to the door under its SHA-256."""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

from gridpatrol.client import Refused, Server
from gridpatrol.demo.pictures import picture

EVERY_S = 5.0
"""From one photo to the next, so that a demo that runs for days fills no disk."""
NO_FILES = 501
"""The status of a door that keeps no files."""


class Photos:
    """The camera of a phone. `clock`: seconds that only grow."""

    def __init__(self, server: Server, rng: Random, clock: Callable[[], float]) -> None:
        self.server, self.rng, self.clock = server, rng, clock
        self._next_s = clock()

    def take(self, event: dict[str, Any]) -> None:
        """Give the evidence of an event a picture, if one is due, and send it. The evidence then names it by its
        SHA-256 alone. Where no files are kept, evidence stays as it was planned, from then on too."""
        for item in event["data"].get("evidence", ()):
            if self.clock() < self._next_s:
                return
            content = picture(self.rng)
            digest = hashlib.sha256(content).hexdigest()
            try:
                self.server.put(f"/v1/files/{digest}", content)
            except Refused as refused:
                self._next_s = float("inf") if refused.status == NO_FILES else self.clock() + EVERY_S
                return
            self._next_s = self.clock() + EVERY_S
            item.pop("url", None)
            item["sha256"] = digest
