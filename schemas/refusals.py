"""Refusals: an enumerated reason, the field, and a sentence with the remedy.

A reason is part of the contract: it is a metric label, and stands in dead letters and in answers at the door.
"""

from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """The reasons: first those of shape, then those of the rules, then those of the engine."""

    UNDECODABLE = "undecodable"  # not JSON, not an event
    INVALID = "invalid"  # an event whose fields break the contract
    TOO_LARGE = "too_large"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    ENGINE_ONLY = "engine_only"
    MISROUTED = "misrouted"  # key, subject and partition disagree
    CONFLICT = "conflict"  # same source and id, other content
    UNKNOWN_CODE = "unknown_code"  # a grid, post, department or category that the pack does not know
    FORBIDDEN = "forbidden"  # the roles table says no
    IMPOSSIBLE = "impossible"  # no state of this case takes it any more
    ARCHIVED = "archived"  # the case ended in a time that has been archived
    OVER_LIMIT = "over_limit"  # too many parked events
    EXPIRED = "expired"  # waited for its state in vain
    FAILED = "failed"  # the engine could not decide it; a defect


class Refusal(Struct, frozen=True):
    """The answer to input that is not taken. `field` is empty where no single one is to blame."""

    reason: Reason
    field: str
    detail: str
