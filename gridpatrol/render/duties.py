"""A post's duties at a terminal: what is owed every day as a calendar, the rest line by line."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import click

from engine.views.duties import DutyLine, DutyPage
from gridpatrol.render.tables import pad, table
from workflows.definitions.duty import DUTY, SIGNS

LAPSED = "!"
"""The sign of a duty whose period is over, and that may still be told."""
WEEK = ("一 Mo", "二 Tu", "三 We", "四 Th", "五 Fr", "六 Sa", "日 Su")
EVERY = {
    "day": "每天 every day",
    "week": "每周 every week",
    "half_month": "每半月 every half-month",
    "month": "每月 every month",
    "quarter": "每季 every quarter",
    "half": "每半年 every half-year",
    "year": "每年 every year",
}


def print_duties(post: str, page: DutyPage) -> None:
    """Print what a post owes in some days, duty by duty, and what the signs mean."""
    lines = page.duties
    if page.reading == "last_record":
        click.echo(f"As of the last record, {page.as_of}.")
    if not lines:
        click.echo(f"{post} owes nothing from {page.since} to {page.until} 没有应履职事项")
        return
    click.echo(f"{lines[0].post.code} {lines[0].post.name}  {lines[0].grid.name}  {page.since} … {page.until}")
    for code in dict.fromkeys(line.duty.code for line in lines):
        of_duty = [line for line in lines if line.duty.code == code]
        click.echo(f"\n{heading(of_duty[0])}: {summary(of_duty)}")
        if of_duty[0].period == "day":
            print_calendar(of_duty)
        else:
            rows = [(f"  {sign(line)} {line.first} … {line.last}", words(line), progress(line)) for line in of_duty]
            table(("  周期 period", "状态 state", "记录 records"), rows)
    shown = [name for name in SIGNS if any(line.state == name for line in lines)]
    meaning = [f"{SIGNS[name][0]} {DUTY.states[name].zh} {SIGNS[name][1]}" for name in shown]
    meaning += [f"{LAPSED} 待补报 may still be told"] if any(line.lapsed for line in lines) else []
    click.echo("\n" + "   ".join(meaning))


def heading(line: DutyLine) -> str:
    """What it is, how often, and what it must bring."""
    times = f" × {line.quota}" if line.quota > 1 else ""
    needs = {"photo": "照片 photo", "form": "登记表 form"}
    brings = "".join(f", {needs.get(need, need)}" for need in line.needs)
    return f"{line.duty.name} {line.duty.code}, {EVERY.get(line.period, line.period)}{times}{brings}"


def summary(lines: Sequence[DutyLine]) -> str:
    """How many there are of each state."""
    counts = Counter(LAPSED if line.lapsed else line.state for line in lines)
    named = [f"{counts[name]} {DUTY.states[name].zh} {SIGNS[name][1]}" for name in SIGNS if counts[name]]
    return ", ".join(named + ([f"{counts[LAPSED]} 待补报 may still be told"] if counts[LAPSED] else []))


def sign(line: DutyLine) -> str:
    """Its sign in the calendar."""
    return LAPSED if line.lapsed else SIGNS[line.state][0]


def words(line: DutyLine) -> str:
    """Its state in words."""
    return "待补报 may still be told" if line.lapsed else f"{line.state_zh} {SIGNS[line.state][1]}"


def progress(line: DutyLine) -> str:
    """How many records of how many."""
    return f"{line.recorded} / {line.quota}"


def print_calendar(lines: Sequence[DutyLine]) -> None:
    """Print daily duties week by week, from Monday on: the day of the month and its sign."""
    by_day = {date.fromisoformat(line.first): line for line in lines}
    first, last = min(by_day), max(by_day)
    monday = first - timedelta(days=first.weekday())
    click.echo("  " + "  ".join(pad(name, 5) for name in WEEK).rstrip())
    while monday <= last:
        week = [monday + timedelta(days=days) for days in range(7)]
        cells = [f"{day.day:>2} {sign(by_day[day])}" if day in by_day else "" for day in week]
        click.echo(("  " + "  ".join(pad(cell, 5) for cell in cells)).rstrip())
        monday += timedelta(days=7)
