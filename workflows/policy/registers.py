"""What a pack registers beside grids and posts: bodies and what they answer for (责任清单), delegated powers (放权),
and sources of pollution (污染源)."""

from typing import Literal

from msgspec import Struct


class Body(Struct, frozen=True, omit_defaults=True):
    """A body that answers for something (责任主体): a party committee, a department, a headquarters, an enterprise.

    It is no department of the register: nothing is sent to it, and no case is its own. Those of its posts sign its list
    (签字认领, M66). Days are local, YYYYMMDD; 0 means open-ended.
    """

    code: str
    name: str
    kind: str  # one of BODY_KINDS
    grid: str  # it answers for the subtree of this grid
    name_en: str = ""
    department: str = ""  # the department of departments.csv that it is, if it is one
    posts: tuple[str, ...] = ()  # who signs for it; empty: the posts of its department
    part_of: str = ""  # the headquarters to which a special group belongs
    valid_from: int = 0
    valid_to: int = 0


BODY_KINDS = {
    "party": ("党委及其部门", "party committee or its department"),
    "government": ("政府及其部门", "government or its department"),
    "mass": ("群团组织", "mass organisation"),
    "judiciary": ("审判检察机关", "court or procuratorate"),
    "institution": ("事业单位", "public institution"),
    "enterprise": ("企业", "enterprise"),
    "headquarters": ("指挥部", "headquarters"),
    "group": ("专项工作组", "special group"),
}
"""Kinds of bodies (M96, M103, M105), in Chinese and in English."""
PAIR = ("party", "government")
"""The kinds of which every owner has one (党政同责, M112)."""


POST_KINDS = {
    "full_time": ("专职", "full-time"),
    "public_welfare": ("公益性岗位", "public-welfare"),
    "assigned": ("指派", "assigned by its community"),
    "volunteer": ("志愿者", "volunteer"),
    "delegate": ("代表", "delegate"),
    "director": ("企业环保总监", "environment director of an enterprise"),
}
"""Kinds of posts, by who fills them (M40, M42, M103, M117), in Chinese and in English."""
FULL_TIME, DELEGATE, DIRECTOR = "full_time", "delegate", "director"


class ResponsibilityRow(Struct, frozen=True, omit_defaults=True):
    """One duty of a body (责任清单, M65): what it answers for, in words, whether it leads or assists, and of what."""

    code: str
    body: str
    duty_zh: str
    part: Literal["lead", "assist"] = "lead"
    duty_en: str = ""
    categories: tuple[str, ...] = ()  # categories or groups of the catalogue; empty: all
    basis: str = ""  # where it comes from
    valid_from: int = 0
    valid_to: int = 0


class AuthorityRow(Struct, frozen=True, omit_defaults=True):
    """A level that has authority over problems in a part of the tree, in the place of the catalogue's (M67: powers
    delegated to towns). Empty selectors match all; `workflows.routing.authority` says which row wins."""

    level: int
    category: str = ""
    group: str = ""
    grid: str = ""  # it holds in the subtree of this grid
    kind: str = ""  # it holds where a grid on the way to the place is of this kind
    valid_from: int = 0
    valid_to: int = 0
    basis: str = ""


class Neighbour(Struct, frozen=True, omit_defaults=True):
    """Who borders on the register and is not in it (毗邻地区, M74, M75): a county or a district that is written to for
    joint work. It has no posts here: a grid, or a department of it, writes to it and enters its answers."""

    code: str
    name: str
    grid: str  # who writes to it
    name_en: str = ""
    department: str = ""  # the department of that grid that writes to it; empty: the grid's own posts
    basis: str = ""  # where it comes from


class Site(Struct, frozen=True, omit_defaults=True):
    """A source of pollution of the register (污染源, M70, M71): a site that is looked at by itself."""

    code: str
    name: str
    grid: str
    category: str = ""  # a category or a group of the catalogue
    key: bool = False  # a key source (重点污染源)
    director: str = ""  # the post of the enterprise's environment director (环保总监, M103)
    lon: float | None = None  # WGS 84
    lat: float | None = None
    valid_from: int = 0
    valid_to: int = 0
