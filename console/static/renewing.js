// What a page shows is asked for anew when something changed, and what is otherwise than before says so.
import { localTimes } from "./times.js";
import { t } from "./words.js";

const REST_MS = 700;
const START_REST_MS = 2500; // the start page counts and draws
const MARKED_MS = 8000;
const MEASURED_MS = 30000; // how full storages are is measured, and no entry of the log
const dialog = document.getElementById("dialog");
let table;
let page; // the image that is shown
let start; // whether it is the start page, which tells of all
let tab;
let last;
let shown = 0;

// Not under somebody's hands: neither a menu that is open, a link that was made nor a file being chosen is taken away.
const held = "details[open], a[href^='/download/'], input:focus:not([type=checkbox]), select:focus, button[data-sure]";
const busy = (root) => document.hidden || dialog.open || root.querySelector(held);
let due = 0;
let told = false; // whether an open menu offers what came with the last news

// As the browser would write it, to compare with what it shows.
function written(html) {
  const shown = document.createElement("template");
  shown.innerHTML = html; // our own template, every value escaped
  return shown;
}

const rowsOf = (root) => new Map([...root.querySelectorAll("tr[data-row]")].map((row) => [row.dataset.row, row]));
const saying = (row) => row.outerHTML.replace(/ class="[^"]*"/, "").replace(/<progress[^]*?<\/small>/g, "");

// What is the same is left alone: with it stays the keyboard's place.
function replace(html, { mark = true } = {}) {
  const next = written(html);
  const text = next.innerHTML.trim();
  if (text === last) return;
  const before = new Map([...rowsOf(written(last).content)].map(([id, row]) => [id, saying(row)]));
  const place = focused();
  table.innerHTML = text;
  localTimes(table);
  last = text;
  if (mark) say([...rowsOf(next.content)].filter(([id, row]) => before.get(id) !== saying(row)).map(([id]) => id));
  document.dispatchEvent(new CustomEvent("page:table"));
  place()?.focus();
}

// Returns what finds the element again that has the keyboard; where its row is gone, the row that stands there now.
function focused() {
  const active = document.activeElement;
  if (!table.contains(active)) return () => null;
  const row = active.closest("tr[data-row]")?.dataset.row;
  const within = row ? `tr[data-row="${CSS.escape(row)}"] ` : "";
  const name = active.dataset.sort ? `[data-sort="${CSS.escape(active.dataset.sort)}"]` : active.tagName.toLowerCase() + (active.className ? `.${CSS.escape(active.classList[0])}` : "");
  const at = [...table.querySelectorAll(within + name)].indexOf(active);
  const line = [...table.querySelectorAll("tr[data-row]")].findIndex((one) => one.dataset.row === row);
  return () => table.querySelectorAll(within + name)[Math.max(at, 0)] ?? table.querySelector(`${within}summary`) ?? beside(line);
}

function beside(line) {
  const summaries = [...table.querySelectorAll("tr[data-row]")].map((row) => row.querySelector("summary")).filter(Boolean);
  const head = document.querySelector("main h1");
  if (head) head.tabIndex = -1;
  return summaries[Math.min(Math.max(line, 0), summaries.length - 1)] ?? head;
}

// A menu that is open stays where it is, and offers what can be done by now: an image may have arrived meanwhile.
function offerAnew(html) {
  const rows = rowsOf(written(html).content);
  for (const menu of table.querySelectorAll("details[open] > .menu")) {
    const now = rows.get(menu.closest("tr[data-row]")?.dataset.row)?.querySelector(".menu");
    if (!now || now.innerHTML === menu.innerHTML) continue;
    const flow = menu.contains(document.activeElement) && document.activeElement.dataset.flow;
    menu.replaceWith(now);
    if (flow) (now.querySelector(`[data-flow="${CSS.escape(flow)}"]`) ?? now.querySelector("button"))?.focus();
  }
}

// Rows that are otherwise than before are marked for a while, and told to who listens to the page.
function say(ids) {
  const rows = ids.map((id) => table.querySelector(`tr[data-row="${CSS.escape(id)}"]`)).filter(Boolean);
  for (const row of rows) {
    row.classList.add("changed");
    row.querySelector("th")?.append(Object.assign(document.createElement("small"), { className: "changed-now", textContent: t("changed just now") }));
  }
  setTimeout(() => rows.forEach((row) => (row.classList.remove("changed"), row.querySelector(".changed-now")?.remove())), MARKED_MS);
  const names = rows.map((row) => row.querySelector("th a, th")?.firstChild?.textContent.trim());
  if (rows.length) aloud(rows.length <= 3 ? t("Changed: {names}", { names: names.join(", ") }) : t("{count} rows changed", { count: rows.length }));
}

function aloud(text) {
  let place = document.getElementById("aloud");
  if (!place) {
    place = Object.assign(document.createElement("p"), { id: "aloud", className: "hidden" });
    place.setAttribute("role", "status");
    document.querySelector("main").append(place);
  }
  place.textContent = text;
}

// The table in another order, without leaving the page: the keyboard stays on the column.
export async function sorted(place) {
  const query = new URL(place).search;
  const answer = await fetch(`/table${query}`).catch(() => null);
  if (!answer?.ok) return location.assign(place);
  table.dataset.renew = `/table${query}`;
  history.replaceState(null, "", place);
  const kept = document.querySelector(".filter [name=sort]");
  if (kept) kept.value = new URLSearchParams(query).get("sort") ?? "";
  return replace(await answer.text(), { mark: false });
}

// Several news at once are one question, asked when nobody's hands are there; of a menu that is open it is asked once.
export function renew(wait = start ? START_REST_MS : REST_MS) {
  told = false;
  later(wait);
}

function later(wait) {
  clearTimeout(due);
  due = setTimeout(look, wait);
}

async function look() {
  const root = table ?? ((page || start) && document.querySelector("main"));
  if (!root) return undefined;
  const menu = !told && !document.hidden && !dialog.open && table?.querySelector("details[open] > .menu");
  if (busy(root) && !menu) return later(1000);
  const asked = table ? table.dataset.renew : location.pathname + location.search;
  const answer = await fetch(asked, { headers: { "X-Imagewright": "1" } }).catch(() => null);
  if (answer?.status === 401 && document.querySelector("[data-sign-out]")) return location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  document.body.classList.toggle("stale", !answer?.ok && answer?.status !== 404);
  const html = answer?.ok ? await answer.text().catch(() => null) : null;
  if (html === null) return answer?.status === 404 ? undefined : renew(5000);
  // Asked again here, not before the text came: a menu may have been opened meanwhile.
  if (busy(root)) {
    if (table && asked === table.dataset.renew) offerAnew(html);
    told = true;
    return later(1000);
  }
  return table ? asked === table.dataset.renew && replace(html) : details(html);
}

// A page without a list: where anything is otherwise, all of it is put in its place; what it loaded besides stays.
function details(html) {
  const main = document.querySelector("main");
  const next = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  if (!next || next.innerHTML.trim() === last) return;
  last = next.innerHTML.trim();
  for (const loaded of main.querySelectorAll("[data-load]")) next.querySelector(`[data-load="${CSS.escape(loaded.dataset.load)}"]`)?.replaceWith(loaded);
  const place = document.activeElement?.closest("main [data-flow]")?.dataset.flow;
  main.replaceChildren(...document.importNode(next, true).childNodes);
  localTimes(main);
  aloud(t("This page was brought up to date."));
  if (place) main.querySelector(`[data-flow="${CSS.escape(place)}"]`)?.focus();
  document.dispatchEvent(new CustomEvent("page:renewed"));
}

function concerns({ images, uploads }) {
  if (uploads) return tab === "uploads" && table;
  return table || start ? true : images.includes(page);
}

// Progress moves in its row without asking for the table.
function moved(list) {
  for (const run of list) {
    for (const bar of run.images?.length === 1 ? document.querySelectorAll(`tr[data-row="${CSS.escape(run.images[0])}"] progress`) : []) {
      if (run.percent !== undefined) bar.value = run.percent;
    }
  }
}

let ends = new Set();
function news(list) {
  moved(list);
  const now = new Set(list.filter((run) => run.finished || run.asks || run.percent === undefined).map((run) => run.id + run.state));
  if ((table || start) && [...now].some((one) => !ends.has(one))) renew();
  ends = new Set([...ends, ...now]);
}

document.addEventListener("live:hello", () => renew(50));
document.addEventListener("live:changed", (event) => concerns(event.detail) && renew());
document.addEventListener("live:runs", (event) => news(event.detail));
document.addEventListener("live:state", (event) => document.body.classList.toggle("stale", event.detail.away));
document.addEventListener("visibilitychange", () => document.hidden || renew(50));
document.addEventListener("page:arrived", arrived);

function arrived() {
  table = document.getElementById("table");
  page = /^\/images\/([0-9a-f-]{36})$/.exec(location.pathname)?.[1];
  tab = new URLSearchParams(location.search).get("tab") || "images";
  start = !table && location.pathname === "/" && !location.search;
  last = (table ?? document.querySelector("main"))?.innerHTML.trim();
  clearInterval(shown);
  if (!table || !["storages", "primary"].includes(tab)) return;
  renew(3000);
  shown = setInterval(() => renew(0), MEASURED_MS);
}

arrived();
