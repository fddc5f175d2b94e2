"""Who may do what with which topic: one user per role and per system, each with the rights that it needs.

In: settings of an administrator. Out: ACLs in the brokers. Only gateway, owner (`worker`) and relay write the inbox; a
system writes its own intake topic and reads nothing.
"""

from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import KafkaError

from engine.cluster import clients
from engine.settings import Settings
from schemas.topics import Topics

Right = tuple[str, str, str, str]
"""User, operation, kind of resource, its name."""


def rights(prefix: str, systems: list[str]) -> list[Right]:
    """Every right that is given."""
    names = Topics(prefix)
    given: list[Right] = [
        ("gateway", "WRITE", "TOPIC", names.inbox), ("gateway", "READ", "TOPIC", names.inbox),
        ("worker", "READ", "TOPIC", names.inbox), ("worker", "WRITE", "TOPIC", names.inbox),
        ("worker", "WRITE", "TOPIC", names.facts), ("worker", "READ", "GROUP", names.group("worker")),
        ("relay", "WRITE", "TOPIC", names.inbox),
        ("performance", "READ", "TOPIC", names.facts), ("performance", "WRITE", "TOPIC", names.performance),
        ("performance", "READ", "GROUP", names.group("performance")),
        ("alerts", "WRITE", "TOPIC", names.alerts), ("alerts", "WRITE", "TOPIC", names.deadletter),
        ("gateway", "READ", "GROUP", names.group("intake")),
    ]  # fmt: skip
    for topic in (names.inbox,):
        given += [(role, "DESCRIBE_CONFIGS", "TOPIC", topic) for role in ("gateway", "worker")]
    for system in systems:
        topic = names.intake(system)
        given += [(system, "WRITE", "TOPIC", topic), ("gateway", "READ", "TOPIC", topic)]
    return given


def grant(settings: Settings, systems: list[str]) -> list[str]:
    """Give them. A line for each."""
    given = rights(settings.kafka_prefix, systems)
    admin = clients.admin(settings)
    try:
        answer = admin.create_acls([_acl(right) for right in given])
    except KafkaError as error:
        raise clients.told_apart(settings, error) from error
    finally:
        admin.close()
    if failed := answer.get("failed"):
        raise clients.told_apart(settings, failed[0][1] if isinstance(failed[0], tuple) else failed[0])
    return [f"{user:12} may {operation} {kind.lower()} {name}" for user, operation, kind, name in given]


def _acl(right: Right) -> ACL:
    user, operation, kind, name = right
    return ACL(
        principal=f"User:{user}", host="*", operation=ACLOperation[operation],
        permission_type=ACLPermissionType.ALLOW, resource_pattern=ResourcePattern(ResourceType[kind], name),
    )  # fmt: skip
