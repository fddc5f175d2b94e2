// 任务, 发件箱, 案件 and 核查: each answers its question in its first line, from what the phone keeps, whether there is a
// network or not.
"use strict";
(() => {
  const parts = member.parts, { w, el, fill, notice, pick, section, nothing, stateLine, postOf, maySay, copyLine } = parts;
  const { REPORT, CHECK, DISSUADE } = parts.TYPES, place = document.getElementById("page");
  const OF_CASE = ["gridpatrol.case.evidence_added.v1", "gridpatrol.case.commented.v1", "gridpatrol.case.urged.v1"];
  const path = (each) => (each.path.length ? each.path[each.path.length - 1].name : "");
  const believed = (pack, type) => { const act = maySay(pack, type); return act && !act.offline_ms ? el("p", { class: "quiet small" }, w("counts_on_arrival")) : null; };

  // A row that opens a form: the form is made when it is opened.
  function opening(label, works, made) {
    const box = el("details", { class: "act-form" }, el("summary", { class: works ? "works" : null }, label));
    const close = () => {
      const around = box.closest("details.more");
      for (const each of [box, around]) { if (each) { each.open = false; } }
      box.querySelectorAll("form").forEach((form) => form.remove()); // the next one has a draft, and an id, of its own
      delete box.dataset.made;
    };
    box.addEventListener("toggle", async () => {
      if (box.open && !box.dataset.made) { box.dataset.made = "1"; box.append(await made(close)); }
    });
    return box;
  }
  const titleOf = (row) => `${parts.act(row.event.type)}${row.about ? ` · ${row.about}` : ""}`;

  // ---- 今日任务 ----
  async function today() {
    const [tasks, pack, rows, patrol] = [await member.kept("tasks"), await member.kept("pack"), await member.acts(), await member.kept("patrol")];
    if (!tasks || !pack) { fill(place, nothing(w("no_copy"))); return; }
    const open = rows.filter(member.isOpenAct);
    const since = (row) => row.state === "done" && row.at > tasks.copied - 60000; // the copy may be older than the act
    const said = (task, type) => rows.find((row) => row.subject === task.id && row.event.type === type && (member.isOpenAct(row) || since(row)));
    const isDone = (task) => task.allowed.some((act) => act.works && said(task, act.type));
    const over = (task) => task.duty && task.duty.last < parts.day(Date.now()); // only its own day can keep it
    const left = tasks.tasks.filter((task) => !isDone(task) && !over(task)), lapsed = tasks.tasks.filter((task) => over(task) && !isDone(task));
    const counts = new Map();
    for (const task of left) {
      const label = task.duty ? w("duty_left", { duty: task.duty.duty.name }) : w("task_count", { n: left.filter((each) => each.task.code === task.task.code).length, task: pick(task.task) });
      counts.set(task.duty ? `duty ${task.duty.duty.code}` : task.task.code, label);
    }
    const late = left.filter((task) => task.due_at && Date.parse(task.due_at) < Date.now()).length;
    const first = el("p", { class: "answer" }, left.length ? w("today_left", { n: left.length, what: parts.list([...counts.values()]) }) : w("today_none"));
    if (late) { first.append(" ", el("strong", { class: "late" }, w("today_late", { n: late }))); }
    const line = (task) => {
      const mine = open.filter((row) => row.subject === task.id);
      const acts = task.allowed.filter((act) => maySay(pack, act.type) && parts.formOf(act.type) && parts.formOf(act.type).whole && !said(task, act.type));
      const title = `${task.duty ? task.duty.duty.name : parts.name(task.category)} ${task.short_number}`;
      const forms = (which) => acts.filter(which).map((act) => opening(parts.act(act.type), act.works, async (close) => {
        const form = await parts.actForm(act.type, task.id, pack, { title, after: close });
        form.prepend(...[believed(pack, act.type)].filter(Boolean));
        return form;
      }));
      const go = task.duty ? [el("a", { class: "button works", href: "/m/patrol" }, w("to_patrol"))]
        : task.task.code === "verify" ? [el("a", { class: "button works", href: `/m/checks#${task.id}` }, w("to_check"))] : forms((act) => act.works);
      const more = task.duty ? [] : forms((act) => !act.works);
      return el("li", { class: "task", id: `task-${task.id}` },
        el("h3", {}, task.duty ? task.duty.duty.name : parts.name(task.category), " ", el("code", {}, task.short_number)),
        el("p", {}, el("strong", {}, task.duty ? w("duty") : pick(task.task)), " · ", parts.due(task.due_at), el("br"), el("span", { class: "quiet" }, path(task))),
        mine.map((row) => el("p", { class: "outcome" }, `${parts.act(row.event.type)}：${stateLine(row)}`)),
        el("div", { class: "act-list" }, go, more.length ? el("details", { class: "more" }, el("summary", {}, w("more_acts")), more) : null));
    };
    fill(place, first, copyLine(tasks.copied), patrol ? el("p", { class: "outcome" }, el("a", { href: "/m/patrol" }, w("patrol_runs", { span: parts.span(Date.now() - patrol.started) }))) : null,
      el("ul", { class: "tasks" }, left.map(line)),
      left.length + lapsed.length < tasks.tasks.length ? section(w("today_said"), el("ul", { class: "tasks" }, tasks.tasks.filter(isDone).map((task) =>
        el("li", { class: "task" }, el("h3", {}, task.duty ? task.duty.duty.name : parts.name(task.category), " ", el("code", {}, task.short_number)),
          open.filter((row) => row.subject === task.id).map((row) => el("p", { class: "outcome" }, `${parts.act(row.event.type)}：${stateLine(row)}`)))))) : null,
      lapsed.length ? section(w("today_lapsed"), el("ul", {}, lapsed.map((task) => el("li", { class: "quiet" }, w("lapsed_one", { duty: task.duty.duty.name, day: task.duty.last })))), el("p", { class: "quiet small" }, w("lapsed_note"))) : null,
      el("p", {}, el("a", { class: "button main", href: "/m/problem" }, w("to_report"))));
  }
  // ---- 发件箱 ----
  async function outbox() {
    const rows = (await member.acts()).reverse(), pack = await member.kept("pack"), others = await member.leftByOthers();
    const bad = rows.filter(member.needsMending), open = rows.filter(member.isOpenAct);
    const waiting = open.filter(member.isUnsent), done = rows.filter((row) => !bad.includes(row) && !open.includes(row));
    const photoLines = async (row) => Promise.all(row.photos.map(async (sha256) => {
      const photo = await member.photo(sha256);
      if (!photo || photo.state === "sent") { return null; }
      return el("p", { class: "quiet" }, photo.state === "failed" ? [w("photo_refused", { why: pick(pack && pack.words.refusals[photo.why]) || photo.why }), " ",
        el("button", { type: "button", class: "plain", onclick: async () => { await member.changePhoto(sha256, { state: "waiting" }); member.sync.soon(); } }, w("photo_again"))]
        : w("photo_waiting", { kb: Math.round(photo.size / 1000) }));
    }));
    const line = async (row) => el("li", { class: "sent", "data-id": row.id, "data-state": row.state },
      el("h3", {}, titleOf(row)), el("p", {}, el("strong", {}, row.mended ? w("state_mended") : stateLine(row)), " ", el("span", { class: "quiet" }, w("said_at", { at: parts.clock(Date.parse(row.event.time)) }))),
      member.needsMending(row) ? [el("p", {}, pick(pack && pack.words.refusals[row.reason]) || row.reason, row.field ? el("span", {}, `（${labelOf(row)}）`) : null, " ", el("span", { class: "quiet", lang: "en" }, row.detail)), pack ? mending(row, pack) : null] : null,
      await photoLines(row),
      row.time === "clamped" ? el("p", { class: "quiet" }, w("time_clamped")) : null,
      (row.similar || []).length ? el("p", { class: "quiet" }, w("similar_known", { n: row.similar.length })) : null);
    const lines = async (some) => el("ul", { class: "tasks" }, await Promise.all(some.map(line)));
    const first = bad.length ? w("outbox_bad", { n: bad.length }) : waiting.length ? w("outbox_waiting", { n: waiting.length }) : open.length ? w("outbox_open", { n: open.length }) : w("outbox_clear");
    fill(place, el("p", { class: "answer" }, first), others ? el("p", { class: "outcome" }, w("left_by_others", { n: others })) : null,
      bad.length ? section(w("outbox_mend"), await lines(bad)) : null,
      open.length ? section(w("outbox_under_way"), await lines(open)) : null,
      done.length ? section(w("outbox_done"), await lines(done.slice(0, 60))) : null,
      open.length ? el("p", {}, el("button", { type: "button", onclick: () => member.sync.soon() }, w("send_now"))) : null);
  }
  const labelOf = (row) => {
    const form = parts.formOf(row.event.type), found = form && form.fields.find((each) => row.field === `data.${each.name}` || row.field === each.name);
    return found ? found[parts.ZH ? "zh" : "en"] : row.field;
  };
  // What was refused is mended in a form of its own: all that it said stands there, and what has no field goes along.
  function mending(row, pack) {
    return opening(w("mend"), true, (close) => {
      const form = parts.formOf(row.event.type), { evidence = [], ...data } = row.event.data;
      const fields = form.fields, given = {}, extra = {};
      for (const [key, value] of Object.entries(data)) { if (fields.some((each) => each.name === key)) { given[key] = String(value); } else { extra[key] = value; } }
      const mends = { id: row.id, time: row.event.time, fields: given, photos: evidence };
      return parts.actForm(row.event.type, row.subject, pack, { title: row.about, extra, mends, after: close });
    });
  }

  // ---- 我的案件 ----
  async function cases() {
    const [copy, pack, rows] = [await member.kept("cases"), await member.kept("pack"), await member.acts()];
    const known = new Set(copy ? copy.incidents.map((each) => each.id) : []);
    const own = rows.filter((row) => row.event.type === REPORT && !row.mends && !known.has(row.subject) && !(row.state === "done" && copy && row.at < copy.copied - 60000)).reverse();
    const openCases = copy ? copy.incidents.filter((each) => each.open) : [];
    const forms = (subject, title, types) => types.filter((type) => pack && maySay(pack, type) && parts.formOf(type)).map((type) => opening(parts.act(type), false, (close) =>
      parts.actForm(type, subject, pack, { title, after: close })));
    const unsent = (row) => {
      const said = rows.filter((each) => each.subject === row.subject && each !== row);
      const types = said.some((each) => each.event.type === DISSUADE) ? OF_CASE.slice(0, 2) : [DISSUADE, ...OF_CASE.slice(0, 2)];
      return el("li", { class: "task" }, el("h3", {}, row.about), el("p", {}, el("strong", {}, stateLine(row)), " ", el("span", { class: "quiet" }, w("said_at", { at: parts.clock(Date.parse(row.event.time)) }))),
        said.map((each) => el("p", { class: "quiet" }, `${parts.act(each.event.type)}：${stateLine(each)}`)),
        member.isOpenAct(row) ? el("details", { class: "more" }, el("summary", {}, w("more_acts")), forms(row.subject, row.about, types)) : null);
    };
    const line = (each) => el("li", { class: "task" }, el("h3", {}, parts.name(each.category), " ", el("code", {}, each.short_number)),
      el("p", {}, el("strong", {}, parts.ZH ? each.state_zh : each.state.replace(/_/g, " ")), " · ", each.open ? parts.due(each.due_at) : w("closed_at", { at: each.closed_at ? parts.clock(Date.parse(each.closed_at)) : "—" })),
      each.open && each.holder ? el("p", { class: "quiet" }, w("held_by", { unit: (each.holder.post || each.holder.department || each.holder.grid).name })) : null,
      rows.filter((row) => row.subject === each.id && member.isOpenAct(row)).map((row) => el("p", { class: "outcome" }, `${parts.act(row.event.type)}：${stateLine(row)}`)),
      each.open ? el("details", { class: "more" }, el("summary", {}, w("more_acts")), forms(each.id, `${parts.name(each.category)} ${each.short_number}`, OF_CASE)) : null);
    fill(place, el("p", { class: "answer" }, w("cases_first", { n: openCases.length + own.length, late: openCases.filter((each) => each.due_at && Date.parse(each.due_at) < Date.now()).length })),
      copy ? copyLine(copy.copied) : null, own.length ? section(w("cases_here"), el("ul", { class: "tasks" }, own.map(unsent))) : null,
      copy ? el("ul", { class: "tasks" }, copy.incidents.map(line)) : nothing(w("no_copy")));
  }

  // ---- 核查 ----
  const BEFORE = ["near", "far", "reference", "before"];
  async function checks() {
    const [tasks, pack, details, rows] = [await member.kept("tasks"), await member.kept("pack"), (await member.kept("details")) || {}, await member.acts()];
    if (!tasks || !pack) { fill(place, nothing(w("no_copy"))); return; }
    const due = tasks.tasks.filter((task) => task.task.code === "verify");
    const said = (task) => rows.filter((row) => row.subject === task.id && row.event.type === CHECK && (member.isOpenAct(row) || row.at > tasks.copied - 60000)).pop();
    const left = due.filter((task) => !said(task));
    const side = async (id, which, label) => {
      const files = ((details[id] || {}).files || []).filter((file) => which(file.kind)).slice(-2), pictures = [];
      for (const file of files) {
        const kept = await member.picture(file.sha256);
        pictures.push(kept ? parts.picture(kept.bytes, kept.type, label) : el("p", { class: "quiet" }, w(file.state === "awaited" ? "picture_awaited" : "picture_away")));
      }
      return el("figure", {}, el("figcaption", {}, label), pictures.length ? pictures : el("p", { class: "quiet" }, w("picture_none")));
    };
    const line = async (task) => {
      const title = `${parts.name(task.category)} ${task.short_number}`, mine = said(task);
      return el("li", { class: "task", id: task.id }, el("h3", {}, parts.name(task.category), " ", el("code", {}, task.short_number)),
        el("p", {}, parts.due(task.due_at), el("br"), el("span", { class: "quiet" }, path(task))),
        el("div", { class: "compare" }, await side(task.id, (kind) => BEFORE.includes(kind), w("before")), await side(task.id, (kind) => kind === "after", w("after"))),
        mine ? el("p", { class: "outcome" }, `${pick(pack.words.values[mine.event.data.outcome])}：${stateLine(mine)}`)
          : task.allowed.some((act) => act.type === CHECK) ? opening(w("check_record"), true, (close) => parts.actForm(CHECK, task.id, pack, { title, after: close })) : null);
    };
    fill(place, el("p", { class: "answer" }, left.length ? w("checks_first", { n: left.length }) : w("checks_none")), copyLine(tasks.copied), el("ul", { class: "tasks" }, await Promise.all(due.map(line))));
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted) {
      wanted.scrollIntoView();
      for (const box of wanted.querySelectorAll("details.act-form")) { box.open = true; }
    }
  }

  Object.assign(member.pages, { today, outbox, cases, checks });
})();
