"""The target (目标): what an owner has signed for in a year (目标责任书), what was measured, and what came of it.

One case for each target, owner and year. Every value is said to one of them, as decimal text, with the station and the
period that it is of; a second one of the same station and period corrects the first.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from schemas.members import (
    Code,
    Decimal,
    EventData,
    EventType,
    Fact,
    Kind,
    Ms,
    Own,
    OwnFact,
    Reference,
)

MOST_MEASURED = 5_000
"""So many values, each of a station and a period, has a target at most."""
MOST_PARTS = 12
Item = Literal["so2", "no2", "pm10", "pm25", "co", "o3_8h", "o3_1h", "codmn", "cod", "bod5", "nh3n", "tp", "do"]
"""What was measured of air (ug/m3, co in mg/m3) or of water (mg/L)."""
Year = Annotated[int, Meta(ge=2000, le=2100, description="a calendar year")]
PeriodText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}(-(Q[1-4]|H[12]|[0-9]{2}(-[0-9]{2})?))?$(?!\n)",
        description="a year, half-year, quarter, month or day, as 2026, 2026-H1, 2026-Q3, 2026-08 or 2026-08-31",
        examples=["2026-08"],
    ),
]
Document = Annotated[str, Meta(min_length=1, max_length=80, description="the number of a document (文号)")]
Outcome = Literal["met", "missed", "unscored"]
MET: Outcome = "met"
MISSED: Outcome = "missed"
UNSCORED: Outcome = "unscored"


class Part(Struct, frozen=True):
    """A concentration that was measured beside others, of which an index or a class is made."""

    item: Item
    value: Decimal


class Signed(EventData, frozen=True, kw_only=True):
    """The owner has signed for a target of a year (签订责任书): a row of targets.csv. The owner is named, a grid or a
    department."""

    target: Code
    year: Year
    grid: Code | None = None
    department: Code | None = None
    document: Document | None = None
    reference: Reference | None = None


class MeasurementRecorded(EventData, frozen=True, kw_only=True):
    """A measured value of a station and a period (监测值): one number, or the parts of an index or a class."""

    station: Code
    period: PeriodText
    value: Decimal | None = None
    parts: Annotated[tuple[Part, ...], Meta(max_length=MOST_PARTS)] = ()


class Withdrawn(EventData, frozen=True, kw_only=True):
    """Taken back: it was signed for by mistake (撤回)."""

    reason: Literal["error", "other"]


class Measured(Struct, frozen=True, array_like=True):
    """What counts of a station in a period, and how many values it has corrected."""

    station: str
    period: str
    value: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    corrects: int = 0


class Target(Own, frozen=True, tag="target"):
    """What a target keeps: its row as it was signed, what was measured, and what came of it.

    `bound` is the value of the row, empty where it is not scored; `places` -1 where values are compared as they are;
    days are YYYYMMDD, 0 open; `ends` is when it is scored by itself.
    """

    code: str
    year: int
    method: str
    comparison: str
    bound: str
    unit: str
    per: str
    ends: Ms
    department: str = ""
    each: str = ""
    index: str = ""
    places: int = -1
    least: int = 0
    standard: str = ""
    standard_from: int = 0
    standard_to: int = 0
    document: str = ""
    measured: tuple[Measured, ...] = ()
    outcome: str = ""
    value: str = ""
    reason: str = ""

    @property
    def wakes(self) -> Ms | None:
        """When its year and the days of grace are over."""
        return None if self.outcome else self.ends


class TargetSigned(OwnFact, frozen=True, tag="target.signed"):
    """It was signed for, and what its row says."""

    code: str
    year: int
    method: str
    comparison: str
    bound: str
    unit: str
    per: str
    ends: Ms
    department: str = ""
    each: str = ""
    index: str = ""
    places: int = -1
    least: int = 0
    standard: str = ""
    standard_from: int = 0
    standard_to: int = 0
    document: str = ""

    def keep(self, own: Own | None) -> Own:
        """All of it."""
        return Target(**structs.asdict(self))


class TargetMeasured(OwnFact, frozen=True, tag="target.measured"):
    """A value was recorded. `corrects`: there was one of this station and period; `late`: after it was scored."""

    station: str
    period: str
    by: str
    value: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    corrects: bool = False
    late: bool = False

    def keep(self, own: Own | None) -> Own:
        """It counts in the place of an earlier one."""
        assert isinstance(own, Target)
        found = Measured(self.station, self.period, self.value, self.parts)
        kept = list(own.measured)
        for place, each in enumerate(kept):
            if (each.station, each.period) == (self.station, self.period):
                kept[place] = structs.replace(found, corrects=each.corrects + 1)
                break
        else:
            kept.append(found)
        return structs.replace(own, measured=tuple(kept))


class TargetScored(OwnFact, frozen=True, tag="target.scored"):
    """The value of the year and what it means. `was` and `was_value`: what had been told before; empty: nothing."""

    outcome: str
    value: str = ""
    reason: str = ""
    used: int = 0
    was: str = ""
    was_value: str = ""
    again: bool = False

    def keep(self, own: Own | None) -> Own:
        """What came of it."""
        assert isinstance(own, Target)
        return structs.replace(own, outcome=self.outcome, value=self.value, reason=self.reason)


FACTS: tuple[type[Fact], ...] = (TargetSigned, TargetMeasured, TargetScored)
TARGET = Kind(
    name="target",
    events={
        "target.signed": EventType(
            Signed,
            "签订责任书",
            {"target": "pm25", "year": 2026, "grid": "WY", "document": "2026-1"},
            "Sign for a target",
        ),
        "measurement.recorded": EventType(
            MeasurementRecorded,
            "录入监测值",
            {"station": "S-1", "period": "2026-08", "value": "38.5"},
            "Record a value",
        ),
        "target.withdrawn": EventType(Withdrawn, "撤回责任书", {"reason": "error"}, "Take back"),
    },
    facts=FACTS,
    own=Target,
    words={
        "error": ("录入有误", "entered by mistake"),
        "other": ("其他", "other"),
        "so2": ("二氧化硫", "SO2"),
        "no2": ("二氧化氮", "NO2"),
        "pm10": ("可吸入颗粒物", "PM10"),
        "pm25": ("细颗粒物", "PM2.5"),
        "co": ("一氧化碳", "CO"),
        "o3_8h": ("臭氧日最大8小时平均", "O3, highest mean of 8 hours"),
        "o3_1h": ("臭氧日最大1小时平均", "O3, highest mean of an hour"),
        "codmn": ("高锰酸盐指数", "permanganate index"),
        "cod": ("化学需氧量", "COD"),
        "bod5": ("五日生化需氧量", "BOD5"),
        "nh3n": ("氨氮", "ammonia nitrogen"),
        "tp": ("总磷", "total phosphorus"),
        "do": ("溶解氧", "dissolved oxygen"),
        "met": ("达标", "met"),
        "missed": ("未达标", "missed"),
        "unscored": ("不评分", "not scored"),
        "no_value": ("文本未给出目标值", "the text gives no value"),
        "no_table": ("当时的标准没有可用的表", "no table of the standard in force at the time"),
        "not_in_force": ("标准当时未施行", "the target's standard was not in force at the time"),
        "no_items": ("没有可判定的项目", "nothing was measured by which it could be judged"),
        "unknown_item": ("标准中没有的项目", "an item that the standard's table does not have"),
        "incomplete": ("项目不全，不能得出指数", "items are missing, so there is no index"),
        "no_day": ("不是一日的均值，没有指数", "no mean of a day, so there is no index"),
        "no_mean": ("类别不能平均", "several classes of a section, of which there is no mean"),
        "many_values": ("同一时段有多个值", "several values of one period where one was expected"),
        "too_few": ("监测值过少", "too few values"),
    },
)
