"""Lints devices (监测设备), their types and the rules of signals: whether their values could ever become a signal."""

from decimal import Decimal

from schemas.kinds.signal import BEGAN
from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.lint.register import lint_dates

TYPES, DEVICES, SIGNALS = "device_types.csv", "devices.csv", "signals.csv"
MOST_STEPS = 9
"""So bad at most is a signal (schemas.kinds.signal.Severity)."""


def lint_devices(context: LintContext) -> None:
    """A device has a type, a leaf grid and a machine's post that may say that a signal began."""
    types = {each.code: None for each in context.pack.device_types}
    posts = {post.code: post for post in reversed(context.pack.posts)}
    sites = {site.code for site in context.pack.sites}
    says = {row.role for row in context.pack.roles if row.trigger == BEGAN}
    for index, device in enumerate(context.pack.devices):
        lint_dates(context, DEVICES, index, device.valid_from, device.valid_to)
        if device.type not in types:
            context.error(DEVICES, index, "type", f"{device.type!r} is no type of device", one_of([*types]))
        if device.grid not in context.grids:
            context.error(DEVICES, index, "grid", f"{device.grid!r} is no grid", "name the leaf in which it stands")
        elif context.grids[device.grid].level != context.leaf_level:
            text = f"{device.grid!r} is no leaf grid: nobody on site looks at it"
            context.warning(DEVICES, index, "grid", text, "name the leaf in which it stands")
        post = posts.get(device.post)
        if post is None:
            context.error(DEVICES, index, "post", f"{device.post!r} is no post", "add it to posts.csv")
        elif not post.machine or post.role not in says:
            text = f"{device.post!r} is no post of a machine that may say {BEGAN}"
            context.error(DEVICES, index, "post", text, "say machine in posts.csv, and name its role in roles.csv")
        if device.site and sites and device.site not in sites:
            context.error(DEVICES, index, "site", f"{device.site!r} is no site", "use a code of sites.csv")
    for index, each in enumerate(context.pack.device_types):
        if not each.basis:
            context.warning(TYPES, index, "basis", "does not say where it comes from", "name the text, or write: ours")


def lint_signals(context: LintContext) -> None:
    """A rule names a type and a category that there are, a threshold to pass, and a way back."""
    types = [each.code for each in context.pack.device_types]
    for index, rule in enumerate(context.pack.signals):
        if rule.type and rule.type not in types:
            context.error(SIGNALS, index, "type", f"{rule.type!r} is no type of device", one_of(types))
        if rule.category not in context.categories:
            text = f"{rule.category!r} is no category"
            context.error(SIGNALS, index, "category", text, "use a code of categories.csv")
        if rule.test == "silent":
            if not rule.hold_down_ms:
                context.error(SIGNALS, index, "hold_down", "says not after how long", 'write "30 minutes"')
            continue
        if not rule.quantity:
            context.error(
                SIGNALS, index, "quantity", "says not what is measured", "name it as devices do, such as pm10"
            )
        if not rule.threshold:
            context.error(SIGNALS, index, "threshold", "is missing", "write the value that is passed")
            continue
        steps = [Decimal(text) for text in (rule.threshold, *filter(None, rule.worse))]
        if steps != sorted(set(steps), reverse=rule.test == "below"):
            context.error(SIGNALS, index, "worse", "its steps do not lead on", "write each further than the one before")
        if not 1 <= rule.severity <= MOST_STEPS + 1 - len(steps):
            text = f"runs to {rule.severity + len(steps) - 1}"
            context.error(SIGNALS, index, "severity", text, f"begin so that the last step is {MOST_STEPS} at most")
        if rule.back_at and rule.grade(Decimal(rule.back_at)):
            text = f"{rule.back_at!r} passes the threshold itself"
            context.error(SIGNALS, index, "back_at", text, "write a value on the near side of it, or leave it empty")
        if not rule.basis:
            context.warning(
                SIGNALS, index, "basis", "does not say where it comes from", "name the text, or write: ours"
            )
