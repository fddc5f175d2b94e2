"""What devices measure, as it comes to an adapter: it never enters the log."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from schemas.members import Code, Instant

MOST_VALUES = 20_000
"""So many values has a batch at most."""
LARGEST = Decimal(10) ** 15
"""Values are smaller than this, as decimal texts of the contract have 15 digits before the point."""


class DeviceValue(Struct, frozen=True):
    """A value of a device, of one quantity, at an instant. `value` is a number, or one as decimal text."""

    device: Code
    quantity: Code
    value: Annotated[Decimal, Meta(description="an exact number as decimal text, or a number of JSON")]
    at: Instant


class RefusedValue(Struct, frozen=True):
    """Why a value of a batch was not taken: its place in the batch, from 0, and the member to which it is due."""

    index: int
    field: str
    detail: str


class TakenValues(Struct, frozen=True):
    """What became of a batch: how many values were taken; how many were `late`, which is not later than the last one of
    their device and quantity, as in a batch that is sent again; and how many were refused, with the first of them."""

    taken: int
    late: int
    refused: int
    first_refused: list[RefusedValue]
