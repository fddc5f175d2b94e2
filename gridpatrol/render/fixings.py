"""The six fixings of grids (六定) as one file of HTML: a page of A4 for each grid, to be printed and signed.

HTML, for every office has a program that prints it, and nothing has to be installed. It runs no script and loads
nothing.
"""

from collections.abc import Sequence
from html import escape

from workflows.grid_fixings import FixingOfGrid, fixings_of
from workflows.policy.index import Policy

STYLE = """
@page { size: A4; margin: 14mm }
body { font: 9.5pt/1.35 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", sans-serif }
body { margin: 0 auto; max-width: 182mm }
section { break-after: page; break-inside: avoid }
h1 { font-size: 14pt; margin: 0 }
p { margin: 0 0 2mm }
table { border-collapse: collapse; width: 100% }
th, td { border: 0.3pt solid #555; padding: 1mm 1.5mm; text-align: left; vertical-align: top }
th { width: 17mm }
ul { margin: 0; padding-left: 4mm }
.many { columns: 2 }
.en { color: #444; font-size: 7.5pt }
.lacks { font-weight: bold }
footer { margin-top: 3mm }
"""
MANY = 8
"""From so many lines on they stand in two columns."""


def fixings_page(register: Policy, grids: Sequence[str], at: int) -> str:
    """The page of each of these grids, as of an instant (ms)."""
    pack, day = register.pack, register.clock_of_days.local(at)[:10]
    sections = "\n".join(section(register, code, at, day) for code in grids)
    title = escape(f"{pack.title_zh} 六定")
    return (
        f'<!doctype html>\n<html lang="zh-CN">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{sections}\n</body>\n</html>\n"
    )


def section(register: Policy, code: str, at: int, day: str) -> str:
    """The page of one grid."""
    grid, pack = register.grids[code], register.pack
    rows = "\n".join(row(each) for each in fixings_of(register, code, at))
    head = f"<h1>{escape(grid.name)} 六定</h1>"
    about = f"{code} · {day} · {pack.title_zh} {pack.title_en} · {register.hash[:12]}"
    notice = f"<p>{escape(pack.notice)}</p>" if pack.notice else ""
    signed = "<footer>网格长签字 Signed: ____________________　日期 Date: ____________</footer>"
    return f"<section>\n{head}\n<p>{escape(about)}</p>{notice}\n<table>\n{rows}\n</table>\n{signed}\n</section>"


def row(fixing: FixingOfGrid) -> str:
    """One of the six: what is fixed, and what is missing."""
    lines = [f'<li>{escape(zh)} <span class="en">{escape(en)}</span></li>' for zh, en in fixing.has]
    lines += [f'<li class="lacks">缺 {escape(zh)} <span class="en">{escape(en)}</span></li>' for zh, en in fixing.lacks]
    many = ' class="many"' if len(lines) >= MANY else ""
    head = f'{fixing.zh}<br><span class="en">{fixing.en}</span>'
    return f"<tr><th>{head}</th><td><ul{many}>{''.join(lines)}</ul></td></tr>"
