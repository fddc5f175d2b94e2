"""The interpreter that is measured: an event costs a fifth less, or more, with the way in which it was built.

Leaves: its version, what its build says of itself, and a yardstick that needs no such word.
"""

import platform
import sysconfig
import time
from statistics import median

from msgspec import Struct

OPTIMIZING = ("--enable-optimizations", "--with-lto")
"""Options of CPython's build for speed."""
LOOPS, TRIES = 20_000, 5


class Interpreter(Struct, frozen=True, kw_only=True):
    """`options`: those for speed that its build names; some distributors name none and build with both.
    `yardstick_ms`: CPU time of a fixed piece of pure Python, to compare interpreters of one machine by."""

    version: str
    options: list[str]
    yardstick_ms: float


class Counted:
    """An object of the yardstick."""

    def __init__(self, number: int) -> None:
        self.number, self.name = number, f"n{number % 64}"

    def is_even(self) -> bool:
        """Whether the number is even."""
        return self.number % 2 == 0


def measure_interpreter() -> Interpreter:
    """The interpreter of this process."""
    given = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return Interpreter(
        version=f"{platform.python_implementation()} {platform.python_version()}",
        options=[option for option in OPTIMIZING if option in given],
        yardstick_ms=round(median(_yardstick_ms() for _ in range(TRIES)), 2),
    )


def _yardstick_ms() -> float:
    """CPU ms of objects, calls, attributes, texts, tuples and dicts: what deciding is made of."""
    began, found = time.process_time(), dict[str, tuple[int, int]]()
    for number in range(LOOPS):
        one = Counted(number)
        even, odd = found.get(one.name, (0, 0))
        found[one.name] = (even + 1, odd) if one.is_even() else (even, odd + 1)
    return 1000 * (time.process_time() - began)
