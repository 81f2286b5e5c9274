// Sends the token of the link's fragment with what was typed. The fragment goes from the address bar as soon as it is read.
import { t } from "./words.js";

const form = document.getElementById("setup");
const told = document.getElementById("told");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = Object.fromEntries(new FormData(form));
  const answer = await fetch("/api/v1/setup", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, name, password }),
  });
  const said = await answer.json();
  told.textContent = answer.ok ? `${t("{name} is the first administrator.", said)} ` : said.detail;
  if (answer.ok) told.append(Object.assign(document.createElement("a"), { href: "/login", textContent: t("Sign in") }));
  if (answer.ok) form.querySelector("button").disabled = true;
});
document.dispatchEvent(new Event("page:ready")); // what was pressed before waits for it: early.js
