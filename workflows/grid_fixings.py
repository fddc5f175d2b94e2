"""The six fixings (六定, M11) of one grid, as a pack has them: area, people, duty, standard, process, assessment. Pure.

What a grid lacks stands beside what it has, so that a page of it can be signed or sent back.
"""

from msgspec import Struct

from schemas.kinds import KINDS
from workflows.assessment.cards import card_codes, card_of
from workflows.case import TOTAL
from workflows.clocks.limits import limit_text
from workflows.definitions import CLOCKS, DEFINITIONS, REFERENCE
from workflows.pack_diff import ROLES
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.policy.registers import BODY_KINDS, POST_KINDS
from workflows.responsibility import duties_of_body, holds_on

TITLES = {trigger: event.zh for kind in KINDS for trigger, event in kind.events.items()}


class FixingOfGrid(Struct, frozen=True, kw_only=True):
    """One of the six of a grid: what is fixed, line by line in Chinese and English, and what is missing."""

    zh: str
    en: str
    has: tuple[tuple[str, str], ...]
    lacks: tuple[tuple[str, str], ...] = ()


def fixings_of(register: Policy, grid: str, at: int) -> tuple[FixingOfGrid, ...]:
    """The six fixings of a grid at an instant (ms), in the order of the plan."""
    posts = [p for p in register.pack.posts if p.grid == grid and register.stands(p, at)]
    return (
        area(register, grid),
        people(register, grid, posts),
        duty(register, grid, posts, register.clock_of_days.local_day(at)),
        standard(register, grid, register.clock_of_days.local_day(at)),
        process(register, grid, at),
        assessment(register, grid, register.clock_of_days.local_day(at) // 10_000),
    )


def area(register: Policy, code: str) -> FixingOfGrid:
    """Which grid it is, where it lies, and what lies in it."""
    grid, path = register.grids[code], register.path(code)
    names = " > ".join(register.grids[each].name for each in path)
    below = sum(each.parent == code for each in register.pack.grids)
    corners = sum(len(ring) for rings in grid.polygon for ring in rings)
    has = [
        (f"第{grid.level}级，{names}", f"level {grid.level}: {' > '.join(path)}"),
        (f"下级网格 {below} 个", f"{below} grids below it"),
    ]
    if corners:
        has.append((f"边界已划定，{corners} 个界点", f"its border has {corners} corners"))
    lacks = [("边界未划定", "it has no border")] if not corners and register.pack.polygons != "none" else []
    return FixingOfGrid(zh="定区域", en="area", has=tuple(has), lacks=tuple(lacks))


def people(register: Policy, grid: str, posts: list[Post]) -> FixingOfGrid:
    """Who fills which post, and which posts of its level are vacant or missing."""
    level = next(each for each in register.pack.levels if each.level == register.grids[grid].level)
    has = []
    for post in posts:
        zh, en = POST_KINDS.get(post.kind, ("", ""))
        vacant = ("空缺", "vacant") if post.vacant else ("", "")
        chinese = "，".join(filter(None, (ROLES.get(post.role, post.role), zh, vacant[0])))
        english = ", ".join(filter(None, (post.role, en, vacant[1])))
        has.append((f"{post.title}（{chinese}）", f"{post.code} ({english})"))
    filled = {post.role for post in posts if not post.vacant}
    lacks = [(f"缺{ROLES.get(role, role)}", f"no {role}") for role in level.posts if role not in filled]
    return FixingOfGrid(zh="定人员", en="people", has=tuple(has), lacks=tuple(lacks))


def duty(register: Policy, grid: str, posts: list[Post], day: int) -> FixingOfGrid:
    """What its posts owe in each period, and what its bodies answer for."""
    level = register.grids[grid].level
    owed = [(row, post) for row in register.pack.duties for post in posts if row.owed_by(post, level)]
    has = [
        (
            f"履职：{row.name}，{post.title}，每{PERIODS_ZH[row.period]} {row.quota} 次",
            f"{row.code}: {post.code}, {row.quota} each {row.period.replace('_', ' ')}",
        )
        for row, post in owed
    ]
    for body in register.pack.bodies:
        if body.grid != grid or not holds_on(body, day):
            continue
        kind = BODY_KINDS.get(body.kind, (body.kind, body.kind))
        for row in duties_of_body(register, body.code):
            if holds_on(row, day):
                part = "牵头" if row.part == "lead" else "配合"
                english = f"{body.code} ({kind[1]}), {row.part}: {row.duty_en or row.code}"
                has.append((f"责任：{body.name}（{kind[0]}）{part}：{row.duty_zh}", english))
    lacks = [("没有履职，也没有责任", "nothing is owed or answered for here")] if not has else []
    return FixingOfGrid(zh="定职责", en="duty", has=tuple(has), lacks=tuple(lacks))


PERIODS_ZH = {
    "day": "日", "week": "周", "half_month": "半月", "month": "月", "quarter": "季", "half": "半年", "year": "年",
}  # fmt: skip


def standard(register: Policy, grid: str, day: int) -> FixingOfGrid:
    """What it has authority over, and how long each step may take at its level."""
    level = register.grids[grid].level
    own = [c for c in register.pack.categories if c.level == level]
    kind = register.options.main_definition or REFERENCE
    has = [(f"本级处置的问题 {len(own)} 种", f"{len(own)} kinds of problems are handled at its level")]
    for clock in (*DEFINITIONS[kind].clocks, TOTAL):
        row = register.limit(clock, 0 if clock == TOTAL else level, "", "", day, kind)
        if row is not None:
            zh, en = CLOCKS[clock]
            has.append((f"{zh}时限 {limit_text(row.limit)}", f"{en}: {limit_text(row.limit, 'en')}"))
    loose = [c.code for c in own if register.limit(TOTAL, 0, c.code, c.group, day, kind) is None]
    lacks = [(f"{len(loose)} 种问题没有全程时限", f"no limit for the whole of {', '.join(loose[:5])}")] if loose else []
    return FixingOfGrid(zh="定标准", en="standard", has=tuple(has), lacks=tuple(lacks))


def process(register: Policy, grid: str, at: int) -> FixingOfGrid:
    """Who says each step of the main kind of case, of the posts on the way from the grid to the root."""
    kind, has, lacks = DEFINITIONS[register.options.main_definition or REFERENCE], [], []
    way = register.path(grid)
    posts = [p for p in register.pack.posts if p.grid in way and not p.vacant and register.stands(p, at)]
    for trigger in sorted(kind.heard & {row.trigger for row in register.pack.roles}):
        said_by = {
            (post.role, register.grids[post.grid].level)
            for post in posts
            if register.role_rows_at(register.grids[post.grid].level, trigger, post.role, kind.name)
        }
        zh = TITLES.get(trigger, trigger)
        if said_by:
            who = sorted(said_by, key=lambda each: (-each[1], each[0]))
            chinese = "、".join(f"第{level}级{ROLES.get(role, role)}" for role, level in who)
            has.append((f"{zh}：{chinese}", f"{trigger}: {', '.join(f'{role} L{level}' for role, level in who)}"))
        else:
            lacks.append((f"{zh}无人可办", f"nobody says {trigger}"))
    return FixingOfGrid(zh="定流程", en="process", has=tuple(has), lacks=tuple(lacks))


def assessment(register: Policy, grid: str, year: int) -> FixingOfGrid:
    """The cards by which it, or its posts, are assessed."""
    has = []
    for code in card_codes(register.pack):
        card = card_of(register.pack, code, year)
        if card is not None and card.level == register.grids[grid].level and card.subjects in ("grid", "post"):
            title = f"{card.title_zh}（{card.code}，{len(card.lines)} 项指标，每{PERIODS_ZH[card.period]}）"
            has.append((title, f"{card.title_en} ({card.code}, {len(card.lines)} indicators, each {card.period})"))
    lacks = [("没有考核本级的细则", "no card assesses its level")] if not has else []
    return FixingOfGrid(zh="定考核", en="assessment", has=tuple(has), lacks=tuple(lacks))
