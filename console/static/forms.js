// The dialog of a flow: its form, its plan, its run, and sending files where some are chosen.
import { answered } from "./approvals.js";
import { confirmed } from "./confirm.js";
import { guided } from "./guided.js";
import { previewed } from "./previewed.js";
import { local, localInputs } from "./times.js";
import { toast } from "./toasts.js";
import { add } from "./uploading.js";
import { t } from "./words.js";

const OURS = { "X-Imagewright": "1", "Content-Type": "application/json" };
const dialog = document.getElementById("dialog");

function value(input) {
  if (input.dataset.kind === "choices") return [...input.querySelectorAll("input:checked")].map((box) => box.value);
  if (input.dataset.kind === "password") return input.value || undefined; // its spaces are part of it
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
export function asked(form) {
  const anew = form.dataset.upload;
  const fields = [...form.querySelectorAll("[data-kind]")].filter((input) => !input.disabled);
  const said = fields.filter((input) => anew || (input.required && !("present" in input.dataset)) || input.readOnly || changed(input));
  const request = Object.fromEntries(said.map((input) => [input.name || input.dataset.name, value(input)]).filter(([, v]) => v !== undefined));
  const emptied = anew ? [] : fields.filter((input) => "clears" in input.dataset && before(input) !== "" && value(input) === undefined);
  for (const { name, dataset: { clears } } of emptied) request[clears] = [...new Set([...(request[clears] || []), name])];
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

export async function post(address, body) {
  const answer = await fetch(address, { method: "POST", headers: OURS, body: JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error || t("the console answered {status}", answer)), { status: answer.status });
  return said;
}

export function planned(plan) {
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

// Each file is announced; those that are refused are said here, the others are sent beside the page.
async function sendFiles(form, files) {
  const { image_path: _unused, name, ...request } = asked(form);
  const refused = [];
  for (const file of files) {
    const own = files.length > 1 ? { name: nameOf(form, file), image_format: formatOf(form, file) } : { name };
    await add(file, form.dataset.run, { ...request, ...own }).catch((error) => refused.push([file, error.message]));
  }
  if (!refused.length) return dialog.close();
  return tell(form, refused.map(([file, why]) => (files.length > 1 ? `${file.name}: ${why}` : why)).join("\n"), true);
}

const nameOf = (form, file) => form.querySelector(`[data-file-name="${CSS.escape(file.name)}"]`)?.value.trim() || stem(file);
const stem = (file) => file.name.replace(/\.[a-z0-9]{2,5}$/i, "");

// What a file is called says often what it is; the server looks at the bytes whatever is said.
function formatOf(form, file) {
  const said = form.elements.image_format;
  const ending = file.name.split(".").pop().toLowerCase();
  return [...said.options].some((option) => option.value === ending) ? ending : said.value;
}

// With several files each has a name of its own; all else is said once for all.
function named(form) {
  const files = [...form.querySelector("#f-file").files];
  const field = form.elements.name.closest(".field");
  form.querySelector(".names")?.remove();
  form.elements.name.disabled = field.hidden = files.length > 1;
  if (files.length === 1 && !form.elements.name.value) form.elements.name.value = stem(files[0]);
  if (files.length === 1) form.elements.image_format.value = formatOf(form, files[0]);
  if (files.length < 2) return;
  const names = Object.assign(document.createElement("div"), { className: "names" });
  for (const file of files) {
    const label = Object.assign(document.createElement("label"), { textContent: `${t("Name of {name}", file)} ` });
    const input = Object.assign(document.createElement("input"), { value: stem(file) });
    input.dataset.fileName = file.name;
    label.append(input);
    names.append(label);
  }
  field.after(names);
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
  const files = [...(form.querySelector("#f-file")?.files ?? [])];
  if (files.length) return sendFiles(form, files);
  if (form.dataset.each) return beginEach(form);
  if (unchanged(form)) return tell(form, t("Nothing is changed: everything is as it was."));
  const request = asked(form);
  if (isGrave(form) && !(await sure(form, request))) return undefined;
  if (form.dataset.upload) return corrected(form, request);
  const run = await post(`/api/flows/${form.dataset.run}`, request);
  return follow(form, run);
}

// The same for each of several: a run each, which the tray shows; one that is refused stops no other.
export const requestsOf = (form, request) => JSON.parse(form.dataset.each).map((one) => ({ ...request, ...one }));

async function beginEach(form) {
  const all = requestsOf(form, asked(form));
  if (isGrave(form) && !(await sureOfEach(form, all))) return undefined;
  const refused = [];
  for (const one of all) await post(`/api/flows/${form.dataset.run}`, one).catch((error) => refused.push(error.message));
  if (refused.length) return tell(form, `${t("{begun} of {count} begun.", { begun: all.length - refused.length, count: all.length })}\n${refused.join("\n")}`, true);
  toast(t("{verb}: {count} begun", { verb: form.querySelector(".main").textContent, count: all.length }), { id: crypto.randomUUID?.() });
  return dialog.close();
}

async function sureOfEach(form, all) {
  const plans = [];
  for (const one of all) plans.push(planned(await post(`/api/plans/${form.dataset.run}`, one)));
  const verb = form.querySelector(".main").textContent;
  return confirmed(dialog, { word: String(all.length), verb, plan: plans.join("\n") });
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
  const pressed = document.activeElement; // loses the keyboard while it is disabled
  buttons.forEach((button) => (button.disabled = true));
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(form, error.message, true);
  } finally {
    buttons.forEach((button) => (button.disabled = false));
    if ([document.body, dialog].includes(document.activeElement) && form.contains(pressed)) pressed.focus();
  }
}

function wire(form) {
  const file = form.querySelector("#f-file");
  const path = form.elements.image_path;
  file?.addEventListener("change", () => ((path.required = !file.files.length), named(form)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trying(form, () => submitted(form));
  });
  onlyWith(form);
  localInputs(form);
  guided(form);
  if ("previews" in form.dataset) previewed(form);
  for (const kind of form.querySelectorAll("[data-kind-of]")) kind.addEventListener("change", () => otherKind(form, kind.value));
  form.querySelector("[data-plan]")?.addEventListener("click", () => trying(form, () => plan(form)));
  form.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}

// What a button is about, as its menu or itself says: { given: what the form begins with, as JSON; name }.
// The menu of an image leaves out what its line says.
export function subject(button) {
  const place = button.closest("[data-given]");
  const given = JSON.parse(place.dataset.given);
  const line = place.closest("tr");
  const name = place.dataset.name ?? given.name ?? line?.querySelector("th a, th")?.firstChild?.textContent.trim();
  const whole = "image" in place.dataset ? { ...given, image_id: line.dataset.row, image_ids: [line.dataset.row], name } : given;
  return { given: JSON.stringify(whole), name };
}

// Shows a flow's form. options: name of what it is about; each: requests of several, differing in these fields; files: chosen.
export async function open(flow, given, name, { each, files } = {}) {
  const answer = await fetch(`/forms/${flow}?given=${encodeURIComponent(given)}`);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || t("the console answered {status}", answer));
  dialog.innerHTML = await answer.text(); // our own template, every value escaped
  const form = dialog.querySelector("form");
  if (name) dialog.querySelector("h2").append(`: ${name}`);
  if (name) form.dataset.name = name;
  if (each) form.dataset.each = JSON.stringify(each);
  for (const field of each ? Object.keys(each[0]) : []) form.elements[field].closest(".field").hidden = form.elements[field].disabled = true;
  wire(form);
  if (files && form.querySelector("#f-file")) chosen(form, files);
  if (dialog.open) return;
  dialog.showModal();
  begins(form)?.focus();
}

// The keyboard begins where something has to be said; where nothing has, on what begins it, once its plan was seen.
function begins(form) {
  const lacking = [...form.elements].find((one) => one.required && !one.value && one.checkVisibility());
  return lacking ?? form.querySelector("[data-previews] .preview, .main:enabled");
}

function chosen(form, files) {
  const list = new DataTransfer();
  for (const file of files) list.items.add(file);
  const input = form.querySelector("#f-file");
  input.files = list.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

// A volume image has fewer fields; what was written into those that both have stays.
async function otherKind(form, flow) {
  const files = [...(form.querySelector("#f-file")?.files ?? [])];
  const { account: _account, ...said } = asked(form);
  await open(flow, JSON.stringify(said), undefined, { files });
  dialog.querySelector("[data-kind-of]:checked")?.focus();
}

// Adds again what failed, as it was asked for; the tray shows how far it is.
export async function retry(id, button) {
  button.disabled = true;
  try {
    await post(`/api/retry/${encodeURIComponent(id)}`, {});
    toast(t("Begun again; the tray shows how far it is."), { id: crypto.randomUUID?.() });
  } catch (error) {
    toast(error.message, { bad: true, id: crypto.randomUUID?.() });
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
