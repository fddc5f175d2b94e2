"""The words, in Chinese and in English, for what lines of the feed say by their members `kind`, `what` and `on`."""

RUNGS = {
    "warn": ("即将到期", "is due soon"),
    "due": ("到期", "is due"),
    "overdue": ("超期", "is overdue"),
    "raise": ("升级督办", "is raised"),
    "loop": ("反复", "it goes in circles"),
    "urge": ("催办", "it is urged"),
}
"""What an alert says, by the name of its rung. A rung of another name stands for itself."""
BECAME = {
    "resolved": ("告警已解除", "the alert is resolved"),
    "withdrawn": ("告警已撤回", "the alert is withdrawn"),
    "acknowledged": ("已知悉", "acknowledged"),
}
"""What became of an alert."""
MOVES = {
    "returned": ("被退回", "it was returned"),
    "reassigned": ("改派", "it was reassigned"),
    "urged": ("催办", "it is urged"),
    "check": ("待现场核查", "it is to be checked on site"),
    "assigned": ("交办", "it was assigned"),
    "looped": ("反复", "it goes in circles"),
    "decided": ("已作决定", "it was decided on"),
    "merged": ("合并", "it was merged"),
    "ended": ("办结", "it has ended"),
    "copied": ("抄送", "a copy of the report"),
    "moved": ("有进展", "it has moved on"),
    "daily": ("今日进展", "moves of the day"),
}
"""What a notice says, by the move that it tells of."""
