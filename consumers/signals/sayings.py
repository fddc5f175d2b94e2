"""What the adapter says, as events with derived ids: the same thing said twice is a duplicate."""

from typing import Any

import msgspec

from schemas.instants import written
from schemas.kinds.signal import BEGAN, ENDED, WORSENED, Began
from workflows.definitions.signal import subject_of
from workflows.policy.index import Policy
from workflows.watching import Saying, Watched

SOURCE = "gridpatrol/signals"
TRIGGERS = {"began": BEGAN, "worsened": WORSENED, "ended": ENDED}
"""What is said of an episode, by the trigger that says it."""


def said_of(said: Saying, device: str, rule: str, watched: Watched, post: str) -> bytes:
    """An event as it is sent. Its id follows from the device, the rule, the first instant and what it says."""
    what = said.what + (str(said.severity) if said.what == "worsened" else "")
    event = {
        "specversion": "1.0",
        "type": f"gridpatrol.{TRIGGERS[said.what]}.v1",
        "source": SOURCE,
        "id": f"{device}|{rule}|{said.since}|{what}",
        "subject": watched.subject,
        "time": written(said.at),
        "actor": post,
        "data": data_of(said, device, rule),
    }
    return msgspec.json.encode(event)


def data_of(said: Saying, device: str, rule: str) -> dict[str, Any]:
    """The data of an event, without what is not known."""
    match said.what:
        case "began":
            data = {"device": device, "rule": rule, "since": written(said.since), "severity": said.severity}
            return data | ({"value": said.value} if said.value else {})
        case "worsened":
            return {"severity": said.severity, "value": said.value}
        case "ended":
            values = {"value": said.value, "worst": said.worst}
            ended = {"since": written(said.at), "reason": said.reason}
            return ended | {name: value for name, value in values.items() if value}


def subject_in(register: Policy, device: str, rule: str, since: int) -> str:
    """The id of an episode under a pack."""
    return subject_of(msgspec.convert({"device": device, "rule": rule, "since": written(since)}, Began), register)


def voice_of(register: Policy, post: str) -> str:
    """The post from which something is said of an episode: its own, while the pack has that; else one of a machine that
    may say so. Empty: the pack has none."""
    if post in register.posts:
        return post
    for code, each in sorted(register.posts.items()):
        level = register.grids[each.grid].level if each.grid in register.grids else 0
        if each.machine and register.role_rows_at(level, ENDED, each.role):
            return code
    return ""
