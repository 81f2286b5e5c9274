// The dialog of a flow: its form, its plan, its run, and sending a file where one is chosen.
import { answered } from "./approvals.js";
import { confirmed } from "./confirm.js";
import { local, localInputs } from "./times.js";
import { create, send } from "./tus.js";
import { t } from "./words.js";

const OURS = { "X-Imagewright": "1", "Content-Type": "application/json" };
const dialog = document.getElementById("dialog");

function value(input) {
  if (input.dataset.kind === "choices") return [...input.querySelectorAll("input:checked")].map((box) => box.value);
  const text = input.value.trim();
  if (input.dataset.kind === "checkbox") return input.checked;
  if (text === "") return undefined;
  if (input.dataset.kind === "date") return new Date(text).toISOString();
  if (input.dataset.kind === "number") return Number(text);
  if (input.dataset.kind === "list") return text.split(/[\s,]+/);
  return text;
}

// What an input began with.
const before = (input) => (input.tagName === "SELECT" ? ([...input.options].find((o) => o.defaultSelected)?.value ?? "") : input.defaultValue);

// Only what differs from what stood there, or has to be there: what is not said stays as it is. What was emptied is named.
// An upload that is announced otherwise is announced anew, whole: what was emptied is not said any more.
function asked(form) {
  const anew = form.dataset.upload;
  const fields = [...form.querySelectorAll("[data-kind]")].filter((input) => !input.disabled);
  const said = fields.filter((input) => anew || (input.required && !("present" in input.dataset)) || input.readOnly || changed(input));
  const request = Object.fromEntries(said.map((input) => [input.name || input.dataset.name, value(input)]).filter(([, v]) => v !== undefined));
  const emptied = anew ? [] : fields.filter((input) => "clears" in input.dataset && before(input) !== "" && value(input) === undefined);
  if (emptied.length) request.clear = [...new Set([...(request.clear || []), ...emptied.map((input) => input.name)])];
  return request;
}

function changed(input) {
  if (input.type === "checkbox") return input.checked !== input.defaultChecked;
  if (input.dataset.kind === "list") return true;
  if ("present" in input.dataset && input.dataset.kind !== "choices") return input.value !== before(input) || input.required && input.tagName === "SELECT";
  if (input.tagName === "SELECT" || input.tagName === "FIELDSET") return true;
  return input.value !== input.defaultValue;
}

// Whether a form that shows how things are leaves all of them so.
function unchanged(form) {
  return form.querySelector("[data-present]") !== null && [...form.querySelectorAll("[data-kind]")].every(same);
}

function same(input) {
  if (input.tagName === "FIELDSET") return [...input.querySelectorAll("input")].every((box) => box.checked === box.defaultChecked);
  return input.type === "checkbox" ? input.checked === input.defaultChecked : input.value === before(input);
}

// What goes with another field's value only is asked for only then.
function onlyWith(form) {
  for (const input of form.querySelectorAll("[data-only-with]")) {
    const [field, wanted] = input.dataset.onlyWith.split("=");
    const judge = () => (input.closest(".field").hidden = input.disabled = form.elements[field].value !== wanted);
    form.elements[field].addEventListener("change", judge);
    judge();
  }
}

// A form whose work is done takes no second press: the same again would be a second image.
function done(form) {
  for (const input of form.querySelectorAll("input, select")) input.disabled = true;
  for (const button of form.querySelectorAll(".main, [data-plan]")) button.hidden = true;
  form.querySelector("[data-close]")?.focus();
}

function tell(form, text, bad = false, run = null) {
  const told = form.querySelector(".told");
  told.textContent = text;
  told.classList.toggle("bad", bad);
  if (!run?.url) return;
  const place = Object.assign(document.createElement("a"), { href: run.url, target: "_blank", rel: "noopener" });
  place.textContent = t("Run in the Prefect UI");
  told.append(" ", place);
}

// A dialog that only says something.
export function sentence(title, text, bad = true) {
  const form = document.createElement("form");
  form.innerHTML = "<h2 id='dialog-title'></h2><output class='told'></output><div class='buttons'><button type='button'></button></div>";
  form.querySelector("h2").textContent = title;
  form.querySelector("button").textContent = t("Close");
  form.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.replaceChildren(form);
  tell(form, text, bad);
  if (!dialog.open) dialog.showModal();
  return form;
}

async function post(address, body) {
  const answer = await fetch(address, { method: "POST", headers: OURS, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || t("the console answered {status}", answer));
  return said;
}

function planned(plan) {
  const lines = (plan.actions || []).map((a) => `${a.verb}: ${a.subject}${a.reason ? `; ${a.reason}` : ""}`);
  return [plan.summary, ...lines].join("\n");
}

async function follow(form, run) {
  while (dialog.open) {
    const answer = await fetch(`/api/runs/${run.flow_run_id}`).catch(() => null);
    const said = (await answer?.json().catch(() => null)) || { error: t("the console does not answer; asking again") };
    const state = said.message ? `${t(said.state)}: ${said.message}` : t(said.state);
    tell(form, answer?.ok ? state : said.error, !answer?.ok || said.failed, run);
    if (said.asks && !(await decided(form, run, said.asks))) return;
    if (said.finished && !said.failed) done(form);
    if (said.finished) return;
    await new Promise((done) => setTimeout(done, 1000));
  }
}

// Asks the person what the run asks; tells whether it was answered.
async function decided(form, run, asks) {
  const given = await answered(dialog, asks);
  if (given) await post(`/api/runs/${run.flow_run_id}/answer`, given);
  else tell(form, t("It waits for approval; the tab Leftovers asks again."), false, run);
  if (!given) done(form);
  return Boolean(given);
}

// A waiting run of the list is looked at, answered and followed.
export async function approve(id) {
  const form = sentence(t("Clean up leftovers"), "", false);
  await follow(form, { flow_run_id: id });
}

function bar(form, file) {
  tell(form, "");
  const shown = document.createElement("progress");
  shown.max = file.size;
  form.querySelector(".told").append(shown, document.createElement("span"));
  return (offset, trouble = "") => {
    shown.value = offset;
    const far = t("{sent} of {length} MiB", { sent: (offset / 1048576).toFixed(1), length: (file.size / 1048576).toFixed(1) });
    shown.nextSibling.textContent = trouble ? `${far}: ${trouble}` : far;
  };
}

async function sendFile(form, file) {
  const { image_path: _unused, ...request } = asked(form);
  await goOn(form, file, await create(file, form.dataset.run, request));
}

// Closing the dialog pauses; the tab of uploads offers to go on.
export async function goOn(form, file, place) {
  const stop = new AbortController();
  dialog.addEventListener("close", () => stop.abort(), { once: true });
  const sent = await send(place, file, bar(form, file), stop.signal);
  if (sent) done(form);
  tell(form, sent ? t("Sent. The image appears in the list as it is added.") : t("This upload is not there any more."), !sent);
}

function isGrave(form) {
  if (form.dataset.confirm === undefined) return false;
  const [field, only] = form.dataset.confirm.split("=");
  return !field || form.elements[field].value === only;
}

async function sure(form, request) {
  const found = planned(await post(`/api/plans/${form.dataset.run}`, request));
  const verb = form.querySelector(".main").textContent;
  return confirmed(dialog, { word: form.dataset.name || verb.toLowerCase(), verb, plan: found });
}

async function submitted(form) {
  const file = form.querySelector("#f-file")?.files[0];
  if (file) return sendFile(form, file);
  if (unchanged(form)) return tell(form, t("Nothing is changed: everything is as it was."));
  const request = asked(form);
  if (isGrave(form) && !(await sure(form, request))) return undefined;
  if (form.dataset.upload) return corrected(form, request);
  const run = await post(`/api/flows/${form.dataset.run}`, request);
  return follow(form, run);
}

// What was sent is kept, and announced as what it is.
async function corrected(form, request) {
  const said = await post(`/api/uploads/${form.dataset.upload}/${form.dataset.run}`, request);
  if (said.flow_run_id) return follow(form, said);
  return tell(form, t("Announced anew. Continue with the same file in the list of uploads."));
}

async function plan(form) {
  if (form.querySelector("#f-file")?.files.length) {
    tell(form, t("A file is checked against form, storages, quota and room before any of it is sent."));
  } else {
    tell(form, planned(await post(`/api/plans/${form.dataset.run}`, asked(form))));
  }
}

async function trying(form, work) {
  const buttons = [...form.querySelectorAll("button:not([data-close])")];
  buttons.forEach((button) => (button.disabled = true));
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(form, error.message, true);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

function wire(form) {
  const file = form.querySelector("#f-file");
  const path = form.elements.image_path;
  file?.addEventListener("change", () => (path.required = !file.files.length));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trying(form, () => submitted(form));
  });
  onlyWith(form);
  localInputs(form);
  form.querySelector("[data-plan]")?.addEventListener("click", () => trying(form, () => plan(form)));
  form.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}

export async function open(flow, given, name) {
  const answer = await fetch(`/forms/${flow}?given=${encodeURIComponent(given)}`);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || t("the console answered {status}", answer));
  dialog.innerHTML = await answer.text(); // our own template, every value escaped
  if (name) dialog.querySelector("h2").append(`: ${name}`);
  if (name) dialog.querySelector("form").dataset.name = name;
  wire(dialog.querySelector("form"));
  dialog.showModal();
}

// Adds again what failed, as it was asked for.
export async function retry(id, button) {
  button.disabled = true;
  try {
    await follow(sentence(t("Retry"), t("starting")), await post(`/api/retry/${encodeURIComponent(id)}`, {}));
  } catch (error) {
    sentence(t("Retry"), error.message);
  } finally {
    button.disabled = false;
  }
}

export async function link(id, button) {
  try {
    const made = await post(`/api/exports/${encodeURIComponent(id)}/link`, {});
    const place = document.createElement("a");
    place.href = made.url;
    place.textContent = t("Download");
    place.title = t("until {moment}", { moment: local(made.expires_at) });
    button.replaceWith(place);
  } catch (error) {
    button.textContent = error.message;
  }
}
