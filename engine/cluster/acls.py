"""Who may do what with which topic: one user per role and per system, each with the rights that it needs.

1. Two users write the inbox: `gateway` (events, and the actions of operators) and `worker` (ticks, as the owner of a
   partition). Only `worker` and `operator` read it.
2. `worker` also publishes the facts, since it decides the steps.
3. A system writes its own intake topic, under its own name, and reads nothing. Only `gateway` reads intake topics.
4. `operator` reads the inbox, to export the log, and writes nothing.

The right to describe a topic comes with reading or writing it, the right to write idempotently with writing any topic.
Rights that others were given by hand (a warehouse that reads the facts) are listed and left alone.
"""

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.admin import ACLResourcePatternType as Pattern
from kafka.errors import KafkaError, SecurityDisabledError

from engine.cluster import clients
from engine.errors import BrokerRefuses, SettingsError
from engine.settings import Settings
from schemas.topics import Topics

Right = tuple[str, str, str, str]
"""User, operation, kind of resource, its name."""


class NoRights(BrokerRefuses):
    """The brokers have no authorizer."""

    remedy = "Set authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer in their properties."


def rights(prefix: str, systems: list[str]) -> list[Right]:
    """Every right that is given. SettingsError for a system that goes by a role's name: it would have its rights."""
    names = Topics(prefix)
    given: list[Right] = [
        ("gateway", "WRITE", "TOPIC", names.inbox),
        ("gateway", "DESCRIBE_CONFIGS", "TOPIC", names.inbox),
        ("gateway", "READ", "GROUP", names.group("intake")),
        ("gateway", "WRITE", "TOPIC", names.anchors),
        ("worker", "READ", "TOPIC", names.inbox),
        ("worker", "WRITE", "TOPIC", names.inbox),
        ("worker", "DESCRIBE_CONFIGS", "TOPIC", names.inbox),
        ("worker", "READ", "GROUP", names.group("worker")),
        ("worker", "WRITE", "TOPIC", names.facts),
        ("performance", "READ", "TOPIC", names.facts),
        ("performance", "READ", "GROUP", names.group("performance")),
        ("performance", "WRITE", "TOPIC", names.performance),
        ("alerts", "WRITE", "TOPIC", names.alerts),
        ("alerts", "WRITE", "TOPIC", names.deadletter),
        ("operator", "READ", "TOPIC", names.inbox),
        ("operator", "DESCRIBE_CONFIGS", "TOPIC", names.inbox),
    ]
    taken = {user for user, *_ in given}.intersection(systems)
    if taken:
        raise SettingsError(f"a system cannot be called {', '.join(sorted(taken))}: that is the user of a role")
    for system in systems:
        topic = names.intake(system)
        given += [(system, "WRITE", "TOPIC", topic), ("gateway", "READ", "TOPIC", topic)]
    return given


def grant(settings: Settings, systems: list[str]) -> list[str]:
    """Give every right. Returns a line for each, and for what others may do with our topics and groups."""
    given = rights(settings.kafka_prefix, systems)
    admin = clients.admin(settings)
    try:
        if failed := admin.create_acls([acl_of(right) for right in given])["failed"]:
            raise failed[0]
        every = ResourcePatternFilter(ResourceType.ANY, None, Pattern.ANY)
        found, _ = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ALLOW, every))
    except SecurityDisabledError as error:
        raise NoRights(f"the brokers at {settings.kafka} let everybody do everything") from error
    except KafkaError as error:
        raise clients.translated(settings, error) from error
    finally:
        admin.close()
    existing = {
        (acl.principal.removeprefix("User:"), acl.operation.name, kind.name, pattern.resource_name)
        for acl in found
        if (kind := (pattern := acl.resource_pattern).resource_type) in (ResourceType.TOPIC, ResourceType.GROUP)
        and pattern.resource_name.startswith(f"{Topics(settings.kafka_prefix).prefix}gridpatrol.")
    }
    beyond = sorted(existing - set(given))
    lines = [f"{user:12} may {operation} {kind.lower()} {name}" for user, operation, kind, name in [*given, *beyond]]
    return lines[: len(given)] + [f"{line}, which was not given here" for line in lines[len(given) :]]


def acl_of(right: Right) -> ACL:
    """A right as the brokers keep it."""
    user, operation, kind, name = right
    return ACL(
        principal=f"User:{user}",
        host="*",
        operation=ACLOperation[operation],
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType[kind], name),
    )
