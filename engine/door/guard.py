"""Who may speak to a door that asks for no password: programs of this machine, and no web page.

In: a request's headers. Out: nothing, or a `Problem`. A page in the user's browser can reach loopback as well: under a
name of its own that it lets resolve to 127.0.0.1 (seen in `Host`), or by posting across origins (seen in `Origin`).
"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from engine.door.problems import Problem, bad_query

SAFE = ("GET", "HEAD", "OPTIONS")
HANDED = {"hall", "feed", "request", "data"}
"""What handlers are given that does not come from a query."""


def is_loopback(host: str) -> bool:
    """Whether the authority of a request names this machine by a loopback name."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def only_this_machine(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse names that are not of loopback, and posts of pages that come from elsewhere."""
    host, origin = connection.headers.get("host", ""), connection.headers.get("origin")
    if not _safely(is_loopback, host):
        raise Problem(421, "foreign_host", f"this door does not answer to the name {host!r}",
                      remedy="use 127.0.0.1 or localhost")  # fmt: skip
    if connection.scope.get("method") in SAFE or origin is None:
        return
    if urlsplit(origin).netloc.lower() != host.lower():
        raise Problem(403, "foreign_origin", f"a page of {origin!r} may not publish here",
                      remedy="publish from a program, or from a page of this server")  # fmt: skip


def _safely(question: Any, text: str) -> bool:
    """The answer, no where the text cannot even be parsed."""
    try:
        return bool(question(text))
    except ValueError:
        return False


def only_known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a misspelled parameter: passed over in silence it would change the answer."""
    known = {name.rstrip("_") for name in handler.parsed_fn_signature.parameters} - HANDED
    for name in connection.query_params:
        if name not in known:
            asked = ", ".join(sorted(known)) or "none"
            raise bad_query(name, f"{name!r} is no parameter of this route", f"it takes: {asked}")
