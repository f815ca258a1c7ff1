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
    table.tBodies[0].append(...sorted);
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
    const rows = [...table.tBodies[0].rows];
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

  // --- paper shows what is folded, but of the cells only those that the reader opened
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")].filter((one) => !one.closest("section.cells"));
    opened.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((one) => (one.open = false)));
})();
