// One pair: its pictures in linked planes, by one method or by two, and its scores.
"use strict";

(() => {
  const { make, paper, load, address, remember, crumbs, views, short } = warpline;
  const { slices } = warpline;
  const PICTURES = [
    ["fixed", "Fixed"], ["moving", "Moving"], ["warped", "Warped"], ["difference", "Difference"],
    ["blend", "Blend"], ["checkerboard", "Checkerboard"], ["curtain", "Curtain"], ["flicker", "Flicker"], ["jacobian", "Jacobian"],
  ];
  const SAYS = {
    fixed: "The image that the other is brought onto.",
    moving: "The other image where it lies before registration.",
    warped: "The moving image, brought onto the fixed one by the method.",
    difference: "Warped minus fixed: orange where the warped image is brighter, blue where the fixed one is.",
    blend: "Fixed in magenta, warped in green; grey where they agree. The slider changes their shares.",
    checkerboard: "Tiles of the fixed and of the warped image in turn: edges should run through.",
    curtain: "Fixed at the left, warped at the right of the line, which the slider moves.",
    flicker: "Fixed and warped in turn: what jumps is not registered. Space shows the other one.",
    jacobian: "Change of volume: white 1, orange smaller, purple larger, red a fold.",
  };
  const FIELDS = [["", "no field"], ["colour", "length in colour"], ["arrows", "arrows"], ["grid", "deformed grid"]];
  const WINDOWS = { "": "as the sliders say", lung: "lung", soft: "soft tissue", bone: "bone" };
  const HU = { lung: [-1350, 150], soft: [-160, 240], bone: [-450, 1050] };
  const SIX = ["fixed", "moving", "warped", "before", "difference", "jacobian"];
  const TITLES = { before: "Difference before", difference: "Difference after" };
  const KEYS = [
    ["1 … 9", "the pictures"], ["V", "three planes, or six pictures of one"], ["P", "the plane of the six"], ["arrows, Page Up and Down", "move the crosshair; slices"],
    ["+ −", "larger, smaller"], ["L", "outlines of the labels"], ["M", "landmarks"], ["D", "displacement: colour, arrows, grid"], ["J", "Jacobian over the picture"], ["I", "inverse error over the picture"],
    ["F", "next fold, the largest first"], ["E", "next landmark, the worst first"], ["W", "window"], ["X", "crosshair"], [", .", "method before, after"], ["[ ]", "pair before, after"], ["T", "three-dimensional view"], ["?", "these keys"],
  ];

  views.pair = async (main, [name, dataset, split, index], query) => {
    const content = await paper(name), key = `${dataset}/${split}`, place = content.places[key], number = Number(index);
    const stem = place?.kept[number];
    if (!stem) throw new Error(`No images of this pair are kept. They are of those that the configuration names: explorer: {pairs: "worst 3, median, best"}.`);
    const methods = place.methods, titles = methods.map((m) => methodTitle(content, key, m));
    const pair = await warpline.volumes.pair(await load("pair", stem, `${name}/${stem}.js`));
    const reading = new Map(), small = 0.1 * Math.min(...pair.spacing); // mm: no colour of an error ends earlier
    const method = (m) => {
      if (!reading.has(m)) reading.set(m, load("method", `${stem}-${m}`, `${name}/${stem}-${m}.js`).then((c) => warpline.volumes.method(c, pair.size, small)));
      return reading.get(m);
    };
    const usual = usualRange(pair.fixed);
    const ask = (k, fallback) => (query.has(k) ? query.get(k) : fallback);
    const inside = (v, a) => Math.min(Math.max(Math.round(Number(v)), 0), pair.size[a] - 1);
    const chosen = (k, fallback) => { const m = Number(ask(k, fallback)); return m >= 0 && m < methods.length ? m : fallback; };
    const view = {
      m: chosen("m", methods.length - 1), other: query.has("m2") ? chosen("m2", -1) : -1,
      kind: PICTURES.some(([k]) => k === ask("show", "")) ? ask("show", "") : "blend",
      six: ask("six", "") === "1", plane: slices.PLANES[ask("plane", "")] ? ask("plane", "") : "axial",
      mix: Number(ask("mix", 0.5)), zoom: Math.min(Math.max(Number(ask("zoom", 1)) || 1, 1), 16),
      cursor: query.has("at") ? query.get("at").split(",").map(inside) : middle(pair), labels: ask("labels", pair.fixedLabels ? "1" : "0") === "1",
      landmarks: ask("points", "1") === "1", field: FIELDS.some(([k]) => k === ask("field", "")) ? ask("field", "") : "", jacobian: ask("jacobian", "") === "1", inverse: ask("inverse", "") === "1",
      preset: pair.hu && HU[ask("window", "")] ? ask("window", "") : "", range: query.has("range") ? query.get("range").split(",").map(Number) : [...usual],
      cross: ask("cross", "1") === "1", unit: place.unit === "voxels" ? "voxels" : "mm", flick: false, ratio: 1,
    };
    let shown = [await method(view.m), view.other >= 0 ? await method(view.other) : null];
    let active = "axial", panes = [], viewer = null, foldAt = -1, pointAt = -1;
    crumbs(["Papers", "#/"], ...firstTable(content, name, key), [place.pairs[number].join(" ← ")]);

    const select = (label, options, value, change) => make("label.field", {}, make("span", {}, label), make("select", { onchange: (e) => change(e.target.value) },
      ...options.map(([v, words]) => make("option", { value: v, selected: String(v) === String(value) }, words))));
    const kept = Object.keys(place.kept).map(Number);
    const pairSelect = select("Pair", kept.map((p) => [p, place.pairs[p].join(" ← ")]), number, (p) => goPair(Number(p)));
    const methodSelect = select("Method", titles.map((t, m) => [m, t]), view.m, (m) => setMethod(Number(m), view.other));
    const otherSelect = select("Beside it", [[-1, "nothing"], ...titles.map((t, m) => [m, t])], view.other, (m) => setMethod(view.m, Number(m)));
    const windowSelect = pair.hu ? select("Window", Object.entries(WINDOWS), view.preset, (v) => { view.preset = v; paint(); }) : null;
    const fieldSelect = select("Displacement", FIELDS, view.field, (v) => { view.field = v; paint(); });
    const pictures = make("div.pictures", { role: "group", "aria-label": "Picture" }, ...PICTURES.map(([kind, words], i) => make("button", {
      type: "button", "data-kind": kind, title: `${SAYS[kind]} (${i + 1})`, onclick: () => { view.kind = kind; view.six = false; build(); } }, words)));
    const tick = (words, key, hint, there = true) => (there ? make("label.tick", { title: hint }, make("input", { type: "checkbox", "data-key": key, checked: view[key], onchange: (e) => { view[key] = e.target.checked; if (key === "six") build(); else paint(); } }), words) : null);
    const mix = make("input", { type: "range", min: "0", max: "1", step: "0.01", value: String(view.mix), "aria-label": "Share of the warped image, or place of the curtain", oninput: (e) => { view.mix = Number(e.target.value); paint(); } });
    const mixer = make("label.field.mixer", {}, make("span", {}, "Fixed – warped"), mix);
    const slider = (i, label) => make("input", { type: "range", min: "0", max: "255", value: String(view.range[i]), "aria-label": label, oninput: (e) => { view.range[i] = Number(e.target.value); view.preset = ""; if (windowSelect) windowSelect.querySelector("select").value = ""; paint(); } });
    const sliders = [slider(0, "Darkest"), slider(1, "Brightest")];
    const says = make("p.says", { "aria-live": "polite" });
    const grid = make("div.panes", {});
    const readout = make("p.readout", { "aria-live": "off" });
    const bars = make("div.bars", {});
    const space = make("div.space", { hidden: true });
    const landmarked = shown[0].landmarks.length > 0;
    const button = (words, hint, act) => make("button", { type: "button", title: hint, onclick: act }, words);
    const keys = make("dialog", { "aria-label": "Keys" }, make("h2", {}, "Keys"), make("dl", {}, ...KEYS.flatMap(([k, words]) => [make("dt", {}, k), make("dd", {}, words)])), make("form", { method: "dialog" }, make("button", {}, "Close")));
    const scores = make("div.scores", {});
    const message = make("p.problem", { role: "alert", hidden: true });

    main.replaceChildren(
      make("h1.pair", {}, place.pairs[number].join(" ← "), make("span.soft", {}, ` ${place.title}, ${place.split}; fixed ← moving`)),
      make("div.tools", {}, pairSelect, methodSelect, otherSelect, windowSelect, fieldSelect),
      make("div.tools", {}, pictures, mixer, button("3-D", "three-dimensional view (T)", toggleSpace), button("Copy link", "the view as it is", copy), button("Keys", "(?)", () => keys.showModal())),
      make("div.tools", {},
        tick("six pictures", "six", "Fixed, moving, warped, differences and Jacobian in one plane (V)"),
        tick("labels", "labels", "Outlines: in colour of the fixed, white of the other image (L)", Boolean(pair.fixedLabels)),
        tick("landmarks", "landmarks", "White: fixed landmark; red: from where it was mapped to where it should be (M)", landmarked),
        tick("Jacobian over it", "jacobian", "Orange: smaller; purple: larger; red: folds (J)"),
        tick("inverse error", "inverse", "How far a point is from itself after the way there and back (I)"),
        tick("crosshair", "cross", "(X)"),
        button("Next fold", "the largest first (F)", nextFold), landmarked ? button("Worst landmark", "(E)", nextLandmark) : null,
        button("−", "smaller (−)", () => zoom(1 / 1.5)), button("+", "larger (+)", () => zoom(1.5)),
        make("label.field.range", {}, make("span", {}, "Grey"), ...sliders)),
      says, message, grid, readout, bars, space, scores, keys,
    );

    function windowOf() {
      if (view.preset) return HU[view.preset];
      const [low, high] = view.range;
      return [pair.levels[Math.min(low, 254)], pair.levels[Math.max(high, Math.min(low, 254) + 1)]];
    }

    function build() {
      panes = [];
      const rows = shown.flatMap((data, i) => (data ? [[data, i ? view.other : view.m]] : []));
      grid.classList.toggle("six", view.six);
      grid.replaceChildren(...rows.flatMap(([data, m]) => {
        const kinds = view.six ? SIX.map((kind) => [view.plane, kind]) : Object.keys(slices.PLANES).map((plane) => [plane, view.kind]);
        const own = kinds.map(([plane, kind]) => pane(data, plane, kind));
        return rows.length > 1 ? [make("h2.method", {}, titles[m], make("span.soft", {}, ` ${headline(content, key, methods[m], number)}`)), ...own] : own;
      }));
      fit();
    }

    function pane(data, plane, kind) {
      const words = view.six ? TITLES[kind] || PICTURES.find(([k]) => k === kind)[1] : plane;
      const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": `${words}, ${plane} slice`, "data-plane": plane, "data-kind": kind });
      const entry = { canvas, data, plane, kind, g: null };
      const point = (event) => {
        const box = canvas.getBoundingClientRect();
        const at = [event.clientX - box.left, event.clientY - box.top].map((v, i) => (v * [canvas.width, canvas.height][i]) / [box.width, box.height][i]);
        view.cursor = slices.unproject(entry.g, pair, view.cursor, ...at);
        paint();
      };
      canvas.addEventListener("pointerdown", (event) => { active = plane; canvas.setPointerCapture(event.pointerId); point(event); canvas.focus({ preventScroll: true }); });
      canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
      canvas.addEventListener("focus", () => { active = plane; });
      canvas.addEventListener("wheel", (event) => { event.preventDefault(); active = plane; if (event.ctrlKey) zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); else step(slices.PLANES[plane].normal, event.deltaY > 0 ? 1 : -1); }, { passive: false });
      panes.push(entry);
      return make("figure.pane", {}, canvas, make("figcaption", {}, words));
    }

    function fit() {
      view.ratio = window.devicePixelRatio || 1;
      for (const { canvas } of panes) {
        const box = canvas.getBoundingClientRect();
        canvas.width = Math.max(1, Math.round(box.width * view.ratio));
        canvas.height = Math.max(1, Math.round(box.height * view.ratio));
      }
      paint();
    }

    let asked = 0;
    function paint() {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(paintNow);
    }

    // Two methods side by side share the ends of their colours.
    const most = (of) => Math.max(...shown.filter(Boolean).map(of));

    function paintNow() {
      view.window = windowOf();
      view.longest = most((data) => data.longest);
      view.worst = most((data) => data.inverse.usual);
      for (const entry of panes) entry.g = slices.draw(entry.canvas, pair, entry.data, entry.plane, entry.kind, view);
      for (const b of pictures.children) b.setAttribute("aria-pressed", String(!view.six && b.dataset.kind === view.kind));
      for (const box of main.querySelectorAll("[data-key]")) box.checked = view[box.dataset.key];
      mixer.hidden = view.six || !["blend", "curtain"].includes(view.kind);
      says.textContent = view.six ? `One ${view.plane} slice in six pictures (P changes the plane).` : SAYS[view.kind];
      readout.replaceChildren(...told());
      bars.replaceChildren(...legends());
      fieldSelect.querySelector("select").value = view.field;
      if (windowSelect) windowSelect.querySelector("select").value = view.preset;
      grid.dataset.ready = "1";
      remember({
        m: String(view.m), m2: view.other >= 0 ? String(view.other) : "", show: view.kind === "blend" ? "" : view.kind, six: view.six ? "1" : "", plane: view.six ? view.plane : "",
        at: view.cursor.join(","), mix: view.mix === 0.5 ? "" : String(view.mix), zoom: view.zoom === 1 ? "" : view.zoom.toFixed(2), labels: pair.fixedLabels && !view.labels ? "0" : "",
        points: view.landmarks ? "" : "0", field: view.field, jacobian: view.jacobian ? "1" : "", inverse: view.inverse ? "1" : "", window: view.preset, range: view.range.join() === usual.join() ? "" : view.range.join(","), cross: view.cross ? "" : "0",
      });
    }

    function told() {
      const [x, y, z] = view.cursor, i = x + pair.size[0] * (y + pair.size[1] * z), unit = pair.hu ? " HU" : "";
      const value = (volume) => `${short(pair.levels[volume[i]])}${unit}`;
      const parts = [`voxel ${view.cursor.map((v) => v + 1).join(", ")} of ${pair.size.join(" × ")}`, `fixed ${value(pair.fixed)}`];
      for (const [k, data] of shown.entries()) {
        if (!data) continue;
        const u = warpline.volumes.displacement(data, x, y, z, [0, 0, 0]), j = data.jacobian[i] / 100, error = warpline.volumes.inverseError(data, x, y, z);
        const label = (volume) => (volume && volume[i] ? warpline.inWords(pair.names[volume[i]] || `label ${volume[i]}`) : "");
        const both = [label(pair.fixedLabels), label(data.warpedLabels)].map((n) => n || "none");
        parts.push(`${shown[1] ? `${titles[k ? view.other : view.m]}: ` : ""}warped ${value(data.warped)}, displaced ${Math.hypot(...u).toFixed(2)} ${view.unit}, Jacobian ${j <= 0 ? "≤ 0, a fold" : j.toFixed(2)}, ${data.folds} folds in all, inverse error ${error === null ? "not known" : `${short(error)} ${view.unit}`}${pair.fixedLabels && both.join() !== "none,none" ? `, label ${both[0]} / ${both[1]}` : ""}`);
      }
      return [parts.join(" · ")];
    }

    function legends() {
      const found = [], bar = (title, low, high, colours) => make("span.bar", {}, `${title} ${low} `, make("i", { style: `background:linear-gradient(to right,${colours.join(",")})` }), ` ${high}`);
      const css = (c) => `rgb(${c.map(Math.round).join(",")})`;
      const [low, high] = view.window, RAMP = [0, 0.25, 0.5, 0.75, 1].map((t) => css(slices.ramp(t)));
      found.push(bar(pair.hu ? "HU" : "intensity", short(low), short(high), ["#000", "#fff"]));
      if (view.field === "colour") found.push(bar(`displacement (${view.unit})`, "0", short(view.longest), RAMP));
      if (view.field === "grid") found.push(make("span.bar", {}, "grid: where each line of the fixed image lies in the moving one"));
      if (view.field === "arrows") found.push(make("span.bar", {}, "arrows: from a fixed point to its place in the moving image, true to scale"));
      if (view.jacobian || view.six || view.kind === "jacobian") found.push(bar("Jacobian", "0", "2", [0.01, 0.5, 1, 1.5, 2].map((t) => css(slices.slope(t)))), make("span.bar", {}, make("i.fold", {}), " fold"));
      if (view.inverse) {
        const ways = [...new Set(shown.filter(Boolean).map((data) => data.inverse.by))];
        found.push(bar(`inverse error (${view.unit})`, "0", `${short(view.worst)} and more`, RAMP), make("span.bar.words", {}, `how far a fixed point is from itself after the way there by the field and back by ${ways.join(" / ")}; hatched: not known`));
      }
      if (view.labels && pair.fixedLabels) for (const [value, label] of Object.entries(pair.names)) found.push(make("span.bar", {}, make("i.swatch", { style: `background:${slices.labelColour(Number(value))}` }), ` ${warpline.inWords(label)}`));
      return found;
    }

    function step(axis, by) {
      view.cursor = view.cursor.map((v, a) => (a === axis ? inside(v + by, a) : v));
      paint();
    }

    function zoom(by) { view.zoom = Math.min(Math.max(view.zoom * by, 1), 16); paint(); }

    function nextFold() {
      const data = shown[0], heaps = (data.heaps ||= warpline.volumes.heaps(data));
      if (!heaps.length) { say(`${titles[view.m]} folds nowhere in what is shown of this pair.`); return; }
      foldAt = (foldAt + 1) % heaps.length;
      view.cursor = [...heaps[foldAt].middle];
      view.jacobian = true;
      paint();
      say(`Fold ${foldAt + 1} of ${heaps.length}, the largest first: ${heaps[foldAt].count} voxels of what is shown.`, "info");
    }

    function nextLandmark() {
      const order = [...shown[0].landmarks].sort((a, b) => Math.hypot(...b[3]) - Math.hypot(...a[3]));
      if (!order.length) return;
      pointAt = (pointAt + 1) % order.length;
      view.cursor = order[pointAt][1].map(inside);
      view.landmarks = true;
      paint();
      say(`Landmark ${order[pointAt][0]}: ${Math.hypot(...order[pointAt][3]).toFixed(2)} ${view.unit} off, number ${pointAt + 1} of ${order.length} from the worst.`, "info");
    }

    function say(words, kind = "note") {
      message.hidden = !words;
      message.className = kind === "problem" ? "problem" : "note";
      message.textContent = words;
    }

    function goPair(p) {
      if (p === undefined) return;
      const { query: now } = warpline.read(), kept = Object.fromEntries(now);
      delete kept.at;
      location.hash = address(["pair", name, dataset, split, String(p)], kept);
    }

    async function setMethod(m, other) {
      try {
        shown = [await method(m), other >= 0 ? await method(other) : null];
        [view.m, view.other] = [m, other];
        foldAt = pointAt = -1;
        methodSelect.querySelector("select").value = String(m);
        otherSelect.querySelector("select").value = String(other);
        say("");
        tables();
        build();
        if (viewer) { await toggleSpace(); await toggleSpace(); }
      } catch (error) { say(error.message, "problem"); }
    }

    async function toggleSpace() {
      if (viewer) {
        viewer = null;
        space.hidden = true;
        space.replaceChildren();
        return;
      }
      const kind = view.kind === "fixed" || view.kind === "moving" ? view.kind : "warped";
      const canvas = make("canvas", { "aria-label": "three-dimensional view of the image; drag to turn it" });
      space.replaceChildren(make("div.room", {}, canvas), make("p.soft", {}, `${kind} image in space; drag to turn, wheel to come nearer.`));
      space.hidden = false;
      const data = shown[0];
      const codes = view.window.map((v) => pair.levels.findIndex((l) => l >= v)).map((v, i) => (v < 0 ? 255 * i : v));
      try {
        viewer = await warpline.space.show(canvas, pair, kind === "warped" ? data.warped : pair[kind], view.labels ? (kind === "warped" ? data.warpedLabels : pair[`${kind}Labels`]) : null, [codes[0] + 0.12 * (codes[1] - codes[0]), codes[1]]);
        canvas.dataset.ready = "1";
        space.scrollIntoView({ block: "end" });
      } catch (error) {
        viewer = null;
        space.replaceChildren(make("p.problem", { role: "alert" }, error.message));
      }
    }

    async function copy() {
      try { await navigator.clipboard.writeText(location.href); say("The link is copied: it opens this view."); } catch { say(`Copy it from the address bar: ${location.href}`); }
    }

    function tables() {
      const metrics = [...new Set(methods.flatMap((m) => Object.keys(place.scores[m] || {})))];
      const score = (m, k) => place.scores[m]?.[k]?.pairs[number] ?? null;
      const told = metrics.filter((k) => methods.some((m) => score(m, k) !== null));
      const unit = (k) => methods.map((m) => place.scores[m]?.[k]?.unit).find(Boolean) || "";
      const rows = told.map((k) => [`${k.replaceAll("_", " ")}${unit(k) ? ` (${unit(k)})` : ""}`, ...methods.map((m) => score(m, k))]);
      const dice = methods.map((m) => place.scores[m]?.dice?.labels), labels = Object.values(pair.names);
      const extra = labels.length > 1 && dice.some(Boolean) ? labels.map((label) => [`Dice, ${warpline.inWords(label)}`, ...dice.map((d) => d?.[label]?.[number] ?? null)]).filter(([, ...v]) => v.some((x) => x !== null)) : [];
      const all = [...rows, ...extra];
      scores.replaceChildren(make("h2", {}, "What was measured of this pair"), make("div.scroll", { role: "region", tabindex: "0", "aria-label": "Scores" },
        make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, ""), ...titles.map((t, m) => make("th", { scope: "col", class: m === view.m ? "now" : null }, t)))),
          make("tbody", {}, ...all.map(([title, ...values]) => make("tr", {}, make("th", { scope: "row" }, title), ...values.map((v, m) => make("td", { class: m === view.m ? "now" : null }, short(v)))))))),
      warpline.csv(`${name}-${dataset}-${place.pairs[number].join("-")}`, [["metric", ...titles], ...all]));
    }

    function key_(event) {
      if (event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      const { normal, column, row, up } = slices.PLANES[view.six ? view.plane : active], k = event.key;
      const range = event.target.matches("input[type=range]");
      const cycle = (list, now) => list[(list.indexOf(now) + 1) % list.length];
      const moves = { ArrowLeft: [column, -1], ArrowRight: [column, 1], ArrowUp: [row, up ? 1 : -1], ArrowDown: [row, up ? -1 : 1], PageUp: [normal, 1], PageDown: [normal, -1] };
      if (/^[1-9]$/.test(k)) { view.kind = PICTURES[Number(k) - 1][0]; view.six = false; build(); } else if (moves[k] && !range) step(...moves[k]);
      else if (k === "v") { view.six = !view.six; build(); } else if (k === "p") { view.plane = cycle(Object.keys(slices.PLANES), view.plane); view.six = true; build(); }
      else if (k === "+" || k === "=") zoom(1.5); else if (k === "-") zoom(1 / 1.5);
      else if (k === "l" && pair.fixedLabels) { view.labels = !view.labels; paint(); } else if (k === "m") { view.landmarks = !view.landmarks; paint(); }
      else if (k === "d") { view.field = cycle(FIELDS.map(([f]) => f), view.field); paint(); } else if (k === "j") { view.jacobian = !view.jacobian; paint(); }
      else if (k === "i") { view.inverse = !view.inverse; paint(); } else if (k === "f") nextFold(); else if (k === "e") nextLandmark(); else if (k === "x") { view.cross = !view.cross; paint(); }
      else if (k === "w" && pair.hu) { view.preset = cycle(Object.keys(WINDOWS), view.preset); paint(); }
      else if (k === " " && view.kind === "flicker" && !event.target.matches("button, summary")) { view.flick = !view.flick; paint(); }
      else if (k === "," || k === ".") setMethod((view.m + (k === "." ? 1 : methods.length - 1)) % methods.length, view.other);
      else if (k === "[" || k === "]") goPair(kept[kept.indexOf(number) + (k === "]" ? 1 : -1)]);
      else if (k === "t") toggleSpace(); else if (k === "?") keys.showModal(); else return;
      event.preventDefault();
    }

    const timer = setInterval(() => { if (view.kind === "flicker" && !view.six && !matchMedia("(prefers-reduced-motion: reduce)").matches) { view.flick = !view.flick; paint(); } }, 600);
    document.addEventListener("keydown", key_);
    window.addEventListener("resize", fit);
    tables();
    build();
    return () => { clearInterval(timer); document.removeEventListener("keydown", key_); window.removeEventListener("resize", fit); };
  };

  function methodTitle(content, key, method) {
    const place = content.places[key];
    if (place.titles) return place.titles[place.methods.indexOf(method)];
    for (const table of Object.values(content.tables)) {
      const row = table.rows.find((r) => r.place === key && r.method === method);
      if (row) return row.title;
    }
    return method;
  }

  function firstTable(content, name, key) {
    const found = Object.entries(content.tables).find(([, t]) => t.rows.some((r) => r.place === key));
    return found ? [[found[1].title, address(["table", name, found[0]])]] : [];
  }

  // The score that tells most of a pair, in a few words.
  function headline(content, key, method, number) {
    const found = content.places[key].scores[method] || {};
    return ["tre", "dice", "folding_fraction"].filter((k) => (found[k]?.pairs[number] ?? null) !== null)
      .map((k) => `${{ tre: "TRE", dice: "Dice", folding_fraction: "folds" }[k]} ${short(found[k].pairs[number])}${found[k].unit ? ` ${found[k].unit}` : ""}`).join(", ");
  }

  // The levels between which nearly all of an image lies, what is darkest apart.
  function usualRange(volume) {
    const counts = new Array(256).fill(0);
    for (const v of volume) counts[v]++;
    const darkest = counts.findIndex((c) => c > 0);
    counts[darkest] = 0;
    const all = counts.reduce((a, b) => a + b, 0) || 1;
    const at = (part) => { let sum = 0; return counts.findIndex((c) => (sum += c) >= part * all); };
    return [Math.max(at(0.01), 0), Math.max(at(0.995), at(0.01) + 1)];
  }

  // The middle of the labels, of the landmarks' grid, or of the image.
  function middle(pair) {
    if (pair.fixedLabels) {
      const sum = [0, 0, 0], [nx, ny] = pair.size;
      let count = 0;
      pair.fixedLabels.forEach((v, i) => { if (v) { count++; sum[0] += i % nx; sum[1] += Math.floor(i / nx) % ny; sum[2] += Math.floor(i / (nx * ny)); } });
      if (count) return sum.map((s) => Math.round(s / count));
    }
    return pair.size.map((n) => Math.floor(n / 2));
  }
})();
