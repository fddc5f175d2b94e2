"""A report as a page that prints on A4: one file with nothing to fetch, and the part of it that the console shows."""

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from engine.reports import charts
from engine.reports.charts import drawing_of
from engine.reports.document import Document, printable, text_of


@cache
def environment() -> Environment:
    """The templates. Every text is escaped."""
    made = Environment(
        loader=PackageLoader("engine.reports"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"drawing_of": drawing_of, "text_of": text_of, "charts": charts}
    return made


@cache
def style() -> str:
    """The style of a page, which stands in it."""
    return files("engine.reports").joinpath("templates", "report.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The policy under which a page is sent: its own style, and nothing else at all."""
    digest = b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def body_of(document: Document) -> Markup:
    """A report as a part of another page."""
    return Markup(environment().get_template("body.html").render(report=document))


def page_of(document: Document) -> bytes:
    """A report as a page of its own."""
    page = (
        environment().get_template("report.html").render(report=document, style=Markup(style()), body=body_of(document))
    )
    return printable(page).encode()
