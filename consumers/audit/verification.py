"""Holds what is stored against the chains (`gridpatrol audit verify`): each step, letter and act that was changed since
it was chained is named, and each link.

1. Links follow one another without gaps, each hash on the one before, from the first one of its epoch.
2. The steps of a partition are read with those that have left for files, whatever is wrong with these. One whose item
   is another link's stands in its place: it was moved. One that no link knows was edited where its own is found nowhere
   else, and put in where it is.
3. Letters and acts are found by their ids. An act has two links where it was begun and ended; a letter of the door
   where the same bytes were refused again.
4. What lies sealed is held against its digest, unless it was erased. Of a case that is an act, which the audit knows.
5. Anchors, those of the table and those of somebody else, say which hash a link had: see `anchored`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from consumers.audit.anchored import against_anchors
from consumers.audit.archived import LeftRows, read_left
from engine import chain_form
from engine.archive_file import ArchiveFolder
from engine.chain_form import ACTS, LETTERS, Link
from engine.store import chains
from engine.store.chains import ChainRow, KeptRow
from engine.store.database import Connection, Database
from engine.store.rows import AuditRow, LetterRow
from schemas import facts

SEALED_PAGE = 1000
"""Sealed rows that are read at once."""


class Finding(Struct, frozen=True):
    """Something that is not as it was chained. `what`: step, letter, act, sealed, link, chain, anchor, archive; `how`:
    edited, removed, inserted, moved, unknown, rewritten, lacking, erased."""

    what: str
    where: str
    how: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.where}: {self.how}" + (f", {self.detail}" if self.detail else "")


class Verified(Struct, kw_only=True):
    """What was found, and how much was looked at. `waiting`: rows that are not chained yet; `left`: steps that had left
    for files before there was a chain; `erased`: digests of what was sealed and is erased; `lacking`: what restores
    have said that they lack."""

    findings: list[Finding]
    steps: int = 0
    letters: int = 0
    acts: int = 0
    waiting: int = 0
    left: int = 0
    erased: int = 0
    anchors: int = 0
    lacking: list[str]


class Chained(Struct):
    """A link, and what its row was as it is found: its place, the token of what is sealed of it, and the case."""

    link: Link
    where: str
    token: str
    case: str


class Verification:
    """One look at one database."""

    def __init__(self, connection: Connection, folder: ArchiveFolder) -> None:
        self.connection, self.folder = connection, folder
        self.verified = Verified(findings=[], lacking=[])
        self.sealed = list[Chained]()
        self.left = list[KeptRow]()  # letters of files
        self.erasures: set[str] | None = None

    def find(self, what: str, where: str, how: str, detail: str = "") -> None:
        """Keep a finding."""
        self.verified.findings.append(Finding(what, where, how, detail))

    def run(self, kept: list[str]) -> Verified:
        """Look at everything; `kept`: lines of anchors that somebody has kept."""
        epochs = chains.read_epochs(self.connection)
        ends = chains.partitions_of_steps(self.connection)
        known = {row.name for row in epochs}
        for partition, end in sorted(ends.items()):
            left = read_left(self.connection, self.folder, partition)
            for name, why in left.broken.items():
                self.find("archive", name, "edited", why)
            self.left += left.letters
            self.steps([row for row in epochs if row.name == chain_form.steps_of(partition)], partition, end, left)
        for name in (LETTERS, ACTS):
            self.kept(name, [row for row in epochs if row.name == name])
        for name in sorted(known - {chain_form.steps_of(p) for p in ends} - {LETTERS, ACTS}):
            self.find("chain", name, "inserted", "there is no such partition")
        for partition, n in chains.strange_steps(self.connection):
            self.find("step", f"{partition}.{n}", "inserted", "it is beyond the last step of its partition")
        self.compare_sealed()
        self.verified.waiting = chains.count_waiting(self.connection)
        found = against_anchors(self.connection, epochs, kept)
        self.verified.anchors, self.verified.lacking = found.anchors, found.lacking
        for where, how, detail in found.findings:
            self.find("anchor", where, how, detail)
        return self.verified

    def links(self, epochs: list[ChainRow]) -> Iterator[Link]:
        """The links of a chain, each held against the one before. What is missing is found."""
        if not epochs:
            return
        name, before, end, epoch, waiting = epochs[0].name, "", 0, 0, list(epochs)
        for link in chains.links_of(self.connection, name):
            if missing := range(end + 1, link.n):
                self.find("link", f"{name} {span(missing)}", "removed")
            while waiting and waiting[0].begun < link.n:
                row = waiting.pop(0)
                before, epoch = chain_form.first_hash(name, row.epoch, before, row.note), row.epoch
            if chain_form.hash_of(before, link) != link.hash or link.epoch != epoch:
                self.find("link", f"{name} {link.n}", "edited", "its hash is not that of what it says")
            before, end = link.hash, link.n
            yield link
        for row in waiting:
            before = chain_form.first_hash(name, row.epoch, before, row.note)
        last = epochs[-1]
        if last.n > end:
            self.find("link", f"{name} {span(range(end + 1, last.n + 1))}", "removed")
        elif (last.n, last.hash) != (end, before):
            self.find("chain", name, "edited", f"it says that it ends with link {last.n}, and there are {end}")

    # ---- steps ----------------------------------------------------------------------------------------------

    def steps(self, epochs: list[ChainRow], partition: int, end: int, left: LeftRows) -> None:
        """Hold the steps of a partition against its chain."""
        rows = rows_of_partition(self.connection, partition, left)
        wrong, strange, chained = list[Link](), dict[int, tuple[str, str]](), 0
        at = next(rows, None)
        for link in self.links(epochs):
            chained = link.n
            while at is not None and at[0] < link.n:
                strange[at[0]] = at[1], at[2]
                at = next(rows, None)
            row = at if at is not None and at[0] == link.n else None
            at = next(rows, None) if row is not None else at
            self.verified.steps += 1
            if link.form == chain_form.LEFT:
                self.verified.left += 1
                if row is None:
                    self.find("step", f"{partition}.{link.n}", "removed", "before it was chained")
            elif row is not None and row[1] == link.item:
                if link.sealed:
                    self.later(Chained(link, f"step {partition}.{link.n}", row[3], row[2].rpartition(".")[0]))
            else:
                wrong.append(link)
                if row is not None:
                    strange[link.n] = row[1], row[2]
        for n in sorted(n for n in left.steps if n > end):
            self.find("step", f"{partition}.{n}", "inserted", "it is beyond the last step of its partition")
        if chained > end:
            self.find("chain", chain_form.steps_of(partition), "lacking", f"steps {span(range(end + 1, chained + 1))}")
        while at is not None and (at[0] <= chained or wrong):  # what moved up may stand where nothing is chained yet
            strange[at[0]] = at[1], at[2]
            at = next(rows, None)
        self.name_steps(partition, chained, wrong, strange)

    def name_steps(
        self, partition: int, chained: int, wrong: list[Link], strange: Mapping[int, tuple[str, str]]
    ) -> None:
        """Name what happened to steps that are not where their links say, and to what stands there. `chained`: up to
        which number there are links."""
        stands = {item: n for n, (item, _) in strange.items()}
        items = {link.item for link in wrong}
        for link in wrong:
            where, here = f"{partition}.{link.n}", strange.get(link.n)
            if link.item in stands:
                self.find("step", where, "moved", f"it stands as {partition}.{stands[link.item]}")
            elif here is not None and here[0] not in items:
                self.find("step", where, "edited", here[1])
            else:
                self.find("step", where, "removed")
        links = {link.n: link for link in wrong}
        for n, (item, case) in sorted(strange.items()):
            if n <= chained and item not in items and (n not in links or links[n].item in stands):
                self.find("step", f"{partition}.{n}", "inserted", case)

    # ---- letters and acts -----------------------------------------------------------------------------------

    def kept(self, name: str, epochs: list[ChainRow]) -> None:
        """Hold letters, or acts, against their chain."""
        what = {LETTERS: "letter", ACTS: "act"}[name]
        rows = {row.row.id: row for row in self.rows(name)}
        of = dict[str, list[Link]]()
        for link in self.links(epochs):
            of.setdefault(link.key, []).append(link)
        for key, links in of.items():
            row = rows.get(key)
            if row is None:
                self.find(what, key, "removed")
                continue
            if not row.due and item_of(row) != links[-1].item:
                self.find(what, key, "edited")
            elif any(not superseded(row, link) for link in (links if row.due else links[:-1])):
                self.find(what, key, "edited", "it was chained otherwise before")
            if isinstance(row.row, LetterRow) and links[-1].sealed:
                self.later(Chained(links[-1], f"letter {key}", row.row.token, ""))
        for key, row in rows.items():
            if key not in of and not row.due:
                self.find(what, key, "inserted")
        setattr(self.verified, name, len(rows))

    def rows(self, name: str) -> Iterator[KeptRow]:
        """Letters, those that have left among them, or acts."""
        yield from chains.kept_rows(self.connection, name)
        if name == LETTERS:
            yield from self.left

    # ---- what is sealed -------------------------------------------------------------------------------------

    def later(self, chained: Chained) -> None:
        """Compare what is sealed of a row, some together."""
        self.sealed.append(chained)
        if len(self.sealed) >= SEALED_PAGE:
            self.compare_sealed()

    def compare_sealed(self) -> None:
        """Hold what lies sealed against its digests."""
        found = chains.read_sealed(self.connection, {each.token for each in self.sealed})
        for each in self.sealed:
            salt, body, subject = found.get(each.token, ("", None, ""))
            if body is None:
                self.find("sealed", each.where, "removed")
            elif not body:
                self.verified.erased += 1
                if each.case and not {subject, each.case} & self.erased_cases():
                    self.find("sealed", each.where, "erased", "and no act of the audit erased it")
            elif chain_form.commitment(salt, body) != each.link.sealed:
                self.find("sealed", each.where, "edited")
        self.sealed.clear()

    def erased_cases(self) -> set[str]:
        """Cases of which the audit says that their words were erased."""
        if self.erasures is None:
            self.erasures = chains.read_erasures(self.connection)
        return self.erasures


def rows_of_partition(connection: Connection, partition: int, left: LeftRows) -> Iterator[tuple[int, str, str, str]]:
    """(number, item, place in its case, token) of the steps of a partition, in order, with those that have left."""
    gone = sorted(left.steps)
    after, k = -1 << 62, 0
    while page := chains.steps_after(connection, partition, after, chains.PAGE):
        for row in page:
            while k < len(gone) and gone[k] < row.n:
                yield gone[k], *left.steps[gone[k]]
                k += 1
            yield row.n, chain_form.step_item(row), f"{row.case_id}.{row.seq}", token_of(row.cause)
        after = page[-1].n
    for n in gone[k:]:
        yield n, *left.steps[n]


def token_of(cause: str) -> str:
    """The token of what is sealed, in the text of a cause; empty: there is none, or the text is no cause any more."""
    try:
        return facts.decode_cause(cause).token
    except ValueError:
        return ""


def item_of(kept: KeptRow) -> str:
    """The item of a letter or an act as it stands."""
    return chain_form.act_item(kept.row) if isinstance(kept.row, AuditRow) else chain_form.letter_item(kept.row)


def superseded(kept: KeptRow, link: Link) -> bool:
    """Whether an earlier link of a letter or an act may have become what it is now: an act that was begun has ended;
    the same bytes were refused again where nobody decides."""
    if isinstance(kept.row, AuditRow):
        return link.item == chain_form.act_item(kept.row, "begun")
    return link.item == chain_form.letter_item(kept.row) or (kept.row.partition is None and kept.kept_at >= link.at)


def span(numbers: range) -> str:
    """`7`, or `7 to 9`."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def counts_of(findings: list[Finding]) -> dict[str, int]:
    """Findings by what they are of."""
    return dict(sorted(Counter(finding.what for finding in findings).items()))


def verify(database: Database, folder: ArchiveFolder, kept: list[str]) -> Verified:
    """Look at a database in one snapshot. `kept`: lines of anchors that somebody has kept. AnchorsUnusable."""
    with database.read(whole=True) as connection:
        return Verification(connection, folder).run(kept)
