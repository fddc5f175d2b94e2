"""Who subscribed to alerts, as it is known to the process that tells them: systems by its file of principals, people by
their table, and `local` where nobody is asked for a token.

A process without the file knows no system: their subscriptions wait, and nothing is told by them. None is ended for it.
"""

from engine.people import PREFIX, People
from engine.principals import LOCAL, Principal, Principals
from engine.store.database import Database


def is_person(name: str) -> bool:
    """Whether a principal is a person, whom every process knows by the table."""
    return name.startswith(PREFIX)


def post_of(person: str) -> str:
    """The post for which a person speaks, by the name of its principal."""
    return person.removeprefix(PREFIX)


class Subscribers:
    """Principals by their names, while they have a token. For one thread, and those that it asks to look."""

    def __init__(self, path: str) -> None:
        self.principals = Principals(path)
        self.people = People()

    def look(self, database: Database) -> None:
        """See what has changed of people; at most once a second something is read."""
        self.people(database)

    def named(self, name: str) -> Principal | None:
        """The principal of a name; None: it is not known, or has no token."""
        if is_person(name):
            return self.people.named(name)
        if not self.principals.asked:
            return LOCAL if name == LOCAL.name else None
        return self.principals.with_token(name)
