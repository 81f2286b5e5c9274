// Several rows chosen: what can be done with all of them is offered above the list. And files dropped onto the page.
import { open, sentence, subject } from "./forms.js";
import "./renewing.js"; // which notes first how the table came
import { t } from "./words.js";

let table = document.getElementById("table");
const chosen = new Map(); // id → name

// What is offered for several at once, and how it is asked for: flow → "together", or the fields that differ.
const manies = () => JSON.parse(table?.querySelector("[data-many]")?.dataset.many ?? "{}");

// The boxes are made here: without a script they would be dead.
function boxes() {
  if (!Object.keys(manies()).length && !chosen.size) return bar();
  const head = table.querySelector("thead tr");
  if (!head || head.querySelector(".choose")) return bar();
  head.prepend(cell("th", t("All rows"), (box) => all(box.checked)));
  for (const row of table.querySelectorAll("tbody tr")) {
    if (!row.dataset.row) row.firstElementChild.colSpan += 1;
    else row.prepend(cell("td", t("Choose {name}", { name: nameOf(row) }), (box) => choose(row, box.checked)));
    const box = row.querySelector(".choose input");
    if (box) box.checked = chosen.has(row.dataset.row);
  }
  const here = new Set([...table.querySelectorAll("tr[data-row]")].map((row) => row.dataset.row));
  for (const id of chosen.keys()) if (!here.has(id)) chosen.delete(id);
  return bar();
}

const nameOf = (row) => row.querySelector("th a, th")?.firstChild?.textContent.trim() ?? "";

function cell(tag, label, changed) {
  const made = Object.assign(document.createElement(tag), { className: "choose short" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", ariaLabel: label });
  box.addEventListener("change", () => changed(box));
  made.append(box);
  return made;
}

function choose(row, on) {
  if (on) chosen.set(row.dataset.row, nameOf(row));
  else chosen.delete(row.dataset.row);
  bar();
}

function all(on) {
  for (const box of table.querySelectorAll("tbody .choose input")) {
    box.checked = on;
    const row = box.closest("tr");
    if (on) chosen.set(row.dataset.row, nameOf(row));
    else chosen.delete(row.dataset.row);
  }
  bar();
}

// What every chosen row offers.
function common() {
  const rows = [...chosen.keys()].map((id) => table.querySelector(`tr[data-row="${CSS.escape(id)}"]`)).filter(Boolean);
  const several = manies();
  const offers = rows.map((row) => new Map([...row.querySelectorAll("[data-flow]")].filter((button) => several[button.dataset.flow]).map((button) => [button.dataset.flow, button])));
  return [...(offers[0] ?? new Map()).keys()].filter((flow) => offers.every((one) => one.has(flow))).map((flow) => offers.map((one) => one.get(flow)));
}

function bar() {
  if (!table) return;
  let place = document.getElementById("chosen");
  if (!place) {
    place = Object.assign(document.createElement("div"), { id: "chosen" });
    place.setAttribute("role", "toolbar");
    place.setAttribute("aria-label", t("With the chosen rows"));
    table.before(place);
  }
  place.hidden = !chosen.size;
  const count = Object.assign(document.createElement("strong"), { textContent: t("{count} chosen", { count: chosen.size }) });
  const clear = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: t("Choose none") });
  clear.addEventListener("click", () => (all(false), chosen.clear(), bar()));
  place.replaceChildren(count, ...common().map(press), clear);
}

function press(buttons) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: buttons[0].textContent });
  made.addEventListener("click", () => several(buttons).catch((error) => sentence(t("Not now"), error.message)));
  return made;
}

const IDS = ["image_ids", "leftover_ids"];

// One form for all. What the rows say alike it begins with; what they say each by itself is asked for each.
function several(buttons) {
  const { flow } = buttons[0].dataset;
  const many = manies()[flow];
  const about = buttons.map(subject);
  if (buttons.length === 1) return open(flow, about[0].given, about[0].name);
  const given = about.map((one) => JSON.parse(one.given));
  const name = t("{count} chosen", { count: buttons.length });
  const same = Object.keys(given[0]).filter((key) => given.every((one) => JSON.stringify(one[key]) === JSON.stringify(given[0][key])));
  const alike = Object.fromEntries(same.map((key) => [key, given[0][key]]));
  for (const key of many === "together" ? IDS : []) if (given[0][key]) alike[key] = given.flatMap((one) => one[key]);
  if (many === "together") return open(flow, JSON.stringify(alike), name);
  const own = many.split(" ");
  const each = given.map((one) => Object.fromEntries(own.map((key) => [key, one[key]])));
  return open(flow, JSON.stringify({ ...alike, ...each[0] }), name, { each });
}

// Files dropped anywhere onto a page that adds images open its form with them; onto the uploads, they go on with those that broke off.
const adding = () => document.querySelector("[data-flow=add_system_image], [data-flow=add_volume_image]");
const continuing = () => document.querySelector("[data-uploads]");
for (const kind of ["dragover", "dragenter"])
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (adding()) document.body.dataset.dropping = t("Drop the files to add them");
    else if (continuing()) document.body.dataset.dropping = t("Drop the same files to continue");
  });
document.addEventListener("dragleave", (event) => event.relatedTarget || delete document.body.dataset.dropping);
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  delete document.body.dataset.dropping;
  const input = event.target.closest?.("dialog form")?.querySelector("#f-file");
  const files = [...event.dataTransfer.files];
  if (input) return void ((input.files = event.dataTransfer.files), input.dispatchEvent(new Event("change", { bubbles: true })));
  if (adding()) open("add_system_image", "{}", undefined, { files }).catch((error) => sentence(t("Not now"), error.message));
  else if (continuing()) document.dispatchEvent(new CustomEvent("files:dropped", { detail: files }));
});
document.addEventListener("page:table", boxes);
document.addEventListener("page:arrived", () => ((table = document.getElementById("table")), chosen.clear(), boxes()));
boxes();
