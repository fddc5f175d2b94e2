"""The words, in Chinese and in English, for what lines of the feed say by their members `kind`, `what` and `on`.

Sentences of the feed and tables at a terminal use the same. What stands in none of them stands for itself.
"""

RUNGS = {
    "warn": ("预警", "warning"),
    "due": ("到期", "due"),
    "overdue": ("超期", "overdue"),
    "raise": ("升级督办", "raised"),
    "loop": ("反复", "loop"),
    "urge": ("催办", "urged"),
    "visit": ("上门服务", "visit the applicant"),
    "report": ("报告市府", "report to the city government"),
    "accountability": ("责任追究", "accountability"),
}
"""What an alert says, by the name of its rung."""
MOVES = {
    "returned": ("退回", "returned"),
    "reassigned": ("改派", "reassigned"),
    "urged": ("催办", "urged"),
    "check": ("核查", "to check on site"),
    "assigned": ("交办", "assigned"),
    "looped": ("反复", "loop"),
    "asked": ("申请", "asks for approval"),
    "decided": ("决定", "decided"),
    "merged": ("合并", "merged"),
    "ended": ("办结", "ended"),
    "copied": ("抄送", "copy"),
    "moved": ("进展", "moved on"),
    "published": ("公开", "told in public"),
    "daily": ("每日进展", "moves of the day"),
}
"""What a notice says, by the move that it tells of."""
ALERT_ENDS = {
    "resolved": ("已解除", "resolved"),
    "withdrawn": ("已撤回", "withdrawn"),
    "acknowledged": ("已知悉", "acknowledged"),
    "firing": ("告警中", "firing"),
    "told": ("告知", "told"),
}
"""What became of an alert; `told`: of a notice."""
ENDED = ("resolved", "withdrawn")
"""What became of an alert that is over."""
RESULTS = {
    "on_time": ("按期", "on time"),
    "overdue": ("超期", "overdue"),
    "without_deadline": ("无时限", "without a deadline"),
    "passed_on": ("已移交", "passed on"),
    "void": ("作废", "void"),
}
"""What became of a clock."""
