"""The field's terms beside the names of the contract: tables from a name to (Chinese, English).

States have their Chinese names in the definitions, alerts, notices, sources and
results their words in `schemas.line_words`; titles of
posts and names of grids come from the pack.
"""

WORDS = {
    "effective": ("劝阻有效", "dissuasion was effective"),
    "ineffective": ("劝阻无效", "dissuasion was in vain"),
    "impossible": ("无法劝阻", "nobody could be dissuaded"),
    "solved": ("已解决", "solved"),
    "unsolved": ("未解决", "unsolved"),
    "authority": ("权限不足", "beyond our authority"),
    "coordination": ("需协调", "needs coordination"),
    "cross_boundary": ("跨界", "crosses a boundary"),
    "timeout": ("超时", "timed out"),
    "not_our_duty": ("非本单位职责", "not our duty"),
    "not_our_area": ("非本辖区", "not our area"),
    "insufficient": ("材料不足", "not enough to go on"),
    "wrong_category": ("类别有误", "wrong category"),
    "season": ("季节", "season"),
    "funds": ("资金", "funds"),
    "engineering": ("工程", "engineering"),
    "dispute": ("争议", "dispute"),
    "other": ("其他", "other"),
    "released": ("轮到处理", "its turn came"),
    "expired": ("等待超时", "waited in vain"),
    "overtaken": ("已过时", "overtaken"),
}


def both(table: dict[str, tuple[str, str]], name: str) -> str:
    """`处置 handle`; a name that the table does not know stands for itself."""
    zh, en = table.get(name, ("", name))
    return f"{zh} {en}".strip()
