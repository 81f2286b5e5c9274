// What a run would do is shown before it can be begun, and anew whenever the form says something else.
import { asked, planned, post, requestsOf } from "./forms.js";
import { t } from "./words.js";

const WAIT_MS = 500;
const LATER_MS = 3000;
const MOST = 20; // plans of several, shown at once

export function previewed(form) {
  const place = form.querySelector(".preview output");
  const main = form.querySelector(".main");
  let due = 0;
  let turn = 0;
  const look = async () => {
    const mine = (turn += 1);
    if (!form.checkValidity()) return (place.textContent = t("Fill in what is needed, and it is shown here.")), (main.disabled = false);
    place.textContent = t("Looking what it would do …");
    const [said, later] = await plans(form).then((text) => [text, false], (error) => [error.message, error.status === 503 || !error.status]);
    if (mine !== turn || !form.isConnected) return undefined;
    place.textContent = later ? t("{said}; asking again …", { said }) : said;
    if (later) due = setTimeout(look, LATER_MS);
    return (main.disabled = later); // what nobody has seen nobody begins
  };
  form.addEventListener("input", () => {
    main.disabled = true;
    clearTimeout(due);
    due = setTimeout(look, WAIT_MS);
  });
  main.disabled = true;
  look();
}

async function plans(form) {
  const request = asked(form);
  const all = form.dataset.each ? requestsOf(form, request) : [request];
  const said = [];
  for (const one of all.slice(0, MOST)) said.push(planned(await post(`/api/plans/${form.dataset.run}`, one)));
  return [...said, ...(all.length > MOST ? [t("and {count} more", { count: all.length - MOST })] : [])].join("\n");
}
