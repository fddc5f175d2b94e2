"""Another try of cases that stand: an operator asks for it, and the owners of their partitions make it."""

from collections.abc import Sequence

from msgspec import Struct

from engine.failures import HALTED
from engine.principals import Operator
from engine.runtime import Engine
from engine.store import audit, standing
from engine.store.audit import Act


class Wanted(Struct, frozen=True):
    """The cases that are to be tried again; none named: all that stand, and partitions that a defect has halted."""

    cases: Sequence[str] = ()


class Asked(Struct, frozen=True):
    """How many cases stand and are tried again now."""

    cases: int


def ask(engine: Engine, wanted: Wanted, operator: Operator) -> Asked:
    """Let the owners try again. ValueError where a case that was named does not stand."""
    with engine.database.begin() as connection:
        strange = set(wanted.cases) - standing.find(connection, set(wanted.cases))
        if strange:
            raise ValueError(f"{len(strange)} of the cases named do not stand: see `gridpatrol log standing`")
        asked = Asked(standing.ask(connection, wanted.cases, HALTED))
        for case in wanted.cases or ("all",):
            audit.write(connection, operator, Act.CASES_TRIED, case)
    engine.reload()
    return asked
