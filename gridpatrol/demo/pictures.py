"""Pictures of a demo: what a phone might have photographed, drawn from a generator of random numbers.

A picture is a PNG of about a kilobyte: a sky by the hour, a street, and on it a heap with dust above it. No camera and
nobody's picture stands behind it. `python -m gridpatrol.demo.pictures FILE` draws another one each time.
"""

import struct
import sys
import zlib
from pathlib import Path
from random import Random
from typing import NamedTuple

WIDTH, HEIGHT = 160, 120
SKIES = ((206, 222, 236), (176, 184, 190), (226, 208, 180), (58, 64, 84))
"""A clear day, haze, an evening, a night."""
STREETS = ((112, 112, 116), (132, 124, 108), (96, 104, 92))
HEAPS = ((150, 118, 74), (90, 82, 76), (172, 150, 112), (74, 92, 60))

Colour = tuple[int, int, int]


class Ellipse(NamedTuple):
    """A filled ellipse: its middle and half its axes in pixels, its colour, and its share in what covers it all."""

    x: float
    y: float
    across: float
    up: float
    colour: Colour
    share: float = 1.0


def picture(rng: Random) -> bytes:
    """A PNG that nobody has taken."""
    sky, street, heap = rng.choice(SKIES), rng.choice(STREETS), rng.choice(HEAPS)
    horizon, x = rng.randint(50, 75), rng.uniform(50, 110)
    size = rng.uniform(14, 30)
    dust = [
        Ellipse(
            x + rng.uniform(-12, 30), horizon - rng.uniform(5, 40), rng.uniform(8, 22), rng.uniform(5, 14), sky, 0.6
        )
        for _ in range(4)
    ]
    shapes = [*dust, *(Ellipse(x + rng.uniform(-9, 9), horizon + 12, size, size * 0.6, heap) for _ in range(3))]
    rows = []
    for y in range(HEIGHT):
        ground = street if y >= horizon else mixed(sky, (255, 255, 255), y / horizon / 3)
        row = bytearray(bytes(shaded(ground, rng.randint(-3, 3))) * WIDTH)
        for shape in shapes:
            fill(row, y, shape, rng)
        rows.append(bytes(row))
    return png(rows)


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """A colour with a share of another."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def shaded(colour: Colour, by: int) -> Colour:
    """A colour a little brighter, or darker."""
    red, green, blue = (min(255, max(0, part + by)) for part in colour)
    return red, green, blue


def fill(row: bytearray, y: int, shape: Ellipse, rng: Random) -> None:
    """The pixels of an ellipse in one row."""
    inside = 1 - ((y - shape.y) / shape.up) ** 2
    if inside <= 0:
        return
    half = shape.across * inside**0.5
    first, last = max(0, round(shape.x - half)), min(WIDTH - 1, round(shape.x + half))
    behind = row[3 * first], row[3 * first + 1], row[3 * first + 2]
    colour = mixed(behind, shaded(shape.colour, rng.randint(-14, 14)), shape.share)
    row[3 * first : 3 * last + 3] = bytes(colour) * (last + 1 - first)


def png(rows: list[bytes]) -> bytes:
    """Rows of red, green and blue as a PNG (ISO/IEC 15948): each row after a byte that says that nothing filters it."""
    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(picture(Random()))
