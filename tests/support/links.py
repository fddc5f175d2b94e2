"""Every page that a visitor is led to: from the desk on, link by link, as a browser without scripts follows them."""

from __future__ import annotations

import html
import re
from collections import Counter, deque

from tests.integration.test_console import HTML, Browser

TOLD_APART = ("measure", "rank", "by", "card", "which", "name", "overdue", "today", "ended", "period")
"""Parts of an address whose values make another page of it."""
ALIKE = 2
"""So many pages of a kind are asked for."""
ELSEWHERE = ("/static/", "/m/", "/sign", "/desk/stream")


def kind_of(address: str) -> tuple[str, ...]:
    """Which page it is, whichever case or unit it shows."""
    path, _, asked = address.partition("?")
    named = [(each.partition("=")[0], each) for each in asked.split("&")]
    parts = sorted(each if name in TOLD_APART else name for name, each in named)
    return (re.sub(r"^/(cases|units|health/letters)/.*", r"/\1/", path), *parts)


def follow(client: Browser) -> int:
    """Follow all links, a few of each kind; how many pages there were. One that is refused or breaks is an error."""
    waiting, known, asked = deque(["/desk"]), {"/desk"}, Counter[tuple[str, ...]]()
    while waiting:
        address = waiting.popleft()
        if asked[kind_of(address)] == ALIKE:
            continue
        asked[kind_of(address)] += 1
        answer = client.get(address, headers=HTML)
        assert answer.status_code in (200, 303), (address, answer.status_code, answer.text[-600:])
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        for link in map(html.unescape, re.findall(r'href="([^"#]+)', answer.text)):
            there = address.partition("?")[0] + link if link.startswith("?") else link
            leads = there.startswith("/") and not there.startswith(ELSEWHERE) and "lang=" not in there
            if leads and there not in known:
                known.add(there)
                waiting.append(there)
    return asked.total()
