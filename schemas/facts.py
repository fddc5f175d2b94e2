"""Facts: what the engine decided. Those of a step stand in one row and travel in one message, `Step`.

A fact is a frozen struct, tagged by `fact`. It carries all that `evolve` needs, so a case is the sum of its facts
without any look-up. Every instant is an integer, milliseconds UTC.

Canonical encoding: declared field order, defaults left out, ids as text, coordinates as they were sent.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from schemas.kinds import KINDS
from schemas.members import Fact, Ms

# ---- the case ---------------------------------------------------------------------------------------------


class Reported(Fact, frozen=True, tag="incident.reported"):
    """The birth of a case. `path` runs from the root to the grid of the place."""

    definition: str
    policy: str  # hash of the pack whose rules are pinned
    category: str
    group: str
    source: str
    by: str  # post
    path: tuple[str, ...]
    occurred: Ms
    judged: Ms
    touches: tuple[str, ...] = ()
    lon: float | None = None
    lat: float | None = None
    crs: str = ""
    unit: str = ""
    reference: str = ""
    key: str = ""  # correlation key: category and map cell
    # WGS 84 in units of 1e-7 degree, where longitude and latitude are of another map
    spot: tuple[int, int] | None = None
    how: str = ""  # its grid was sent, located, the speaker's own, the home for want of a better one, or a successor
    remark: str = ""  # of the position: elsewhere, off_map, no_position
    listed: str = ""  # the supervision by which the grid, or one above it, is listed as a key area; empty: none
    listed_since: Ms | None = None
    listed_until: Ms | None = None
    site: str = ""  # of the register of sources of pollution
    about: str = ""  # another case of the home, which bore it


class Born(Fact, frozen=True, tag="case.born"):
    """The birth of a case that no report began. `path` runs from the root to the grid in which it lies."""

    definition: str
    policy: str  # hash of the pack whose rules are pinned
    by: str  # post
    path: tuple[str, ...]
    occurred: Ms
    judged: Ms
    about: str = ""  # another case of the home that this one speaks of
    category: str = ""  # where its kind has one
    group: str = ""
    reference: str = ""
    key: str = ""  # correlation key, where its kind has one
    post: str = ""  # who must act on it, where its kind is held by posts


class Moved(Fact, frozen=True, tag="incident.moved"):
    """The state machine took a trigger."""

    trigger: str
    was: str
    state: str
    judged: Ms
    by: str = ""  # post; empty when a clock did it


class Assigned(Fact, frozen=True, tag="incident.assigned"):
    """Ownership passed: to a grid of a level, and perhaps to a department of it."""

    grid: str
    level: int
    department: str = ""
    why: str = ""


class Unit(Struct, frozen=True, omit_defaults=True):
    """Who holds work, or is charged with it: a grid by its ancestor path (`/XA/WY/`), perhaps a department of it, or
    one post."""

    path: str
    department: str = ""
    post: str = ""  # where the work is that of a post and of nobody beside it

    @property
    def grid(self) -> str:
        """The code of its grid."""
        return self.path[:-1].rpartition("/")[2]

    @property
    def level(self) -> int:
        """The level of its grid."""
        return self.path.count("/") - 1


class Held(Fact, frozen=True, tag="case.held"):
    """Who must act from here on (经手方): the owner, the leaf of the place, the level whose check is next, or a
    post."""

    unit: Unit
    since: Ms


class Regridded(Fact, frozen=True, tag="case.regridded"):
    """Grids have ended, and their successors go on with the case (网格调整).

    `grids` has each grid that the case had and the one in its place: that of the problem, and those of owners and of
    neighbours. `path` leads from the root to the grid in which the problem lies now.
    """

    path: tuple[str, ...]
    grids: tuple[tuple[str, str], ...]


class Assisting(Fact, frozen=True, tag="incident.assisting"):
    """These units assist the owner (配合处理)."""

    units: tuple[str, ...]


class Copied(Fact, frozen=True, tag="incident.copied"):
    """Copies went to these posts and departments (同时上报); ownership is elsewhere."""

    posts: tuple[str, ...]
    departments: tuple[str, ...] = ()


class Dissuaded(Fact, frozen=True, tag="incident.dissuaded"):
    """Informed and dissuaded on the spot."""

    outcome: str
    level: int = 0


class Escalated(Fact, frozen=True, tag="incident.escalated"):
    """Reported to a higher level, and why: authority, coordination, cross_boundary or timeout."""

    reason: str
    was_level: int
    level: int


class CampaignNamed(Fact, frozen=True, tag="incident.campaign_named"):
    """Found as part of a campaign of the pack. With a `remark` it does not count there: it was found on another day
    (outside_days), or is of a category or a grid to which the campaign does not go."""

    campaign: str
    remark: str = ""


class RootCauseFound(Fact, frozen=True, tag="incident.root_cause_found"):
    """What lay at the root of the problem, as who closes it says."""

    root_cause: str
    by: str


class GivenAgainstTable(Fact, frozen=True, tag="incident.given_against_table"):
    """Given to another department than the pack names for the category, why, and who gave it: `charged` is the giver's
    grid, department and post."""

    named: str
    department: str
    reason: str
    by: str
    charged: Unit


class SpokeUntrained(Fact, frozen=True, tag="post.spoke_untrained"):
    """Said by a post that had not been trained before duty (M50), where the pack remarks it."""

    post: str


class Returned(Fact, frozen=True, tag="incident.returned"):
    """Sent back to who sent it."""

    reason: str


class Arrived(Fact, frozen=True, tag="incident.department_arrived"):
    """A department is on site."""

    department: str


class Ordered(Fact, frozen=True, tag="incident.rectification_ordered"):
    """The responsible unit is ordered to put it right."""

    stage: int
    unit: str = ""


class Rectified(Fact, frozen=True, tag="incident.rectification_completed"):
    """The responsible unit says that a stage is done."""

    stage: int


class Handled(Fact, frozen=True, tag="incident.handled"):
    """Handled at a level by a post; these levels are to check on site, the last of them decides."""

    level: int
    by: str
    checks: tuple[int, ...]
    department: str = ""


class Checked(Fact, frozen=True, tag="incident.checked"):
    """A level checked on site."""

    level: int
    outcome: str
    by: str
    decides: bool = False


class TurnPassed(Fact, frozen=True, tag="incident.turn_passed"):
    """A level let the time for its check pass: the next one's turn has come. The check stays owed."""

    level: int


class Reworked(Fact, frozen=True, tag="incident.reworked"):
    """The deciding check found it unsolved: a new cycle begins. `looped` is the loop alarm."""

    cycle: int
    looped: bool = False


class Reopened(Fact, frozen=True, tag="case.reopened"):
    """A case that had ended is taken up again (重办): a new cycle begins at `judged`, and its end is none any more.
    `looped` is the loop alarm."""

    cycle: int
    reason: str
    by: str  # post
    judged: Ms
    looped: bool = False


class Suspended(Fact, frozen=True, tag="incident.suspended"):
    """Put aside (挂账)."""

    reason: str
    was: str  # the state to come back to
    until: Ms | None = None


class Resumed(Fact, frozen=True, tag="incident.resumed"):
    """Taken up again."""


class Proposed(Fact, frozen=True, tag="case.proposed"):
    """Somebody who holds the case asks for something that another decides (申请): more time for a clock, or to put the
    case aside. A proposal ends when it is decided, with its clock, with the state in which it was made, and when
    another takes the case over."""

    what: str  # extension, suspension
    by: str  # post
    reason: str
    judged: Ms
    clock: str = ""
    level: int = 0
    due: Ms | None = None  # the deadline that is asked for
    limit: str = ""  # or the limit
    until: Ms | None = None  # of a suspension


class ProposalDecided(Fact, frozen=True, tag="case.proposal_decided"):
    """A proposal was granted or refused (批准、不予批准), by a post above who made it. What is granted stands beside it
    in the same step."""

    what: str
    granted: bool
    by: str
    clock: str = ""
    level: int = 0


class OfMissed(Fact, frozen=True):
    """Base. A missed deadline is named as the clock and its target were that missed it."""

    clock: str
    level: int
    cycle: int
    target: int


class ExemptionRequested(OfMissed, frozen=True, tag="exemption.requested"):
    """The unit that is charged with a missed deadline asks that it be not held against it (申请免责)."""

    by: str  # post
    ground: str


class ExemptionDecided(OfMissed, frozen=True, tag="exemption.decided"):
    """An exemption was granted or refused (准予免责、不予免责) above the unit that is charged. The miss stays.

    What 容错 asks for stands beside whatever the ground is: the problem was `found` by the unit itself (主动发现),
    handled `prompt`ly (及时处置) and `reported` (整改上报), by what the case shows; `harmless` (未造成不良后果) is what
    the post said that decided.
    """

    by: str  # post
    granted: bool
    ground: str
    judged: Ms
    found: bool = False
    prompt: bool = False
    reported: bool = False
    harmless: bool = False
    appeal: bool = False  # it was an appeal that was decided: there is no further one
    grid: str = ""  # of the post, where a refusal may be appealed
    until: Ms | None = None  # until when


class ExemptionAppealed(OfMissed, frozen=True, tag="exemption.appealed"):
    """The unit asks the level above whoever refused (申诉)."""

    by: str  # post


class Linked(Fact, frozen=True, tag="incident.merged"):
    """Merged into another case, which goes on."""

    into: str


class Absorbed(Fact, frozen=True, tag="case.absorbed"):
    """These cases were merged into this one and go on in it, with those that were merged into them before, and with the
    petitions that wait for their end."""

    cases: tuple[str, ...]
    petitions: tuple[str, ...] = ()


class Petitioned(Fact, frozen=True, tag="case.petitioned"):
    """What a petition (信访) asks for is done in this case. `crowded`: it takes no more of them."""

    petition: str
    crowded: bool = False


class PetitionLeft(Fact, frozen=True, tag="case.petition_left"):
    """What a petition asks for is done elsewhere."""

    petition: str


class HoldPlaced(Fact, frozen=True, tag="case.hold_placed"):
    """A listed supervision (挂牌督办) bars the case from ending until it is cleared. Of a case that was merged it
    passes on to the survivor."""

    by: str


class HoldLifted(Fact, frozen=True, tag="case.hold_lifted"):
    """A supervision bars the case no more: it was cleared or revoked, or bars the survivor instead."""

    by: str


class Visited(Fact, frozen=True, tag="case.visited"):
    """Visited after its closing, as the lot of an audit draw fell on it: whether what was said of it held. `charged` is
    the unit in whose hands it was when it was closed."""

    visit: str
    outcome: str
    by: str  # post
    charged: Unit


class SurvivorEnded(Fact, frozen=True, tag="case.survivor_ended"):
    """The case into which this one was merged has ended, in a state of its own definition."""

    case: str
    state: str


class Unserved(Fact, frozen=True, tag="case.unserved"):
    """Another case said something that this one can no longer do: what, and the reason and field of the refusal.

    Of a `case`: this one has said it, to a case of another home, and hears that it was not done there.
    """

    trigger: str
    why: str
    field: str = ""
    case: str = ""


class Similar(Fact, frozen=True, tag="incident.similar"):
    """Open cases nearby that may be the same problem: proposed, never merged by the engine."""

    cases: tuple[str, ...]


class Evidenced(Fact, frozen=True, tag="incident.evidence_added"):
    """Evidence: a fingerprint, and an address; empty where the file is one that the door keeps."""

    url: str
    sha256: str
    kind: str
    by: str = ""
    taken_at: Ms | None = None
    lon: float | None = None
    lat: float | None = None
    crs: str = ""  # where longitude and latitude are of a shifted map: GCJ02, BD09


class Noted(Fact, frozen=True, tag="incident.noted"):
    """A comment, or the reason of a rejection or an order. Its text is sealed."""

    what: str
    by: str = ""
    reason: str = ""
    token: str = ""


class Acknowledged(Fact, frozen=True, tag="incident.acknowledged"):
    """A post has seen what a rung of a clock told it (知悉): this rung's repeats stop for this post.

    Earlier releases told no rung: theirs stopped every repeat of the clock, and `alert.ended` says which.
    """

    by: str
    clock: str = ""
    level: int = 0
    cycle: int = 0
    target: int = 0
    rung: str = ""
    valid_from: int = 0  # of the post, a local day: from it on the post is held by who has seen it; 0: open


class Urged(Fact, frozen=True, tag="incident.urged"):
    """Urged by a supervisor (催办)."""

    by: str


class Parked(Fact, frozen=True, tag="incident.parked"):
    """An early event waits for its state. `event` is its record as text."""

    source: str
    id: str
    type: str
    arrival: Ms
    until: Ms
    event: str


class Unparked(Fact, frozen=True, tag="incident.unparked"):
    """A parked event waits no longer: `released` into this step, or `expired` or `overtaken` and dead-lettered.

    `actor` is told only where events of several actors wait with this case under one source and id.
    """

    source: str
    id: str
    why: str
    actor: str = ""


class Quarantined(Fact, frozen=True, tag="incident.quarantined"):
    """A firing failed: the clocks of the case stand still until an operator releases it (`on` false)."""

    on: bool
    detail: str = ""


# ---- its clocks -------------------------------------------------------------------------------------------


class ClockFact(Fact, frozen=True):
    """Base. A clock is named by clock, level (0: of the whole case), cycle and target (a count of its deadlines)."""

    clock: str
    level: int
    cycle: int
    target: int


class ClockStarted(ClockFact, frozen=True, tag="clock.started"):
    """A clock runs from `judged` on. Without `due` it has no deadline. `next` is the instant of its next rung."""

    judged: Ms
    calendar: str
    limit: str = ""  # canonical text, empty with an ordered instant
    due: Ms | None = None
    provisional: bool = False
    basis: str = ""
    rung: str = ""
    next: Ms | None = None
    repeat: int = 0
    armed: Ms | None = None  # the arrival at which that rung was armed, where it was past then
    # What its holder had consumed of it before, in this cycle; of a case taken up again, when it was open before.
    runs: tuple[tuple[Ms, Ms], ...] = ()
    holder: Unit | None = None  # who ordered it; empty: whoever holds the case at its level
    # Its holder missed it before, in this cycle, and has nothing left, or the whole case did: late from the start.
    again: bool = False


class ClockPaused(ClockFact, frozen=True, tag="clock.paused"):
    """A clock stands still. `consumed` is what its ledger holds, in units of the limit's own kind."""

    judged: Ms
    consumed: int


class ClockResumed(ClockFact, frozen=True, tag="clock.resumed"):
    """A clock runs again with what remained."""

    judged: Ms
    due: Ms | None = None
    provisional: bool = False
    rung: str = ""
    next: Ms | None = None
    repeat: int = 0
    armed: Ms | None = None  # the arrival at which that rung was armed, where it was past then


class ClockRetargeted(ClockFact, frozen=True, tag="clock.retargeted"):
    """A clock has another deadline (延期, an order, a newer calendar). What was consumed stays consumed.

    `target` is the new one.
    """

    judged: Ms
    limit: str = ""
    due: Ms | None = None
    provisional: bool = False
    why: str = ""
    rung: str = ""
    next: Ms | None = None
    repeat: int = 0
    armed: Ms | None = None  # the arrival at which that rung was armed, where it was past then


class ClockRung(ClockFact, frozen=True, tag="clock.rung"):
    """A rung fired at `due_at`, its own instant, whenever the engine came to it.

    It is `overdue` at the deadline and after it. `next_*` is the ladder's next rung.
    """

    rung: str
    repeat: int
    due_at: Ms
    due: Ms | None = None  # the clock's deadline
    overdue: bool = False
    breach: bool = False  # the first of the target that says overdue
    next_rung: str = ""
    next: Ms | None = None
    next_repeat: int = 0
    charged: Unit | None = None  # of a breach: to whom the missed deadline is due


class ClockSkipped(ClockFact, frozen=True, tag="clock.skipped"):
    """Rungs that were already past when the ladder was armed. They are recorded and alert nobody."""

    rungs: tuple[str, ...]


class ClockContradicted(ClockFact, frozen=True, tag="clock.contradicted"):
    """A later arrival shows that work was done by the deadline although a rung had fired. The rung stays."""

    judged: Ms


class ClockRecharged(ClockFact, frozen=True, tag="clock.recharged"):
    """A missed deadline is due to another unit: a later arrival shows who held the work before it."""

    charged: Unit


PASSED_ON, VOID = "passed_on", "void"
"""Results of a clock whose work was not done: somebody else has the case next, or the work has gone."""


class ClockStopped(ClockFact, frozen=True, tag="clock.stopped"):
    """The outcome of a clock. `elapsed` is wall milliseconds from the start, less those in which the case was over;
    `consumed` counts in the limit's own kind.

    Fulfilled it is `on_time`, `overdue` or `without_deadline`. A trigger that does not fulfil it leaves it `passed_on`,
    where somebody else owns the case next, or `void`: neither on time nor overdue. `lapsed` says of those two that the
    deadline was missed all the same, `claimed` of one on time that it came after its deadline: it rests on the sender's
    word, within the offline allowance.
    """

    judged: Ms
    started: Ms
    result: str
    elapsed: int
    consumed: int = 0
    due: Ms | None = None
    why: str = ""  # the trigger that stopped it
    lapsed: bool = False
    claimed: bool = False
    charged: Unit | None = None  # to whom the outcome is due; None: as the step says, in facts of earlier releases
    again: bool = False  # the deadline was missed before it was given up and came back: that miss stands, and is one


# ---- its alerts --------------------------------------------------------------------------------------------


class ClockRecalculated(Fact, frozen=True, tag="clock.recalculated"):
    """Deadlines were computed again under a newer register; each one that moved follows as `clock.retargeted`."""

    register: str


class AlertRaised(Fact, frozen=True, tag="alert.raised"):
    """An alert for these posts. Its id `alert` is stable: case, clock, level, cycle, target, rung and repeat; and the
    number of the step, of one that is told anew to another holder."""

    alert: str
    kind: str  # the rung's name, or loop, or urge
    to: tuple[str, ...]
    due_at: Ms
    clock: str = ""
    level: int = 0
    due: Ms | None = None
    not_before: Ms | None = None
    # Who must act, where that is another department than the one under which the step counts, or none.
    unit: Unit | None = None


class AlertEnded(Fact, frozen=True, tag="alert.ended"):
    """All alerts of a clock end: resolved (done) or withdrawn (they were wrong). Earlier releases also said so of what
    somebody had acknowledged."""

    clock: str
    level: int
    cycle: int
    how: str
    by: str = ""


# ---- who is told of a move ---------------------------------------------------------------------------------


class NoticeGiven(Fact, frozen=True, tag="notice.given"):
    """These posts are told of what happened in this step (告知). Each post is told of a step once, in its first word.

    `on` is the move, such as assigned or copied. With `not_before` the telling waits; `daily` ones come together in one
    line of that instant.
    """

    on: str
    to: tuple[str, ...]
    not_before: Ms | None = None
    daily: bool = False


SHARED: tuple[type[Fact], ...] = (
    Reported,
    Born,
    Moved,
    Assigned,
    Held,
    Regridded,
    Assisting,
    Copied,
    Dissuaded,
    Escalated,
    CampaignNamed,
    RootCauseFound,
    GivenAgainstTable,
    SpokeUntrained,
    Returned,
    Arrived,
    Ordered,
    Rectified,
    Handled,
    Checked,
    TurnPassed,
    Reworked,
    Reopened,
    Suspended,
    Resumed,
    Proposed,
    ProposalDecided,
    ExemptionRequested,
    ExemptionDecided,
    ExemptionAppealed,
    Linked,
    Absorbed,
    Petitioned,
    PetitionLeft,
    Visited,
    SurvivorEnded,
    HoldPlaced,
    HoldLifted,
    Unserved,
    Similar,
    Evidenced,
    Noted,
    Acknowledged,
    Urged,
    Parked,
    Unparked,
    Quarantined,
    ClockStarted,
    ClockPaused,
    ClockResumed,
    ClockRetargeted,
    ClockRung,
    ClockSkipped,
    ClockContradicted,
    ClockRecharged,
    ClockStopped,
    ClockRecalculated,
    AlertRaised,
    AlertEnded,
    NoticeGiven,
)
"""The facts that any kind of case may tell."""
if TYPE_CHECKING:
    AnyFact = Fact
else:
    AnyFact = reduce(or_, SHARED + tuple(fact for kind in KINDS for fact in kind.facts))
"""Any fact. The decoder needs all of them by name."""


class Cause(Struct, frozen=True, omit_defaults=True):
    """The cause of a step: an event (source and id), the firing of a clock, or what another case said (its id, and
    `<seq of its step>.<number of the send in it>`)."""

    type: str
    source: str = ""
    id: str = ""
    actor: str = ""
    occurred: Ms | None = None
    traceparent: str = ""
    token: str = ""  # of the sealed text that went with the event


class Step(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The facts of one record or one firing about one case. `n` numbers the steps of a partition without gaps."""

    partition: int
    n: int
    case: str
    seq: int  # number of the step within its case, from 1
    at: Ms  # arrival of the record that caused or released it
    day: int  # local day of the effect, YYYYMMDD
    policy: str
    definition: str  # the kind of case; empty before its report
    path: str  # ancestor path, codes joined by '/', with a slash at both ends
    category: str
    group: str
    department: str
    post: str
    cause: Cause
    facts: tuple[AnyFact, ...]


encode_facts = msgspec.json.Encoder().encode
decode_facts = msgspec.json.Decoder(tuple[AnyFact, ...]).decode
encode_cause = msgspec.json.Encoder().encode
decode_cause = msgspec.json.Decoder(Cause).decode
encode_step = msgspec.json.Encoder().encode
decode_step = msgspec.json.Decoder(Step).decode
