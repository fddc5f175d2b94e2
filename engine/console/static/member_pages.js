// The pages: each answers its question in its first line, from what the phone keeps, whether there is a network or not.
"use strict";
(() => {
  const parts = member.parts, { w, el, fill, notice, pick } = parts;
  const place = document.getElementById("page"), status = document.getElementById("status"), who = document.getElementById("who");
  const name = location.pathname.split("/").pop() || "today";
  const DUTY = "gridpatrol.duty.recorded.v1", REPORT = "gridpatrol.report.submitted.v1", CHECK = "gridpatrol.verification.recorded.v1";
  const DISSUADE = "gridpatrol.dissuasion.recorded.v1", UP = "gridpatrol.incident.reported_up.v1";
  const OF_CASE = ["gridpatrol.case.evidence_added.v1", "gridpatrol.case.commented.v1", "gridpatrol.case.urged.v1"];
  const ROOM_LEAST = 20e6;
  let shown = "";

  const postOf = (pack) => pack.posts[0];
  const maySay = (pack, type) => postOf(pack).actions.find((each) => each.type === type);
  const path = (each) => (each.path.length ? each.path[each.path.length - 1].name : "");
  const copyLine = (copied) => el("p", { class: "quiet as-of" }, w("copy_of", { at: parts.clock(copied), age: parts.span(Date.now() - copied) }));
  const section = (title, ...children) => el("section", {}, el("h2", {}, title), children);
  const nothing = (text) => el("p", { class: "empty" }, text);
  const believed = (pack, type) => { const act = maySay(pack, type); return act && !act.offline_ms ? el("p", { class: "quiet small" }, w("counts_on_arrival")) : null; };

  // A row that opens a form: the form is made when it is opened.
  function opening(label, works, made) {
    const box = el("details", { class: "act-form", ontoggle: async () => { if (box.open && !box.dataset.made) { box.dataset.made = "1"; box.append(await made(() => { box.open = false; })); } } },
      el("summary", { class: works ? "works" : null }, label));
    return box;
  }
  function stateLine(row) {
    const words = {
      waiting: w("state_waiting"), sent: w("state_sent"), done: w("state_done"), pending: w("state_pending"), refused: w("state_refused"),
      rejected: w("state_refused"), conflict: w("state_conflict"),
      parked: w("state_parked", { what: parts.list((row.waits_for || []).map(parts.act)) || w("state_parked_time"), until: row.until ? parts.clock(Date.parse(row.until)) : "—" }),
    };
    return words[row.state];
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
        const form = await parts.actForm(act.type, task.id, pack, { title, after: async () => { close(); if (act.type === DISSUADE) { await upAfter(task.id, title); } } });
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
  // What was dissuaded in vain goes up: in the same tap where the member has no choice to make.
  async function upAfter(subject, title) {
    const row = (await member.acts()).filter((each) => each.subject === subject && each.event.type === DISSUADE).pop();
    if (row && row.event.data.outcome !== "effective") {
      const draft = await parts.draftOf(`draft:up:${row.id}`, 1);
      await member.say([{ id: draft.ids[0], type: UP, subject, data: {}, about: title }], `draft:up:${row.id}`);
    }
  }

  // ---- 上报 ----
  async function problem() {
    const pack = await member.kept("pack");
    if (!pack) { fill(place, nothing(w("no_copy"))); return; }
    const post = postOf(pack), grids = member.ownGrids(pack, post), leaves = grids.filter((grid) => grid.border || grids.length === 1);
    const draft = await parts.draftOf("draft:report", 3);
    if (!draft.subject) { draft.subject = member.newSubject(post.home); }
    const keep = () => member.keep("draft:report", draft);
    await keep();
    const room = await member.room();
    const where = el("div", { class: "where" }), near = el("div", { "aria-live": "polite" }), dissuasion = el("div"), told = el("div", { "aria-live": "polite" });
    const category = () => pack.categories.find((each) => each.code === draft.fields.category);

    function showPlace() {
      const spot = draft.place, grid = spot ? member.gridAt(pack, spot.lon, spot.lat) : null;
      const own = grid && leaves.includes(grid);
      if (own) { draft.grid = grid.code; }
      const map = member.map(leaves, spot, w("map_label"), (lon, lat) => { draft.place = { lon, lat, by: "map" }; keep(); showPlace(); showNear(); });
      const choose = el("select", { id: "grid", onchange: (event) => { draft.grid = event.target.value; keep(); } },
        leaves.map((each) => el("option", { value: each.code, selected: each.code === draft.grid }, each.name)));
      if (!draft.grid) { draft.grid = choose.value; }
      fill(where,
        el("p", {}, spot ? (own ? w("place_in", { grid: grid.name }) : w("place_elsewhere")) : w("place_none"),
          spot && spot.accuracy ? el("span", { class: "quiet" }, ` ${w("place_accuracy", { m: spot.accuracy })}`) : null),
        map, map && pack.notice ? el("p", { class: "quiet small" }, w("map_synthetic")) : null,
        own ? null : el("div", { class: "field" }, el("label", { for: "grid" }, w("grid")), choose));
    }
    async function locate() {
      try {
        const here = await member.whereAmI();
        draft.place = here;
        await keep();
        showPlace();
        showNear();
      } catch (error) { fill(near, notice(w(error.message === "denied" ? "place_denied" : "place_unknown"), true)); }
    }
    async function showNear() {
      if (!draft.place || !category() || member.sync.state === "away" || !member.sync.session) { fill(near); return; }
      const spot = draft.place, query = new URLSearchParams({ position: `${spot.lon.toFixed(7)},${spot.lat.toFixed(7)}`, crs: "WGS84", category: draft.fields.category, post: post.code });
      try {
        const found = await member.ask(`/m/v1/similar?${query}`);
        fill(near, found.cases.length ? [notice(w("near_first", { n: found.cases.length })), el("ul", {}, found.cases.map((each) =>
          el("li", {}, w("near_one", { category: parts.name(each.category), m: each.within_m, age: parts.span(each.age_ms), state: parts.ZH ? each.state_zh : each.state.replace(/_/g, " ") })))),
        el("p", { class: "quiet" }, w("near_note"))] : null);
      } catch { fill(near); }
    }
    function showDissuasion() {
      const chosen = category();
      if (!chosen || !chosen.dissuade || !maySay(pack, DISSUADE)) { fill(dissuasion); return; }
      const options = [["effective", w("dissuade_effective")], ["ineffective", w("dissuade_ineffective")], ["impossible", w("dissuade_impossible")], ["", w("dissuade_later")]];
      fill(dissuasion, el("fieldset", {}, el("legend", {}, w("dissuade_title")), el("div", { class: "radios" }, options.map(([code, label]) =>
        el("label", {}, el("input", { type: "radio", name: "dissuasion", value: code, checked: (draft.fields.dissuasion || "") === code, onchange: () => { draft.fields.dissuasion = code; keep(); } }), el("span", {}, label))))));
    }
    const groups = new Map();
    for (const each of pack.categories) { groups.set(each.level, [...(groups.get(each.level) || []), each]); }
    const levelName = (level) => pick((pack.levels.find((each) => each.level === level) || {}).name);
    const select = el("select", { id: "category", required: true, onchange: (event) => { draft.fields.category = event.target.value; keep(); showDissuasion(); showNear(); } },
      el("option", { value: "" }, w("none_chosen")),
      [...groups].sort((one, other) => other[0] - one[0]).map(([level, all]) => el("optgroup", { label: w("handled_by", { level: levelName(level) }) },
        all.map((each) => el("option", { value: each.code, selected: each.code === draft.fields.category }, pick(each.name))))));
    const button = el("button", { class: "main" }, w("report_send"));
    const form = el("form", { class: "stack act", id: "report-form", onsubmit: send },
      room !== null && room < ROOM_LEAST ? notice(w("room_short"), true) : null,
      parts.photos(draft, "near", w("photo_take"), keep),
      el("div", { class: "field" }, el("label", { for: "category" }, w("category")), select),
      dissuasion,
      el("fieldset", {}, el("legend", {}, w("place")), el("button", { type: "button", id: "locate", onclick: locate }, el("span", { "aria-hidden": "true" }, "◎ "), w("place_here")), where), near,
      el("div", { class: "field" }, el("label", { for: "description" }, w("description"), el("span", { class: "quiet" }, ` ${w("optional")}`)),
        el("textarea", { id: "description", rows: 3, maxlength: 4000, value: draft.fields.description || "", oninput: (event) => { draft.fields.description = event.target.value; keep(); } })),
      told, button);
    async function send(event) {
      event.preventDefault();
      button.disabled = true;
      const spot = draft.place, own = spot && leaves.some((grid) => member.gridAt(pack, spot.lon, spot.lat) === grid);
      const data = { category: draft.fields.category, source: "patrol" };
      if (spot) { data.position = { lon: Number(spot.lon.toFixed(7)), lat: Number(spot.lat.toFixed(7)), crs: "WGS84", ...(spot.accuracy ? { accuracy_m: spot.accuracy } : {}) }; }
      if (!own) { data.grid = draft.grid; }
      if (draft.photos.length) { data.evidence = draft.photos; }
      if ((draft.fields.description || "").trim()) { data.description = draft.fields.description.trim(); }
      const about = pick(category().name), [first, second, third] = draft.ids, subject = draft.subject;
      const acts = [{ id: first, type: REPORT, subject, data, about }];
      const outcome = category().dissuade ? draft.fields.dissuasion || "" : "";
      if (outcome) { acts.push({ id: second, type: DISSUADE, subject, data: { outcome }, about }); }
      if (outcome && outcome !== "effective") { acts.push({ id: third, type: UP, subject, data: {}, about }); }
      try {
        const patrol = await member.kept("patrol");
        const keeps = patrol && !patrol.problems.includes(subject) ? { patrol: { ...patrol, problems: [...patrol.problems, subject] } } : {};
        await member.say(acts, "draft:report", keeps);
        if (navigator.storage && navigator.storage.persist) { navigator.storage.persist(); }
        fill(place, el("p", { class: "answer", id: "kept" }, w(navigator.onLine ? "report_kept" : "report_kept_offline", { about })), el("p", {}, el("a", { class: "button", href: "/m/outbox" }, w("outbox"))),
          el("p", {}, el("a", { class: "button main", href: "/m/problem" }, w("report_next"))));
        member.changed();
        member.sync.soon();
      } catch (error) {
        button.disabled = false;
        fill(told, notice(w(member.isFull(error) ? "act_full" : "act_failed"), true));
      }
    }
    showPlace();
    showDissuasion();
    fill(place, el("p", { class: "answer" }, w("report_first")), form);
    showNear();
    if (!draft.place && navigator.permissions) {
      const allowed = await navigator.permissions.query({ name: "geolocation" }).catch(() => null);
      if (allowed && allowed.state === "granted") { locate(); }
    }
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
      parts.actForm(type, subject, pack, { title, after: async () => { close(); if (type === DISSUADE) { await upAfter(subject, title); } } })));
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

  // ---- 巡查 ----
  async function patrol() {
    const [pack, running, rows] = [await member.kept("pack"), await member.kept("patrol"), await member.acts()];
    if (!pack) { fill(place, nothing(w("no_copy"))); return; }
    const on = parts.day(Date.now()), periods = [];
    for (const duty of postOf(pack).duties) { for (const period of duty.periods) { if (period.first <= on && on <= period.last) { periods.push({ duty, period }); } } }
    if (!periods.length && !running) { fill(place, el("p", { class: "answer" }, w("patrol_not_owed"))); return; }
    const done = (subject) => rows.filter((row) => row.subject === subject && row.event.type === DUTY && row.state !== "refused" && row.state !== "rejected").length;
    if (!running) {
      const owed = periods.filter(({ duty, period }) => done(period.subject) < duty.quota).length;
      fill(place, el("p", { class: "answer" }, w(owed ? "patrol_first" : "patrol_done")), el("ul", { class: "tasks" }, periods.map(({ duty, period }) => el("li", { class: "task" },
        el("h3", {}, duty.name), el("p", {}, w("patrol_owed", { n: done(period.subject), quota: duty.quota }), " · ", parts.due(period.due_at)),
        el("button", { type: "button", class: "main", onclick: async () => {
          await member.keep("patrol", { ids: [member.newId()], fields: {}, photos: [], duty: duty.code, started: Date.now(), problems: [] });
          patrol();
        } }, w("patrol_start"))))));
      return;
    }
    const found = rows.filter((row) => running.problems.includes(row.subject) && row.event.type === REPORT && !row.mends);
    const current = periods.find(({ duty }) => duty.code === running.duty);
    const needs = current ? current.duty.needs : [], told = el("div", { "aria-live": "polite" });
    const keep = async () => { const now = await member.kept("patrol"); if (now) { await member.keep("patrol", { ...now, photos: running.photos }); } };
    const stop = el("button", { type: "button", class: "main", onclick: async () => {
      if (!current) { fill(told, notice(w("patrol_other_day"), true)); return; }
      if (needs.includes("photo") && !running.photos.length) { fill(told, notice(w("photo_missing"), true)); return; }
      stop.disabled = true;
      const data = { started: new Date(running.started).toISOString(), ended: new Date().toISOString() };
      if (running.problems.length) { data.problems = running.problems.slice(0, 50); }
      if (running.photos.length) { data.evidence = running.photos; }
      try {
        await member.say([{ id: running.ids[0], type: DUTY, subject: current.period.subject, data, about: current.duty.name }], "patrol");
        member.sync.soon();
        patrol();
      } catch (error) { stop.disabled = false; fill(told, notice(w(member.isFull(error) ? "act_full" : "act_failed"), true)); }
    } }, w("patrol_stop"));
    fill(place, el("p", { class: "answer" }, w("patrol_runs", { span: parts.span(Date.now() - running.started) })),
      el("p", { class: "quiet" }, w("patrol_since", { at: parts.clock(running.started) })),
      section(w("patrol_found", { n: running.problems.length }), found.length ? el("ul", {}, found.map((row) => el("li", {}, row.about, " ", el("span", { class: "quiet" }, stateLine(row))))) : nothing(w("patrol_nothing"))),
      el("p", {}, el("a", { class: "button works", href: "/m/problem" }, w("to_report"))),
      parts.photos(running, "near", w(needs.includes("photo") ? "photo_needed" : "photo_add"), keep),
      needs.includes("form") ? notice(w("patrol_form"), true) : null, told, stop,
      current ? null : el("p", {}, el("button", { type: "button", class: "plain", onclick: async () => { await member.keep("patrol", null); patrol(); } }, w("patrol_drop"))));
  }

  const PAGES = { today, problem, outbox, cases, checks, patrol };

  // ---- around them ----
  async function showStatus() {
    const rows = member.isOpen() ? await member.acts() : [];
    const waiting = rows.filter(member.isUnsent).length, bad = rows.filter(member.needsMending).length, { state, heard, session, skewMs } = member.sync;
    const said = [];
    if (!window.isSecureContext) { said.push(notice(w("insecure"), true)); }
    if (state === "signin") { said.push(notice([w("sign_in_again"), " ", el("a", { href: "/sign-in?out=true&next=/m/today" }, w("sign_in"))], true)); }
    if (state === "nopost") { said.push(notice(el("a", { href: "/me?next=/m/today" }, w("choose_post")), true)); }
    if (state === "refused") { said.push(notice(w("server_refuses", { why: member.sync.why }), true)); }
    if (Math.abs(skewMs) > 120000) { said.push(notice(w("clock_off", { span: parts.span(Math.abs(skewMs)) }), true)); }
    const last = heard || (member.isOpen() && ((await member.kept("tasks")) || {}).copied) || 0;
    const net = state === "online" ? w("online") : state === "starting" ? w("starting") : last ? w("offline_since", { at: parts.clock(last) }) : w("offline");
    said.push(el("p", { class: "net", "data-state": state }, el("span", {}, net), el("a", { href: "/m/outbox" }, bad ? w("bad_count", { n: bad }) : waiting ? w("waiting_count", { n: waiting }) : w("all_sent"))));
    fill(status, said);
    document.getElementById("leave").hidden = !session || !session.asks_token || !member.isOpen();
    const title = member.isOpen() ? (await member.kept("title")) || (await member.kept("post")) || "" : "";
    who.textContent = title;
  }
  const busy = () => place.contains(document.activeElement) && document.activeElement.matches("input, textarea, select") || Boolean(place.querySelector("details[open]:not(.more)"));
  let again = Promise.resolve();
  // Shows what has changed; a form that somebody fills in is left as it is.
  member.changed = () => {
    again = again.then(async () => {
      await showStatus();
      if (member.isOpen() && (shown !== member.key() || (name !== "problem" && !(name === "patrol" && busy()) && !busy()))) {
        shown = member.key();
        parts.useZone(((await member.kept("pack")) || {}).zone);
        await PAGES[name]();
        document.body.dataset.ready = name;
      }
    }).catch((error) => { if (member.isOpen()) { console.error(error); } });
    return again;
  };
  async function take(session) {
    await member.open(session.member);
    await member.keep("post", session.post);
    await member.keep("title", session.title);
    await member.remember(session.member);
  }
  // Somebody else has signed in: the page forgets whom it showed, and shows the other one.
  member.someoneElse = async () => {
    member.close();
    shown = "";
    fill(place);
    const session = member.sync.session;
    if (session && session.post) { await take(session); setTimeout(member.sync.now, 0); }
  };
  async function begin() {
    try {
      const session = await member.meet(8000);
      if (session.post) { await take(session); } else { member.sync.state = "nopost"; }
    } catch (error) {
      member.sync.state = error instanceof member.errors.NotMine ? "signin" : "away";
      const last = await member.last();
      if (last) { await member.open(last); }
    }
    if (!member.isOpen() && member.sync.state !== "nopost") { fill(place, nothing(w("never_signed_in"))); }
    await member.changed();
    await member.sync.now();
  }

  // ---- leaving ----
  const leaving = document.getElementById("leaving");
  document.getElementById("leave").addEventListener("click", async () => {
    const left = (await member.acts()).filter((row) => member.isOpenAct(row) || member.needsMending(row)).length;
    fill(leaving, left ? el("div", {}, notice(w("leave_warning", { n: left }), true), el("button", { type: "button", onclick: leave }, w("leave_all_the_same")), " ", el("button", { type: "button", class: "main", onclick: () => fill(leaving) }, w("stay"))) : null);
    if (!left) { await leave(); }
  });
  async function leave() {
    member.sync.quiet();
    try {
      const session = await member.meet();
      await fetch("/sign-out", { method: "POST", body: new URLSearchParams({ mark: session.mark }), headers: { "Content-Type": "application/x-www-form-urlencoded" } });
    } catch { fill(leaving, notice(w("leave_offline"), true)); return; }
    await member.leave();
    location.href = "/sign-in?out=true&next=/m/today";
  }

  for (const link of document.querySelectorAll("#menu a")) { if (link.getAttribute("href") === `/m/${name}`) { link.setAttribute("aria-current", "page"); } }
  document.getElementById("language").setAttribute("href", `/m/${name}?lang=${parts.ZH ? "en" : "zh"}`);
  window.addEventListener("online", () => member.sync.soon());
  window.addEventListener("offline", () => { member.sync.state = "away"; member.changed(); });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") { member.changed(); member.sync.soon(); } });
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("/m/worker.js", { scope: "/m/" }).then(() => navigator.serviceWorker.ready).then(() => caches.open("gridpatrol language"))
      .then((choice) => choice.put("/m/language", new Response(parts.ZH ? "zh" : "en"))).then(() => { document.body.dataset.worker = "1"; })
      .catch(() => { member.sync.worker = "none"; });
  }
  setInterval(() => { if (document.visibilityState === "visible") { member.changed(); } }, 60000);
  begin();
})();
