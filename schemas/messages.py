"""The messages that the engine publishes beside its steps: lines of the alert feed, dead letters, figures.

Every instant is an integer, milliseconds UTC. Every message is sent at least once. A repeat does no harm: the `id` of a
line and of a letter is stable, and a figure is an absolute value.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.members import Ms
from schemas.refusals import Reason

LINE = "gridpatrol.alert.told.v1"
LETTER = "gridpatrol.deadletter.v1"
CELL = "gridpatrol.figure.v1"
ANCHOR = "gridpatrol.anchor.v1"
ANCHORS = "gridpatrol-anchor/1"
"""The format of a line of anchors."""


class Words(Struct, frozen=True):
    """The same in Chinese and in English. Names that a pack has in one language stand in both."""

    zh: str
    en: str


class LineNames(Struct, frozen=True):
    """The names of a line's codes, under the members that have the codes."""

    path: Annotated[list[str], Meta(description="of grids, from the root down")]
    category: Words | None
    department: str
    recipients: Annotated[dict[str, str], Meta(description="titles of posts, by their codes")]
    by: str


class Line(Struct, frozen=True, omit_defaults=True):
    """A line of the alert feed: who was alerted that something is or was due, and what became of it; or, of the kind
    `notice`, who is told of a move of a case. A daily line is of several cases.

    `id` is stable; `recipients` maps each post to the id of its delivery.
    """

    id: str
    alert: Annotated[str, Meta(description="what `id` is about; the same for its firing, acknowledging and end")]
    what: Annotated[
        str,
        Meta(description="firing, resolved, withdrawn; acknowledged: `by` has seen it, nobody is rung; told: a notice"),
    ]
    case: Annotated[str, Meta(description="empty in a daily line")]
    kind: Annotated[
        str, Meta(description="the rung's name, or notice (告知); of older packs also loop, or urge (催办)")
    ]
    clock: str
    level: int
    path: Annotated[str, Meta(description="ancestor path, codes joined by '/', with a slash at both ends")]
    category: str
    recipients: dict[str, str]
    due_at: Annotated[Ms, Meta(description="the instant of the rung, milliseconds UTC")]
    raised_at: Ms
    due: Annotated[Ms, Meta(description="the clock's deadline, milliseconds UTC")] | None = None
    by: Annotated[str, Meta(description="the post that ended or acknowledged it; empty: the case itself did")] = ""
    definition: Annotated[str, Meta(description="the kind of case, such as incident")] = ""
    on: Annotated[str, Meta(description="of a notice: the move that it tells of, such as assigned or copied")] = ""
    cases: Annotated[dict[str, str], Meta(description="of a daily line: cases that moved, and their states now")] = {}
    more: Annotated[int, Meta(description="of a daily line: how many more cases moved than it names")] = 0
    department: Annotated[str, Meta(description="of an alert: the one that must act, where a department must")] = ""
    feed_only: Annotated[bool, Meta(description="older than a day when it was told: it goes to no channel")] = False


class PublishedAlert(Line, frozen=True, omit_defaults=True, kw_only=True):
    """A line of the feed as it is published, with its place there.

    Within an epoch, and in each partition of the topic, new lines come in the order of their numbers, so a number that
    is not above the last one read is a repeat. A restored database begins a new epoch and may use numbers again.
    """

    epoch: Annotated[str, Meta(description="of the feed; another one after a restore")]
    number: Annotated[int, Meta(description="of the line in the whole feed, from 1 without gaps")]
    told_at: Annotated[Ms, Meta(description="wall clock, milliseconds UTC: the telling waits for quiet hours to end")]
    why: Annotated[str, Meta(description="why it was told then")] = ""
    names: LineNames | None = None
    sentence: Annotated[Words, Meta(description="what the line says")] | None = None


class DeadLetter(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A record that was not taken, and why. Its bytes stay sealed in the store, under its id.

    It has no partition and position if the door refused its shape, so that it never stood in the log.
    """

    id: str
    at: Annotated[Ms, Meta(description="arrival, or when it was refused at the door; milliseconds UTC")]
    partition: int | None = None
    position: int | None = None
    reason: Reason
    field: str = ""
    detail: str
    source: Annotated[str, Meta(description="of the event, as far as it could be read; so are the next three")] = ""
    event_id: str = ""
    type: str = ""
    case: str = ""
    principal: Annotated[str, Meta(description="who sent it")] = ""


class ChainEnd(Struct, frozen=True):
    """Where a chain stands: its epoch, the number of its last link, and that link's hash."""

    epoch: Annotated[int, Meta(description="1, and one more with each restore of the database")]
    n: int
    hash: Annotated[str, Meta(description="SHA-256 in base64 for URLs, without padding")]


class Anchor(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the chains of the audit stand: of the steps of each partition, of dead letters and of acts. Whoever keeps
    it can tell later that nothing of before was changed: `gridpatrol audit verify --anchor FILE`."""

    anchor: Annotated[str, Meta(description="the format, gridpatrol-anchor/1")]
    installation: Annotated[str, Meta(description="what tells an installation from others")]
    number: Annotated[int, Meta(description="from 1; after a restore numbers may come again, with another epoch")]
    at: Annotated[Ms, Meta(description="wall clock, milliseconds UTC")]
    previous: Annotated[str, Meta(description="SHA-256 of the anchor before, in hex; empty: it is the first one")]
    chains: Annotated[dict[str, ChainEnd], Meta(description="by chain: steps/0, ..., letters, acts")]

    @property
    def epoch(self) -> int:
        """The latest epoch of its chains."""
        return max((end.epoch for end in self.chains.values()), default=0)


class Cell(Struct, frozen=True, kw_only=True):
    """A figure of the finest grain as it stands. Sums of cells are figures of a grid, a period or a department."""

    measure: Annotated[str, Meta(description="what is counted, such as on_time or breach:accept")]
    day: Annotated[int, Meta(description="local day, YYYYMMDD")]
    path: Annotated[str, Meta(description="ancestor path, codes joined by '/', with a slash at both ends")]
    department: str
    category: str
    group: str
    post: str
    definition: Annotated[
        str, Meta(description="the kind of case; empty in cells of a release that told none, which are 0 now")
    ] = ""
    value: Annotated[int, Meta(description="the absolute value; the last message of a key counts")]


def cell_key(cell: Cell) -> str:
    """The key of a cell: its dimensions as a JSON list in the order of the fields, without blanks. A cell of a release
    that told no definition has a key without one."""
    *key, definition, _ = msgspec.structs.astuple(cell)
    return msgspec.json.encode([*key, definition] if definition else key).decode()


encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(Line).decode
encode_alert = msgspec.json.Encoder().encode
decode_alert = msgspec.json.Decoder(PublishedAlert).decode
encode_letter = msgspec.json.Encoder().encode
decode_letter = msgspec.json.Decoder(DeadLetter).decode
encode_cell = msgspec.json.Encoder().encode
decode_cell = msgspec.json.Decoder(Cell).decode
