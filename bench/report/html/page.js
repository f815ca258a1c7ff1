"use strict";
(() => {
  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };

  // --- sorting: first click puts the best (numbers) or the first letter (text) on top, the third restores the order
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    if (cell.classList.contains("gap") || cell.classList.contains("self")) return null;
    const text = cell.textContent.trim();
    if (text === "" || text === "-" || text === "–") return null;
    const number = Number(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  const sort = (table, rows, column, heads) => {
    const head = heads[column];
    const values = new Map(rows.map((row) => [row, value(row, column)]));
    const numeric = [...values.values()].some((one) => typeof one === "number");
    const cycle = numeric ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
    const next = cycle[(cycle.indexOf(head.getAttribute("aria-sort") || "") + 1) % 3];
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    const sorted = [...rows];
    if (next) {
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      sorted.sort((a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        if (x === null || y === null) return (x === null) - (y === null); // gaps last, either way
        return sign * compare(x, y);
      });
    }
    for (const block of table.querySelectorAll("tr.block")) block.hidden = Boolean(next);
    table.tBodies[0].append(...(next ? sorted : table.ordered));
  };

  // --- filter: rows whose text holds every word
  const filter = (table, rows) => {
    const box = make("label", { class: "filter" }, "Filter rows ");
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    const said = make("output", { "aria-live": "polite" });
    box.append(input, " ", said);
    table.parentElement.before(box);
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += row.hidden ? 0 : 1;
      }
      said.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
  };

  for (const table of document.querySelectorAll("table.sort")) {
    table.ordered = [...table.tBodies[0].rows];
    const rows = table.ordered.filter((row) => !row.classList.contains("block"));
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, rows, column, heads));
    });
    if (table.hasAttribute("data-filter")) filter(table, rows);
  }

  // --- a link opens what it leads to
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    (target.parentElement.tagName === "DETAILS" ? target.parentElement : target).scrollIntoView();
    if (target.tabIndex === -1 && target.hasAttribute("tabindex")) target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) reveal(); // the same link again
  });
  if (location.hash) reveal();

  // --- open and close all cells
  for (const part of document.querySelectorAll("section.cells")) {
    const bar = make("p", { class: "bar" });
    for (const [text, open] of [["Open all languages", true], ["Close all", false]]) {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => part.querySelectorAll("details.cell").forEach((one) => (one.open = open)));
      bar.append(button, " ");
    }
    part.querySelector("h3").after(bar);
  }

  // --- sentences: gold, A and B, unpacked when they are first seen
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };
  const spans = (flat) => Array.from({ length: flat.length / 3 }, (_, i) => flat.slice(3 * i, 3 * i + 3));
  const overlap = (a, b) => Math.min(a[1], b[1]) - Math.max(a[0], b[0]);
  const judge = (span, others, alone) => {
    const near = others.filter((other) => overlap(span, other) > 0);
    const same = near.find((other) => other[0] === span[0] && other[1] === span[1]);
    if (same) return same[2] === span[2] ? "correct" : "type";
    return near.some((other) => other[2] === span[2]) ? "boundary" : near.length ? "type and boundary" : alone;
  };
  const side = (name, words, found, kinds, types, target) => {
    const line = make("p", { dir: "auto", lang: target });
    line.append(make("span", { class: "side", lang: "en" }, name), " ");
    let place = 0;
    found.forEach(([start, end, type], i) => {
      line.append(words.slice(place, start).join(" "), " ");
      const mark = make("mark", { class: ["gold", "correct"].includes(kinds[i]) ? "ok" : "no" }, `${words.slice(start, end).join(" ")} `);
      mark.append(make("i", {}, `${types[type]}${{ gold: "", correct: " ✓" }[kinds[i]] ?? ` ✗ ${kinds[i]}`}`));
      line.append(mark, " ");
      place = end;
    });
    line.append(words.slice(place).join(" "));
    return line;
  };
  const pick = (bar, title, options, chosen) => {
    const select = make("select", {});
    options.forEach(([value, text]) => select.append(make("option", { value }, text)));
    if (chosen !== undefined) select.value = chosen;
    const label = make("label", {}, `${title} `);
    label.append(select);
    bar.append(label, " ");
    return select;
  };
  const start = async (part) => {
    const data = await unpack(part.querySelector("template").content.textContent);
    const box = part.querySelector(".sentences");
    const bar = make("p", { class: "pick" });
    const rows = data.rows.map((name, i) => [i, name]);
    const a = pick(bar, "A", rows, data.start[0]);
    const b = pick(bar, "B", rows, data.start[1]);
    const target = pick(bar, "language", data.tests.map((test, i) => [i, test.target]));
    const type = pick(bar, "type", [["", "any"], ...data.types.map((name, i) => [i, name])]);
    const kinds = Object.keys(data.kinds).filter((kind) => kind !== "correct");
    const kind = pick(bar, "error", [["", "any"], ...kinds.map((name) => [name, name])]);
    const where = pick(bar, "where", [
      ["differ", "A and B differ"], ["a", "only A is wrong"], ["b", "only B is wrong"], ["any", "either is wrong"],
    ]);
    const said = make("output", { "aria-live": "polite" });
    const list = make("ol", {});
    const more = make("button", { type: "button" }, "More");
    box.append(bar, said, list, more);
    let waiting = [];
    const show = () => {
      for (const item of waiting.splice(0, 20)) list.append(item());
      more.hidden = !waiting.length;
    };
    const fill = () => {
      const test = data.tests[target.value];
      const [x, y] = [a, b].map((one) => test.found[one.value]);
      list.replaceChildren();
      waiting = [];
      if (x && y) test.words.forEach((text, i) => {
        const [gold, p, q] = [test.gold[i], x[i] || test.gold[i], y[i] || test.gold[i]].map(spans);
        const wrong = [i in x, i in y];
        const fits = { differ: String(p) !== String(q), a: wrong[0] && !wrong[1], b: wrong[1] && !wrong[0], any: wrong[0] || wrong[1] };
        if (!fits[where.value]) return;
        const judged = [p, q].map((found) => [
          gold.map((span) => judge(span, found, "missed")), found.map((span) => judge(span, gold, "spurious")),
        ]);
        const errors = judged.flatMap(([ours, theirs], n) => [
          ...gold.map((span, j) => [span[2], ours[j]]),
          ...[p, q][n].map((span, j) => [span[2], theirs[j]]).filter((pair) => pair[1] === "spurious"),
        ]).filter((pair) => pair[1] !== "correct");
        if (!errors.some((pair) => (type.value === "" || pair[0] === Number(type.value)) && (!kind.value || pair[1] === kind.value))) return;
        waiting.push(() => {
          const words = text.split("\n");
          const item = make("li", {});
          const three = make("div", { class: "three" });
          three.append(side("gold", words, gold, gold.map(() => "gold"), data.types, test.target));
          [[a, p], [b, q]].forEach(([one, found], n) => {
            const missed = gold.filter((_, j) => judged[n][0][j] === "missed").map((span) => [span, "missed"]);
            const every = [...found.map((span, j) => [span, judged[n][1][j]]), ...missed].sort((x, y) => x[0][0] - y[0][0]);
            const [where, what] = [0, 1].map((part) => every.map((pair) => pair[part]));
            three.append(side(data.rows[one.value], words, where, what, data.types, test.target));
          });
          item.append(three, make("small", {}, test.ids[i]));
          return item;
        });
      });
      const [first, second] = [a, b].map((one) => test.seeds[one.value]);
      said.textContent = x && y
        ? `${waiting.length} sentences of the ${test.ids.length} that are kept here (${test.wrong} on which any method errs); A: seed ${first}, B: seed ${second}.`
        : "One of the two has no predictions of this test.";
      show();
    };
    bar.addEventListener("change", fill);
    more.addEventListener("click", show);
    fill();
    return (row, name) => {
      a.value = row;
      if (b.value === a.value) b.value = data.start.find((one) => String(one) !== String(row));
      target.value = data.tests.findIndex((test) => test.target === name);
      where.value = "any";
      fill();
    };
  };
  const browse = (part) => (part.opening ??= start(part));
  const seen = new IntersectionObserver((parts) => parts.forEach((one) => one.isIntersecting && browse(one.target)));
  for (const part of document.querySelectorAll("section.browser")) if (part.querySelector("template")) seen.observe(part);
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-a]");
    if (link) (await browse(document.querySelector(link.hash)))(link.dataset.a, link.dataset.target);
  });

  // --- paper shows what is folded, but of the cells only those that the reader opened
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")].filter((one) => !one.closest("section.cells"));
    opened.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((one) => (one.open = false)));
})();
