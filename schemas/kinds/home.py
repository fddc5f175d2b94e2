"""The case of a home: nobody speaks to it. It keeps how far time has borne what the home owes, and tells it."""

from msgspec import field, structs

from schemas.members import Fact, Kind, Ms, Own, OwnFact


class Home(Own, frozen=True, tag="home"):
    """How far a home has come: a cursor, never a list of what it has borne.

    `packs`: how many activations of its partition it has followed, the last of them of `pack`. Of all periods that
    began up to `upto` it has borne what is owed, and of what is under way at `next` the first `index`.
    """

    packs: int = 0
    pack: str = ""
    upto: Ms = 0
    index: int = 0
    told: Ms = 0  # end of the last silence that it told
    next: Ms | None = None
    comes_up: Ms | None = None  # when it comes up for what is to be done at `next`

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
        told = own.told if isinstance(own, Home) else 0
        return Home(
            packs=self.packs,
            pack=self.pack,
            upto=self.upto,
            index=self.index,
            told=told,
            next=self.next,
            comes_up=self.comes_up,
        )


class Unobserved(OwnFact, frozen=True, tag="home.unobserved"):
    """Nothing arrived between these instants, for more than seven days: what lies wholly between is owed by nobody."""

    begin: Ms = field(name="from")
    end: Ms = field(name="to")

    def keep(self, own: Own | None) -> Own:
        """It is told once."""
        kept = own if isinstance(own, Home) else Home()
        return structs.replace(kept, told=self.end)


FACTS: tuple[type[Fact], ...] = (Turned, Unobserved)
HOME = Kind(name="home", events={}, facts=FACTS, own=Home)
