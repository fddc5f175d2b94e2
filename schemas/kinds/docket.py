"""The docket (在办登记): the case by which a home knows its open approvals, and which bans hold (区域限批, M124).

Nobody speaks to it. Approvals say to it that they have begun and ended, supervisions that a ban holds and holds no
more; it says to the approvals what concerns them, a bounded number at once.
"""

from msgspec import Struct, structs

from schemas.members import CaseId, Code, EventData, Fact, Kind, Ms, Own, OwnFact


class Entered(EventData, frozen=True, kw_only=True):
    """An approval says: I am open, and am to be in this grid."""

    approval: CaseId
    grid: Code


class Left(EventData, frozen=True, kw_only=True):
    """An approval says: I have ended."""

    approval: CaseId


class Banned(EventData, frozen=True, kw_only=True):
    """A supervision says: nothing is permitted in this grid."""

    grid: Code
    by: CaseId


class Unbanned(EventData, frozen=True, kw_only=True):
    """A supervision says: I ban nothing any more."""

    by: CaseId


class Opened(EventData, frozen=True, kw_only=True):
    """Somebody who has something to say to it says before: begin, if you are not there."""


OPENED = "docket.opened"
ENTERED, LEFT, BANNED, UNBANNED = "docket.entered", "docket.left", "docket.banned", "docket.unbanned"
TURNED = "docket.turned"
"""What it does when it comes up: it tells more approvals."""


class Entry(Struct, frozen=True, array_like=True):
    """An open approval, and the grid where it is to be."""

    approval: str
    grid: str


class Ban(Struct, frozen=True, array_like=True):
    """A ban that holds in a grid, by a supervision."""

    grid: str
    by: str


class Round(Struct, frozen=True, array_like=True):
    """What is being told of a ban, since an instant, and to whom it is still to be told."""

    by: str
    lifted: bool
    since: int
    left: tuple[str, ...]


class Docket(Own, frozen=True, tag="docket"):
    """What is open, what is banned, and what is still to be told."""

    open: tuple[Entry, ...] = ()
    bans: tuple[Ban, ...] = ()
    rounds: tuple[Round, ...] = ()

    @property
    def wakes(self) -> Ms | None:
        """It goes on at once while somebody is still to be told."""
        return self.rounds[0].since if self.rounds else None


def kept(own: Own | None) -> Docket:
    """What a docket keeps; nothing yet, of one that begins."""
    return own if isinstance(own, Docket) else Docket()


class DocketEntered(OwnFact, frozen=True, tag=ENTERED):
    """An approval is open."""

    approval: str
    grid: str

    def keep(self, own: Own | None) -> Own:
        """It stands among the open ones."""
        return structs.replace(kept(own), open=(*kept(own).open, Entry(self.approval, self.grid)))


class DocketLeft(OwnFact, frozen=True, tag=LEFT):
    """An approval has ended."""

    approval: str

    def keep(self, own: Own | None) -> Own:
        """Nothing is told to it any more."""
        was = kept(own)
        rounds = (
            structs.replace(each, left=tuple(id_ for id_ in each.left if id_ != self.approval)) for each in was.rounds
        )
        still = tuple(entry for entry in was.open if entry.approval != self.approval)
        return structs.replace(was, open=still, rounds=tuple(each for each in rounds if each.left))


class DocketBanned(OwnFact, frozen=True, tag=BANNED):
    """Nothing is permitted in a grid. `concerns`: the open approvals that are to be told."""

    grid: str
    by: str
    since: Ms
    concerns: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """The ban holds, and whom it concerns is told."""
        was = kept(own)
        rounds = (*was.rounds, Round(self.by, False, self.since, self.concerns)) if self.concerns else was.rounds
        return structs.replace(was, bans=(*was.bans, Ban(self.grid, self.by)), rounds=rounds)


class DocketUnbanned(OwnFact, frozen=True, tag=UNBANNED):
    """A ban holds no more. `concerns`: those who were told of it and are open."""

    by: str
    since: Ms
    concerns: tuple[str, ...] = ()

    def keep(self, own: Own | None) -> Own:
        """Who was not told of the ban yet hears nothing of it."""
        was = kept(own)
        rounds = tuple(each for each in was.rounds if each.by != self.by)
        rounds = (*rounds, Round(self.by, True, self.since, self.concerns)) if self.concerns else rounds
        return structs.replace(was, bans=tuple(each for each in was.bans if each.by != self.by), rounds=rounds)


class DocketTurned(OwnFact, frozen=True, tag=TURNED):
    """So many more of those whom a ban concerns were told."""

    by: str
    told: int

    def keep(self, own: Own | None) -> Own:
        """The rest is still to be told."""
        was = kept(own)
        first, *others = was.rounds
        left = first.left[self.told :]
        return structs.replace(was, rounds=(*([structs.replace(first, left=left)] if left else []), *others))


FACTS: tuple[type[Fact], ...] = (DocketEntered, DocketLeft, DocketBanned, DocketUnbanned, DocketTurned)
DOCKET = Kind(
    name="docket",
    events={},
    sends={OPENED: Opened, ENTERED: Entered, LEFT: Left, BANNED: Banned, UNBANNED: Unbanned},
    facts=FACTS,
    own=Docket,
)
