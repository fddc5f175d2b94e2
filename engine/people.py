"""People at the door: each speaks for one post, by a token of its own that ends.

Systems stand in the file of principals, people in a table. A door keeps their tokens in memory and looks once a second
whether anything has changed, so that a token is given, rotated and withdrawn at every gateway within two seconds. That
a token has expired each door sees by itself.
"""

import time

import msgspec

from engine import principals
from engine.clock import now_ms
from engine.errors import SettingsError
from engine.principals import Principal, Principals, Written, reads_of
from engine.store import people
from engine.store.database import Database
from engine.store.people import PersonRow
from workflows.reading import Reach, Reads

PREFIX = "post:"
"""How the name of a person's principal begins. No system can have such a name."""
BY_ROLE = Reads(Reach(own=True, supervised=True))
"""What a person reads unless something else was said: what its post has to do with, and as a chief or a supervisor the
subtree of its grid."""
_decode = msgspec.json.Decoder(Written | dict[str, Written]).decode


def person_of(row: PersonRow) -> Principal:
    """The principal of a person. What cannot be read of a reach, such as a kind of case that a later release has, is
    nothing."""
    reads = BY_ROLE
    if row.reads:
        try:
            reads = reads_of(_decode(row.reads), row.name)
        except (SettingsError, msgspec.ValidationError):
            reads = Reads()
    return Principal(row.name, frozenset((row.post,)), reads=reads)


class People:
    """A chore: it reads what has changed. Other threads look tokens up meanwhile."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[Principal, int]] = {}  # by digest, with the instant at which it ends (ms UTC)
        self._digests: dict[str, str] = {}  # the last token of each name
        self._change, self._looked_s = -1, float("-inf")

    def __call__(self, database: Database) -> None:
        if time.monotonic() - self._looked_s < principals.LOOK_S:
            return
        self._looked_s = time.monotonic()
        with database.read() as connection:
            change = people.last_change(connection)
            if change == self._change:
                return
            rows = people.changed_since(connection, self._change if change > self._change else -1)
        if change < self._change:  # another database was put in the place of this one
            self._tokens, self._digests = {}, {}
        for row in rows:
            self._tokens[row.digest] = person_of(row), row.expires_at
            self._digests[row.name] = row.digest
        self._change = change

    def of_digest(self, digest: str) -> Principal | None:
        """The person whose token has this digest and has not ended."""
        person, until = self._tokens.get(digest, (None, 0))
        return person if person is not None and now_ms() < until else None

    def named(self, name: str) -> Principal | None:
        """The person of this name, if its last token has not ended."""
        return self.of_digest(self._digests.get(name, ""))


class PrincipalsAndPeople(Principals):
    """The principals of the file, and the people of the table. Without a file nobody is asked for a token; whoever
    shows one is the person that it is of."""

    def __init__(self, path: str, database: Database) -> None:
        super().__init__(path)
        self.people = People()
        self.people(database)

    def of_digest(self, digest: str) -> Principal | None:
        return super().of_digest(digest) or self.people.of_digest(digest)

    def named(self, name: str) -> Principal | None:
        return super().named(name) or self.people.named(name)
