"""The words of an incident as text: what people wrote with each step."""

import click

from engine.views.words import IncidentWords
from gridpatrol.render.tables import minute


def print_words(found: IncidentWords) -> None:
    """Each step with its words, and what of them is not there."""
    reads = "with contact data" if found.contact else "without contact data"
    click.echo(f"{found.id}: read by {found.reader.name} {found.reader.code}, {reads}")
    for step in found.steps:
        when = minute(step.occurred_at or step.at)
        click.echo(f"{when}  {step.post.name} {step.post.code}  {step.type.removeprefix('gridpatrol.')}")
        for word in step.words:
            click.echo(f"    {word.member}: {word.text}")
        if step.withheld:
            click.echo(f"    (联系方式不予显示 {step.withheld} not shown: contact data)")
        if step.erased:
            click.echo(f"    (已删除 erased{f' {minute(step.erased_at)}' if step.erased_at else ''})")
    if not found.steps:
        click.echo("Nobody has written anything. 无文字记录")
