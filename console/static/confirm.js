// The second question before what can't be undone: what goes is listed, its name has to be typed.

import { t } from "./words.js";

// Resolves to whether it was confirmed. plan: what goes, as text; word: what has to be typed; verb: of the button.
export function confirmed(dialog, { word, verb, plan }) {
  const kept = [...dialog.childNodes];
  const form = document.createElement("form");
  form.innerHTML = `<h2 id="dialog-title"></h2><pre class="plan" tabindex="0"></pre>
    <div class="field"><label for="f-sure"></label><input id="f-sure" autocomplete="off" spellcheck="false"></div>
    <div class="buttons"><button class="main danger" disabled></button><button type="button" data-back></button></div>`;
  form.querySelector("h2").textContent = t("This can't be undone");
  form.querySelector("[data-back]").textContent = t("Back");
  form.querySelector("pre").textContent = plan;
  form.querySelector("label").textContent = t("Type “{word}” to go on", { word });
  form.querySelector(".main").textContent = t("{verb} for good", { verb });
  const input = form.querySelector("input");
  input.addEventListener("input", () => (form.querySelector(".main").disabled = input.value.trim() !== word));
  dialog.replaceChildren(form);
  input.focus();
  return new Promise((done) => {
    const leave = (answer) => {
      dialog.replaceChildren(...kept);
      done(answer);
    };
    form.addEventListener("submit", (event) => (event.preventDefault(), leave(input.value.trim() === word)));
    form.querySelector("[data-back]").addEventListener("click", () => leave(false));
    dialog.addEventListener("close", () => leave(false), { once: true });
  });
}
