// The page: buttons open dialogs, the table renews itself, uploads that broke off go on.
import { approve, goOn, link, open, retry, sentence } from "./forms.js";
import { localTimes } from "./times.js";
import { difference, discard } from "./tus.js";
import { t } from "./words.js";

const RENEW_MS = 2000;
const table = document.getElementById("table");
const dialog = document.getElementById("dialog");

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.flow) {
    button.closest("details")?.removeAttribute("open");
    const about = button.closest("[data-given]").dataset; // of its menu, or its own
    open(button.dataset.flow, about.given, about.name).catch((error) => sentence(t("Not now"), error.message));
  }
  const column = event.target.closest("a[data-sort]");
  if (column && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    sorted(column.href);
  }
  if (button?.dataset.answer) approve(button.dataset.answer).catch((error) => sentence(t("Not now"), error.message));
  if (button?.dataset.link) link(button.dataset.link, button);
  if (button?.dataset.retry) retry(button.dataset.retry, button);
  if (button?.dataset.copy) copy(button);
  if (button?.dataset.discard) remove(button);
  if (button && "signOut" in button.dataset) signOut(button);
  for (const menu of document.querySelectorAll("details[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("change", (event) => {
  const { upload, ...said } = event.target.dataset;
  if (upload) resume({ id: upload, ...said, length: Number(said.length) }, event.target.files[0]);
});

// Not under somebody's hands: neither a menu that is open, a link that was made nor a file being chosen is taken away.
const held = "details[open], a[href^='/download/'], input:focus, button[data-sure]";
const busy = () => document.hidden || dialog.open || table.querySelector(held);
let last = table?.innerHTML.trim();

// As the browser would write it, to compare with what it shows.
function written(html) {
  const shown = document.createElement("template");
  shown.innerHTML = html; // our own template, every value escaped
  return shown.innerHTML.trim();
}

// What is the same is left alone: with it stays the keyboard's place.
function replace(html) {
  const next = written(html);
  if (next === last) return;
  const column = document.activeElement?.dataset.sort;
  table.innerHTML = next;
  localTimes(table);
  last = next;
  if (column) table.querySelector(`[data-sort="${CSS.escape(column)}"]`)?.focus();
}

// The table in another order, without leaving the page: the keyboard stays on the column.
async function sorted(place) {
  const query = new URL(place).search;
  const answer = await fetch(`/table${query}`).catch(() => null);
  if (!answer?.ok) return location.assign(place);
  table.dataset.renew = `/table${query}`;
  history.replaceState(null, "", place);
  const kept = document.querySelector(".filter [name=sort]");
  if (kept) kept.value = new URLSearchParams(query).get("sort") ?? "";
  return replace(await answer.text());
}

async function renew() {
  if (!busy()) {
    const asked = table.dataset.renew;
    const answer = await fetch(asked, { headers: { "X-Imagewright": "1" } }).catch(() => null);
    if (answer?.status === 401 && document.querySelector("[data-sign-out]")) return location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    document.body.classList.toggle("stale", !answer?.ok);
    const html = answer?.ok ? await answer.text().catch(() => null) : null;
    // Asked again here, not before the text came: a menu may have been opened meanwhile.
    if (html !== null && !busy() && asked === table.dataset.renew) replace(html);
  }
  return setTimeout(renew, RENEW_MS);
}

async function resume(upload, file) {
  const form = sentence(t("Upload: {name}", upload), "");
  try {
    const other = await difference(upload, file);
    if (other) sentence(t("Upload: {name}", upload), other);
    else await goOn(form, file, `/uploads/${upload.id}`);
  } catch (error) {
    if (error.name !== "AbortError") sentence(t("Upload: {name}", upload), error.message);
  }
}

// A second press makes sure: what was sent has to be sent again.
async function remove(button) {
  if (!button.dataset.sure) {
    button.dataset.sure = "yes";
    button.textContent = t("Discard {name} for good", button.dataset);
    button.addEventListener("blur", () => (button.textContent = t("Discard"), delete button.dataset.sure), { once: true });
    return;
  }
  button.disabled = true;
  await discard(`/uploads/${button.dataset.discard}`).catch(() => null);
  delete button.dataset.sure;
}

// The session ends on the server; what the browser kept of its pages goes with it.
async function signOut(button) {
  button.disabled = true;
  const answer = await fetch("/logout", { method: "POST", headers: { "X-Imagewright": "1" } }).catch(() => null);
  if (answer?.ok || answer?.status === 401) return location.assign("/login");
  button.disabled = false;
  return sentence(t("Sign out"), t("The console does not answer; you are still signed in. Try again."));
}

// What a page can do without is asked for when it is there; without a script its link leads to it.
async function load(place) {
  const answer = await fetch(place.dataset.load, { headers: { "X-Imagewright": "1" } }).catch(() => null);
  if (answer?.ok) place.innerHTML = await answer.text(); // our own template, every value escaped
}

async function copy(button) {
  await navigator.clipboard?.writeText(button.dataset.copy).catch(() => null);
  button.classList.add("good");
  setTimeout(() => button.classList.remove("good"), 1500);
}

for (const place of document.querySelectorAll("[data-load]")) load(place);
localTimes(document);
if (table) renew();
