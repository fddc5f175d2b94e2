"""The field's terms beside the names of the contract: tables from a name to (Chinese, English).

States have their Chinese names in the definitions, alerts and notices their words in `schemas.line_words`, values of
events theirs in `schemas.value_words`; titles of posts and names of grids come from the pack.
"""

RESULTS = {
    "on_time": ("按期", "on time"),
    "overdue": ("超期", "overdue"),
    "without_deadline": ("无时限", "without a deadline"),
    "passed_on": ("已移交", "passed on"),
    "void": ("作废", "void"),
}


def both(table: dict[str, tuple[str, str]], name: str) -> str:
    """`处置 handle`; a name that the table does not know stands for itself."""
    zh, en = table.get(name, ("", name))
    return f"{zh} {en}".strip()
