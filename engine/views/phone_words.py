"""The words that a phone takes along: of events, kinds of case, states, clocks, limits, values and refusals.

Chinese comes from what the definitions declare and from `schemas`; where only a name stands there, the English words
are those of the name.
"""

from collections.abc import Mapping

from msgspec import Struct

from schemas.events import EVENTS, OLDER_NAMES
from schemas.messages import Words
from schemas.value_words import REFUSED, SOURCES, WORDS
from workflows.clocks.limits import limit_text
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.policy.index import Policy


class PhoneWords(Struct, frozen=True, kw_only=True):
    """Words in both languages: of types of event, kinds of case, states by kind, clocks, limits by their text, sources
    of reports, other values that events take, and reasons for which one is refused."""

    triggers: dict[str, Words]
    definitions: dict[str, Words]
    states: dict[str, dict[str, Words]]
    clocks: dict[str, Words]
    limits: dict[str, Words]
    sources: dict[str, Words]
    values: dict[str, Words]
    refusals: dict[str, Words]


def phone_words(register: Policy) -> PhoneWords:
    """The words of a pack's phones."""
    said = {trigger: event for trigger, event in EVENTS.items() if trigger not in OLDER_NAMES}
    kinds = [definition for definition in DEFINITIONS.values() if definition.listed != "never"]
    limits = dict.fromkeys(row.limit for row in register.pack.limits)
    return PhoneWords(
        triggers={f"gridpatrol.{trigger}.v1": Words(event.zh, spelled(trigger)) for trigger, event in said.items()},
        definitions={kind.name: Words(kind.zh, spelled(kind.name)) for kind in kinds},
        states={
            kind.name: {state.name: Words(state.zh, spelled(state.name)) for state in kind.states.values()}
            for kind in kinds
        },
        clocks=both(CLOCKS),
        limits={limit_text(limit): Words(limit_text(limit), limit_text(limit, "en")) for limit in limits},
        sources=both(SOURCES),
        values=both(WORDS),
        refusals=both({reason.value: words for reason, words in REFUSED.items()}),
    )


def both(table: Mapping[str, tuple[str, str]]) -> dict[str, Words]:
    """A table of words as it is told."""
    return {name: Words(*words) for name, words in table.items()}


def spelled(name: str) -> str:
    """A name of the contract as English words."""
    return name.replace(".", " ").replace("_", " ")
