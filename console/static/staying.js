// While files are sent, the next page is put into this one: leaving it would end what it sends.
import { active } from "./uploading.js";

const isPage = (place) => place.origin === location.origin && (["/", "/access"].includes(place.pathname) || place.pathname.startsWith("/images/"));

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target || !active()) return;
  const place = new URL(link.href);
  if (!isPage(place)) return;
  event.preventDefault();
  go(place);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "get" || !active()) return;
  const place = new URL(form.action);
  place.search = new URLSearchParams(new FormData(form)).toString();
  if (!isPage(place)) return;
  event.preventDefault();
  go(place);
});

addEventListener("popstate", () => (active() ? go(new URL(location.href), false) : location.reload()));

async function go(place, forward = true) {
  const answer = await fetch(place, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || answer.redirected || !answer.headers.get("Content-Type")?.startsWith("text/html")) return location.assign(place);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (forward) history.pushState(null, "", place);
  document.title = next.title;
  for (const part of [".top", ".frame"]) document.querySelector(part).replaceWith(document.importNode(next.querySelector(part), true));
  for (const script of next.querySelectorAll("script[type=module][src]")) load(script.getAttribute("src"));
  scrollTo(0, 0);
  document.dispatchEvent(new CustomEvent("page:arrived"));
  const head = document.querySelector("main h1");
  if (head) head.tabIndex = -1;
  return head?.focus();
}

// What the next page needs besides; what is here already hears `page:arrived`.
function load(source) {
  if (document.querySelector(`script[src="${CSS.escape(source)}"]`)) return;
  document.head.append(Object.assign(document.createElement("script"), { type: "module", src: source }));
}
