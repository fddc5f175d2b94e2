"""The assessment (考核) of a card and a period: a sheet is computed, commented on, published, and restated (M56, M92).

A sheet is stored by its hash before anybody speaks of it. The assessor alone says that one was computed, by a post of
its own; people say of which hash they speak.
"""

from typing import Annotated

from msgspec import Meta, structs

from schemas.members import BirthData, Code, EventData, EventType, Fact, Instant, Kind, Ms, Own, OwnFact

SheetHash = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{64}$(?!\n)", description="SHA-256 of a stored sheet, as GET /v1/assessment?hash= gives it"
    ),
]
PeriodText = Annotated[
    str,
    Meta(
        max_length=10,
        pattern=r"^[0-9]{4}(-(Q[1-4]|H[12]|[0-9]{2}))?$(?!\n)",
        examples=["2026-Q3"],
        description="the period of a card: 2026, 2026-H1, 2026-Q3 or 2026-08",
    ),
]


class Computed(BirthData, frozen=True, kw_only=True):
    """The assessor has computed the sheet of a card and a period (核算), as of an instant.

    `previous` is the sheet that was current before; none: this is the first one. `standing`: so many partitions and
    cases it names that stand still, and while there is one it is not published.
    """

    card: Code
    period: PeriodText
    as_of: Instant
    hash: SheetHash
    previous: SheetHash | None = None
    standing: Annotated[int, Meta(ge=0)] = 0


class SheetCommented(EventData, frozen=True, kw_only=True):
    """A comment on a sheet (点评), in `note`, sealed."""

    hash: SheetHash


class SheetPublished(EventData, frozen=True, kw_only=True):
    """Who signs publishes a sheet (公布)."""

    hash: SheetHash


class SheetRestated(EventData, frozen=True, kw_only=True):
    """Who signs publishes another sheet in the place of the published one (更正)."""

    hash: SheetHash


class Assessment(Own, frozen=True, tag="assessment"):
    """What an assessment keeps: its card and period, the current sheet and the published one, and how often one was
    computed and restated."""

    card: str
    period: str
    as_of: Ms
    hash: str
    standing: int = 0
    number: int = 1
    published: str = ""
    restated: int = 0


class AssessmentComputed(OwnFact, frozen=True, tag="assessment.computed"):
    """A sheet was computed, and is the current one."""

    card: str
    period: str
    as_of: Ms
    hash: str
    previous: str = ""
    standing: int = 0

    def keep(self, own: Own | None) -> Own:
        """The first sheet, or the next one."""
        if not isinstance(own, Assessment):
            return Assessment(
                card=self.card, period=self.period, as_of=self.as_of, hash=self.hash, standing=self.standing
            )
        number = own.number + 1
        return structs.replace(own, as_of=self.as_of, hash=self.hash, standing=self.standing, number=number)


class AssessmentCommented(OwnFact, frozen=True, tag="assessment.commented"):
    """A post has commented on the current sheet."""

    hash: str
    by: str
    token: str = ""

    def keep(self, own: Own | None) -> Own:
        """Nothing more is kept."""
        assert isinstance(own, Assessment)
        return own


class AssessmentPublished(OwnFact, frozen=True, tag="assessment.published"):
    """A post has signed and published the sheet."""

    hash: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """It is the published one."""
        assert isinstance(own, Assessment)
        return structs.replace(own, published=self.hash)


class AssessmentRestated(OwnFact, frozen=True, tag="assessment.restated"):
    """A post has signed another sheet in the place of the one before."""

    before: str
    after: str
    by: str

    def keep(self, own: Own | None) -> Own:
        """It is the published one."""
        assert isinstance(own, Assessment)
        return structs.replace(own, published=self.after, restated=own.restated + 1)


FACTS: tuple[type[Fact], ...] = (AssessmentComputed, AssessmentCommented, AssessmentPublished, AssessmentRestated)
COMPUTED = "assessment.computed"
"""What the assessor alone says: the door takes it from nobody else."""
SAMPLE = "5c0e6d2b9f1a4788c3d5e0f7a6b91d3428fe50c7b1d94a6e3f8205bd7c19e640"
ASSESSMENT = Kind(
    name="assessment",
    events={
        COMPUTED: EventType(
            Computed,
            "核算",
            {"card": "TOWN-QUARTER", "period": "2026-Q1", "as_of": "2026-04-16T23:59:59.999+08:00", "hash": SAMPLE},
            "Compute",
            by="assessor",
        ),
        "assessment.commented": EventType(SheetCommented, "点评", {"hash": SAMPLE, "note": "…"}, "Comment"),
        "assessment.published": EventType(SheetPublished, "公布", {"hash": SAMPLE}, "Publish"),
        "assessment.restated": EventType(SheetRestated, "更正", {"hash": SAMPLE}, "Restate"),
    },
    facts=FACTS,
    own=Assessment,
    reopens=True,
)
