// The page: buttons open dialogs, the table renews itself, uploads that broke off are offered again.
import { goOn, link, open } from "./forms.js";
import { discard } from "./tus.js";

const RENEW_MS = 2000;
const table = document.getElementById("table");
const dialog = document.getElementById("dialog");
const list = document.getElementById("uploads");

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.flow) {
    button.closest("details")?.removeAttribute("open");
    open(button.dataset.flow, button.dataset.given, button.dataset.name);
  }
  if (button?.dataset.link) link(button.dataset.link, button);
});

// Not under somebody's hands: neither a menu that is open nor a link that was made is taken away.
const busy = () => document.hidden || dialog.open || table.querySelector("details[open], a[href^='/download/']");
let last = "";

// What is the same is left alone: with it stays the keyboard's place.
function replace(html) {
  if (html !== last) table.innerHTML = html; // our own template, every value escaped
  last = html;
}

async function renew() {
  if (!busy()) {
    const answer = await fetch(table.dataset.renew).catch(() => null);
    if (answer?.ok && !busy()) replace(await answer.text());
    if (list) await showUploads();
  }
  setTimeout(renew, RENEW_MS);
}

async function showUploads() {
  const answer = await fetch("/api/uploads").catch(() => null);
  if (!answer?.ok || list.querySelector("input:focus")) return;
  const uploads = await answer.json();
  list.hidden = !uploads.length;
  list.replaceChildren(...uploads.map(shown));
}

function shown(upload) {
  const row = document.createElement("div");
  const text = document.createElement("span");
  const percent = upload.length ? Math.floor((100 * upload.offset) / upload.length) : 100;
  text.textContent = `${upload.name} (${upload.filename}): ${upload.state}, ${percent} %${upload.error ? `: ${upload.error}` : ""}`;
  row.append(text);
  if (upload.offset < upload.length) row.append(continuing(upload));
  row.append(giving_up(upload));
  return row;
}

function continuing(upload) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "file";
  label.append("Continue with the same file: ", input);
  input.addEventListener("change", () => resume(upload, input.files[0]));
  return label;
}

function resume(upload, file) {
  const form = document.createElement("form");
  form.innerHTML = "<h2 id='dialog-title'></h2><output class='told'></output><button type='button'>Close</button>";
  form.querySelector("h2").textContent = `Upload: ${upload.name}`;
  form.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.replaceChildren(form);
  dialog.showModal();
  if (file.size !== upload.length || file.name !== upload.filename) {
    const begun = `${upload.filename} of ${upload.length} bytes`;
    form.querySelector("output").textContent = `This is another file, ${file.name} of ${file.size} bytes; begun was ${begun}.`;
    return;
  }
  goOn(form, file, `/uploads/${upload.id}`).catch((error) => (form.querySelector("output").textContent = error.message));
}

function giving_up(upload) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Discard";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await discard(`/uploads/${upload.id}`);
    await showUploads();
  });
  return button;
}

if (table) renew();
