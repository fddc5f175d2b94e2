"""The rules are tried under a pack before a process touches the log (`workflows.rehearsal`)."""

import logging

from engine.errors import GridpatrolError
from engine.failures import named
from engine.runtime import Engine
from workflows import rehearsal
from workflows.policy.index import Policy

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
tried: set[tuple[str, int]] = set()
"""Packs under which this process has tried the rules, and the day (UTC) about which it did: they do not change."""


class Defective(GridpatrolError):
    """A rule of this release fails under the pack."""

    remedy = "Nothing was touched: start the release before this one, and report the place with the log."


def rehearse(policy: Policy, at: int) -> None:
    """Defective, with the place, where a trigger of a state or the firing of a clock raises an error. `at`: about when
    (ms UTC). What was tried without an error is not tried again."""
    what = policy.hash, at // DAY_MS
    if what in tried:
        return
    try:
        rehearsal.rehearse(policy, at)
    except Exception as error:
        log.error("rehearsal.failed", exc_info=error)
        raise Defective(f"a rule fails under pack {policy.hash[:12]} at {named(error)}") from error
    tried.add(what)


def rehearse_active(engine: Engine, at: int) -> None:
    """The same for every pack that is active in some partition."""
    digests = {activated[-1][0] for p in engine.rows if (activated := engine.activations(p))}
    with engine.database.read() as connection:
        policies = [engine.policies.get(connection, digest) for digest in sorted(digests)]
    for policy in policies:
        rehearse(policy, at)
