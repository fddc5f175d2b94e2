"""The words, in Chinese and in English, for values that events name: sources, outcomes, reasons, why one is refused.

Apps offer them to people, and stories of cases are told in them. `CHOICES` says which member of which event takes which
values. The words of what only one kind of case says stand with it; what stands nowhere stands for itself.
"""

from collections.abc import Iterator
from enum import EnumMeta

from msgspec import inspect

from schemas.events import EVENT_TYPES
from schemas.kinds import KINDS
from schemas.refusals import Reason

SOURCES = {
    "patrol": ("网格员巡查", "found on patrol"),
    "inspection": ("上级检查", "found by inspection"),
    "supervision": ("督查", "found by supervision"),
    "public": ("公众举报", "reported by the public"),
    "petition": ("信访", "petition"),
    "hotline": ("热线", "hotline"),
    "sensor": ("在线监测", "sensor"),
    "camera": ("视频监控", "camera"),
    "transfer": ("移交", "transferred"),
}
"""Who found a problem."""
OF_EVIDENCE = {
    "near": ("近景", "near view"),
    "far": ("远景", "far view"),
    "reference": ("参照物", "with a point of reference"),
    "before": ("处置前", "before handling"),
    "after": ("处置后", "after handling"),
    "document": ("文件", "document"),
    "video": ("视频", "video"),
    "audio": ("录音", "audio"),
}
"""What a photo or a file shows."""
TOLD = {
    "timeout": ("超时", "timed out"),
    "released": ("轮到处理", "its turn came"),
    "expired": ("等待超时", "waited in vain"),
    "overtaken": ("已过时", "overtaken"),
    "extension": ("延期", "extension"),
    "suspension": ("挂账", "suspension"),
    "outside_days": ("不在行动期间", "on another day"),
    "outside_categories": ("不属行动问题类别", "of another category"),
    "outside_grids": ("不在行动区域", "in another grid"),
}
"""What only facts say."""
WORDS: dict[str, tuple[str, str]] = {
    **OF_EVIDENCE,
    **TOLD,
    **{value: words for kind in KINDS for value, words in kind.words.items()},
}
"""Outcomes and reasons, of all kinds of case, and what evidence shows."""
REFUSED = {
    Reason.UNDECODABLE: ("无法解析", "cannot be read"),
    Reason.INVALID: ("内容不合规范", "breaks the contract"),
    Reason.TOO_LARGE: ("过大", "too large"),
    Reason.UNKNOWN_TYPE: ("未知的事件类型", "no such type of event"),
    Reason.UNKNOWN_VERSION: ("未知的事件版本", "no such version of this event"),
    Reason.ENGINE_ONLY: ("只由系统产生", "said by the engine alone"),
    Reason.MISROUTED: ("归属网格不符", "of another home"),
    Reason.CONFLICT: ("编号重复而内容不同", "the same id with other content"),
    Reason.UNKNOWN_CODE: ("未知的代码", "a code that is not known"),
    Reason.FORBIDDEN: ("无此权限", "not allowed"),
    Reason.IMPOSSIBLE: ("当前状态不允许", "not possible any more"),
    Reason.ARCHIVED: ("已归档", "archived"),
    Reason.OVER_LIMIT: ("等待的事件过多", "too many events wait"),
    Reason.EXPIRED: ("等待超时", "waited in vain"),
    Reason.FAILED: ("系统故障", "a defect of the engine"),
}
"""Why an event is refused."""
EXEMPTION_STAGES = {
    "requested": ("申请免责", "exemption asked for"),
    "granted": ("已免责", "exempted"),
    "refused": ("不予免责", "not exempted"),
    "appealed": ("已申诉", "appealed"),
    "dismissed": ("申诉未予支持", "not exempted on appeal"),
}
"""What has become of the exemption of a missed deadline."""
NAMES = ("crs",)
"""Members whose values are names that nobody translates: of maps."""


def choices_in(kind: inspect.Type) -> Iterator[str]:
    """The values of which a member takes one; none where it takes any text or number."""
    match kind:
        case inspect.Metadata(type=inner):
            yield from choices_in(inner)
        case inspect.UnionType(types=types):
            for each in types:
                yield from choices_in(each)
        case inspect.LiteralType(values=values):
            yield from (str(value) for value in values)
        case inspect.EnumType(cls=cls) if isinstance(cls, EnumMeta):
            yield from (str(member.value) for member in cls)


def members_in(kind: inspect.Type, before: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """The members of a struct that take one of some values, also those of the structs in its lists, by their paths."""
    match kind:
        case inspect.Metadata(type=inner):
            yield from members_in(inner, before)
        case inspect.UnionType(types=types):
            for each in types:
                yield from members_in(each, before)
        case inspect.VarTupleType(item_type=item):
            yield from members_in(item, f"{before}[].")
        case inspect.StructType(fields=fields):
            prefix = before if before.endswith(".") or not before else f"{before}."
            for member in fields:
                if member.name not in NAMES and (values := tuple(choices_in(member.type))):
                    yield f"{prefix}{member.encode_name}", values
                yield from members_in(member.type, f"{prefix}{member.encode_name}")


CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    event: found for event, struct in EVENT_TYPES.items() if (found := dict(members_in(inspect.type_info(struct))))
}
"""By type of event the members of its data that take one of some values: `evidence[].kind` is that of each in a list.
"""
