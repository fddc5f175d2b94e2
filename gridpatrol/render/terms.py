"""The field's terms beside the names of the contract: tables from a name to (Chinese, English).

States have their Chinese names in the definitions, alerts and notices their words in `schemas.line_words`, values of
events theirs in `schemas.value_words`; titles of posts and names of grids come from the pack.
"""


def both(table: dict[str, tuple[str, str]], name: str) -> str:
    """`处置 handle`; a name that the table does not know stands for itself."""
    zh, en = table.get(name, ("", name))
    return f"{zh} {en}".strip()
