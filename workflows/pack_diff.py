"""What changes for whom from one pack to another, in words. Pure.

Rows of a table are the same row where their codes or selectors are. Every field of every compiled row is compared, so a
column that is new is told without a line here; only its Chinese name is missing then. What is not compiled (the notes
of notices.csv and roles.csv) changes nothing for anybody, and is not told.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from schemas.kinds import KINDS
from schemas.line_words import MOVES, RUNGS
from workflows.clocks.limits import Limit, limit_text
from workflows.definitions import DEFINITIONS
from workflows.policy.model import Pack
from workflows.policy.settings import DAYS_OF_WEEK

Words = tuple[str, str]
"""The same in Chinese and in English."""

ROLES = {
    "chief": "网格长",
    "member": "网格员",
    "sponsor": "包抓领导",
    "handler": "部门经办",
    "dispatcher": "调度",
    "supervisor": "督查",
    "office": "办公室",
    "intake": "受理接入",
    "inspection": "纪检监察",
    "secretary": "书记",
    "bank": "银行",
    "lot": "抽签",
    "cashier": "奖励发放",
}
CLOCKS = {clock.name: (clock.zh, clock.en) for kind in DEFINITIONS.values() for clock in kind.clocks.values()}
COLUMNS = {
    "act": "动作", "against_table": "可不按责任部门派遣的角色", "allowance": "离线宽限", "amount_fen": "金额（分）",
    "answer": "须答复", "appeal": "申诉期限", "authority": "处置权", "barred_verifiers": "不得自核的网格类型",
    "bans": "区域限批", "basis": "依据", "body": "责任主体", "bonus": "加分项", "calendar": "日历", "cap": "加分上限",
    "channel": "渠道", "look_first": "先行核实",
    "categories": "适用小类", "category": "小类", "charged": "扣款对象", "checks": "核查层级", "comparison": "比较",
    "copy_passed": "同时上报", "crs": "坐标系", "daily_at": "每日告知时间", "daily_minutes": "每日工时（分钟）",
    "day_meaning": "工作日口径", "deadlines": "可定时限", "deadlines_move": "已起算时限是否变动",
    "declared": "应有问题数", "default_level": "默认上报层级", "definition": "事项类型", "denominator": "分母",
    "department": "部门", "direction": "方向", "director": "企业环保总监", "distinct": "计次口径",
    "duplicate_window_ms": "重复判定期", "duty_en": "英文职责", "duty_zh": "职责", "each": "计入条件",
    "every": "重复间隔", "first_calendar": "首个日历", "first_day": "日历起始", "found": "问题由谁发现",
    "full_at": "满分值", "grace_days": "统计宽限（天）", "grid": "网格", "grids": "适用网格", "group": "大类",
    "groups": "主管大类", "hold_ms": "告警等待", "holds": "督办期间不得办结", "index": "指数或类别",
    "indicator_en": "英文指标", "indicator_zh": "指标", "key": "重点污染源", "kind": "类型", "known_on": "公布日",
    "last_day": "日历截止", "lat": "纬度", "least": "最少监测值数", "level": "层级", "levels": "层级", "limit": "时限",
    "negative": "列入负面清单", "negative_list": "查阅负面清单的角色",
    "listed": "仅限重点监控区域", "lists": "列为重点监控区域", "lon": "经度", "loop_alarm": "反复预警周期",
    "machine": "系统岗位", "main_definition": "主要事项类型", "method": "年值算法", "min_n": "排名最少件数",
    "name": "名称", "name_en": "英文名称", "name_zh": "中文名称", "named": "列明问题数", "needs": "应附材料",
    "note": "说明", "notice": "提示", "numerator": "分子", "object": "对象", "official_code": "官方编码",
    "offline_ms": "离线宽限", "offset": "触发位置", "offsets": "时区规则", "owner": "责任单位", "parent": "上级网格",
    "parked_cap": "暂存上限", "parked_ms": "暂存时间", "part": "牵头或配合", "part_of": "隶属",
    "partition_level": "分区层级", "peer": "同类组", "per": "按何计", "period": "周期", "places": "修约位数",
    "polygon": "边界", "polygons": "边界要求", "posts": "应设岗位", "public": "公开", "quiet_exempt": "不静默的时钟",
    "quiet_from": "静默开始", "quiet_to": "静默结束", "quota": "次数", "reports_to": "告知对象",
    "rework_level": "返工层级", "role": "角色", "root_cause": "问题根源是否必填", "same_day": "当天办结",
    "says_en": "英文口径",
    "says_zh": "中文口径", "scope": "范围", "similar_radius_m": "疑似重复半径（米）",
    "similar_window_ms": "疑似重复时段", "source": "原文", "sources": "可用来源", "staff": "专职人数",
    "standard": "标准", "standard_from": "标准施行日", "standard_to": "标准废止日", "subjects": "考核对象",
    "subtracted": "剔除项", "successor": "承接网格", "target": "目标", "tell": "告知对象", "times": "次数",
    "title": "岗位名称", "title_en": "英文名称", "title_zh": "中文名称", "trained_on": "岗前培训日",
    "unborn_cap": "待报暂存上限", "unit": "单位", "unnamed": "未列明", "untrained": "未经培训的发言", "vacant": "空缺",
    "valid_from": "起始日", "valid_to": "终止日", "value": "目标值", "verifier_differs": "办核分离", "veto": "一票否决",
    "weight": "分值", "windows": "工作时间", "year": "年度", "zero_at": "零分值", "zone": "时区",
    "ladder": "复查复核阶段", "lane": "办理通道", "line": "奖励项", "priority": "优先级",
}  # fmt: skip
"""What people call the columns and options."""
COLUMNS |= {
    "check": "先核实", "back_at": "恢复值", "debounce_ms": "消抖时间", "hold_down_ms": "持续时间", "place": "点位",
    "post": "接入岗位", "quantity": "监测项目", "rest_ms": "再次立案间隔", "severity": "严重程度", "site": "污染源",
    "test": "判定", "threshold": "阈值", "type": "设备类型", "worse": "加重值",
}  # fmt: skip
DAY_FIELDS = frozenset(
    {"day", "valid_from", "valid_to", "first_day", "last_day", "known_on", "trained_on", "standard_from", "standard_to"}
)
TIME_FIELDS = frozenset({"quiet_from", "quiet_to", "daily_at"})
HUNDREDTHS_FIELDS = frozenset({"zero_at", "full_at"})
WINDOW_FIELDS = frozenset({"windows", *DAYS_OF_WEEK})
UNSPELT = frozenset({"polygon", "offsets"})
"""Too long to spell: that they differ is all that is said."""
UNITS = ((86_400_000, "天", "days"), (3_600_000, "小时", "hours"), (60_000, "分钟", "minutes"), (1000, "秒", "seconds"))


class Difference(Struct, frozen=True):
    """One thing that changes. `row` names the row by its codes, `column` is empty where the whole row comes or goes."""

    concerns_zh: str
    concerns_en: str
    file: str
    row: str
    column: str
    zh: str
    en: str


class Compared(NamedTuple):
    """A row of a pack as it is compared: what it is called, whom it concerns, and its fields."""

    file: str
    key: tuple[object, ...]
    name: Words
    concerns: Words
    fields: dict[str, object]


def pack_diff(old: Pack, new: Pack) -> list[Difference]:
    """What changes from one pack to the other, by whom it concerns. Empty: nothing, or the order of rows alone."""
    found = [each for pair in paired(rows_of(old), rows_of(new)) for each in differences(*pair)]
    return sorted(found, key=lambda each: (each.concerns_en != EVERYBODY[1], each.concerns_en))


def paired(old: list[Compared], new: list[Compared]) -> Iterator[tuple[Compared | None, Compared | None]]:
    """Rows of the same table with the same key, in the order of the tables; several of one key in their order."""
    places: dict[tuple[str, tuple[object, ...]], tuple[list[Compared], list[Compared]]] = {}
    for side, rows in enumerate((old, new)):
        for row in rows:
            places.setdefault((row.file, row.key), ([], []))[side].append(row)
    for before, after in places.values():
        yield from zip_longest(before, after)


def differences(old: Compared | None, new: Compared | None) -> Iterator[Difference]:
    """What two rows have in common is not told."""
    row = new or old
    assert row is not None
    if old is None or new is None:
        told = [
            (column, spelt(column, value)) for column, value in row.fields.items() if value not in ("", (), 0, None)
        ]
        zh = "，".join(f"{called(column)} {words[0]}" for column, words in told)
        en = ", ".join(f"{plain(column)} {words[1]}" for column, words in told)
        said = ("新增", "new") if old is None else ("取消", "gone")
        yield told_of(row, "", f"{said[0]}：{row.name[0]}（{zh}）", f"{said[1]}: {row.name[1]} ({en})")
        return
    for column in {**old.fields, **new.fields}:
        was, now = old.fields.get(column), new.fields.get(column)
        if was == now:
            continue
        if column in UNSPELT:
            zh, en = f"{called(column)}变更", f"{plain(column)} changed"
        else:
            before, after = spelt(column, was), spelt(column, now)
            zh = f"{called(column)}由 {before[0]} 改为 {after[0]}"
            en = f"{plain(column)} from {before[1]} to {after[1]}"
        yield told_of(new, column, f"{new.name[0]}：{zh}", f"{new.name[1]}: {en}")


def told_of(row: Compared, column: str, zh: str, en: str) -> Difference:
    """A sentence about a row."""
    name = " ".join(str(part) for part in row.key if part not in ("", 0))
    return Difference(*row.concerns, row.file, name, column, zh, en)


# ---- words --------------------------------------------------------------------------------------------------


EVERYBODY = ("所有人", "everybody")


def called(column: str) -> str:
    """The name of a column in Chinese; one that stands for a clock has the clock's, and a new one its own."""
    return COLUMNS.get(column) or CLOCKS.get(column, (column, ""))[0]


def plain(column: str) -> str:
    """The name of a column in English words."""
    return column.removesuffix("_ms").replace("_", " ")


def spelt(column: str, value: object) -> Words:
    """A value in words."""
    if isinstance(value, bool):
        return ("是", "yes") if value else ("否", "no")
    if isinstance(value, Limit):
        return limit_text(value), limit_text(value, "en")
    if column in UNSPELT:
        return "有", "given"
    if column in WINDOW_FIELDS and isinstance(value, tuple):
        text = ", ".join(f"{clock(opens)}-{clock(closes)}" for opens, closes in value)
        return (text, text) if text else ("休", "off")
    if column in HUNDREDTHS_FIELDS and isinstance(value, int):
        text = f"{value / 100:g}"
        return text, text
    if isinstance(value, int):
        return number(column, value)
    text = ";".join(map(str, value)) if isinstance(value, tuple) else str(value or "")
    return (text, text) if text else ("（空）", "(empty)")


def number(column: str, value: int) -> Words:
    """A number by what it counts: a day, a time of the day, a length of time, or itself."""
    if column in DAY_FIELDS:
        text = f"{value // 10_000}-{value // 100 % 100:02d}-{value % 100:02d}"
        return (text, text) if value else ("（空）", "(empty)")
    if column in TIME_FIELDS:
        return clock(value), clock(value)
    if column.endswith("_ms"):
        unit = next((unit for unit in UNITS if value and value % unit[0] == 0), (1, "毫秒", "ms"))
        count = value // unit[0]
        return f"{count} {unit[1]}", f"{count} {unit[2].removesuffix('s') if count == 1 and unit[0] > 1 else unit[2]}"
    return str(value), str(value)


def clock(minute: int) -> str:
    """A local minute of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


# ---- rows ---------------------------------------------------------------------------------------------------


def rows_of(pack: Pack) -> list[Compared]:
    """Everything that a pack says, row by row."""
    return [
        *settings_of(pack),
        *calendars_of(pack),
        *register_of(pack),
        *rules_of(pack),
        *assessment_of(pack),
        *responsibility_of(pack),
        *devices_of(pack),
    ]


def level_words(pack: Pack, level: int) -> Words:
    """What the pack calls a level; 0 is each of them."""
    found = next((each for each in pack.levels if each.level == level), None)
    if found is None:
        return ("各级", "every level") if not level else (f"第{level}级", f"level {level}")
    return found.name_zh, f"level {level} ({found.name_en})"


def without(row: Struct, *left_out: str) -> dict[str, object]:
    """The fields of a row but for these."""
    return {field: value for field, value in asdict(row).items() if field not in left_out}


def settings_of(pack: Pack) -> Iterator[Compared]:
    """What stands in pack.toml, but for its calendars."""
    whole = {name: getattr(pack, name) for name in ("title_zh", "title_en", "zone", "notice", "polygons")}
    first = {"code": pack.code, "first_calendar": pack.calendars[0].code}
    yield Compared("pack.toml", ("pack",), ("政策包", "the pack"), EVERYBODY, first | whole)
    yield Compared("pack.toml", ("options",), ("选项", "options"), EVERYBODY, asdict(pack.options))
    for level in pack.levels:
        zh, en = level_words(pack, level.level)
        name = f"层级 {level.level}", f"level {level.level}"
        yield Compared("pack.toml", ("level", level.level), name, (zh, en), without(level, "level"))
    for each in pack.authority:
        name = f"第{each.level}级处置权", f"authority of level {each.level}"
        concerns = level_words(pack, each.level)
        yield Compared("pack.toml", ("authority", each.level), name, concerns, without(each, "level"))


def calendars_of(pack: Pack) -> Iterator[Compared]:
    """Calendars, and the days that differ from their weeks."""
    for calendar in pack.calendars:
        code = calendar.code
        concerns = f"按日历 {code} 工作的人", f"whoever works by calendar {code}"
        week = dict(zip(DAYS_OF_WEEK, calendar.weekly, strict=True))
        fields = without(calendar, "code", "weekly", "days") | week
        yield Compared("pack.toml", ("calendar", code), (f"日历 {code}", f"calendar {code}"), concerns, fields)
        for day in calendar.days:
            text = spelt("day", day.day)[0]
            name = f"日历 {code} {text}", f"{text} in calendar {code}"
            yield Compared("days.csv", (code, text), name, concerns, without(day, "day"))


def register_of(pack: Pack) -> Iterator[Compared]:
    """Who is there: grids, departments, posts; and the catalogue."""
    for grid in pack.grids:
        name = f"网格 {grid.code} {grid.name}", f"grid {grid.code} {grid.name}"
        yield Compared("grids.csv", (grid.code,), name, name, without(grid, "code"))
    for department in pack.departments:
        name = f"部门 {department.code} {department.name}", f"department {department.code} {department.name}"
        yield Compared("departments.csv", (department.code,), name, name, without(department, "code"))
    for post in pack.posts:
        name = f"岗位 {post.code} {post.title}", f"post {post.code} {post.title}"
        yield Compared("posts.csv", (post.code,), name, name, without(post, "code"))
    for category in pack.categories:
        name = f"小类 {category.code} {category.name_zh}", f"category {category.code} {category.name_en}".rstrip()
        concerns = level_words(pack, category.level)
        yield Compared("categories.csv", (category.code,), name, concerns, without(category, "code"))


def rules_of(pack: Pack) -> Iterator[Compared]:
    """How fast, who is told, who may say what, what is owed."""
    for limit in pack.limits:
        selectors = (limit.definition, limit.clock, limit.category, limit.group, limit.level, limit.listed, limit.lane)
        concerns = level_words(pack, limit.level)
        zh, en = CLOCKS.get(limit.clock, ("", limit.clock))
        of = " ".join(
            filter(None, (limit.definition, limit.category or limit.group, limit.lane, "listed" * limit.listed))
        )
        name = f"{zh}时限 {limit.clock}，{concerns[0]} {of}".rstrip(), f"limit of {en}, {concerns[1]} {of}".rstrip()
        left = without(limit, "clock", "definition", "category", "group", "level", "listed", "lane")
        yield Compared("limits.csv", selectors, name, concerns, left)
    for rung in pack.rungs:
        zh, en = CLOCKS.get(rung.clock, ("各时钟", "every clock"))
        word = RUNGS.get(rung.rung, (rung.rung, rung.rung))
        of = " ".join(filter(None, (rung.definition, rung.category)))
        name = (
            f"{zh}{word[0]} {rung.clock} {rung.rung} {rung.category}".rstrip(),
            f"rung {rung.rung} of {en} {of}".rstrip(),
        )
        concerns = "接收告警的岗位", "who is told by alerts"
        place = (rung.definition, rung.category, rung.clock, rung.rung)
        yield Compared("rungs.csv", place, name, concerns, without(rung, "clock", "rung", "definition", "category"))
    for notice in pack.notices:
        zh, en = MOVES.get(notice.on, ("", notice.on))
        of = " ".join(filter(None, (notice.definition, notice.category)))
        name = f"{zh}告知 {notice.on} {of}".rstrip(), f"notice {notice.on} {of}".rstrip()
        concerns = "接收告知的岗位", "who is told of moves"
        left = without(notice, "on", "definition", "category")
        yield Compared("notices.csv", (notice.definition, notice.category, notice.on), name, concerns, left)
    titles = {name: said.zh for kind in KINDS for name, said in kind.events.items()}
    for role in pack.roles:
        said = titles.get(role.trigger, "")
        name = f"规则 {role.rule}：{said} {role.trigger}", f"rule {role.rule} for {role.trigger}"
        concerns = f"角色 {ROLES.get(role.role, '')} {role.role}", f"role {role.role}"
        key = (role.rule, role.trigger, role.role, role.definition)
        yield Compared("roles.csv", key, name, concerns, without(role, "rule", "trigger", "role", "definition"))
    for action in pack.actions:
        name = f"督办方式 {action.action} {action.title_zh}", f"action {action.action} {action.title_en}"
        concerns = "督办的单位和机关", "who supervises and who is supervised"
        yield Compared("actions.csv", (action.action,), name, concerns, without(action, "action"))
    for neighbour in pack.neighbours:
        name = f"毗邻地区 {neighbour.code} {neighbour.name}", f"neighbour {neighbour.code} {neighbour.name_en}".rstrip()
        concerns = f"网格 {neighbour.grid}", f"grid {neighbour.grid}"
        yield Compared("neighbours.csv", (neighbour.code,), name, concerns, without(neighbour, "code"))
    for campaign in pack.campaigns:
        name = f"专项行动 {campaign.code} {campaign.title_zh}", f"campaign {campaign.code} {campaign.title_en}"
        concerns = "上报问题的岗位", "who reports problems"
        yield Compared("campaigns.csv", (campaign.code,), name, concerns, without(campaign, "code"))
    for row in pack.approvals:
        name = f"审批事项 {row.code} {row.title_zh}", f"matter {row.code} {row.title_en}"
        concerns = "申请人和审批岗位", "who applies and who decides"
        yield Compared("approvals.csv", (row.code,), name, concerns, without(row, "code"))
    for source in pack.sources:
        name = f"信访渠道 {source.code} {source.title_zh}", f"source {source.code} {source.title_en}"
        concerns = "接待信访的岗位", "who takes in petitions"
        yield Compared("sources.csv", (source.code,), name, concerns, without(source, "code"))
    for reward in pack.rewards:
        name = f"奖励 {reward.code} {reward.title_zh}", f"reward {reward.code} {reward.title_en}"
        concerns = "举报人和受奖单位", "who is rewarded"
        yield Compared("rewards.csv", (reward.code,), name, concerns, without(reward, "code"))
    for duty in pack.duties:
        name = f"履职 {duty.code} {duty.name}", f"duty {duty.code}"
        concerns = f"角色 {ROLES.get(duty.role, '')} {duty.role}", f"role {duty.role}"
        yield Compared("duties.csv", (duty.code,), name, concerns, without(duty, "code"))


def assessment_of(pack: Pack) -> Iterator[Compared]:
    """By what is assessed, and what follows."""
    concerns = "被考核的单位和岗位", "who is assessed"
    for indicator in pack.indicators:
        name = f"考核指标 {indicator.code} {indicator.name_zh}", f"indicator {indicator.code} {indicator.name_en}"
        yield Compared("indicators.csv", (indicator.code,), name, concerns, without(indicator, "code"))
    for row in pack.scorecards:
        name = f"考核细则 {row.card} {row.year} {row.indicator}", f"card {row.card} {row.year}, {row.indicator}"
        key = (row.card, row.year, row.indicator)
        yield Compared("scorecards.csv", key, name, concerns, without(row, "card", "year", "indicator"))
    for consequence in pack.consequences:
        card, when, action = consequence.card, consequence.when, consequence.action
        name = f"奖惩建议 {card} {when} {action}", f"proposal of card {card}, {when}: {action}"
        left = without(consequence, "card", "when", "action")
        yield Compared("consequences.csv", (card, when, action), name, concerns, left)
    for each in pack.targets:
        of = (each.target, each.owner, each.year)
        said, left = f"{each.owner} {each.year}", without(each, "target", "owner", "year")
        name = f"目标 {each.target} {each.indicator_zh} {said}", f"target {each.target} {each.indicator_en}, {said}"
        yield Compared("targets.csv", of, name, concerns_of(pack, each.owner), left)


def concerns_of(pack: Pack, owner: str) -> Words:
    """Whom a row about a grid or a department concerns."""
    grids = (("网格", "grid", grid.code, grid.name) for grid in pack.grids)
    lanes = (("部门", "department", each.code, each.name) for each in pack.departments)
    found = next((each for each in (*grids, *lanes) if each[2] == owner), ("单位", "unit", owner, ""))
    return f"{found[0]} {owner} {found[3]}".rstrip(), f"{found[1]} {owner} {found[3]}".rstrip()


def responsibility_of(pack: Pack) -> Iterator[Compared]:
    """Who answers for what."""
    for body in pack.bodies:
        name = f"责任主体 {body.code} {body.name}", f"body {body.code} {body.name_en}".rstrip()
        yield Compared("bodies.csv", (body.code,), name, name, without(body, "code"))
    called_by = {body.code: (body.name, body.name_en or body.name) for body in pack.bodies}
    for row in pack.responsibilities:
        zh, en = called_by.get(row.body, (row.body, row.body))
        name = f"责任 {row.code}：{zh}", f"responsibility {row.code} of {en}"
        concerns = f"责任主体 {row.body} {zh}", f"body {row.body} {en}"
        yield Compared("responsibilities.csv", (row.code,), name, concerns, without(row, "code"))
    for power in pack.authority_rows:
        key = (power.category, power.group, power.grid, power.kind)
        of = " ".join(filter(None, key))
        name = f"处置权 {of}".rstrip(), f"authority over {of or 'all problems'}"
        left = without(power, "category", "group", "grid", "kind")
        yield Compared("authority.csv", key, name, level_words(pack, power.level), left)
    for site in pack.sites:
        name = f"污染源 {site.code} {site.name}", f"site {site.code} {site.name}"
        yield Compared(
            "sites.csv", (site.code,), name, (f"网格 {site.grid}", f"grid {site.grid}"), without(site, "code")
        )


def devices_of(pack: Pack) -> Iterator[Compared]:
    """What is watched, and when that is a signal."""
    concerns = "监测接入和核实的岗位", "who connects devices and who looks"
    for kind in pack.device_types:
        name = f"设备类型 {kind.code} {kind.title_zh}", f"type of device {kind.code} {kind.title_en}"
        yield Compared("device_types.csv", (kind.code,), name, concerns, without(kind, "code"))
    for device in pack.devices:
        name = f"监测设备 {device.code} {device.name}", f"device {device.code} {device.name}"
        yield Compared("devices.csv", (device.code,), name, concerns_of(pack, device.grid), without(device, "code"))
    for rule in pack.signals:
        name = f"报警规则 {rule.code} {rule.title_zh}", f"rule of signals {rule.code} {rule.title_en}"
        yield Compared("signals.csv", (rule.code,), name, concerns, without(rule, "code"))
