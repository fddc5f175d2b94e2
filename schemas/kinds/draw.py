"""The audit draw (抽查): so many of the cases that were closed in a scope are visited, chosen by lot (M97).

The door writes random bytes into the record of the order, so nobody chooses, and anybody can recompute afterwards whom
the lot fell on. Until its visits are done nobody but who ordered the draw and who visits reads any of it.
"""

from hashlib import sha256
from typing import Annotated, Literal

from msgspec import Meta, structs

from schemas.members import Code, EventData, EventType, Fact, Instant, Kind, Ms, Own, OwnFact
from schemas.samples import EARLIER, LATER

Share = Annotated[int, Meta(ge=1, le=100, description="percent, rounded up to whole cases")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256, in hex")]
OfKind = Literal["incident", "service_request"]


class Ordered(EventData, frozen=True, kw_only=True):
    """An audit draw is ordered (抽查令): of the cases of a kind that lie in a grid, or in the whole home, and were
    closed from `since` on and before `before`, as known when this arrives, `share` percent are to be visited."""

    share: Share
    since: Instant
    before: Instant
    of: OfKind = "incident"
    grid: Code | None = None

    @property
    def asks_for_bytes(self) -> bool:
        """The lot falls by them."""
        return True


class Computed(EventData, frozen=True, kw_only=True):
    """Said by the server itself, once it knows the list: how many cases were closed, the digest of the list, and how
    many the lot fell on."""

    cases: Annotated[int, Meta(ge=0)]
    digest: Digest
    hits: Annotated[int, Meta(ge=0)]


class Finished(EventData, frozen=True, kw_only=True):
    """Said by the server itself, once every visit of the draw is done: from here on all who read its place read it."""


class CalledOff(EventData, frozen=True, kw_only=True):
    """Called off by the office that ordered it (取消抽查): it stays as concealed as it was."""

    reason: Literal["error", "other"]


class Draw(Own, frozen=True, tag="draw"):
    """What a draw keeps: its order, the bytes by which the lot falls (in hex), the instant up to which closings are
    known, whether the time of its home has passed that, and what came of it."""

    share: int
    since: Ms
    before: Ms
    of: str
    seed: str
    known_at: Ms
    cases: int = 0
    digest: str = ""
    hits: int = 0
    passed: bool = False

    @property
    def wakes(self) -> Ms | None:
        """Right after its order, so that the time of its home passes it, also where nobody else says anything."""
        return None if self.passed else self.known_at + 1


class DrawOrdered(OwnFact, frozen=True, tag="draw.ordered"):
    """What is to be drawn from, and the bytes that the door has written."""

    share: int
    since: Ms
    before: Ms
    of: str
    seed: str
    known_at: Ms

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Draw(
            share=self.share, since=self.since, before=self.before, of=self.of, seed=self.seed, known_at=self.known_at
        )


class DrawPassed(OwnFact, frozen=True, tag="draw.passed"):
    """The time of its home has passed its order."""

    def keep(self, own: Own | None) -> Own:
        """It comes up no more."""
        assert isinstance(own, Draw)
        return structs.replace(own, passed=True)


class DrawComputed(OwnFact, frozen=True, tag="draw.computed"):
    """How many cases there were to draw from, the digest of their list, and how many were drawn."""

    cases: int
    digest: str
    hits: int

    def keep(self, own: Own | None) -> Own:
        """The numbers and the digest."""
        assert isinstance(own, Draw)
        return structs.replace(own, cases=self.cases, digest=self.digest, hits=self.hits)


def list_digest(cases: list[str]) -> str:
    """The digest of a list of cases: SHA-256 over their ids in the order of their bytes, each with a line feed."""
    return sha256("".join(f"{case}\n" for case in sorted(cases)).encode()).hexdigest()


def lot(seed: str, share: int, cases: list[str]) -> list[str]:
    """The cases on which the lot falls, first to last: the ⌈share × N / 100⌉ smallest of SHA-256(bytes, id)."""
    bytes_, number = bytes.fromhex(seed), -(-share * len(cases) // 100)
    return sorted(cases, key=lambda case: sha256(bytes_ + case.encode()).digest())[:number]


FACTS: tuple[type[Fact], ...] = (DrawOrdered, DrawPassed, DrawComputed)
DRAW = Kind(
    name="draw",
    events={
        "draw.ordered": EventType(
            Ordered, "抽查令", {"grid": "WY01", "share": 5, "since": EARLIER, "before": LATER}, "Order a draw"
        ),
        "draw.computed": EventType(
            Computed, "抽取结果", {"cases": 120, "digest": "0" * 64, "hits": 6}, "Tell what was drawn", by="draws"
        ),
        "draw.finished": EventType(Finished, "抽查完成", {}, "Finish a draw", by="draws"),
        "draw.called_off": EventType(CalledOff, "取消抽查", {"reason": "error"}, "Call off a draw"),
    },
    facts=FACTS,
    own=Draw,
    words={"error": ("录入有误", "entered by mistake"), "other": ("其他", "other")},
)
