"""The names of the topics of an installation, and their keys."""

import re

from msgspec import Struct

_SYSTEM = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class Topics(Struct, frozen=True):
    """The names of one installation's topics. `prefix` stands before each as it is written, such as `staging.`."""

    prefix: str = ""

    @property
    def inbox(self) -> str:
        """All that can change an incident. Key: home. Only gateways (events) and owners (ticks, sends) write it."""
        return f"{self.prefix}gridpatrol.inbox.v1"

    @property
    def facts(self) -> str:
        """One message per step, numbered by `n` without gaps per partition, at least once. Key: case."""
        return f"{self.prefix}gridpatrol.facts.v1"

    @property
    def alerts(self) -> str:
        """The lines of the alert feed, at least once, with stable ids. Key: case."""
        return f"{self.prefix}gridpatrol.alerts.v1"

    @property
    def deadletter(self) -> str:
        """What was refused and why, without its bytes, which stay sealed in the store. Key: the letter's id."""
        return f"{self.prefix}gridpatrol.deadletter.v1"

    @property
    def performance(self) -> str:
        """Figures as absolute values; the last one of a key counts. Key: the cell."""
        return f"{self.prefix}gridpatrol.performance.v1"

    def intake(self, system: str) -> str:
        """Where a system publishes its events, with a principal and ACL of its own. ValueError for a bad name."""
        if not _SYSTEM.match(system):
            raise ValueError(f"{system!r} is no name for a system: lower-case letters, digits and hyphens, at most 63")
        return f"{self.prefix}gridpatrol.intake.{system}.v1"

    def group(self, name: str) -> str:
        """A consumer group's name."""
        return f"{self.prefix}gridpatrol.{name}"
