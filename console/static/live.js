// What happens, as the server tells it: one stream for all pages of a browser, whose news the others hear from the page that has it.
//
// On document: `live:changed` ({ images }, { uploads }), `live:runs` (a list), `live:hello` (look anew), `live:state` ({ away }).
const BEGINS = "imagewright-live";
const AGAIN_MS = 2000;
const channel = "BroadcastChannel" in window ? new BroadcastChannel(BEGINS) : null;
const known = new Map(); // runs by id

const tell = (kind, detail) => document.dispatchEvent(new CustomEvent(`live:${kind}`, { detail }));

export const runs = () => [...known.values()];

// Says it here and to the other pages.
function spread(kind, detail) {
  channel?.postMessage({ kind, detail });
  heard(kind, detail);
}

function heard(kind, detail) {
  if (kind === "asked") return void (source && channel.postMessage({ kind: "runs", detail: runs() }));
  if (kind === "runs") for (const run of detail) known.set(run.id, run);
  return tell(kind, detail);
}

let source = null;

// The page that holds the lock has the stream; when it goes, the next one takes it up. Without locks (plain http from
// another host) each page has its own.
export function listen() {
  channel?.addEventListener("message", (event) => heard(event.data.kind, event.data.detail));
  channel?.postMessage({ kind: "asked" });
  if (!navigator.locks || !channel) return stream();
  return navigator.locks.request(BEGINS, () => new Promise(stream));
}

function stream() {
  source = new EventSource("/live");
  for (const kind of ["hello", "changed", "runs"]) source.addEventListener(kind, (event) => spread(kind, JSON.parse(event.data)));
  source.addEventListener("open", () => spread("state", { away: false }));
  source.addEventListener("error", () => broken(source));
}

// A stream that ended is begun again by the browser itself; one that was refused is not.
async function broken(stopped) {
  const refused = stopped.readyState === EventSource.CLOSED;
  if (refused && (await isSignedOut())) return location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (refused) setTimeout(stream, AGAIN_MS * (1 + Math.random()));
  const before = stopped;
  return setTimeout(() => source === before && source.readyState !== EventSource.OPEN && spread("state", { away: true }), AGAIN_MS * 2);
}

async function isSignedOut() {
  if (!document.querySelector("[data-sign-out]")) return false;
  const answer = await fetch("/live", { headers: { "X-Imagewright": "1" } }).catch(() => null);
  answer?.body?.cancel();
  return answer?.status === 401;
}

addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => event.persisted && stream());
