"""Instants as people read them, on the wall clock of the active pack."""

from engine.views.names import Names


def minute(instant: str | None) -> str:
    """`2026-03-02 09:00` of an RFC 3339 instant; nothing for no instant."""
    return (instant or "")[:16].replace("T", " ")


def duration(ms: int) -> str:
    """`3 d 4 h`, `25 min`: the two largest units."""
    minutes = ms // 60_000
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (rest, "min")) if n]
    return " ".join(parts[:2]) or "0 min"


def duration_zh(ms: int) -> str:
    """`3 天 4 小时`, `25 分`: the two largest units."""
    minutes = ms // 60_000
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{n} {unit}" for n, unit in ((days, "天"), (hours, "小时"), (rest, "分")) if n]
    return " ".join(parts[:2]) or "0 分"


class LocalClock:
    """Instants in milliseconds UTC on the wall clock of the active pack."""

    def __init__(self, names: Names) -> None:
        self.instant = names.instant
        """RFC 3339 with its offset."""

    def minute(self, ms: int | None) -> str:
        """`2026-03-02 09:00`; nothing for no instant."""
        return "" if ms is None else minute(self.instant(ms))

    def beside(self, ms: int, known: int) -> str:
        """`03-02 09:00` where another instant says the year, `2027-03-02 09:00` where that is another one."""
        text = self.minute(ms)
        return text[5:] if text[:4] == self.minute(known)[:4] else text
