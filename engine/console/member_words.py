"""The words of the phone's pages, in Chinese and in English, and the forms of what a phone may say.

Scripts fill in what stands in braces. What stands here and nowhere in the shell or its scripts, or the other way round,
fails a test.
"""

from functools import cache
from typing import Any

from msgspec.structs import fields

from engine.console.formatting import Language, Words
from engine.console.forms import act_words, form_for
from schemas.events import EVENTS, OLDER_NAMES
from workflows.definitions import DEFINITIONS

MEMBER_WORDS: dict[str, tuple[str, str]] = {
    # around the pages
    "app_name": ("网格巡查 · 网格员", "gridpatrol member"),
    "skip": ("跳到正文", "Skip to the content"),
    "menu": ("页面", "Pages"),
    "language_switch": ("English", "中文"),
    "sign_out": ("退出", "Sign out"),
    "sign_in": ("登录", "Sign in"),
    "today": ("任务", "Tasks"),
    "problem": ("上报", "Report"),
    "outbox": ("发件箱", "Outbox"),
    "cases": ("案件", "Cases"),
    "checks": ("核查", "Checks"),
    "patrol": ("巡查", "Patrol"),
    "starting": ("正在打开…", "Opening …"),
    "no_script": (
        "此页需要脚本：离线记录存在手机里。",
        "This page needs scripts: they keep your records on the phone.",
    ),
    "online": ("已联网", "Online"),
    "offline": ("离线", "Offline"),
    "offline_since": ("离线：上次更新 {at}", "Offline: last updated {at}"),
    "not_signed_in": ("未登录", "Not signed in"),
    "server_busy": ("服务器忙，稍后再发", "The server is busy: later again"),
    "all_sent": ("全部已发", "All is sent"),
    "waiting_count": ("待发 {n} 件", "{n} to be sent"),
    "open_count": ("等结果 {n} 件", "{n} not decided yet"),
    "bad_count": ("没办成 {n} 件", "{n} not done"),
    "insecure": (
        "此地址不是 https，手机不能离线保存页面和照片。请用 https 地址打开。",
        "This address is not https: the phone can keep neither pages nor photos. Open it by its https address.",
    ),
    "sign_in_again": (
        "登录已过期。记录都在手机里，登录后继续发送。",
        "Your session is over. All is kept here, and is sent once you sign in.",
    ),
    "choose_post": ("选岗位", "Choose a post"),
    "never_signed_in": (
        "请先联网打开并登录一次，之后无网也能用。",
        "Open this once with a network and sign in; then it works without one.",
    ),
    "server_refuses": ("服务器拒绝：{why}。记录都在手机里。", "The server refuses: {why}. All is kept on the phone."),
    "clock_off": ("手机时间与服务器相差 {span}，请校准。", "The phone's clock is off by {span}: set it right."),
    "copy_fresh": ("{at} 更新", "As of {at}"),
    "copy_of": ("{at} 的副本，{age}前", "As of {at}, {age} ago"),
    "no_copy": ("还没有副本，请联网打开一次。", "Nothing is kept here yet: open this once with a network."),
    "unit_day": ("{n} 天", "{n} d"),
    "unit_hour": ("{n} 小时", "{n} h"),
    "unit_minute": ("{n} 分", "{n} min"),
    "late": ("超 {span}", "{span} late"),
    "left": ("还剩 {span}（{at}）", "{span} left ({at})"),
    "no_deadline": ("无时限", "no deadline"),
    "more_acts": ("其他", "More"),
    "optional": ("选填", "optional"),
    "none_chosen": ("请选择", "choose"),
    "limit_hint": ("如 4工作时", "such as 4工作时"),
    "counts_on_arrival": ("此项以送达的时间计。", "This counts when it arrives."),
    # leaving
    "leave_warning": (
        "还有 {n} 件没有办结，仍留在这部手机里，要你重新登录后才继续。",
        "{n} acts are not settled. They stay on this phone, and go on only when you sign in here again.",
    ),
    "leave_all_the_same": ("仍要退出", "Sign out all the same"),
    "stay": ("不退出", "Stay"),
    "leave_offline": ("现在没有网络，无法退出。", "There is no network, so you cannot sign out now."),
    # today
    "today_left": ("还有 {n} 项：{what}。", "{n} left: {what}."),
    "today_late": ("{n} 项已超期", "{n} overdue"),
    "today_none": ("没有待办。", "Nothing waits for you."),
    "today_said": ("已记录，等待结果", "Recorded, not decided yet"),
    "today_lapsed": ("没有记录的", "Not recorded"),
    "lapsed_one": ("{duty}，{day}", "{duty}, {day}"),
    "lapsed_note": (
        "过了当天不能再记；当天离线记下的会自动补报。",
        "Only its own day can keep it; what was kept offline that day is sent by itself.",
    ),
    "task_count": ("{n} 处{task}", "{n} × {task}"),
    "duty_left": ("{duty}未完成", "{duty} to be done"),
    "duty": ("履职", "duty"),
    "to_patrol": ("去巡查", "To the patrol"),
    "to_check": ("去核查", "To the check"),
    "to_report": ("发现问题，上报", "Report a problem"),
    # report
    "report_first": ("上报问题", "Report a problem"),
    "report_send": ("上报", "Report"),
    "report_kept": ("已存下“{about}”，正在发送。", "Kept “{about}”, and being sent."),
    "report_kept_offline": (
        "已存在手机里“{about}”，有网即发。",
        "Kept “{about}” on the phone; it goes when there is a network.",
    ),
    "report_clear": ("不报了，清空", "Do not report, clear the form"),
    "report_next": ("再报一件", "Report another"),
    "category": ("类别", "Category"),
    "handled_by": ("{level}负责", "handled by the {level}"),
    "description": ("说明", "Description"),
    "grid": ("网格", "Grid"),
    "place": ("地点", "Place"),
    "place_here": ("用我现在的位置", "Where I am"),
    "place_none": ("点“用我现在的位置”，或在图上点。", "Take where you are, or tap the map."),
    "place_in": ("在{grid}", "In {grid}"),
    "place_elsewhere": (
        "此处不在你的网格内；仍报为下面的网格。",
        "This is outside your grid; it is reported as of the grid below.",
    ),
    "place_accuracy": ("误差约 {m} 米", "to about {m} m"),
    "place_denied": (
        "手机不允许取位置：在图上点，或选网格。",
        "The phone gives no position: tap the map, or choose the grid.",
    ),
    "place_unknown": ("取不到位置：在图上点，或选网格。", "No position was found: tap the map, or choose the grid."),
    "map_label": ("网格地图，点一下选地点", "Map of your grids: tap to choose the place"),
    "map_synthetic": ("边界为合成示例。", "The borders are synthetic."),
    "near_first": ("附近已有 {n} 件同类：", "{n} of this kind nearby already:"),
    "near_one": ("{category}，{m} 米内，{age}前，{state}", "{category}, within {m} m, {age} ago, {state}"),
    "near_note": ("拿不准就照报，由上级合并。", "If you are not sure, report it: people merge."),
    "dissuade_goes_up": ("无效或无法劝阻的，随即上报。", "What was in vain is reported up with it."),
    "dissuade_title": ("告知劝阻", "Dissuasion"),
    "dissuade_effective": ("劝阻有效", "They stopped"),
    "dissuade_ineffective": ("劝阻无效，上报", "In vain: report up"),
    "dissuade_impossible": ("无法劝阻，上报", "Nobody there: report up"),
    "dissuade_later": ("还没劝阻", "Not yet"),
    # photos
    "photo": ("照片", "photo"),
    "photo_take": ("拍照", "Take a photo"),
    "photo_add": ("加照片", "Add a photo"),
    "photo_needed": ("拍照（必须）", "Take a photo (needed)"),
    "photo_missing": ("要先拍一张照片。", "A photo is needed first."),
    "photo_remove": ("去掉", "Remove"),
    "photo_working": ("正在处理照片…", "Working on the photo …"),
    "photo_full": (
        "手机存储已满，这张照片没有存下。清出空间后再拍。",
        "The phone is full: this photo was not kept. Make room, and take it again.",
    ),
    "photo_insecure": ("此地址不是 https，不能存照片。", "Photos need an https address."),
    "photo_unreadable": ("这张照片读不出来，请换一张。", "This picture cannot be read: take another one."),
    "photo_failed": ("照片没有存下，请再试。", "The photo was not kept: try again."),
    "photo_waiting": ("照片待传（{kb} kB）", "Photo to be sent ({kb} kB)"),
    "photo_refused": ("照片没有收下：{why}。", "The photo was not taken: {why}."),
    "photo_again": ("重传", "Send again"),
    "room_short": (
        "手机存储快满了，照片可能存不下。请先清出空间。",
        "The phone is nearly full: photos may not fit. Make room first.",
    ),
    # acts
    "act_full": (
        "手机存储已满，没有存下。填的都还在，清出空间后再提交。",
        "The phone is full, nothing was kept. What you typed is still here.",
    ),
    "act_failed": ("没有存下，请再试。", "It was not kept: try again."),
    "resend": ("改好重发", "Send as mended"),
    # outbox
    "outbox_bad": ("{n} 件没办成，要改。", "{n} not done: to be mended."),
    "outbox_waiting": ("{n} 件待发，都在手机里。", "{n} to be sent, kept on the phone."),
    "outbox_open": ("都已送达，{n} 件等结果。", "All is sent; {n} are not decided yet."),
    "outbox_clear": ("都办完了。", "All is settled."),
    "outbox_mend": ("没办成", "Not done"),
    "outbox_under_way": ("在途", "Under way"),
    "outbox_done": ("已有结果", "Settled"),
    "left_by_others": (
        "这部手机上另有别人未发的 {n} 件，由本人登录后发送。",
        "Somebody else has left {n} acts on this phone; they go when that member signs in.",
    ),
    "state_waiting": ("待发", "to be sent"),
    "state_sent": ("已送达，等结果", "sent, not decided yet"),
    "state_done": ("已办", "done"),
    "state_pending": ("已送达，服务器在处理故障", "sent; the server holds it up"),
    "state_refused": ("没办成", "not done"),
    "state_conflict": ("没办成：编号被用过", "not done: its id was used before"),
    "state_parked": ("已送达，等前一步：{what}，最晚 {until}", "sent, waits for {what}, until {until} at the latest"),
    "state_parked_time": ("时间", "time"),
    "state_mended": ("已改好重发", "mended and sent anew"),
    "said_at": ("{at} 记", "said {at}"),
    "time_clamped": ("时间未被采信，以送达计。", "Its time was not believed: it counts from its arrival."),
    "similar_known": ("可能与 {n} 件在办的相同。", "It may be the same as {n} that are open."),
    "mend": ("改", "Mend"),
    "send_now": ("现在发送", "Send now"),
    # cases
    "cases_first": ("我报的在办 {n} 件，超期 {late} 件。", "{n} of mine are open, {late} overdue."),
    "cases_here": ("刚报的", "Reported just now"),
    "closed_at": ("{at} 结束", "over {at}"),
    "held_by": ("在{unit}", "with {unit}"),
    # checks
    "checks_first": ("待核查 {n} 处。", "{n} to check."),
    "checks_none": ("没有待核查的。", "Nothing to check."),
    "check_record": ("记核查结果", "Record the check"),
    "before": ("处置前", "Before"),
    "after": ("处置后", "After"),
    "picture_none": ("没有照片", "no photo"),
    "picture_awaited": ("照片还没传到", "photo not sent yet"),
    "picture_away": ("照片不在手机里", "photo not on this phone"),
    # patrol
    "patrol_first": ("还没开始巡查。", "No patrol is running."),
    "patrol_done": ("今天的巡查已记录。", "Today's patrol is recorded."),
    "patrol_not_owed": ("今天没有巡查。", "No patrol is owed today."),
    "patrol_owed": ("已记 {n} 次，要 {quota} 次", "{n} of {quota} recorded"),
    "patrol_start": ("开始巡查", "Start"),
    "patrol_stop": ("结束巡查", "Stop"),
    "patrol_runs": ("巡查中，已 {span}。", "On patrol for {span}."),
    "patrol_since": ("{at} 开始", "since {at}"),
    "patrol_found": ("发现 {n} 件", "{n} found"),
    "patrol_nothing": ("还没有发现问题。", "Nothing was found so far."),
    "patrol_other_day": (
        "这次巡查属于前一天，不能再记。",
        "This patrol belongs to another day, and cannot be recorded any more.",
    ),
    "patrol_drop": ("作废这次巡查", "Drop this patrol"),
    "patrol_form": ("此项还要登记表，请在电脑上补。", "This duty also needs a form: add it at a desk."),
}
EVIDENCE = "evidence"
"""The member of an event that has its photos."""
BIRTHS = {birth for kind in DEFINITIONS.values() for birth in kind.births}
OF_A_REPORT = ("category", "grid", "description")
"""What of a report is mended in a form; all else goes along as it was."""


def words_in(language: Language) -> dict[str, str]:
    """The words of the shell in one language."""
    return {key: zh if language == "zh" else en for key, (zh, en) in MEMBER_WORDS.items()}


@cache
def phone_forms() -> dict[str, Any]:
    """By trigger what a phone's form asks for: its fields with their labels, and whether it takes photos or needs one.
    Not `whole`: it needs what no form of a phone has."""
    found = dict[str, Any]()
    for trigger, event in EVENTS.items():
        if trigger in OLDER_NAMES:
            continue
        form, taken = form_for(trigger), [each for each in fields(event.data) if each.encode_name == EVIDENCE]
        photos = "" if not taken else "needed" if taken[0].required else "offered"
        asked = [
            each
            for each in form.fields
            if each.shape != "cases" and (trigger not in BIRTHS or each.name in OF_A_REPORT)  # a phone knows no parts
        ]
        zh, en = act_words(trigger)
        found[trigger] = {
            "zh": zh,
            "en": en,
            "whole": form.whole or photos == "needed",
            "photos": photos,
            "fields": [
                {
                    "name": each.name,
                    "shape": each.shape,
                    "needed": each.needed,
                    "choices": each.choices,
                    "zh": label_of(each.name, "zh"),
                    "en": label_of(each.name, "en"),
                }
                for each in asked
            ],
        }
    return found


def label_of(name: str, language: Language) -> str:
    """What the field of a member is called."""
    return words_in(language)[name] if name in OF_A_REPORT else str(Words(language).member(name))
