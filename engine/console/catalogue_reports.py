"""The words of the pages of ledgers and reports, in Chinese and in English."""

OF_REPORTS: dict[str, tuple[str, str]] = {
    "ledger": ("台账", "Ledger"),
    "reports": ("通报", "Reports"),
    "ledger_n": ("{since} 至 {until} 上报 {n} 件", "{n} reported from {since} to {until}"),
    "ledger_many": ("{since} 至 {until} 上报超过 {n} 件", "More than {n} reported from {since} to {until}"),
    "ledger_shown": ("下面是前 {n} 件，全部见文件。", "The first {n} are below; the file has all."),
    "ledger_none": ("本期没有上报的案件。", "Nothing was reported in this period."),
    "download": ("下载", "Download"),
    "print_page": ("打印页（A4）", "Page to print (A4)"),
    "which_report": ("报告", "Report"),
    "report_in_chinese": ("报告正文为中文。", "The text of reports is in Chinese."),
    "report_period": ("期间", "Period"),
    "report_grid": ("网格编码", "Code of a grid"),
    "report_empty": ("本期", "the present one"),
    "report_all": ("全部", "all"),
    "period_hint_month": ("2026-03，或其中一天", "2026-03, or a day in it"),
    "period_hint_quarter": ("2026-Q1，或其中一天", "2026-Q1, or a day in it"),
    "period_hint_half": ("2026-H1，或其中一天", "2026-H1, or a day in it"),
    "period_hint_year": ("2026，或其中一天", "2026, or a day in it"),
}
