"""Activating a pack: now, or at an instant of a history that was replayed.

The time of a replayed history ends long before the wall's. A pack that is activated there by the wall would first let
everything fall due that lies between, and then count from today: so the instant has to be said.
"""

from engine import replay
from engine.errors import GridpatrolError
from engine.operations.auditing import audited
from engine.pack_plan import PlannedPack
from engine.principals import Operator
from engine.rehearsals import rehearse
from engine.runtime import Engine
from engine.store import clocks
from engine.store.audit import Act
from engine.wall_clock import DAY_MS, IDLE_MS, NEAR_MS, spell_instant
from schemas.instants import written
from workflows.policy.index import Policy
from workflows.policy.model import Pack, digest


class ActivationRefused(GridpatrolError):
    """A pack is not activated, because of the instant at which it would be. Nothing was written."""


def activate(engine: Engine, pack: Pack, operator: Operator) -> str:
    """Store a pack and activate it now in every partition, through the log. Its hash.

    ActivationRefused where the database holds a history, which ended more than a day ago.
    """
    now, latest, replayed = read_clocks(engine)
    if replayed and latest > DAY_MS and now - latest > NEAR_MS:
        raise ActivationRefused(
            f"this database holds a history that was replayed up to {spell_instant(latest)}, and now it is "
            f"{spell_instant(now)}: the pack would count from now on, and all that is open fall due before",
            remedy="give the instant from which it is to count, from the one of these on to the other: "
            f"`gridpatrol pack activate DIR --at {written(latest)}`; if the database goes on live from here, say so "
            "first: `gridpatrol clock settle`",
        )
    with audited(engine.database, operator, Act.PACK_ACTIVATED, digest(pack)):
        return engine.install(pack, engine.stamp(engine.rows))


def activate_at(engine: Engine, pack: Pack, at: int, operator: Operator) -> str:
    """Store a pack and activate it in every partition at an instant (ms since 1970) of a history, after what was due
    before has fallen due. Its hash. Called again after an interruption, it goes on.

    ActivationRefused where time is the wall's, or the instant lies before that of a partition or after now.
    """
    engine.drain()
    now, latest, replayed = read_clocks(engine)
    if not replayed and now - latest <= IDLE_MS:
        raise ActivationRefused(
            f"the time of this database is that of the wall, {spell_instant(now)}, and not {spell_instant(at)}: an "
            "activation is of now",
            remedy="leave --at out",
        )
    if not latest <= at <= now:
        where = "lies in the future: now it is" if at > now else "is past here: this database stands at"
        raise ActivationRefused(
            f"{written(at)} {where} {written(now if at > now else latest)}",
            remedy=f"give an instant from {written(latest)} to {written(now)}; for an earlier one replay the file "
            "anew, with the pack in a plan: `gridpatrol replay FILE --packs PLAN.csv`",
        )
    planned = PlannedPack(at, digest(pack), pack)
    rehearse(Policy(pack, planned.hash), at)
    with audited(engine.database, operator, Act.PACK_ACTIVATED, planned.hash):
        replay.activate(engine, planned)
    return planned.hash


def read_clocks(engine: Engine) -> tuple[int, int, bool]:
    """What the wall says, the latest clock of a partition (ms since 1970), and whether files were replayed here."""
    now = engine.now()
    with engine.database.read() as connection:
        return now, max(clocks.read(connection).values(), default=0), clocks.is_replayed(connection)
