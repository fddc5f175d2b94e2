"""Who is responsible, and who has signed, at a terminal."""

from collections.abc import Sequence

import click

from engine.views.names import Named
from engine.views.responsible import AnsweringLine, Responsible
from engine.views.signatures import ListPage
from gridpatrol.render.incidents import spelled
from gridpatrol.render.tables import minute, table

HEADS = {
    "zh": ("主体", "类型", "牵头或配合", "职责", "责任岗位", "起止", "依据"),
    "en": ("body", "kind", "part", "duty", "posts", "from – to", "basis"),
}
LABELS = {
    "zh": ("责任网格", "处置岗位", "网格长", "包抓领导", "责任部门", "无人应答", "按此日起算的时限"),
    "en": ("owner", "posts", "chief", "sponsors", "department", "nobody", "limits from this instant on"),
}


def print_responsible(found: Responsible, lang: str) -> None:
    """Print who must act, by which duty and text, until when."""
    owner, posts, chief, sponsors, department, nobody, limits = LABELS[lang]

    def named(people: Sequence[Named]) -> str:
        return "; ".join(f"{each.name} ({each.code})" for each in people) or nobody

    of = f"{found.category.code} {found.category.name_zh} {found.category.name_en}" if found.category else ""
    click.echo(" > ".join(each.name for each in found.path) + (f"  {of.strip()}" if of else ""))
    if found.owner is not None:
        click.echo(f"{owner}: {found.owner.grid.name} ({found.owner.grid.code}), L{found.owner.level}")
    for label, people in ((posts, found.posts), (chief, found.chief), (sponsors, found.sponsors)):
        click.echo(f"{label}: {named(people)}")
    if found.department is not None:
        name = f"{found.department.name} ({found.department.code})"
        click.echo(f"{department}: {name}: {named(found.department_posts)}")
    for each in found.pair:
        click.echo(f"{each.zh if lang == 'zh' else each.en}: {named(each.posts)}")
    if found.duties:
        click.echo()
        table(HEADS[lang], [duty_cells(each, lang) for each in found.duties])
    if found.clocks:
        click.echo(f"\n{limits}:")
    for clock in found.clocks:
        name, limit = (clock.zh, clock.limit) if lang == "zh" else (clock.en, clock.limit_en)
        click.echo(f"  {name}  {limit}  {minute(clock.due_at)}  {clock.basis}".rstrip())
    click.echo(f"\n{spelled(found.reading, found.as_of)}; pack {found.pack[:12]}. {found.remark}".rstrip())


def duty_cells(line: AnsweringLine, lang: str) -> tuple[str, ...]:
    """A duty of a body as cells of its table."""
    zh = lang == "zh"
    return (
        line.body.name if zh else line.body.name_en or line.body.name,
        line.body.kind_zh if zh else line.body.kind_en,
        line.part_zh if zh else line.part_en,
        line.duty_zh if zh else line.duty_en or line.duty_zh,
        "; ".join(each.name for each in line.posts),
        f"{line.valid_from or '…'} – {line.valid_to or '…'}",
        line.basis,
    )


def print_lists(page: ListPage) -> None:
    """Print each list with its hash, and who has signed it."""
    rows = [
        (
            line.body.code,
            line.body.name,
            f"{line.signed}/{line.asked}",
            line.hash[:12],
            "; ".join(
                f"{each.post.name} {minute(each.signed_at) if each.signed_at else '未签 not signed'}"
                for each in line.signatures
            ),
        )
        for line in page.lists
    ]
    table(("body", "主体", "已签 signed", "list", "岗位 posts"), rows)
    rest = "; there are more: --limit all" if page.next is not None else ""
    click.echo(f"{len(rows)} lists as of {spelled(page.reading, page.as_of)}{rest}.")
