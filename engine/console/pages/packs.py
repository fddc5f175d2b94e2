"""策略包, for who operates the server: which packs there are, what a new one changes for whom, and its activation.

A pack is uploaded as the files of its folder, or as one zip file of them. It is checked as by `gridpatrol pack check`,
compared with the active one, and kept in memory until it is activated: another process does not have it, and asks for
it again.
"""

import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.clock import now_ms
from engine.console.access import check_mark, form_of, not_a_form
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.operator import activate_pack, operator_of
from engine.http.problems import Problem
from engine.packs import MAX_BYTES, SUFFIXES, check_folder
from engine.principals import Principal
from engine.slice.entering import activations_of
from engine.store import inbox_table, slices
from engine.store.database import Connection
from engine.views.names import active_names
from workflows.clocks.limits import DAY_MS
from workflows.pack_diff import Difference, pack_diff
from workflows.policy import model
from workflows.policy.model import Pack
from workflows.policy.problems import Finding, has_errors

Lang = Annotated[str, QueryParameter(description="zh or en.")]
Digest = Annotated[str, QueryParameter(description="The hash of a stored pack, to be compared with the active one.")]
Done = Annotated[str, QueryParameter(description="The hash of the pack that was activated just now.")]
MOST_FILES = 60
MOST_SHOWN = 400
"""Differences of a page at most; the command tells all of them."""
KEPT = 4
"""Packs that were checked and are kept until they are activated."""
DIGITS = 12


class StoredPack(NamedTuple):
    """A pack of the database. `since`: when it was activated last; empty: before the first event, or never."""

    digest: str
    code: str
    title_zh: str
    title_en: str
    active: bool
    since: str


class Compared(NamedTuple):
    """A pack that may be activated: what is wrong with it, and what it changes, by whom it concerns."""

    digest: str
    title_zh: str
    title_en: str
    findings: Sequence[Finding]
    errors: int
    changes: list[tuple[str, str, list[Difference]]]
    left_out: int
    is_active: bool


class CheckedPacks:
    """The last packs that were found usable, by who sent them and their hash."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Pack] = OrderedDict()

    def keep(self, sender: str, pack: Pack) -> None:
        """Keep a pack for a while."""
        self._kept[sender, model.digest(pack)] = pack
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def of(self, sender: str, digest: str) -> Pack | None:
        """A pack that this sender has had checked here."""
        return self._kept.get((sender, digest))

    def all_of(self, sender: str) -> list[tuple[str, Pack]]:
        """The hashes and packs of a sender."""
        return [(digest, pack) for (who, digest), pack in self._kept.items() if who == sender]


@get("/packs", include_in_schema=False)
async def show_packs(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    digest: Digest = "",
    activated: Done = "",
    lang: Lang = "",
) -> Response[Any]:
    """The packs of the database, and what a stored one would change."""
    compared = None
    if digest:
        pack = await stored_pack(context, digest)
        if pack is None:
            raise Problem(404, "unknown_pack", "no stored pack has this hash", remedy="choose one of the list")
        compared = await compare(context, pack, ())
    return await packs_page(request, context, compared, activated[:DIGITS])


async def packs_page(
    request: Request[Principal, Any, Any], context: DoorContext, compared: Compared | None, activated: str = ""
) -> Response[Any]:
    """The page, with a pack that was checked."""
    packs, zone = await context.read(lambda connection: listed(connection, context))
    bad = compared is not None and compared.errors
    return page(
        request,
        "packs.html",
        status=422 if bad else 200,
        packs=packs,
        zone=zone,
        compared=compared,
        activated=activated,
        digits=DIGITS,
        suffixes=",".join((*SUFFIXES, ".zip")),
    )


def listed(connection: Connection, context: DoorContext) -> tuple[list[StoredPack], str]:
    """The packs of the database, the active one first, and the zone of that."""
    names, found = active_names(connection, context.policies), list[StoredPack]()
    begun = dict[str, int]()
    for row in slices.read_partitions(connection)[:1]:
        begun = dict(activations_of(row))
    for stored in inbox_table.read_packs(connection):
        pack, at = model.decode(stored.body.encode()), begun.get(stored.hash, 0)
        active = stored.hash == names.register.hash
        since = names.instant(at) if at > DAY_MS else ""  # one that was active before the first event has none
        found.append(StoredPack(stored.hash, pack.code, pack.title_zh, pack.title_en, active, since))
    found.sort(key=lambda each: each.since, reverse=True)
    found.sort(key=lambda each: not each.active)
    return found, names.register.pack.zone


async def stored_pack(context: DoorContext, digest: str) -> Pack | None:
    """A pack of the database by its whole hash."""

    def ask(connection: Connection) -> Pack | None:
        rows = [row for row in inbox_table.read_packs(connection) if row.hash == digest]
        return model.decode(rows[0].body.encode()) if rows else None

    return await context.read(ask)


async def compare(context: DoorContext, pack: Pack, findings: Sequence[Finding]) -> Compared:
    """What a pack changes against the active one."""

    def ask(connection: Connection) -> Compared:
        active = active_names(connection, context.policies).register
        told = pack_diff(active.pack, pack)
        changes = [
            (zh, en, list(some))
            for (zh, en), some in groupby(told[:MOST_SHOWN], key=lambda each: (each.concerns_zh, each.concerns_en))
        ]
        digest, left = model.digest(pack), max(0, len(told) - MOST_SHOWN)
        title = pack.title_zh, pack.title_en
        return Compared(digest, *title, findings, 0, changes, left, digest == active.hash)

    return await context.read(ask)


@post("/packs", include_in_schema=False, status_code=200)
async def check_uploaded(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Check the files that were uploaded, and say what they would change. Nothing is stored."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise not_a_form()
    sent = await request.form()
    await check_mark(request, str(sent.get("mark", "")))
    uploaded = [each for each in sent.getall("files", []) if isinstance(each, UploadFile) and each.filename]
    if not uploaded or len(uploaded) > MOST_FILES:
        detail = f"a pack is some files of a folder, at most {MOST_FILES}, or one zip file of them"
        raise Problem(400, "form", detail, field="files", remedy="choose pack.toml and the .csv files of its folder")
    files = [(each.filename, await each.read()) for each in uploaded]
    pack, findings = await context.aside(lambda: checked(files))
    errors = sum(each.severity == "error" for each in findings)
    if pack is None or has_errors(findings):
        return await packs_page(request, context, Compared("", "", "", findings, max(errors, 1), [], 0, False))
    checked_packs: CheckedPacks = request.app.state["console_packs"]
    checked_packs.keep(request.user.name, pack)
    return await packs_page(request, context, await compare(context, pack, findings))


def checked(files: Sequence[tuple[str, bytes]]) -> tuple[Pack | None, Sequence[Finding]]:
    """Compile and judge the files of a pack as a folder of them would be. Raises Problem for a zip file that is none,
    or holds too much."""
    today = int(f"{datetime.fromtimestamp(now_ms() / 1000, UTC):%Y%m%d}")
    with tempfile.TemporaryDirectory(prefix="gridpatrol-pack-") as folder:
        for name, body in unpacked(files):
            (Path(folder) / name).write_bytes(body)
        return check_folder(folder, today)


def unpacked(files: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The files of a pack by their bare names; those of a zip file in its place."""
    found, room = list[tuple[str, bytes]](), MAX_BYTES
    for name, body in files:
        if not name.lower().endswith(".zip"):
            found.append((name, body))
            continue
        try:
            with zipfile.ZipFile(BytesIO(body)) as archive:
                wanted = [each for each in archive.infolist() if PurePosixPath(each.filename).suffix in SUFFIXES]
                room -= sum(each.file_size for each in wanted)
                if room < 0 or len(wanted) > MOST_FILES:
                    detail = f"the zip file holds more than {MOST_FILES} files or {MAX_BYTES // 2**20} MiB"
                    raise Problem(413, "too_large", detail, remedy="leave out what is no file of the pack")
                found += [(each.filename, archive.read(each)) for each in wanted]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            detail = "the zip file cannot be read"
            raise Problem(400, "form", detail, field="files", remedy="make it anew, without a password") from error
    bare = [(PurePosixPath(name.replace("\\", "/")).name, body) for name, body in found]
    return [(name, body) for name, body in bare if name.lower().endswith(SUFFIXES) and not name.startswith(".")]


@post("/packs/activations", include_in_schema=False)
async def activate_checked(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]
) -> Response[Any]:
    """Activate a pack that was checked here or is stored: every partition does so at its next record."""
    digest = (await form_of(request)).get("digest", "")
    checked_packs: CheckedPacks = request.app.state["console_packs"]
    pack = checked_packs.of(request.user.name, digest) or await stored_pack(context, digest)
    if pack is None:
        detail = "this server process does not have the pack that was checked any more"
        raise Problem(409, "unknown_pack", detail, remedy="upload it again, and activate it from the answer")
    activated = await activate_pack(context, pack, operator_of(request))
    return seen_elsewhere(request, query("/packs", activated=activated))


ROUTES = [show_packs, check_uploaded, activate_checked]
