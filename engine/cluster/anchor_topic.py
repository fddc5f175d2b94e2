"""The topic of the anchors: where the chains of the audit stand, for somebody else to keep."""

from collections.abc import Sequence

from engine.cluster.publisher import Publisher
from engine.settings import Settings
from engine.store.chains import AnchorRow
from schemas import binary, messages
from schemas.topics import Topics


class AnchorTopic:
    """Publishes anchors. One thread calls it."""

    def __init__(self, settings: Settings) -> None:
        self.topic = Topics(settings.kafka_prefix).anchors
        self.publisher = Publisher(settings, "anchors")

    def publish(self, rows: Sequence[AnchorRow]) -> None:
        """Publish anchors, as they are written into the file. BrokerAway, BrokerRefuses: nothing may count as told."""
        for row in rows:
            id_ = str(row.number)
            headers = binary.headers(type=messages.ANCHOR, id=id_, subject="anchors", at_ms=row.at)
            self.publisher.send(self.topic, id_, row.body.encode(), headers)
        self.publisher.flush()

    def close(self) -> None:
        """Close the producer."""
        self.publisher.close()
