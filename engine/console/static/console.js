// What a page does beside htmx. Nothing here decides anything: without it, a reload shows the same.
(function () {
  "use strict";
  var desk = function () { return document.getElementById("desk"); };
  var news = document.getElementById("news"), away = document.getElementById("away");

  // A list that somebody points at, or a form that is open or has the focus, is not taken away: the page says instead
  // that there is something new.
  function busy() {
    var now = desk();
    if (!now) { return false; }
    var list = now.querySelector(".list");
    return Boolean(now.querySelector("details[open]")) || Boolean(list && list.matches(":hover")) ||
      (document.activeElement && list && list.contains(document.activeElement));
  }
  function show(what, on) { if (what) { what.hidden = !on; } }

  var known = [];
  function rows() {
    var found = desk() ? desk().querySelectorAll("tr[data-case]") : [];
    return Array.prototype.map.call(found, function (row) { return row.dataset.case; });
  }
  document.addEventListener("DOMContentLoaded", function () {
    known = rows();
    var current = document.querySelector(".top [aria-current]"); // on a phone the menu is one line that is moved sideways
    if (current) { current.parentNode.parentNode.scrollLeft = current.offsetLeft - 60; }
    if (news) {
      news.querySelector("button").addEventListener("click", function () {
        show(news, false);
        forced = true;
        document.querySelectorAll("#live [hx-get]").forEach(function (each) { htmx.trigger(each, "refresh"); });
      });
    }
  });
  var forced = false;

  document.addEventListener("htmx:beforeRequest", function (event) {
    if (event.detail.requestConfig.verb === "get" && event.detail.target && event.detail.target.id === "desk") {
      if (busy() && !forced) { event.preventDefault(); show(news, true); }
      forced = false;
    }
  });
  // What is new in the list is marked, until the page is left or the mark was seen for a while.
  document.addEventListener("htmx:afterSwap", function () {
    if (!desk()) { return; }
    show(news, false);
    var before = known;
    known = rows();
    desk().querySelectorAll("tr[data-case]").forEach(function (row) {
      if (before.indexOf(row.dataset.case) < 0 && row.cells.length) { row.cells[0].classList.add("fresh"); }
    });
  });
  document.addEventListener("htmx:sseError", function () {
    if (away && desk()) { away.textContent = away.dataset.text.replace("{at}", desk().dataset.asOf); show(away, true); }
  });
  document.addEventListener("htmx:sseOpen", function () {
    show(away, false);
    document.documentElement.dataset.live = "1";
  });

  // A page that nobody looks at listens to nothing: browsers open six connections to a server, whatever the tabs.
  var place = null, asleep = null;
  document.addEventListener("visibilitychange", function () {
    var live = document.getElementById("live");
    if (document.visibilityState === "hidden" && live) {
      asleep = live.cloneNode(true);
      place = document.createComment("live");
      live.parentNode.insertBefore(place, live);
      htmx.swap(live, "", { swapStyle: "outerHTML" });
      delete document.documentElement.dataset.live;
    } else if (document.visibilityState === "visible" && asleep && place) {
      place.parentNode.replaceChild(asleep, place);
      var awake = asleep;
      place = asleep = null;
      htmx.process(awake);
      awake.querySelectorAll("[hx-get]").forEach(function (each) { htmx.trigger(each, "refresh"); });
    }
  });

  // A form is sent once.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.hasAttribute("hx-post")) { return; }
    if (form.dataset.sent) { event.preventDefault(); return; }
    if ((form.method || "get").toLowerCase() === "post") { form.dataset.sent = "1"; }
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) { document.querySelectorAll("form").forEach(function (form) { delete form.dataset.sent; }); }
  });
})();
