"""What a pack says of the public: by which ways petitions come in (信访渠道), and what a report found true is worth."""

from msgspec import Struct

MOST_WEIGHT = 9
"""So often an answer counts at most."""


class SourceRow(Struct, frozen=True, omit_defaults=True):
    """One way by which petitions come in: its channel, and how what comes by it is handled."""

    code: str
    channel: str
    title_zh: str
    title_en: str
    lane: str = ""  # selects limits of their own; empty: the usual ones
    look_first: bool = False  # somebody looks first whether there is anything in it
    priority: int = 0  # lists show the higher first
    weight: int = 1  # so often an answer counts
    ladder: tuple[str, ...] = ()  # stages that it may go up; empty: another cycle instead
    basis: str = ""


class RewardRow(Struct, frozen=True, omit_defaults=True):
    """What a report found true is worth: of the rows of a line the one for its category, else its group, else all."""

    code: str
    line: str
    title_zh: str
    title_en: str
    amount_fen: int
    category: str = ""
    group: str = ""
    basis: str = ""
