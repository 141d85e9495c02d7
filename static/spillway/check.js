// Compares a file that was saved with what the portal has sent: in the page, by parts of 8 MiB, so that
// nothing is uploaded and a file of any size fits.

import { size } from "./units.js";
import { filled, locale } from "./words.js";
import { pieces as zipped } from "./zips.js";

const box = document.getElementById("check");
const words = box.dataset;
const input = box.querySelector("input");
const result = box.querySelector("output");

// A file that was fetched anew has the name of the one before, and choosing that again is no change.
input.addEventListener("click", () => {
  input.value = "";
});
input.addEventListener("change", async () => {
  const [file] = input.files;
  if (!file) return;
  input.disabled = true;
  try {
    tell(...(await judged(file)));
  } catch {
    tell("bad", [words.failed]);
  }
  input.disabled = false;
});

// The one that was just sent, and before that the last one.
document.addEventListener("sent", (event) => {
  words.url = event.detail.parts;
  box.querySelector(".name").textContent = event.detail.filename;
  show();
});
show();

function show() {
  box.hidden = !words.url;
  result.textContent = "";
  // Browsers give `crypto.subtle` to pages over https, and to those of this machine.
  input.hidden = !globalThis.crypto?.subtle;
  box.querySelector(".plain").hidden = !input.hidden;
}

function tell(kind, sentences) {
  result.className = `note ${kind}`;
  result.replaceChildren(...sentences.map((sentence) => {
    const line = document.createElement("p");
    line.textContent = sentence;
    return line;
  }));
}

// What is wrong with the file, in a word for each kind of fault, and where.
async function judged(file) {
  const answer = await fetch(words.url, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  const sent = await answer.json();
  const { pieces, end } = await compared(file, sent.members ? zipped(file, sent, parts) : parts(file, sent));
  const known = pieces.filter(({ same }) => same !== null);
  const wrong = known.filter(({ same }) => !same);
  const data = known.filter((piece) => piece.data ?? true);
  const told = [];
  if (known.length > 1 && data.length && data.every(({ same }) => !same)) return ["bad", [words.other]];
  if (wrong.length) told.push(words.flipped, ...wrong.slice(0, 5).map(place));
  if (file.size < end) told.push(sized(words.short, file.size, sent.size));
  if (file.size > end) told.push(sized(words.long, file.size - end, end));
  if (file.size < end && !wrong.length && known.length) told.push(words.rest);
  if (told.length) return ["bad", told];
  if (known.length === pieces.length) return ["good", [sized(words.good, file.size)]];
  const left = pieces.filter(({ same }) => same === null).reduce((sum, { from, to }) => sum + to - from, 0);
  return ["", [sized(words.unsure, left)]];
}

// Each piece that the file has whole, and where the last one ends: beyond the file where it is too short.
async function compared(file, walk) {
  const pieces = [];
  let end = 0;
  for await (const piece of walk) {
    end = piece.to;
    if (end > file.size) break;
    pieces.push(piece);
    tell("", [filled(words.busy, { a: Math.floor((end / file.size) * 100) })]);
  }
  return { pieces, end };
}

// The parts of a file that was sent, of which the copy begins at byte `start`: from where to where, and whether
// it is the same; null where the portal had no time for its digest.
async function* parts(file, { size, part, first, digests }, start = 0) {
  for (let at = 0; at < size; at += part) {
    const [from, to] = [start + at, start + Math.min(at + part, size)];
    const digest = to <= file.size && digests[at / part - first];
    yield { from, to, same: digest ? (await hashed(file.slice(from, to))) === digest : null };
  }
}

async function hashed(blob) {
  const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function place({ from, to }) {
  return filled(words.between, { a: from.toLocaleString(locale), b: (to - 1).toLocaleString(locale) });
}

function sized(sentence, a, b = 0) {
  return filled(sentence, { a: size(a), b: size(b) });
}
