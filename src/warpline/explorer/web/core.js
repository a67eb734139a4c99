// What all parts share: data that comes as scripts, the address bar, and making elements.
"use strict";

const warpline = (() => {
  const waiting = new Map();
  const held = new Map();
  const views = {};
  const state = { start: null };
  // How the pages are made; those of a single registration say it themselves.
  const BY_RULE = "snakemake --cores 2 --forcerun explorer explorer";
  const again = () => `Make it again: ${state.start?.again ?? BY_RULE}`;

  // Data files call this; a page from a folder may not read files in another way.
  function take(kind, name, content) {
    if (kind === "start") {
      state.start = content;
      begin();
      return;
    }
    const key = `${kind} ${name}`;
    held.set(key, content);
    waiting.get(key)?.resolve(content);
  }

  function load(kind, name, path) {
    const key = `${kind} ${name}`;
    if (held.has(key)) return Promise.resolve(held.get(key));
    if (waiting.has(key)) return waiting.get(key).promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => {
      entry.resolve = resolve;
      const failed = (why) => {
        waiting.delete(key);
        reject(new Error(`${path} ${why}. ${again()}`));
      };
      const tag = document.createElement("script");
      tag.src = path;
      tag.onerror = () => failed("cannot be read");
      // A script that ran and handed over nothing is cut off or is another file.
      tag.onload = () => { tag.remove(); if (!held.has(key)) failed("is broken"); };
      document.head.append(tag);
    });
    waiting.set(key, entry);
    return entry.promise;
  }

  const paper = (name) => load("paper", name, `${name}/paper.js`);

  // make("td.wide", {title: "…"}, child, "text", …)
  function make(kind, attributes = {}, ...children) {
    const [tag, ...classes] = kind.split(".");
    const drawn = ["svg", "circle", "line", "text", "g", "rect", "path", "title"].includes(tag) || attributes.svg;
    const found = drawn
      ? document.createElementNS("http://www.w3.org/2000/svg", tag)
      : document.createElement(tag);
    for (const name of classes) found.classList.add(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "svg" || value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
      else if (key === "checked" || key === "value" || key === "selected") found[key] = value;
      else found.setAttribute(key, value === true ? "" : value);
    }
    found.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return found;
  }

  function read() {
    const [path, query] = location.hash.replace(/^#/, "").split("?");
    const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
    return { parts, query: new URLSearchParams(query || "") };
  }

  const address = (parts, query = {}) => {
    const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== "" && v !== null)).toString();
    return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
  };

  // The view changes without a new step in the history; the address can be sent.
  function remember(query) {
    const { parts } = read();
    history.replaceState(null, "", address(parts, query));
  }

  function crumbs(...links) {
    const place = document.getElementById("crumbs");
    place.replaceChildren(...links.flatMap(([text, to], i) => [
      i ? make("span.sep", { "aria-hidden": "true" }, "›") : "",
      to ? make("a", { href: to }, text) : make("span", { "aria-current": "page" }, text),
    ]));
    document.title = ["warpline", ...links.map(([text]) => text)].join(" · ");
  }

  let leave = null, before = null;
  async function show() {
    const { parts, query } = read();
    const main = document.getElementById("main");
    leave?.();
    leave = null;
    const view = views[parts[0] || "home"];
    try {
      if (!view) throw new Error(`There is no page '${parts.join("/")}'.`);
      leave = (await view(main, parts.slice(1), query)) || null;
      if (before !== null && before !== parts[0]) window.scrollTo(0, 0);
      before = parts[0];
    } catch (error) {
      main.replaceChildren(
        make("h1", {}, "This cannot be shown"),
        make("p.problem", { role: "alert" }, error.message),
        make("p", {}, make("a", { href: "#/" }, "All papers")),
      );
    }
  }

  function begin() {
    const run = state.start.run;
    document.getElementById("run").append(
      make("strong", {}, run.title), ` · ${run.data} · ${run.date} · code ${run.code} · ${run.machine}`,
    );
    window.addEventListener("hashchange", show);
    show();
  }

  const number = (value, decimals) => (value === null || value === undefined ? "–" : value.toFixed(decimals));
  // Four significant digits, or plain 0.
  const short = (value) => {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  };

  // A label's name as one reads it.
  const inWords = (name) => name.replaceAll("_", " ").replace(/\besophagus/, "oesophagus");

  function csv(name, rows) {
    const cell = (v) => (/[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : String(v));
    const text = rows.map((row) => row.map((v) => cell(v ?? "")).join(",")).join("\n");
    return make("a.button", {
      href: URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" })), download: `${name}.csv`,
    }, "CSV");
  }

  return { take, load, paper, make, read, address, remember, crumbs, views, state, number, short, csv, inWords, again };
})();
