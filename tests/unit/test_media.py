"""The type of a file by how it begins."""

from __future__ import annotations

import pytest

from engine.uploads.media import BRANDS, ENDINGS, media_type


def boxed(brand: bytes) -> bytes:
    """How an ISO base media file of a brand begins."""
    return b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00", "image/jpeg"),
        (b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", ""),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 ", "application/pdf"),
        (boxed(b"3gp4"), "video/3gpp"),
        (boxed(b"evil"), ""),
        (b"<svg xmlns='http:", ""),
        (b"<!DOCTYPE html><h", ""),
        (b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00", ""),
        (b"", ""),
    ],
)
def test_a_file_is_what_its_first_bytes_say(head: bytes, found: str) -> None:
    assert media_type(head) == found


def test_every_type_that_is_found_has_an_ending() -> None:
    assert {media_type(boxed(brand)) for brand in BRANDS} == set(BRANDS.values()) <= ENDINGS.keys()
