"""The signature of a list of responsibilities (责任清单签字认领, M66): a post takes on what its body answers for.

A list that has changed with a pack asks anew: the home of its body says so to a case of its own.
"""

from typing import Annotated

from msgspec import Meta

from schemas.members import Code, EventData, EventType, Fact, Kind, Own, OwnFact

ListHash = Annotated[
    str,
    Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="the hash of a list, as the door tells it"),
]


class Signed(EventData, frozen=True, kw_only=True):
    """A post signs the list of a body (签字认领), as of its hash. A list that has changed is signed anew."""

    body: Code
    list: ListHash

    @property
    def deadline(self) -> None:
        """A signature is over as it begins: it has none."""


class Changed(EventData, frozen=True, kw_only=True):
    """Said by the home of a body (清单有变): with a pack that has become active its list is another one, or new."""

    body: Code
    list: ListHash

    @property
    def deadline(self) -> None:
        """It is over as it begins: it has none."""


CHANGED = "responsibility.changed"
"""What only a home says."""


class Responsibility(Own, frozen=True, tag="responsibility"):
    """What a signature keeps: the body, and the hash of its list."""

    body: str
    list: str


class ResponsibilitySigned(OwnFact, frozen=True, tag="responsibility.signed"):
    """A post has signed the list of a body."""

    body: str
    list: str

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Responsibility(body=self.body, list=self.list)


class ResponsibilityChanged(OwnFact, frozen=True, tag="responsibility.changed"):
    """The list of a body has changed, and asks to be signed as it is now."""

    body: str
    list: str

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Responsibility(body=self.body, list=self.list)


FACTS: tuple[type[Fact], ...] = (ResponsibilitySigned, ResponsibilityChanged)
RESPONSIBILITY = Kind(
    name="responsibility",
    events={
        "responsibility.signed": EventType(Signed, "签字认领", {"body": "WY-EPB", "list": "0" * 64}, "Sign"),
    },
    sends={CHANGED: Changed},
    facts=FACTS,
    own=Responsibility,
)
