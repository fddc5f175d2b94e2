"""After a restore each chain begins its next epoch, and says what it lacks of what was anchored.

The database cannot know what came after its backup; the file of anchors does. Where it is not at hand, the epochs begin
without it: who has kept the anchors finds what is missing, and nothing says that it was known.
"""

import logging
from hashlib import sha256

import msgspec

from consumers.audit import anchors
from consumers.audit.anchored import Lacks
from engine import chain_form
from engine.store import backup_file, chains
from engine.store.chains import ChainRow
from engine.store.database import Connection

log = logging.getLogger(__name__)


def begin_epochs(connection: Connection, kept: list[str], now: int) -> list[ChainRow]:
    """Begin the next epoch of every chain at an instant (ms UTC); none where nothing was ever chained. `kept`: lines of
    anchors, of which those of other installations count for nothing."""
    stands, last = chains.hold_chains(connection), chains.last_anchor(connection)
    installation = backup_file.installation_of(connection)
    told = [anchor for _, anchor in anchors.distinct(kept) if anchor.installation == installation]
    lacks = anchors.beyond({name: row.n for name, row in stands.items()}, told)
    known = [row.epoch for row in stands.values()] + [anchor.epoch for anchor in told]
    if not known:
        return []
    held = (0, "") if last is None else (last.number, sha256(last.body.encode()).hexdigest())
    note, epoch = msgspec.json.encode(Lacks(*held, lacks)).decode(), max(known) + 1
    begun = list[ChainRow]()
    for name in sorted(stands.keys() | lacks.keys()):
        before = stands.get(name) or ChainRow(name, 0, 0, now, "", 0, "")
        first = chain_form.first_hash(name, epoch, before.hash, note)
        begun.append(ChainRow(name, epoch, before.n, now, note, before.n, first))
    chains.write_chains(connection, begun)
    log.warning("chains.begun", extra={"epoch": epoch, "anchor": held[0], "lacks": {n: [*s] for n, s in lacks.items()}})
    return begun
