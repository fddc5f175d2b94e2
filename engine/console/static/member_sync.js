// Sends what the phone keeps and learns what became of it. One of all open pages does it at a time, under a lock.
// An answer 202 says that an event is durable and no more: an act is open until its outcome was told.
"use strict";
(() => {
  const BATCH = 50;
  const PIECE = 256 * 1024;
  const PATIENCE_MS = 30000;
  const PHOTOS_FIRST_MS = 20000; // so long an event waits for its photos: it is small, and clocks run
  const LONGEST_WAIT_MS = 300000;
  const OFTEN_MS = 3000, SELDOM_MS = 60000;
  const sync = member.sync = { state: "starting", session: null, skewMs: 0, heard: 0, why: "", busy: false };
  let waitMs = 1000, timer = 0, asked = false;

  // What later tries may mend: no network, a busy server.
  class Away extends Error { constructor(why, afterMs = 0) { super(why); this.afterMs = afterMs; } }
  // What this request will never get: the problem says why.
  class Refused extends Error { constructor(problem, status) { super(problem.detail || String(status)); this.problem = problem; this.status = status; } }
  // Nobody has signed in, or somebody else.
  class NotMine extends Error {}
  member.errors = { Away, Refused, NotMine };

  const pause = (ms) => new Promise((go) => { setTimeout(go, ms); });

  async function fetched(path, options = {}) {
    const stop = new AbortController();
    const clock = setTimeout(() => stop.abort(), options.patience || PATIENCE_MS);
    const headers = { Accept: "application/json", ...options.headers };
    if (sync.session && !options.plain) {
      headers["X-Gridpatrol-Member"] = sync.session.member;
      if (options.method && options.method !== "GET" && options.method !== "HEAD") { headers["X-Gridpatrol-Mark"] = sync.session.mark; }
    }
    let answer, body = null;
    try {
      answer = await fetch(path, { method: options.method || "GET", headers, body: options.body, cache: "no-store", redirect: "error", signal: stop.signal });
      if (options.method !== "HEAD") { body = options.bytes && answer.ok ? await answer.arrayBuffer() : await answer.json().catch(() => ({})); }
    } catch (error) {
      throw new Away(String(error.message || error));
    } finally { clearTimeout(clock); }
    if (answer.status === 401) { throw new NotMine("signin"); }
    if (options.method === "HEAD" && [403, 409].includes(answer.status)) { throw new NotMine("form_mark"); } // it has no words
    if (body && (body.reason === "another_member" || body.reason === "form_mark")) { throw new NotMine(body.reason); }
    if (answer.status === 408 || answer.status === 425 || answer.status === 429 || answer.status >= 500) {
      if (body && body.reason === "no_files") { throw new Refused(body, answer.status); }
      throw new Away(`HTTP ${answer.status}`, later(answer.headers.get("Retry-After")));
    }
    return { answer, body };
  }
  // `Retry-After` in seconds, or as a date.
  function later(text) {
    if (!text) { return 0; }
    const seconds = Number(text);
    return Number.isFinite(seconds) ? seconds * 1000 : Math.max(0, Date.parse(text) - Date.now()) || 0;
  }
  member.ask = async (path, options = {}) => {
    const { answer, body } = await fetched(path, options);
    if (!answer.ok) { throw new Refused(body || {}, answer.status); }
    return body;
  };

  // ---- who has signed in ----
  member.meet = async (patience) => {
    const asked = Date.now();
    const { answer, body } = await fetched("/m/session", { plain: true, patience });
    if (!answer.ok) { throw new Refused(body, answer.status); }
    sync.session = body;
    sync.skewMs = (asked + Date.now()) / 2 - Date.parse(body.as_of);
    return body;
  };

  // ---- photos ----
  async function upload(photo) {
    const path = `/m/v1/files/${photo.sha256}`, total = photo.bytes.byteLength;
    const { answer: head } = await fetched(path, { method: "HEAD" });
    if (head.status === 410) { throw new Refused({ reason: "erased" }, 410); }
    if (!head.ok && head.status !== 404) { throw new Refused({ reason: `HTTP ${head.status}` }, head.status); }
    let from = head.ok && head.headers.get("Upload-Complete") === "?1" ? total : Number(head.headers.get("Upload-Offset") || 0);
    if (head.ok && from === total) { return; }
    for (let tries = 0; tries < 200; tries += 1) {
      const to = Math.min(from + PIECE, total);
      const range = from < total ? `bytes ${from}-${to - 1}/${total}` : `bytes */${total}`;
      const { answer, body } = await fetched(path, {
        method: "PUT", body: photo.bytes.slice(from, to), patience: 120000,
        headers: { "Content-Range": range, "Content-Type": photo.type },
      });
      if (answer.status === 200 || answer.status === 201) { return; }
      if (answer.status === 202 || (answer.status === 409 && body.reason === "offset")) {
        from = Number(answer.headers.get("Upload-Offset"));
      } else if (answer.status === 409) {
        throw new Away("overtaken", 2000);
      } else { throw new Refused(body, answer.status); }
    }
    throw new Away("the photo does not get on");
  }
  async function uploadAll() {
    for (const photo of await member.waitingPhotos()) {
      try {
        await upload(photo);
        await member.changePhoto(photo.sha256, { state: "sent", why: "" });
      } catch (error) {
        if (!(error instanceof Refused)) { throw error; }
        await member.changePhoto(photo.sha256, { state: "failed", why: error.problem.reason || String(error.status) });
      }
    }
  }

  // ---- events ----
  const settled = (row, told) => ({
    ...row, sent: true,
    state: told.status === "rejected" ? "rejected" : told.outcome,
    reason: told.reason || "", field: told.field || "", detail: told.detail || "",
    waits_for: told.waits_for || [], until: told.until || "",
    place: told.place || row.place, time: told.time || row.time, similar: told.similar || row.similar,
  });
  async function publish(rows) {
    const body = await member.ask("/m/v1/events/batch", {
      method: "POST", body: JSON.stringify(rows.map((row) => row.event)), headers: { "Content-Type": "application/cloudevents-batch+json" },
    });
    const told = new Map(rows.map((row, at) => [row.id, body.results[at]]));
    await member.change(rows.map((row) => row.id), (row) => {
      const result = told.get(row.id);
      if (result.status === "rejected") { return settled(row, result); }
      return row.state === "waiting" ? { ...row, state: "sent", sent: true } : row;
    });
  }
  // What breaks the whole request is looked for one by one, so that one bad act holds up no other.
  async function sendAll() {
    for (;;) {
      const rows = (await member.acts()).filter(member.isUnsent).slice(0, BATCH);
      if (!rows.length) { return; }
      try {
        await publish(rows);
      } catch (error) {
        if (!(error instanceof Refused) || ![400, 413, 415, 422].includes(error.status)) { throw error; }
        if (rows.length === 1) {
          await member.change([rows[0].id], (row) => settled(row, { ...error.problem, status: "rejected" }));
          continue;
        }
        for (const row of rows) { try { await publish([row]); } catch (one) {
          if (!(one instanceof Refused)) { throw one; }
          await member.change([row.id], (each) => settled(each, { ...one.problem, status: "rejected" }));
        } }
      }
    }
  }
  async function learn() {
    const source = await member.kept("source");
    for (let more = true; more;) {
      const query = new URLSearchParams({ source, after: (await member.kept("place")) || "" });
      const page = await member.ask(`/m/v1/outcomes?${query}`);
      if (page.restarted) { // the server was restored, and may have lost what it had: all is sent once more
        await member.change(null, (row) => (row.state === "rejected" ? null : { ...row, state: "waiting", sent: false }));
      }
      const told = new Map(page.outcomes.map((each) => [each.id, each]));
      await member.change([...told.keys()], (row) => settled(row, told.get(row.id)), { place: page.next });
      more = page.more;
    }
  }

  // ---- copies for when there is no network ----
  async function refresh() {
    const post = encodeURIComponent(sync.session.post);
    const tasks = await member.ask(`/m/v1/tasks?post=${post}&limit=200`);
    await member.keep("tasks", { ...tasks, copied: Date.now() });
    const known = await member.kept("pack");
    const { answer, body } = await fetched(`/m/v1/pack?post=${post}`, { headers: known && known.etag ? { "If-None-Match": known.etag } : {} });
    if (answer.ok) { await member.keep("pack", { ...body, etag: answer.headers.get("ETag") || "" }); }
    try {
      const cases = await member.ask(`/m/v1/incidents?reporter=${post}&open=all&sort=-opened_at&limit=100`);
      await member.keep("cases", { ...cases, copied: Date.now() });
    } catch (error) { if (!(error instanceof Refused)) { throw error; } }
    await lookAt(tasks.tasks.filter((task) => task.task.code === "verify").slice(0, 30));
  }
  // What a check needs is taken along, with its photos: who checks stands where there is no network.
  async function lookAt(checks) {
    const details = {}, before = (await member.kept("details")) || {};
    for (const { id } of checks) {
      try {
        const found = await member.ask(`/m/v1/incidents/${id}`);
        details[id] = { id, files: found.files, lon: found.lon, lat: found.lat, handled_by: found.handled_by };
        for (const file of found.files.filter((each) => each.state === "here" && each.media_type.startsWith("image/"))) {
          if (await member.picture(file.sha256)) { continue; }
          const bytes = await member.ask(`/m/v1/files/${file.sha256}`, { bytes: true });
          await member.keepPicture({ sha256: file.sha256, bytes, type: file.media_type, at: Date.now() });
        }
      } catch (error) {
        if (member.isFull(error)) { break; }
        if (!(error instanceof Refused)) { throw error; }
        details[id] = details[id] || before[id] || { id, files: [] };
      }
    }
    await member.keep("details", details);
  }

  // ---- the round ----
  async function round() {
    const session = await member.meet();
    if (!session.post) { throw new NotMine("post"); }
    if (session.member !== member.key()) { throw new NotMine("another_member"); }
    const photos = uploadAll();
    photos.catch(() => {});
    await Promise.race([photos.catch(() => {}), pause(PHOTOS_FIRST_MS)]);
    await sendAll();
    await learn();
    member.changed();
    await photos;
    await refresh();
    await member.tidy();
  }
  async function run() {
    if (sync.busy) { asked = true; return; }
    sync.busy = true;
    clearTimeout(timer);
    let nextMs = SELDOM_MS;
    try {
      await round();
      sync.state = "online";
      sync.heard = Date.now();
      sync.why = "";
      waitMs = 1000;
      const open = (await member.acts()).some((row) => row.state === "waiting" || row.state === "sent");
      nextMs = open ? OFTEN_MS : SELDOM_MS;
    } catch (error) {
      if (error instanceof NotMine) {
        sync.state = { signin: "signin", post: "nopost", another_member: "other" }[error.message] || "away";
        if (sync.state === "other") { await member.someoneElse(); }
      } else {
        sync.state = error instanceof Away ? "away" : "refused";
        sync.why = error instanceof Refused ? error.problem.reason || String(error.status) : error.message;
        if (!(error instanceof Away) && !(error instanceof Refused)) { console.warn(error); }
      }
      nextMs = Math.max(waitMs * (0.5 + Math.random()), error.afterMs || 0); // so that a thousand phones do not come back as one
      waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
    } finally { sync.busy = false; }
    member.changed();
    if (asked) { asked = false; nextMs = Math.min(nextMs, 200); }
    timer = setTimeout(sync.now, nextMs);
  }
  // One page at a time, also of several that are open.
  sync.now = () => {
    if (!member.isOpen()) { return Promise.resolve(); }
    if (!navigator.locks) { return run(); }
    return navigator.locks.request("gridpatrol sync", { ifAvailable: true }, (lock) => {
      if (lock) { return run(); }
      clearTimeout(timer);
      timer = setTimeout(sync.now, OFTEN_MS);
      return member.changed();
    });
  };
  sync.soon = () => { waitMs = 1000; return sync.now(); };
  sync.quiet = () => clearTimeout(timer);
})();
