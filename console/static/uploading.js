// Files on their way: a queue beside the page, three at once; each can be paused, goes on where it was, and is proven at its end.
import { toast } from "./toasts.js";
import { also } from "./tray.js";
import { create, difference, discard, send } from "./tus.js";
import { t } from "./words.js";

const AT_ONCE = 3;
const WINDOW_MS = 15000;
const KEY = "imagewright-uploads"; // what this tab was sending, should it be loaded anew
const queue = [];

export const active = () => queue.some((one) => ["sending", "waiting"].includes(one.state));

const remembered = () => JSON.parse(sessionStorage.getItem(KEY) || "{}");

function remember(one) {
  const all = remembered();
  if (one.state === "done" || one.state === "gone") delete all[one.id];
  else all[one.id] = { name: one.name, filename: one.file.name, length: one.file.size };
  sessionStorage.setItem(KEY, JSON.stringify(all));
}

// Announces a file and puts it into the queue. Rejects with the sentence of the server, before a byte is sent.
export async function add(file, flow, request) {
  const place = await create(file, flow, request);
  return enqueue(place.split("/").pop(), file, request.name || file.name);
}

// Goes on with an upload that broke off. Rejects where the file is another one.
export async function goOnWith(upload, file) {
  const other = await difference(upload, file);
  if (other) throw new Error(other);
  return enqueue(upload.id, file, upload.name);
}

// Goes on with those of several uploads that these files began: by name and length, then by the bytes that were kept.
// Resolves to a sentence for each file that belongs to none. uploads: as `goOnWith` takes them.
export async function goOnWithAll(uploads, files) {
  const said = await Promise.all([...files].map((file) => belonging(uploads, file)));
  return said.filter(Boolean);
}

async function belonging(uploads, file) {
  let why = t("{name}: no upload of a file with this name and size broke off here.", file);
  for (const upload of uploads.filter((one) => one.filename === file.name && one.length === file.size)) {
    try {
      await goOnWith(upload, file);
      return "";
    } catch (error) {
      why = `${file.name}: ${error.message}`;
    }
  }
  return why;
}

function enqueue(id, file, name) {
  const before = queue.findIndex((one) => one.id === id);
  if (before >= 0) stop(...queue.splice(before, 1));
  const one = { id, file, name, state: "waiting", offset: 0, samples: [], digest: hashed(file) };
  one.digest.catch(() => null); // said when it is compared
  queue.push(one);
  remember(one);
  show(one);
  next();
  return one;
}

function stop(one) {
  one.stopper?.abort();
}

// One file after the other: what is computed takes the processor from what is sent.
let hashing = Promise.resolve();
function hashed(file) {
  const mine = hashing.then(() => computed(file));
  hashing = mine.catch(() => null);
  return mine;
}

// The digest of the file as it lies here, computed by a worker so that the page stays at hand.
function computed(file) {
  const worker = new Worker("/static/hashing.js", { type: "module" });
  return new Promise((done, failed) => {
    worker.addEventListener("message", ({ data }) => {
      if (data.sha256) done(data.sha256);
      if (data.error) failed(new Error(data.error));
      if (data.sha256 || data.error) worker.terminate();
    });
    worker.addEventListener("error", () => failed(new Error("no worker")));
    worker.postMessage(file);
  });
}

function next() {
  const free = AT_ONCE - queue.filter((one) => one.state === "sending").length;
  for (const one of queue.filter((waiting) => waiting.state === "waiting").slice(0, Math.max(free, 0))) sendOne(one);
}

async function sendOne(one) {
  one.state = "sending";
  one.stopper = new AbortController();
  one.samples = [];
  show(one);
  try {
    const sent = await send(`/uploads/${one.id}`, one.file, (offset, trouble) => moved(one, offset, trouble), one.stopper.signal);
    one.state = sent ? "done" : "gone";
    if (sent) toast(t("{name}: sent. It appears in the list as it is added.", one), { id: `sent-${one.id}` });
    else toast(t("{name}: this upload is not there any more.", one), { bad: true });
    if (sent) proven(one);
  } catch (error) {
    one.state = error.name === "AbortError" ? "paused" : "refused";
    one.trouble = one.state === "refused" ? error.message : "";
    if (one.state === "refused") toast(`${one.name}: ${error.message}`, { bad: true });
  }
  remember(one);
  show(one);
  next();
}

function moved(one, offset, trouble = "") {
  one.offset = offset;
  one.trouble = trouble;
  const now = performance.now();
  one.samples = [...one.samples.filter((sample) => now - sample.at < WINDOW_MS), { at: now, offset }];
  if (now - (one.shown ?? 0) < 250 && offset < one.file.size && !trouble) return;
  one.shown = now;
  show(one);
}

function rate({ samples }) {
  const [first, last] = [samples[0], samples[samples.length - 1]];
  return last && last.at - first.at > 500 ? (1000 * (last.offset - first.offset)) / (last.at - first.at) : 0;
}

const STATES = { waiting: t("waits for its turn"), sending: "", paused: t("Paused"), refused: "", proving: "" };

function show(one) {
  if (one.state === "done" || one.state === "gone") return also(one.id, null);
  const speed = one.state === "sending" ? rate(one) : 0;
  const left = speed ? (one.file.size - one.offset) / speed : undefined;
  const job = { id: one.id, title: t("Upload"), about: one.name, percent: (100 * one.offset) / one.file.size, done: one.offset, total: one.file.size };
  return also(one.id, { ...job, rate: speed, left_s: left, state: one.trouble || STATES[one.state], buttons: ways(one), failed: one.state === "refused", message: one.trouble });
}

function ways(one) {
  const discarding = { title: t("Discard"), run: () => remove(one) };
  if (one.state === "refused") return [{ title: t("Announce it otherwise"), run: () => location.assign("/?tab=uploads") }, discarding];
  if (one.state === "paused") return [{ title: t("Go on"), run: () => ((one.state = "waiting"), show(one), next()) }, discarding];
  const pausing = () => (one.state === "waiting" ? ((one.state = "paused"), show(one)) : stop(one));
  return [{ title: t("Pause"), run: pausing }];
}

async function remove(one) {
  stop(one);
  await discard(`/uploads/${one.id}`).catch(() => null);
  one.state = "gone";
  remember(one);
  show(one);
}

// Compares the digest of the file as it lies here with what was proven of the image, once its add has ended.
async function proven(one) {
  const digest = await one.digest.catch(() => null);
  if (!digest) return toast(t("{name}: the file can't be read here any more, so its digest is not compared", one), { bad: true });
  const waiting = JSON.parse(sessionStorage.getItem("imagewright-digests") || "{}");
  sessionStorage.setItem("imagewright-digests", JSON.stringify({ ...waiting, [one.id]: { name: one.name, digest, length: one.file.size } }));
  return compare();
}

async function compare() {
  const waiting = JSON.parse(sessionStorage.getItem("imagewright-digests") || "{}");
  for (const [id, { name, digest, length }] of Object.entries(waiting)) {
    const answer = await fetch(`/api/images/${id}/digests`).catch(() => null);
    const said = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!said?.proven) continue;
    delete waiting[id];
    sessionStorage.setItem("imagewright-digests", JSON.stringify(waiting));
    if (said.sha256 === digest) toast(t("{name}: proven. SHA-256 {start}… is the same here and there.", { name, start: digest.slice(0, 16) }), { id: `proven-${id}` });
    else if (said.size_bytes !== length) toast(t("{name}: it was unpacked on its way, so its digest is not that of the file here.", { name }), { id: `proven-${id}` });
    else toast(t("{name}: SHA-256 is {here} here and {there} there: it is not the same file.", { name, here: digest, there: said.sha256 }), { bad: true, id: `proven-${id}` });
  }
}

document.addEventListener("live:hello", compare);
document.addEventListener("live:changed", ({ detail }) => detail.images && compare());

// What this tab was sending when it was loaded anew: the file has to be chosen again, the bytes are kept.
function stopped() {
  for (const [id, said] of Object.entries(remembered())) {
    if (queue.some((one) => one.id === id)) continue;
    const forget = () => (also(id, null), remember({ id, state: "gone", file: {} }));
    const choose = { title: t("Go on with the same file"), run: () => pick({ id, ...said }) };
    also(id, { id, title: t("Upload"), about: said.name, state: t("Paused: this page was loaded anew"), buttons: [choose, { title: t("Later"), run: forget }] });
  }
}

function pick(upload) {
  const input = Object.assign(document.createElement("input"), { type: "file" });
  input.addEventListener("change", () => goOnWith(upload, input.files[0]).catch((error) => (toast(error.message, { bad: true, id: crypto.randomUUID() }), stopped())));
  input.addEventListener("cancel", () => (also(upload.id, null), stopped()));
  input.click();
}

addEventListener("beforeunload", (event) => active() && event.preventDefault());
stopped();
