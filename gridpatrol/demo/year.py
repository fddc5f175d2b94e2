"""A year of the sample city as a file would have it: what people say by themselves, and the pack by which it is judged.

All of it is made up: no problem, office, value or list of it is real, and the pack says so. The same year, seed and
size give the same year. What offices answer to something that the engine has made is `gridpatrol.demo.offices`.

1. Problems are those of the demo's month, over a year, and none is left standing on purpose. A stream of chance of its
   own adds root causes to closings, and campaigns to reports.
2. In January posts sign the lists of responsibilities, and owners their targets; values are recorded every month.
3. In every quarter the district gives tasks to its streets, and to departments.
4. Offices propose one action after another; every month a draw is ordered.
"""

import csv
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from gridpatrol.demo.events import CloudEventWriter, mint
from gridpatrol.demo.hours import MINUTE, Gap, instant
from gridpatrol.demo.incident_script import PlannedEvent
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.month import Month
from gridpatrol.demo.turns import LISTED_FOR
from schemas.derived_ids import derived_subject
from workflows.responsibility import duties_of_body, list_hash, signers

AFTER = 45
"""So many days after the year it is followed on: until sheets are published, and restated."""
MADE_UP = "合成示例 made up for the demo"
UNTRAINED = "-STAFF3"
"""How the codes of posts end that are not trained in time."""
IN_KEY_AREAS = ("PATROL", "VISIT-LEAF")
"""Duties that are owed while the street is listed as a key area: every day, and every week."""
CAUSES = (("polluter", 6), ("supervision", 2), ("service", 1))
ROWS = {
    "rungs.csv": (
        "total,calls,after,2工作日,,,supervisor,bear:letter,incident",
        "handle,calls,after,1工作日,,,supervisor,bear:interview,incident",
    ),
    "limits.csv": (f"accept,3,,,0.5工作时,,,{MADE_UP},incident,yes",),
    "targets.csv": (
        f"pm25,WY,{{year}},PM2.5年均浓度,PM2.5 mean of the year,<=,60,微克/立方米,mean,month,,,0,10,,,,{MADE_UP}",
        f"washed,WY-URBAN,{{year}},机扫道路比例,Roads swept by machine,>=,90,%,value,year,,,,,,,,{MADE_UP}",
    ),
}
"""Rows that the year's pack has beside those of the sample pack, in which no rung calls for a supervision, and the one
target has no value."""
RECEPTION = f"RECEPTION-STREET,接访日,sponsor,3,,month,1,,,,,环境大接访 (M135) 频次为{MADE_UP}\n"
"""The day of a month on which who sponsors a street receives whoever comes: a duty of the year beside those that the
sample pack has."""
PLANNED_ACTIONS = (
    ("letter", "WY01"),
    ("deduction", "WY03"),
    ("veto", "WY07"),
    ("special", "WY02"),
    ("unannounced", "WY04"),
    ("watch", "WY05"),
    ("interview", "WY06"),
    ("circular", "WY08"),
    ("delegates", "WY09"),
    ("commendation", "WY10"),
    ("deduction-discharge", "WY11"),
    ("blacklist", "WY07"),
    ("honours-veto", "WY12"),
    ("permit-ban", "WY07"),
    ("accountability", "WY03"),
    ("exposure", "WY06"),
)
"""What is proposed in the course of the year, and of which grid."""
GROUNDS = (
    "多次逾期，请限期整改并书面答复",
    "巡查记录不全，请说明情况",
    "居民反复反映，处置不到位",
    "工作突出，建议表扬",
)


def write_pack(sample: Path, folder: Path, year: int, *, rounds: bool = True) -> Path:
    """The sample pack with the cards and targets of a year, and with what the year has beside it, in a folder. Of the
    duties it keeps those of leaders at streets, and patrols and weekly visits where a street is listed as a key area;
    or none: tens of thousands of patrols would take many minutes."""
    shutil.copytree(sample, folder)
    head, *duties = (folder / "duties.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = ("-STREET", *IN_KEY_AREAS)
    kept = [row for row in (*duties, RECEPTION) if rounds and row.partition(",")[0].endswith(chosen)]
    (folder / "duties.csv").write_text("".join([head, *kept]), encoding="utf-8")
    change_column(folder / "duties.csv", "listed", lambda row: "yes" if row["code"] in IN_KEY_AREAS else "")
    for name in ("scorecards.csv", "targets.csv"):
        change_column(folder / name, "year", lambda row: str(year))
    change_column(folder / "limits.csv", "listed", lambda row: "")
    change_column(folder / "actions.csv", "lists", lambda row: "yes" if row["action"] == "watch" else "")
    trained = f"{year}-01-05"
    change_column(
        folder / "posts.csv",
        "trained_on",
        lambda row: trained if row["kind"] and not row["code"].endswith(UNTRAINED) else "",
    )
    of_all = [line.split(",") for line in (folder / "rungs.csv").read_text(encoding="utf-8").splitlines()[1:]]
    own = [",".join([*row[:8], "incident"]) for row in of_all if row[0] in ("total", "handle") and not row[8]]
    for name, added in (ROWS | {"rungs.csv": (*own, *ROWS["rungs.csv"])}).items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.writelines(f"{row.format(year=year)}\n" for row in added)
    text = (folder / "pack.toml").read_text(encoding="utf-8")
    text = text.replace('notice = "', f'notice = "{MADE_UP}：全年数据均为合成。', 1)
    text = text.replace("\nmin_n = 10 ", "\nmin_n = 5 ", 1)  # a street owes few rounds in a quarter
    text = text.replace("[options]\n", '[options]\nuntrained = "remark" # made up for the demo\n', 1)
    (folder / "pack.toml").write_text(text, encoding="utf-8")
    return folder


def change_column(file: Path, column: str, value: Callable[[dict[str, str]], str]) -> None:
    """Give every row of a table this value in a column, which is added where there is none."""
    with file.open(encoding="utf-8", newline="") as source:
        reader = csv.DictReader(source, restval="")
        rows, names = list(reader), list(reader.fieldnames or ())
    names += [] if column in names else [column]
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {column: value(row)} for row in rows)


class Year:
    """The writer of one year."""

    def __init__(self, locality: Locality, year: int, seed: int) -> None:
        self.locality, self.year, self.seed = locality, year, seed
        self.rng = Random(f"{seed}:{year}:year")
        self.writer = CloudEventWriter(locality, "/demo/year")
        self.begin, self.end = self.at(date(year, 1, 1), 0), self.at(date(year + 1, 1, 1), 0)
        self.count = 0

    def at(self, day: date, minutes: float) -> int:
        """So many minutes after the beginning of a local day (ms)."""
        midnight = instant(day, datetime.min.time(), self.locality.zone)
        return midnight + round(minutes * MINUTE)

    def events(self, incidents: int, rounds: bool) -> list[dict[str, Any]]:
        """All that is said by itself, in order of arrival; with or without what posts record of their duties."""
        days = (date(self.year + 1, 1, 1) - date(self.year, 1, 1)).days
        of_problems = Month(self.locality, self.end - 1, self.seed, days - 1, {}).events(incidents, rounds)
        said = [self.with_causes(event) for event in of_problems]
        said += [*self.signatures(), *self.targets(), *self.tasks(), *self.proposals(), *self.draws()]
        return sorted(said, key=arrival)

    def with_causes(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event of a problem; most closings name a root cause, and some reports a campaign. An app that sends again
        sends the same."""
        chance = Random(f"{self.seed}:{event['source']}:{event['id']}")
        names, weights = [name for name, _ in CAUSES], [weight for _, weight in CAUSES]
        if event["type"] == "gridpatrol.incident.closed.v1" and chance.random() < 0.8:
            return event | {"data": event["data"] | {"root_cause": chance.choices(names, weights)[0]}}
        campaigns = self.locality.policy.pack.campaigns
        if event["type"] == "gridpatrol.report.submitted.v1" and campaigns and chance.random() < 0.1:
            return event | {"data": event["data"] | {"campaign": campaigns[0].code}}
        return event

    def say(self, trigger: str, actor: str, subject: str, at: int, data: dict[str, Any]) -> dict[str, Any]:
        """An event of the year."""
        self.count += 1
        return self.writer.event(PlannedEvent(trigger, actor, data, Gap(0)), subject, f"year-{self.count}", at)

    # ---- what is signed -------------------------------------------------------------------------------------

    def signatures(self) -> Iterator[dict[str, Any]]:
        """Most posts sign the list of their body; some never do."""
        policy = self.locality.policy
        for body in policy.pack.bodies:
            for post in signers(policy, body) if duties_of_body(policy, body.code) else ():
                at = self.at(date(self.year, 1, 6), self.rng.uniform(540, 4 * 1440))
                if self.rng.random() < 0.85:
                    data = {"body": body.code, "list": list_hash(policy, body)}
                    yield self.say("responsibility.signed", post, mint(policy.home(body.grid), at, self.rng), at, data)

    def targets(self) -> Iterator[dict[str, Any]]:
        """Every target of the year is signed for, and measured month by month or once."""
        policy = self.locality.policy
        for row in policy.pack.targets:
            department = policy.departments.get(row.owner)
            grid = department.grid if department is not None else row.owner
            first = self.year * 10_000 + 101
            begins = policy.clock_of_days.day_start(first)
            subject = derived_subject(policy.home(grid), "target", row.target, row.owner, first, begins)
            owner = {"department": row.owner} if department is not None else {"grid": row.owner}
            data = {"target": row.target, "year": self.year, "document": f"示例责任书〔{self.year}〕1号"} | owner
            yield self.say("target.signed", f"{grid}-OFFICE", subject, self.at(date(self.year, 1, 8), 600), data)
            if row.period == "year":
                value = {"station": "MADE-UP-1", "period": f"{self.year}", "value": "86.5"}
                day = date(self.year, 12, 29)
                yield self.say("measurement.recorded", f"{row.owner}-H", subject, self.at(day, 600), value)
            for month in range(1, 13) if row.period == "month" else ():
                value = {"station": "MADE-UP-1", "period": f"{self.year}-{month:02}"}
                value["value"] = f"{self.rng.uniform(35, 75):.1f}"
                day = date(self.year, month, 27)
                yield self.say("measurement.recorded", "WY-SENSOR", subject, self.at(day, 700), value)
                if month == 3:  # the first number was wrong
                    value = value | {"value": "48.0"}
                    yield self.say("measurement.recorded", "WY-SENSOR", subject, self.at(day, 2200), value)

    # ---- what is given, proposed and ordered ----------------------------------------------------------------

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Every quarter a common task of all streets, and one of a department."""
        policy = self.locality.policy
        streets = sorted({policy.home(leaf) for leaf in self.locality.leaves})
        for quarter in range(4):
            begins = date(self.year, 3 * quarter + 1, 9)
            due = begins + timedelta(days=60)
            common: dict[str, Any] = {"due": due.isoformat(), "reference": f"示例任务〔{self.year}〕{quarter + 1}号"}
            for street in streets:
                at = self.at(begins, 560 + self.rng.uniform(0, 300))
                data: dict[str, Any] = common | {
                    "code": f"ready-{self.year}-q{quarter + 1}",
                    "goal": "五到位",
                    "quantity": "5",
                    "counted_in": "项",
                    "grid": street,
                    "lead": "WY-EPB",
                    "assisting": ["WY-URBAN"],
                    "items": ["人员", "场所", "设备", "车辆", "执法设备"],
                }
                yield self.say("task.assigned", "WY-OFFICE", mint(street, at, self.rng), at, data)
            at = self.at(begins, 900)
            data = common | {
                "code": f"stoves-{self.year}-q{quarter + 1}",
                "goal": "散煤清理",
                "quantity": "120",
                "counted_in": "户",
                "department": "WY-TRADE",
            }
            yield self.say("task.assigned", "WY-OFFICE", mint(policy.home("WY"), at, self.rng), at, data)

    def proposals(self) -> Iterator[dict[str, Any]]:
        """One action after another is proposed, the first in January, and the last in December."""
        policy = self.locality.policy
        known = [(action, grid) for action, grid in PLANNED_ACTIONS if action in policy.actions]
        for index, (action, grid) in enumerate([*known, *known, *known[:8]]):
            day = date(self.year, 1, 12) + timedelta(days=8 * index)
            at = self.at(day, self.rng.uniform(540, 1000))
            data: dict[str, Any] = {"action": action, "grid": grid, "ground": self.rng.choice(GROUNDS)}
            if policy.actions[action].lists:
                data["until"] = (day + timedelta(days=LISTED_FOR)).isoformat()
            if action.startswith("deduction"):
                data["count"] = self.rng.randint(1, 3)
            if action == "blacklist" and policy.pack.sites:
                site = policy.pack.sites[0]
                data |= {"site": site.code, "grid": site.grid}
            by = self.rng.choice(("WY-OFFICE", "WY-SUPERVISOR", "WY-DISPATCH"))
            yield self.say("supervision.proposed", by, mint(policy.home(data["grid"]), at, self.rng), at, data)

    def draws(self) -> Iterator[dict[str, Any]]:
        """A draw from what was closed in each month, ordered early in the next."""
        policy = self.locality.policy
        for month in range(1, 12):
            first, after = date(self.year, month, 1), date(self.year, month + 1, 1)
            at = self.at(after + timedelta(days=4), 620)
            span = {"since": self.writer.text(self.at(first, 0)), "before": self.writer.text(self.at(after, 0))}
            subject = mint(policy.home("WY"), at, self.rng)
            yield self.say("draw.ordered", "WY-SUPERVISOR", subject, at, {"grid": "WY", "share": 20} | span)
            if month == 5:  # the office orders another one in its place
                data = {"reason": "error"}
                yield self.say("draw.called_off", "WY-SUPERVISOR", subject, at + MINUTE, data)


def arrival(event: dict[str, Any]) -> int:
    """When an event arrives (ms)."""
    return round(datetime.fromisoformat(event.get("recordedtime", event["time"])).astimezone(UTC).timestamp() * 1000)
