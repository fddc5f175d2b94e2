"""The garbage collector is away while modules are loaded, and back afterwards; what was loaded it leaves alone."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from gridpatrol import collector


@pytest.mark.parametrize("collecting", [True, False])
def test_while_modules_are_loaded_nothing_is_collected_and_then_it_is_as_before(collecting: bool) -> None:
    was = gc.isenabled()
    try:
        gc.enable() if collecting else gc.disable()
        with pytest.raises(ImportError), collector.loading():
            assert not gc.isenabled()
            raise ImportError("kafka is not installed")
        assert gc.isenabled() is collecting
    finally:
        gc.enable() if was else gc.disable()


def test_a_command_is_loaded_without_a_collection_and_then_garbage_is_collected() -> None:
    """In a process of its own: this one has loaded all commands, and collected often."""
    code = """
import gc
from gridpatrol.cli import main
before = sum(generation["collections"] for generation in gc.get_stats())
main.get_command(None, "serve")
print(sum(generation["collections"] for generation in gc.get_stats()) - before, gc.get_freeze_count() > 50_000)
garbage = []
garbage.append(garbage)
del garbage
print(gc.isenabled(), gc.collect() > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True", "True"]
