"""The case of a home: nobody speaks to it. It keeps how far time has borne what the home owes, and tells it; and which
of its grids are listed as key areas (列为重点监控区域), which supervisions tell it."""

from msgspec import Struct, field, structs

from schemas.members import CaseId, Code, EventData, Fact, Kind, Ms, Own, OwnFact

KEPT_MS = 31 * 86_400_000
"""So long a listing is kept that has ended: a report may come later than what it tells of."""


class Listing(Struct, frozen=True, array_like=True):
    """A grid is listed by a supervision, from an instant up to another one, both included."""

    grid: str
    by: str
    since: int
    until: int


class Home(Own, frozen=True, tag="home"):
    """How far a home has come: a cursor, never a list of what it has borne.

    `packs`: how many activations of its partition it has followed, the last of them of `pack`; none of a home that
    stands only because a grid of it is listed. Of all periods that began up to `upto` it has borne what is owed, and of
    what is under way at `next` the first `index`.
    """

    packs: int = 0
    pack: str = ""
    upto: Ms = 0
    index: int = 0
    told: Ms = 0  # end of the last silence that it told
    next: Ms | None = None
    comes_up: Ms | None = None  # when it comes up for what is to be done at `next`
    listings: tuple[Listing, ...] = ()

    def listed(self, listing: Listing, at: int) -> "Home":
        """With a listing, instead of the one of the same grid and supervision, without those that are long over."""
        over = min(at - KEPT_MS, self.upto if self.packs else at)  # of periods yet to be borne the beginning counts
        others = (each for each in self.listings if (each.grid, each.by) != (listing.grid, listing.by))
        return structs.replace(self, listings=(*(each for each in others if each.until >= over), listing))

    @property
    def wakes(self) -> Ms | None:
        """When something is to be done."""
        return self.next


class Turned(OwnFact, frozen=True, tag="home.turned"):
    """The home has borne what was owed, or followed an activation, or a part of that; it goes on at `next`."""

    packs: int
    pack: str
    upto: Ms
    index: int = 0
    next: Ms | None = None
    comes_up: Ms | None = None

    def keep(self, own: Own | None) -> Own:
        """The cursor as it is told."""
        told, listings = (own.told, own.listings) if isinstance(own, Home) else (0, ())
        return Home(
            packs=self.packs,
            pack=self.pack,
            upto=self.upto,
            index=self.index,
            told=told,
            next=self.next,
            comes_up=self.comes_up,
            listings=listings,
        )


class Unobserved(OwnFact, frozen=True, tag="home.unobserved"):
    """Nothing arrived between these instants, for more than seven days: what lies wholly between is owed by nobody."""

    begin: Ms = field(name="from")
    end: Ms = field(name="to")

    def keep(self, own: Own | None) -> Own:
        """It is told once."""
        kept = own if isinstance(own, Home) else Home()
        return structs.replace(kept, told=self.end)


class GridListed(EventData, frozen=True, kw_only=True):
    """A supervision says to the home: this grid of yours is a key area from now on, up to an instant."""

    grid: Code
    by: CaseId
    since: Ms
    until: Ms


class GridUnlisted(EventData, frozen=True, kw_only=True):
    """A supervision says to the home: I list this grid no more."""

    grid: Code
    by: CaseId
    at: Ms


LISTED, UNLISTED = "home.listed", "home.unlisted"


class Listed(OwnFact, frozen=True, tag=LISTED):
    """A grid is a key area (重点监控区域)."""

    grid: str
    by: str
    since: Ms
    until: Ms

    def keep(self, own: Own | None) -> Own:
        """It is kept for as long as anything may ask for it."""
        kept = own if isinstance(own, Home) else Home()
        return kept.listed(Listing(self.grid, self.by, self.since, self.until), self.since)


class Unlisted(OwnFact, frozen=True, tag=UNLISTED):
    """A grid is a key area no more: its supervision was cleared or revoked before the day."""

    grid: str
    by: str
    since: Ms
    at: Ms

    def keep(self, own: Own | None) -> Own:
        """It ends there."""
        assert isinstance(own, Home)
        return own.listed(Listing(self.grid, self.by, self.since, self.at), self.at)


FACTS: tuple[type[Fact], ...] = (Turned, Unobserved, Listed, Unlisted)
HOME = Kind(name="home", events={}, sends={LISTED: GridListed, UNLISTED: GridUnlisted}, facts=FACTS, own=Home)
