"""The topics as people read of them: purpose, key, order, retention, writers and readers.

The AsyncAPI document is made from `TOPICS` and `OPERATIONS`.
"""

from typing import Any, Literal

from msgspec import Struct

from schemas.events import EVENT_TYPES, trigger_of
from schemas.topics import Topics

WEEK_MS = 7 * 24 * 3_600_000
STAMPED = {"message.timestamp.type": "LogAppendTime"}
DAYS = {"cleanup.policy": ["delete"], "retention.ms": WEEK_MS}
LARGEST = {"max.message.bytes": 4 * 1024 * 1024 + 4096}
"""A message of any topic: 4 MiB, and room for its key and headers."""


class Topic(Struct, frozen=True):
    """A topic with its description. `gridpatrol topic create` applies `config`."""

    address: str
    title: str
    about: str
    key: str
    order: str
    kept: str
    writes: str
    reads: str
    messages: tuple[str, ...]
    config: dict[str, Any]
    partitions: int | None = None  # None: as many as the installation has

    def text(self) -> str:
        """The description, one rule in each paragraph."""
        rules = {
            "Key": self.key,
            "Order": self.order,
            "Kept": self.kept,
            "Written by": self.writes,
            "Read by": self.reads,
        }
        return "\n\n".join([self.about, *(f"**{name}**: {rule}" for name, rule in rules.items())])


_NAMES = Topics()
_KINDS = tuple(trigger_of(name) for name in EVENT_TYPES)
_HOME = "The partition is `murmur2(home) mod P`, P fixed at installation (32 unless chosen otherwise)"

TOPICS = {
    "intake": Topic(
        _NAMES.intake("system").replace(".system.", ".{system}."),
        "Intake of a system (外系统接入)",
        "Where one system publishes its events, instead of over HTTP. What breaks the contract, or names an actor for "
        "whom the system may not speak, becomes a dead letter.",
        "Free; the home of the subject is best. The gateway keys anew, so any partitioner will do.",
        "None is needed: the judged instant is the event's `time`, an early event waits for its state.",
        "A week, stamped by the broker. An event is taken once by source and id, so sending it again is safe.",
        "the system that it is named after, with a principal and ACL of its own",
        "gateway",
        tuple(f"{kind}{mode}" for kind in _KINDS for mode in ("", ".binary")),
        STAMPED | DAYS,
    ),
    "inbox": Topic(
        _NAMES.inbox,
        "Inbox log",
        "Everything that can change an incident, in the order in which it is decided. Internal: its records are "
        "history, and a replay of them gives the same facts.",
        f"The home of the event, empty for ticks and the engine's own words. {_HOME}; an event that lies elsewhere is "
        "dead-lettered.",
        "By offset within a partition; the broker's stamp is the arrival. Never transactional: offsets have no gaps.",
        "For ever. Shorten it only behind a backup of log and store.",
        "gateway (events; packs and releases of operators), the worker that owns the partition (ticks)",
        "worker",
        ("inbox.event", "inbox.tick", "inbox.pack", "inbox.release", "inbox.sent"),
        STAMPED | {"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1},
    ),
    "facts": Topic(
        _NAMES.facts,
        "Facts (事实)",
        "One message per step: what one event or one due instant did to one case.",
        "The case's id. The partition is the inbox partition of the same number, not the key's.",
        "By `n` within a partition, from 1 without gaps. `n` not above the last one read: skip it. A jump: what lies "
        "between is in the store; wait for it or fetch it, never go on over it.",
        "A week. The store has all of them, also those of before the log was a topic: `gridpatrol facts` reads them.",
        "worker",
        "performance, and any other system",
        ("step",),
        DAYS,
    ),
    "alerts": Topic(
        _NAMES.alerts,
        "Alerts (预警)",
        "The lines of the alert feed: who is told that something is or was due, and what became of it.",
        "The case's id.",
        "By `number` within an `epoch`; a number not above the last one read is a repeat. `id` is stable.",
        "A week. The store has all of them, also those of before the log was a topic; so has the stream over HTTP.",
        "alerts",
        "systems that tell people: messages, calls, screens",
        ("alert",),
        DAYS,
        1,
    ),
    "deadletter": Topic(
        _NAMES.deadletter,
        "Dead letters (死信)",
        "What was not taken, and why. The bytes stay sealed in the store; `gridpatrol deadletter` shows and replays.",
        "The letter's id.",
        "By offset: one partition. `id` is stable.",
        "A week. The store has all of them, also those of before the log was a topic.",
        "alerts",
        "operators who watch over senders",
        ("deadletter",),
        DAYS,
        1,
    ),
    "performance": Topic(
        _NAMES.performance,
        "Figures (考核指标)",
        "Figures of the finest grain as they stand: add up the cells of a grid, a period or a department.",
        "The cell's dimensions as a JSON list, in the order of the fields, without blanks. Partition: CRC-32 of "
        "the key (UTF-8), modulo their number.",
        "The last message of a key counts; between keys there is no order.",
        "Compacted: the last value of every key, for ever.",
        "performance",
        "dashboards, data centres",
        ("figure",),
        {"cleanup.policy": ["compact"]},
    ),
}


class Operation(Struct, frozen=True):
    """What gridpatrol does with a topic, and the consumer group with which it reads."""

    action: Literal["send", "receive"]
    channel: str
    summary: str
    group: str = ""


OPERATIONS = {
    "receiveIntake": Operation(
        "receive",
        "intake",
        "Check, seal and forward what a system publishes, once by source and id.",
        _NAMES.group("intake"),
    ),
    "sendInbox": Operation("send", "inbox", "Append what was taken to the partition of its home."),
    "receiveInbox": Operation(
        "receive",
        "inbox",
        "Decide records in their order, from the position in the database on.",
        _NAMES.group("worker"),
    ),
    "sendFacts": Operation("send", "facts", "Publish steps after their commit, in their order."),
    "receiveFacts": Operation(
        "receive", "facts", "Fold facts into figures, by their numbers.", _NAMES.group("performance")
    ),
    "sendAlerts": Operation("send", "alerts", "Tell who is to be told."),
    "sendDeadLetters": Operation("send", "deadletter", "Tell what was not taken, and why."),
    "sendFigures": Operation("send", "performance", "Tell figures that have changed."),
}
