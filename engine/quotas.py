"""What one principal may use: events per second, refused events that are kept, batches at once, streams, parked events.

Credit for events grows with time, up to a burst. A request is looked at while there is credit, and may overdraw it;
then the principal waits until it is paid back. Each door counts for itself, in memory.

Whether an event comes early is known at its place in the log only. So the door stamps on the record how many of its
principal's events may wait, and the rules count them (`workflows/parking.py`): whatever comes, by whichever door.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Annotated

from msgspec import Meta, Struct

from engine.errors import GridpatrolError

DAY_S = 86_400
LETTER_BYTES = 4096
"""Bytes of a refused event that cost as much as one event more."""

LOOKUPS_PER_S, LOOKUPS_AT_ONCE = 0.2, 10
"""How often one address looks up an answer: on average, and at once after a silence."""
MOST_ADDRESSES = 10_000
"""So many addresses are counted apart, those that asked last."""


Rate = Annotated[float, Meta(ge=0, le=1e9)]
Limit = Annotated[int, Meta(ge=0, le=10**9)]
Bytes = Annotated[int, Meta(ge=0, le=10**15)]
Burst = Annotated[int, Meta(ge=1, le=10**9)]


class Quota(Struct, frozen=True, kw_only=True):
    """What a principal may do, as its table in the file has it. 0: no limit, of all but bursts and what is refused."""

    events_per_s: Rate = 200  # events, on average
    events_burst: Burst = 20_000  # events beyond that, after a silence
    refused_per_s: Rate = 1  # refused events that are kept with their bytes, on average; more are counted only
    refused_burst: Burst = 5_000
    batches: Limit = 8  # batches that are taken in at once
    streams: Limit = 20  # alert streams that are open at once
    parked: Limit = 1000  # early events that wait in one home at once
    file_bytes_per_day: Bytes = 20_000_000_000  # bytes of photos and other files, that many at once after a silence
    uploads: Limit = 1000  # files of which some has come, and not all
    subscriptions: Limit = 20  # subscriptions to alerts that stand at once


UNLIMITED = Quota(events_per_s=0, batches=0, streams=0, parked=0, file_bytes_per_day=0, uploads=0, subscriptions=0)
"""That of a door that asks for no token: everybody there is the same principal. Refused events are kept in bounds."""


class OverQuota(GridpatrolError):
    """A principal asks for more than it may; `quota` is the member that says so, `wait_s` when to come again."""

    def __init__(self, quota: str, message: str, wait_s: float = 1.0) -> None:
        self.quota = quota
        self.wait_s = max(1, ceil(wait_s))
        super().__init__(message, remedy=f"send the same again in {self.wait_s} s")


class Credit:
    """How much of a rate is left. It may be overdrawn."""

    def __init__(self) -> None:
        self._spent, self._at_s = 0.0, time.monotonic()

    def left(self, per_s: float, burst: float) -> float:
        """What may be spent now, where so much grows each second; a burst is there at the beginning."""
        now_s = time.monotonic()
        self._spent = max(0.0, self._spent - per_s * (now_s - self._at_s))
        self._at_s = now_s
        return burst - self._spent

    def spend(self, number: float) -> None:
        """Spend, whether there is so much left or not."""
        self._spent += number


class Quotas:
    """What principals have used of their quotas, by name. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, Credit] = {}
        self._refused: dict[str, Credit] = {}
        self._batches = Counter[str]()
        self._files: dict[str, Credit] = {}

    def check_events(self, name: str, quota: Quota) -> None:
        """Count a request as one event. OverQuota for a principal that has sent more events than it may."""
        if not quota.events_per_s:
            return
        with self._lock:
            credit = self._events.setdefault(name, Credit())
            left = credit.left(quota.events_per_s, quota.events_burst)
            if left >= 1:
                credit.spend(1)
        if left < 1:
            rate = f"{quota.events_per_s:g} events per second, and {quota.events_burst} at once after a silence"
            message = f"principal {name} has sent more events than it may: {rate}"
            raise OverQuota("events_per_s", message, (1 - left) / quota.events_per_s)

    def spend_events(self, name: str, quota: Quota, number: int) -> None:
        """Count events of a request beyond the first."""
        if quota.events_per_s:
            with self._lock:
                self._events.setdefault(name, Credit()).spend(number)

    def may_keep(self, name: str, quota: Quota, size: int) -> bool:
        """Whether a refused event of so many bytes is kept, and then counted as such."""
        with self._lock:
            credit = self._refused.setdefault(name, Credit())
            if credit.left(quota.refused_per_s, quota.refused_burst) < 1:
                return False
            credit.spend(1 + size // LETTER_BYTES)
            return True

    def check_upload(self, name: str, quota: Quota) -> None:
        """OverQuota for a principal that has sent more bytes of files than it may."""
        if not quota.file_bytes_per_day:
            return
        per_s = quota.file_bytes_per_day / DAY_S
        with self._lock:
            left = self._files.setdefault(name, Credit()).left(per_s, quota.file_bytes_per_day)
        if left < 1:
            most = quota.file_bytes_per_day
            message = f"principal {name} has sent as many bytes of files as it may: {most} a day"
            raise OverQuota("file_bytes_per_day", message, (1 - left) / per_s)

    def spend_upload(self, name: str, quota: Quota, size: int) -> None:
        """Count bytes of a file, of whatever becomes of it."""
        if quota.file_bytes_per_day:
            with self._lock:
                self._files.setdefault(name, Credit()).spend(size)

    @contextmanager
    def batch(self, name: str, quota: Quota) -> Iterator[None]:
        """A batch is being taken in. OverQuota where as many are as may be."""
        with self._lock:
            if quota.batches and self._batches[name] >= quota.batches:
                message = f"principal {name} sends {quota.batches} batches at once already, and may send no more"
                raise OverQuota("batches", message)
            self._batches[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._batches[name] -= 1


class Lookups:
    """How often addresses have looked up answers at this door. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credits = OrderedDict[str, Credit]()

    def check(self, address: str) -> None:
        """Count one look-up. OverQuota for an address that asks too often."""
        with self._lock:
            credit = self._credits.setdefault(address, Credit())
            self._credits.move_to_end(address)
            if len(self._credits) > MOST_ADDRESSES:
                self._credits.popitem(last=False)
            left = credit.left(LOOKUPS_PER_S, LOOKUPS_AT_ONCE)
            if left >= 1:
                credit.spend(1)
        if left < 1:
            raise OverQuota("lookups", "this address looks up answers too often", (1 - left) / LOOKUPS_PER_S)
