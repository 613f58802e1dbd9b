"use strict";
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const tables = all("table.sortable");
const controls = document.getElementById("controls");

const key = cell => "value" in cell.dataset ? (cell.dataset.value === "" ? NaN : Number(cell.dataset.value)) : cell.textContent.trim();
const compare = (a, b) => typeof a === "string" ? a.localeCompare(b, undefined, {numeric: true}) : a - b;
const isEmpty = value => typeof value === "number" && Number.isNaN(value);

function sort(table, column, up) {
  const heads = table.tHead.rows[0].cells;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = Array.from(table.tBodies[0].rows, row => [key(row.cells[column]), row]);
  rows.sort(([a], [b]) => isEmpty(a) - isEmpty(b) || (up ? compare(a, b) : compare(b, a)));  // what is missing comes last
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of tables) {
  for (const head of table.tHead.rows[0].cells) {
    head.firstElementChild.addEventListener("click", () => sort(table, head.cellIndex, head.getAttribute("aria-sort") !== "ascending"));
  }
}

/* A row is shown when it has what was chosen in every list, and every word: `act=relu` as a whole, other words as a part. */
const values = new Map(all("tbody tr", document).filter(row => row.dataset.values).map(row => [row, JSON.parse(row.dataset.values)]));
const texts = new Map(Array.from(values.keys(), row => [row, row.textContent.toLowerCase()]));

function has(row, word) {
  const [name, value] = word.split(/=(.*)/s);
  const own = values.get(row);
  const known = value !== undefined && Object.keys(own).find(each => each.toLowerCase() === name);
  return known ? own[known].toLowerCase() === value : texts.get(row).includes(word);
}

function filter() {
  const words = controls.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = all("select[data-key]", controls).filter(each => each.value !== "").map(each => [each.dataset.key, each.value]);
  for (const row of values.keys()) {
    row.hidden = !(chosen.every(([name, value]) => values.get(row)[name] === value) && words.every(word => has(row, word)));
  }
  const rows = Array.from(tables[0].tBodies[0].rows);
  const shown = rows.filter(row => !row.hidden).length;
  controls.elements.count.value = shown === rows.length ? "" : `${shown} of ${rows.length} settings`;
}

controls.hidden = false;
controls.addEventListener("input", filter);
controls.addEventListener("submit", event => event.preventDefault());
const sorting = controls.elements.sorting;
for (const head of tables[0].tHead.rows[0].cells) sorting.add(new Option(head.textContent, head.cellIndex));
sorting.addEventListener("change", () => {
  if (sorting.value === "") return;
  const column = Number(sorting.value);
  sort(tables[0], column, !("value" in tables[0].tBodies[0].rows[0].cells[column].dataset));  // numbers from the largest
});
filter();  // a browser may have kept what was typed

for (const image of all("figure img")) image.addEventListener("click", () => image.classList.toggle("large"));

for (const button of all(".copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}

addEventListener("beforeprint", () => { for (const each of all("details[data-print]")) each.open = true; });
