"""The short number of a case (短号): nine digits that can be said on a telephone, read off its id.

The first eight are the SHA-256 of `gridpatrol.number.1|<id of the case>` in UTF-8: its first eight bytes, the highest
first, as a whole number modulo 10^8. The ninth is the check digit of H. M. Damm (2004): it shows every wrong digit and
every swap of neighbours. Two cases may share a number (one in a thousand, of 100,000): a search lists both.
"""

import hashlib
import unicodedata
from functools import lru_cache

DIGITS = 9
CHECK = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)
"""A quasigroup of order ten without equal neighbours: row is what was so far, column the next digit."""
_AFTER = {str(so_far): dict(zip("0123456789", row, strict=True)) for so_far, row in enumerate(CHECK)}


@lru_cache(maxsize=16_384)
def short_number(case: str) -> str:
    """The number of a case, its nine digits in a row."""
    digest = hashlib.sha256(f"gridpatrol.number.1|{case}".encode()).digest()
    number = f"{int.from_bytes(digest[:8]) % 10 ** (DIGITS - 1):0{DIGITS - 1}d}"
    return number + check_digit(number)


def check_digit(digits: str) -> str:
    """The digit that makes these digits a number; `0` where they are one already."""
    state = "0"
    for digit in digits:
        state = _AFTER[state][digit]
    return state


def spoken(number: str) -> str:
    """A number in groups of three, as it is said and read: `482 913 605`."""
    return " ".join(number[i : i + 3] for i in range(0, len(number), 3))


def written_number(text: str) -> str | None:
    """The nine digits that somebody has written or typed, in groups or not, in any digits; None: they are not nine."""
    plain = unicodedata.normalize("NFKC", text)
    digits = "".join(character for character in plain if not character.isspace() and character not in "-./_")
    return digits if len(digits) == DIGITS and digits.isascii() and digits.isdigit() else None
