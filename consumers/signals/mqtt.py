"""Values of devices by MQTT: messages of a topic are handed to the adapter, and acknowledged once it has stored them.

1. A message holds what a batch over HTTP holds, or one value of it. It comes at least once (QoS 1); one that comes
   again changes nothing.
2. The broker keeps what it sent and was not acknowledged, and what comes while nobody is connected: the session of the
   client stays. So nothing is lost while this process is away, as far as the broker keeps it.
3. Whom the broker lets publish to the topic speaks for all devices: who may is a matter of its own lists.
4. One process of an installation is connected at a time.
"""

import logging
import queue
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.clock import now_ms
from engine.errors import GridpatrolError, LeaseTaken, SettingsError
from engine.lease import Lease, LeaseName
from engine.loop import Loop
from engine.metrics.counters import Counters
from engine.settings import Settings
from engine.store.database import Database, DriverError, refuses
from engine.value_taker import ValueTaker
from schemas.device_values import DeviceValue

log = logging.getLogger(__name__)

WAIT_S = 0.5
"""How long a turn waits for a message."""
STAND_BY_S = 5.0
"""How often another process is asked for its place."""
AT_ONCE = 500
"""Messages that are handed over together."""
ROOM = 5_000
"""Messages that wait here; then the connection is read no further."""
KEEPALIVE_S = 30
CONNECTS = LeaseName("takes values by MQTT for", ".mqtt.lease", 0x6D717474)  # "mqtt"
decode = msgspec.json.Decoder(DeviceValue | list[DeviceValue]).decode


class MqttIntake(Loop):
    """Takes values from a broker as long as its process lives. `leased`: other processes may want to, too."""

    def __init__(
        self, settings: Settings, database: Database, taker: ValueTaker, counters: Counters, *, leased: bool
    ) -> None:
        super().__init__("mqtt")
        self.settings = settings
        self.database = database
        self.taker = taker
        self.counted = counters.door.values
        self.leased = leased
        self.lease: Lease | None = None
        self.client: Any = None
        self.came: queue.Queue[Any] = queue.Queue(ROOM)
        self.pending = list[Any]()  # messages that are not acknowledged yet

    def run_once(self) -> float:
        """Hand over what has come, and acknowledge it."""
        if not self.may_connect():
            self.disconnect()
            return STAND_BY_S
        if self.client is None:
            self.client = self.connected()
        if not self.pending:
            self.pending = self.next_messages()
        if self.pending:
            self.take(self.pending)
            for message in self.pending:
                self.client.ack(message.mid, message.qos)
            self.pending = []
        return 0.0

    def next_messages(self) -> list[Any]:
        """What has come, after a while of waiting."""
        found = list[Any]()
        with suppress(queue.Empty):
            found.append(self.came.get(timeout=WAIT_S))
            while len(found) < AT_ONCE:
                found.append(self.came.get_nowait())
        return found

    def take(self, messages: list[Any]) -> None:
        """Hand the values of messages to the adapter; a message that holds none is refused, and not asked for again."""
        values, refused = list[DeviceValue](), 0
        for message in messages:
            try:
                found = decode(message.payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                refused += 1
                continue
            values += found if isinstance(found, list) else [found]
        if refused:
            log.warning("mqtt.refused", extra={"messages": refused})
        taken = self.taker.take(values, lambda post: True, now_ms())
        self.counted.labels("taken").inc(taken.taken)
        self.counted.labels("late").inc(taken.late)
        self.counted.labels("refused").inc(taken.refused + refused)

    # ---- the connection -----------------------------------------------------------------------------------

    def may_connect(self) -> bool:
        """Whether this process is the one that is connected."""
        if self.leased:
            try:
                self.lease = self.lease or Lease(self.database, CONNECTS, 0.0)
                self.lease.keep(self.database)
            except LeaseTaken:
                self.lease = None
        return not self.leased or self.lease is not None

    def connected(self) -> Any:
        """A client that connects, and again whenever the connection ends."""
        mqtt, settings = library(), self.settings
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"{settings.kafka_prefix}gridpatrol-signals",
            clean_session=False,
            manual_ack=True,
        )
        if settings.mqtt_user:
            client.username_pw_set(settings.mqtt_user, password_of(settings))
        if settings.mqtt_ca:
            client.tls_set_context(ssl.create_default_context(cafile=settings.mqtt_ca))
        client.on_connect = self.subscribe
        client.on_message = lambda _client, _userdata, message: self.came.put(message)
        host, _, port = settings.mqtt.rpartition(":")
        client.connect_async(host, int(port), KEEPALIVE_S)
        client.loop_start()
        return client

    def subscribe(self, client: Any, _userdata: object, _flags: object, reason: Any, _properties: object) -> None:
        """Ask for the topic whenever a connection stands. What came by the one before comes again."""
        if reason.is_failure:
            log.error("mqtt: the broker refuses the connection: %s", reason)
            return
        log.info("mqtt connected", extra={"broker": self.settings.mqtt, "topic": self.settings.mqtt_topic})
        client.subscribe(self.settings.mqtt_topic, qos=1)

    def disconnect(self) -> None:
        """Leave the connection to another process."""
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
            self.client, self.pending, self.came = None, [], queue.Queue(ROOM)

    def is_passing(self, error: Exception) -> bool:
        if isinstance(error, GridpatrolError) and not isinstance(error, SettingsError):
            return True
        return isinstance(error, DriverError) and not refuses(error)

    def release(self) -> None:
        self.disconnect()
        if self.lease is not None:
            self.lease.close()


def library() -> Any:
    """The client library. SettingsError where it is not installed."""
    try:
        from paho.mqtt import client
    except ModuleNotFoundError as error:
        raise SettingsError("mqtt needs the client library: pip install 'gridpatrol[mqtt]'") from error
    return client


def password_of(settings: Settings) -> str | None:
    """The password at the broker; None: there is none. SettingsError where its file cannot be read."""
    if not settings.mqtt_password_file:
        return None
    try:
        return Path(settings.mqtt_password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"mqtt_password_file: {error}") from error
