"""Changes of the file of principals in the audit: whoever lets another speak, read or operate acts as an operator.

The file is edited by hand, so the door finds out. What it says of each principal is kept as a digest in `meta`: a
change that was made while no door ran is found by the next. The subscriptions of a principal that was removed end.
"""

import msgspec

from engine.clock import now_ms
from engine.principals import LOCAL, Operator, Principals
from engine.store import audit, subscriptions
from engine.store.audit import Act
from engine.store.database import Database
from engine.store.meta import read_meta, write_meta
from engine.store.sql import to_json

KEPT = "principals"


class PrincipalChanges:
    """A chore: it compares the file with what was known of it, and writes a row for each principal that differs. Of
    several gateways one does."""

    def __init__(self, principals: Principals) -> None:
        self.principals = principals
        self._known: dict[str, str] | None = None

    def __call__(self, database: Database) -> None:
        said = self.principals.digests()
        if said == self._known:
            return
        with database.begin() as connection:
            write_meta(connection, KEPT, "{}", keep=True)
            was = msgspec.json.decode(read_meta(connection, KEPT, lock=True) or "{}", type=dict[str, str])
            operator = Operator(f"local:{self.principals.owner()}", "file")
            if said:  # the door asks who speaks from now on
                subscriptions.end_of(connection, LOCAL.name, now_ms(), "the door asks for tokens now")
            for name in sorted(was.keys() | said.keys()):
                if name not in was:
                    audit.write(connection, operator, Act.PRINCIPAL_ADDED, name)
                elif name not in said:
                    audit.write(connection, operator, Act.PRINCIPAL_REMOVED, name)
                    subscriptions.end_of(connection, name, now_ms(), "its principal was removed")
                elif said[name] != was[name]:
                    audit.write(connection, operator, Act.PRINCIPAL_CHANGED, name)
            write_meta(connection, KEPT, to_json(said))
        self._known = said
