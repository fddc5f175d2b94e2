"""What another pack would have made of history, beside what was, at a terminal."""

import click
import msgspec

from consumers.whatif import Placed, Scored, WhatIf
from gridpatrol.render.assessment import points
from gridpatrol.render.tables import table
from schemas.facts import AnyFact

HEADS = ["", "实际 was", "假如 would be"]


def beside_table(found: WhatIf) -> None:
    """Print both sides, the cases that differ, places and scores."""
    was, would_be = found.was, found.would_be
    click.echo(f"政策包 pack {found.pack[:12]}, {found.since} to {found.until}: {found.records} records decided.")
    click.echo()
    rows: list[tuple[str, int, int]] = [("警报 alerts", was.alerts, would_be.alerts)]
    rows.append(("告知 notices", was.notices, would_be.notices))
    rows.append(("在办 open", was.open, would_be.open))
    for title, left, right in (
        ("结案 ended", was.endings, would_be.endings),
        ("逾期 missed", was.lapses, would_be.lapses),
    ):
        rows += [(f"{title} {name}", left.get(name, 0), right.get(name, 0)) for name in sorted({*left, *right})]
    table(HEADS, rows, right=(1, 2))
    if never := found.never_asked:
        click.echo(f"\n从未要求 never asked: {never.cases} cases that were over wait; they miss {said(never.lapses)}.")
    click.echo(f"拒收 would be refused: {said(found.refused)}; taken instead of refused: {found.taken}.")
    if found.fallen or found.anew:
        click.echo(f"跨网格传话 said between homes: {found.fallen} fall away, {found.anew} are said anew.")
    told = sorted({*was.told, *would_be.told}, key=lambda post: (-abs(gap(found, post)), post))[:10]
    if told and gap(found, told[0]):
        click.echo("\n变化最大的岗位 posts whose load differs most")
        table(["post", *HEADS[1:]], [(p, was.told.get(p, 0), would_be.told.get(p, 0)) for p in told], right=(1, 2))
    placed("按期结案率名次 places by closed on time", found.places)
    placed("考核得分 scores", found.scores)
    click.echo(f"\n{found.differing} cases differ.")
    for each in found.differences:
        click.echo(f"  {each.case} step {each.seq} {each.was_at or each.would_be_at}")
        click.echo(f"    实际 was       {fact_text(each.was)}")
        click.echo(f"    假如 would be  {fact_text(each.would_be)}")


def said(counts: dict[str, int]) -> str:
    """Counts by name in one line."""
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "nothing"


def gap(found: WhatIf, post: str) -> int:
    """How much more a post would be told."""
    return found.would_be.told.get(post, 0) - found.was.told.get(post, 0)


def placed(title: str, rows: list[Placed] | list[Scored]) -> None:
    """Print what stands in another place, or has another value."""
    values = [msgspec.structs.astuple(row) for row in rows]
    moved = [
        (key, name, points(was), place, points(would), there)
        for key, name, was, place, would, there in values
        if (was, place) != (would, there)
    ]
    if moved:
        click.echo(f"\n{title}")
        table(["key", "name", "实际 was", "名次", "假如 would be", "名次"], moved, right=range(2, 6))


def fact_text(fact: AnyFact | None) -> str:
    """A fact in one line, as it is stored."""
    return "—" if fact is None else msgspec.json.encode(fact).decode()
