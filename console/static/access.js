// The page of access: forms of persons, robots and tokens; what a token is, is shown once and kept nowhere.
// It comes before console.js, which says that the page is ready.
import { asked, sentence } from "./forms.js";
import { localTimes } from "./times.js";
import { toast } from "./toasts.js";
import { t } from "./words.js";

const OURS = { "X-Imagewright": "1", "Content-Type": "application/json" };
const dialog = document.getElementById("dialog");
const isHere = () => location.pathname === "/access";

async function send(method, path, body) {
  const answer = await fetch(path, { method, headers: OURS, body: body && JSON.stringify(body), cache: "no-store" });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) location.assign("/login?next=%2Faccess");
  if (!answer.ok) throw new Error(said.error || t("the console answered {status}", answer));
  return said;
}

function tell(form, text, bad = false) {
  const told = form.querySelector(".told");
  told.textContent = text;
  told.classList.toggle("bad", bad);
}

// Shows a form that the server made, or one made here, and does what it is for when it is sent.
function show(form, work) {
  dialog.replaceChildren(form);
  form.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trying(form, work);
  });
  if (!dialog.open) dialog.showModal();
  const lacking = [...form.elements].find((one) => one.required && !one.value && one.checkVisibility());
  (lacking ?? form.querySelector(".main")).focus();
}

async function trying(form, work) {
  const main = form.querySelector(".main");
  main.disabled = true;
  try {
    await work(form);
  } catch (error) {
    tell(form, error.message, true);
  } finally {
    main.disabled = false;
    if (form.isConnected && [document.body, dialog].includes(document.activeElement)) main.focus();
  }
}

async function open(name, about) {
  const answer = await fetch(`/access/forms/${name}?name=${encodeURIComponent(about ?? "")}`, { headers: OURS });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || t("the console answered {status}", answer));
  const made = document.createElement("template");
  made.innerHTML = await answer.text(); // our own template, every value escaped
  const form = made.content.querySelector("form");
  const [method, path] = form.dataset.send.split(" ");
  show(form, async () => {
    const said = await send(method, path, asked(form));
    if (said.token) return shownOnce(said);
    return done(t("{name}: done", { name: said.name }));
  });
}

// What was asked is done: the dialog closes, the page says how things are now.
async function done(text) {
  toast(text);
  dialog.close();
  await again();
}

// The token is in this dialog only: neither the page, the list of messages nor the history has it.
function shownOnce(made) {
  const form = document.createElement("form");
  form.innerHTML = `<h2 id="dialog-title"></h2><p></p><div class="field"><label for="f-secret"></label><input id="f-secret" class="code" readonly autocomplete="off" spellcheck="false"></div>
    <div class="buttons"><output class="told" aria-live="polite"></output><button class="main"></button><button type="button" data-close></button></div>`;
  form.querySelector("h2").textContent = t("Token of {name}", { name: made.identity });
  form.querySelector("p").textContent = t("It is shown this once: copy it now. Nobody can look it up later.");
  form.querySelector("label").textContent = t("Token");
  form.querySelector(".main").textContent = t("Copy");
  form.querySelector("[data-close]").textContent = t("Close");
  const input = form.querySelector("input");
  input.value = made.token;
  show(form, () => copied(form, input));
  toast(t("Token of {name} is made", { name: made.identity }));
  const wiped = () => ((input.value = ""), form.remove());
  dialog.addEventListener("close", () => (wiped(), again()), { once: true });
  addEventListener("pagehide", wiped, { once: true });
}

// Without https the browser offers no clipboard; what is chosen it copies all the same.
async function copied(form, input) {
  const offered = await navigator.clipboard?.writeText(input.value).then(() => true, () => false);
  input.select();
  const well = offered || document.execCommand("copy");
  tell(form, well ? t("Copied.") : t("It is chosen: copy it with the keyboard."), !well);
}

// A question with one button; nothing is done without it.
function sure(title, text, verb, work) {
  const form = document.createElement("form");
  form.innerHTML = `<h2 id="dialog-title"></h2><p></p><div class="buttons"><output class="told" aria-live="polite"></output><button class="main danger"></button><button type="button" data-close></button></div>`;
  form.querySelector("h2").textContent = title;
  form.querySelector("p").textContent = text;
  form.querySelector(".main").textContent = verb;
  form.querySelector("[data-close]").textContent = t("Close");
  show(form, work);
}

function revoke({ revoke: id, name }) {
  sure(t("Revoke {name}", { name }), t("Programs that use this token are refused from now on. This can't be undone."), t("Revoke"), async () => {
    await send("DELETE", `/access/tokens/${encodeURIComponent(id)}`);
    await done(t("{name}: revoked", { name }));
  });
}

function disable({ disable: name }) {
  sure(t("Disable {name}", { name }), t("Sessions end, and tokens are refused until it is enabled again."), t("Disable"), async () => {
    await changed(name, true);
  });
}

async function changed(name, disabled) {
  await send("PATCH", `/access/identities/${encodeURIComponent(name)}`, { disabled });
  await done(disabled ? t("{name}: disabled", { name }) : t("{name}: enabled", { name }));
}

// The page as it is now, in the place of what it was: what was folded out stays so, and the keyboard where it was.
async function again() {
  const answer = await fetch(location.href, { headers: OURS }).catch(() => null);
  if (answer?.status === 401) return location.assign("/login?next=%2Faccess");
  const next = answer?.ok && isHere() && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (!next || dialog.open) return undefined;
  const main = document.querySelector("main");
  const unfolded = [...main.querySelectorAll("details.lasting[open]")].map((one) => one.id);
  const back = place(main);
  main.replaceChildren(...document.importNode(next, true).childNodes);
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
  localTimes(main);
  return back()?.focus();
}

// Returns what finds the place of the keyboard again; where it is gone, its line, or the head of the page.
function place(main) {
  const active = document.activeElement;
  if (active !== document.body && !main.contains(active)) return () => null;
  const row = active.closest("[data-row]")?.dataset.row;
  return () => {
    const line = row && main.querySelector(`[data-row="${CSS.escape(row)}"]`);
    const head = main.querySelector("h1");
    head.tabIndex = -1;
    return (active.id && document.getElementById(active.id)) || line?.querySelector("summary, button") || head;
  };
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const { access, revoke: token, disable: off, enable: on, name } = button?.dataset ?? {};
  if (!(access || token || off || on)) return;
  button.closest(".actions details")?.removeAttribute("open");
  const refused = (error) => sentence(t("Not now"), error.message);
  if (access) open(access, name).catch(refused);
  if (token) revoke(button.dataset);
  if (off) disable(button.dataset);
  if (on) changed(on, false).catch(refused);
});

// A quota is set by a run: when one ends, the page may be older.
const ended = new Set();
let older = false;
document.addEventListener("live:runs", (event) => {
  const now = event.detail.filter((run) => run.finished && !ended.has(run.id)).map((run) => run.id);
  for (const id of now) ended.add(id);
  older ||= now.length > 0;
  if (!dialog.open) renewed();
});
dialog.addEventListener("close", renewed);

function renewed() {
  if (!older || !isHere() || document.querySelector("main input:focus, main .actions details[open]")) return;
  older = false;
  again();
}
