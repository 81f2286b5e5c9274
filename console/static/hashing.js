// A worker: the SHA-256 of a file, piece by piece, beside the page. Takes a File, answers { done } and at last { sha256 } or { error }.
import { sha256 } from "./noble-hashes/sha2.js";
import { bytesToHex } from "./noble-hashes/utils.js";

const PIECE = 8 * 1024 * 1024;
const TOLD = 16;

addEventListener("message", async (event) => {
  const file = event.data;
  const digest = sha256.create();
  try {
    for (let offset = 0, count = 0; offset < file.size; offset += PIECE, count += 1) {
      digest.update(new Uint8Array(await file.slice(offset, offset + PIECE).arrayBuffer()));
      if (count % TOLD === 0) postMessage({ done: Math.min(offset + PIECE, file.size) });
    }
    postMessage({ sha256: bytesToHex(digest.digest()) });
  } catch (error) {
    postMessage({ error: error.message }); // the file was changed or taken away meanwhile
  }
});
