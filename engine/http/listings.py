"""Listings at the door: as JSON, or as CSV for whoever asks for `text/csv`.

A page of CSV has the columns in its first line and the next page in `Link`, as JSON has it in `next`.
"""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import MediaType, Request
from litestar.response import Response
from litestar.response.base import ASGIResponse
from msgspec import Struct

from engine.views import spreadsheet

CSV = "text/csv"


class Listing(Response[Any]):
    """A page as the request asks for it."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """The page as JSON unless the request likes CSV better."""
        self.headers["Vary"] = "Accept"
        page = self.content
        if isinstance(page, Struct) and request.accept.best_match([MediaType.JSON, CSV]) == CSV:
            name, _ = spreadsheet.listed_in(page)
            self.content, self.media_type = spreadsheet.page_lines(page), f"{CSV}; charset=utf-8; header=present"
            self.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
            if (cursor := getattr(page, "next", None)) is not None:
                asked = [pair for pair in parse_qsl(request.url.query) if pair[0] != "cursor"]
                there = f"{request.url.path}?{urlencode([*asked, ('cursor', cursor)])}"
                self.headers["Link"] = f'<{there}>; rel="next"'
        return super().to_asgi_response(app, request, **given)
