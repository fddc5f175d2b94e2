"""A copy of a database that is killed leaves its target empty, and can be started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.integration.test_copy import copy, fill, is_empty, rows


@pytest.fixture(params=["to postgresql", "to sqlite"])
def urls(request: pytest.FixtureRequest, sqlite_url: str, empty_postgres_url: str) -> tuple[str, str]:
    """Source and target, both empty."""
    return (sqlite_url, empty_postgres_url) if request.param == "to postgresql" else (empty_postgres_url, sqlite_url)


pytestmark = pytest.mark.usefixtures("as_it_was")


def test_a_copy_that_is_killed_leaves_the_target_empty_and_can_be_started_again(urls: tuple[str, str]) -> None:
    source, target = urls
    fill(source)
    words = [sys.executable, "-m", "gridpatrol", "db", "copy", "--from", source, "--database", target]
    killed = subprocess.run(words, env={**os.environ, "GRIDPATROL_FAILPOINT": "copy.before_commit:kill"}, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert is_empty(target)
    copy(source, target)
    assert rows(target) == rows(source)
