"""PostgreSQL's own tools, as docs/operations.md gives them, for the tests.

Enters: the commands of that page, which run in a container. Leaves: the same words with the names of a server of the
tests, run from the programs of the wheel.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from uuid import uuid4

from sqlalchemy.engine import URL, make_url

from lab.parts.postgres import binaries_of_the_wheel, execute

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
IN_CONTAINER = "docker compose -f docker/compose.yaml exec -T postgres "


def commands(tool: str) -> list[str]:
    """What the page says to give to one of the tools, without the container."""
    text = re.sub(r"\\\n\s*", "", PAGE.read_text(encoding="utf-8"))
    found = [line.removeprefix(IN_CONTAINER) for line in text.splitlines() if line.startswith(f"{IN_CONTAINER}{tool} ")]
    assert found, tool
    return found


def dump(url: str, file: Path) -> None:
    """A backup of a database, by the page's words."""
    [command] = commands("pg_dump")
    assert command.endswith(" gridpatrol > FILE")
    name = str(make_url(url).database)
    _give(make_url(url), command.replace(" gridpatrol > FILE", f' {name} > "$FILE"'), file)


def restore(url: str, file: Path) -> None:
    """That backup in the place of the database, by the page's words. What was there is dropped afterwards."""
    name, fresh, old = str(make_url(url).database), f"restored_{uuid4().hex}", f"broken_{uuid4().hex}"
    [made], [filled], [renamed] = commands("createdb"), commands("pg_restore"), commands("psql")
    for command in (made, filled, renamed):
        words = command.replace("< FILE", '< "$FILE"').replace("restored", fresh).replace("broken", old)
        _give(
            make_url(url),
            words.replace("DATABASE gridpatrol", f"DATABASE {name}").replace("TO gridpatrol", f"TO {name}"),
            file,
        )
    execute(make_url(url).set(database="postgres"), f"DROP DATABASE {old} WITH (FORCE)")


def _give(url: URL, command: str, file: Path) -> None:
    query = {f"PG{key.upper()}": str(value) for key, value in url.query.items() if key in ("host", "port")}
    ours = {"PATH": f"{binaries_of_the_wheel()}:{os.environ['PATH']}", "FILE": str(file)} | query
    told = ["bash", "-euo", "pipefail", "-c", command.replace("--username=gridpatrol", f"--username={url.username}")]
    done = subprocess.run(told, env={**os.environ, **ours}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
