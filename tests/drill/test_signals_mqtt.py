"""Values of devices by MQTT: a real Mosquitto, a server that is killed while they come, and how many it takes.

Enters: messages of a publisher. Leaves: each episode as one case, although the server was away meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from engine.clock import now_ms
from engine.store.database import open_database
from gridpatrol.bench.signals import batches, ended, write_pack
from lab.parts.processes import eventually
from tests.acceptance.test_cli_serve import WITHIN_S, forked, server
from tests.support.mosquitto import VARIABLE, mosquitto

__all__ = ["forked"]
DEVICES, EPISODES, SECONDS = 500, 5, 24


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto that keeps what nobody has acknowledged."""
    program = mosquitto()
    if program is None:
        pytest.skip(f"no Mosquitto: apt-get install mosquitto, or name one in {VARIABLE}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 500"]
    config = tmp_path / "mosquitto.conf"
    config.write_text("\n".join((*lines, "")), encoding="utf-8")
    libraries = [str(path) for path in Path(program).parents[1].glob("lib/*-linux-gnu")]
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(libraries)}
    log = (tmp_path / "mosquitto.log").open("w")
    with log, subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log, env=environment) as process:
        try:
            eventually(lambda: listens(port), "the broker listens")
            yield port
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Publisher:
    """Publishes what devices measure, and waits until the broker has it."""

    def __init__(self, port: int) -> None:
        self.client: Any = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(500)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def publish(self, bodies: list[bytes]) -> None:
        sent = [self.client.publish(f"signals/values/{n % 7}", body, qos=1) for n, body in enumerate(bodies)]
        for each in sent:
            each.wait_for_publish(WITHIN_S)


def subscribed(log: Path) -> bool:
    return "mqtt connected" in log.read_text()


@pytest.mark.mechanism("M73", "M116")
def test_what_comes_while_the_server_is_killed_comes_again(broker: int, tmp_path: Path) -> None:
    pack, begin = str(write_pack(tmp_path, DEVICES)), now_ms() - 60_000
    settings: dict[str, Any] = {"GRIDPATROL_PACK": pack, "GRIDPATROL_MQTT": f"127.0.0.1:{broker}"}
    publisher = Publisher(broker)
    with server(tmp_path, GRIDPATROL_FAILPOINT="signals.stored:kill@3", **settings) as running:
        eventually(lambda: subscribed(running.log), "the server is connected")
        for second in range(SECONDS):
            publisher.publish(list(batches(DEVICES, second, begin, 50)))
        assert running.process.wait(WITHIN_S) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    with server(tmp_path, **settings):
        database = open_database(f"sqlite:///{tmp_path}/var/gridpatrol.db")
        try:
            eventually(lambda: ended(database) == EPISODES, "every episode is over")
        finally:
            database.close()


@pytest.mark.mechanism("M73")
def test_so_many_messages_a_second_are_taken(broker: int, tmp_path: Path, record_property: Any) -> None:
    """One value in a message, as simple devices send it."""
    pack, begin, seconds = str(write_pack(tmp_path, 200)), now_ms() - 60_000, 20
    publisher = Publisher(broker)
    with server(tmp_path, GRIDPATROL_PACK=pack, GRIDPATROL_MQTT=f"127.0.0.1:{broker}") as running:
        eventually(lambda: subscribed(running.log), "the server is connected")
        bodies = [body for second in range(seconds) for body in batches(200, second, begin, 1)]
        began = time.monotonic()
        thread = threading.Thread(target=publisher.publish, args=(bodies,))
        thread.start()
        database = open_database(f"sqlite:///{tmp_path}/var/gridpatrol.db")
        try:
            eventually(lambda: ended(database) == 2, "every episode is over")
        finally:
            database.close()
        thread.join()
        rate = round(len(bodies) / (time.monotonic() - began))
        record_property("messages_per_s", rate)
        print(f"{rate} messages a second")
        assert rate > 0
