// Shows how downloads go by the portal's own count, whichever program saves the file.

import { duration, size } from "./units.js";
import { filled, isolated } from "./words.js";

const QUICK = 1000; // while something is sent, or was asked for a moment ago
const CALM = 5000;
const ASKED = 60_000; // how long after a click a download may take to begin
const SPEED_WINDOW = 5000;
const ANNOUNCED = [25, 50, 75, 100];
const RETRIED = 60_000; // how long after a cut a browser tries by itself
const JUST_NOW = 10_000; // what was cancelled so long before the page was opened is still told

const box = document.getElementById("progress");
const announcer = document.getElementById("announce");
const words = box.dataset;
const opened = Date.now();

let askedAt = 0;
let timer = 0;
let skew = 0; // the server's clock against ours, in ms
let cutAt = 0; // when the last one was cut, by the server's clock
const samples = new Map(); // id → [[time, sent], …] of the last seconds
const told = new Map(); // id → the last percentage that was announced
const panels = new Map(); // id → element

// Where something is to be chosen first, there is none yet.
document.getElementById("download")?.addEventListener("click", () => {
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
    if (row.state === "cut") cutAt = Math.max(cutAt, Date.parse(row.finished_at));
    if (isRetry(row)) {
      panels.get(row.id)?.remove();
      panels.delete(row.id);
      continue;
    }
    const told = row.is_ending ? JUST_NOW : 0;
    const over = row.finished_at && Date.parse(row.finished_at) - skew < opened - told;
    if (!over || panels.has(row.id)) draw(row);
  }
  return running;
}

// After a cut, a browser's list of downloads asks for the rest by itself. Where that does not even begin, the
// cut is what there is to be told.
function isRetry(row) {
  const after = Date.parse(row.started_at) - cutAt;
  return row.state === "failed" && after >= 0 && after < RETRIED && askedAt + skew < cutAt;
}

function draw(row) {
  let panel = panels.get(row.id);
  if (!panel) {
    if (panels.size === 0) box.replaceChildren();
    panel = document.createElement("section");
    panels.set(row.id, panel);
    box.prepend(panel);
  }
  if (panel.dataset.state === row.state && row.state !== "running") return;
  panel.dataset.state = row.state;
  const kind = { running: "running", complete: "good", redirected: "good" }[row.state] ?? "bad";
  panel.className = `card panel ${kind}`;
  if (kind === "bad") panel.setAttribute("role", "alert");
  if (row.state === "running" && !row.offloaded) keeping(panel, cancelling(panel, row), live(row));
  else panel.replaceChildren(...(row.state === "running" ? live(row) : ended(row)));
  if (row.reached_end) document.dispatchEvent(new CustomEvent("sent", { detail: row }));
  announce(row);
}

// A button that is replaced each second could not be reached with the keyboard.
function keeping(panel, form, parts) {
  const old = [...panel.children].filter((child) => child !== form);
  if (old.length === 1 && parts.length === 1) {
    old[0].textContent = parts[0].textContent;
    return;
  }
  for (const child of old) child.remove();
  form.before(...parts);
}

function cancelling(panel, row) {
  let form = panel.querySelector("form");
  if (!form) {
    form = document.getElementById("cancel").content.querySelector("form").cloneNode(true);
    form.action = row.cancel;
    panel.append(form);
  }
  form.hidden = row.is_ending;
  return form;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function waiting(row) {
  const waited = Math.max(0, Math.round((Date.now() + skew - Date.parse(row.started_at)) / 1000));
  const time = duration(waited);
  if (!words.usual) return filled(words.waiting, { time });
  return filled(words.waitingUsual, { time, usual: duration(Number(words.usual)) });
}

function live(row) {
  const sending = element("h2", filled(words.sending, { name: isolated(row.filename) }));
  if (row.offloaded) return [sending, element("p", words.offloaded)];
  const ending = row.is_ending ? [element("p", words.ending)] : [];
  if (!row.first_byte_at) return [element("h2", waiting(row)), ...ending];
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", row.filename);
  const parts = [sending, bar];
  const speed = speedOf(row);
  let text = sentOf(row);
  if (row.size) {
    bar.max = row.size;
    bar.value = row.sent;
    text += ` (${filled(words.percent, { number: Math.floor((row.sent / row.size) * 100) })})`;
  }
  if (speed > 0) {
    text += ` · ${filled(words.speed, { size: size(speed) })}`;
    if (row.size) {
      const time = duration(Math.ceil((row.size - row.sent) / speed));
      text += ` · ${filled(words.left, { time })}`;
    }
  }
  parts.push(element("p", text));
  if (row.first) parts.push(element("p", filled(words.from, { size: size(row.first) })));
  if (row.note) parts.push(element("p", row.note));
  return [...parts, ...ending];
}

function ended(row) {
  if (row.state === "complete") {
    const parts = [element("h2", row.done)];
    // Of a part, proof and digest would be of no file.
    if (row.part) parts.push(element("p", row.part));
    if (!row.is_whole) return parts;
    parts.push(element("p", `${size(row.sent)} · ${filled(words.proof, { proof: row.proof })}`));
    if (row.sha256) parts.push(element("p", "SHA-256"), element("code", row.sha256));
    return parts;
  }
  if (row.state === "redirected") return [element("h2", words.redirected)];
  const titles = { cancelled: words.cancelled, failed: words.failed, corrupt: words.corrupt };
  const title = titles[row.state] ?? words.cut;
  const parts = [element("h2", title)];
  if (row.state !== "failed") {
    parts.push(element("p", sentOf(row)));
  }
  if (row.note) parts.push(element("p", row.note));
  parts.push(element("p", `${row.what} ${row.todo}`), element("p", filled(words.id, { id: isolated(row.id) })));
  if (row.resumable && words.command && row.state !== "corrupt") {
    const command = document.createElement("pre");
    command.tabIndex = 0;
    command.append(element("code", words.command));
    parts.push(element("p", words.resume), command);
  }
  return parts;
}

function sentOf(row) {
  const whole = row.size === null ? words.unknown : size(row.size);
  return filled(words.sent, { sent: size(row.sent), whole });
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
    announcer.textContent = filled(words.announced, { name: isolated(row.filename), number: step });
  }
}
