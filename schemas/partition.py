"""The partition of a case: `<home>.<UUIDv7>` -> home -> murmur2 -> partition.

Kafka's own partitioner gives the same number for the key `home`, so the log in a table and the one in Kafka agree. The
number of partitions is fixed at installation.
"""

from functools import lru_cache

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of `data` (seed 0x9747b28c), unsigned."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        h = ((h * _M) & _MASK) ^ ((k * _M) & _MASK)
    tail = data[length - length % 4 :]
    if tail:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def partition_of(home: str, partitions: int) -> int:
    """The partition of a home, as Kafka's default partitioner computes it for that key."""
    return (murmur2(home.encode()) & 0x7FFFFFFF) % partitions


def home_of(subject: str) -> str:
    """The home inside a subject: everything before the last dot."""
    return subject.rpartition(".")[0]
