// Keeps the doctor's page up to date, and copies commands.

const QUICK = 2000; // while a run is under way, or waits for a worker
const CALM = 30_000;

let timer = 0;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.previousElementSibling.textContent);
  button.textContent = button.dataset.copied;
});
document.addEventListener("visibilitychange", schedule);
show();
schedule();

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, part("status").dataset.progress ? QUICK : CALM);
}

function part(name, within = document) {
  return within.getElementById(`doctor-${name}`);
}

async function look() {
  try {
    const answer = await fetch(location.href);
    if (answer.ok && !answer.redirected) {
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    // The network is away for a moment; the next look will tell.
  }
  schedule();
}

// Only what is new is replaced, so that nobody loses their place, or hears the same twice.
function take(fresh) {
  const status = part("status");
  const now = part("status", fresh);
  if (status.textContent !== now.textContent) status.replaceChildren(...now.childNodes);
  status.dataset.progress = now.dataset.progress;
  const form = part("form");
  const button = form?.querySelector("button");
  if (button) button.disabled = part("form", fresh)?.querySelector("button")?.disabled ?? false;
  const report = part("report");
  if (report.dataset.run !== part("report", fresh).dataset.run) {
    part("state").replaceWith(part("state", fresh));
    report.replaceWith(part("report", fresh));
    show();
  }
}

// Without a script, or without the right to write to the clipboard, the text can be selected.
function show() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
}
