"""Explains a deadline: from a calendar, a start, a limit and pauses, the spans of time that add up to it.

Every span says from when to when, how much of the limit it used, and why or why not (working window, midday break,
night, weekend, holiday by name, working weekend 调休, pause). The counted spans add up to the budget exactly. Long
limits are folded: whole ordinary working days become one line. `msgspec.to_builtins` of an `Explanation` is its JSON,
`render` its text, in Chinese or English.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date

import msgspec

from workflows.clocks.calendar import Calendar
from workflows.clocks.limits import DAY_MS, DayMeaning, Kind, Limit, decimal_text, limit_text
from workflows.clocks.spans import Piece, PieceReason, counted_pieces, folded
from workflows.clocks.timescales import MINUTE_MS

_WHY = {
    PieceReason.working: ("工作时段", "working window"),
    PieceReason.extra_day: ("调休上班", "working weekend"),
    PieceReason.special_hours: ("当日特定时段", "special hours of the day"),
    PieceReason.days: ("个完整工作日", "whole working days"),
    PieceReason.running: ("连续计时", "runs without a break"),
    PieceReason.day_begun: ("当日已开始，计一日", "a day that has begun counts"),
    PieceReason.clock_forward: ("时钟拨快", "clocks go forward"),
    PieceReason.clock_back: ("时钟拨慢", "clocks go back"),
    PieceReason.before_opening: ("未到上班时间", "before opening"),
    PieceReason.midday: ("午休", "midday break"),
    PieceReason.night: ("下班时间", "night"),
    PieceReason.weekend: ("周休日", "weekend"),
    PieceReason.holiday: ("假日", "holiday"),
    PieceReason.paused: ("暂停", "paused"),
}

_MEANING = {
    Kind.urgent_hour: ("昼夜连续计时，含夜间、周末和假日", "nights, weekends and holidays count"),
    Kind.working_hour: ("只计工作时段", "only working windows count"),
    Kind.calendar_day: ("每天24小时，按当地时间连续计", "days of the local wall clock, holidays count"),
}
_DAY_MEANING = {
    DayMeaning.same_time: ("到第N个工作日的同一时刻", "the same time of day, N working days on"),
    DayMeaning.end_of_day: ("到此后第N个工作日下班时", "until closing time of the Nth working day after"),
    DayMeaning.hours: ("按每日标准工时折算为工作时", "N times the daily hours, as working hours"),
}
_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Span(msgspec.Struct, frozen=True, rename={"from_at": "from", "to_at": "to"}):
    """One stretch of time. `counted` is exact, in units of the timescale; the texts are rounded."""

    from_at: str  # local, RFC 3339
    to_at: str
    from_ms: int
    to_ms: int
    counted: int
    counted_zh: str
    counted_en: str
    why: PieceReason
    why_zh: str
    why_en: str
    note: str = ""  # the holiday's name, or what the calendar says of an extra day
    days: int = 0  # working days in a folded span


class Explanation(msgspec.Struct, frozen=True):
    """A deadline and its calculation. It is `provisional` if it depends on days after `known_until` (YYYYMMDD)."""

    calendar: str
    zone: str
    kind: Kind
    limit_zh: str
    limit_en: str
    meaning_zh: str
    meaning_en: str
    start_at: str
    due_at: str
    start_ms: int
    due_ms: int
    budget: int
    total_zh: str
    total_en: str
    provisional: bool
    known_until: int
    spans: tuple[Span, ...]


def explain(calendar: Calendar, start_ms: int, limit: Limit, pauses: Sequence[tuple[int, int]] = ()) -> Explanation:
    """Compute a deadline, and show how. `pauses` are (from, to) instants.

    A pause that is still open is given with now as its end; the answer is then the deadline if the clock resumed now.
    Raises CalendarError and LimitError.
    """
    total, left = calendar.budget(limit), calendar.budget_from(start_ms, limit)
    shown = total - left
    pieces: list[Piece] = []
    at = start_ms
    for paused, resumed in sorted(pauses):
        paused, resumed = max(paused, at), max(resumed, at)
        if paused == resumed:
            continue
        if paused >= calendar.due_after(at, left, limit.kind):
            break  # the clock was due before this pause
        rest = calendar.left_at(paused, at, left, limit.kind)
        pieces += counted_pieces(calendar, limit.kind, at, paused, left - rest)
        pieces.append(Piece(paused, resumed, 0, PieceReason.paused))
        at, left = resumed, rest
    due = calendar.due_after(at, left, limit.kind)
    pieces += counted_pieces(calendar, limit.kind, at, due, left)
    if shown:  # it started in an hour that comes twice, of which the wall had shown that much
        first = next(n for n, piece in enumerate(pieces) if piece.counted)
        pieces[first] = pieces[first]._replace(counted=pieces[first].counted + shown)
    return _in_words(calendar, limit, start_ms, due, total, folded(calendar, pieces))


def _in_words(calendar: Calendar, limit: Limit, start: int, due: int, total: int, pieces: list[Piece]) -> Explanation:
    kind = limit.kind
    spans = []
    for piece in pieces:
        why_zh, why_en = _WHY[piece.why]
        if piece.days:
            why_zh, why_en = f"{piece.days}{why_zh}", f"{piece.days} {why_en}"
        spans.append(
            Span(
                from_at=calendar.local(piece.from_ms),
                to_at=calendar.local(piece.to_ms),
                from_ms=piece.from_ms,
                to_ms=piece.to_ms,
                counted=piece.counted,
                counted_zh=amount_text(calendar, kind, piece.counted, "zh"),
                counted_en=amount_text(calendar, kind, piece.counted, "en"),
                why=piece.why,
                why_zh=why_zh,
                why_en=why_en,
                note=piece.note,
                days=piece.days,
            )
        )
    meaning = _DAY_MEANING[calendar.day_meaning] if kind is Kind.working_day else _MEANING[kind]
    return Explanation(
        calendar=calendar.code,
        zone=calendar.data.zone,
        kind=kind,
        limit_zh=limit_text(limit, "zh"),
        limit_en=limit_text(limit, "en"),
        meaning_zh=meaning[0],
        meaning_en=meaning[1],
        start_at=calendar.local(start),
        due_at=calendar.local(due),
        start_ms=start,
        due_ms=due,
        budget=total,
        total_zh=amount_text(calendar, kind, total, "zh"),
        total_en=amount_text(calendar, kind, total, "en"),
        provisional=calendar.provisional(due, kind),
        known_until=calendar.data.last_day,
        spans=tuple(spans),
    )


def amount_text(calendar: Calendar, kind: Kind, amount: int, lang: str) -> str:
    """Units of a timescale for people: hours and minutes, or days to three decimals. `lang` is `zh` or `en`."""
    if kind is Kind.working_day and calendar.day_meaning is not DayMeaning.hours:
        rounded = decimal_text((amount * 1000 + DAY_MS // 2) // DAY_MS)
        return f"{rounded}个工作日" if lang == "zh" else f"{rounded} working day{'' if rounded == '1' else 's'}"
    days, ms = divmod(amount, DAY_MS) if kind is Kind.calendar_day else (0, amount)
    hours, ms = divmod(ms, 60 * MINUTE_MS)
    minutes, ms = divmod(ms, MINUTE_MS)
    seconds = decimal_text(ms)
    names = ("天", "小时", "分", "秒") if lang == "zh" else (" d", " h", " min", " s")
    parts = [
        f"{value}{name}"
        for value, name in zip((days, hours, minutes, seconds), names, strict=True)
        if value not in (0, "0")
    ]
    return ("" if lang == "zh" else " ").join(parts) or f"0{names[2]}"


def rough(kind: Kind, amount: int) -> int:
    """An amount as people ask for it: tenths of a working day, else whole minutes, and less than that as it is."""
    grain = DAY_MS // 10 if kind is Kind.working_day and amount >= DAY_MS else MINUTE_MS
    return amount // grain * grain or amount


def render(explanation: Explanation, lang: str = "zh") -> str:
    """Lines that can be read aloud on the telephone, in `zh` or `en`."""
    x, zh = explanation, lang == "zh"
    until = f"{x.known_until // 10000}-{x.known_until // 100 % 100:02d}-{x.known_until % 100:02d}"
    head = [
        ("期限", f"{x.limit_zh}（{x.meaning_zh}）") if zh else ("limit", f"{x.limit_en} ({x.meaning_en})"),
        ("日历", f"{x.calendar}（{x.zone}）") if zh else ("calendar", f"{x.calendar} ({x.zone})"),
        ("开始" if zh else "start", _instant(x.start_at, lang)),
    ]
    foot = [
        ("到期" if zh else "due", _instant(x.due_at, lang)),
        ("合计" if zh else "total", x.total_zh if zh else x.total_en),
    ]
    if x.provisional and zh:
        foot.append(("暂定", f"日历只载明到 {until} 的节假日；其后的安排公布并启用后，此时限可能变动"))
    elif x.provisional:
        foot.append(("provisional", f"holidays are known until {until} only; a newer calendar may move it"))
    width = max(_width(label) for label, _ in head + foot)
    lines = [f"{_padded(label, width)}  {text}" for label, text in head]
    rows = [_row(span, lang) for span in x.spans]
    widths = [max((_width(row[i]) for row in rows), default=0) for i in range(2)]
    lines += [f"  {_padded(a, widths[0])}  {_padded(b, widths[1])}  {c}" for a, b, c in rows]
    return "\n".join(lines + [f"{_padded(label, width)}  {text}" for label, text in foot])


def _row(span: Span, lang: str) -> tuple[str, str, str]:
    """When (`2026-02-14 周六 17:00 - 18:00`), how much it counted, and why."""
    day, clock, _ = _parts(span.from_at)
    end_day, end_clock, _ = _parts(span.to_at)
    if end_clock == "00:00" and end_day > day:
        end_day, end_clock = date.fromordinal(end_day.toordinal() - 1), "24:00"
    when = f"{_day_text(day, lang)} {clock}"
    if span.from_at != span.to_at:
        when += f" - {end_clock}" if day == end_day else f" - {_day_text(end_day, lang)} {end_clock}"
    counted, why = (span.counted_zh, span.why_zh) if lang == "zh" else (span.counted_en, span.why_en)
    if span.note and why in span.note:
        why = span.note  # the calendar's own name of the day says it already
    elif span.note:
        first, second = (why, span.note) if span.days else (span.note, why)
        why = f"{first}（{second}）" if lang == "zh" else f"{first} ({second})"
    return when, f"+{counted}" if span.counted else "不计" if lang == "zh" else "-", why


def _instant(at: str, lang: str) -> str:
    day, clock, offset = _parts(at)
    return f"{_day_text(day, lang)} {clock} (UTC{offset})"


def _parts(at: str) -> tuple[date, str, str]:
    """Date, time of day without needless seconds, and offset of an RFC 3339 text."""
    clock, offset = at[11:-6], at[-6:]
    return date.fromisoformat(at[:10]), clock.removesuffix(":00") if len(clock) == 8 else clock, offset


def _day_text(day: date, lang: str) -> str:
    name = f"周{_WEEKDAYS_ZH[day.weekday()]}" if lang == "zh" else _WEEKDAYS_EN[day.weekday()]
    return f"{day.isoformat()} {name}"


def _width(text: str) -> int:
    """Columns on a terminal; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
