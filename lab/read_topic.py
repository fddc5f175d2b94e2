"""Read a topic on the screen: `python -m lab.read_topic TOPIC --kafka HOST:PORT`.

In: a topic's name. Out: its messages as lines: place, key, headers, value; the last ones first asked for, then what
comes, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError


def main() -> int:
    """Print until interrupted. The exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.read_topic", description="Read a topic of a broker.")
    parser.add_argument("topic")
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT", help="the broker, as make cluster printed it")
    parser.add_argument("--last", type=int, default=10, help="begin with so many messages of each partition")
    parser.add_argument("--once", action="store_true", help="end with the last message that there is")
    given = parser.parse_args()
    try:
        return print_topic(given.topic, given.kafka, given.last, given.once)
    except KafkaError as error:
        print(f"no broker answers at {given.kafka} ({error}): is make cluster running?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def print_topic(topic: str, kafka: str, last: int, once: bool) -> int:
    """Print the last messages of each partition, and then what comes unless `once`. The exit status."""
    consumer = KafkaConsumer(bootstrap_servers=kafka, bootstrap_timeout_ms=5000, enable_auto_commit=False)
    try:
        there = consumer.partitions_for_topic(topic)
        if not there:
            print(f"no topic {topic}; there are: {', '.join(sorted(consumer.topics()))}", file=sys.stderr)
            return 1
        places = [TopicPartition(topic, number) for number in sorted(there)]
        consumer.assign(places)
        first, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, max(first[place], ends[place] - last))
        while not (once and all(consumer.position(place) >= ends[place] for place in places)):
            for some in consumer.poll(500).values():
                for message in some:
                    print(shown(message), flush=True)
        return 0
    finally:
        consumer.close(timeout_ms=1000)


def shown(message: Any) -> str:
    """A message as a line."""
    headers = " ".join(f"{name}={_text(value)}" for name, value in message.headers or ())
    return f"{message.partition}.{message.offset} {_text(message.key)} [{headers}] {_text(message.value)}"


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
