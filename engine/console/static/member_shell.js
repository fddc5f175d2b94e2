// What stands around the pages: who is here, whether there is a network, leaving, and the worker that keeps them.
"use strict";
(() => {
  const parts = member.parts, { w, el, fill, notice, nothing } = parts;
  const place = document.getElementById("page"), status = document.getElementById("status"), who = document.getElementById("who");
  const name = location.pathname.split("/").pop() || "today";
  let shown = "";

  // ---- around them ----
  async function showStatus() {
    const rows = member.isOpen() ? await member.acts() : [];
    const waiting = rows.filter(member.isUnsent).length, open = rows.filter(member.isOpenAct).length, bad = rows.filter(member.needsMending).length, { state, heard, session, skewMs } = member.sync;
    const said = [];
    if (!window.isSecureContext) { said.push(notice(w("insecure"), true)); }
    if (state === "signin") { said.push(notice([w("sign_in_again"), " ", el("a", { href: "/sign-in?out=true&next=/m/today" }, w("sign_in"))], true)); }
    if (state === "nopost") { said.push(notice(el("a", { href: "/me?next=/m/today" }, w("choose_post")), true)); }
    if (state === "refused") { said.push(notice(w("server_refuses", { why: member.sync.why }), true)); }
    if (Math.abs(skewMs) > 120000) { said.push(notice(w("clock_off", { span: parts.span(Math.abs(skewMs)) }), true)); }
    const last = heard || (member.isOpen() && ((await member.kept("tasks")) || {}).copied) || 0;
    const busy = state === "away" && /^HTTP/.test(member.sync.why);
    const net = state === "signin" || state === "nopost" ? w("not_signed_in") : busy ? w("server_busy") : state === "online" ? w("online") : state === "starting" ? w("starting") : last ? w("offline_since", { at: parts.clock(last) }) : w("offline");
    said.push(el("p", { class: "net", "data-state": state }, el("span", {}, net), el("a", { href: "/m/outbox" }, bad ? w("bad_count", { n: bad }) : waiting ? w("waiting_count", { n: waiting }) : open ? w("open_count", { n: open }) : w("all_sent"))));
    const now = el("div", {}, said);
    if (now.textContent !== status.textContent) { fill(status, now); } // a screen reader says it anew only when it is new
    document.getElementById("leave").hidden = !session || !session.asks_token || !member.isOpen();
    const title = member.isOpen() ? (await member.kept("title")) || (await member.kept("post")) || "" : "";
    who.textContent = title;
  }
  const busy = () => (place.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) || Boolean(place.querySelector("details[open]"));
  let again = Promise.resolve(), looks = "";
  // What the pages show, and the minute: while it is the same nothing is built anew under a thumb.
  async function look() {
    const [tasks, cases, details] = [await member.kept("tasks"), await member.kept("cases"), await member.kept("details")];
    return JSON.stringify([
      member.key(), Math.floor(Date.now() / 60000), (await member.acts()).map((row) => [row.id, row.state, row.mended, row.detail]), (await member.waitingPhotos()).length,
      tasks && tasks.tasks.map((task) => [task.id, task.state, task.due_at]), cases && cases.incidents.map((each) => [each.id, each.state, each.due_at]), details,
    ]);
  }
  // Shows what has changed; a form that somebody fills in is left as it is.
  member.changed = () => {
    again = again.then(async () => {
      await showStatus();
      if (member.isOpen() && (shown !== member.key() || (name !== "problem" && !(name === "patrol" && busy()) && !busy()))) {
        const next = await look();
        if (next === looks) { return; }
        [looks, shown] = [next, member.key()];
        parts.useZone(((await member.kept("pack")) || {}).zone);
        await member.pages[name]();
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
