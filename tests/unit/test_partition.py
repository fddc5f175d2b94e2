"""Where a case lives: the home in its id, and the partition that Kafka itself would choose for that key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partition import home_of, murmur2, partition_of
from tests.support.builders import subject, weiyang

PUBLISHED = {
    # the vectors of Kafka's own unit test of murmur2, as signed 32-bit numbers
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", PUBLISHED)
def test_murmur2_gives_what_kafka_gives(key):
    assert (murmur2(key) + 2**31) % 2**32 - 2**31 == PUBLISHED[key]


@given(st.binary(max_size=40))
def test_murmur2_stays_within_32_bits_whatever_the_length(key):
    assert 0 <= murmur2(key) < 2**32


def test_a_partition_is_the_positive_part_of_the_hash():
    assert partition_of("21", 32) == (-973932308 & 0x7FFFFFFF) % 32


@given(st.text(min_size=1, max_size=20), st.integers(1, 64))
def test_a_home_has_one_partition_of_those_there_are(home, partitions):
    assert 0 <= partition_of(home, partitions) < partitions


def test_homes_of_the_sample_pack_spread_over_the_partitions():
    homes = {weiyang().home(grid) for grid in weiyang().grids}
    assert len(homes) == 13  # twelve of level 3, and the root for what has no place
    assert len({partition_of(home, 32) for home in homes}) >= 8


def test_the_home_is_all_before_the_last_dot():
    assert home_of(subject("WY01")) == "WY01"
    assert home_of(subject("dorchester.11")) == "dorchester.11"
