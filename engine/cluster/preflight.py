"""Whether the topics that a role reads and writes are there and belong to its database, asked before it starts.

In: settings, a database, names. Out: nothing, or `TopicsUnusable`, `BrokerAway`, `BrokerRefuses`: a client that only
consumes would wait for ever, without a word, for a missing topic or for a group that does not let it in; one that
publishes would tell the whole history of a database that is not tied to its topics yet.
"""

from collections.abc import Sequence

from kafka import KafkaAdminClient
from kafka.errors import BrokerResponseError, GroupAuthorizationFailedError, KafkaError

from engine.cluster import clients
from engine.cluster.topics import origin_of
from engine.errors import TopicsUnusable
from engine.settings import Settings
from engine.store.database import Database


def require(settings: Settings, database: Database, names: Sequence[str], group: str = "") -> None:
    """Return if the brokers have all of these topics and show them to this user, let it into the group if one is named,
    and the database's log is a topic."""
    with database.read() as connection:
        origin_of(connection)
    admin = clients.admin(settings)
    try:
        missing = [found["name"] for found in clients.described(settings, admin, names) if found["error_code"]]
        if group:
            _ask_group(admin, group)
    except KafkaError as error:
        raise clients.told_apart(settings, error) from error
    finally:
        admin.close()
    if missing:
        raise TopicsUnusable(f"{settings.kafka} has no topic {', '.join(missing)} that this user may see")


def _ask_group(admin: KafkaAdminClient, group: str) -> None:
    """GroupAuthorizationFailedError, by the group's name. Brokers without groups make them when one is joined."""
    try:
        admin.list_group_offsets(group)
    except GroupAuthorizationFailedError as error:
        raise GroupAuthorizationFailedError(group) from error
    except BrokerResponseError as error:
        if not error.retriable:
            raise
