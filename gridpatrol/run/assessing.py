"""The assessor of a process with a door: the embedded server, or one of the gateways of a cluster; and that of a
history that was replayed."""

from collections.abc import Iterator
from contextlib import contextmanager

from consumers.assessing.assessor import Assessor
from consumers.assessing.loop import AssessorLoop
from engine.admission import admit
from engine.principals import ASSESSOR
from engine.runtime import Engine
from engine.writer import Writer
from schemas.refusals import Refusal


@contextmanager
def assessor_of(writer: Writer, *, leased: bool) -> Iterator[AssessorLoop]:
    """The assessor takes its turns meanwhile; `leased`: another process may have its place."""
    assessor = AssessorLoop(writer, leased=leased)
    assessor.start()
    try:
        yield assessor
    finally:
        assessor.stop()


def assessor_in(engine: Engine) -> Assessor:
    """The assessor of a history that is replayed: what it says arrives at the clock of its partition."""

    def say(raw: bytes) -> None:
        admitted = admit(raw, ASSESSOR, engine.count)
        if isinstance(admitted, Refusal):
            raise ValueError(f"what the assessor says is refused: {admitted.detail}")
        engine.inbox.append([admitted[0]], engine.rows[admitted[0].partition].clock)
        while engine.work(None) is not None:
            pass
        engine.feed()

    return Assessor(engine.database, say)


def assess_all(engine: Engine) -> int:
    """Assess whatever has come to its time in a history that was replayed. The number of events that were said."""
    return sum(iter(assessor_in(engine).turn, 0))
