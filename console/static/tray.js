// The tray: every operation that was begun here, with how far it is, from page to page; and what was said before.
import { runs } from "./live.js";
import { messages, toast } from "./toasts.js";
import { local } from "./times.js";
import { far } from "./units.js";
import { t } from "./words.js";

const OURS = { "X-Imagewright": "1", "Content-Type": "application/json" };
const HIDDEN = "imagewright-tray-hidden";
const OPEN = "imagewright-tray-open";
const ended = new Set(); // runs whose end was told on this page
const others = new Map(); // what else goes on: uploads
const tray = document.getElementById("tray");

const hidden = () => new Set(JSON.parse(sessionStorage.getItem(HIDDEN) || "[]"));
const own = () => runs().filter((run) => run.own && !hidden().has(run.id));

// Shows or forgets (job: null) something of this page that is no run. job: { id, title, about, state, percent, buttons, … }.
export function also(id, job) {
  if (job) others.set(id, job);
  else others.delete(id);
  draw();
}

export async function begin(address) {
  const answer = await fetch(address, { method: "POST", headers: OURS, body: "{}" }).catch(() => null);
  const said = (await answer?.json().catch(() => null)) ?? {};
  if (!answer?.ok) toast(said.error || t("the console does not answer; try again"), { bad: true });
  draw();
}

// A run that ended while somebody looks is said once, wherever they are.
function tellEnded(news) {
  for (const run of news.filter((one) => one.own && one.finished && !ended.has(one.id))) {
    ended.add(run.id);
    const text = `${run.title}${run.about ? `: ${run.about}` : ""}: ${run.failed ? run.message || run.state : t("done")}`;
    toast(text, { bad: Boolean(run.failed), id: `run-${run.id}`, actions: ways(run) });
  }
}

function ways(run) {
  const found = [];
  if (run.undo) found.push({ title: t("Undo: {title}", { title: run.undo_title }), run: () => begin(run.undo) });
  if (run.again) found.push({ title: t("Retry"), run: () => begin(run.again) });
  return found;
}

let drawn = 0;
// At most once a frame, and without taking a button away from under the keyboard.
function draw() {
  cancelAnimationFrame(drawn);
  drawn = requestAnimationFrame(paint);
}

function paint() {
  const jobs = [...others.values(), ...own().sort((a, b) => Boolean(a.finished) - Boolean(b.finished))];
  const going = jobs.filter((job) => !job.finished).length;
  const past = messages();
  tray.hidden = !jobs.length && !past.length;
  const list = frame();
  const first = jobs.find((job) => !job.finished);
  tray.querySelector("summary").textContent = going ? [t("{count} going on", { count: going }), ...(first.percent ? [`${Math.floor(first.percent)} %`] : [])].join(", ") : jobs.length ? t("Nothing going on") : t("Messages");
  const focused = document.activeElement?.closest("#tray [data-job]")?.dataset.job;
  const label = document.activeElement?.textContent;
  const items = jobs.map(item);
  if (signature(list) !== signature({ children: items })) list.replaceChildren(...items);
  else [...list.children].forEach((old, index) => update(old, items[index]));
  if (focused) [...list.querySelectorAll(`[data-job="${CSS.escape(focused)}"] button`)].find((one) => one.textContent === label)?.focus();
  const said = tray.querySelector(".said");
  said.replaceChildren(...past.map((one) => Object.assign(document.createElement("li"), { className: one.bad ? "bad" : "", textContent: `${local(one.at)}  ${one.text}` })));
  const earlier = tray.querySelector(".past");
  earlier.hidden = !past.length;
  earlier.querySelector("summary").hidden = !jobs.length; // the tray's own says it then
  if (!jobs.length) earlier.open = true;
}

const signature = (list) => [...list.children].map((one) => one.dataset.job + one.dataset.shape).join("|");

function update(old, next) {
  old.querySelector(".far").textContent = next.querySelector(".far").textContent;
  const [bar, new_] = [old.querySelector("progress"), next.querySelector("progress")];
  if (bar && new_) bar.value = new_.value;
}

function frame() {
  if (!tray.firstChild) {
    tray.innerHTML = `<details><summary></summary><ul class="jobs"></ul><details class="past"><summary>${t("Messages")}</summary><ul class="said"></ul></details></details>`;
    const details = tray.firstChild;
    details.open = sessionStorage.getItem(OPEN) === "yes";
    details.addEventListener("toggle", () => sessionStorage.setItem(OPEN, details.open ? "yes" : ""));
  }
  return tray.querySelector(".jobs");
}

function item(job) {
  const made = document.createElement("li");
  made.dataset.job = job.id;
  const bar = !job.finished && job.percent !== undefined && job.percent !== null;
  const buttons = [...(job.buttons ?? []), ...ways(job), ...(job.finished && !job.buttons ? [{ title: t("Hide"), run: () => hide(job.id) }] : [])];
  made.dataset.shape = JSON.stringify([job.state, bar, job.about, job.message, buttons.map((one) => one.title)]);
  made.className = job.failed ? "bad" : job.finished ? "ended" : "";
  const name = Object.assign(document.createElement("strong"), { textContent: job.title });
  made.append(name, " ");
  if (job.about) made.append(subject(job), " ");
  if (bar) made.append(Object.assign(document.createElement("progress"), { max: 100, value: job.percent, ariaLabel: `${job.title} ${job.about ?? ""}` }));
  const state = job.failed ? job.message || job.state : job.finished ? t("done") : [job.state, far(job)].filter(Boolean).join(", ");
  made.append(Object.assign(document.createElement("small"), { className: "far", textContent: state }));
  if (job.asks) made.append(Object.assign(document.createElement("button"), { type: "button", textContent: t("Look and answer") }));
  if (job.asks) made.lastChild.dataset.answer = job.id;
  for (const one of buttons) made.append(press(one, job));
  return made;
}

function subject(job) {
  if (job.images?.length !== 1) return Object.assign(document.createElement("span"), { textContent: job.about });
  return Object.assign(document.createElement("a"), { href: `/images/${job.images[0]}`, textContent: job.about });
}

function press(one, job) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: one.title, ariaLabel: `${one.title}: ${job.title} ${job.about ?? ""}` });
  made.addEventListener("click", () => ((made.disabled = true), one.run()));
  return made;
}

function hide(id) {
  sessionStorage.setItem(HIDDEN, JSON.stringify([...hidden(), id].slice(-200)));
  draw();
}

// What ended before this page was opened was told by the page before, or is in the tray; it is no news.
let first = true;
document.addEventListener("live:runs", (event) => {
  const told = new Set(messages().map((one) => one.id));
  if (first) for (const run of event.detail) if (run.finished && !told.has(`run-${run.id}`) && !JSON.parse(sessionStorage.getItem("imagewright-going") || "[]").includes(run.id)) ended.add(run.id);
  first = false;
  tellEnded(event.detail);
  sessionStorage.setItem("imagewright-going", JSON.stringify(runs().filter((run) => run.own && !run.finished).map((run) => run.id)));
  draw();
});
document.addEventListener("toasts:new", draw);
if (tray) draw();
