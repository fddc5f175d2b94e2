"""What a pack has of devices (监测设备): their types, where each stands, and the rules by which values are signals.

`place_of` says what counts as one place: a rule has one incident there at a time, however many devices storm.
"""

from decimal import Decimal
from functools import cached_property
from typing import Literal

from msgspec import Struct

Test = Literal["above", "below", "silent"]


class DeviceType(Struct, frozen=True, omit_defaults=True):
    """A type of source (自动监测系统, M116): what devices of it measure is watched by rules of this type."""

    code: str
    title_zh: str
    title_en: str
    source: Literal["sensor", "camera"] = "sensor"  # of the incidents that its signals bear
    basis: str = ""  # where it comes from


class Device(Struct, frozen=True, omit_defaults=True):
    """A device (监测设备): of a type, in a grid, perhaps at a site of the register; it speaks by a machine's post."""

    code: str
    name: str
    type: str
    grid: str
    post: str
    site: str = ""
    place: str = ""  # those of one place have one incident of a rule; empty: the site, else the device by itself
    lon: float | None = None  # WGS 84
    lat: float | None = None
    valid_from: int = 0
    valid_to: int = 0


class SignalRule(Struct, frozen=True, omit_defaults=True, dict=True):
    """When values are a signal. Numbers are decimal texts, durations milliseconds.

    `above` and `below`: a value of the quantity passes the threshold, and has done so for `hold_down_ms`. It is over
    once the values are back behind `back_at` (the threshold, if empty) for `debounce_ms`; `worse` are further steps.
    `silent`: the device has sent nothing for `hold_down_ms`.
    """

    code: str
    title_zh: str
    title_en: str
    test: Test
    category: str  # of the incident that it bears
    type: str = ""  # of the devices for which it holds; empty: all
    quantity: str = ""
    threshold: str = ""
    back_at: str = ""
    worse: tuple[str, ...] = ()
    hold_down_ms: int = 0
    debounce_ms: int = 0
    severity: int = 1
    check: bool = False  # somebody looks before there is work (核实)
    rest_ms: int = 0  # an episode that outlasts its incident by so long bears the next; 0: only a new episode does
    basis: str = ""  # where it comes from

    @cached_property
    def steps(self) -> tuple[Decimal, ...]:
        """The threshold and the further steps, from the first one on."""
        return tuple(Decimal(text) for text in (self.threshold, *self.worse))

    @cached_property
    def back(self) -> Decimal:
        """The value behind which a value is back."""
        return Decimal(self.back_at or self.threshold)

    def grade(self, value: Decimal) -> int:
        """How many of the steps a value passes."""
        return sum(value > step if self.test == "above" else value < step for step in self.steps)

    def is_back(self, value: Decimal) -> bool:
        """Whether a value is back."""
        return value <= self.back if self.test == "above" else value >= self.back

    def worse_of(self, one: Decimal, other: Decimal) -> Decimal:
        """The worse one of two values."""
        return max(one, other) if self.test == "above" else min(one, other)


def place_of(device: Device) -> str:
    """What counts as the place of a device."""
    return device.place or device.site or device.code
