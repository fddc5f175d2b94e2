"""Whether the topics that a role reads and writes are there, asked before it starts.

In: settings, names. Out: nothing, or `TopicsUnfit`, `BrokerAway`, `BrokerRefuses`: a client that only consumes would
wait for a missing topic for ever, without a word.
"""

from collections.abc import Sequence

from kafka.errors import KafkaError

from engine.cluster import clients
from engine.errors import TopicsUnfit
from engine.settings import Settings


def require(settings: Settings, names: Sequence[str]) -> None:
    """Return if the brokers have all of these topics and show them to this user."""
    admin = clients.admin(settings)
    try:
        missing = [found["name"] for found in admin.describe_topics(list(names)) if found["error_code"]]
    except KafkaError as error:
        raise clients.told_apart(settings, error) from error
    finally:
        admin.close()
    if missing:
        raise TopicsUnfit(f"{settings.kafka} has no topic {', '.join(missing)} that this user may see")
