"""The duty (履职): what a post owes in a period. Time bears it, and nobody reports it.

    owed > kept | missed | excused | void

1. It is borne when its period begins and falls due with the period's last millisecond. The clock of the whole case is
   its only one, and it is held by the post itself.
2. The post records what it has done. A record counts for the period in which its `time` lies, if that is believed; else
   it is refused, and a post above may excuse the duty. It must bring what the row of the pack asks for.
3. It is kept when as many records count as the row asks for; two that are alike in what the row calls distinct count
   once. Further records are taken and change nothing.
4. Not kept by its due, it has lapsed, and its post and chief are told. It stays open for as long as a phone may have
   been offline: a record that was made in time takes the lapse back. Then it ends missed.
5. A post of a grid above excuses a duty with a reason, before its end or after it was missed. What lapsed stays lapsed;
   the exemption stands beside it and takes the duty out of the rate.
6. It is void where post, grid or row of the pack end before its period does: its home says that nobody owes it any
   more.
7. All of it counts at the local day on which it is due, at its post and place: the last patrol of a month in that
   month, whenever it is told and whoever says so.
"""

from datetime import timedelta

from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.envelope import to_ms
from schemas.instants import EARLIEST
from schemas.kinds import duty
from schemas.kinds.duty import Duty, DutyEnded, DutyExcused, DutyOwed, DutyRecorded, Excused, Owed, Recorded
from schemas.members import EventData
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, holding, machine, periods, routing
from workflows.case import AWAITED, TOTAL, Case
from workflows.decision import Decision
from workflows.define import define
from workflows.figures import Measure, Ratio, Sum
from workflows.machine import Effect, Speaker, State, Transition
from workflows.permissions import offline_allowance
from workflows.policy.duties import is_owed, site_stands
from workflows.policy.index import Policy
from workflows.policy.model import DutyRow

STATES = (
    State(AWAITED, "待到", 1),
    State("owed", "应履职", 2, hands="post"),
    State("kept", "已履职", 3, terminal=True),
    State("missed", "未履职", terminal=True),
    State("excused", "免责", terminal=True),
    State("void", "作废", terminal=True),
)

SIGNS = {
    AWAITED: ("·", "to come"),
    "owed": ("○", "owed"),
    "kept": ("✓", "kept"),
    "missed": ("✗", "missed"),
    "excused": ("–", "excused"),
    "void": ("∅", "void"),
}
"""Each state as a sign in a calendar, and in English."""
ALL = ("owed", "kept", "missed", "excused", "void")
TRANSITIONS = (
    Transition("duty.owed", (AWAITED,), "owed"),
    Transition("duty.recorded", ("owed",), "kept", ("fills_the_quota",)),
    Transition("duty.recorded", ("owed", "kept", "excused"), "="),
    Transition("duty.lapsed", ("owed",), "missed"),
    Transition("duty.excused", ("owed", "missed"), "excused"),
    Transition("duty.void", ("owed",), "void"),
    Transition("case.acknowledged", ("owed",), "="),
    Transition("case.urged", ("owed",), "="),
    Transition("case.evidence_added", ALL, "="),
    Transition("case.commented", ALL, "="),
)

RECORDED = "duty.recorded"
PHOTOS = ("near", "far", "reference", "before", "after")
"""Kinds of evidence that are photos."""


# ---- what keeps a duty ------------------------------------------------------------------------------------


def kept_by(case: Case) -> Duty:
    """What a duty keeps of its own."""
    assert isinstance(case.own, Duty)
    return case.own


def counts_as(own: Duty, data: Recorded, day: int) -> str:
    """What makes a record of a local day another one; empty where one like it counts already."""
    alike = {"day": str(day), "place": data.grid or "*"}.get(own.distinct, str(len(own.records) + 1))
    return "" if alike in own.records else alike


def fills_the_quota(case: Case, data: EventData, speaker: Speaker) -> bool:
    """With this record as many count as the row of the pack asks for."""
    own = kept_by(case)
    counts = isinstance(data, Recorded) and counts_as(own, data, speaker.day)
    return len(own.records) + bool(counts) >= own.quota


def is_its_own(d: Decision, speaker: Speaker) -> Refusal | None:
    """The post records what it owes itself."""
    if speaker.post == d.case.post:
        return None
    return Refusal(Reason.FORBIDDEN, "actor", f"this is owed by post {d.case.post}: it records its own duties")


def record(d: Decision, data: Recorded, speaker: Speaker) -> Refusal | None:
    """The post has done what it owes."""
    own = kept_by(d.case)
    row = d.rules.duties[own.duty]
    refused = strange(d, data) or untimely(d, data, row) or lacking(data, row)
    if refused:
        return refused
    still = d.case.state == "owed"
    d.tell(
        DutyRecorded(
            counts=counts_as(own, data, speaker.day) if still else "",
            grid=data.grid or "",
            started=to_ms(data.started) if data.started else None,
            ended=to_ms(data.ended) if data.ended else None,
            form=data.form.sha256 if data.form else "",
            problems=data.problems,
        )
    )
    effects.tell_evidence(d, (*data.evidence, *filter(None, (data.form,))))
    return None


def strange(d: Decision, data: Recorded) -> Refusal | None:
    """Why something said of a place or a problem has nothing to do with the duty."""
    if data.grid is not None and d.case.path[-1] not in (
        d.register.path(data.grid) if data.grid in d.register.grids else ()
    ):
        return Refusal(Reason.INVALID, "data.grid", f"must be {d.case.path[-1]}, or a grid below it")
    if any(home_of(problem) != home_of(d.case.id) for problem in data.problems):
        home = home_of(d.case.id)
        return Refusal(Reason.INVALID, "data.problems", f"must be ids of cases of the same home: {home}.<UUIDv7>")
    return None


def untimely(d: Decision, data: Recorded, row: DutyRow) -> Refusal | None:
    """Why a record does not count for the period of the duty."""
    if d.instant != d.occurred:
        late = "it came later after its time than is believed of a phone that was offline"
        return Refusal(Reason.IMPOSSIBLE, "time", f"{late}: ask a post above to excuse the duty (duty.excused)")
    own, days = kept_by(d.case), d.register.clock_of_days
    # What came before the period began has not been done in it, whatever its time says.
    period = periods.holding(row.period, days.local_day(min(d.judged(0), d.came)))
    if period.first != own.first:
        of = f"local day {period.first}" if row.period == "day" else f"{row.period} of local day {period.first}"
        begins = periods.first_instant(period, days)
        named = (home_of(d.case.id), d.case.definition, own.duty, d.case.post)
        right = derived_subject(*named, period.first, begins, own.site)
        return Refusal(Reason.MISROUTED, "subject", f"its time counts for the {of}: send it to {right}")
    began = to_ms(data.started) if data.started else None
    ended = to_ms(data.ended) if data.ended else None
    if began is not None and began > (d.occurred if ended is None else ended):
        return Refusal(Reason.INVALID, "data.started", "must not lie after the end, nor after the time of the event")
    if ended is not None and ended > d.occurred:
        return Refusal(Reason.INVALID, "data.ended", "must not lie after the time of the event")
    return None


def lacking(data: Recorded, row: DutyRow) -> Refusal | None:
    """What a record has to bring, and does not."""
    if "photo" in row.needs and not any(item.kind in PHOTOS for item in data.evidence):
        kinds = ", ".join(PHOTOS)
        return Refusal(Reason.INVALID, "data.evidence", f"{row.code} asks for a photo: add one of the kinds {kinds}")
    if "form" in row.needs and data.form is None:
        return Refusal(
            Reason.INVALID, "data.form", f"{row.code} asks for its register form: add the file as a document"
        )
    return None


# ---- what ends it otherwise -------------------------------------------------------------------------------


def is_above(d: Decision, speaker: Speaker) -> Refusal | None:
    """Who excuses stands above whose duty it is."""
    if 0 < speaker.level < len(d.case.path):
        return None
    above = ", ".join(d.case.path[:-1]) or "nobody"
    return Refusal(Reason.FORBIDDEN, "actor", f"it is excused from above only, by a post of: {above}")


def excuse(d: Decision, data: Excused, speaker: Speaker) -> Refusal | None:
    """A post above excuses it."""
    clock = d.case.clock(TOTAL)
    stage = "missed" if clock is None else "lapsed" if clock.breached else "running"
    d.tell(DutyExcused(by=d.by, reason=data.reason, stage=stage, token=d.token))
    return None


def end(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """Nobody may record it any more: it was missed."""
    d.tell(DutyEnded(how="missed"))
    return None


def call_off(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """The home says that the pack no longer asks for it: row, post or occupancy ended."""
    d.tell(DutyEnded(how="void"))
    return None


def report_end(d: Decision) -> None:
    """Copies go to those to whom the row of the pack reports what was kept or missed (M46)."""
    words = d.rules.duties[kept_by(d.case).duty].reports_to
    if words and d.case.state in ("kept", "missed"):
        unit = holding.present(d.case, d.register)
        told = routing.recipients(words, d.case, d.register, d.arrival, unit)
        posts = tuple(code for code in told if code != d.by)
        if posts:
            d.tell(facts.Copied(posts=posts))


# ---- how time bears it ------------------------------------------------------------------------------------


def owed_in(policy: Policy, home: str) -> list[machine.Owed]:
    """What the posts of a home owe, each with the period by which it comes again."""
    return [
        machine.Owed(row.code, post, row.period, site)
        for row, post in policy.duties_of(home)
        for site in policy.sites_of(row, post)
    ]


def stands(policy: Policy, owed: machine.Owed, day: int) -> bool:
    """Whether row, post and its occupancy stand on a local day, and the site, where it is owed for one."""
    row, post = policy.duties.get(owed.row), policy.posts.get(owed.post)
    if row is None or post is None or post.grid not in policy.grids or row.period != owed.period:
        return False
    if owed.site not in policy.sites_of(row, post.code) or not site_stands(owed.site, day, policy):
        return False
    return row.owed_by(post, policy.grids[post.grid].level) and is_owed(row, post, day, policy)


def last_day(policy: Policy, owed: machine.Owed) -> int:
    """The last local day of post, grid and site, as far as the pack says; 0: it says none."""
    post, site = policy.posts[owed.post], policy.sites.get(owed.site)
    days = (post.valid_to, policy.grids[post.grid].valid_to, site.valid_to if site is not None else 0)
    return min(filter(None, days), default=0)


def listed_grid(policy: Policy, owed: machine.Owed) -> str:
    """The grid of a post whose duty is owed only while that is listed; empty: it is owed anyway."""
    return policy.posts[owed.post].grid if policy.duties[owed.row].listed else ""


def born(policy: Policy, owed: machine.Owed, period: periods.Period) -> Owed:
    """What the home says when a period of a duty begins."""
    row, post = policy.duties[owed.row], policy.posts[owed.post]
    due = periods.last_instant(period, policy.clock_of_days)
    allowance = offline_allowance(post, RECORDED, policy, policy, duty.DUTY.name)
    return Owed(
        duty=row.code,
        post=post.code,
        grid=post.grid,
        first=period.first,
        until=due + allowance,
        quota=row.quota,
        distinct=row.distinct,
        site=owed.site or None,
        deadline=EARLIEST + timedelta(milliseconds=due),
    )


def tell_owed(d: Decision, data: Owed) -> Refusal | None:
    """What is owed, for which period, and when that ends by itself."""
    if data.duty not in d.rules.duties:
        return effects.unknown_code("data.duty", "duty")
    own = {name: getattr(data, name) for name in ("duty", "first", "until", "quota", "distinct")}
    d.tell(DutyOwed(**own, site=data.site or ""))
    return None


def due_of(d: Decision) -> int:
    """The instant by whose local day all of it counts: when its period ends."""
    own, days = kept_by(d.case), d.rules.clock_of_days
    return periods.last_instant(periods.holding(d.rules.duties[own.duty].period, own.first), days)


# ---- figures and words ------------------------------------------------------------------------------------

MEASURES = (
    Measure("excusal", DutyExcused, per="stage", zh="免责的履职", en="duties that were excused"),
    Measure("ended", DutyEnded, per="how", zh="结束的履职", en="duties that have ended"),
)
EXCUSED = ("excusal:running", "excusal:lapsed", "excusal:missed")
SUMS = (
    Sum("due", "应履职", "due", ("on_time", "overdue", "excusal:running", "ended:void")),
    Sum("kept", "已履职", "kept", ("on_time",)),
    Sum("told_late", "补报", "kept, told late", (f"claimed:{TOTAL}",)),
    Sum("missed", "未履职", "missed", ("ended:missed",), ("excusal:missed",)),
    Sum("awaited", "待补报", "may still be told", ("overdue",), ("ended:missed", "excusal:lapsed")),
    Sum("excused", "免责", "excused", EXCUSED),
    Sum("void", "作废", "void", ("ended:void",)),
)
RATIOS = (Ratio("coverage", "履职率", "coverage", "kept", Sum("", "", "", ("due",), ("excused", "void"))),)
"""They add up: due = kept + missed + awaited + excused + void. What has lapsed stays `overdue`, excused or not."""

EFFECTS: dict[str, Effect] = {
    "duty.recorded": record,
    "duty.excused": excuse,
    "duty.lapsed": end,
    "duty.void": call_off,
    "case.acknowledged": effects.acknowledge,
    "case.urged": effects.urge,
    "case.evidence_added": effects.add_evidence,
    "case.commented": effects.note("comment"),
}

DUTY = define(
    duty.DUTY,
    "履职",
    STATES,
    TRANSITIONS,
    (fills_the_quota,),
    births={"duty.owed": birth.plain(duty.DUTY.name, tell_owed, post=lambda data: data.post)},
    effects=EFFECTS,
    admits={RECORDED: is_its_own, "duty.excused": is_above, "case.acknowledged": effects.may_acknowledge},
    measures=MEASURES,
    sums=SUMS,
    ratios=RATIOS,
    sentences={
        DutyOwed: "履职 {duty} for the period from {first}",
        DutyRecorded: "履职记录 recorded",
        DutyExcused: "免责 excused: {reason}",
        DutyEnded: "结束 ended: {how}",
    },
    fulfils={RECORDED: (TOTAL,)},
    listed="asked",
    wakes="duty.lapsed",
    at_end=report_end,
    counts_at=due_of,
    bears=machine.Bears(
        owed_in,
        stands,
        born,
        EventData,
        born="duty.owed",
        ended="duty.void",
        ends=last_day,
        done=(RECORDED,),
        listed=listed_grid,
    ),
)
