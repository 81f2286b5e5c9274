// The page: buttons open dialogs, what changes renews itself, uploads that broke off go on.
import "./chosen.js";
import { approve, link, open, retry, sentence, subject } from "./forms.js";
import { listen } from "./live.js";
import { sorted } from "./renewing.js";
import "./staying.js";
import { localTimes } from "./times.js";
import "./tray.js";
import { discard } from "./tus.js";
import { goOnWith, goOnWithAll } from "./uploading.js";
import { t } from "./words.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && !button.closest("dialog")) opener = { button, row: button.closest("[data-row]")?.dataset.row };
  if (button?.dataset.flow) {
    button.closest("details")?.removeAttribute("open");
    const about = subject(button);
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
  for (const menu of document.querySelectorAll("main details[open]:not(.lasting)")) if (!menu.contains(event.target)) menu.open = false;
});

// The keyboard goes back to where the dialog was opened; where that is gone, to the head of the page.
let opener = {};
document.getElementById("dialog").addEventListener("close", () => {
  const row = opener.row && document.querySelector(`[data-row="${CSS.escape(opener.row)}"] summary`);
  const there = opener.button?.isConnected && opener.button.checkVisibility() ? opener.button : row;
  const head = document.querySelector("main h1");
  if (!there && head) head.tabIndex = -1;
  (there ?? head)?.focus();
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("main td details[open], main details[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

const uploadOf = ({ dataset: { upload, length, ...said } }) => ({ id: upload, ...said, length: Number(length) });

// Files of uploads that broke off, all at once: each finds its own.
async function goOnWithSeveral(files) {
  const refused = await goOnWithAll([...document.querySelectorAll("[data-upload]")].map(uploadOf), files);
  if (refused.length) sentence(t("Continue several"), refused.join("\n"));
}

document.addEventListener("change", (event) => {
  const input = event.target;
  if (!("upload" in input.dataset || "uploads" in input.dataset)) return;
  const files = [...input.files];
  input.value = ""; // the same may be chosen again
  if ("uploads" in input.dataset) goOnWithSeveral(files);
  else if (files.length) goOnWith(uploadOf(input), files[0]).catch((error) => sentence(t("Upload: {name}", input.dataset), error.message));
});
document.addEventListener("files:dropped", (event) => goOnWithSeveral(event.detail));

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

function arrived() {
  localTimes(document);
  for (const place of document.querySelectorAll("[data-load]")) load(place);
}

document.addEventListener("page:arrived", arrived);
arrived();
listen();
document.dispatchEvent(new Event("page:ready")); // what was pressed before waits for it: early.js
