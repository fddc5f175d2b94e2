// Keeps the pages and their files, so that they open without a network. What members ask and send never passes here.
"use strict";
const CACHE = `gridpatrol ${VERSION}`;
const isPage = (address) => address.pathname === "/m" || /^\/m\/[a-z]+$/.test(address.pathname) && address.pathname !== "/m/session";
const LANGUAGE = "/m/language"; // the shell that was shown last, under an address that no page has

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEPT.map((path) => new Request(path, { cache: "reload", credentials: "omit" })))).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) { if (name.startsWith("gridpatrol ") && name !== CACHE && name !== "gridpatrol language") { await caches.delete(name); } }
    await self.clients.claim();
  })());
});

// The shell in the language that the address names, else in the one that was shown last, else in Chinese.
async function shell(request, address) {
  const cache = await caches.open(CACHE), choice = await caches.open("gridpatrol language");
  const asked = address.searchParams.get("lang");
  if (asked === "zh" || asked === "en") { await choice.put(LANGUAGE, new Response(asked)); }
  const known = await choice.match(LANGUAGE), language = known ? await known.text() : "zh";
  return (await cache.match(`/m/today?lang=${language}`)) || fetch(request);
}
self.addEventListener("fetch", (event) => {
  const request = event.request, address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) { return; }
  if (request.mode === "navigate") {
    if (isPage(address)) { event.respondWith(shell(request, address)); }
  } else if (address.pathname.startsWith("/static/") || address.pathname === "/m/manifest.webmanifest") {
    event.respondWith(caches.open(CACHE).then((cache) => cache.match(address.pathname)).then((kept) => kept || fetch(request)));
  }
});
