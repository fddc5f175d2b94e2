"""Checks before a role starts: its topics are there and belong to its database, and its group lets it in.

A client that only consumes would wait for ever, without a word, for a missing topic or for a group that does not let it
in. One that publishes would publish the whole history of a database that is not tied to its topics yet.
"""

from collections.abc import Sequence

from kafka.errors import BrokerResponseError, GroupAuthorizationFailedError, KafkaError

from engine.cluster import clients
from engine.cluster.topics import origin_of
from engine.errors import TopicsUnusable
from engine.settings import Settings
from engine.store.database import Database


def require(settings: Settings, database: Database, names: Sequence[str], group: str = "") -> None:
    """Return if the brokers have all of these topics and show them to this user, let it into the group if one is named,
    and the database's log is a topic. TopicsUnusable, BrokerAway, BrokerRefuses."""
    with database.read() as connection:
        origin_of(connection)
    admin = clients.admin(settings)
    try:
        missing = [found["name"] for found in clients.described(settings, admin, names) if found["error_code"]]
        if group:
            try:
                admin.list_group_offsets(group)
            except GroupAuthorizationFailedError as error:
                raise GroupAuthorizationFailedError(group) from error  # the library does not name it
            except BrokerResponseError as error:
                if not error.retriable:  # it is where no group was joined yet: the brokers make it then
                    raise
    except KafkaError as error:
        raise clients.translated(settings, error) from error
    finally:
        admin.close()
    if missing:
        raise TopicsUnusable(f"{settings.kafka} has no topic {', '.join(missing)} that this user may see")
