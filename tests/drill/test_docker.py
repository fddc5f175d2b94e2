"""The containers of docker/compose.yaml work together: set up and started in their order, on parts of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx

from engine.clock import now_ms
from lab.installation import Role
from lab.parts.processes import eventually
from tests.integration.test_docker import DOCKER, SERVICES, command
from tests.integration.test_door import report
from tests.support import compose
from tests.support.builders import subject


def test_set_up_and_started_in_the_order_of_the_file_an_event_is_decided_and_commands_run_in_the_gateway(
    tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str
) -> None:
    shutil.copy(DOCKER / "secrets.sh", tmp_path)
    said = subprocess.run(["sh", tmp_path / "secrets.sh"], check=True, capture_output=True, text=True).stdout
    tokens = dict(re.findall(r"^  (\w+) +(gp_\S+)$", said, re.MULTILINE))
    here = {
        "GRIDPATROL_DATABASE": postgres_url,
        "GRIDPATROL_KAFKA": kafka_server,
        "PYTHONPATH": str(compose.ROOT),
        "GRIDPATROL_KAFKA_PREFIX": kafka_prefix,
        "GRIDPATROL_LOG_FORMAT": "text",
    }
    with ExitStack() as stack:
        roles = dict[str, Role]()
        for service in (service for service in SERVICES.values() if service.ours):
            told = {k: v.replace("/run/secrets", str(tmp_path / "secrets")) for k, v in service.environment.items()}
            told = {k: v for k, v in os.environ.items() if not k.startswith("GRIDPATROL_")} | told | here
            del told["GRIDPATROL_DATABASE_PASSWORD_FILE"]  # the tests' own server asks for none
            if service.name == compose.SETUP:
                for line in service.command[-1].splitlines():
                    command(line, told)
                continue
            roles[service.name] = role = Role(service.name, service.command[-1], told, tmp_path)
            stack.callback(role.kill)
            role.start()
        for role in roles.values():
            role.await_ready(120)
        event = report(subject("WY01"), now_ms(), "WY01-01")
        headers = {"Content-Type": "application/cloudevents+json", "Prefer": "wait=30"}
        answer = httpx.post(
            f"{roles['gateway'].address()}/v1/events",
            content=json.dumps(event),
            timeout=60,
            headers=headers | {"Authorization": f"Bearer {tokens['app']}"},
        )
        assert answer.json()["outcome"] == "done", answer.text
        listen = SERVICES["gateway"].environment["GRIDPATROL_LISTEN"]
        inside = roles["gateway"].environment | {"GRIDPATROL_LISTEN": listen}
        del inside["GRIDPATROL_ROLE"]  # said to `serve` only
        verify = partial(command, "gridpatrol verify", inside, check=False)
        eventually(lambda: verify().startswith("Everything"), "figures have followed")
        activate = f"gridpatrol pack activate {compose.ROOT / 'workflows' / 'packs' / 'weiyang'}"
        assert "is active" in command(activate, inside | {"GRIDPATROL_TOKEN": tokens["operations"]})
