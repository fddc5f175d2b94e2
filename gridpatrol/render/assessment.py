"""A sheet of an assessment at a terminal."""

import click

from engine.views.assessment import AssessmentPage, IndicatorMeaning, LineOfScore
from gridpatrol.render.tables import minute, table

READINGS = {
    "final": "宽限期满时的口径 as of the end of the days of grace",
    "running": "尚未定稿 not final yet",
    "as_known_then": "时点口径 as known then",
    "stored": "存档 stored",
}
LEFT_OUT = {"few": "样本过少 too few", "nothing": "无 nothing"}


def sheet_table(page: AssessmentPage) -> None:
    """Print the card, a line for each subject, and what is proposed."""
    click.echo(f"{page.card} {page.title_zh} {page.title_en} ({page.year}), {page.since} to {page.until}")
    of = f"政策包 pack {page.pack[:12]}, 得分表 sheet {page.sheet[:12]}"
    click.echo(f"{READINGS[page.reading]}: {minute(page.as_of)}; {of}")
    click.echo()
    heads = ["code", "name", "分值 weight", "零分 zero at", "满分 full at", "依据 basis"]
    table(heads, [card_line(each) for each in page.indicators], right=range(2, 5))
    click.echo()
    codes = [each.code for each in page.indicators]
    rows = [
        (
            "" if line.place is None else f"{line.place}{'=' if line.tied else ''}",
            line.key,
            line.name,
            "样本过少 thin" if line.thin else points(line.total),
            *(cell(line.lines[code]) for code in codes),
        )
        for line in page.scores
    ]
    table(["名次 place", "key", "name", "得分 total", *codes], rows, right=(0, 3, *range(4, 4 + len(codes))))
    if page.still:
        named = [*(f"partition {each}" for each in page.stands.halted), *page.stands.standing, *page.stands.quarantined]
        click.echo(f"\n停滞 {page.still} stand still, and it is not published while they do: {', '.join(named)}")
    if page.unread:
        click.echo(f"{page.unread} more are not read by who asks.")
    if page.proposals:
        click.echo("\n奖惩建议（待有权者决定） Proposed, for a named role to decide:")
    for each in page.proposals:
        tied = "，并列 tied across the cut" if each.tied else ""
        click.echo(f"  {each.action}  {each.subject}  {each.rule}, {each.place}/{each.of} {each.within}{tied}")
    if page.remark:
        click.echo(page.remark)


def card_line(line: IndicatorMeaning) -> tuple[str, ...]:
    """A line of the card; a bonus has its cap behind its weight."""
    weight = f"+{line.weight} ≤{line.cap or line.weight}" if line.bonus else str(line.weight)
    unit = "%" if line.unit == "percent" else ""
    bounds = points(line.zero_at) + unit, points(line.full_at) + unit
    return (line.code, f"{line.zh} {line.en}", weight, *bounds, line.basis)


def cell(line: LineOfScore) -> str:
    """The points of a line with its value, or why it has none."""
    if line.left_out or line.value is None:
        return LEFT_OUT[line.left_out or "nothing"]
    return f"{points(line.points)} ({points(line.value)})"


def points(hundredths: int) -> str:
    """`87.35` of 8735."""
    sign, number = "-" if hundredths < 0 else "", abs(hundredths)
    return f"{sign}{number // 100}.{number % 100:02d}"
