"""Goes on with the chains: what is not chained yet becomes the next links, in a transaction of its own."""

import secrets
from collections.abc import Callable, Iterable, Sequence

from engine import chain_form, failpoints
from engine.chain_form import ACTS, LETTERS, Link
from engine.clock import now_ms
from engine.store import chains
from engine.store.chains import ChainRow
from engine.store.database import Connection, Database
from engine.store.rows import AuditRow, LetterRow, StepRow
from schemas import facts

BATCH = 500
"""Rows that become links in one transaction: it holds up the writer of SQLite."""
DECIDED = '"exemption.decided"'
"""What stands in the text of a step in which an exemption was decided."""

Item = tuple[str, str, str, str]
"""Of a link that is to be: key, item, token of what lies sealed, mark."""


def new_salt() -> str:
    """128 random bits as text."""
    return secrets.token_urlsafe(16)


class Chainer:
    """Chains what a database has. `now` (ms UTC) and `salt` are those of the wall and of chance."""

    def __init__(self, database: Database, now: Callable[[], int] = now_ms, salt: Callable[[], str] = new_salt) -> None:
        self.database, self.now, self.salt = database, now, salt

    def turn(self) -> int:
        """Chain the next rows; how many. 0: all are chained."""
        with self.database.read() as connection:
            if not chains.count_waiting(connection):
                return 0
        with self.database.begin() as connection:
            stands, ends = chains.hold_chains(connection), chains.partitions_of_steps(connection)
            links, moved = list[Link](), list[ChainRow]()
            for partition, end in sorted(ends.items()):
                chain = self.chain(stands, chain_form.steps_of(partition))
                if chain.n < end and (left := BATCH - len(links)) > 0:
                    rows = chains.steps_after(connection, partition, chain.n, left)
                    upto = min(end if len(rows) < left else rows[-1].n, chain.n + left)
                    links += self.links(connection, chain, *steps_to_chain(rows, chain.n + 1, upto))
                    moved.append(chain)
            for name, due in ((LETTERS, self.letters), (ACTS, self.acts)):
                if (left := BATCH - len(links)) > 0 and (items := due(connection, left)):
                    chain = self.chain(stands, name)
                    links += self.links(connection, chain, chain.n + 1, items)
                    chains.mark_chained(connection, name, [key for key, *_ in items])
                    moved.append(chain)
            chains.write_links(connection, links)
            chains.write_chains(connection, moved)
            failpoints.hit("chain.before_commit")
        return len(links)

    def catch_up(self) -> None:
        """Chain all that there is."""
        while self.turn():
            pass

    def chain(self, stands: dict[str, ChainRow], name: str) -> ChainRow:
        """A chain where it stands; one that there is not begins."""
        if name not in stands:
            stands[name] = ChainRow(name, 1, 0, self.now(), "", 0, chain_form.first_hash(name, 1, "", ""))
        return stands[name]

    def links(self, connection: Connection, chain: ChainRow, first: int, items: Sequence[Item | None]) -> list[Link]:
        """The links of a chain from a number on, hashed; the chain ends with the last of them. None: a step that had
        left before."""
        tokens = {item[2] for item in items if item is not None and item[2]}
        sealed = chains.salted(connection, [(token, self.salt()) for token in sorted(tokens)])
        made, at = list[Link](), self.now()
        for n, item in enumerate(items, first):
            if item is None:
                link = Link(chain.name, n, chain.epoch, chain_form.LEFT, "", "", "", "", at)
            else:
                key, digest, token, mark = item
                kept = chain_form.commitment(*sealed[token]) if token in sealed else ""
                link = Link(chain.name, n, chain.epoch, chain_form.FORM, key, digest, kept, mark, at)
            link.hash = chain.hash = chain_form.hash_of(chain.hash, link)
            chain.n = n
            made.append(link)
        return made

    def letters(self, connection: Connection, limit: int) -> list[Item]:
        """Letters that are to be chained."""
        return [letter_to_chain(row) for row in chains.letters_due(connection, limit)]

    def acts(self, connection: Connection, limit: int) -> list[Item]:
        """Acts that are to be chained."""
        return [act_to_chain(row) for row in chains.acts_due(connection, limit)]


def steps_to_chain(rows: Iterable[StepRow], first: int, last: int) -> tuple[int, list[Item | None]]:
    """The first number, and what is chained of the steps from it to the last one; None for each that is not there."""
    found = {row.n: row for row in rows}
    numbered = (found.get(n) for n in range(first, last + 1))
    return first, [step_to_chain(row) if row is not None else None for row in numbered]


def step_to_chain(row: StepRow) -> Item:
    """What is chained of a step."""
    return "", chain_form.step_item(row), facts.decode_cause(row.cause).token, mark_of(row)


def letter_to_chain(row: LetterRow) -> Item:
    """What is chained of a letter."""
    return row.id, chain_form.letter_item(row), row.token, ""


def act_to_chain(row: AuditRow) -> Item:
    """What is chained of an act."""
    return row.id, chain_form.act_item(row), "", ""


def mark_of(row: StepRow) -> str:
    """What inspection looks for in a step: that a missed deadline was exempted, or was not."""
    if DECIDED not in row.body:
        return ""
    decided = [f for f in facts.decode_facts(row.body) if isinstance(f, facts.ExemptionDecided)]
    if not decided:
        return ""
    return chain_form.EXEMPTED if any(fact.granted for fact in decided) else chain_form.NOT_EXEMPTED
