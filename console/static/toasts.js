// Short messages: each shows for a while, and stays findable in the list of messages behind the bell of the tray.
import { t } from "./words.js";

const KEY = "imagewright-messages";
const SHOWN_MS = 12000;
const OFFERED_MS = 60000; // with something to press
const MOST = 30;

const kept = () => JSON.parse(sessionStorage.getItem(KEY) || "[]");

// What was said before, newest first: { id, text, bad, at }.
export const messages = () => kept();

// Shows a message once. options: bad; id: said before under it, it is not said again; actions: [{ title, run }].
export function toast(text, { bad = false, id = crypto.randomUUID?.() ?? String(Math.random()), actions = [] } = {}) {
  if (kept().some((one) => one.id === id)) return;
  sessionStorage.setItem(KEY, JSON.stringify([{ id, text, bad, at: new Date().toISOString() }, ...kept()].slice(0, MOST)));
  document.dispatchEvent(new CustomEvent("toasts:new"));
  document.getElementById("toasts").append(box(text, bad, actions));
}

function box(text, bad, actions) {
  const shown = document.createElement("div");
  shown.className = bad ? "toast bad" : "toast";
  shown.append(Object.assign(document.createElement("p"), { textContent: text }));
  for (const action of actions) shown.append(button(action.title, () => (shown.remove(), action.run())));
  shown.append(button(t("Dismiss"), () => shown.remove()));
  const timer = setInterval(() => shown.matches(":hover, :focus-within") || (clearInterval(timer), shown.remove()), actions.length ? OFFERED_MS : SHOWN_MS);
  return shown;
}

function button(title, run) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: title });
  made.addEventListener("click", run);
  return made;
}
