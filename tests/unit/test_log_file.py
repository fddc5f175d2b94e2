"""The proof of an exported log: no accident passes, whatever it does to the file, and it says where it happened."""

from __future__ import annotations

import io
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import log_file
from engine.errors import LogMismatch
from engine.log_file import EVERY, FORMAT, OLDER, Header, LogDamaged, LogLines, examine, with_proof
from engine.store.rows import InboxRow, PackRow, SettlementRow

PACK = PackRow(sha256(b'{"code":"T"}').hexdigest(), "T", "a pack", '{"code":"T"}')


def lines_of_a_log(records: int, partitions: int = 2) -> list[bytes]:
    """A log without its proof."""
    items: list[dict[str, object]] = [{"pack": PACK}, {"settlement": SettlementRow(0, 1, "skip", "sent by mistake")}]
    for partition in range(partitions):
        items += [
            {"record": InboxRow(partition, position, 1000 + position, "event", "door", '{"event":"网格"}')}
            for position in range(records // partitions)
        ]
    return [msgspec.json.encode(Header(FORMAT, partitions)), *map(msgspec.json.encode, items)]


def file_of(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


LINES = list(with_proof(lines_of_a_log(6)))
CONTENT = file_of(LINES)
LONG = list(with_proof(lines_of_a_log(4 * EVERY)))


def refused(content: bytes, *, unchecked: bool = False) -> str:
    """What is said of a file that is refused; it must be."""
    with pytest.raises(LogMismatch) as error:
        examine(io.BytesIO(content), unchecked=unchecked)
    return str(error.value)


def test_a_whole_log_has_its_count_and_the_digest_that_other_programs_compute() -> None:
    for lines in (LINES, LONG):
        footer = examine(io.BytesIO(file_of(lines)))
        assert footer is not None
        before = file_of(lines[:-1])
        assert footer.digest == sha256(before).hexdigest()  # head -n -1 FILE | sha256sum
        assert footer.lines == before.count(b"\n") == len(lines) - 1
        assert footer.records == sum(line.startswith(b'{"record"') for line in lines)
        assert examine(lines) == footer  # lines without their feeds, as a program has them


def test_between_hundred_lines_stands_a_checkpoint() -> None:
    proofs = [k for k, line in enumerate(LONG) if line.startswith(b'{"checkpoint":')]
    assert proofs == [EVERY, 2 * EVERY + 1, 3 * EVERY + 2, 4 * EVERY + 3]


def test_every_truncation_is_refused() -> None:
    for end in range(len(CONTENT)):
        refused(CONTENT[:end])


def test_every_byte_that_is_changed_taken_out_or_put_in_is_noticed() -> None:
    for at in range(len(CONTENT)):
        byte = CONTENT[at]
        for other in {byte ^ 1, byte ^ 0x20, 0x0A, 0x20, 0x30} - {byte}:
            refused(CONTENT[:at] + bytes([other]) + CONTENT[at + 1 :])
        refused(CONTENT[:at] + CONTENT[at + 1 :])
        refused(CONTENT[:at] + b" " + CONTENT[at:])


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 255))
def test_any_byte_at_any_place_is_noticed(at: int, byte: int) -> None:
    if CONTENT[at] != byte:
        refused(CONTENT[:at] + bytes([byte]) + CONTENT[at + 1 :])


@pytest.mark.parametrize("lines", [LINES, LONG], ids=["short", "long"])
def test_every_line_that_is_dropped_doubled_or_swapped_is_noticed(lines: list[bytes]) -> None:
    for at in range(0, len(lines), max(1, len(lines) // 40)):
        refused(file_of([*lines[:at], *lines[at + 1 :]]))
        refused(file_of([*lines[: at + 1], *lines[at:]]))
        if at + 1 < len(lines):
            refused(file_of([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        CONTENT.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CONTENT,
        CONTENT + b"\n",
        CONTENT + LINES[-2] + b"\n",
        CONTENT + CONTENT,
        CONTENT.removesuffix(b"\n"),
        file_of(LONG[:3000]).replace(LONG[-1], b""),
        bytes(range(256)) * 20,
    ],
    ids=["empty", "blank", "crlf", "bom", "blank end", "more", "twice", "no end", "no footer", "random"],
)
def test_what_programs_do_to_files_is_noticed(content: bytes) -> None:
    refused(content)


def test_an_edit_is_found_within_a_hundred_lines_and_a_line_that_is_none_by_its_number() -> None:
    for at in (5, 150, 320, len(LONG) - 2):
        edited = LONG[at].replace(b'"stamp":1', b'"stamp":2')
        assert edited != LONG[at]
        text = refused(file_of([*LONG[:at], edited, *LONG[at + 1 :]]))
        first, last = (int(word) for word in text.split("lines ")[1].split(" of the log")[0].split(" to "))
        assert first <= at + 1 <= last <= first + EVERY
        assert f"line {at + 1} of the log cannot be read" in refused(
            file_of([*LONG[:at], LONG[at][:-1], *LONG[at + 1 :]])
        )
    assert "breaks off after line 300" in refused(file_of(LONG[:300]))
    assert "--unchecked" in refused(file_of(LONG[:300]))


def test_nothing_of_a_damaged_part_is_handed_out() -> None:
    edited = [*LONG[:250], LONG[250].replace(b'"stamp":1', b'"stamp":2'), *LONG[251:]]
    handed_out = list[log_file.LogLine]()
    with pytest.raises(LogDamaged):
        for item in LogLines(io.BytesIO(file_of(edited))):
            handed_out.append(item)
    assert 0 < len(handed_out) < 2 * EVERY


def test_a_log_of_an_older_release_is_taken_only_if_it_is_asked_for() -> None:
    older = [line.replace(FORMAT.encode(), OLDER.encode()) for line in lines_of_a_log(6)]
    assert "older release" in refused(file_of(older)) and "--unchecked" in refused(file_of(older))
    assert examine(io.BytesIO(file_of(older)), unchecked=True) is None
    refused(file_of(older)[:-30], unchecked=True)  # half a line cannot be decided


def test_what_is_taken_unchecked_must_still_be_a_log() -> None:
    assert examine(LONG[:250], unchecked=True) is None
    assert "where position" in refused(file_of([*LONG[:40], *LONG[41:]]), unchecked=True)
    assert "line 2" in refused(file_of([LINES[0], b'{"what":1}']), unchecked=True)
    assert "gridpatrol/9" in refused(CONTENT.replace(FORMAT.encode(), b"gridpatrol/9"), unchecked=True)
    assert "not what its hash says" in refused(CONTENT.replace(b'\\"T', b'\\"U'), unchecked=True)


def test_a_log_that_was_forged_whole_is_told_by_the_digest_that_was_kept() -> None:
    genuine = examine(LINES)
    forged = examine(list(with_proof(line.replace(b'"stamp":1', b'"stamp":2') for line in lines_of_a_log(6))))
    assert genuine is not None
    log_file.check_digest(genuine, f" {genuine.digest.upper()}\n")  # as people copy it
    for footer in (forged, None):
        with pytest.raises(LogMismatch, match="not the one that is expected"):
            log_file.check_digest(footer, genuine.digest)
