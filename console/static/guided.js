// A form while it is filled in: the server says which fields there are, what each may be, and what is wrong with it.
import { asked } from "./forms.js";

const WAIT_MS = 250;
const OURS = { "X-Imagewright": "1", "Content-Type": "application/json" };

export function guided(form) {
  const touched = new Set();
  let due = 0;
  let turn = 0;
  const ask = async () => {
    const mine = (turn += 1);
    const body = { ...whole(form), file: Boolean(form.querySelector("#f-file")?.files.length) };
    const answer = await fetch(`/api/rules/${form.dataset.run}`, { method: "POST", headers: OURS, body: JSON.stringify(body) }).catch(() => null);
    const said = answer?.ok ? await answer.json().catch(() => null) : null;
    if (said && mine === turn && form.isConnected) apply(form, said.fields, touched);
  };
  for (const kind of ["input", "change"])
    form.addEventListener(kind, (event) => {
      const name = event.target.name || event.target.closest("[data-name]")?.dataset.name;
      if (name && event.target.value !== "") touched.add(name);
      clearTimeout(due);
      due = setTimeout(ask, WAIT_MS);
    });
  ask();
}

// What stands there, also what is hidden now: whether it is shown follows from it.
function whole(form) {
  const given = asked(form);
  for (const input of form.querySelectorAll("select[data-kind]")) if (input.value && given[input.name] === undefined && !input.disabled) given[input.name] = input.value;
  return given;
}

function apply(form, fields, touched) {
  for (const place of form.querySelectorAll(".field")) {
    const input = place.querySelector("[data-kind]");
    const name = input.name || input.dataset.name;
    const guide = fields[name] ?? {};
    if (guide.shown === false) place.dataset.out = "yes";
    if (guide.shown === false) place.hidden = input.disabled = true;
    else if (place.dataset.out) (delete place.dataset.out, (place.hidden = input.disabled = false));
    if (guide.options && input.tagName === "SELECT") offer(input, guide.options);
    if (guide.suggested) suggest(form, input, guide.suggested);
    write(place, input, guide, touched.has(name));
  }
}

// Only what may be chosen is offered; what was chosen stays where it may.
function offer(input, options) {
  const now = [...input.options].map((option) => option.value).filter(Boolean);
  if (now.join("\n") === options.join("\n")) return;
  const value = input.value;
  input.replaceChildren(...options.map((option) => new Option(option, option)));
  input.value = options.includes(value) ? value : options[0];
}

function suggest(form, input, systems) {
  const list = form.querySelector("#known-os");
  if (!list) return;
  input.setAttribute("list", "known-os");
  list.replaceChildren(...systems.map((system) => new Option(system)));
}

function write(place, input, guide, touched) {
  const [note, wrong] = [place.querySelector(".note"), place.querySelector(".wrong")];
  if (!note) return;
  const text = guide.note ? `${guide.note} ` : "";
  const said = touched && guide.wrong ? `${guide.wrong} ` : "";
  if (note.textContent !== text) note.textContent = text;
  if (wrong.textContent !== said) wrong.textContent = said;
  if (said) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
