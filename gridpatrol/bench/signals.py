"""Values of ten thousand devices at the door of a real process: what one costs, and whether an episode is lost.

Enters: the URL of an empty database. Leaves: CPU time of the server and how many values a second it took, one for each
device of every second, sent in batches as fast as they are answered. One device in a hundred has an episode; that each
has begun and ended as a case is checked.
"""

import csv
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.packs import folder_of, read_folder
from engine.store import open_counts
from engine.store.database import Database
from gridpatrol.bench.door import LOOK_S, PATIENCE_S, Door
from schemas.instants import written
from workflows.definitions.signal import SIGNAL, SUBSIDED

DEVICES, SECONDS, BATCH = 10_000, 60, 2_000
EPISODE_EVERY = 100
"""One device in so many has an episode."""
BEGINS_S, ENDS_S = 5, 15
"""Its first and its last second; the rule of the bench holds down for 3 s, and waits for 3 s before it is over."""
RULES = (
    "code,title_zh,test,category,type,quantity,threshold,hold_down,debounce,basis\n"
    "bench,测试,above,D3-01,key_area_air,pm10,150,3 seconds,3 seconds,ours\n"
)


class SignalRun(Struct, frozen=True, kw_only=True):
    """One run. `cpu_us`: of the server and the database, for each value. `core_percent`: of one core, at one value a
    second of each device. `episodes` began and ended as cases."""

    devices: int
    values: int
    values_per_s: int
    cpu_us: float
    core_percent: float
    episodes: int


def write_pack(folder: Path, devices: int) -> Path:
    """The sample pack with so many devices and one rule."""
    texts, _ = read_folder(folder_of("weiyang"))
    leaves = [row["code"] for row in csv.DictReader(texts["grids.csv"].splitlines()) if row["level"] == "4"]
    rows = (f"D{i},{i},key_area_air,{leaves[i % len(leaves)]},WY-SENSOR" for i in range(devices))
    texts |= {"devices.csv": "\n".join(("code,name,type,grid,post", *rows, "")), "signals.csv": RULES}
    target = folder / "pack"
    target.mkdir()
    for name, text in texts.items():
        (target / name).write_text(text, encoding="utf-8")
    return target


def batches(devices: int, second: int, begin: int, size: int = BATCH) -> Iterator[bytes]:
    """One value of each device at a second, in batches."""
    at = written(begin + 1000 * second)
    high = BEGINS_S <= second <= ENDS_S
    for first in range(0, devices, size):
        found = [
            {
                "device": f"D{i}",
                "quantity": "pm10",
                "value": 180.5 if high and i % EPISODE_EVERY == 0 else 40.25,
                "at": at,
            }
            for i in range(first, min(first + size, devices))
        ]
        yield msgspec.json.encode(found)


def measure_signals(door: Door, devices: int, seconds: int, begin: int) -> SignalRun:
    """Send so many seconds of so many devices from an instant on (ms UTC). RuntimeError where a value or an episode is
    lost."""
    address = urlsplit(door.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_S)
    spent, taken, busy = door.cpu(), 0, 0.0
    for second in range(seconds):
        for body in batches(devices, second, begin):  # made before the clock runs
            began = time.perf_counter()
            connection.request("POST", "/v1/signals/values", body, {"Content-Type": "application/json"})
            answer = connection.getresponse().read()
            busy += time.perf_counter() - began
            taken += msgspec.json.decode(answer).get("taken", 0)
    connection.close()
    values, episodes = devices * seconds, -(-devices // EPISODE_EVERY)
    until = time.perf_counter() + PATIENCE_S
    while (found := ended(door.database)) < episodes and time.perf_counter() < until:
        time.sleep(LOOK_S)
    spent = door.cpu() - spent
    if taken != values or found != episodes:
        raise RuntimeError(f"of {values} values {taken} were taken, of {episodes} episodes {found} became cases")
    return SignalRun(
        devices=devices,
        values=values,
        values_per_s=round(values / busy),
        cpu_us=round(1e6 * spent / values, 2),
        core_percent=round(100 * spent / seconds, 1),
        episodes=episodes,
    )


def ended(database: Database) -> int:
    """How many signals have begun and ended."""
    with database.read() as connection:
        counts = open_counts.by_state(connection)
        return sum(count for kind, _, state, count in counts if (kind, state) == (SIGNAL.name, SUBSIDED))
