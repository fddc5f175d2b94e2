"""Words as CloudEvents: who says it from which app, when, about which incident.

In: words of a life, instants in milliseconds UTC. Out: dictionaries as they go into a file or over HTTP.
"""

from random import Random
from typing import Any

from gridpatrol.demo.hours import MINUTE, local
from gridpatrol.demo.incident_script import Later, Word
from gridpatrol.demo.locality import Post, Town


def mint(home: str, at: int, rng: Random) -> str:
    """The id of an incident, made by its sender: `<home>.<UUIDv7>` of an instant."""
    bits = (at << 80) | (0x7 << 76) | (rng.getrandbits(12) << 64) | (0b10 << 62) | rng.getrandbits(62)
    text = f"{bits:032x}"
    return f"{home}.{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Speech:
    """Writes events of one town; `origin` begins the source of each."""

    def __init__(self, town: Town, origin: str) -> None:
        self.town = town
        self.origin = origin
        self.posts = {post.code: post for post in town.posts}

    def event(self, word: Word, subject: str, name: str, at: int, arrival: int | None = None) -> dict[str, Any]:
        """A word said at an instant; `arrival` where it came later."""
        event = {
            "specversion": "1.0",
            "id": name,
            "source": f"{self.origin}/{self._app(self.posts.get(word.actor))}",
            "type": f"gridpatrol.{word.trigger}.v1",
            "subject": subject,
            "time": self.text(at),
            "actor": word.actor,
            "datacontenttype": "application/json",
            "data": self._dated(word.data, at),
        }
        if arrival is not None and arrival != at:
            event["recordedtime"] = self.text(arrival)
        return event

    def text(self, at: int) -> str:
        """An instant with its zone, to the millisecond."""
        return local(at, self.town.zone).isoformat(timespec="milliseconds")

    def _app(self, post: Post | None) -> str:
        """Phones in the grids, desks in offices and departments, one gateway per intake."""
        if post is None:
            return "app/unknown"
        if post.role == "intake":
            return f"intake/{post.code}"
        if self.town.grids[post.grid].level == self.town.leaf_level:
            return f"app/{post.grid}"
        return f"desk/{post.department or post.grid}"

    def _dated(self, value: Any, at: int) -> Any:
        """The data with its instants filled in."""
        if isinstance(value, Later):
            return self.text(at + round(value.minutes * MINUTE))
        if isinstance(value, dict):
            return {key: self._dated(member, at) for key, member in value.items()}
        if isinstance(value, list):
            return [self._dated(item, at) for item in value]
        return value
