"""Watches what a device measures, value by value, under one rule: when that is an episode. Pure.

1. An episode begins once the values have passed the threshold for the hold-down; its first instant is that at which
   they began to. It is over once they have been back for the debounce, since the instant at which they came back. In
   between a single value changes nothing.
2. Between two values the earlier one holds. Nothing happens without a value; only whether a device is silent asks how
   late it is.
3. A value that is not later than the one that made the state is not looked at: a batch may be sent again. Those after
   it changed nothing, and change nothing again.
4. What is said has an id of the device, the rule, the first instant and what it says. So a state that was stored before
   something is said says the same again, and nothing else.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from workflows.policy.devices import SignalRule

Phase = Literal["quiet", "rising", "standing", "falling", "silent"]


class Watched(Struct, frozen=True, omit_defaults=True):
    """How far a device has come under a rule; where nothing ever was there is none. Instants are ms UTC, numbers texts.

    `seen`: of the value that made it; `since`: the first instant of the episode, or of what may become one; `back`:
    since when the values are back; `severity`: as it was said last, 0: nothing is said yet; `subject` and `post`: of
    what was said of it.
    """

    phase: Phase
    since: int
    severity: int = 0
    worst: str = ""
    back: int = 0
    seen: int = 0
    subject: str = ""
    post: str = ""


decode = msgspec.json.Decoder(Watched).decode


class Saying(Struct, frozen=True):
    """What is to be said of an episode, when it was so, and its data."""

    what: Literal["began", "worsened", "ended"]
    at: int
    since: int
    value: str = ""
    worst: str = ""
    severity: int = 0
    reason: str = "value_back"


def follow(rule: SignalRule, watched: Watched | None, at: int, value: Decimal) -> tuple[Watched | None, list[Saying]]:
    """What a value of an instant makes of it, and what is to be said. The very same state where it changes nothing."""
    grade = rule.grade(value)
    if watched is not None and at <= watched.seen:
        return watched, []
    if watched is None or watched.phase == "quiet":
        if not grade:
            return watched, []
        watched = Watched("rising", at, worst=written(value), seen=at)
    if watched.phase == "rising":
        return rise(rule, watched, at, value, grade)
    severity = rule.severity + grade - 1 if grade else 0
    worst = written(rule.worse_of(value, Decimal(watched.worst)))
    known = watched if worst == watched.worst else replace(watched, worst=worst, seen=at)
    if rule.is_back(value) and not grade:
        back = watched.back if watched.phase == "falling" else at
        if at - back >= rule.debounce_ms:
            return quiet(at), [Saying("ended", back, watched.since, written(value), worst)]
        return known if watched.phase == "falling" else replace(known, phase="falling", back=at, seen=at), []
    if watched.phase == "falling":
        known = replace(known, phase="standing", back=0, seen=at)
    if severity <= watched.severity:
        return known, []
    return replace(known, severity=severity, seen=at), [
        Saying("worsened", at, watched.since, written(value), worst, severity)
    ]


def rise(rule: SignalRule, watched: Watched, at: int, value: Decimal, grade: int) -> tuple[Watched, list[Saying]]:
    """What a value makes of what may become an episode."""
    if not grade:
        return quiet(at), []
    worst = written(rule.worse_of(value, Decimal(watched.worst)))
    if at - watched.since < rule.hold_down_ms:
        return watched if worst == watched.worst else replace(watched, worst=worst, seen=at), []
    severity = rule.severity + grade - 1
    said = Saying("began", at, watched.since, written(value), worst, severity)
    return replace(watched, phase="standing", worst=worst, severity=severity, seen=at), [said]


def quiet(at: int) -> Watched:
    """The state of a device of which nothing is to be said, since a value of an instant."""
    return Watched("quiet", 0, seen=at)


def fall_silent(rule: SignalRule, heard: int, now: int) -> tuple[Watched, Saying] | None:
    """The episode of a device that was heard last at an instant, where that is too long ago; None: it is not."""
    since = heard + rule.hold_down_ms
    if now < since:
        return None
    return Watched("silent", since, rule.severity), Saying("began", since, since, severity=rule.severity)


def speak_again(watched: Watched, at: int) -> Saying:
    """The end of the silence of a device that was heard at an instant."""
    return Saying("ended", max(at, watched.since), watched.since, reason="heard_again")


def retire(watched: Watched, at: int) -> Iterator[Saying]:
    """The end of an episode whose device or rule the pack has no more; nothing, where none had begun."""
    if watched.phase not in ("quiet", "rising"):
        yield Saying("ended", max(at, watched.since), watched.since, worst=watched.worst, reason="retired")


def written(value: Decimal) -> str:
    """A number as decimal text of the contract: at most 6 digits behind the point, no exponent, no minus zero."""
    text = f"{round(value, 6):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
