// Shows how downloads go by the portal's own count, whichever program saves the file.

import { duration, size } from "./units.js";

const QUICK = 1000; // while something is sent, or was asked for a moment ago
const CALM = 5000;
const ASKED = 60_000; // how long after a click a download may take to begin
const SPEED_WINDOW = 5000;
const ANNOUNCED = [25, 50, 75, 100];

const box = document.getElementById("progress");
const announcer = document.getElementById("announce");
const words = box.dataset;
const opened = Date.now();

let askedAt = 0;
let timer = 0;
let skew = 0; // the server's clock against ours, in ms
const samples = new Map(); // id → [[time, sent], …] of the last seconds
const told = new Map(); // id → the last percentage that was announced
const panels = new Map(); // id → element

document.getElementById("download").addEventListener("click", () => {
  askedAt = Date.now();
  schedule(200);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) schedule(0);
});
schedule(0);

function schedule(wait) {
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

async function poll() {
  if (document.hidden) return;
  let running = false;
  try {
    const answer = await fetch(words.url, { headers: { Accept: "application/json" } });
    if (answer.ok && answer.headers.get("content-type")?.includes("json")) {
      const { now, downloads } = await answer.json();
      skew = Date.parse(now) - Date.now();
      running = show(downloads);
    }
  } catch {
    // The network is away for a moment; the next poll will tell.
  }
  schedule(running || Date.now() - askedAt < ASKED ? QUICK : CALM);
}

// What was over before the page was opened stands in the table below.
function show(downloads) {
  let running = false;
  for (const row of downloads.toReversed()) {
    running ||= row.state === "running";
    const over = row.finished_at && Date.parse(row.finished_at) - skew < opened;
    if (!over || panels.has(row.id)) draw(row);
  }
  return running;
}

function draw(row) {
  let panel = panels.get(row.id);
  if (!panel) {
    if (panels.size === 0) box.replaceChildren();
    panel = document.createElement("article");
    panels.set(row.id, panel);
    box.prepend(panel);
  }
  if (panel.dataset.state === row.state && row.state !== "running") return;
  panel.dataset.state = row.state;
  const kind = { running: "running", complete: "good", redirected: "good" }[row.state] ?? "bad";
  panel.className = `card panel ${kind}`;
  if (kind === "bad") panel.setAttribute("role", "alert");
  panel.replaceChildren(...(row.state === "running" ? live(row) : ended(row)));
  announce(row);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function live(row) {
  if (!row.first_byte_at) {
    const waited = Math.max(0, Math.round((Date.now() + skew - Date.parse(row.started_at)) / 1000));
    return [element("h2", `${words.waiting} (${duration(waited)})`)];
  }
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", row.filename);
  const parts = [element("h2", `${words.sending}: ${row.filename}`), bar];
  const speed = speedOf(row);
  let text = `${size(row.sent)} ${words.of} ${row.size === null ? words.unknown : size(row.size)}`;
  if (row.size) {
    bar.max = row.size;
    bar.value = row.sent;
    text += ` (${Math.floor((row.sent / row.size) * 100)} %)`;
  }
  if (speed > 0) {
    text += ` · ${size(speed)}/s`;
    if (row.size) text += ` · ${duration(Math.ceil((row.size - row.sent) / speed))} ${words.left}`;
  }
  parts.push(element("p", text));
  if (row.first) parts.push(element("p", `${words.from} ${size(row.first)}`));
  return parts;
}

function ended(row) {
  if (row.state === "complete") {
    const parts = [element("h2", words.done), element("p", `${size(row.sent)} · ${words.proof}: ${row.proof}`)];
    // Of a rest that was fetched later it would be the digest of no file.
    if (row.sha256 && !row.first) parts.push(element("p", "SHA-256"), element("code", row.sha256));
    return parts;
  }
  if (row.state === "redirected") return [element("h2", words.redirected)];
  const titles = { cancelled: words.cancelled, failed: words.failed, corrupt: words.corrupt };
  const title = titles[row.state] ?? words.cut;
  const parts = [element("h2", title)];
  if (row.state !== "failed") {
    const whole = row.size === null ? words.unknown : size(row.size);
    parts.push(element("p", `${size(row.sent)} ${words.of} ${whole}`));
  }
  parts.push(element("p", `${row.what} ${row.todo}`), element("p", `${words.id} ${row.id}`));
  return parts;
}

function speedOf(row) {
  const now = Date.now();
  const kept = (samples.get(row.id) ?? []).filter(([at]) => now - at <= SPEED_WINDOW);
  kept.push([now, row.sent]);
  samples.set(row.id, kept);
  const [at, sent] = kept[0];
  return now > at ? ((row.sent - sent) * 1000) / (now - at) : 0;
}

function announce(row) {
  const percent = row.state === "complete" ? 100 : row.size ? (row.sent / row.size) * 100 : 0;
  const step = ANNOUNCED.findLast((mark) => percent >= mark) ?? 0;
  if (step > (told.get(row.id) ?? 0)) {
    told.set(row.id, step);
    announcer.textContent = `${row.filename}: ${step} %`;
  }
}
