"""The form in which steps, dead letters and acts of the audit are hashed: the same on every database, and numbered.

1. A row is written as a JSON array: what it is, the number of the form, then the members below in this order, texts as
   they are stored. Its item is the SHA-256 of these bytes. A step's own number is no part of it, so that two steps that
   changed places are known again.
2. What lies sealed of a row enters as the SHA-256 of its salt and its bytes. Whoever has the digest alone cannot try
   names until one fits: the salt is random, and goes when the bytes are erased.
3. A link's hash is the SHA-256 of the hash before it and of all that the link says. The first hash of an epoch is that
   of the chain's name, the epoch and the note with which it begins.

All digests are written in base64 for URLs, without padding.
"""

from binascii import b2a_base64
from hashlib import sha256
from operator import attrgetter

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.store.rows import LETTER_TEXTS, AuditRow, LetterRow, StepRow

FORM = 1
"""The form in which links are made now. Other forms are read for ever."""
LEFT = 0
"""The form of a link whose step had left for a file before there was a chain: it has no item."""
LETTERS, ACTS, STEPS = "letters", "acts", "steps/"
"""Names of chains; those of steps end with their partition."""
STEP_MEMBERS = tuple(name for name in StepRow.__struct_fields__ if name != "n")
STEP_VALUES = attrgetter(*STEP_MEMBERS)
LETTER_MEMBERS = LetterRow.__struct_fields__
ACT_MEMBERS = AuditRow.__struct_fields__
FOR_URLS = bytes.maketrans(b"+/", b"-_")
EXEMPTED, NOT_EXEMPTED = "exempted", "refused"
"""Marks of a step by which a missed deadline was exempted, or an exemption was refused."""


class Link(Struct):
    """A link of a chain. `key`: of a letter or an act, its id; `mark`: what inspection looks for in it."""

    name: str
    n: int
    epoch: int
    form: int
    key: str
    item: str
    sealed: str
    mark: str
    at: int
    hash: str = ""
    number: int = 0


def digest(*values: object) -> str:
    """The SHA-256 of values as a JSON array."""
    hashed = sha256(msgspec.json.encode(values)).digest()
    return b2a_base64(hashed, newline=False).translate(FOR_URLS, b"=").decode()


def steps_of(partition: int) -> str:
    """The name of the chain of a partition's steps."""
    return f"{STEPS}{partition}"


def step_item(row: StepRow, form: int = FORM) -> str:
    """The item of a step."""
    return digest("step", form, *STEP_VALUES(row))


def letter_item(row: LetterRow, form: int = FORM) -> str:
    """The item of a dead letter. Copies of a database cut the name of a case where it is longer than one may be."""
    cut = replace(row, case_id=row.case_id[: LETTER_TEXTS["case_id"]])
    return digest("letter", form, *(getattr(cut, name) for name in LETTER_MEMBERS))


def act_item(row: AuditRow, outcome: str | None = None, form: int = FORM) -> str:
    """The item of an act; with `outcome`, as it was when that was its outcome."""
    members = [getattr(row, name) for name in ACT_MEMBERS[:-1]]
    return digest("act", form, *members, row.outcome if outcome is None else outcome)


def commitment(salt: str, body: str) -> str:
    """The digest of what lies sealed."""
    return digest("sealed", FORM, salt, body)


def first_hash(name: str, epoch: int, before: str, note: str) -> str:
    """The hash with which an epoch of a chain begins; `before`: the last one of the epoch before, or empty."""
    return digest("chain", FORM, name, epoch, before, note)


def hash_of(before: str, link: Link) -> str:
    """The hash of a link, after the one before it."""
    return digest(before, link.n, link.form, link.key, link.item, link.sealed, link.mark, link.at)
