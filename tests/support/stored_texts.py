"""Statements of tests about texts that SQLite keeps deflated: they name the column, and are given as the text of it."""

from __future__ import annotations

import re

BODY = re.compile(r"\b((?:NEW\.)?body)\b(?! =)")


def of_texts(dialect: str, sql: str) -> str:
    """A statement, or a part of one, in which `body` is read as its text. What is set to it is stored as it is."""
    return BODY.sub(r"inflated(\1)", sql) if dialect == "sqlite" else sql
