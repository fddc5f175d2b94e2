// What the pages are made of: words, instants, elements, photos, and the form of an act, whose draft outlives the page.
"use strict";
(() => {
  const root = document.getElementById("member");
  const WORDS = JSON.parse(root.dataset.words), FORMS = JSON.parse(root.dataset.forms);
  const ZH = root.dataset.language === "zh";
  const MINUTE = 60000;
  const AFTER = ["gridpatrol.handling.completed.v1", "gridpatrol.verification.recorded.v1"]; // their photos show how it is then
  const parts = member.parts = { ZH, FORMS };
  member.pages = {};

  // ---- words ----
  const w = parts.w = (key, given = {}) => {
    if (!(key in WORDS)) { throw new Error(`no word ${key}`); }
    return WORDS[key].replace(/\{(\w+)\}/g, (_, name) => given[name]);
  };
  parts.pick = (words) => (!words ? "" : ZH ? words.zh : words.en || words.zh);
  parts.name = (category) => (!category ? "—" : ZH ? category.name_zh : category.name_en || category.name_zh);
  parts.list = (each) => each.join(ZH ? "、" : ", ");
  const event = (type) => FORMS[type.replace(/^gridpatrol\./, "").replace(/\.v1$/, "")];
  parts.formOf = event;
  parts.act = (type) => parts.pick(event(type)) || type;

  // ---- instants ----
  let zone = "Asia/Shanghai";
  parts.useZone = (name) => { zone = name || zone; };
  const inZone = (ms) => Object.fromEntries(new Intl.DateTimeFormat("en-CA", {
    timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).formatToParts(ms).map(({ type, value }) => [type, value]));
  parts.day = (ms) => { const at = inZone(ms); return `${at.year}-${at.month}-${at.day}`; };
  parts.clock = (ms) => {
    const at = inZone(ms), now = inZone(Date.now()), time = `${at.hour}:${at.minute}`;
    if (at.year !== now.year) { return `${at.year}-${at.month}-${at.day} ${time}`; }
    return at.month === now.month && at.day === now.day ? time : `${at.month}-${at.day} ${time}`;
  };
  parts.span = (ms) => {
    const minutes = Math.max(0, Math.round(ms / MINUTE)), days = Math.floor(minutes / 1440), hours = Math.floor(minutes / 60) % 24;
    const said = [[days, "unit_day"], [hours, "unit_hour"], [minutes % 60, "unit_minute"]].filter(([n]) => n).slice(0, 2);
    return said.length ? said.map(([n, unit]) => w(unit, { n })).join(" ") : w("unit_minute", { n: minutes });
  };

  // ---- elements ----
  const el = parts.el = (name, given = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(given)) {
      if (value === null || value === undefined || value === false) { continue; }
      if (key.startsWith("on")) { made.addEventListener(key.slice(2), value); } else if (key === "value") { made.value = value; } else { made.setAttribute(key, value === true ? "" : value); }
    }
    made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
    return made;
  };
  parts.fill = (place, ...children) => {
    place.replaceChildren(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
    place.removeAttribute("aria-busy");
  };
  parts.notice = (text, bad) => el("p", { class: bad ? "outcome bad" : "outcome", role: "status" }, text);
  parts.picture = (bytes, type, alt) => {
    const address = URL.createObjectURL(new Blob([bytes], { type }));
    return el("img", { src: address, alt, onload: () => URL.revokeObjectURL(address) });
  };

  // When something is due, by the phone's own clock: what is late first says by how much.
  parts.due = (text) => {
    if (!text) { return el("span", { class: "quiet" }, w("no_deadline")); }
    const due = Date.parse(text), left = due - Date.now();
    if (left < 0) { return el("strong", { class: "late" }, el("span", { "aria-hidden": "true" }, "▲ "), w("late", { span: parts.span(-left) })); }
    return el("span", {}, w("left", { span: parts.span(left), at: parts.clock(due) }));
  };

  // ---- photos ----
  const WHY = { insecure: "photo_insecure", unreadable: "photo_unreadable" };
  // A field of photos: `draft.photos` has their digests, `changed` keeps the draft.
  parts.photos = (draft, kind, label, changed) => {
    const shown = el("ul", { class: "photos" }), told = el("div", { "aria-live": "polite" });
    const input = el("input", { type: "file", accept: "image/*", capture: "environment", class: "unseen", id: `photo-${draft.ids[0]}`, onchange: take });
    async function take() {
      const file = input.files[0];
      input.value = "";
      if (!file) { return; }
      parts.fill(told, parts.notice(w("photo_working")));
      try {
        const photo = await member.takePhoto(file, kind);
        if (!draft.photos.some((each) => each.sha256 === photo.sha256)) { draft.photos.push({ sha256: photo.sha256, kind, taken_at: new Date(photo.at).toISOString() }); }
        await changed();
        parts.fill(told);
        await show();
      } catch (error) {
        parts.fill(told, parts.notice(member.isFull(error) ? w("photo_full") : w(WHY[error.message] || "photo_failed"), true));
      }
    }
    async function show() {
      const rows = await Promise.all(draft.photos.map(async ({ sha256 }) => {
        const photo = await member.photo(sha256);
        return el("li", {}, photo && photo.bytes ? parts.picture(photo.bytes, photo.type, w("photo")) : w("photo"),
          el("button", { type: "button", class: "plain", onclick: async () => {
            draft.photos = draft.photos.filter((each) => each.sha256 !== sha256);
            await member.dropDraftPhoto(sha256);
            await changed();
            await show();
          } }, w("photo_remove")));
      }));
      parts.fill(shown, rows);
    }
    show();
    return el("div", { class: "photo-field" }, input, el("label", { class: "big", for: input.id }, el("span", { "aria-hidden": "true" }, "＋ "), label), shown, told);
  };

  // ---- forms ----
  // A draft has its ids from the beginning, and is kept with each change: a killed browser loses nothing that was typed.
  parts.draftOf = async (name, ids) => {
    const known = await member.kept(name);
    if (known && !(await member.wasSaid(known.ids[0]))) { return known; }
    const made = { ids: Array.from({ length: ids }, () => member.newId()), fields: {}, photos: [] };
    await member.keep(name, made);
    return made;
  };

  function field(each, draft, keep, pack) {
    const id = `f-${draft.ids[0]}-${each.name}`, value = draft.fields[each.name] || "";
    const label = [each[ZH ? "zh" : "en"], each.needed ? null : el("span", { class: "quiet" }, ` ${w("optional")}`)];
    const set = (event_) => { draft.fields[each.name] = event_.target.value; keep(); };
    if (each.choices.length && each.choices.length <= 4) {
      return el("fieldset", {}, el("legend", {}, label), el("div", { class: "radios" }, each.choices.map(([code, zh, en]) => el("label", {},
        el("input", { type: "radio", name: id, value: code, required: each.needed, checked: value === code, onchange: set }), el("span", {}, ZH ? zh : en)))));
    }
    const options = each.choices.length ? each.choices.map(([code, zh, en]) => [code, ZH ? zh : en]) : codes(each, pack);
    let control;
    if (options) {
      control = el("select", { id, required: each.needed, onchange: set }, el("option", { value: "" }, w("none_chosen")),
        options.map(([code, name]) => el("option", { value: code, selected: value === code }, name)));
    } else if (each.shape === "text") {
      control = el("textarea", { id, rows: 3, maxlength: 4000, required: each.needed, oninput: set, value });
    } else {
      control = el("input", { id, required: each.needed, maxlength: 120, oninput: set, value,
        type: { number: "number", instant: "datetime-local" }[each.shape] || "text", placeholder: each.shape === "limit" ? w("limit_hint") : null });
    }
    return el("div", { class: "field" }, el("label", { for: id }, label), control);
  }
  function codes(each, pack) {
    if (["to_department", "department", "lead"].includes(each.name)) { return pack.departments.map((one) => [one.code, one.name]); }
    if (["to_grid", "grid"].includes(each.name)) { return pack.grids.map((one) => [one.code, one.name]); }
    return each.name === "category" ? pack.categories.map((one) => [one.code, parts.pick(one.name)]) : null;
  }
  const VALUE = { number: Number, instant: (text) => new Date(text).toISOString() };

  // The form of one act: what its event asks for, by the contract. `extra` is data that it has anyway; a mended act has
  // the id of the one that it stands for, and that one's time.
  parts.actForm = async (type, subject, pack, { title, extra = {}, mends = null, after = () => {} } = {}) => {
    const form = event(type), name = mends ? `draft:mend:${mends.id}` : `draft:${type}:${subject}`;
    const draft = await parts.draftOf(name, 2);
    if (mends && !draft.begun) {
      Object.assign(draft, { begun: true, fields: { ...mends.fields }, photos: mends.photos });
      await member.keep(name, draft);
    }
    const keep = () => member.keep(name, draft);
    const shown = form.fields.filter((each) => !(each.name in extra));
    const told = el("div", { "aria-live": "polite" }), button = el("button", { class: "main" }, mends ? w("resend") : parts.pick(form));
    const needsPhoto = form.photos === "needed";
    const body = el("form", { class: "stack act", onsubmit: send },
      form.photos ? parts.photos(draft, AFTER.includes(type) ? "after" : "near", w(needsPhoto ? "photo_needed" : "photo_add"), keep) : null,
      shown.map((each) => field(each, draft, keep, pack)), type === parts.TYPES.DISSUADE ? el("p", { class: "quiet small" }, w("dissuade_goes_up")) : null, told, button);
    async function send(event_) {
      event_.preventDefault();
      if (needsPhoto && !draft.photos.length) { parts.fill(told, parts.notice(w("photo_missing"), true)); return; }
      button.disabled = true;
      const data = { ...extra };
      for (const each of shown) {
        const text = (draft.fields[each.name] || "").trim();
        if (text) { data[each.name] = (VALUE[each.shape] || String)(text); }
      }
      if (draft.photos.length) { data.evidence = draft.photos; }
      const act = { id: draft.ids[0], type, subject, data, about: title || "" };
      try {
        const up = type === parts.TYPES.DISSUADE && data.outcome !== "effective" && !mends;
        const also = up ? [{ ...act, id: draft.ids[1], type: parts.TYPES.UP, data: {} }] : []; // what was in vain goes up with it
        await member.say([mends ? { ...act, mends: mends.id, time: mends.time } : act, ...also], name);
        await after();
        member.changed();
        member.sync.soon();
      } catch (error) {
        button.disabled = false;
        parts.fill(told, parts.notice(w(member.isFull(error) ? "act_full" : "act_failed"), true));
      }
    }
    return body;
  };

  // ---- what several pages say ----
  parts.TYPES = {
    DUTY: "gridpatrol.duty.recorded.v1", REPORT: "gridpatrol.report.submitted.v1", CHECK: "gridpatrol.verification.recorded.v1",
    DISSUADE: "gridpatrol.dissuasion.recorded.v1", UP: "gridpatrol.incident.reported_up.v1",
  };
  parts.postOf = (pack) => pack.posts[0];
  parts.maySay = (pack, type) => parts.postOf(pack).actions.find((each) => each.type === type);
  parts.copyLine = (copied) => el("p", { class: "quiet as-of" }, 
    Date.now() - copied < MINUTE ? w("copy_fresh", { at: parts.clock(copied) }) : w("copy_of", { at: parts.clock(copied), age: parts.span(Date.now() - copied) }));
  parts.section = (title, ...children) => el("section", {}, el("h2", {}, title), children);
  parts.nothing = (text) => el("p", { class: "empty" }, text);
  parts.stateLine = (row) => {
    const words = {
      waiting: w("state_waiting"), sent: w("state_sent"), done: w("state_done"), pending: w("state_pending"), refused: w("state_refused"),
      rejected: w("state_refused"), conflict: w("state_conflict"),
      parked: w("state_parked", { what: parts.list((row.waits_for || []).map(parts.act)) || w("state_parked_time"), until: row.until ? parts.clock(Date.parse(row.until)) : "—" }),
    };
    return words[row.state];
  };
})();
