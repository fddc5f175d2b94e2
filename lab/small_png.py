"""A PNG file of a screenshot with 256 colours instead of millions: a third of its bytes, and hardly to be told apart.

The most frequent colours are kept, and every other becomes the nearest of these.
"""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
RGB = 3
"""Bytes of a pixel: what Chromium writes."""


def small_png(png: bytes) -> bytes:
    """The same picture with so many colours. ValueError for another kind of PNG than 8-bit RGB without interlacing."""
    width, height, *kind = struct.unpack(">IIBBBBB", png[16:29])
    if png[:8] != SIGNATURE or kind != [8, 2, 0, 0, 0]:
        raise ValueError("not an 8-bit RGB picture without interlacing")
    rows = unfiltered(zlib.decompress(b"".join(body for name, body in chunks(png) if name == b"IDAT")), width, height)
    pixels = [[row[at : at + RGB] for at in range(0, len(row), RGB)] for row in map(bytes, rows)]
    counted = Counter(pixel for row in pixels for pixel in row)
    kept = [pixel for pixel, _ in counted.most_common(COLOURS)]
    place = {pixel: number for number, pixel in enumerate(kept)}
    place |= {pixel: nearest(pixel, kept) for pixel in counted.keys() - place.keys()}
    lines = b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(kept)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a file: name and body."""
    found, at = list[tuple[bytes, bytes]](), len(SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def unfiltered(raw: bytes, width: int, height: int) -> list[bytearray]:
    """The rows of a picture, as the specification of PNG takes their filters off (9.2)."""
    size, above, rows = width * RGB, bytearray(width * RGB), list[bytearray]()
    for number in range(height):
        begin = number * (size + 1)
        kind, row = raw[begin], bytearray(raw[begin + 1 : begin + 1 + size])
        for at in range(size):
            left, corner = (row[at - RGB], above[at - RGB]) if at >= RGB else (0, 0)
            guess = (0, left, above[at], (left + above[at]) // 2, paeth(left, above[at], corner))[kind]
            row[at] = (row[at] + guess) & 255
        rows.append(row)
        above = row
    return rows


def paeth(left: int, above: int, corner: int) -> int:
    """Whichever of the three is nearest to what they lead to expect."""
    expected = left + above - corner
    return min((left, above, corner), key=lambda each: abs(expected - each))


def nearest(pixel: bytes, kept: list[bytes]) -> int:
    """The place of the colour that is nearest."""
    red, green, blue = pixel
    return min(
        range(len(kept)),
        key=lambda at: (kept[at][0] - red) ** 2 + (kept[at][1] - green) ** 2 + (kept[at][2] - blue) ** 2,
    )
