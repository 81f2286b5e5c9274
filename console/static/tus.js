// A tus 1.0 client: one file, in pieces, from the offset that the server has. https://tus.io/protocols/resumable-upload
import { t } from "./words.js";

const TUS = { "Tus-Resumable": "1.0.0" };
const PIECE = 64 * 1024 * 1024;
const FIRST = 1024 * 1024 + 64 * 1024; // what tells of every format; the server judges it before more is sent
const LONGEST_WAIT_MS = 30000;

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const paused = () => new DOMException("paused", "AbortError");

// Waits, or rejects as soon as it is told to stop.
function pause(ms, signal) {
  return new Promise((done, failed) => {
    setTimeout(done, ms);
    signal.addEventListener("abort", () => failed(paused()), { once: true });
  });
}

async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Error(said.error || t("the console answered {status}", answer));
}

// Announces a file; resolves to the upload's place. Rejects with the sentence of the server.
export async function create(file, flow, request) {
  const said = { flow, request: JSON.stringify(request), filename: file.name };
  const metadata = Object.entries(said).map(([key, value]) => `${key} ${base64(value)}`).join(",");
  const headers = { ...TUS, "Upload-Length": String(file.size), "Upload-Metadata": metadata };
  const answer = await fetch("/uploads", { method: "POST", headers });
  if (answer.status !== 201) throw await refusal(answer);
  return answer.headers.get("Location");
}

async function offsetOf(place) {
  const answer = await fetch(place, { method: "HEAD", headers: TUS });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(t("the console answered {status}", answer)); // a HEAD has no sentence
  return Number(answer.headers.get("Upload-Offset"));
}

// One request with a part of the file; what the network took is told as it goes. fetch says nothing of that.
function sendPiece(place, file, offset, signal, told) {
  const end = offset < FIRST ? FIRST : offset + PIECE;
  const request = new XMLHttpRequest();
  request.open("PATCH", place);
  const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", (event) => told(Math.min(offset + event.loaded, file.size)));
  return new Promise((done, failed) => {
    const stop = () => request.abort();
    signal.addEventListener("abort", stop, { once: true });
    request.addEventListener("loadend", () => signal.removeEventListener("abort", stop));
    request.addEventListener("load", () => done(request));
    request.addEventListener("error", () => failed(new Error(t("the connection broke"))));
    request.addEventListener("abort", () => failed(paused()));
    request.send(file.slice(offset, end));
  });
}

const wrong = (request) => {
  let said = {};
  try {
    said = JSON.parse(request.responseText);
  } catch {
    // no sentence of ours: a proxy answered
  }
  return new Error(said.error || t("the console answered {status}", request));
};

// Sends what the server lacks, trying again for as long as the network or the server is away.
// Resolves to false if the upload is not there any more. told: called with the offset, and with why it waits.
export async function send(place, file, told, signal) {
  let wait = 500;
  let offset = 0;
  while (true) {
    try {
      offset = await offsetOf(place);
      if (offset === null) return false;
      do {
        told(offset);
        if (signal.aborted) throw paused();
        const answer = await sendPiece(place, file, offset, signal, told);
        if (answer.status === 404) return false;
        if (answer.status === 422 || answer.status === 507) throw Object.assign(wrong(answer), { lasting: true });
        if (answer.status !== 204) throw wrong(answer);
        offset = Number(answer.getResponseHeader("Upload-Offset"));
        wait = 500;
        if (offset >= file.size) return told(offset), true;
      } while (true);
    } catch (error) {
      if (signal.aborted) throw paused();
      if (error.lasting) throw error;
      told(offset, t("{message}; trying again", error));
      await pause(wait * (0.5 + Math.random()), signal);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }
}

async function digest(blob) {
  const bytes = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Tells why a file can't be the one that an upload was begun with, "" where nothing speaks against it. Browsers digest
// only on https and loopback; elsewhere name and size have to do.
export async function difference(upload, file) {
  if (file.size !== upload.length || file.name !== upload.filename) 
    return t("This is {name} of {size} bytes; begun was {filename} of {length} bytes.", { name: file.name, size: file.size, ...upload, });
  const answer = await fetch(`/api/uploads/${upload.id}/kept`);
  if (!answer.ok) throw await refusal(answer);
  for (const piece of crypto.subtle ? (await answer.json()).pieces : []) {
    if ((await digest(file.slice(piece.start, piece.end))) !== piece.sha256)
      return t("This file has other bytes from {start} on than what was sent of {filename}; choose the same file, or discard the upload.", { ...upload, ...piece });
  }
  return "";
}

export const discard = (place) => fetch(place, { method: "DELETE", headers: TUS });
