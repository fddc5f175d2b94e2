// Where something lies: the grid by its borders (all rings together, even-odd), and the map of the grids to point at.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 1000, MARGIN = 12;

  const rings = (grid) => (grid.border || []).flat();
  function holds(grid, lon, lat) {
    let inside = false;
    for (const ring of rings(grid)) {
      for (let at = 0, before = ring.length - 1; at < ring.length; before = at, at += 1) {
        const [x, y] = ring[at], [u, v] = ring[before];
        if (y > lat !== v > lat && lon < ((u - x) * (lat - y)) / (v - y) + x) { inside = !inside; }
      }
    }
    return inside;
  }
  // The grid of a place, by code; null: none of those that the phone has.
  member.gridAt = (pack, lon, lat) => pack.grids.find((grid) => grid.border && holds(grid, lon, lat)) || null;

  // Grids in which a post may report: its own, and those in it.
  member.ownGrids = (pack, post) => {
    const inside = (grid) => {
      for (let each = grid; each; each = pack.grids.find((one) => one.code === each.parent)) {
        if (each.code === post.grid.code) { return true; }
      }
      return false;
    };
    return pack.grids.filter(inside);
  };

  // Where the phone is; rejects with "denied", or "unknown".
  member.whereAmI = () => new Promise((found, failed) => {
    if (!navigator.geolocation) { failed(new Error("unknown")); return; }
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => found({ lon: coords.longitude, lat: coords.latitude, accuracy: Math.ceil(coords.accuracy), by: "phone" }),
      (error) => failed(new Error(error.code === 1 ? "denied" : "unknown")),
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 10000 },
    );
  });

  function shape(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) { made.setAttribute(key, value); }
    return made;
  }

  // The map of some grids. `spot` is shown where it lies on it; `pointed(lon, lat)` is called for a tap.
  member.map = (grids, spot, label, pointed) => {
    const drawn = grids.filter((grid) => grid.border);
    const corners = drawn.flatMap((grid) => rings(grid).flat());
    if (!corners.length) { return null; }
    const edge = (at, pick) => corners.reduce((found, corner) => pick(found, corner[at]), corners[0][at]);
    const west = edge(0, Math.min), east = edge(0, Math.max), south = edge(1, Math.min), north = edge(1, Math.max);
    const narrow = Math.cos(((south + north) / 2) * (Math.PI / 180));
    const scale = (WIDTH - 2 * MARGIN) / Math.max((east - west) * narrow, north - south, 1e-6);
    const x = (lon) => Math.round(MARGIN + (lon - west) * narrow * scale), y = (lat) => Math.round(MARGIN + (north - lat) * scale);
    const wide = x(east) + MARGIN, high = y(south) + MARGIN;
    const made = shape("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": label, class: "place-map" });
    for (const grid of drawn) {
      const outline = rings(grid).map((ring) => `M${ring.map(([lon, lat]) => `${x(lon)} ${y(lat)}`).join("L")}Z`).join("");
      made.append(shape("path", { class: "area", d: outline, "fill-rule": "evenodd" }));
    }
    if (spot && spot.lon >= west && spot.lon <= east && spot.lat >= south && spot.lat <= north) {
      made.append(shape("circle", { class: "spot", cx: x(spot.lon), cy: y(spot.lat), r: 22 }));
    }
    made.addEventListener("click", (event) => {
      const box = made.getBoundingClientRect();
      const unit = Math.max(wide / box.width, high / box.height); // the drawing is centred in its box
      const left = (box.width - wide / unit) / 2, top = (box.height - high / unit) / 2;
      const u = (event.clientX - box.left - left) * unit, v = (event.clientY - box.top - top) * unit;
      pointed(west + (u - MARGIN) / (narrow * scale), north - (v - MARGIN) / scale);
    });
    return made;
  };

  // ---- photos ----
  const LONGEST = 1600, QUALITY = 0.82;
  // A photo as it is kept and sent: no longer than 1,600 points, a JPEG made anew, so without what the camera wrote
  // into it. Rejects with "unreadable", "insecure" or what the browser says of its storage.
  member.takePhoto = async (file, kind) => {
    if (!window.isSecureContext || !crypto.subtle) { throw new Error("insecure"); }
    let image;
    try { image = await createImageBitmap(file, { imageOrientation: "from-image" }); } catch { throw new Error("unreadable"); }
    const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    const blob = await new Promise((made) => { canvas.toBlob(made, "image/jpeg", QUALITY); });
    if (!blob) { throw new Error("unreadable"); }
    const bytes = await blob.arrayBuffer();
    const photo = { sha256: await member.sha256(bytes), bytes, size: bytes.byteLength, type: "image/jpeg", kind, state: "draft", at: Date.now() };
    await member.keepPhoto(photo);
    return photo;
  };
})();
