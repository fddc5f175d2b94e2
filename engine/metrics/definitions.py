"""The gauges: name, help and labels of each. The counters and histograms are defined in `counters`.

Names and labels are a contract with dashboards and alert rules. A label's values come from the pack, from enumerations
or from the installation, so their number is bounded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric


class Gauge(NamedTuple):
    """A gauge that is read when Prometheus asks."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def value(self, value: float) -> Metric:
        """The family with its one value, for a gauge without labels."""
        return GaugeMetricFamily(self.name, self.help, value=value)

    def values(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """The family with a value for each tuple of label values, in this order."""
        family = GaugeMetricFamily(self.name, self.help, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


# ---- cases and figures --------------------------------------------------------------------------------------

INCIDENTS = Gauge(
    "gridpatrol_incidents",
    "Open cases of the kinds that lists show unasked, by kind, level of their owner and state.",
    ("definition", "level", "state"),
)
INCIDENTS_OVERDUE = Gauge(
    "gridpatrol_incidents_overdue",
    "Open cases that have missed a deadline that runs still, by kind, grid, category group and age.",
    ("definition", "grid", "category_group", "age"),
)
TIMER_LAG = Gauge("gridpatrol_timer_lag_seconds", "How long the earliest due instant has been waiting to fire.")
POSTS_VACANT = Gauge(
    "gridpatrol_posts_vacant",
    "Posts of the active pack that nobody fills, by level of their grid and role: they owe nothing and hear nothing.",
    ("level", "role"),
)
FIGURES = Gauge(
    "gridpatrol_figures",
    "Performance figures of the present day and month, by kind of case, measure and grid.",
    ("definition", "grid", "measure", "period"),
)
MISMATCHES = Gauge("gridpatrol_reconcile_mismatches", "Findings of the last `gridpatrol verify`; NaN before the first.")
CHAIN_LAG = Gauge("gridpatrol_chain_lag_rows", "Steps, dead letters and acts of the audit that are not chained yet.")
ANCHOR_AGE = Gauge(
    "gridpatrol_anchor_age_seconds", "How long ago the chains were anchored last; NaN before the first anchor."
)
AUDIT_FINDINGS = Gauge(
    "gridpatrol_audit_findings",
    "What the last `gridpatrol audit verify` found to be changed; NaN before the first.",
)

SIGNAL_EPISODES = Gauge("gridpatrol_signal_episodes_open", "Episodes of devices that have begun and are not over.")
DEVICES_SILENT = Gauge("gridpatrol_devices_silent", "Devices that are silent for longer than their rule allows.")

# ---- the log ------------------------------------------------------------------------------------------------

INBOX_LAG = Gauge("gridpatrol_inbox_lag_records", "Records in the log that are not decided yet.", ("partition",))
INBOX_GAP = Gauge(
    "gridpatrol_inbox_gap_records", "Records that the log no longer has and nobody has decided.", ("partition",)
)
INBOX_OLDEST = Gauge("gridpatrol_inbox_oldest_seconds", "How long the oldest undecided record has been waiting.")
PARTITIONS = Gauge("gridpatrol_partitions", "Partitions of the installation, fixed for good.")
PARTITIONS_OWNED = Gauge("gridpatrol_partitions_owned", "Partitions that this process decides.")
PARTITIONS_HALTED = Gauge("gridpatrol_partitions_halted", "Partitions that stand still until somebody acts.")
CASES_STANDING = Gauge(
    "gridpatrol_cases_standing",
    "Cases on which a rule has failed; what comes for them waits, and the others go on.",
    ("partition",),
)
SENDS_OUTGOING = Gauge(
    "gridpatrol_sends_outgoing",
    "What cases have said to cases of other homes, and the log does not have yet; by partition of who said it.",
    ("partition",),
)
SENDS_OLDEST = Gauge(
    "gridpatrol_sends_oldest_seconds",
    "How long ago was said what has waited longest of what cases have said to cases of other homes.",
)
HOMES_QUARANTINED = Gauge(
    "gridpatrol_homes_quarantined", "Homes in which time bears nothing, because the database refuses it."
)
BACKPRESSURE = Gauge(
    "gridpatrol_backpressure", "1 while nothing is fetched: database or brokers are away, or enough is at hand."
)
TURN_AGE = Gauge("gridpatrol_turn_age_seconds", "How long ago this worker began its last turn.")

# ---- what is published and read -----------------------------------------------------------------------------

FACTS_UNPUBLISHED = Gauge("gridpatrol_facts_unpublished", "Steps that are committed and not yet on the facts topic.")
MESSAGES_UNPUBLISHED = Gauge(
    "gridpatrol_messages_unpublished",
    "What its topic does not have yet: lines of the alert feed, dead letters, transactions that changed figures.",
    ("topic",),
)
CHANNEL_LAG = Gauge(
    "gridpatrol_channel_lag_lines", "Lines of the alert feed that a channel has not taken in yet.", ("channel",)
)
CHANNEL_OLDEST = Gauge(
    "gridpatrol_channel_oldest_seconds",
    "How long ago was due what a channel has to tell and has not told, and has been due longest.",
    ("channel",),
)
SUBSCRIPTIONS = Gauge("gridpatrol_subscriptions", "Subscriptions to alerts that stand, by kind.", ("kind",))
CONSUMER_LAG = Gauge("gridpatrol_consumer_lag_steps", "Steps that a consumer has not taken in yet.", ("consumer",))
DEAD_LETTERS = Gauge("gridpatrol_dead_letters", "Dead letters that nobody has replayed, by reason.", ("reason",))
LETTER_BYTES = Gauge("gridpatrol_dead_letter_bytes", "Bytes of dead letters that are kept; old ones go.")
