"""Holds the chains against anchors: those of the table, and those that somebody else has kept.

An anchor names a link of each chain by epoch and number, and the hash that it had. Another hash there means that links
were rewritten, however well they fit one another; then it is said from which link on that may be. A link that is not
there was taken away, or lost in a restore. What a restore lacks it has said where the next epoch begins.
"""

from hashlib import sha256

import msgspec
from msgspec import Struct

from consumers.audit import anchors
from engine.store import backup_file, chains
from engine.store.chains import ChainRow
from engine.store.database import Connection
from engine.store.meta import read_meta


class Lacks(Struct, frozen=True):
    """What an epoch begins with after a restore: number and digest of the last anchor by which it is held (0, empty:
    none), and by chain the first and last number that was anchored and is not there."""

    anchor: int
    digest: str
    lacks: dict[str, tuple[int, int]]


class AgainstAnchors(Struct):
    """Findings (where, how, detail), how many anchors were looked at, and what restores have said that they lack."""

    findings: list[tuple[str, str, str]]
    anchors: int
    lacking: list[str]


def against_anchors(connection: Connection, epochs: list[ChainRow], kept: list[str]) -> AgainstAnchors:
    """Hold the chains against anchors. `kept`: the lines that somebody has kept. AnchorsUnusable."""
    found = AgainstAnchors([], 0, [])
    said = {row.name: list[tuple[int, int]]() for row in epochs}
    for row in epochs:
        note = msgspec.json.decode(row.note, type=Lacks) if row.note else None
        if note is not None and row.name in note.lacks:
            first, last = note.lacks[row.name]
            if first != row.begun + 1:  # nobody excuses by a note what the database holds
                found.findings.append((str(note.anchor), "edited", f"{row.name} begins with what it cannot lack"))
                continue
            said[row.name].append((first, last))
            found.lacking.append(f"{row.name} {first} to {last}, before epoch {row.epoch}")
    stored = [(line.body, anchors.decode(line.body)) for line in chains.read_anchors(connection)]
    previous = ""
    for line, anchor in stored:
        if anchor.previous != previous:
            found.findings.append((str(anchor.number), "edited", "it does not follow on the one before"))
        previous = sha256(line.encode()).hexdigest()
    told = list(anchors.distinct(kept))
    installation = read_meta(connection, backup_file.INSTALLATION)
    if any(anchor.installation != installation for _, anchor in told):
        raise anchors.AnchorsUnusable("anchors of another installation are among these")
    every = [anchor for _, anchor in [*stored, *(each for each in told if each[0] not in {line for line, _ in stored})]]
    every.sort(key=lambda anchor: (anchor.epoch, anchor.number))
    places = {(name, end.n) for anchor in every for name, end in anchor.chains.items()}
    hashes = chains.hashes_at(connection, places)
    begun = {(row.name, row.begun, row.epoch): row for row in epochs}
    good = dict[str, int]()  # the last number that an anchor confirms
    for anchor in every:
        for name, end in anchor.chains.items():
            where = f"{anchor.number} of {anchor.at}"
            epoch, hash_ = hashes.get((name, end.n), (0, ""))
            if epoch == end.epoch and hash_ == end.hash:
                good[name] = max(good.get(name, 0), end.n)
            elif not end.n or (name, end.n, end.epoch) in begun:
                continue  # nothing was chained in this epoch yet: its first hash follows from what it begins with
            elif any(first <= end.n <= last for first, last in said.get(name, [])):
                continue
            elif epoch == end.epoch:
                since = f"{name} was rewritten after link {good.get(name, 0)} and up to {end.n}"
                found.findings.append((where, "rewritten", since))
            else:
                found.findings.append((where, "lacking", f"{name} has no link {end.n} of epoch {end.epoch}"))
    found.anchors = len(every)
    return found
