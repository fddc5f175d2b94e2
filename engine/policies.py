"""Compiled packs by hash. A `Policy` is built once per process and pack, as long as some part of it holds it."""

from hashlib import sha256
from weakref import WeakValueDictionary

from engine.errors import PackUnusable
from engine.store import inbox_table
from engine.store.database import Connection
from workflows.policy import model
from workflows.policy.index import Policy

built: WeakValueDictionary[str, Policy] = WeakValueDictionary()
"""By hash, what parts of this process hold: writer, door, gauges, senders and checks share one."""


class Policies:
    """A cache over the packs table. A pack that the log names and the store lacks stops the worker."""

    def __init__(self) -> None:
        self._known: dict[str, Policy] = {}

    def get(self, connection: Connection, digest: str) -> Policy:
        """The policy of a pack's hash; PackUnusable if the store does not hold the pack, or another under
        this hash."""
        found = self._known.get(digest)
        if found is None:
            body = inbox_table.read_pack(connection, digest)
            if body is None:
                raise PackUnusable(
                    f"the log names pack {digest[:12]}, which this database does not hold",
                    remedy="Run `gridpatrol pack activate DIR` with the folder that it was made of.",
                )
            if sha256(body.encode()).hexdigest() != digest:
                raise PackUnusable(
                    f"pack {digest[:12]} in this database is not what its hash says",
                    remedy="Restore the database from a backup: whatever is decided under this pack would be wrong.",
                )
            found = built.get(digest) or Policy(model.decode(body.encode()), digest)
            self._known[digest] = built[digest] = found
        return found
