"""Each rule of the linter: a small pack is broken in one place; the finding names file, row, column, remedy.

In: the texts of the small pack of the tests with one edit. Out: exactly the finding that the edit deserves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.packs import read_folder
from workflows.policy.compile import compile_rows
from workflows.policy.lint import lint
from workflows.policy.problems import Finding

TINY = Path(__file__).parents[1] / "packs" / "tiny"
TEXTS, _ = read_folder(TINY)


def found(*edits: tuple[str, str, str], day: int = 0, without: str = "") -> list[Finding]:
    """The findings on the small pack after edits (file, old, new), each of which must hit."""
    texts = {name: text for name, text in TEXTS.items() if name != without}
    for file, old, new in edits:
        assert texts[file].count(old) == 1, f"{old!r} stands {texts[file].count(old)} times in {file}"
        texts[file] = texts[file].replace(old, new)
    compiled = compile_rows(texts)
    if compiled.pack is None:
        return compiled.problems
    return [*compiled.problems, *lint(compiled.pack, day, compiled.rows)]


def told(problems: list[Finding]) -> list[str]:
    return [f"{problem.severity} {problem}" for problem in problems]


def test_the_small_pack_has_nothing_to_find():
    assert told(found()) == []


GRIDS_HEAD = TEXTS["grids.csv"]


def succeeded(**ends: str) -> str:
    """The grids with a column for successors: by code the last day and the successor of some of them."""
    head, *rows = GRIDS_HEAD.splitlines()
    codes = [row.partition(",")[0] for row in rows]
    told_rows = [row.rpartition(",")[0] + f",{ends.get(code, ',')}" for code, row in zip(codes, rows, strict=True)]
    return "\n".join([f"{head},successor", *told_rows, ""])


# file, old, new -> how the finding begins, and a word of its remedy
ONE_FINDING = {
    "a move that there is not": (
        ("notices.csv", "urged,holder;holder_chief", "pressed,holder;holder_chief\nurged,holder;holder_chief"),
        "error notices.csv:9 on: 'pressed' is no move",
        "assigned",
    ),
    "a move that stands twice": (
        ("notices.csv", "urged,holder;holder_chief", "urged,holder;holder_chief\nurged,holder"),
        "error notices.csv:10 on: urged stands in row 9 already",
        "one row",
    ),
    "a notice for nobody that is known": (
        ("notices.csv", "copied,copied", "copied,copied;mayor"),
        "error notices.csv:3 tell: 'mayor' is nobody that can be told",
        "checkers",
    ),
    "a word of a notice on a rung": (
        ("rungs.csv", "supervisor;office", "supervisor;copied"),
        "error rungs.csv:7 tell: 'copied' is nobody that can be told",
        "supervisor",
    ),
    "a time for appeals that is none": (
        ("pack.toml", "[options]\n", '[options]\nappeal = "5 days"\n'),
        "error pack.toml:31 appeal: '5 days' is no limit",
        "5工作日",
    ),
    "an hour of the daily line that is none": (
        ("pack.toml", "[options]\n", '[options]\ndaily_notices = "six"\n'),
        "error pack.toml:31 daily_notices: 'six' is no time of the day",
        "18:00",
    ),
    "a limit for a kind of case that there is not": (
        (
            "limits.csv",
            "basis\ndissuade,,,,1 urgent hour,,,test\n",
            "basis,definition\ndissuade,,,,1 urgent hour,,,test,duties\n",
        ),
        "error limits.csv:2 definition: 'duties' is no kind of case",
        "service_request",
    ),
    "figures of a kind of case that there is not": (
        ("pack.toml", "[options]\n", '[options]\nmain_definition = "duties"\n'),
        "error pack.toml options.main_definition: 'duties' is no kind of case",
        "service_request",
    ),
    "a code that stands twice": (
        ("grids.csv", "N2,Market,3,N,housing,,,,\n", "N2,Market,3,N,housing,,,,\nN2,Fair,3,N,housing,,,,\n"),
        "error grids.csv:7 code: 'N2' stands in row 6 already",
        "its own code",
    ),
    "a code with a blank": (
        ("posts.csv", "T-WATCH,", "T WATCH,"),
        "error posts.csv:5 code: 'T WATCH' is not a code",
        "without blanks",
    ),
    "a code that is too long": (
        ("posts.csv", "T-WATCH,", f"{'W' * 65},"),
        f"error posts.csv:5 code: '{'W' * 65}' is not a code",
        "64 characters",
    ),
    "a parent that is no grid": (
        ("grids.csv", "N2,Market,3,N,", "N2,Market,3,X,"),
        "error grids.csv:6 parent: 'X' is no grid",
        "add the parent",
    ),
    "a parent two levels above": (
        ("grids.csv", "S2,Cannery,3,S,factory", "S2,Cannery,3,T,factory"),
        "error grids.csv:8 parent: 'T' stands on level 1, this grid on level 3",
        "exactly one level above",
    ),
    "a second root": (
        ("grids.csv", "S2,Cannery,3,S,factory,,,,\n", "S2,Cannery,3,S,factory,,,,\nU,Other,1,,town,,,,\n"),
        "error grids.csv:9 parent: a second root beside 'T'",
        "name its parent",
    ),
    "a level that the pack does not have": (
        ("grids.csv", "S2,Cannery,3,S,factory,,,,\n", "S2,Cannery,3,S,factory,,,,\nS3,Deep,9,S,x,,,,\n"),
        "error grids.csv:9 level: 9 is no level",
        "1, 2, 3",
    ),
    "a grid that ends before it begins": (
        ("grids.csv", "N1,Lighthouse,3,N,housing,,,,", "N1,Lighthouse,3,N,housing,,,2026-02-01,2026-01-01"),
        "error grids.csv:5 valid_to: 20260101 lies before valid_from 20260201",
        "exchange the days",
    ),
    "a grid that outlives its parent": (
        ("grids.csv", "N,North Quarter,2,T,quarter,,,,", "N,North Quarter,2,T,quarter,,,,2027-01-01"),
        "error grids.csv:5 valid_to: goes on after its parent 'N' has ended (20270101)",
        "end it on 20270101",
    ),
    "a successor that is no grid": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,X")),
        "error grids.csv:5 successor: 'X' is no grid",
        "add the grid",
    ),
    "a successor of another level": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,S")),
        "error grids.csv:5 successor: 'S' stands on level 2, this grid on level 3",
        "same level",
    ),
    "a successor of a grid that does not end": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1=",N2")),
        "error grids.csv:5 valid_to: names the successor 'N2' and no last day",
        "last day",
    ),
    "a successor that ends no later": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,N2", N2="2026-03-02,S1")),
        "error grids.csv:5 successor: 'N2' ends on 20260302, no later than this grid",
        "after both",
    ),
    "a successor that begins too late": (
        (
            "grids.csv",
            GRIDS_HEAD,
            succeeded(N1="2026-03-02,N2").replace("N2,Market,3,N,housing,,,", "N2,M,3,N,,,,2026-04-01"),
        ),
        "error grids.csv:5 successor: 'N2' begins on 20260401, and nobody goes on from 20260303 until then",
        "begin it on 20260303",
    ),
    "successors in a circle": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,N2", N2="2026-03-05,N1")),
        "error grids.csv:5 successor: its successors go round in a circle (N1 > N2 > N1)",
        "let the last of them stand",
    ),
    "a grid that is its own successor": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,N1")),
        "error grids.csv:5 successor: its successors go round in a circle (N1 > N1)",
        "let the last of them stand",
    ),
    "a successor in another home": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,S1")),
        "warning grids.csv:5 successor: 'S1' lies in another home",
        "changes hands",
    ),
    "a grid that ends and keeps its posts": (
        ("grids.csv", GRIDS_HEAD, succeeded(N1="2026-03-02,")),
        "warning grids.csv:5 valid_to: ends on 20260302 and nobody goes on with its open cases, but it keeps posts: ",
        "valid_to",
    ),
    "a grid that begins before its parent": (
        ("grids.csv", "S,South Quarter,2,T,quarter,,,,", "S,South Quarter,2,T,quarter,,,2025-05-01,"),
        "error grids.csv:7 valid_from: begins before its parent 'S' (20250501)",
        "begin it on 20250501",
    ),
    "a day that does not exist": (
        ("grids.csv", "N1,Lighthouse,3,N,housing,,,,", "N1,Lighthouse,3,N,housing,,,2026-02-30,"),
        "error grids.csv:5 valid_from: '2026-02-30' is not a day",
        "2026-02-14",
    ),
    "a calendar that is not in pack.toml": (
        ("grids.csv", "housing,harbour,", "housing,port,"),
        "error grids.csv:7 calendar: 'port' is no calendar",
        "harbour, seven",
    ),
    "a grid with nothing below it": (
        (
            "grids.csv",
            "N,North Quarter,2,T,quarter,,,,\n",
            "N,North Quarter,2,T,quarter,,,,\nE,East,2,T,,,,,2020-01-01\n",
        ),
        "warning grids.csv:4 code: level 2 has no grid below it",
        "divide it down to level 3",
    ),
    "a department of no grid": (
        ("departments.csv", "PORT,Port authority,T,", "PORT,Port authority,X,"),
        "error departments.csv:3 grid: 'X' is no grid",
        "whose subtree it serves",
    ),
    "a department for an unknown group": (
        ("departments.csv", "WASTE,Waste service,T,waste", "WASTE,Waste service,T,waste;noise"),
        "error departments.csv:2 groups: 'noise' is no group",
        "air, waste, water",
    ),
    "a department for which nobody speaks": (
        ("posts.csv", "PORT-H,Port authority desk,handler,T,PORT", "PORT-H,Waste desk,handler,T,WASTE"),
        "warning departments.csv:3 code: nobody speaks for 'PORT'",
        "add a post",
    ),
    "a post of an unknown role": (
        ("posts.csv", "T-LINE,Town hotline,intake", "T-LINE,Town hotline,hotline"),
        "error posts.csv:6 role: 'hotline' is no role",
        "intake",
    ),
    "a post at no grid": (
        ("posts.csv", "member,N1,", "member,N9,"),
        "error posts.csv:13 grid: 'N9' is no grid",
        "add the grid",
    ),
    "a post of no department": (
        ("posts.csv", "handler,T,PORT", "handler,T,PIER"),
        "error posts.csv:8 department: 'PIER' is no department",
        "departments.csv",
    ),
    "a handler without a department": (
        ("posts.csv", "handler,T,PORT", "handler,T,"),
        "error posts.csv:8 department: a handler without a department",
        "name the department",
    ),
    "a handler beside its department's grid": (
        ("posts.csv", "handler,T,PORT", "handler,S,PORT"),
        "warning posts.csv:8 grid: stands at 'S', its department at 'T'",
        "the same grid",
    ),
    "a vacant post": (
        ("posts.csv", "N-SPONSOR,Sponsor of the North Quarter,sponsor,N,,,,", "N-SPONSOR,S,sponsor,N,,yes,,"),
        "warning posts.csv:10 vacant: 'N-SPONSOR' is vacant",
        "fill the post",
    ),
    "a leaf without its member (一长一员)": (
        ("posts.csv", "N1-MEMBER,Block patrol,member,N1,,,,\n", ""),
        "warning grids.csv:5 code: 'N1' has no member",
        "role member",
    ),
    "a quarter without its chief": (
        ("posts.csv", "S-CHIEF,Head of the South Quarter,chief,S,,,,\n", ""),
        "warning grids.csv:4 code: 'S' has no chief",
        "role chief",
    ),
    "a second chief": (
        ("posts.csv", "S-CHIEF,", "S-OLD,Head,chief,S,,,,\nS-CHIEF,"),
        "warning posts.csv:12 role: 'S' has a second chief beside 'S-OLD'",
        "one chief per grid",
    ),
    "a category without a group": (
        ("categories.csv", "dumping,倾倒垃圾,Dumping,waste", "dumping,倾倒垃圾,Dumping,"),
        "error categories.csv:3 group: has no group",
        "name its group",
    ),
    "a category at a level that does not exist": (
        ("categories.csv", "smoke,冒烟,Smoke,air,2", "smoke,冒烟,Smoke,air,4"),
        "error categories.csv:4 level: 4 is no level of pack.toml: nobody has authority",
        "1, 2, 3",
    ),
    "a category of an unknown department": (
        ("categories.csv", "water,1,PORT", "water,1,PIER"),
        "error categories.csv:5 department: 'PIER' is no department",
        "departments.csv",
    ),
    "a category of a department that is not competent": (
        ("categories.csv", "Smoke,air,2,,yes", "Smoke,air,2,WASTE,yes"),
        "error categories.csv:4 department: 'WASTE' is not competent for the group 'air'",
        "add the group",
    ),
    "more problems named than declared": (
        ("pack.toml", "declared = 5", "declared = 2"),
        "error pack.toml authority: level 2 declares 2 problems, the catalogue names 3",
        "surplus rows",
    ),
    "unnamed problems of a group that cannot be reported": (
        ("categories.csv", "other-air,其他废气,Other air,air,2,,no,,yes\n", ""),
        "warning categories.csv unnamed: level 2 declares 5 problems, 3 have a name: another one of air cannot",
        "其他…",
    ),
    "two rows for the unnamed problems of a group": (
        ("categories.csv", "Other air,air,2,", "Other air,waste,2,"),
        "error categories.csv:7 unnamed: row 6 stands for the unnamed problems of level 2 and 'waste' already",
        "keep one",
    ),
    "a limit for an unknown clock": (
        ("limits.csv", "close,,,,", "end,,,,"),
        "error limits.csv:12 clock: 'end' is no clock",
        "dissuade, report, accept",
    ),
    "a limit that does not say which clock runs": (
        ("limits.csv", "accept,,,,2 working hours", "accept,,,,2 hours"),
        "error limits.csv:4 limit: '2 hours' is not a limit",
        "4工作时",
    ),
    "a limit for an unknown level": (
        ("limits.csv", "handle,1,,,", "handle,7,,,"),
        "error limits.csv:8 level: 7 is no level",
        "1, 2, 3",
    ),
    "a limit for an unknown category": (
        ("limits.csv", "handle,,smoke,,", "handle,,steam,,"),
        "error limits.csv:9 category: 'steam' is no category",
        "categories.csv",
    ),
    "a limit for an unknown group": (
        ("limits.csv", "handle,,smoke,,", "handle,,,steam,"),
        "error limits.csv:9 group: 'steam' is no group",
        "air, waste, water",
    ),
    "a limit that can never hold": (
        ("limits.csv", "handle,,smoke,,", "handle,,smoke,waste,"),
        "error limits.csv:9 group: 'smoke' belongs to 'air'",
        "leave the group empty",
    ),
    "equal limits that overlap": (
        ("limits.csv", "2026-06-01,,test", "2026-05-31,,test"),
        "error limits.csv:7 valid_from: holds on days on which row 6 holds",
        "end row 6 the day before",
    ),
    "equal limits with a gap between": (
        ("limits.csv", "2026-06-01,,test", "2026-06-03,,test"),
        "warning limits.csv:7 valid_from: no limit holds between 20260531 (row 6) and 20260603",
        "close the gap",
    ),
    "a limit that ends before it begins": (
        ("limits.csv", "handle,,,,2 working days,,,", "handle,,,,2 working days,2026-03-01,2026-02-01,"),
        "error limits.csv:5 valid_to: 20260201 lies before valid_from 20260301",
        "exchange",
    ),
    "part of a working day where days end at closing time": (
        ("limits.csv", "close,,,,1 working day", "close,,,,1.5 working days"),
        "error limits.csv:12 limit: calendar 'seven' lets working days end at closing time",
        "whole 工作日",
    ),
    "a limit from nowhere": (
        ("limits.csv", "close,,,,1 working day,,,test", "close,,,,1 working day,,,"),
        "warning limits.csv:12 basis: does not say where the figure comes from",
        "our proposal",
    ),
    "a clock with limits for some problems only": (
        ("limits.csv", "total,,,,", "total,,oil,,"),
        "warning limits.csv category: clock total: 5 of 6 categories have no limit (litter",
        "add a row",
    ),
    "a limit for the whole at a level": (
        ("limits.csv", "total,,,,10 calendar days", "total,2,,,10 calendar days"),
        "warning limits.csv:13 level: the clock of the whole case runs at no level: this row can never hold",
        "leave the level empty",
    ),
    "a clock with limits at another level only": (
        ("limits.csv", "accept,,,,", "accept,1,,,"),
        "warning limits.csv category: clock accept: 5 of 6 categories have no limit (litter",
        "add a row",
    ),
    "a rung of an unknown clock": (
        ("rungs.csv", "total,due,at", "sum,due,at"),
        "error rungs.csv:7 clock: 'sum' is no clock",
        "total",
    ),
    "a rung without its distance": (
        ("rungs.csv", "before,1 working hour,", "before,,"),
        "error rungs.csv:3 limit: a rung before the deadline needs its distance",
        "1工作时",
    ),
    "a rung at the deadline with a distance": (
        ("rungs.csv", "total,due,at,,", "total,due,at,1 working hour,"),
        "error rungs.csv:7 limit: a rung at the deadline has no distance",
        "empty the limit",
    ),
    "a distance that cannot be read": (
        ("rungs.csv", "before,1 working hour", "before,soon"),
        "error rungs.csv:3 limit: 'soon' is not a limit",
        "4工作时",
    ),
    "an offset that is none": (
        ("rungs.csv", "handle,warn,before", "handle,warn,until"),
        "error rungs.csv:3 offset: 'until' is unknown",
        "before, at, after",
    ),
    "repeats without a distance": (
        ("rungs.csv", "2 working hours,1 working day,2", "2 working hours,,2"),
        "error rungs.csv:6 every: fires 2 times, but nothing says how far apart",
        "write the distance",
    ),
    "a distance of repeats without repeats": (
        ("rungs.csv", "2 working hours,1 working day,2", "2 working hours,1 working day,1"),
        "warning rungs.csv:6 every: a distance of repeats, but nothing repeats",
        "times 2",
    ),
    "a rung that never fires": (
        ("rungs.csv", "2 working hours,1 working day,2", "2 working hours,,0"),
        "error rungs.csv:6 times: fires 0 times",
        "remove the row",
    ),
    "a rung that tells somebody unknown": (
        ("rungs.csv", "supervisor;office", "supervisor;mayor"),
        "error rungs.csv:7 tell: 'mayor' is nobody that can be told",
        "upper_chief",
    ),
    "a rung that tells nobody": (
        ("rungs.csv", "supervisor;office", ""),
        "warning rungs.csv:7 tell: tells nobody and does nothing",
        "name who is told",
    ),
    "two rungs of one name": (
        ("rungs.csv", "handle,raise", "handle,warn"),
        "error rungs.csv:5 rung: handle warn stands in row 3 already",
        "its own name",
    ),
    "a trigger that nobody knows": (
        ("roles.csv", "merge,incident.merged,chief", "merge,incident.joined,chief"),
        "error roles.csv:25 trigger: 'incident.joined' is no trigger",
        "incident.merged",
    ),
    "a role that nobody knows": (
        ("roles.csv", "urge,incident.urged,supervisor;office;sponsor", "urge,incident.urged,boss"),
        "error roles.csv:32 role: 'boss' is no role",
        "chief, member",
    ),
    "a scope that is none": (
        (
            "roles.csv",
            "force-close,incident.force_closed,office,1,above",
            "force-close,incident.force_closed,office,1,below",
        ),
        "error roles.csv:28 scope: 'below' is unknown",
        "owner, place, above",
    ),
    "a rule for a level that does not exist": (
        ("roles.csv", "escalate,incident.escalated,chief,2", "escalate,incident.escalated,chief,5"),
        "error roles.csv:16 levels: rule 'escalate': 5 is no level",
        "1, 2, 3",
    ),
    "a rule without a name": (
        ("roles.csv", "urge,incident.urged", ",incident.urged"),
        "error roles.csv:32 rule: is empty",
        "fill in the rule",
    ),
    "a source that there is not": (
        (
            "roles.csv",
            ",patrol;inspection;supervision;public;petition;hotline;sensor;camera;transfer,total\nreport-a",
            ",patrol;rumour,total\nreport-a",
        ),
        "error roles.csv:2 sources: rule 'report': 'rumour' is none of the sources",
        "patrol, inspection, supervision",
    ),
    "a clock that there is not": (
        ("roles.csv", "dissuade;report;accept;handle;rectify;verify;close;total", "total;parking"),
        "error roles.csv:23 deadlines: rule 'deadline': 'parking' is none of the deadlines",
        "none, dissuade, report",
    ),
    "none beside a clock": (
        ("roles.csv", "dissuade;report;accept;handle;rectify;verify;close;total", "total;none"),
        "error roles.csv:23 deadlines: rule 'deadline': 'none' stands beside others",
        "none alone",
    ),
    "sources of what is no report": (
        (
            "roles.csv",
            "dissuade,dissuasion.recorded,member;chief,3,place,\n",
            "dissuade,dissuasion.recorded,member;chief,3,place,,patrol\n",
        ),
        "error roles.csv:5 sources: rule 'dissuade': dissuasion.recorded claims no sources",
        "report.submitted",
    ),
    "a rule that lets a role claim any deadline": (
        ("roles.csv", ",,dissuade;report;accept;handle;rectify;verify;close;total", ""),
        "warning roles.csv deadlines: deadline: may claim any",
        "say which deadlines",
    ),
    "a trigger that nobody may say": (
        ("roles.csv", "urge,incident.urged,supervisor;office;sponsor,,place,\n", ""),
        "warning roles.csv trigger: nobody may say case.urged",
        "add a row",
    ),
    "a rule for a role without a post": (
        ("posts.csv", "T-DESK,Duty desk,dispatcher", "T-DESK,Duty desk,office"),
        "warning roles.csv:3 role: rule 'report-above': no post has the role dispatcher",
        "add a post",
    ),
    "a rule that lets speak who only reads": (
        ("roles.csv", "urge,incident.urged,supervisor;office;sponsor", "urge,incident.urged,supervisor;inspection"),
        "error roles.csv:32 role: rule 'urge': inspection reads and says nothing",
        "take the role out",
    ),
    "a partition level out of range": (
        ("pack.toml", "partition_level = 2", "partition_level = 4"),
        "error pack.toml options.partition_level: 4 is no level",
        "1, 2, 3",
    ),
    "a rework level out of range": (
        ("pack.toml", "rework_level = 2", "rework_level = 0"),
        "error pack.toml options.rework_level: 0 is no level",
        "1, 2, 3",
    ),
    "no room for early events": (
        ("pack.toml", "parked_cap = 8", "parked_cap = 0"),
        "error pack.toml options: parked_cap is 0",
        "above 0",
    ),
    "no room for cases without a report": (
        ("pack.toml", "parked_cap = 8", "parked_cap = 8\nunborn_cap = 0"),
        "error pack.toml options: unborn_cap is 0",
        "above 0",
    ),
    "a radius without a window": (
        ("pack.toml", 'similar_window = "6 hours"\n', ""),
        "error pack.toml options.similar_window: a radius without a window",
        "24 hours",
    ),
    "an unknown clock without quiet hours": (
        ("pack.toml", 'quiet_exempt = ["report"]', 'quiet_exempt = ["rest"]'),
        "error pack.toml options.quiet_exempt: 'rest' is no clock",
        "dissuade",
    ),
    "a hold that keeps what is really late": (
        ("pack.toml", "parked_cap = 8", 'parked_cap = 8\nhold = "2 hours"'),
        "error pack.toml:35 hold: '2 hours' is too long",
        "2 minutes",
    ),
    "a role that gives nothing to a department": (
        ("pack.toml", "parked_cap = 8", 'parked_cap = 8\nagainst_table = ["sponsor"]'),
        "error pack.toml options.against_table: role 'sponsor' may give no case to a department",
        "dispatcher",
    ),
    "a barred kind of which there is no grid": (
        ("pack.toml", '["factory"]', '["mine"]'),
        "warning pack.toml options.barred_verifiers: no grid is of the kind 'mine'",
        "factory",
    ),
    "levels with a gap": (
        ("pack.toml", 'level = 3\nname_zh = "街坊"', 'level = 4\nname_zh = "街坊"'),
        "error pack.toml levels: levels are [1, 2, 4]",
        "number them 1, 2, 3",
    ),
    "a level that asks for an unknown role": (
        ("pack.toml", 'posts = ["chief", "member"]', 'posts = ["chief", "guard"]'),
        "error pack.toml levels.posts: level 3 asks for the unknown role 'guard'",
        "member",
    ),
    "two calendars of one code": (
        ("pack.toml", 'code = "harbour"', 'code = "seven"'),
        "error pack.toml calendars: 'seven' stands twice",
        "its own code",
    ),
    "a leaf without a polygon": (
        ("grids.csv", "N2,Market,3,N,housing,,,,\n", "N2,Market,3,N,housing,,,,\nN3,Well,3,N,,,,,\n"),
        "warning grids.csv:7 code: 'N3' has no polygon",
        "grids.geojson",
    ),
    "siblings that overlap": (
        (
            "grids.geojson",
            "[-9.15, 38.75], [-9.15, 38.8], [-9.2, 38.8]",
            "[-9.14, 38.75], [-9.14, 38.8], [-9.2, 38.8]",
        ),
        "error grids.geojson N1: overlaps 'N2' by 20.00 % of the smaller one",
        "common border",
    ),
    "a blank spot": (
        (
            "grids.geojson",
            "[-9.15, 38.75], [-9.15, 38.8], [-9.2, 38.8]",
            "[-9.16, 38.75], [-9.16, 38.8], [-9.2, 38.8]",
        ),
        "error grids.geojson N: 10.00 % of it belongs to no grid below, e.g. at -9.15500",
        "不留空白",
    ),
    "a grid outside its parent": (
        (
            "grids.geojson",
            "[-9.1, 38.7], [-9.1, 38.75], [-9.15, 38.75]",
            "[-9.05, 38.7], [-9.05, 38.75], [-9.15, 38.75]",
        ),
        "error grids.geojson S2: 50.00 % of it lies outside its parent 'S'",
        "draw it inside",
    ),
    "a border that crosses itself": (
        (
            "grids.geojson",
            "[-9.1, 38.75], [-9.1, 38.8], [-9.15, 38.8]",
            "[-9.1, 38.8], [-9.1, 38.75], [-9.15, 38.8]",
        ),
        "error grids.geojson N2: 'N2' is no sound polygon",
        "does not cross itself",
    ),
    "a point beyond the world": (
        ("grids.geojson", "[[[-9.15, 38.75], [-9.1, 38.75]", "[[[-9.15, 38.75], [-9.1, 138.75]"),
        "error grids.geojson N2: 'N2' has a point outside",
        "[longitude, latitude]",
    ),
    "hours that lose a minute a day": (
        ("pack.toml", 'monday = "00:00-24:00"', 'monday = "00:00-23:59"'),
        "warning pack.toml calendars.harbour: hours until 23:59 lose a minute a day",
        "24:00",
    ),
    "an open ring": (
        ("grids.geojson", "[-9.15, 38.8], [-9.15, 38.75]]]}", "[-9.15, 38.8]]]}"),
        "error grids.geojson N2: 'N2' has a ring that is not closed",
        "first point",
    ),
}


@pytest.mark.parametrize(("edit", "begins", "remedy"), ONE_FINDING.values(), ids=ONE_FINDING.keys())
def test_a_broken_place_is_named_with_its_remedy(edit, begins, remedy):
    """Further findings may follow from the same break; this one must be among them."""
    problems = found(edit)
    match = [problem for problem in problems if f"{problem.severity} {problem}".startswith(begins)]
    assert match, told(problems)
    assert remedy in match[0].remedy


def test_a_tree_that_goes_round_in_a_circle_is_named_and_does_not_hang():
    problems = found(("grids.csv", "N,North Quarter,2,T,", "N,North Quarter,2,N1,"))
    circles = [str(problem) for problem in problems if "circle" in problem.text]
    assert circles
    assert circles[0].startswith("grids.csv:3 parent: its ancestors go round in a circle (")


def test_a_lost_parent_is_told_once_and_not_as_a_circle_below_it():
    problems = found(("grids.csv", "N,North Quarter,2,T,", "N,North Quarter,2,X,"))
    in_tree = [problem for problem in problems if problem.file == "grids.csv"]
    assert told(in_tree) == [
        "error grids.csv:3 parent: 'X' is no grid — correct it, or add the parent as a row of its own"
    ]


def test_a_department_of_one_district_does_not_lead_in_the_other():
    edits = (
        ("departments.csv", "WASTE,Waste service,T,", "WASTE,Waste service,N,"),
        ("posts.csv", "WASTE-H,Waste service desk,handler,T,", "WASTE-H,Waste service desk,handler,N,"),
    )
    assert told(found(*edits)) == [
        f"warning categories.csv:{row} department: 'WASTE' of 'N' does not serve S — "
        "name a department of a grid further up, or leave it empty"
        for row in (2, 3)
    ]


def test_a_department_that_serves_no_grid_of_the_level_is_an_error():
    edits = (
        ("departments.csv", "PORT,Port authority,T,", "PORT,Port authority,S,"),
        ("posts.csv", "PORT-H,Port authority desk,handler,T,", "PORT-H,Port authority desk,handler,S,"),
    )
    assert [problem.severity for problem in found(*edits)] == ["error"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (20260801, []),
        # The horizon of the small pack is the end of 2027.
        (20271002, []),
        (20271003, ["ends in 89 days", "ends in 89 days"]),
        (20280101, ["ended 1 days ago", "ended 1 days ago"]),
        (20241231, ["begins on 20250101", "begins on 20250101"]),
    ],
)
def test_a_horizon_that_is_near_or_past_is_told(day, expected):
    problems = found(day=day)
    assert len(problems) == len(expected), told(problems)
    assert all(words in problem.text for words, problem in zip(expected, problems, strict=True))
    assert all(problem.severity == "warning" for problem in problems)


@pytest.mark.mechanism("M5")
def test_a_grid_that_has_ended_leaves_no_blank_spot_and_overlaps_nobody():
    old = '{"type": "Feature", "properties": {"code": "OLD"}, "geometry": {"type": "Polygon", "coordinates": '
    old += "[[[-9.2, 38.75], [-9.1, 38.75], [-9.1, 38.8], [-9.2, 38.75]]]}},\n"
    grown = (
        "grids.csv",
        "N2,Market,3,N,housing,,,,\n",
        "N2,Market,3,N,housing,,,,\nOLD,Old,3,N,,,,,2025-12-31\n",
    )
    drawn = (
        "grids.geojson",
        '{"type": "Feature", "properties": {"code": "N2"}',
        old + '{"type": "Feature", "properties": {"code": "N2"}',
    )
    no_posts = ("pack.toml", 'posts = ["chief", "member"]', "posts = []")
    assert told(found(grown, drawn, no_posts)) == []
    overlaps = [problem for problem in found(grown, drawn, no_posts, day=20251231) if "overlaps" in problem.text]
    assert len(overlaps) == 2


def test_a_pack_without_a_map_can_say_so():
    said = ("pack.toml", 'notice = "Invented for tests."', 'polygons = "none"')
    assert len(found(without="grids.geojson")) == 4
    assert told(found(said, without="grids.geojson")) == []


def test_a_pack_without_rungs_is_warned_that_nobody_is_told():
    assert [line for line in told(found(without="rungs.csv")) if "rungs" in line] == [
        "warning rungs.csv: no clock has a rung: deadlines pass, and nobody is told — say in rungs.csv who, and when"
    ]


def test_without_the_library_for_maps_a_pack_is_checked_but_for_how_its_borders_fit(monkeypatch):
    """A plain install has no shapely: who runs a pack needs none, and is told what was not checked."""
    monkeypatch.setitem(sys.modules, "shapely", None)
    monkeypatch.delitem(sys.modules, "workflows.policy.lint.geometry", raising=False)
    assert told(found()) == [
        "warning grids.geojson: crossings, overlaps and blanks of its borders are not checked: shapely is not installed"
        " — pip install 'gridpatrol[geo]', then check it again"
    ]
    for name in ("a point beyond the world", "an open ring"):
        edit, begins, _ = ONE_FINDING[name]
        assert any(line.startswith(begins) for line in told(found(edit))), name
    assert {problem.file for problem in found(without="grids.geojson")} == {"grids.csv"}


# ---- the six fixings ---------------------------------------------------------------------------------------


def test_people_that_the_last_level_does_not_ask_for_are_missed_once():
    asked = ("pack.toml", 'posts = ["chief", "member"]', 'posts = ["chief"]')
    gone = ("posts.csv", "N1-MEMBER,Block patrol,member,N1,,,,\n", "")
    assert told(found(asked)) == [], "they are there"
    assert told(found(asked, gone)) == [
        "warning pack.toml levels.posts: 1 of 4 leaf grids lack a chief or a member (N1) — ask for them with "
        'posts = ["chief", "member"] at the last level, and fill them in posts.csv (定人员)'
    ]
    assert [str(problem).split(":")[0] for problem in found(gone)] == ["grids.csv"], "told by row where they are asked"


def test_a_post_that_may_say_nothing_has_no_duty_unless_it_only_reads():
    sponsors = [
        ("roles.csv", f"{trigger},{before}", f"{trigger},{after}")
        for trigger, before, after in (
            ("incident.acknowledged", "chief;supervisor;sponsor;office", "chief;supervisor;office"),
            ("incident.urged", "supervisor;office;sponsor", "supervisor;office"),
            ("deadline.ordered", "chief;office;sponsor", "chief;office"),
        )
    ]
    assert told(found(*sponsors)) == [
        "warning posts.csv role: 1 of 18 posts may say nothing (N-SPONSOR) — "
        "give their role a rule at their level, or let them only read: role inspection (定职责)"
    ]
    reads = ("posts.csv", "N-SPONSOR,Sponsor of the North Quarter,sponsor", "N-SPONSOR,Inspection,inspection")
    assert told(found(*sponsors, reads)) == []


def test_a_pack_without_limits_for_the_whole_has_no_standard():
    expected = [
        "warning limits.csv clock: no category has a limit for the whole: no case is late, and none counts as due — "
        "add rows for the clock total, with their basis (定标准)"
    ]
    assert told(found(without="limits.csv")) == expected
    assert told(found(("limits.csv", "total,,,,10 calendar days,,,test\n", ""))) == expected


def test_a_step_that_nobody_can_take_in_a_leaf_is_named_with_the_leaf():
    """Both posts of the block are vacant: those above may check and close there, nobody dissuades or reports up."""
    vacant = [
        ("posts.csv", f"N1-{code},{title},{role},N1,,,,", f"N1-{code},{title},{role},N1,,yes,,")
        for code, title, role in (("CHIEF", "Block warden", "chief"), ("MEMBER", "Block patrol", "member"))
    ]
    assert told(found(*vacant))[-1] == (
        "warning roles.csv trigger: in 1 of 4 leaf grids (N1) nobody may say dissuasion.recorded, incident.reported_up"
        " — fill the posts of these grids and of those above, or let others say it in roles.csv (定流程)"
    )


def test_only_posts_and_limits_that_stand_on_the_day_are_counted():
    ended = ("posts.csv", "N1-MEMBER,Block patrol,member,N1,,,,", "N1-MEMBER,Block patrol,member,N1,,,,2026-06-30")
    expired = ("limits.csv", "handle,,,,2 working days,,,test", "handle,,,,2 working days,,2026-06-30,test")
    lenient = ("pack.toml", 'posts = ["chief", "member"]', "posts = []")
    for day, count in ((20260630, 0), (20260701, 2)):
        problems = told(found(ended, expired, lenient, day=day))
        assert len(problems) == count, problems
    assert "clock handle: 1 of 6 categories have no limit (other-air" in problems[0]
    assert "1 of 4 leaf grids lack" in problems[1]


def test_a_pack_with_notices_is_told_which_moves_tell_nobody_for_each_kind_of_case():
    said = [line for line in told(found(("notices.csv", "copied,copied\n", ""))) if "notices.csv" in line]
    assert [line.partition(" — ")[0] for line in said] == [
        f"warning notices.csv on: {kind}: nobody is told of copied" for kind in ("incident", "service_request")
    ]


def test_a_kind_of_case_whose_own_row_names_nobody_is_meant_to_be_silent():
    edits = [
        ("notices.csv", "on,tell\n", "on,tell,definition\n"),
        ("notices.csv", "copied,copied\n", "copied,,incident\n"),
    ]
    said = [line.partition(" — ")[0] for line in told(found(*edits)) if "notices.csv" in line]
    assert said == ["warning notices.csv on: service_request: nobody is told of copied"]


def test_a_pack_without_notices_is_told_nothing_of_them():
    assert told(found(without="notices.csv")) == []
