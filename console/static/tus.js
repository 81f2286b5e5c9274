// A tus 1.0 client: one file, in pieces, from the offset that the server has. https://tus.io/protocols/resumable-upload
const TUS = { "Tus-Resumable": "1.0.0" };
const PIECE = 16 * 1024 * 1024;
const LONGEST_WAIT_MS = 30000;

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Error(said.error || `the console answered ${answer.status}`);
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
  if (!answer.ok) throw new Error(`the console answered ${answer.status}`);
  return Number(answer.headers.get("Upload-Offset"));
}

async function sendPiece(place, file, offset, signal) {
  const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
  return fetch(place, { method: "PATCH", headers, body: file.slice(offset, offset + PIECE), signal });
}

// Sends what the server lacks, trying again for as long as the network or the server is away.
// Resolves to false if the upload is not there any more. told: called with the offset.
export async function send(place, file, told, signal) {
  let wait = 500;
  while (true) {
    try {
      let offset = await offsetOf(place);
      if (offset === null) return false;
      do {
        told(offset);
        const answer = await sendPiece(place, file, offset, signal);
        if (answer.status === 409) break;
        if (answer.status === 404) return false;
        if (answer.status === 422 || answer.status === 507) throw Object.assign(await refusal(answer), { lasting: true });
        if (!answer.ok) throw await refusal(answer);
        offset = Number(answer.headers.get("Upload-Offset"));
        wait = 500;
        if (offset >= file.size) return told(offset), true;
      } while (true);
    } catch (error) {
      if (signal.aborted || error.lasting) throw error;
      await pause(wait * (0.5 + Math.random()));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }
}

export const discard = (place) => fetch(place, { method: "DELETE", headers: TUS });
