"""What a door asks of the adapter that takes values of devices beside it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.device_values import DeviceValue, TakenValues


class ValueTaker(Protocol):
    """Takes values of devices, and says the episodes that come of them."""

    def take(self, values: Sequence[DeviceValue], may_speak: Callable[[str], bool], now: int) -> TakenValues:
        """Take a batch that arrived at an instant (ms UTC), of devices for whose posts its sender may speak. What came
        of it is stored when this returns."""
