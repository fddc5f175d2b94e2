// 上报 and 巡查: what a member does where there is no network. A report is one form, whose draft outlives the page.
"use strict";
(() => {
  const parts = member.parts, { w, el, fill, notice, pick, section, nothing, stateLine, postOf, maySay } = parts;
  const { DUTY, REPORT, DISSUADE, UP } = parts.TYPES, place = document.getElementById("page");
  const ROOM_LEAST = 20e6;

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
        fill(near, found.cases.length ? [notice(w("near_first", { n: found.cases.length })), el("ul", {}, found.cases.slice(0, 3).map((each) =>
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
      told, button, el("button", { type: "button", class: "plain", onclick: clear }, w("report_clear")));
    async function clear() {
      await member.keep("draft:report", null);
      for (const { sha256 } of draft.photos) { await member.dropDraftPhoto(sha256); }
      await problem();
    }
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

  Object.assign(member.pages, { problem, patrol });
})();
