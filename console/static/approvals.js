// A run that waits for a person: what it lists is shown, the number of it has to be typed, or it is rejected.

import { t } from "./words.js";

// Resolves to the answer, null where the person leaves it waiting. asks: { text, count }.
export function answered(dialog, asks) {
  const kept = [...dialog.childNodes];
  const form = document.createElement("form");
  form.innerHTML = `<h2 id="dialog-title">${t("Waits for approval")}</h2><pre class="plan" tabindex="0"></pre>
    <div class="field"><label for="f-count">${t("How many are listed?")}</label><input id="f-count" type="number" min="0" autocomplete="off" aria-describedby="d-count">
    <small id="d-count"></small></div>
    <div class="field"><label for="f-reason">${t("Reason")}</label><input id="f-reason" autocomplete="off" aria-describedby="d-reason"><small id="d-reason">${t("Kept with the run.")}</small></div>
    <div class="buttons"><button class="main danger" disabled>${t("Delete for good")}</button><button type="button" data-reject>${t("Reject")}</button><button type="button" data-later>${t("Later")}</button></div>`;
  form.querySelector("pre").textContent = asks.text;
  form.querySelector("#d-count").textContent = t("Type {count} to have all of them deleted for good; it can't be undone.", asks);
  const count = form.querySelector("#f-count");
  const right = () => count.value.trim() === String(asks.count);
  count.addEventListener("input", () => (form.querySelector(".main").disabled = !right()));
  dialog.replaceChildren(form);
  count.focus();
  return new Promise((done) => {
    const leave = (decision) => {
      const reason = form.querySelector("#f-reason").value.trim();
      dialog.replaceChildren(...kept);
      done(decision && { decision, reason, typed_count: decision === "approve" ? asks.count : 0 });
    };
    form.addEventListener("submit", (event) => (event.preventDefault(), right() && leave("approve")));
    form.querySelector("[data-reject]").addEventListener("click", () => leave("reject"));
    form.querySelector("[data-later]").addEventListener("click", () => leave(null));
    dialog.addEventListener("close", () => leave(null), { once: true });
  });
}
