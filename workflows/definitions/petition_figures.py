"""What is counted of petitions, and the sums and rates that are shown of it."""

from schemas.kinds.petition import (
    CHANNELS,
    PetitionAnswered,
    PetitionJoined,
    PetitionRaised,
    PetitionRevisited,
    PetitionTaken,
    PetitionWeighed,
    RewardDecided,
)
from workflows.figures import Measure, Ratio, Sum

MEASURES = (
    Measure("petitions", PetitionTaken, per="channel", zh="登记的信访件", en="petitions taken in", better="lower"),
    Measure("petition_answers", PetitionAnswered, zh="信访答复的次数", en="answers to petitions"),
    Measure(
        "petition_answers_late",
        PetitionAnswered,
        where=(("late", True),),
        zh="逾期的信访答复",
        en="answers to petitions that came late",
        better="lower",
    ),
    Measure("petition_answers_by_lane", PetitionAnswered, per="lane", zh="各通道的答复", en="answers by lane"),
    Measure(
        "petition_answers_weighed", PetitionWeighed, zh="加权答复（网络留言等加倍）", en="answers as sources weigh"
    ),
    Measure(
        "petition_answers_late_weighed",
        PetitionWeighed,
        where=(("late", True),),
        zh="加权逾期答复",
        en="late answers as their sources weigh",
        better="lower",
    ),
    Measure(
        "petitions_joined",
        PetitionJoined,
        where=(("crowded", False),),
        zh="已关联案件的信访件",
        en="petitions with a case",
    ),
    Measure(
        "petitions_found_before",
        PetitionJoined,
        where=(("before", True),),
        zh="投诉之前已自行发现的信访件",
        en="petitions about what we had found before",
        better="higher",
    ),
    Measure(
        "rewards_paid", RewardDecided, per="line", where=(("outcome", "paid"),), zh="发放的奖励", en="rewards paid"
    ),
    Measure("revisits", PetitionRevisited, per="outcome", zh="回访的结果", en="what petitioners said of answers"),
    Measure(
        "petitions_raised",
        PetitionRaised,
        per="stage",
        zh="提级复查复核的信访件",
        en="petitions that went up a stage",
        better="lower",
    ),
)

SUMS = (
    Sum("taken_in", "信访量", "petitions taken in", tuple(f"petitions:{channel}" for channel in CHANNELS)),
    Sum("answered", "答复", "answered", ("petition_answers",)),
    Sum("answered_in_time", "按期答复", "answered in time", ("petition_answers",), ("petition_answers_late",)),
    Sum(
        "weighed_in_time",
        "加权按期答复",
        "answered in time, weighed",
        ("petition_answers_weighed",),
        ("petition_answers_late_weighed",),
    ),
    Sum("found_before", "自行发现在先", "found before", ("petitions_found_before",)),
    Sum(
        "asked",
        "回访评价",
        "asked and reached",
        ("revisits:satisfied", "revisits:dissatisfied", "revisits:leaves_it"),
    ),
    Sum("content", "满意", "satisfied", ("revisits:satisfied",)),
)

RATIOS = (
    Ratio("in_time_rate", "按期答复率", "answered in time", "answered_in_time", Sum("", "", "", ("answered",))),
    Ratio(
        "weighed_in_time_rate",
        "加权按期答复率",
        "answered in time, weighed",
        "weighed_in_time",
        Sum("", "", "", ("petition_answers_weighed",)),
    ),
    Ratio(
        "found_before_rate",
        "自行发现在先率",
        "found by ourselves before complained of",
        "found_before",
        Sum("", "", "", ("petitions_joined",)),
    ),
    Ratio(
        "satisfaction_rate",
        "答复满意率",
        "satisfied with the answer",
        "content",
        Sum("", "", "", ("asked",)),
    ),
)
