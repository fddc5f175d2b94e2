"""What the contract is made of: codes, instants, positions, evidence, sealed texts; and the bases of its structs.

Events, facts and what a case keeps of its own are structs of a kind of case (`schemas.kinds`), or shared by all kinds
(`schemas.events`, `schemas.facts`). Instants in `data` are RFC 3339 with a zone; limits are texts such as `4工作时`.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas.coordinates import Crs
from schemas.instants import SPAN

# `(?!\n)`, because Python lets `$` match before a last line feed, and other languages do not.
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s|/]+$(?!\n)", description="a code of the pack")]
"""A code of the pack: grid, post, department or category. Blank, `|` and `/` are separators, so none has them."""
Instant = Annotated[datetime, Meta(tz=True, description=f"RFC 3339 with a zone, {SPAN}")]
UnitCode = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$(?!\n)",
        description="a code of the office's register of units, never a name: a sole trader's is personal",
    ),
]
"""责任单位. It stays in the log and in facts, so it is a code, in ASCII so that no name passes for one."""
Day = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)", description="a local day of the pack", examples=["2026-12-31"]),
]
LimitText = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=40,
        examples=["4工作时", "7工作日"],
        description="a limit as offices write it",
    ),
]
WEB = r"[Hh][Tt][Tt][Pp][Ss]?://([^\s/?#@:\\\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#]|$(?!\n))"
"""How an address begins that a browser may be sent to: http or https, a host, no name and password before it."""
LINK = f"^{WEB}"
Link = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        description="an address of http or https; the file lies elsewhere",
        extra_json_schema={"pattern": LINK},
    ),
]
"""The pattern is asked for at the door only: logs of earlier releases hold other addresses."""
SUBJECT = r"^[^\s|/]{1,64}\.[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$(?!\n)"
CaseId = Annotated[
    str,
    Meta(min_length=38, max_length=120, description="<home>.<UUIDv7>", extra_json_schema={"pattern": SUBJECT}),
]
"""The pattern is asked for at the door only: logs of earlier releases hold other texts."""
Sealed = Annotated[
    str,
    Meta(
        max_length=20_000,
        description="sealed: never enters the log",
        extra_json_schema={"x-sealed": True},
        extra={"sealed": True},
    ),
]
"""Free text, replaced by a token before the event enters the log. The posts on a case's way read it."""
Decimal = Annotated[
    str,
    Meta(
        max_length=24,
        pattern=r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$(?!\n)",
        description="an exact number as decimal text: up to 15 digits before the point and 6 behind it",
        examples=["40", "0.7"],
    ),
]
"""A measured number. It is text, so that no reader makes a float of it."""
Quantity = Annotated[
    str,
    Meta(
        max_length=24,
        pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$(?!\n)",
        description="how much, as decimal text: whole or with up to 6 digits behind the point, never negative",
        examples=["12", "3.5"],
    ),
]
"""An amount of something that is counted or measured, exact."""
Reference = Annotated[str, Meta(max_length=80)]
"""The number of the sender's own record."""
DayText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)",
        description="a local day of the pack, such as 2026-06-30",
        examples=["2026-06-30"],
    ),
]
Contact = Annotated[
    str,
    Meta(
        max_length=20_000,
        description="sealed: never enters the log; read by owner, handler and supervisor only",
        extra_json_schema={"x-sealed": True, "x-contact": True},
        extra={"sealed": True, "contact": True},
    ),
]
"""Identity or contact data, replaced by the same token. Fewer posts read it."""


class Source(StrEnum):
    """Who found the problem (问题来源)."""

    PATROL = "patrol"  # 网格员巡查
    INSPECTION = "inspection"  # 上级检查发现
    SUPERVISION = "supervision"  # 督查
    PUBLIC = "public"  # 公众举报
    PETITION = "petition"  # 信访
    HOTLINE = "hotline"  # 12345 / 12369
    SENSOR = "sensor"  # 在线监测
    CAMERA = "camera"  # 视频监控
    TRANSFER = "transfer"  # 外系统移交


class Position(Struct, frozen=True, omit_defaults=True):
    """A position as the sender measured it. 0/0 is none: phones send that which know no position.

    `crs` is the coordinate reference system. Where it is left out, the pack says what is meant, and else WGS84.
    """

    lon: Annotated[float, Meta(ge=-180, le=180)]
    lat: Annotated[float, Meta(ge=-90, le=90)]
    crs: Crs | None = None
    accuracy_m: Annotated[float, Meta(ge=0, le=100_000)] | None = None


class Evidence(Struct, frozen=True, omit_defaults=True):
    """A photo or file by its SHA-256. With `url` it lies elsewhere, at that address; without, it is sent to the door,
    `PUT /v1/files/{sha256}`, before the event or after it."""

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    kind: Literal["near", "far", "reference", "before", "after", "document", "video", "audio"]
    url: Link | None = None
    taken_at: Instant | None = None
    position: Position | None = None


class EventData(Struct, frozen=True, omit_defaults=True):
    """Base of the data of all events: a free note may go with each, sealed."""

    note: Sealed | None = None

    @property
    def acts_on(self) -> str:
        """Another case of the home that the event acts on as well, beside its own; empty: none."""
        return ""

    @property
    def measured(self) -> tuple[int, ...] | None:
        """Where it says that something is, in whole numbers (`schemas.coordinates.measured`); None: nowhere."""
        return None

    @property
    def asks_for_bytes(self) -> bool:
        """Whether the door writes random bytes into its record (`schemas.envelope.Record.seed`)."""
        return False


Ms = Annotated[int, Meta(description="milliseconds since 1970-01-01T00:00Z")]


class Fact(Struct, frozen=True, omit_defaults=True, tag_field="fact", kw_only=True):
    """Base of all facts."""


def tag_of(fact: type[Fact]) -> str:
    """What a fact is called in the log and in topics: `incident.reported`."""
    return str(fact.__struct_config__.tag)


# ---- kinds of case ----------------------------------------------------------------------------------------


class BirthData(EventData, frozen=True, kw_only=True):
    """Base of events that begin a case, for kinds that no report begins.

    A case lies in its home, or in a grid of it that is named. `about` is another case of the same home that this one
    speaks of; it may come later.
    """

    grid: Code | None = None
    department: Code | None = None  # who has to act first; none: the grid's own posts
    about: CaseId | None = None
    reference: Reference | None = None  # the number of the sender's own record
    # The deadline of the whole case. Null: it has none, by order. Absent: the pack's limit applies.
    deadline: Instant | UnsetType | None = UNSET


class Own(Struct, frozen=True, omit_defaults=True, tag_field="kind", kw_only=True):
    """Base of what a case keeps of its own: one struct for each kind that keeps anything, tagged by the kind's name."""

    @property
    def wakes(self) -> Ms | None:
        """An instant at which the case comes up by itself, without a clock; None: it does not."""
        return None

    @property
    def awaited(self) -> tuple[str, int, str] | None:
        """The unit that the case waits for, as grid, level and department; None: it waits for none."""
        return None

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """Units that have to do with the case beside its owners, each a grid and perhaps a department."""
        return ()

    @property
    def writes_to(self) -> str:
        """A code outside the register that is written to of the case; empty: none."""
        return ""

    @property
    def writes_of(self) -> str:
        """The grid in which that lies of which it is written; empty: none."""
        return ""

    def regridded(self, grids: Mapping[str, str]) -> "Own":
        """It, after successors have taken the place of grids that ended."""
        return self

    @property
    def lane(self) -> str:
        """The lane by whose limits it is handled (`LimitRow.lane`); empty: the usual ones."""
        return ""


class OwnFact(Fact, frozen=True):
    """Base of facts of one kind that change what a case of it keeps."""

    def keep(self, own: Own | None) -> Own:
        """What the case keeps after this fact; None: it has kept nothing so far."""
        raise NotImplementedError


class EventType(Struct, frozen=True):
    """An event in the contract: the struct of its data, its Chinese title, the data of one as an example, and what who
    sends it does, in English. `by` is the principal of the server that alone says it; empty: who speaks for a post."""

    data: type[EventData]
    zh: str
    example: dict[str, Any]
    en: str = ""
    by: str = ""


class Kind(Struct, frozen=True):
    """What the contract has of one kind of case: events by trigger, facts that only it tells, and what it keeps.

    `sends` has by trigger what only other cases of the home say to it, never people: the door refuses such a type.
    `words` has the values of which members of its events take one, with what they say in Chinese and in English.
    `reopens`: a case that has ended may be taken up again, so it keeps the clock of the whole case beyond its end.
    """

    name: str
    events: dict[str, EventType]
    facts: tuple[type[Fact], ...] = ()
    own: type[Own] | None = None
    sends: dict[str, type[EventData]] = field(default_factory=dict)
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    reopens: bool = False
