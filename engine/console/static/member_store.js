// What the phone keeps, in a database of its own for each member: acts with their ids, photos, drafts, copies of answers.
// What one has left is in another database than what the next one sees. An act, its photos and the end of its draft are
// one transaction that is on the disk before the page says "kept", so a browser may be killed between any two lines.
"use strict";
const member = {};
(() => {
  const STRICT = { durability: "strict" };
  const DAY_MS = 86400000;
  const OLD_MS = 14 * DAY_MS; // what was decided so long ago leaves the outbox
  let db = null;

  // ---- ids ----
  const random = (n) => crypto.getRandomValues(new Uint8Array(n));
  const hex = (bytes) => Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
  function uuid(version, bytes) {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }
  member.newId = () => uuid(4, random(16));
  member.newSubject = (home) => {
    const bytes = random(16);
    let ms = Date.now();
    for (let at = 5; at >= 0; at -= 1) { bytes[at] = ms % 256; ms = Math.floor(ms / 256); }
    return `${home}.${uuid(7, bytes)}`;
  };
  member.sha256 = async (bytes) => hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));

  // ---- who was here last, and how much each has left ----
  const registry = () => idb.openDB("gridpatrol", 1, { upgrade: (made) => { made.createObjectStore("kept"); } });
  async function noted(name, value) {
    const opened = await registry();
    try {
      if (value === undefined) { return await opened.get("kept", name); }
      const tx = opened.transaction("kept", "readwrite", STRICT);
      tx.store.put(value, name);
      await tx.done;
      return value;
    } finally { opened.close(); }
  }
  member.last = () => noted("last");
  member.remember = (key) => noted("last", key);
  async function countWaiting() {
    const waiting = (await noted("waiting")) || {};
    waiting[db.name] = (await member.acts()).filter(member.isUnsent).length;
    await noted("waiting", waiting);
  }
  member.leftByOthers = async () => {
    const waiting = (await noted("waiting")) || {};
    return Object.entries(waiting).reduce((sum, [name, n]) => sum + (db && name === db.name ? 0 : n), 0);
  };

  // ---- one member's database ----
  member.open = async (key) => {
    if (db && db.name === `gridpatrol ${key}`) { return; }
    member.close();
    db = await idb.openDB(`gridpatrol ${key}`, 1, {
      upgrade(made) {
        const acts = made.createObjectStore("acts", { keyPath: "n", autoIncrement: true });
        acts.createIndex("id", "id", { unique: true });
        acts.createIndex("subject", "subject");
        made.createObjectStore("photos", { keyPath: "sha256" });
        made.createObjectStore("pictures", { keyPath: "sha256" });
        made.createObjectStore("kept");
      },
      blocking() { member.close(); },
    });
    if (!(await member.kept("source"))) {
      const tx = db.transaction("kept", "readwrite", STRICT);
      if (!(await tx.store.get("source"))) { tx.store.put(`phone/${member.newId()}`, "source"); }
      await tx.done;
    }
  };
  member.close = () => { if (db) { db.close(); db = null; } };
  member.isOpen = () => db !== null;
  member.key = () => (db ? db.name.slice("gridpatrol ".length) : "");
  member.kept = (name) => db.get("kept", name);
  member.keep = async (name, value) => {
    const tx = db.transaction("kept", "readwrite", STRICT);
    if (value === null) { tx.store.delete(name); } else { tx.store.put(value, name); }
    await tx.done;
  };
  member.acts = () => db.getAll("acts");
  member.wasSaid = async (id) => Boolean(await db.getKeyFromIndex("acts", "id", id));

  // Keep acts, before anything is sent. The first one's id tells whether they were kept before: a second tap adds nothing.
  // `ends` is a draft that is over with them. Of one subject a later act has a later time, whatever the clock does.
  member.say = async (said, ends, keeps = {}) => {
    const tx = db.transaction(["acts", "photos", "kept"], "readwrite", STRICT);
    const acts = tx.objectStore("acts"), photos = tx.objectStore("photos"), kept = tx.objectStore("kept");
    const before = await acts.index("id").get(said[0].id);
    if (!before) {
      const [source, post] = [await kept.get("source"), await kept.get("post")];
      for (const each of said) {
        const earlier = await acts.index("subject").getAll(each.subject);
        const last = Math.max(0, ...earlier.map((row) => Date.parse(row.event.time) + 1));
        const time = each.time || new Date(Math.max(Date.now(), last)).toISOString();
        const event = {
          specversion: "1.0", id: each.id, source, type: each.type, subject: each.subject, time, actor: post, data: each.data,
        };
        const names = (each.data.evidence || []).map((one) => one.sha256);
        for (const sha256 of names) {
          const photo = await photos.get(sha256);
          if (photo && photo.state === "draft") { photos.put({ ...photo, state: "waiting" }); }
        }
        acts.add({ id: each.id, subject: each.subject, event, photos: names, state: "waiting", about: each.about, at: Date.now(), mends: each.mends || "" });
        if (each.mends) {
          const mended = await acts.index("id").get(each.mends);
          if (mended) { acts.put({ ...mended, mended: each.id }); }
        }
      }
      for (const [name, value] of Object.entries(keeps)) { kept.put(value, name); }
    }
    if (ends) { kept.delete(ends); }
    await tx.done;
    await countWaiting();
    return !before;
  };

  // ---- states ----
  member.SETTLED = ["done", "refused", "rejected", "conflict"];
  member.isUnsent = (row) => row.state === "waiting";
  member.isOpenAct = (row) => !member.SETTLED.includes(row.state);
  member.needsMending = (row) => ["refused", "rejected", "conflict"].includes(row.state) && !row.mended;

  // Change acts by their ids and what is kept beside, in one transaction: `change` gets the row and gives the new one.
  member.change = async (ids, change, keeps = {}) => {
    const tx = db.transaction(["acts", "kept"], "readwrite", STRICT);
    const acts = tx.objectStore("acts");
    for (const id of ids === null ? (await acts.getAll()).map((row) => row.id) : ids) {
      const row = await acts.index("id").get(id);
      const changed = row && change(row);
      if (changed) { acts.put(changed); }
    }
    for (const [name, value] of Object.entries(keeps)) { tx.objectStore("kept").put(value, name); }
    await tx.done;
    await countWaiting();
  };

  // ---- photos ----
  member.photo = (sha256) => db.get("photos", sha256);
  member.waitingPhotos = async () => (await db.getAll("photos")).filter((each) => each.state === "waiting");
  member.keepPhoto = async (photo) => {
    const tx = db.transaction("photos", "readwrite", STRICT);
    const known = await tx.store.get(photo.sha256);
    if (!known || known.state === "gone" || !known.bytes) { tx.store.put(photo); }
    await tx.done;
  };
  member.changePhoto = async (sha256, changed) => {
    const tx = db.transaction("photos", "readwrite", STRICT);
    const photo = await tx.store.get(sha256);
    if (photo) { tx.store.put({ ...photo, ...changed }); }
    await tx.done;
  };
  member.dropDraftPhoto = async (sha256) => {
    const photo = await db.get("photos", sha256);
    if (photo && photo.state === "draft") { await db.delete("photos", sha256); }
  };
  member.picture = (sha256) => db.get("pictures", sha256);
  member.keepPicture = (picture) => db.put("pictures", picture);

  // How many bytes may still be kept; null: the browser does not say.
  member.room = async () => {
    if (!navigator.storage || !navigator.storage.estimate) { return null; }
    const { quota, usage } = await navigator.storage.estimate();
    return Math.max(0, quota - usage);
  };
  member.isFull = (error) => error && (error.name === "QuotaExceededError" || (error.inner && error.inner.name === "QuotaExceededError"));

  // What is no longer needed: acts that were decided long ago, photos that are there and whose acts are done, old pictures.
  member.tidy = async () => {
    const tx = db.transaction(["acts", "photos", "pictures"], "readwrite");
    const acts = tx.objectStore("acts"), photos = tx.objectStore("photos"), pictures = tx.objectStore("pictures");
    const needed = new Set();
    for (const row of await acts.getAll()) {
      if (row.state === "done" && row.at < Date.now() - OLD_MS) { acts.delete(row.n); continue; }
      if (row.state !== "done" && !row.mended) { row.photos.forEach((each) => needed.add(each)); }
    }
    for (const photo of await photos.getAll()) {
      if (photo.state === "sent" && !needed.has(photo.sha256)) { photos.delete(photo.sha256); }
    }
    for (const picture of await pictures.getAll()) {
      if (picture.at < Date.now() - 3 * DAY_MS) { pictures.delete(picture.sha256); }
    }
    await tx.done;
  };

  // Leave: copies go, and with `all` sent everything goes. What was not decided stays until its member comes back.
  member.leave = async () => {
    const rows = await member.acts(), name = db.name;
    const open = rows.filter((row) => member.isOpenAct(row) || member.needsMending(row)).length;
    if (!open) {
      member.close();
      await idb.deleteDB(name);
    } else {
      const tx = db.transaction(["kept", "pictures"], "readwrite", STRICT);
      for (const each of ["tasks", "cases", "details", "pack"]) { tx.objectStore("kept").delete(each); }
      tx.objectStore("pictures").clear();
      await tx.done;
      member.close();
    }
    await noted("last", "");
  };
})();
