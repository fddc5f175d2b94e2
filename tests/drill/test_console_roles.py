"""Every role at every page: what a post may not do is not offered to it, and is refused when it is sent all the same.

Generated: a post for each role, level and kind of unit of the pack, each page, each event that people send.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from consumers.performance import consume
from engine.clock import now_ms
from engine.console.acts import new_number
from engine.console.forms import form_for
from engine.views.supervisions import PROPOSE, proposable
from schemas.events import EVENTS, OLDER_NAMES
from schemas.kinds.supervision import SUPERVISION
from tests.integration.test_console import HTML, Browser, Page, as_post, close_browsers, get, send
from tests.integration.test_console_supervisor import DECIDE, SERVE, act, mark_of, propose
from tests.integration.test_reading import OURS, long_overdue
from tests.support.builders import weiyang
from tests.support.serving import Served, prepared, served
from workflows import case as cases
from workflows.definitions import DEFINITIONS
from workflows.policy.model import Post
from workflows.saying import sayable

__all__ = ["close_browsers"]
BIRTHS = {birth for kind in DEFINITIONS.values() for birth in kind.births}
SAID = sorted(EVENTS.keys() - OLDER_NAMES.keys() - BIRTHS)
PAGES = (
    "/desk",
    "/alerts",
    "/ranking?period=year",
    "/supervision",
    "/joint",
    "/petitions",
    "/duties",
    "/sponsors",
    "/signals",
    "/approvals",
    "/assessment",
    "/responsibility",
    "/ledger",
    "/reports",
    "/units/WY01",
    "/cases?search=1",
    "/supervision/new",
    "/health",
    "/audit",
    "/whatif",
    "/me",
)


def posts() -> list[Post]:
    """A post for each role, level and kind of unit."""
    register, found = weiyang(), dict[Any, Post]()
    for post in register.posts.values():
        if not post.vacant and post.grid in register.grids and "02" not in post.code[:5]:
            found.setdefault((post.role, register.grids[post.grid].level, bool(post.department)), post)
    return list(found.values())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door of this machine, with an overdue case and a supervision that has been served."""
    with prepared(f"sqlite:///{tmp_path_factory.mktemp('roles') / 'gridpatrol.db'}") as engine:
        engine.consumers = [consume.consume, *engine.consumers]
        long_overdue(engine)
        with served(engine) as running:
            yield running


@pytest.fixture(scope="module")
def letter(door: Served) -> str:
    """A supervision that has been served on a street."""
    desk, office = as_post(door, "WY-DISPATCH"), as_post(door, "WY-OFFICE")
    id_, _ = propose(desk, about=OURS)
    act(office, id_, DECIDE)
    act(office, id_, SERVE)
    return id_


def case_of(door: Served, id_: str) -> cases.Case:
    """A case as it is stored."""
    with door.engine.database.read() as connection:
        body = connection.exec_driver_sql("SELECT body FROM cases WHERE id = ?", (id_,)).scalar_one()
    return cases.decode(body)


def offered(page: Page, action: str) -> set[str]:
    """The triggers of the forms of an action."""
    return {form["trigger"] for form in page.forms if form[""] == action and "trigger" in form}


def fields_of(trigger: str) -> dict[str, str]:
    """What a form of a trigger would send, of the example of the contract."""
    names = {field.name for field in form_for(trigger).fields}
    return {name: str(value) for name, value in EVENTS[trigger].example.items() if name in names}


@pytest.mark.parametrize("post", posts(), ids=lambda post: post.code)
def test_what_a_post_may_not_do_is_not_offered_and_is_refused(door: Served, letter: str, post: Post) -> None:
    client, register = as_post(door, post.code), weiyang()
    for path in PAGES:
        answer = client.get(path, headers=HTML)
        assert answer.status_code in (200, 403), (path, answer.status_code)
        for form in Page(answer).forms:
            if (trigger := form.get("trigger")) and "/desk/" in form[""]:
                case = case_of(door, form[""].split("/")[2])
                assert trigger in {each.trigger for each in sayable(case, post, register, register, now_ms())}
    for id_, path in ((OURS, f"/cases/{OURS}"), (letter, f"/cases/{letter}")):
        answer = client.get(path, headers=HTML)
        assert answer.status_code in (200, 404)
        shown = offered(Page(answer), f"{path}/acts")
        case = case_of(door, id_)
        may = {each.trigger for each in sayable(case, post, register, register, now_ms())}
        assert shown <= may, (post.code, shown - may)
        refuse_all(door, client, id_, set(SAID) - may)
    if post.code != "WY-OFFICE":
        assert offered(get(client, "/supervision"), f"/supervision/{letter}/acts") <= set(SUPERVISION.events)
    check_proposing(door, client, post)


def refuse_all(door: Served, client: Browser, id_: str, triggers: set[str]) -> None:
    """Send what is not offered: none of it is done."""
    definition, mark = DEFINITIONS[case_of(door, id_).definition], mark_of(client)
    for trigger in sorted(triggers):
        before = case_of(door, id_)
        sent = {"mark": mark, "trigger": trigger, "event": str(uuid4()), **fields_of(trigger)}
        answer = send(client, f"/cases/{id_}/acts", sent)
        early = trigger in definition.ahead[before.state]
        done = answer.status_code == 303 and "how=parked" not in answer.headers["location"]
        assert not done and (answer.status_code in (403, 404, 422) or early), (trigger, answer.status_code)
        assert case_of(door, id_).state == before.state


def check_proposing(door: Served, client: Browser, post: Post) -> None:
    """Whether a supervision may be proposed is seen in three places alike, and by what becomes of one."""
    may = bool(proposable(weiyang(), post.code, now_ms()))
    page = client.get("/supervision/new", headers=HTML)
    assert page.status_code == (200 if may else 403), post.code
    fields = {"mark": mark_of(client), "trigger": PROPOSE, "event": str(uuid4()), "number": new_number(now_ms())}
    answer = send(client, "/supervision/proposals", fields | {"action": "letter", "grid": "WY03"})
    assert (answer.status_code == 303) == may, (post.code, answer.status_code)
