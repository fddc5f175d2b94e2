"""`gridpatrol report`: bulletins, rankings, ledgers of rounds, evidence and letters as files."""

from pathlib import PurePath

import click

from engine.clock import now_ms
from engine.operations.auditing import audit_report
from engine.policies import Policies
from engine.principals import Operator
from engine.reports.files import FORMATS
from engine.reports.making import REPORTS, report_of
from engine.reports.reading import ReportQuestion, Source
from engine.views.questions import BadQuestion
from gridpatrol import options
from gridpatrol.run.wiring import reading, settings_of
from schemas.instants import written
from workflows.reading import READS_EVERYTHING


@click.command("report")
@click.argument("name", type=click.Choice(list(REPORTS)))
@click.option(
    "--period",
    type=options.TEXT,
    default="",
    help="2026, 2026-H1, 2026-Q3 or 2026-08, of the report's length, or a day in it; default: the present one.",
)
@click.option("--grid", type=options.TEXT, default="", help="Of this grid and all below it; default: all.")
@click.option("--definition", type=options.TEXT, default="", help="Of this kind of case; default: the main one.")
@click.option("--id", "id_", type=options.TEXT, default="", help="Of a letter: the supervision.")
@click.option("--post", type=options.TEXT, default="", help="Of a letter or a negative list: as this post reads it.")
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="Default: as FILE ends, else a page of HTML."
)
@options.at
@options.database
@click.option("-o", "--output", "--out", "output", default="-", metavar="FILE", help="File to write, - for stdout.")
def command(
    name: str,
    period: str,
    grid: str,
    definition: str,
    id_: str,
    post: str,
    format_: str | None,
    at: int | None,
    database: str | None,
    output: str,
) -> None:
    """Write the report NAME (通报、排名、述职、督导记录、审核材料、督办函) from the same figures as all other commands.

    \b
    bulletin    月度通报          half-year  半年通报        ranking  季度考核排名
    debrief     年度述职（数据）  rounds     领导包抓督导记录
    brief       季度工作简报, figures alone, for the press
    evidence    第三方审核材料    letter     督办函, with --id
    negative-list  负面清单, with --post

    A page of HTML prints on A4 and needs nothing else; .xlsx has numbers, .docx can be edited, .csv has the tables.

    \b
    Examples:
      gridpatrol report bulletin --period 2026-10 --grid WY -o bulletin.docx
      gridpatrol report letter --id WY01.0193... --post WY-OFFICE -o letter.docx
      gridpatrol report ranking --period 2026-Q4 --format xlsx -o ranking.xlsx
    """
    ending = PurePath(output).suffix.removeprefix(".")
    chosen = format_ or (ending if ending in FORMATS else "html")
    question = ReportQuestion(
        period=period, grid=grid, definition=definition, id=id_, post=post, at="" if at is None else written(at)
    )
    with reading(settings_of(database=database)) as opened:
        try:
            with opened.read() as connection:
                document = report_of(name, Source(connection, Policies(), now_ms(), READS_EVERYTHING), question)
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
        if document.read_by:
            who = options.operator()
            audit_report(opened, Operator(f"{who.who}:{document.read_by}", who.via), name, document.read_of)
    with options.whole_file(output) as out:
        out.write(FORMATS[chosen].write(document))
    options.say(document.lead or f"{document.title} {document.subtitle}")
