"""The garbage collector, where it would look at what stays: what a process has loaded, and what a role has set up."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

NEW_OBJECTS = 50_000
"""How many more than have gone, before the collector looks at them: about as many as a slice makes."""


@contextmanager
def loading() -> Iterator[None]:
    """Modules are imported without the collector: it would look at each of them several times, a quarter of the CPU
    time of a start. What there is afterwards stays, and is not looked at again."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collected:
            gc.enable()


def spare() -> None:
    """What there is stays. New objects only are looked at, and not several times in a slice: that is up to a tenth of a
    worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
