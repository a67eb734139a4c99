// Drawing one slice of a pair into a canvas: the picture, and what lies over it.
"use strict";

warpline.slices = (() => {
  const { displacement, inverseError } = warpline.volumes;
  // Axes (0 x, 1 y, 2 z): along the normal, the columns, the rows; whether rows run downwards.
  const PLANES = {
    axial: { normal: 2, column: 0, row: 1, up: false, letters: ["R", "L", "A", "P"] },
    coronal: { normal: 1, column: 0, row: 2, up: true, letters: ["R", "L", "S", "I"] },
    sagittal: { normal: 0, column: 1, row: 2, up: true, letters: ["A", "P", "S", "I"] },
  };
  // Okabe and Ito, then Tol, as in the figures; no dark ones, which a scan would hide.
  const COLOURS = ["#56b4e9", "#e69f00", "#4fd1a5", "#f0a3cf", "#f0e442", "#ff8a4c", "#b9a6ff", "#8fd14f", "#ff9aa2", "#7fdbff", "#d7ba7d", "#c0c0c0", "#ffd166"];
  const labelColour = (value) => COLOURS[(value - 1) % COLOURS.length];
  const ramp = (t) => { // dark blue, teal, yellow: the length of displacements
    const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
    const place = Math.min(Math.max(t, 0), 1) * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((c, i) => c + (stops[low + 1][i] - c) * (place - low));
  };
  const FOLD = [255, 45, 85];

  function slope(j) { // orange: smaller, purple: larger, as in the figures; red: a fold
    if (j <= 0) return FOLD;
    const t = Math.max(-1, Math.min(1, j - 1));
    const end = t < 0 ? [230, 97, 1] : [128, 80, 190];
    return end.map((c) => 245 + (c - 245) * Math.abs(t));
  }

  // What a pane shows of a slice, and how its pixels lie.
  function geometry(pair, plane, cursor, canvas, zoom) {
    const p = PLANES[plane];
    const width = pair.size[p.column] * pair.spacing[p.column], height = pair.size[p.row] * pair.spacing[p.row];
    const scale = Math.min(canvas.width / width, canvas.height / height) * zoom;
    const cx = (cursor[p.column] + 0.5) * pair.spacing[p.column];
    let cy = (cursor[p.row] + 0.5) * pair.spacing[p.row];
    if (p.up) cy = height - cy;
    const place = (size, extent, centre) => (extent * scale <= size ? (size - extent * scale) / 2
      : Math.min(0, Math.max(size - extent * scale, size / 2 - centre * scale)));
    return { p, scale, left: place(canvas.width, width, cx), top: place(canvas.height, height, cy), width, height };
  }

  // Place in the canvas of a continuous index (the middle of a voxel is a whole number).
  function project(g, pair, index) {
    const x = (index[g.p.column] + 0.5) * pair.spacing[g.p.column];
    const y = (index[g.p.row] + 0.5) * pair.spacing[g.p.row];
    return [g.left + x * g.scale, g.top + (g.p.up ? g.height - y : y) * g.scale];
  }

  function unproject(g, pair, cursor, px, py) {
    const found = [...cursor];
    const y = (py - g.top) / g.scale;
    found[g.p.column] = (px - g.left) / g.scale / pair.spacing[g.p.column] - 0.5;
    found[g.p.row] = (g.p.up ? g.height - y : y) / pair.spacing[g.p.row] - 0.5;
    return found.map((v, a) => Math.min(Math.max(Math.round(v), 0), pair.size[a] - 1));
  }

  // A slice's columns and rows, and the volume index of one of its voxels.
  function slice(pair, { p }, cursor) {
    const steps = [1, pair.size[0], pair.size[0] * pair.size[1]], base = cursor[p.normal] * steps[p.normal];
    return { columns: pair.size[p.column], rows: pair.size[p.row], at: (c, r) => base + c * steps[p.column] + r * steps[p.row] };
  }

  // fill(volume index, column, row) → pixel of every voxel of a slice, top row first.
  function raster(pair, g, cursor, fill) {
    const { columns, rows, at } = slice(pair, g, cursor);
    const image = new ImageData(columns, rows), data = image.data;
    for (let r = 0; r < rows; r++) {
      const row = g.p.up ? rows - 1 - r : r;
      for (let c = 0; c < columns; c++) fill(at(c, row), c, row, data, 4 * (r * columns + c));
    }
    return image;
  }

  const scratch = document.createElement("canvas");
  function put(context, g, image, smooth) {
    scratch.width = image.width;
    scratch.height = image.height;
    scratch.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = smooth;
    context.drawImage(scratch, g.left, g.top, g.width * g.scale, g.height * g.scale);
  }

  function grey(pair, window) {
    const [low, high] = window;
    return Uint8ClampedArray.from(pair.levels, (v) => (255 * (v - low)) / (high - low));
  }

  function set(data, o, r, g, b, a = 255) {
    data[o] = r;
    data[o + 1] = g;
    data[o + 2] = b;
    data[o + 3] = a;
  }

  function picture(context, pair, method, cursor, g, view, kind) {
    const table = grey(pair, view.window), { fixed, moving } = pair, warped = method.warped;
    // Of each voxel the volume that is shown there.
    const mixed = (volume) => (i, c, r, data, o) => { const v = table[volume(c, r)[i]]; set(data, o, v, v, v); };
    const plain = (volume) => mixed(() => volume);
    const difference = (volume) => (i, c, r, data, o) => {
      const d = table[volume[i]] - table[fixed[i]];
      const s = Math.min(Math.abs(d), 255);
      if (d > 0) set(data, o, s, s * 0.62, 0); else set(data, o, s * 0.2, s * 0.62, s);
    };
    const tile = Math.max(4, Math.round(Math.max(...pair.size) / 12));
    const kinds = {
      fixed: plain(fixed), moving: plain(moving), warped: plain(warped),
      difference: difference(warped), before: difference(moving),
      flicker: plain(view.flick ? warped : fixed),
      blend: (i, c, r, data, o) => {
        const a = table[fixed[i]] * Math.min(1, 2 * (1 - view.mix)), b = table[warped[i]] * Math.min(1, 2 * view.mix);
        set(data, o, a, b, a);
      },
      checkerboard: mixed((c, r) => ((Math.floor(c / tile) + Math.floor(r / tile)) % 2 ? warped : fixed)),
      curtain: mixed((c) => (c + 0.5 < view.mix * pair.size[g.p.column] ? fixed : warped)),
      jacobian: (i, c, r, data, o) => set(data, o, ...slope(method.jacobian[i] / 100)),
    };
    put(context, g, raster(pair, g, cursor, kinds[kind]), kind !== "jacobian" && kind !== "checkerboard");
    if (kind === "curtain") {
      const x = g.left + view.mix * g.width * g.scale;
      context.strokeStyle = "#ffd92f";
      context.lineWidth = 1.5 * view.ratio;
      stroke(context, [[x, g.top, x, g.top + g.height * g.scale]]);
    }
  }

  function stroke(context, segments) {
    context.beginPath();
    for (const [a, b, c, d] of segments) { context.moveTo(a, b); context.lineTo(c, d); }
    context.stroke();
  }

  // Outlines of one label by marching squares: segments between the middles of voxels' neighbours.
  function outline(inside, columns, rows) {
    const found = [], at = (c, r) => (c >= 0 && r >= 0 && c < columns && r < rows && inside(c, r) ? 1 : 0);
    for (let r = -1; r < rows; r++) {
      for (let c = -1; c < columns; c++) {
        const a = at(c, r), b = at(c + 1, r), d = at(c + 1, r + 1), e = at(c, r + 1);
        if (a + b + d + e === 0 || a + b + d + e === 4) continue;
        const top = [c + 0.5, r], right = [c + 1, r + 0.5], bottom = [c + 0.5, r + 1], left = [c, r + 0.5];
        const crossed = [];
        if (a !== b) crossed.push(top);
        if (b !== d) crossed.push(right);
        if (e !== d) crossed.push(bottom);
        if (a !== e) crossed.push(left);
        if (crossed.length === 2) found.push(crossed);
        else if (a) found.push([top, right], [bottom, left]);
        else found.push([top, left], [right, bottom]);
      }
    }
    return found;
  }

  function outlines(context, pair, volume, g, cursor, ratio, dashed) {
    const { p } = g, { columns, rows, at: place } = slice(pair, g, cursor);
    const at = (c, r) => volume[place(c, r)];
    const there = new Set();
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) there.add(at(c, r));
    there.delete(0);
    for (const label of there) {
      const segments = outline((c, r) => at(c, r) === label, columns, rows).map(([u, v]) => {
        const index = (q) => { const i = [...cursor]; i[p.column] = q[0]; i[p.row] = q[1]; return i; };
        return [...project(g, pair, index(u)), ...project(g, pair, index(v))];
      });
      context.setLineDash([]);
      context.strokeStyle = "rgba(0,0,0,0.75)";
      context.lineWidth = (dashed ? 2.4 : 3.4) * ratio;
      stroke(context, segments);
      context.strokeStyle = dashed ? "#ffffff" : labelColour(label);
      context.lineWidth = (dashed ? 1.1 : 1.9) * ratio;
      stroke(context, segments);
    }
  }

  function field(context, pair, method, g, cursor, view) {
    const { p } = g, u = [0, 0, 0], columns = pair.size[p.column], rows = pair.size[p.row];
    const at = (c, r) => { const i = [...cursor]; i[p.column] = c; i[p.row] = r; return i; };
    const moved = (index) => {
      displacement(method, ...index, u);
      const to = index.map((v, a) => v + u[a] / pair.spacing[a]);
      return [project(g, pair, index), project(g, pair, to)];
    };
    if (view.field === "colour") {
      const image = raster(pair, g, cursor, (i, c, r, data, o) => {
        displacement(method, ...at(c, r), u);
        set(data, o, ...ramp(Math.hypot(...u) / (view.longest || 1)), 190);
      });
      put(context, g, image, true);
      return;
    }
    const gap = (view.field === "arrows" ? 15 : 14) * view.ratio;
    const step = (axis) => Math.max(1, Math.round(gap / (g.scale * pair.spacing[axis])));
    const across = step(p.column), down = step(p.row);
    context.lineWidth = 1.1 * view.ratio;
    if (view.field === "grid") {
      context.strokeStyle = "rgba(86,214,255,0.85)";
      context.beginPath();
      const line = (points) => points.forEach(([, q], i) => (i ? context.lineTo(...q) : context.moveTo(...q)));
      for (let r = 0; r < rows; r += down) line(Array.from({ length: columns }, (_, c) => moved(at(c, r))));
      for (let c = 0; c < columns; c += across) line(Array.from({ length: rows }, (_, r) => moved(at(c, r))));
      context.stroke();
      return;
    }
    context.strokeStyle = context.fillStyle = "#56d6ff";
    for (let r = Math.floor(down / 2); r < rows; r += down) {
      for (let c = Math.floor(across / 2); c < columns; c += across) {
        const [from, to] = moved(at(c, r));
        arrow(context, from, to, 3.2 * view.ratio);
      }
    }
  }

  function arrow(context, [a, b], [c, d], head) {
    const length = Math.hypot(c - a, d - b);
    if (length < 1) return;
    stroke(context, [[a, b, c, d]]);
    const angle = Math.atan2(d - b, c - a), size = Math.min(head, length);
    context.beginPath();
    context.moveTo(c, d);
    for (const turn of [2.6, -2.6]) context.lineTo(c + size * Math.cos(angle + turn), d + size * Math.sin(angle + turn));
    context.fill();
  }

  function folds(context, pair, method, g, cursor) {
    put(context, g, raster(pair, g, cursor, (i, c, r, data, o) => {
      const j = method.jacobian[i] / 100;
      set(data, o, ...slope(j), j <= 0 ? 255 : 60 + 150 * Math.min(1, Math.abs(j - 1)));
    }), false);
  }

  // The inverse error in colour; where it is not known, hatched.
  function inverse(context, pair, method, g, cursor, view) {
    const { p } = g, index = [...cursor];
    put(context, g, raster(pair, g, cursor, (i, c, r, data, o) => {
      index[p.column] = c;
      index[p.row] = r;
      const error = inverseError(method, ...index);
      if (error === null) set(data, o, 150, 150, 150, (c + r) % 4 ? 0 : 160);
      else { const t = Math.min(1, error / (view.worst || 1)); set(data, o, ...ramp(t), 30 + 200 * t); }
    }), false);
  }

  // Landmarks within 4 mm of the slice, or a voxel where that is thicker.
  function landmarks(context, pair, method, g, cursor, ratio) {
    const { p } = g, near = Math.max(4 / pair.spacing[p.normal], 1);
    for (const [, place, , rest] of method.landmarks) {
      if (Math.abs(place[p.normal] - cursor[p.normal]) > near) continue;
      const from = project(g, pair, place), to = project(g, pair, place.map((v, a) => v + rest[a] / pair.spacing[a]));
      for (const [colour, wide] of [["rgba(0,0,0,0.8)", 4], ["#ff5c5c", 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = wide * ratio;
        stroke(context, [[...from, ...to]]);
      }
      context.fillStyle = "#ffffff";
      context.strokeStyle = "#000000";
      context.lineWidth = ratio;
      context.beginPath();
      context.arc(...from, 2.6 * ratio, 0, 7);
      context.fill();
      context.stroke();
    }
  }

  function text(context, words, x, y, ratio, align = "center") {
    context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "rgba(0,0,0,0.85)";
    context.strokeText(words, x, y);
    context.fillStyle = "#ffe66d";
    context.fillText(words, x, y);
  }

  function furniture(context, g, canvas, view) {
    const { ratio, unit } = view, [left, right, top, bottom] = g.p.letters;
    text(context, left, 9 * ratio, canvas.height / 2, ratio);
    text(context, right, canvas.width - 9 * ratio, canvas.height / 2, ratio);
    text(context, top, canvas.width / 2, 10 * ratio, ratio);
    text(context, bottom, canvas.width / 2, canvas.height - 10 * ratio, ratio);
    const room = canvas.width / 4 / g.scale;
    const length = [100, 50, 20, 10, 5, 2, 1].find((n) => n <= room);
    if (!length) return;
    const x = 12 * ratio, y = canvas.height - 12 * ratio, wide = length * g.scale;
    for (const [colour, thick] of [["#000000", 5], ["#ffffff", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick * ratio;
      stroke(context, [[x, y, x + wide, y]]);
    }
    text(context, `${length} ${unit}`, x, y - 11 * ratio, ratio, "left");
  }

  function cross(context, g, pair, cursor, ratio) {
    const [x, y] = project(g, pair, cursor), gap = 6 * ratio, far = 1e4;
    context.strokeStyle = "rgba(120,255,160,0.65)";
    context.lineWidth = ratio;
    stroke(context, [[x - far, y, x - gap, y], [x + gap, y, x + far, y], [x, y - far, x, y - gap], [x, y + gap, x, y + far]]);
  }

  // Draw a pane; what is drawn depends on nothing but its arguments.
  function draw(canvas, pair, method, plane, kind, view) {
    const context = canvas.getContext("2d"), cursor = view.cursor;
    context.setLineDash([]);
    context.fillStyle = "#000000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const g = geometry(pair, plane, cursor, canvas, view.zoom);
    picture(context, pair, method, cursor, g, view, kind);
    if (view.jacobian && kind !== "jacobian") folds(context, pair, method, g, cursor);
    if (view.inverse && kind !== "jacobian") inverse(context, pair, method, g, cursor, view);
    if (view.field && kind !== "jacobian") field(context, pair, method, g, cursor, view);
    if (view.labels && pair.fixedLabels) {
      outlines(context, pair, pair.fixedLabels, g, cursor, view.ratio, false);
      const other = kind === "moving" || kind === "before" ? pair.movingLabels : method.warpedLabels;
      if (kind !== "fixed") outlines(context, pair, other, g, cursor, view.ratio, true);
    }
    if (view.landmarks) landmarks(context, pair, method, g, cursor, view.ratio);
    if (view.cross) cross(context, g, pair, cursor, view.ratio);
    furniture(context, g, canvas, view);
    return g;
  }

  return { PLANES, draw, unproject, labelColour, ramp, slope };
})();
