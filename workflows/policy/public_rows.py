"""The rows of sources.csv and rewards.csv, compiled."""

from schemas.kinds.petition import CHANNELS, LINES
from workflows.policy.csv_tables import Columns, Row
from workflows.policy.public import RewardRow, SourceRow

SOURCES = Columns(
    "sources.csv",
    ("code", "channel", "title_zh"),
    ("title_en", "lane", "look_first", "priority", "weight", "ladder", "basis"),
)
REWARDS = Columns("rewards.csv", ("code", "line", "title_zh", "amount_fen"), ("title_en", "category", "group", "basis"))


def source_row(row: Row) -> SourceRow:
    """A row of sources.csv. A source without an English title is called by the Chinese one."""
    return SourceRow(
        code=row.code("code"),
        channel=row.choice("channel", CHANNELS),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        lane=row.word("lane"),
        look_first=row.yes("look_first"),
        priority=row.number_in("priority"),
        weight=row.number_in("weight", 1),
        ladder=row.words("ladder"),
        basis=row.text("basis"),
    )


def reward_row(row: Row) -> RewardRow:
    """A row of rewards.csv."""
    row.needed("amount_fen")
    return RewardRow(
        code=row.code("code"),
        line=row.choice("line", LINES),
        title_zh=row.needed("title_zh"),
        title_en=row.text("title_en") or row.text("title_zh"),
        amount_fen=row.amount("amount_fen"),
        category=row.word("category"),
        group=row.word("group"),
        basis=row.text("basis"),
    )
