"""The signature of a list of responsibilities (责任清单签字认领, M66): a post takes on what its body answers for."""

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


FACTS: tuple[type[Fact], ...] = (ResponsibilitySigned,)
RESPONSIBILITY = Kind(
    name="responsibility",
    events={
        "responsibility.signed": EventType(Signed, "签字认领", {"body": "WY-EPB", "list": "0" * 64}, "Sign"),
    },
    facts=FACTS,
    own=Responsibility,
)
