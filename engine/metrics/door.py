"""What a door counts: what waits to be written, requests and their answers, connections, and streams of alerts."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class DoorCounters:
    """What is counted of requests at a door, and of who reads there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.queued = gauge("gridpatrol_queue_events", "Events at this door that wait to be written.")
        self.queue_oldest = gauge(
            "gridpatrol_queue_oldest_seconds", "How long the event has waited to be written that has waited longest."
        )
        self.refused = counter(
            "gridpatrol_refused_total",
            "Events that this door refused, by reason and whether they were kept; the rules refuse others.",
            ("reason", "kept"),
        )
        self.values = counter(
            "gridpatrol_signal_values_total",
            "Values of devices that came to this process, by what became of them: taken, late or refused.",
            ("outcome",),
        )
        for outcome in ("taken", "late", "refused"):
            self.values.labels(outcome)
        self.denied = counter(
            "gridpatrol_denied_total",
            "Requests that this door did not allow: nobody known, no right, over a quota.",
            ("status", "reason"),
        )
        self.requests = counter(
            "gridpatrol_http_requests_total",
            "Requests that this door answered, by route, method and class of status; HEAD counts as GET.",
            ("route", "method", "status"),
        )
        self.request_seconds = Histogram(
            "gridpatrol_http_request_duration_seconds",
            "From a request's head to the beginning of its answer, which its sender may have asked to wait for.",
            ("route", "method"),
            buckets=REQUEST_S,
            registry=registry,
        )
        self.open_requests = gauge(
            "gridpatrol_http_requests_open", "Requests at this door whose answers have not begun."
        )
        self.request_bytes = counter(
            "gridpatrol_http_request_bytes_total", "Bytes of the bodies of requests.", ("route", "method")
        )
        self.answer_bytes = counter(
            "gridpatrol_http_answer_bytes_total",
            "Bytes of the bodies of answers as they were sent, compressed ones as such.",
            ("route", "method"),
        )
        self.left_out = counter(
            "gridpatrol_access_lines_left_out_total", "Lines of the access log that were too many in their second."
        )
        self.connections = gauge("gridpatrol_connections_open", "Connections that the door has let in.")
        self.cut = counter(
            "gridpatrol_connections_cut_total",
            "Connections that the door cut off because of a limit, by which one.",
            ("why",),
        )
        self.streams = StreamCounters(registry)
        self.files = FileCounters(registry)


class FileCounters:
    """What is counted of photos and other files that come to a door, and of those that go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.stored = counter("gridpatrol_files_stored_total", "Files that this door has taken, all of each.")
        self.bytes = counter(
            "gridpatrol_file_bytes_total", "Bytes of files that came to this door, whatever became of them."
        )
        self.refused = counter(
            "gridpatrol_files_refused_total",
            "Requests with a file, or a piece of one, that this door refused or that were cut, by reason.",
            ("reason",),
        )
        for reason in REFUSED_FILES:
            self.refused.labels(reason)
        self.removed = counter(
            "gridpatrol_files_removed_total",
            "Files that were removed: nobody referred to them, the rest never came, no row knew them.",
            ("why",),
        )
        for why in ("unreferred", "expired", "unknown"):
            self.removed.labels(why)
        self.open = gauge("gridpatrol_uploads_open", "Requests at this door that are sending a file.")


REFUSED_FILES = (
    "content_range",
    "cut",
    "digest",
    "erased",
    "file_type",
    "offset",
    "over_quota",
    "overtaken",
    "store_away",
    "too_large",
)
"""Why a request with a file is refused, as metrics tell it."""


class StreamCounters:
    """What is counted of the streams of alerts that are open at a door."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.subscribers = gauge("gridpatrol_subscribers", "Alert streams that are open at this door.")
        self.subscribed = counter("gridpatrol_subscriptions_total", "Alert streams that were opened at this door.")
        self.unsubscribed = counter(
            "gridpatrol_subscriptions_ended_total",
            "Alert streams that ended: the listener left, its token was revoked, the door closed, reading failed.",
            ("why",),
        )
        for why in ("left", "revoked", "closing", "failed"):
            self.unsubscribed.labels(why)
        self.feed_lag = gauge(
            "gridpatrol_feed_lag_lines", "Lines of the alert feed that the slowest open stream has not been told yet."
        )
