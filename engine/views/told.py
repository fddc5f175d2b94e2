"""What a sender is told of an event that was taken: where its case lies, whether its instant was believed, and which
cases may be the same problem. It is read from the step, so whoever asks later is told the same."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from engine.store import exports
from engine.store.database import Connection
from engine.store.rows import StepRow
from engine.store.steps import step_of
from schemas import facts


class Place(Struct, frozen=True, omit_defaults=True):
    """The grid in which a case lies.

    `how` a report came to it: its grid was `sent`, `located` by its position, it is the speaker's `own`, the `home` for
    want of a better one, or the `successor` of the grid that was sent, which has ended. `remark`: the position that was
    sent lies `elsewhere` (the grid counts), `off_map`, or is `no_position` (0/0). Other events, and reports that
    earlier releases decided, have the grid alone.
    """

    grid: str
    how: Literal["", "sent", "located", "own", "home", "successor"] = ""
    remark: Literal["", "elsewhere", "off_map", "no_position"] = ""


class Told(Struct, frozen=True):
    """What is told. `time`: the instant that was sent is `believed`, or `clamped` to the arrival or to what came
    before; empty where nothing is dated by it. `similar`: open cases that may be the same problem."""

    place: Place | None = None
    time: Literal["", "believed", "clamped"] = ""
    similar: list[str] = msgspec.field(default_factory=list)


def told_of(connection: Connection, case_id: str, source: str, id_: str, actor: str) -> Told:
    """What is told of an event; nothing of one that has left no step. An empty actor stands for any."""
    return told_in(exports.steps_of(connection, case_id), source, id_, actor) or Told()


def told_in(rows: Iterable[StepRow], source: str, id_: str, actor: str) -> Told | None:
    """What is told of an event that has caused one of these steps of its case; None: it has caused none."""
    named = msgspec.json.encode(id_).decode()
    for row in rows:
        if named in row.cause:
            step = step_of(row)
            if (step.cause.source, step.cause.id) == (source, id_) and actor in ("", step.cause.actor):
                return told(step)
    return None


def told(step: facts.Step) -> Told:
    """What is told of the event that caused a step."""
    grid, similar, dated = step.path.strip("/").rpartition("/")[2], list[str](), dict[bool, int]()
    place = Place(grid) if grid else None
    for fact in step.facts:
        if isinstance(fact, facts.Reported):
            place = msgspec.convert({"grid": fact.path[-1], "how": fact.how, "remark": fact.remark}, Place)
        if isinstance(fact, facts.Similar):
            similar += fact.cases
        if isinstance(judged := getattr(fact, "judged", None), int):
            # A move says when it took place; a clock alone, when it began or ended.
            dated.setdefault(isinstance(fact, facts.Reported | facts.Born | facts.Moved), judged)
    judged = dated.get(True, dated.get(False))
    if judged is None or step.cause.occurred is None:
        return Told(place, "", similar)
    return Told(place, "believed" if judged == step.cause.occurred else "clamped", similar)
