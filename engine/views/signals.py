"""Devices (监测设备) and what stands of them: episodes that have begun and are not over, and silence.

Shown are the devices in the grids of which signals are read. Those of which something stands come first.
"""

from msgspec import Struct

from engine.policies import Policies
from engine.store import watched
from engine.store.database import Connection
from engine.views.names import Named, active_names
from schemas.kinds.signal import SIGNAL
from schemas.short_numbers import short_number
from workflows.policy.devices import Device
from workflows.reading import Readable
from workflows.watching import Watched, decode

MOST = 500
"""So many devices are shown at most."""


class EpisodeLine(Struct, frozen=True, kw_only=True):
    """What stands of a device under a rule: since when (an instant as text), how bad, and the case."""

    title_zh: str
    title_en: str
    silent: bool
    since: str
    severity: int
    worst: str
    case: str
    number: str


class DeviceLine(Struct, frozen=True, kw_only=True):
    """A device. `seen`: when it was heard last, as text, as far as that is stored; empty: never."""

    code: str
    name: str
    type_zh: str
    type_en: str
    grid: Named
    seen: str
    episodes: list[EpisodeLine]


class SignalPage(Struct, frozen=True, kw_only=True):
    """The answer: how many devices there are and how many are silent, how many episodes stand, and the devices."""

    devices: int
    silent: int
    episodes: int
    lines: list[DeviceLine]


def signal_page(connection: Connection, policies: Policies, readable: Readable) -> SignalPage:
    """The devices of the active pack that are read. Raises NoActivePack."""
    names = active_names(connection, policies)
    register, sight = names.register, readable.of(SIGNAL.name)
    states = dict[str, list[tuple[str, Watched]]]()
    for row in watched.read_watched(connection):
        if row.phase in ("standing", "falling", "silent"):
            states.setdefault(row.device, []).append((row.rule, decode(row.body)))
    seen = watched.read_seen(connection)

    def is_read(device: Device) -> bool:
        path = register.path(device.grid) if device.grid in register.grids else ()
        return sight.within(f"/{'/'.join(path)}/") or not sight.own.grids.isdisjoint(path)

    def episode(code: str, state: Watched) -> EpisodeLine:
        rule = register.signals.get(code)
        return EpisodeLine(
            title_zh=rule.title_zh if rule else code,
            title_en=rule.title_en if rule else code,
            silent=state.phase == "silent",
            since=names.instant(state.since),
            severity=state.severity,
            worst=state.worst,
            case=state.subject,
            number=short_number(state.subject) if state.subject else "",
        )

    shown = [device for device in register.pack.devices if is_read(device)]
    lines = []
    for device in sorted(shown, key=lambda each: (each.code not in states, each.code)):
        kind, heard = register.device_types.get(device.type), seen.get(device.code)
        line = DeviceLine(
            code=device.code,
            name=device.name,
            type_zh=kind.title_zh if kind else device.type,
            type_en=kind.title_en if kind else device.type,
            grid=names.grid(device.grid),
            seen=names.instant(heard) if heard else "",
            episodes=[episode(*each) for each in sorted(states.get(device.code, []), key=lambda each: each[0])],
        )
        lines.append(line)
    standing = [each for line in lines for each in line.episodes]
    silent = sum(each.silent for each in standing)
    return SignalPage(devices=len(shown), silent=silent, episodes=len(standing) - silent, lines=lines[:MOST])
