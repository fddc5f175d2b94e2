"""Planned events as CloudEvents: who says it from which app, when, about which incident.

Events are dictionaries as they go into a file or over HTTP; instants are milliseconds UTC.
"""

from random import Random
from typing import Any

from gridpatrol.demo.hours import MINUTE, local
from gridpatrol.demo.incident_script import Later, PlannedEvent
from gridpatrol.demo.locality import Locality


def mint(home: str, at: int, rng: Random) -> str:
    """The id of an incident, made by its sender: `<home>.<UUIDv7>` of an instant."""
    bits = (at << 80) | (0x7 << 76) | (rng.getrandbits(12) << 64) | (0b10 << 62) | rng.getrandbits(62)
    text = f"{bits:032x}"
    return f"{home}.{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class CloudEventWriter:
    """Writes the events of one locality; `origin` begins the source of each."""

    def __init__(self, locality: Locality, origin: str) -> None:
        self.locality = locality
        self.origin = origin

    def event(
        self, planned: PlannedEvent, subject: str, id_: str, at: int, arrival: int | None = None
    ) -> dict[str, Any]:
        """What is said at an instant; `arrival` where it came later.

        Its source names an app: a phone in a grid, a desk in an office or a department, a gateway per intake.
        """
        post = self.locality.policy.posts.get(planned.actor)
        if post is None:
            app = "app/unknown"
        elif post.role == "intake":
            app = f"intake/{post.code}"
        elif self.locality.level(post) == self.locality.leaf_level:
            app = f"app/{post.grid}"
        else:
            app = f"desk/{post.department or post.grid}"
        event = {
            "specversion": "1.0",
            "id": id_,
            "source": f"{self.origin}/{app}",
            "type": f"gridpatrol.{planned.trigger}.v1",
            "subject": subject,
            "time": self.text(at),
            "actor": planned.actor,
            "datacontenttype": "application/json",
            "data": self._dated(planned.data, at),
        }
        if arrival is not None and arrival != at:
            event["recordedtime"] = self.text(arrival)
        return event

    def text(self, at: int) -> str:
        """An instant with its zone, to the millisecond."""
        return local(at, self.locality.zone).isoformat(timespec="milliseconds")

    def _dated(self, value: Any, at: int) -> Any:
        """The data with its instants filled in."""
        if isinstance(value, Later):
            return self.text(at + round(value.minutes * MINUTE))
        if isinstance(value, dict):
            return {key: self._dated(member, at) for key, member in value.items()}
        if isinstance(value, list):
            return [self._dated(item, at) for item in value]
        return value
