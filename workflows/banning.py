"""Permit bans (区域限批, M124): a supervision lets nothing be permitted in a grid while it is in force. Pure.

1. A supervision whose action `bans` says so to the docket of the root's home, in which all approvals lie, when it is
   served for the first time, and takes it back when it is cleared or revoked.
2. The docket tells the approvals, and bears whoever comes first to it (`workflows.definitions.docket`).
"""

from schemas.derived_ids import docket_subject
from schemas.kinds.docket import BANNED, DOCKET, OPENED, UNBANNED, Banned, Opened, Unbanned
from schemas.members import EventData
from workflows.decision import Decision


def say_to_docket(d: Decision, trigger: str, data: EventData) -> None:
    """Say something to the docket of the root's home, which begins by it if it is not there."""
    to = docket_subject(d.register.root)
    found = d.find(to)
    if found is None or not found.opened:
        d.send(to, OPENED, Opened(), bears=DOCKET.name)
    d.send(to, trigger, data)


def begin(d: Decision) -> None:
    """The supervision of a decision bans what is to be in the grid in which it lies."""
    grid = d.register.standing(d.case.path[-1], d.arrival)
    say_to_docket(d, BANNED, Banned(grid=grid, by=d.case.id))


def end(d: Decision) -> None:
    """The supervision of a decision bans nothing any more."""
    say_to_docket(d, UNBANNED, Unbanned(by=d.case.id))
