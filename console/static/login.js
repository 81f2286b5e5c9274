// Signs in: the server keeps the session, the browser a cookie that no script reads.
import { t } from "./words.js";

const form = document.getElementById("login");
const told = document.getElementById("told");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  told.textContent = "";
  const answer = await fetch("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Imagewright": "1" },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  }).catch(() => null);
  if (answer?.ok) return location.assign(form.dataset.next);
  const said = await answer?.json().catch(() => null);
  told.textContent = said?.error || t("the console does not answer; try again");
  form.elements.password.value = "";
  form.elements.password.focus();
  button.disabled = false;
  return undefined;
});
document.dispatchEvent(new Event("page:ready")); // what was pressed before waits for it: early.js
