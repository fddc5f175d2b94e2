"""Imported by the process that victims are forked from: what each of them would import, compile and migrate anew."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from lab.runs import engine_on, install, pack_of
from tests.simulation import victim as victims

__all__ = ["victims"]

with TemporaryDirectory() as folder, engine_on(f"sqlite:///{Path(folder) / 'a.db'}", 1) as engine:
    install(engine, pack_of("weiyang"))
