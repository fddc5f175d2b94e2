"""The wall clock as operators see it, and their word on it."""

import logging
from collections.abc import Sequence

from msgspec import Struct

from engine.clock import BOOT_CLOCK
from engine.principals import Operator
from engine.runtime import Engine
from engine.store import alerts, audit, clocks
from engine.store.audit import Act
from engine.store.clocks import ClockWord
from engine.store.meta import read_meta, write_meta
from engine.wall_clock import JUMP_MS, evidence_of

log = logging.getLogger(__name__)


class ClockSettlement(Struct, frozen=True):
    """An operator's word: the wall clock of the process that hears it is right.

    With `stand_still`, partitions that are ahead of it are accepted: their time stands still until the wall gets there.
    """

    why: str = ""
    stand_still: bool = False


class PartitionClock(Struct, frozen=True):
    """A partition's clock (ms since 1970; 0: nothing was decided yet) and how far it is ahead of the wall, in ms.

    `stands`: `refused` where it is too far ahead, `still` where an operator accepted that; else empty.
    """

    partition: int
    clock: int
    ahead: int
    stands: str


class ClockState(Struct, frozen=True):
    """The clocks of a process: wall (ms since 1970) and boot-time clock (ms since the boot, and which one it is).

    `doubt` says why the wall is not believed, and `remedy` what to do; both are empty where it is. `latest` is what the
    database knows of the time (ms since 1970; 0: nothing); of a database of replayed files it is asked nothing.
    """

    wall: int
    boot: int
    boot_clock: str
    doubt: str
    remedy: str
    latest: int
    replayed: bool
    partitions: Sequence[PartitionClock]
    words: Sequence[ClockWord]


def show(engine: Engine) -> ClockState:
    """The clocks as they are now."""
    engine.now()
    doubt, belief = engine.wall.doubt(), engine.wall.belief
    with engine.database.read() as connection:
        words, replayed = clocks.read_words(connection), clocks.is_replayed(connection)
        known = clocks.read(connection)
    still = {p: clock for word in words for p, clock in word.still.items()}
    rows = list[PartitionClock]()
    for partition, clock in sorted(known.items()):
        ahead = max(0, clock - belief.last.wall)
        stands = "" if ahead <= JUMP_MS else "still" if clock <= still.get(partition, 0) else "refused"
        rows.append(PartitionClock(partition, clock, ahead, stands))
    return ClockState(
        belief.last.wall,
        belief.last.boot,
        BOOT_CLOCK,
        doubt.message if doubt else "",
        doubt.remedy if doubt else "",
        evidence_of(known, words, replayed).latest,
        replayed,
        rows,
        words,
    )


def settle(engine: Engine, said: ClockSettlement, operator: Operator) -> ClockState:
    """Believe the wall as it is, and keep the word: other processes hold their own clocks against it."""
    engine.now()
    wall = engine.wall.belief.last.wall
    with engine.database.begin() as connection:
        ahead = {p: clock for p, clock in clocks.read(connection).items() if clock - wall > JUMP_MS}
        word = ClockWord(wall, operator.who, said.why, ahead, ahead if said.stand_still else {})
        clocks.add_word(connection, word)
        still = f"still: {', '.join(map(str, sorted(word.still)))}" if word.still else audit.DONE
        audit.write(connection, operator, Act.CLOCK_SETTLED, "clock", still)
        if clocks.is_replayed(connection):
            clocks.note_replayed(connection, "")
        if int(read_meta(connection, alerts.TOLD, lock=True) or 0) - wall > JUMP_MS:
            write_meta(connection, alerts.TOLD, str(wall))  # else no quiet hours end before the wall gets there
    engine.wall.belief.settle()
    engine.wall.look_again()
    log.warning("clock.settled", extra={"wall": wall, "by": operator.who, "why": said.why, "still": sorted(word.still)})
    return show(engine)
