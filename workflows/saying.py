"""Whether a post may say something of a case, as deciding asks it, and what it may say now.

`decide` asks for one event (`pull_of`). Whoever shows people what they may do asks for all of them (`sayable`), by the
same function: with the example of the contract for what would be said, and each word that a member of it may have.
"""

from collections.abc import Callable, Iterator
from functools import cache

import msgspec
from msgspec import Struct, inspect

from schemas.events import EVENTS, canonical
from schemas.exemptions import EXEMPTIONS
from schemas.joint import JOINT
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import routing
from workflows.case import Case
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.machine import Speaker
from workflows.permissions import NOTHING, Claim, forbid
from workflows.policy.index import Policy
from workflows.policy.model import Post


class Pull(Struct, frozen=True):
    """The trigger that an event pulls, and the state to which it leads (`=`: the same)."""

    trigger: str
    dest: str


class Sayable(Struct, frozen=True):
    """A trigger that people send and a post may say now. `works`: it does what the case waits for."""

    trigger: str
    works: bool


def silence_of(post: Post, register: Policy, at: int) -> str:
    """Why a post says nothing at an instant (ms); empty: it may speak."""
    return "vacant" if post.vacant else "" if register.stands(post, at) else "not a post at this time"


def is_untrained(post: Post, register: Policy, at: int) -> bool:
    """Whether a post of a kind speaks at an instant (ms) before it has been trained (岗前培训, M50). Posts without a
    kind are not asked, nor are those of a pack that says nothing of it."""
    asked = register.options.untrained and post.kind and not post.machine
    return bool(asked) and not 0 < post.trained_on <= register.clock_of_days.local_day(at)


def refuse_untrained(post: Post, register: Policy, at: int) -> Refusal | None:
    """The refusal of what an untrained post says, where the pack refuses it."""
    if register.options.untrained != "refuse" or not is_untrained(post, register, at):
        return None
    detail = "this post has not been trained before duty: say its day of training in posts.csv (trained_on)"
    return Refusal(Reason.FORBIDDEN, "actor", detail)


def speaker_of(d: Decision, post: Post) -> Speaker:
    """The post as the guards and effects see it."""
    case, rules, register = d.case, d.rules, d.register
    grid, category = register.grids.get(post.grid), rules.categories.get(case.category)
    return Speaker(
        post.code,
        post.grid,
        grid.level if grid is not None else 0,
        post.department,
        len(case.path),
        category is not None and category.dissuade,
        routing.upward_level(case, rules, register),
        routing.checks(case, rules) if case.owner.level else (),
        post.role,
        register.clock_of_days.local_day(d.judged(0)),
    )


def pull_of(
    d: Decision, post: Post, speaker: Speaker, name: str, data: EventData, claim: Claim = NOTHING
) -> Pull | Refusal | None:
    """What an event pulls, by the name of its trigger; None where it has come early and may wait. What it does with the
    case, and whether its data fit, is for the effect of the trigger to say."""
    definition, state = DEFINITIONS[d.case.definition], d.case.state
    trigger = definition.meant(canonical(name), d.case, data, speaker)
    dest = definition.destination(trigger, d.case, data, speaker)
    if dest is None:
        if trigger in definition.ahead[state]:
            return None
        # What is said of the past, and of joint work, goes in many states, and would hide the rest.
        beside = {*EXEMPTIONS, *JOINT}
        now = ", ".join(name for name in definition.triggers(state) if name not in beside) or "nothing"
        detail = f"in state {state} ({definition.states[state].zh}) it takes: {now}"
        return Refusal(Reason.IMPOSSIBLE, "type", detail)
    refused = forbid(post, name, d.case, d.rules, d.register, claim, d.arrival)
    admission = definition.admits.get(trigger)
    if refused is None and admission is not None:
        refused = admission(d, speaker)
    return refused or Pull(trigger, dest)


def sayable(case: Case, post: Post, rules: Policy, register: Policy, at: int) -> tuple[Sayable, ...]:
    """What a post may say of a case at an instant (ms), by name. Nothing where it may not speak, or of a case that is
    not born."""
    definition = DEFINITIONS.get(case.definition)
    if definition is None or silence_of(post, register, at) or refuse_untrained(post, register, at):
        return ()
    d, found = Decision(case, rules, register, at, at, post.code), list[Sayable]()
    for name in sorted({definition.event_of(trigger) for trigger in definition.triggers(case.state)}):
        if pulled := pulls_of(d, post, name):
            found.append(Sayable(name, any(definition.works(pull.trigger, case.state) for pull in pulled)))
    return tuple(found)


def begins(register: Policy, post: str, trigger: str, definition: str, at: int) -> Callable[[str], bool]:
    """Whether a post may begin a case of a kind and of a category by a trigger at an instant (ms), by the roles table:
    what else is asked of it depends on what it says."""
    speaker = register.posts.get(post)
    if speaker is None or silence_of(speaker, register, at) or speaker.grid not in register.grids:
        return lambda category: False
    rows = register.role_rows_at(register.grids[speaker.grid].level, trigger, speaker.role, definition)
    return lambda category: any(not row.categories or category in row.categories for row in rows)


def pulls_of(d: Decision, post: Post, name: str) -> list[Pull]:
    """What a post may pull with an event, by the name of its trigger, whatever it says in it."""
    speaker = speaker_of(d, post)
    pulls = (pull_of(d, post, speaker, name, data) for data in samples_of(name))
    return [pull for pull in pulls if isinstance(pull, Pull)]


@cache
def samples_of(trigger: str) -> tuple[EventData, ...]:
    """What may be said by a trigger, as far as guards tell it apart: the example of the contract, with each word of
    every member that has a list of them."""
    event = EVENTS[trigger]
    return tuple(msgspec.convert(event.example | said, event.data) for said in ({}, *words_of(event.data)))


def words_of(struct: type[EventData]) -> Iterator[dict[str, str]]:
    """Each word of each member of an event's data that has a list of words."""
    known = inspect.type_info(struct)
    assert isinstance(known, inspect.StructType)
    for field in known.fields:
        if isinstance(field.type, inspect.LiteralType):
            yield from ({field.encode_name: word} for word in field.type.values if isinstance(word, str))
