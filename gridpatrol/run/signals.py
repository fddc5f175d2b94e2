"""The adapter of signals in a process with a door: the embedded server, or each of the gateways of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from consumers.signals.adapter import Adapter
from consumers.signals.loop import SignalLoop
from engine.loop import Loop
from engine.writer import Writer


@contextmanager
def adapter_of(writer: Writer, *, leased: bool) -> Iterator[Adapter]:
    """The adapter takes values meanwhile, and says what comes of them; `leased`: other processes take values, too, and
    one says it."""
    adapter = Adapter(writer.engine.database)
    engine = writer.engine
    loops: list[Loop] = [SignalLoop(writer, adapter, leased=leased)]
    if engine.settings.mqtt:
        from consumers.signals.mqtt import MqttIntake, library

        library()  # it may not be installed
        loops.append(MqttIntake(engine.settings, engine.database, adapter, engine.counters, leased=leased))
    for loop in loops:
        loop.start()
    try:
        yield adapter
    finally:
        for loop in reversed(loops):
            loop.stop()
