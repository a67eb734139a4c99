// Papers, their tables, and the pairs behind a value.
"use strict";

(() => {
  const { make, paper, address, remember, crumbs, views, state, number, short, csv } = warpline;
  const ARROWS = { higher: " ↑", lower: " ↓" };
  const SAYS = { higher: "higher is better", lower: "lower is better" };

  const verdict = (claim) => make(`span.verdict.${claim.verdict.replace(/[ ,]+/g, "-")}`, {}, claim.verdict);

  // The values of the pairs behind a cell, null where a pair has none.
  function valuesOf(content, row, cell, column) {
    const place = content.places[row.place];
    if (!place) return [];
    const all = cell.pairs || place.scores[row.method]?.[column.metric]?.pairs || place.pairs.map(() => null);
    if (!row.pair) return all;
    return all.map((v, i) => (place.pairs[i].every((c, k) => c === row.pair[k]) ? v : null));
  }

  views.home = async (main) => {
    if (state.start.first) { location.replace(state.start.first); return; }
    crumbs(["Papers"]);
    const papers = await Promise.all(state.start.papers.map(async (name) => [name, await paper(name)]));
    main.replaceChildren(
      make("h1", {}, "Papers and studies"),
      make("p.lead", {}, "Choose a table, click on a value to see its pairs, click on a pair to see its images."),
      make("div.cards", {}, ...papers.map(([name, content]) => make("section.card", {},
        make("h2", {}, content.title),
        make("p.soft", {}, content.citation),
        make("ul.plain", {}, ...Object.entries(content.tables).map(([id, table]) => make("li", {},
          make("a", { href: address(["table", name, id]) }, table.title)))),
        content.claims.length ? make("details", {},
          make("summary", {}, "What it claims, and this run ", ...content.claims.map(verdict)),
          make("ul.claims", {}, ...content.claims.map((claim) => make("li", {}, make("strong", {}, claim.text), " ", verdict(claim),
            make("span.soft", {}, ` ${claim.sentence}`))))) : null))),
    );
  };

  views.table = async (main, [name, id], query) => {
    const content = await paper(name);
    const table = content.tables[id];
    if (!table) throw new Error(`The paper '${name}' has no table '${id}'.`);
    crumbs(["Papers", "#/"], [table.title]);
    const shown = {
      sort: query.get("sort") || "", down: query.get("down") === "1", find: query.get("find") || "",
      hidden: new Set((query.get("hide") || "").split(",").filter(Boolean)),
      intervals: query.get("intervals") === "1", published: query.get("published") !== "0",
    };
    const others = Object.entries(content.tables).filter(([other]) => other !== id);
    const place = make("div.scroll", { role: "region", tabindex: "0", "aria-label": table.title });
    const tools = make("div.tools", {},
      make("label", {}, "Find a method ", make("input", { type: "search", value: shown.find, oninput: (e) => { shown.find = e.target.value; draw(); } })),
      make("details.menu", {}, make("summary", {}, "Columns"), make("div", {}, ...table.columns.map((column) => make("label", {},
        make("input", { type: "checkbox", checked: !shown.hidden.has(column.id), onchange: (e) => { shown.hidden[e.target.checked ? "delete" : "add"](column.id); draw(); } }), column.title)))),
      make("label", {}, make("input", { type: "checkbox", checked: shown.intervals, onchange: (e) => { shown.intervals = e.target.checked; draw(); } }), "95 % intervals"),
      table.columns.some((c) => c.published) ? make("label", {}, make("input", { type: "checkbox", checked: shown.published, onchange: (e) => { shown.published = e.target.checked; draw(); } }), "published values") : null,
      make("span", { id: "csv" }),
    );
    main.replaceChildren(
      make("h1", {}, table.title), make("p.soft", {}, content.title), make("p", {}, table.caption), tools, place,
      make("div.notes", {}, ...table.notes.map((note) => make("p", {}, note))),
      others.length ? make("p", {}, "Other tables: ", ...others.flatMap(([other, t], i) => [i ? " · " : "", make("a", { href: address(["table", name, other]) }, t.title)])) : "",
    );

    function draw() {
      remember({ sort: shown.sort, down: shown.down ? "1" : "", find: shown.find, hide: [...shown.hidden].join(","), intervals: shown.intervals ? "1" : "", published: shown.published ? "" : "0" });
      const columns = table.columns.map((c, i) => [c, i]).filter(([c]) => !shown.hidden.has(c.id));
      const words = shown.find.toLowerCase();
      const rows = table.rows.map((row, i) => [row, i]).filter(([row]) => `${row.title} ${row.set}`.toLowerCase().includes(words));
      const by = table.columns.findIndex((c) => c.id === shown.sort);
      if (by >= 0) {
        const value = ([row]) => row.cells[by].value;
        rows.sort((a, b) => (value(a) === null) - (value(b) === null) || (shown.down ? -1 : 1) * (value(a) - value(b)));
      }
      const head = make("tr", {}, make("th", { scope: "col" }, "Method"), make("th", { scope: "col" }, "n"), ...columns.map(([column]) => {
        const sorted = shown.sort === column.id;
        return make("th", { scope: "col", "aria-sort": sorted ? (shown.down ? "descending" : "ascending") : "none" },
          make("button.sort", { type: "button", title: `${column.says}${SAYS[column.better] ? `; ${SAYS[column.better]}` : ""}`, onclick: () => {
            if (!sorted) { shown.sort = column.id; shown.down = column.better === "higher"; } else if (shown.down === (column.better === "higher")) shown.down = !shown.down;
            else shown.sort = "";
            draw();
          } }, column.title, ARROWS[column.better] || "", sorted ? (shown.down ? " ▾" : " ▴") : ""));
      }));
      const body = [];
      let set = null;
      for (const [row, index] of rows) {
        if (by < 0 && row.set !== set) {
          set = row.set;
          if (set) body.push(make("tr.set", {}, make("th", { colspan: String(2 + columns.length), scope: "rowgroup" }, make("span", {}, set))));
        }
        body.push(make("tr", {},
          make("th", { scope: "row" }, row.title, by >= 0 && row.set ? make("span.soft", {}, ` ${row.set}`) : "", row.method ? "" : make("span.tag", {}, "as published")),
          make("td.soft", {}, row.n),
          ...columns.map(([column, c]) => valueCell(row, row.cells[c], column, index))));
      }
      place.replaceChildren(make("table", { "aria-label": table.title }, make("thead", {}, head), make("tbody", {}, ...body)));
      tools.querySelector("#csv").replaceChildren(csv(`${name}-${id}`, [
        ["set", "method", "n", ...columns.flatMap(([c]) => [c.title, "interval", "published"])],
        ...rows.map(([row]) => [row.set, row.title, row.n, ...columns.flatMap(([, c]) => [row.cells[c].value, row.cells[c].interval, row.cells[c].published])]),
      ]));
    }

    function valueCell(row, cell, column, index) {
      const known = valuesOf(content, row, cell, column).some((v) => v !== null);
      const words = [cell.best ? make("strong", {}, cell.text) : cell.text, cell.star ? make("sup", { title: `p = ${short(cell.p)}` }, "*") : ""];
      return make("td", { title: cell.interval ? `95 % interval ${cell.interval}` : null },
        known ? make("a.value", { href: address(["value", name, id, String(index), column.id]), "aria-label": `${column.title} of ${row.title}: ${cell.text}; its pairs` }, ...words) : make("span", {}, ...words),
        cell.short !== null ? make("span.sub", {}, `n = ${cell.short}`) : "",
        shown.intervals && cell.interval ? make("span.sub", {}, `[${cell.interval}]`) : "",
        shown.published && column.published && cell.published !== "–" ? make("span.sub", {}, `published ${cell.published}`) : "");
    }
    draw();
  };

  // The strip plot: a line of dots for every method of the row's set.
  function strips(content, name, table, column, c, chosen) {
    const row = table.rows[chosen];
    const lines = table.rows.map((r, i) => [r, i]).filter(([r]) => r.set === row.set && r.place && !r.pair === !row.pair)
      .map(([r, i]) => ({ row: r, index: i, values: valuesOf(content, r, r.cells[c], column) }))
      .filter((line) => line.values.some((v) => v !== null));
    const all = lines.flatMap((line) => line.values.filter((v) => v !== null));
    let low = Math.min(...all), high = Math.max(...all);
    if (low === high) { low -= Math.abs(low) * 0.1 || 0.5; high += Math.abs(high) * 0.1 || 0.5; }
    const pad = (high - low) * 0.04;
    low -= pad; high += pad;
    const left = 190, right = 24, width = 900, tall = 44, height = lines.length * tall + 46;
    const x = (v) => left + ((v - low) / (high - low)) * (width - left - right);
    const svg = make("svg.strips", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${column.title} of every pair, a line a method` });
    const step = niceStep((high - low) / 5);
    for (let t = Math.ceil(low / step) * step; t <= high; t += step) {
      svg.append(make("line.tick", { x1: x(t), x2: x(t), y1: 6, y2: height - 40 }), make("text.axis", { x: x(t), y: height - 24, "text-anchor": "middle" }, String(Number(t.toPrecision(6)))));
    }
    svg.append(make("text.axis", { x: left + (width - left - right) / 2, y: height - 7, "text-anchor": "middle" }, column.title + (SAYS[column.better] ? ` (${SAYS[column.better]})` : "")));
    lines.forEach((line, l) => {
      const y = 6 + tall * (l + 0.5), place = content.places[line.row.place];
      const ranked = rank(line.values, column.better);
      const own = line.index === chosen;
      if (own) svg.append(make("rect.chosen", { x: 0, y: y - tall / 2 + 2, width, height: tall - 4, rx: 4 }));
      const go = address(["value", name[0], name[1], String(line.index), column.id]);
      const label = make("a", { svg: true, href: go }, make("text.method", { x: left - 12, y: y + 4, "text-anchor": "end" }, trim(line.row.title)));
      label.append(make("title", {}, line.row.title));
      svg.append(label);
      line.values.forEach((v, pair) => {
        if (v === null) return;
        const mark = own && pair === ranked.worst ? "worst" : own && pair === ranked.median ? "median" : "";
        const shift = (((pair * 7) % 11) - 5) * 1.7;
        const kept = place.kept[pair];
        const dot = make(`circle.dot${mark ? `.${mark}` : ""}${kept ? "" : ".bare"}`, { cx: x(v), cy: y + shift, r: mark ? 6 : 4.2 });
        const words = `${place.pairs[pair].join(" ← ")}: ${short(v)}${mark ? `, ${mark}` : ""}${kept ? "" : " (no images kept)"}`;
        const to = kept ? make("a", { svg: true, href: pairAddress(name[0], line.row, pair, place), "aria-label": `${line.row.title}, ${words}` }) : make("g", {});
        to.append(make("title", {}, words), dot);
        if (mark) to.append(make("text.mark", { x: x(v), y: y + (mark === "worst" ? shift - 9 : 19), "text-anchor": "middle" }, mark));
        svg.append(to);
      });
    });
    return svg;
  }

  const trim = (text) => (text.length > 26 ? `${text.slice(0, 25)}…` : text);

  function niceStep(rough) {
    const size = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough) || rough;
  }

  // Indices of the worst and of the median pair; what is neither better nor worse goes by size.
  function rank(values, better) {
    const order = values.map((v, i) => [v, i]).filter(([v]) => v !== null).sort((a, b) => (better === "higher" ? a[0] - b[0] : b[0] - a[0]));
    return { worst: order[0]?.[1], median: order[Math.floor(order.length / 2)]?.[1], order: order.map(([, i]) => i) };
  }

  const pairAddress = (name, row, pair, place, more = {}) => address(
    ["pair", name, ...row.place.split("/"), String(pair)], { m: String(Math.max(place.methods.indexOf(row.method), 0)), ...more });

  views.value = async (main, [name, id, index, columnId], query) => {
    const content = await paper(name), table = content.tables[id], row = table?.rows[Number(index)];
    const c = table ? table.columns.findIndex((k) => k.id === columnId) : -1;
    if (!row || c < 0) throw new Error("There is no such value.");
    const column = table.columns[c], cell = row.cells[c], place = content.places[row.place];
    if (!place) throw new Error("This row was not run here: no pairs stand behind its value.");
    crumbs(["Papers", "#/"], [table.title, address(["table", name, id])], [`${column.title}, ${row.title}`]);
    const values = valuesOf(content, row, cell, column), ranked = rank(values, column.better);
    const shown = { by: query.get("by") || "value", down: query.get("down") === "1" };
    const list = make("div.scroll", { role: "region", tabindex: "0", "aria-label": "Pairs" });
    main.replaceChildren(
      make("h1", {}, `${column.title}: ${row.title}`),
      make("p", {}, make("strong.big", {}, cell.text), cell.interval ? ` 95 % interval ${cell.interval}` : "", cell.published && cell.published !== "–" ? ` · published ${cell.published}` : "",
        make("span.soft", {}, ` · ${column.says} · ${place.title}, ${row.set || place.split}`)),
      make("p.soft", {}, "Each dot is a pair; filled ones have images to look at. Click a dot, or a method's name to choose its line."),
      make("div.scroll", {}, strips(content, [name, id], table, column, c, Number(index))),
      make("h2", {}, "Pairs"), list,
    );

    function draw() {
      remember({ by: shown.by === "value" ? "" : shown.by, down: shown.down ? "1" : "" });
      const order = shown.by === "value" ? [...ranked.order] : values.map((_, i) => i).filter((i) => values[i] !== null)
        .sort((a, b) => place.pairs[a].join().localeCompare(place.pairs[b].join(), undefined, { numeric: true }));
      if (shown.down) order.reverse();
      const head = (key, words) => make("th", { scope: "col", "aria-sort": shown.by === key ? (shown.down ? "descending" : "ascending") : "none" },
        make("button.sort", { type: "button", onclick: () => { shown.down = shown.by === key && !shown.down; shown.by = key; draw(); } }, words, shown.by === key ? (shown.down ? " ▾" : " ▴") : ""));
      list.replaceChildren(make("table.pairs", {},
        make("thead", {}, make("tr", {}, head("name", "Fixed ← moving"), head("value", shown.down ? "Best first" : "Worst first"), make("th", { scope: "col" }, ""))),
        make("tbody", {}, ...order.map((pair) => make("tr", {},
          make("th", { scope: "row" }, place.pairs[pair].join(" ← ")),
          make("td", {}, number(values[pair], Math.max(column.decimals, 3)), pair === ranked.worst ? make("span.tag", {}, "worst") : pair === ranked.median ? make("span.tag", {}, "median") : ""),
          make("td", {}, place.kept[pair] ? make("a", { href: pairAddress(name, row, pair, place) }, "look at it") : make("span.soft", {}, "no images kept")))))),
      csv(`${name}-${id}-${row.method}-${column.id}`, [["fixed", "moving", column.title], ...order.map((pair) => [...place.pairs[pair], values[pair]])]));
    }
    draw();
  };
})();
